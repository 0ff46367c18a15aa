"""The inventory of employees, as Ansible reads it."""

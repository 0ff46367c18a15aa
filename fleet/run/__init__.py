"""One run: Ansible Runner's plays over the plan, here or on workers, until the log is closed."""

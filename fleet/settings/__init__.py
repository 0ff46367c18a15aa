"""Settings from fleet.yml, the environment and the command line, and which of them takes precedence."""

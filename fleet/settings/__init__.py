"""Settings: what fleet.yml, the environment and the command line say, and which of them counts."""

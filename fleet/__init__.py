"""Fleet Opt-Out: opts an organization's accounts out of default data uses, proves it, and keeps the log."""

__version__ = "0.1.0"

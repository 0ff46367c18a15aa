"""The agent: one process per run that owns the browser, the sessions, the pacing and the audit log."""

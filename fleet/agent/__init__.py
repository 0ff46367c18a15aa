"""The agent: one process per run that holds the browser, the sessions, the pacing and the audit log."""

"""The audit log: what was done, to whom (by pseudonym), when, on whose authority, and how it was proved."""

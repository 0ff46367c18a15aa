"""The state directory: how it is created, what changes it outside a run, and what is erased from it."""

"""Output about runs, for people and programs."""

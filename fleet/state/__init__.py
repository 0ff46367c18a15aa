"""The state directory: how it is made, what is done to it beside a run, and what is erased from it."""

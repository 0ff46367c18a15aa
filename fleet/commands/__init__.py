"""One file per command or command group. A command with `--output json` returns an Answer, which `verbs.py` prints."""

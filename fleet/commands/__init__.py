"""One file per verb or group of verbs. A verb with `--output json` hands back an Answer, which `verbs.py` prints."""

"""`make bench`: all figures that have a goal, one after the other, each contender beside its rival.

`python -m bench audit` (or `optouts`) measures one of them.
"""

from __future__ import annotations

import sys

from bench import audit, optouts

CHAPTERS = {"audit": audit.main, "optouts": optouts.main}

for name in sys.argv[1:] or CHAPTERS:
    if name not in CHAPTERS:
        sys.exit(f"{name}: there are {', '.join(CHAPTERS)}.")
    CHAPTERS[name]()

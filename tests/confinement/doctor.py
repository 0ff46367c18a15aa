"""What `fleet doctor` says to the user who asks; imports no browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FLEET = str(Path(sys.executable).with_name("fleet"))


def words() -> list[str]:
    """What it says, in words."""
    done = subprocess.run(
        [FLEET, "doctor"], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
    )
    return done.stdout.split()

"""Finds the display of a desk that is reached over SSH, whose sessions know none."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
_SOCKETS = Path("/tmp/.X11-unix")  # noqa: S108 - X's own folder; only sockets of this user count
_WITHIN = 5.0


def adopt_display() -> None:
    """Name this user's display in the environment if none is named there: their session's, else their X server's."""
    if any(os.environ.get(name) for name in VARIABLES[:2]):
        return
    found = _of_session()
    if not any(name in found for name in VARIABLES[:2]):
        own = _servers()
        found = {"DISPLAY": own[0]} if len(own) == 1 else {}
    os.environ.update(found)


def _of_session() -> dict[str, str]:
    """Return what the user's desktop session has told systemd of its display."""
    command = ["systemctl", "--user", "show-environment"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN, check=True)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return {name: told[name] for name in VARIABLES if told.get(name)}


def _servers() -> list[str]:
    """Return the displays of the X servers that run as this user."""
    try:
        sockets = [path for path in sorted(_SOCKETS.iterdir()) if path.stat().st_uid == os.getuid()]
    except OSError:
        return []
    return [f":{path.name[1:]}" for path in sockets if re.fullmatch(r"X\d+", path.name)]

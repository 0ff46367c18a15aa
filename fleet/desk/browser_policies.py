"""Managed policies of the installed browser (Linux) under which a sign-in at the desk cannot work."""

from __future__ import annotations

import re
from pathlib import Path

from fleet.browser.find_browser import BrowserProgram
from fleet.errors import InputError

_CHROME = (Path("/etc/opt/chrome/policies/managed"),)  # support.google.com/chrome/a/answer/9027408
_EDGE = (Path("/etc/opt/edge/policies/managed"),)
_CHROMIUM = (Path("/etc/chromium/policies/managed"), Path("/etc/chromium-browser/policies/managed"))
_OBSTACLES = (
    # Tried with Chromium 156: with each of the first three, a start by Playwright gets no answer.
    ("RemoteDebuggingAllowed", "false", "forbids automation"),
    ("DeveloperToolsAvailability", "2", "forbids automation"),
    ("BrowserSignin", "2", "demands a sign-in to the browser itself"),
    ("DiskCacheDir", '"[^"]+"', "keeps pages of a private profile on a disk"),
)


def require_no_obstacle(program: BrowserProgram) -> None:
    """Raise InputError if a policy file of the browser has a value under which a sign-in cannot work.

    Policies from elsewhere, such as Google's cloud, are seen only by a start (`fleet doctor`).
    """
    for file in sorted(path for folder in _folders(program) for path in folder.glob("*.json")):
        try:
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue
        in_force = re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE)  # the browser accepts comments
        for policy, value, what in _OBSTACLES:
            if re.search(rf'"{policy}"\s*:\s*{value}', in_force):
                raise InputError(
                    f"{file}: the policy {policy} {what}; exempt this machine from it, or name another browser with "
                    "FLEET_BROWSER."
                )


def _folders(program: BrowserProgram) -> tuple[Path, ...]:
    name = program.path.name.lower()
    return _EDGE if "edge" in name else _CHROME if "chrome" in name else _CHROMIUM

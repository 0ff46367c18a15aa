"""Finds a Chromium on this machine, or installs one.

Order of preference: Playwright's own headless shell, the system's headless shell, then Chrome, Chromium, Edge.
A full browser does the same work about 3.5 times slower.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fleet.environment import PYTHON
from fleet.errors import BrowserMissingError

_SYSTEM = (
    ("chromium-headless-shell", "chromium-headless-shell"),
    ("google-chrome", "Google Chrome"),
    ("google-chrome-stable", "Google Chrome"),
    ("chromium", "Chromium"),
    ("chromium-browser", "Chromium"),
    ("microsoft-edge", "Microsoft Edge"),
    ("microsoft-edge-stable", "Microsoft Edge"),
)
_APPLICATIONS = (
    ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "Google Chrome"),
    ("/Applications/Chromium.app/Contents/MacOS/Chromium", "Chromium"),
    ("/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge", "Microsoft Edge"),
)
_PACKAGE = "chromium-headless-shell"
_MISSING = "No browser was found; run 'fleet browser install', or name one with FLEET_BROWSER."
_NO_WINDOW = "A sign-in needs Google Chrome, Chromium or Microsoft Edge; install one, or name one with FLEET_BROWSER."
_NOT_INSTALLED = (
    "No browser could be installed; install Debian's package chromium-headless-shell, Google Chrome, Chromium or "
    "Microsoft Edge, or name one with FLEET_BROWSER."
)


@dataclass(frozen=True)
class BrowserProgram:
    """An executable that Playwright can drive."""

    path: Path
    name: str

    @property
    def is_headless_shell(self) -> bool:
        """True for the program without windows, which makes no requests unprompted."""
        return bool(re.search(r"headless[-_]shell", self.path.name))

    def version(self) -> str:
        """Return the program's version, such as `Chromium 156.0.8078.79`. Raises BrowserMissingError on failure."""
        try:
            done = subprocess.run([str(self.path), "--version"], capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            raise BrowserMissingError(f"{self.path} does not start; run 'fleet browser install'.") from None
        return done.stdout.strip()


def find_browser() -> BrowserProgram:
    """Return the browser that runs will use; FLEET_BROWSER overrides the search.

    Raises BrowserMissingError, in one sentence that says what to install.
    """
    named = _named()
    if named is not None:
        return named
    own = _playwright_headless_shell()
    if own is not None:
        return BrowserProgram(own, "Playwright's headless shell")
    found = next(_installed(), None)
    if found is None:
        raise BrowserMissingError(_MISSING)
    return found


def find_window_browser() -> BrowserProgram:
    """Return the installed Chrome, Chromium or Edge, which has windows; FLEET_BROWSER overrides the search.

    Raises BrowserMissingError, also if FLEET_BROWSER names a program without windows.
    """
    named = _named()
    found = named or next((one for one in _installed() if not one.is_headless_shell), None)
    if found is None:
        raise BrowserMissingError(_NO_WINDOW)
    if found.is_headless_shell:
        raise BrowserMissingError(f"FLEET_BROWSER names {found.path}, which has no windows. {_NO_WINDOW}")
    return found


def _named() -> BrowserProgram | None:
    """Return the browser that FLEET_BROWSER names, if it is set. Raises BrowserMissingError."""
    named = os.environ.get("FLEET_BROWSER")
    if not named:
        return None
    path = shutil.which(named)
    if path is None:
        raise BrowserMissingError(f"FLEET_BROWSER names {named}, which is not a program here; fix or unset it.")
    return BrowserProgram(Path(path), Path(named).name)


def _installed() -> Iterator[BrowserProgram]:
    """Yield the browsers of the system, the preferred one first."""
    for command, name in _SYSTEM:
        path = shutil.which(command)
        if path is not None:
            yield BrowserProgram(Path(path), name)
    for application, name in _APPLICATIONS:
        if Path(application).is_file():
            yield BrowserProgram(Path(application), name)


def install_browser(say: object = None) -> BrowserProgram:
    """Find a browser, or install one: Playwright's download first, then the system's package manager.

    `say` is called with a line of progress before each attempt. Raises BrowserMissingError if nothing worked.
    """
    tell = say if callable(say) else (lambda _line: None)
    try:
        return find_browser()
    except BrowserMissingError:
        if os.environ.get("FLEET_BROWSER"):
            raise
    tell("Downloading Playwright's headless shell …")
    if _succeeds([*PYTHON, "-m", "playwright", "install", "chromium-headless-shell"]):
        own = _playwright_headless_shell()
        if own is not None:
            return BrowserProgram(own, "Playwright's headless shell")
    elevated = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") and (not elevated or _succeeds(["sudo", "-n", "true"])):
        tell(f"The download did not work; installing the package {_PACKAGE} …")
        environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
        _succeeds([*elevated, *environment, "apt-get", "update"])
        _succeeds([*elevated, *environment, "apt-get", "install", "-y", "--no-install-recommends", _PACKAGE])
    try:
        return find_browser()
    except BrowserMissingError:
        raise BrowserMissingError(_NOT_INSTALLED) from None


def _succeeds(command: list[str]) -> bool:
    try:
        # Programs are installed for all users of the machine; files created by `fleet` are for its own user only.
        done = subprocess.run(command, capture_output=True, timeout=900, check=False, umask=0o022)
        return done.returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _playwright_headless_shell() -> Path | None:
    """Return Playwright's own headless shell, in exactly the revision that the installed Playwright drives."""
    spec = find_spec("playwright")
    if spec is None or spec.origin is None:
        return None
    try:
        listing = json.loads((Path(spec.origin).parent / "driver" / "package" / "browsers.json").read_text("utf-8"))
        revision = next(item["revision"] for item in listing["browsers"] if item["name"] == "chromium-headless-shell")
    except (OSError, ValueError, KeyError, StopIteration):
        return None
    home = Path.home()
    caches = [home / ".cache" / "ms-playwright", home / "Library" / "Caches" / "ms-playwright"]
    if os.environ.get("PLAYWRIGHT_BROWSERS_PATH") not in (None, "", "0"):
        caches = [Path(os.environ["PLAYWRIGHT_BROWSERS_PATH"])]
    for cache in caches:
        folder = cache / f"chromium_headless_shell-{revision}"
        # Playwright's folder may be private to another user (0700): then it counts as missing.
        with suppress(PermissionError):
            for name in ("headless_shell", "chrome-headless-shell"):
                for path in folder.glob(f"*/{name}"):
                    if os.access(path, os.X_OK):
                        return path
    return None

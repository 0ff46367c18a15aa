"""A display without a monitor, and a person at its keyboard, who is in no way attached to a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.confinement.namespace import full_browser
from tests.conftest import ROOT
from tests.playbook.helpers import wait_until

_HEADING = (60, 165)
"""Where our own window has its heading, from which Tab leads to its first button."""
PROGRAMS = ("Xvfb", "xdotool")


@dataclass(frozen=True)
class Screen:
    """An X display; what is done on it is done by keys (xdotool)."""

    display: str

    def titles(self) -> list[str]:
        """The titles of all windows."""
        return self._do("search", "--onlyvisible", "--name", ".", "getwindowname", "%@").splitlines()

    def shows(self, title: str) -> bool:
        """True if a window's title begins so."""
        return any(re.match(title, one) for one in self.titles())

    def wait_for(self, title: str) -> None:
        """Wait for a window with this title."""
        wait_until(lambda: self.shows(title), 60)

    def sign_in(self, user: str, lands: str, *, keep: bool = False) -> None:
        """Sign in at a rehearsed service's form, which has the focus; the page after it has the title `lands`.

        With `keep`, the service is asked to keep the person signed in when the browser is closed.
        """
        self.wait_for("Sign in")

        def is_signed_in() -> bool:
            # A form that was not ready has lost keys: they are typed again.
            self.press("ctrl+a")
            self._do("type", "--delay", "1", user)
            self.press(*(("Tab", "Tab", "space") if keep else ()), "Return")
            try:
                wait_until(lambda: self.shows(lands), 10)
            except AssertionError:
                return False
            return True

        wait_until(is_signed_in, 90)

    def press(self, *keys: str) -> None:
        """Press keys, such as ctrl+w."""
        self._do("key", "--delay", "1", *keys)

    def click(self, x: int, y: int) -> None:
        """Click there; keys go to that window from now on."""
        self._do("mousemove", str(x), str(y), "click", "1")

    def choose(self, heading: str, number: int) -> None:
        """Wait for our own window with this heading, and press its n-th button, by keys alone."""
        self.wait_for(heading)

        def is_chosen() -> bool:
            self.click(*_HEADING)
            self.press(*["Tab"] * number, "Return")
            try:
                wait_until(lambda: not self.shows(heading), 10)
            except AssertionError:
                return False
            return True

        wait_until(is_chosen, 60)

    def close_window(self) -> None:
        """Close the browser's only tab, and so the browser."""
        self.press("ctrl+w")

    def _do(self, *words: str) -> str:
        command = ["xdotool", *words]
        done = subprocess.run(
            command, env={**os.environ, "DISPLAY": self.display}, capture_output=True, text=True, check=False
        )
        return done.stdout


@contextmanager
def screen() -> Iterator[Screen]:
    """Yield a new display; skips the test where its programs are missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (Debian: {ROOT / 'tests/programs.sh'} installs them)")
    full_browser()
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as number:
            yield Screen(f":{number.readline().strip()}")
    finally:
        server.terminate()
        server.wait()

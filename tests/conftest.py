"""What all tests share. Nothing here reaches further than this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--")
OBEYING_MODES = _WITHOUT_RIGHTS if os.geteuid() == 0 else ()
"""Before a command: even root is bound by the modes of files then, as users and services are."""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a home of its own, so that none reads or writes the developer's state."""
    for name in list(os.environ):
        if name.startswith(("FLEET_", "XDG_", "ANSIBLE_")) and name not in ("FLEET_BROWSER", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    # Playwright's own browsers are looked for in the real home.
    monkeypatch.setenv(
        "PLAYWRIGHT_BROWSERS_PATH",
        os.environ.get("PLAYWRIGHT_BROWSERS_PATH", str(Path.home() / ".cache/ms-playwright")),
    )
    monkeypatch.setenv("HOME", str(home))
    yield

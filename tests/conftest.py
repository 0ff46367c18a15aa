"""Fixtures for all tests. Nothing here leaves this machine."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from tests import commands, listings
from tests.sizes import only_at_full_size

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parent.parent
_WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--")
OBEYING_MODES = _WITHOUT_RIGHTS if os.geteuid() == 0 else ()
"""Prefix for a command that must obey file modes even as root, as users and services do."""


# The usual umask, whatever the developer's is. Set here because module fixtures run before those of a test.
os.umask(0o022)
# A shell that starts the tests in the background makes them and their child processes ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
commands.fork_what_is_started()
os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(__file__).with_name("node.sh")))


@pytest.hookimpl(tryfirst=True)  # before -m deselects any
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Reject a suite in which any test has no case for `make test`."""
    asked_for_single_cases = any("[" in argument for argument in config.args)
    if not asked_for_single_cases and (missing := only_at_full_size(items)):
        raise pytest.UsageError(f"`make test` would run no case of {', '.join(missing)}")


@contextmanager
def as_it_was() -> Iterator[None]:
    """Restore what a command or an agent in this process sets globally; pytest already restores warnings."""
    umask = os.umask(0o022)
    environment, temporary, hook = os.environ.copy(), tempfile.tempdir, sys.excepthook
    structured, level, disabled = structlog.get_config(), logging.root.level, logging.root.manager.disable
    try:
        yield
    finally:
        os.umask(umask)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir, sys.excepthook = temporary, hook
        structlog.configure(**structured)
        logging.root.setLevel(level)
        logging.disable(disabled)


@pytest.fixture(autouse=True)
def no_traces() -> Iterator[None]:
    """Isolate each test from the global state left by others, so that their order does not matter."""
    with as_it_was():
        yield


@pytest.fixture
def same_inventories(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start Ansible once for the same inventory, for modules whose subject is what comes after the reading."""
    from fleet.inventory import read

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "listings"
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(read, "_list_hosts", listings.remembering(folder, read._list_hosts))
    monkeypatch.setattr(listings, "folder", folder)


@pytest.fixture(autouse=True)
def own_home(no_traces: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own home, so that none reads or writes the developer's state."""
    live_in(tmp_path / "home", monkeypatch)


def live_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `home`, and change the environment as if nobody had ever lived there."""
    for name in list(os.environ):
        if name.startswith(("FLEET_", "XDG_", "ANSIBLE_")) and name not in ("FLEET_BROWSER", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name)
    home.mkdir(mode=0o700)
    # Playwright's own browsers stay in the real home.
    monkeypatch.setenv(
        "PLAYWRIGHT_BROWSERS_PATH",
        os.environ.get("PLAYWRIGHT_BROWSERS_PATH", str(Path.home() / ".cache/ms-playwright")),
    )
    monkeypatch.setenv("HOME", str(home))

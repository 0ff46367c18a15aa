"""Processes and private folders left behind by killed runs, found by the folder path in command lines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from fleet.model import RUN_ID
from fleet.paths import is_held

PLAY = "play-"
"""Prefix of a play's folder name."""
WORKER = "worker-"
"""Prefix of a worker's folder name."""
AGENT = "agent-"
"""Prefix of the folder in which the agent of a play without `fleet run` listens."""
SIGN_IN = "fleet-desk-"
"""Prefix of the folder with the browser profile of a sign-in."""
_BORN = "."
"""Prefix of a folder name until the folder is locked."""
_HELD = (PLAY, WORKER, AGENT, SIGN_IN)
_BORN_HELD = tuple(_BORN + name for name in _HELD)
_STARTING = 60.0
"""Seconds that a folder may exist before it is locked."""


def hold(folder: Path) -> int:
    """Mark a private folder as in use until the returned file descriptor is closed.

    A lock, because it ends with its holder in every case and is visible from other containers.
    """
    descriptor = _opened(folder)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextlib.contextmanager
def held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a private folder; on exit, or at the next `sweep`, it is removed with all processes that name it."""
    # Created 0700, and locked before it gets the name by which `sweep` expects a lock.
    born = Path(tempfile.mkdtemp(prefix=f"{_BORN}{prefix}", dir=parent))
    held = hold(born)
    folder = born.rename(parent / born.name.removeprefix(_BORN))
    try:
        yield folder
    finally:
        os.close(held)
        reap(folder)


def reap(folder: Path) -> None:
    """Kill our own processes that name `folder` in their command line, except this one, and remove it."""
    for process in _processes_of(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def is_named_by_a_process(folder: Path) -> bool:
    """Return True while a process of ours, except this one, names `folder` in its command line."""
    return next(_processes_of(folder), None) is not None


def sweep(runtime: Path) -> None:
    """Reap the folders in the runtime folder whose run or play no longer exists."""
    for folder in runtime.iterdir():
        if folder.is_dir() and not folder.is_symlink() and _is_stale(folder):
            reap(folder)


def _is_stale(folder: Path) -> bool:
    try:
        is_unheld_at_first = folder.name.startswith(_BORN_HELD) or RUN_ID.fullmatch(folder.name)
        info = folder.stat()
        if info.st_uid != os.getuid():
            return False
        is_young = time.time() - info.st_mtime < _STARTING
        if folder.name.startswith(_HELD) or (is_unheld_at_first and not is_young):
            return not is_held(folder)
    except OSError:
        pass  # gone by now, or not ours
    return False


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _processes_of(folder: Path) -> Iterator[psutil.Process]:
    """Yield our own processes that name the folder, except this one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.uids().real == os.getuid() and process.pid != os.getpid()
            if is_ours and any(_names(word, folder) for word in process.cmdline()):
                yield process


def _names(word: str, folder: Path) -> bool:
    return re.search(rf"{re.escape(str(folder))}(/|$)", word) is not None

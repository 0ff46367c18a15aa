"""What killed runs leave behind: processes and private folders, known by the folder in their command lines."""

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
"""What the name of a play's folder begins with."""
WORKER = "worker-"
"""What the name of a worker's folder begins with."""
AGENT = "agent-"
"""What the name of the folder begins with in which the agent of a play without `fleet run` listens."""
_BORN = "."
"""What the name of a folder begins with until it is held."""
_HELD = (PLAY, WORKER, AGENT)
_BORN_HELD = tuple(_BORN + name for name in _HELD)
_STARTING = 60.0
"""Seconds for which a folder may be there before it is held."""


def hold(folder: Path) -> int:
    """Say that a private folder is in use, for as long as the descriptor that is returned is open.

    A lock, because it ends with its holder however that one ends, and is seen from other containers as well.
    """
    descriptor = _opened(folder)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextlib.contextmanager
def held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A private folder that goes with all processes that name it, at the end, or with the next `sweep`."""
    # Born 0700, and held before it has the name by which `sweep` knows what must be held.
    born = Path(tempfile.mkdtemp(prefix=f"{_BORN}{prefix}", dir=parent))
    held = hold(born)
    folder = born.rename(parent / born.name.removeprefix(_BORN))
    try:
        yield folder
    finally:
        os.close(held)
        reap(folder)


def reap(folder: Path) -> None:
    """Kill our own processes that name `folder` in their command line, other than this one, and remove it."""
    for process in _processes_of(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def sweep(runtime: Path) -> None:
    """Reap what is left in the runtime folder of runs and plays that nobody owns any more."""
    for folder in runtime.iterdir():
        if folder.is_dir() and not folder.is_symlink() and _is_stale(folder):
            reap(folder)


def _is_stale(folder: Path) -> bool:
    try:
        is_unheld_at_first = folder.name.startswith(_BORN_HELD) or RUN_ID.fullmatch(folder.name)
        is_young = time.time() - folder.stat().st_mtime < _STARTING
        if folder.name.startswith(_HELD) or (is_unheld_at_first and not is_young):
            return not is_held(folder)
    except OSError:
        pass  # gone meanwhile, or not ours
    return False


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _processes_of(folder: Path) -> Iterator[psutil.Process]:
    """Our own processes that name the folder, this one apart."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.uids().real == os.getuid() and process.pid != os.getpid()
            if is_ours and any(_names(word, folder) for word in process.cmdline()):
                yield process


def _names(word: str, folder: Path) -> bool:
    return re.search(rf"{re.escape(str(folder))}(/|$)", word) is not None

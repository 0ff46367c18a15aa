"""What killed runs leave behind: processes and private folders, known by the folder in their command lines."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_AGENT_FOLDER = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}|[0-9]+-[0-9]+")
"""A run id, or the number and start time of a play without `fleet run` (roles/optout/action_plugins/optout.py)."""
_PLAY_FOLDER = re.compile(r"play-([0-9]+)-.+")
_STARTING = 60.0
"""Seconds for which the folder of an agent may be there before the agent is."""


def play_prefix() -> str:
    """What the name of this process's play folders begins with."""
    return f"play-{os.getpid()}-"


def reap(folder: Path) -> None:
    """Kill our own processes that name `folder` in their command line, other than this one, and remove it."""
    for process in _processes_of(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()
    for beside in (folder.with_suffix(".lock"), folder.with_suffix(".failed")):
        beside.unlink(missing_ok=True)  # the role's action plugin makes them
    shutil.rmtree(folder, ignore_errors=True)


def sweep(runtime: Path) -> None:
    """Reap what is left in the runtime folder of runs and plays that nobody owns any more."""
    for folder in runtime.iterdir():
        if folder.is_dir() and not folder.is_symlink() and _is_stale(folder):
            reap(folder)


def _is_stale(folder: Path) -> bool:
    play = _PLAY_FOLDER.fullmatch(folder.name)
    if play is not None:
        return not psutil.pid_exists(int(play[1]))
    if not _AGENT_FOLDER.fullmatch(folder.name):
        return False
    try:
        is_young = time.time() - folder.stat().st_mtime < _STARTING
    except OSError:
        return False
    socket = str(folder / "agent.sock")
    has_agent = any({"agent", socket} <= set(_command(process)) for process in _processes_of(folder, others=False))
    return not has_agent and not (is_young and not (folder / "agent.sock").exists())


def _processes_of(folder: Path, *, others: bool = True) -> Iterator[psutil.Process]:
    """Our own processes that name the folder; with `others`, this one apart."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.uids().real == os.getuid() and not (others and process.pid == os.getpid())
            if is_ours and any(_names(word, folder) for word in _command(process)):
                yield process


def _names(word: str, folder: Path) -> bool:
    return re.search(rf"{re.escape(str(folder))}(/|$)", word) is not None


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []

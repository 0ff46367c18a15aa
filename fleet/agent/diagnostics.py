"""The agent's own log: what went wrong in it, in codes, types and places, never in words that may carry a secret."""

from __future__ import annotations

import asyncio
import os
import traceback
from contextlib import suppress
from typing import Any

import structlog

diagnostics = structlog.get_logger()


class DiagnosticsFile:
    """Where diagnostics go. A line that the disk does not take is lost: it must not end the run that it tells of."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """Write a line, or part of one."""
        with suppress(OSError):
            os.write(self._descriptor, text.encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""


def without_text(error: BaseException) -> dict[str, Any]:
    """An exception's type and the places that it came by: its text may carry personal data, an address or a cookie."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return {"error": type(error).__name__, "at": [f"{frame.filename}:{frame.lineno}" for frame in frames]}


def note_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the event loop has nobody else to tell of."""
    error = context.get("exception")
    diagnostics.error("agent.unhandled", **(without_text(error) if error is not None else {}))

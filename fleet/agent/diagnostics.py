"""The agent's own log: failures as codes, types and code locations, without text that may contain a secret."""

from __future__ import annotations

import asyncio
import os
import traceback
from contextlib import suppress
from typing import Any

import structlog

diagnostics = structlog.get_logger()


class DiagnosticsFile:
    """File for diagnostics. Write errors are ignored: a full disk must not end the run."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """Write a line, or part of one."""
        with suppress(OSError):
            os.write(self._descriptor, text.encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: writes are unbuffered."""


def without_text(error: BaseException) -> dict[str, Any]:
    """Return an exception's type and code locations. Its text may contain personal data, an address or a cookie."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return {"error": type(error).__name__, "at": [f"{frame.filename}:{frame.lineno}" for frame in frames]}


def note_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that only the event loop has seen (exception handler)."""
    error = context.get("exception")
    diagnostics.error("agent.unhandled", **(without_text(error) if error is not None else {}))

"""Ctrl-C and SIGTERM as a request for an orderly end, which interrupts every wait of the main thread."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from fleet.errors import FleetError
from fleet.model import EXIT_INTERRUPTED

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_EVERY = 0.05
"""Seconds between two attempts to wake the main thread."""


class Interrupted(FleetError):
    """The end was requested before the run had begun."""

    exit_code = EXIT_INTERRUPTED


@dataclass
class Interruption:
    """Whether the end was requested."""

    asked: bool = False
    _is_at_once: bool = False

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """Request the end; the handler of both signals."""
        self.asked = True
        if self._is_at_once:
            self._is_at_once = False
            raise Interrupted("The run was interrupted before any account was visited; run it again.")

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise Interrupted as soon as the end is requested, whatever the main thread is waiting for."""
        self._is_at_once = True
        try:
            yield
        finally:
            self._is_at_once = False

    def _listen(self, heard: socket.socket) -> None:
        """Forward each signal to the main thread until it is handled there.

        Python runs a handler only between two steps of the main thread. A signal that arrives just before that thread
        starts to wait, or that the system delivers to another thread, does not end the wait.
        """
        main = threading.main_thread().ident
        assert main is not None
        while numbers := heard.recv(64):
            if not set(numbers) & set(_SIGNALS):
                continue
            while self._is_at_once:
                signal.pthread_kill(main, signal.SIGINT)
                time.sleep(_AGAIN_EVERY)
            self.asked = True


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn Ctrl-C and SIGTERM into a request that is noticed between steps."""
    interruption = Interruption()
    heard, told = socket.socketpair()
    told.setblocking(False)
    listening = threading.Thread(target=interruption._listen, args=(heard,), daemon=True)
    listening.start()
    before = {number: signal.signal(number, interruption.ask) for number in _SIGNALS}
    told_before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    try:
        yield interruption
    finally:
        signal.set_wakeup_fd(told_before)
        told.close()
        listening.join()
        heard.close()
        for number, handler in before.items():
            signal.signal(number, handler)

"""An event loop whose clock jumps to what is due next: hours of pauses pass at once, and to the second."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    now = 0.0
    threads = 0
    """Threads at work: while they are, no time passes, however slow the machine is."""

    def select(self, timeout: float | None = None) -> Any:
        """What is ready. Instead of waiting, the clock is put forward, unless a thread is waited for."""
        if timeout is None or (timeout > 0 and self.threads):
            return super().select(None)
        self.now += max(0.0, timeout)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Real in all but its clock."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        """As the base class does, counting the threads at work."""

        def ended(_: object) -> None:
            self._jumping.threads -= 1

        self._jumping.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(ended)
        return future

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._jumping.now


def run_jumping(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work)

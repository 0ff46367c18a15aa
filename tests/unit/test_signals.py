"""A request to end reaches a run whatever it waits for, and whichever thread the system gives the signal to."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from fleet.run.signals import Interrupted, interruptible


@pytest.fixture
def other_thread() -> int:
    """A thread that takes signals while the main thread waits, as any of a run's threads may."""
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    assert thread.ident is not None
    return thread.ident


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
class TestASignalThatAnotherThreadIsGiven:
    """The main thread's wait is not ended by it, as it is not by one that comes just before the wait."""

    def test_it_ends_a_wait_for_the_run_to_begin(self, number: signal.Signals, other_thread: int) -> None:
        """At once, and not when the wait is over."""
        began = time.monotonic()
        with interruptible() as interruption:
            with pytest.raises(Interrupted, match="before any account was visited"), interruption.at_once():
                threading.Timer(0.1, signal.pthread_kill, (other_thread, number)).start()
                threading.Event().wait(20)
            assert interruption.asked and time.monotonic() - began < 15

    def test_those_who_look_between_steps_see_it(self, number: signal.Signals, other_thread: int) -> None:
        """Also while the main thread waits for them, as it does for plays on workers."""
        with interruptible() as interruption:
            seen = threading.Event()

            def look() -> None:
                while not interruption.asked:
                    time.sleep(0.01)
                seen.set()

            looking = threading.Thread(target=look, daemon=True)
            looking.start()
            threading.Timer(0.1, signal.pthread_kill, (other_thread, number)).start()
            assert seen.wait(20)


def test_what_was_there_before_is_put_back() -> None:
    """Both handlers and the descriptor that signals are written to; no thread stays."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), threading.active_count()
    with interruptible():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), threading.active_count()) == before
    assert signal.set_wakeup_fd(-1) == -1

"""What the agent writes down of its own troubles: types and places, no words."""

from __future__ import annotations

import asyncio
from typing import Any

from structlog.testing import capture_logs

from fleet.agent.diagnostics import note_unhandled, without_text

SECRET = "li_at=AQEDAR-secret"


def failed() -> ValueError:
    """An exception with a text, as it is once it was raised."""
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        return error


class TestDiagnostics:
    def test_an_exception_is_told_by_type_and_place(self) -> None:
        """Its text may hold a cookie, so it is left out."""
        told = without_text(failed())
        assert told["error"] == "ValueError"
        assert [place.rpartition("/")[2].partition(":")[0] for place in told["at"]] == ["test_diagnostics.py"]
        assert SECRET not in str(told)

    async def test_an_exception_that_nobody_took_is_told_in_the_same_way(self) -> None:
        """The event loop itself would print it with its text."""
        loop = asyncio.get_running_loop()
        before: Any = loop.get_exception_handler()
        loop.set_exception_handler(note_unhandled)
        try:
            with capture_logs() as logs:
                loop.call_soon(lambda: (_ for _ in ()).throw(ValueError(SECRET)))
                await asyncio.sleep(0)
        finally:
            loop.set_exception_handler(before)
        [log] = logs
        assert (log["event"], log["error"]) == ("agent.unhandled", "ValueError")
        assert SECRET not in str(log)

"""The agent's socket: whatever is sent, each whole line has one answer, and the next client is served."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import strategies as st

from fleet.agent.protocol import MAX_MESSAGE
from fleet.agent.run import Run
from fleet.agent.server import Agent
from fleet.model import Outcome, Result
from tests.fuzz.cases import fuzz, mutated, texts, values

READY = b'{"v": 1, "op": "ready"}\n'


def _run() -> Run:
    """A run that has nothing but answers: what is tested is the way to it, and a real one needs a browser."""

    async def visit(employee: str) -> list[Result]:
        return [Result(employee, "linkedin", "ai_training", Outcome.OPTED_OUT)]

    stand_in = SimpleNamespace(
        spec=SimpleNamespace(run_id="r1"),
        knows=lambda name: name == "anna",
        visit=visit,
        service_name=lambda _: "LinkedIn",
    )
    stand_in.close = lambda stopped: asyncio.sleep(0)
    return cast("Run", stand_in)


class Served:
    """An agent on a real socket, for as long as this module's tests run; `failures` are tracebacks of its loop."""

    def __init__(self) -> None:
        self.failures: list[dict[str, Any]] = []
        self._runner = asyncio.Runner()
        self._runner.get_loop().set_exception_handler(lambda _loop, context: self.failures.append(context))
        self.path = Path(tempfile.mkdtemp(prefix="fuzz-")) / "run" / "agent.sock"
        self.path.parent.mkdir(mode=0o700)
        self._serving = self._runner.run(self._serve())

    async def _serve(self) -> asyncio.Task[None]:
        async def open_run() -> Run:
            return _run()

        serving = asyncio.create_task(Agent(self.path, open_run, belongs_to_play=False).serve([]))
        while not self.path.exists():
            await asyncio.sleep(0.001)  # the socket appears under its name once it listens
        return serving

    def talk(self, sent: list[bytes], *, is_leaving: bool = False) -> list[bytes]:
        """Send piece by piece, and read until the agent has nothing more to say; or leave before it answers."""
        return self._runner.run(self._talk(sent, is_leaving))

    async def _talk(self, sent: list[bytes], is_leaving: bool) -> list[bytes]:
        reader, writer = await asyncio.open_unix_connection(self.path, limit=MAX_MESSAGE)
        try:
            for piece in sent:
                writer.write(piece)
                await writer.drain()
            if is_leaving:
                writer.transport.abort()
                return []
            writer.write_eof()
            return (await reader.read()).splitlines()
        except ConnectionError:
            return []
        finally:
            writer.close()

    def close(self) -> None:
        self.talk([b'{"v": 1, "op": "finish"}\n'])
        self._runner.run(asyncio.wait_for(self._serving, 5))
        self._runner.close()
        self.path.parent.parent.rmdir()


@pytest.fixture(scope="module", autouse=True)
def _agent() -> Iterator[None]:
    global AGENT
    AGENT = Served()
    yield
    AGENT.close()


AGENT: Served
"""One for all cases: none may spoil it for the next."""

requests = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from([1, 1.0, True, "1", 2, None]) | values,
        "op": st.sampled_from(["ready", "visit"]) | values,
        "employee": st.sampled_from(["anna", "nobody"]) | values,
    },
)
lines = (
    requests.map(lambda request: json.dumps(request).encode())
    | values.map(lambda value: json.dumps(value).encode())
    | mutated(READY.decode()).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=40)
    | st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 20_000, b"x" * 200_000, b"\xff\xfe[\0", b"NaN", b'{"v": 1e999, "op": 0}']
    )
)


@fuzz(2000, ([READY], True, 3), case=st.tuples(st.lists(lines, max_size=4), st.booleans(), st.integers(1, 50)))
def test_each_line_has_one_answer_and_the_next_client_is_served(case: tuple[list[bytes], bool, int]) -> None:
    """Arbitrary bytes, half lines, wrong types, deep nests, a client that goes away before its answer."""
    content, is_leaving, step = case
    whole = b"\n".join(one for one in content if b'"finish"' not in one)
    cut = len(whole) * step // 50
    answers = AGENT.talk([whole[:cut], whole[cut:]], is_leaving=is_leaving)
    if not is_leaving:
        assert len(answers) == len(whole.split(b"\n")) - (whole[-1:] in (b"\n", b""))
    for answer in answers:
        fields = json.loads(answer)
        assert fields["v"] == 1 and len({"error", "run", "results"} & fields.keys()) == 1
    assert AGENT.talk([READY]) == [b'{"v": 1, "run": "r1"}']
    assert AGENT.failures == []


def test_a_line_without_an_end_is_refused_and_nothing_else() -> None:
    """More than the longest message: the connection ends, the agent does not."""
    assert AGENT.talk([b"x" * (MAX_MESSAGE + 100)]) == []
    assert AGENT.talk([READY]) == [b'{"v": 1, "run": "r1"}']
    assert AGENT.failures == []

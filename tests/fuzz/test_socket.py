"""The agent's socket: whatever is sent, each whole line has one answer, and the next client is served."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import strategies as st

from fleet.agent.protocol import MAX_MESSAGE
from tests.agents import IS_READY, READY, Served
from tests.fuzz.cases import fuzz, mutated, texts, values


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
        assert fields["v"] == 1 and len({"error", "run", "task"} & fields.keys()) == 1
    assert AGENT.talk([READY]) == [IS_READY]
    assert AGENT.failures == []


def test_a_line_without_an_end_is_refused_and_nothing_else() -> None:
    """More than the longest message: the connection ends, the agent does not."""
    assert AGENT.talk([b"x" * (MAX_MESSAGE + 100)]) == []
    assert AGENT.talk([READY]) == [IS_READY]
    assert AGENT.failures == []

"""How a surface is fuzzed: so many cases, each really run, none without an end; and the nasty things that go in."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.sizes import sizes

PLANNED: dict[str, int] = {}
"""How many cases each fuzz test runs, by its name; test_count.py holds their sum."""
SECONDS = 60.0
"""No case needs more than some milliseconds; the rest is for machines that have other things to do."""


class Hang(Exception):
    """A case that did not come to its end. No OSError, so that nothing of ours takes it for one of its own."""


@contextmanager
def deadline(seconds: float = SECONDS) -> Iterator[None]:
    """Raise Hang in what does not come to its end in time, also where it waits in a system call."""

    def hang(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"no end within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(count: int, *examples: Any, case: st.SearchStrategy[Any]) -> Callable[[Callable[[Any], None]], Any]:
    """Make a test of `body`: it runs for `count` generated cases at least, and for each of `examples`.

    In `make test` it is a tenth of `count`, and `make test-all` runs them all. The test fails as well if fewer were run
    than were promised, or if one of them hangs.
    """

    def make(body: Callable[[Any], None]) -> Callable[[int], None]:
        PLANNED[f"{body.__module__.rpartition('.')[2]}.{body.__name__}"] = count

        @pytest.mark.parametrize("count", sizes(count // 10, count))
        def test(count: int) -> None:
            run = 0

            def one(case: Any) -> None:
                nonlocal run
                run += 1
                with deadline():
                    body(case)

            wrapped = settings(
                max_examples=count,
                deadline=None,  # the timer above ends what hangs, which Hypothesis' deadline does not
                print_blob=True,
                suppress_health_check=[
                    HealthCheck.too_slow,
                    HealthCheck.large_base_example,
                    HealthCheck.data_too_large,
                ],
            )(given(case=case)(one))
            for each in examples:
                wrapped = example(case=each)(wrapped)
            wrapped()
            assert run >= count + len(examples), f"{run} cases were run, and {count} are promised"

        test.__name__, test.__doc__ = body.__name__, body.__doc__
        test.__module__ = body.__module__
        return test

    return make


WORDS = (
    "",
    " ",
    "\0",
    "a\nb",
    "\r\n",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "\u202eevil",
    "a\u200bb",
    "\ufeff",
    "\ud800",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "{{ lookup('pipe', 'id') }}",
    "{% x %}",
    "{profile}",
    "{}",
    "%s%n",
    "%2e%2e%2f",
    "..",
    "../../etc/passwd",
    "/dev/stdin",
    "-e@x",
    "--become",
    "a[1:3]",
    "a:b",
    "~",
    "~nobody-here/x",
    "null",
    "no",
    "1e999",
    "NaN",
    "9" * 5000,
    "0x10",
    "²",
    "٣",
    "2026-02-30",
    "2026-W01-1",
    "2026-01-01T00:00:00+99:99",
    "__proto__",
    "__ansible_unsafe",
    "__ansible_vault",
    "<<",
    "!unsafe x",
    "<script>",
    "&#" + "9" * 5000 + ";",
    "http://[",
    "https://a,EXCLUDE *,b.linkedin.com/",
    "https://www.linkedin.com:99999/",
    "x" * 9000,
)
"""What has broken programs before: controls, half characters, templates, paths, options, numbers."""

texts = st.sampled_from(WORDS) | st.text(st.characters(), max_size=12)
"""Any text, lone surrogates included."""
scalars = (
    texts
    | st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**40])
    | st.floats(allow_nan=True)
)


def _deep(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value] if depth % 2 else {"a": value}
    return value


values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
) | st.sampled_from([40, 41, 300, 301]).map(_deep)
"""Anything that JSON can hold, deep nests included."""


@st.composite
def mutated(draw: st.DrawFn, base: str) -> str:
    """A text with one to three things done to it: cut, doubled, swapped, replaced, something put in."""
    text = base
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        part, action = text[start:end], draw(st.sampled_from(["cut", "double", "replace", "insert", "line", "end"]))
        lines = text.splitlines(keepends=True) or [""]
        if action == "cut":
            text = text[:start] + text[end:]
        elif action == "double":
            text = text[:end] + part + text[end:]
        elif action == "replace":
            text = text[:start] + draw(texts) + text[end:]
        elif action == "insert":
            text = text[:start] + draw(st.sampled_from([*WORDS, *base[start:end]]) | st.text(max_size=3)) + text[start:]
        elif action == "line":  # one line, in the place of another
            lines[draw(st.integers(0, len(lines) - 1))] = lines[draw(st.integers(0, len(lines) - 1))]
            text = "".join(lines)
        else:
            text = text[:start]
    return text


@st.composite
def altered(draw: st.DrawFn, base: Any) -> Any:
    """Plain data with one to three places in it replaced, taken away, renamed or added to."""
    root = [copy.deepcopy(base)]
    for _ in range(draw(st.integers(1, 3))):
        inside: Any = root
        key: Any = 0
        while isinstance(inside[key], (dict, list)) and inside[key] and draw(st.integers(0, 4)):
            inside = inside[key]
            keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            key = keys[draw(st.integers(0, len(keys) - 1))]
        action = draw(st.sampled_from(["replace", "take", "rename", "add"]))
        if action == "replace" or not isinstance(inside, dict):
            inside[key] = draw(values)
        elif action == "take":
            del inside[key]
        elif action == "rename":
            inside[draw(texts)] = inside.pop(key)
        else:
            inside[draw(texts)] = draw(values)
    return root[0]

"""Which outcomes fail a run: those that `--fail-on` names, or all that are not done."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.errors import InputError
from fleet.model import FAILING, Outcome


def parse_fail_on(texts: Sequence[str], origin: str) -> frozenset[Outcome]:
    """The outcomes that are named, each by its name or by its exit code; all that fail a run where none is.

    Raises InputError for a word that is neither; `origin` is where it is written.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    named: set[Outcome] = set()
    for word in words:
        found = {outcome for outcome in FAILING if word in (outcome.value, str(outcome.exit_code))}
        if not found:
            known = ", ".join(outcome for outcome in Outcome if outcome in FAILING)
            raise InputError(f"{origin}: '{word}' is no outcome that fails a run; give some of {known}, or 3, 4 or 5.")
        named |= found
    return frozenset(named) or FAILING

"""Which outcomes fail a run: those listed in `--fail-on`, or all that are not done."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.errors import InputError
from fleet.model import FAILING, Outcome


def parse_fail_on(texts: Sequence[str], origin: str) -> frozenset[Outcome]:
    """Return the listed outcomes, each given by name or by exit code; without any, all that fail a run.

    Raises InputError for a word that is neither; `origin` is where it was given.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    named: set[Outcome] = set()
    for word in words:
        found = {outcome for outcome in FAILING if word in (outcome.value, str(outcome.exit_code))}
        if not found:
            known = ", ".join(outcome for outcome in Outcome if outcome in FAILING)
            raise InputError(
                f"{origin}: '{word}' is not an outcome that fails a run; give one or more of {known}, or 3, 4 or 5."
            )
        named |= found
    return frozenset(named) or FAILING

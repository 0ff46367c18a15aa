"""The result of a run, in the form that all printing, exporting and sending code uses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fleet.model import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_MEANING,
    EXIT_OK,
    EXIT_TOOL_FAILED,
    FAILING,
    Outcome,
    Result,
    counted,
)


@dataclass(frozen=True)
class RunReport:
    """The result of a run. `errors` are sentences about the tool itself; times are UTC, as in the log."""

    run_id: str | None
    check: bool
    started_at: str | None = None
    finished_at: str | None = None
    results: list[Result] = field(default_factory=list)
    exit_code: int = 0
    errors: list[str] = field(default_factory=list)
    fail_on: frozenset[Outcome] = FAILING
    """The outcomes that count for the exit code."""

    @property
    def uncounted(self) -> list[Result]:
        """The results that are not done and that --fail-on excludes."""
        return [result for result in self.results if not result.is_done and result.outcome not in self.fail_on]

    @property
    def meaning(self) -> str:
        """Meaning of the exit code; if --fail-on decided it, also that and how many results it excludes."""
        said = EXIT_MEANING[self.exit_code]
        if self.fail_on == FAILING or self.exit_code in (EXIT_TOOL_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED):
            return said
        if self.uncounted and self.exit_code == EXIT_OK:
            said = "no outcome that fails this run"
        named = ", ".join(outcome for outcome in Outcome if outcome in self.fail_on)
        return f"{said} (decided by --fail-on {named}; {counted(len(self.uncounted), 'other result')} not done)"

    def having(self, errors: list[str]) -> RunReport:
        """Return the report with further sentences about the tool itself; if there are any, the tool failed."""
        if not errors:
            return self
        exit_code = EXIT_INTERRUPTED if self.exit_code == EXIT_INTERRUPTED else EXIT_TOOL_FAILED
        return replace(self, exit_code=exit_code, errors=list(dict.fromkeys([*self.errors, *errors])))

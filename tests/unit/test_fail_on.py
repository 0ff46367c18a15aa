"""`--fail-on`: which outcomes decide exit code, JUnit's failures and GitHub's annotations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from fleet.errors import InputError
from fleet.model import FAILING, Outcome, Reason, Result
from fleet.recipes.catalog import load_catalog
from fleet.report.github import job_annotations, job_summary
from fleet.report.junit import junit
from fleet.report.notification import run_notice
from fleet.report.result import report_fields
from fleet.run.execute import _report
from fleet.run.run_report import RunReport
from fleet.settings.fail_on import parse_fail_on
from fleet.settings.resolve import Given, configure
from tests.unit.stopped_run import spec, stopped

__all__ = ["stopped"]

DRIFT = frozenset({Outcome.WOULD_OPT_OUT, Outcome.NOT_SAVED})


def ended(folder: Path, fail_on: frozenset[Outcome], *errors: str, interrupted: bool = False) -> RunReport:
    """The report of a run that opted anna out, found ben challenged, and does not know of carla and dora."""
    run = replace(spec(folder), run_id="r1")
    run = replace(run, settings=replace(run.settings, fail_on=fail_on))
    return _report(run, load_catalog(), [*errors], Reason.AGENT_ENDED, interrupted=interrupted)


def flaky(*more: Outcome, fail_on: frozenset[Outcome] = DRIFT) -> RunReport:
    """A run of one page that did not answer, and of `more`."""
    outcomes = (Outcome.ERROR, *more)
    results = [Result("anna", "linkedin", f"c{number}", outcome) for number, outcome in enumerate(outcomes)]
    code = max((outcome.exit_code for outcome in outcomes if outcome in fail_on), default=0)
    return RunReport("r1", True, "2026-11-25T10:00:00Z", None, results, code, [], fail_on)


class TestValues:
    @pytest.mark.parametrize(
        ("texts", "outcomes"),
        [
            (["would_opt_out,not_saved"], DRIFT),
            (["would_opt_out", " not_saved "], DRIFT),
            (["4"], DRIFT),
            (["4", "challenged"], DRIFT | {Outcome.CHALLENGED}),
            ([], FAILING),
        ],
    )
    def test_names_and_exit_codes(self, texts: list[str], outcomes: frozenset[Outcome]) -> None:
        """With commas or repeated; without any, all that are not done."""
        assert parse_fail_on(texts, "--fail-on") == outcomes

    @pytest.mark.parametrize("word", ["drift", "opted_out", "1", "", "error,"])
    def test_what_fails_no_run_is_refused(self, word: str) -> None:
        """A mistyped name must not let everything pass; the message has those that there are."""
        with pytest.raises(
            InputError, match=r"^--fail-on: '\w*' is not an outcome that fails a run; give one or more of .*error"
        ):
            parse_fail_on([word], "--fail-on")

    def test_the_file_names_its_line(self, tmp_path: Path) -> None:
        """fleet.yml takes a list or one text."""
        (tmp_path / "fleet.yml").write_text("fail_on: [would_opt_out, not_saved]\n")
        assert configure(Given(), tmp_path).settings.fail_on == DRIFT
        assert configure(Given(fail_on=("error",)), tmp_path).settings.fail_on == {Outcome.ERROR}
        (tmp_path / "fleet.yml").write_text("forks: 1\nfail_on: drift\n")
        with pytest.raises(InputError, match=r"fleet\.yml:2: 'drift' is not an outcome"):
            _ = configure(Given(), tmp_path).settings


class TestExitCode:
    @pytest.mark.parametrize(
        ("fail_on", "code"),
        [
            (FAILING, 5),
            (frozenset({Outcome.CHALLENGED}), 3),
            (frozenset({Outcome.CHALLENGED, Outcome.NOT_RUN}), 5),
            (DRIFT, 0),
        ],
    )
    def test_only_named_outcomes_count(self, stopped: Path, fail_on: frozenset[Outcome], code: int) -> None:
        """Challenged is 3, not run is 5; the JSON object says which outcomes counted."""
        report = ended(stopped, fail_on)
        assert report.exit_code == code
        assert set(report_fields(report)["fail_on"]) == fail_on
        assert [result.outcome for result in report.results] == ["opted_out", "challenged", "unknown", "not_run"]

    def test_a_failure_of_the_tool_is_never_hidden(self, stopped: Path) -> None:
        """Neither an error nor an interruption, whatever is named."""
        assert ended(stopped, DRIFT, "The agent ended.").exit_code == 1
        assert ended(stopped, DRIFT, interrupted=True).exit_code == 130
        assert ended(stopped, DRIFT).having(["Nobody could be notified."]).exit_code == 1


class TestWords:
    def test_the_summary_says_who_decided(self) -> None:
        """And how many results it left out; exit code 0 does not claim that all is done."""
        assert flaky(fail_on=FAILING).meaning == "at least one setting could not be read or set"
        assert flaky().meaning == (
            "no outcome that fails this run (decided by --fail-on would_opt_out, not_saved; 1 other result not done)"
        )
        assert flaky(Outcome.WOULD_OPT_OUT).meaning.startswith(
            "at least one setting is still opted in (decided by --fail-on"
        )

    def test_a_notification_has_the_same_exit_code_and_words(self) -> None:
        """Who is notified reads what the process ended with."""
        notice = run_notice(flaky(), None, rehearsal=False)
        assert notice is not None
        assert (notice.exit_code, notice.meaning) == (0, flaky().meaning)


class TestCi:
    def test_junit_skips_what_does_not_count(self) -> None:
        """With the reason; what counts is a failure as before."""
        [suite] = JUnitXml.fromstring(junit(flaky(Outcome.WOULD_OPT_OUT, Outcome.OPTED_OUT)).encode())
        assert [[type(one) for one in case.result] for case in suite] == [[Skipped], [Failure], []]
        assert (suite.errors, suite.failures, suite.skipped) == (0, 1, 1)
        [skipped] = next(iter(suite)).result
        assert skipped.message.endswith("(not counted: --fail-on does not name error)")
        [suite] = JUnitXml.fromstring(junit(flaky(fail_on=FAILING)).encode())
        assert [[type(one) for one in case.result] for case in suite] == [[Error]]

    def test_github_shows_it_as_a_notice(self) -> None:
        """The header is that of the exit code; nobody loses sight of the page."""
        report = flaky(Outcome.WOULD_OPT_OUT)
        assert list(job_annotations(report)) == [
            "::notice title=linkedin%3A error::1 control: error.",
            "::warning title=linkedin%3A would opt out::1 control: would opt out.",
        ]
        assert job_summary(flaky()).startswith("## Fleet Opt-Out: no outcome that fails this run (decided by --fail-on")
        assert "| error | 1 |" in job_summary(flaky())

"""What CI servers are given of a run: JUnit as a reader of theirs takes it, GitHub's summary and its annotations."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from fleet.authority.waivers import Waiver
from fleet.commands.ci_outputs import NO_END, CiOutputs
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.model import Outcome, Reason, Result, exit_code_of
from fleet.report.github import MAX_ROWS, job_annotations, job_summary
from fleet.report.junit import junit
from fleet.run.run_report import RunReport

HOSTILE = "x\x1b[31m\x00|`</td>\n::error::<script>\ud800"


def result(outcome: Outcome, employee: str = "anna", reason: Reason | None = None) -> Result:
    """One result at LinkedIn."""
    return Result(
        employee, "linkedin", "ai_training", outcome, reason=reason, duration_ms=1500, service_name="LinkedIn"
    )


def report(*results: Result, errors: tuple[str, ...] = (), code: int | None = None) -> RunReport:
    """The report of a run with these results."""
    began = "2026-11-25T10:00:00.000000Z"
    return RunReport(
        "r1", False, began, began, list(results), exit_code_of(results) if code is None else code, [*errors]
    )


class TestJunit:
    @pytest.mark.parametrize("outcome", Outcome)
    def test_each_outcome_is_what_its_exit_code_says(self, outcome: Outcome) -> None:
        """Done passes; somebody must act, or it is still in: a failure; not read, not set, not reached: an error."""
        [suite] = JUnitXml.fromstring(junit(report(result(outcome))).encode())
        [case] = suite
        assert (case.classname, case.name, case.time) == ("anna", "linkedin.ai_training", 1.5)
        kinds = {0: [], 3: [Failure], 4: [Failure], 5: [Error]}[outcome.exit_code]
        wanted = [Skipped] if outcome is Outcome.WAIVED else kinds
        assert [type(one) for one in case.result] == wanted
        assert all(outcome.value.replace("_", " ") in one.message for one in case.result)
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
            1,
            wanted.count(Failure),
            wanted.count(Error),
            wanted.count(Skipped),
        )

    def test_a_waiver_says_why(self) -> None:
        """Rationale, owner and expiry, as the inventory has them; of this control, and no other's."""
        agreed = {"service": "linkedin", "owner": "dpo", "expires_on": date(2099, 1, 1)}
        waivers = (
            Waiver(rationale="in a pilot", **agreed),
            Waiver(rationale="another one", control="other", **agreed),
        )
        text = junit(report(result(Outcome.WAIVED)), [Employee("anna", waivers=waivers)])
        [[case]] = JUnitXml.fromstring(text.encode())
        assert [one.message for one in case.result] == ["waived: in a pilot (dpo, until 2099-01-01)"]

    def test_a_run_that_never_began_is_not_green(self) -> None:
        """What went wrong with the tool is an error of its own."""
        [suite] = JUnitXml.fromstring(junit(RunReport(None, False, exit_code=2, errors=["no such file"])).encode())
        assert (suite.tests, suite.errors) == (1, 1)
        assert [(type(one), one.type, one.message) for case in suite for one in case.result] == [
            (Error, "bad_input", "no such file")
        ]

    def test_nothing_to_do_is_an_empty_suite(self) -> None:
        """Neither a failure nor a missing file."""
        [suite] = JUnitXml.fromstring(junit(RunReport(None, False)).encode())
        assert (suite.tests, suite.errors, list(suite)) == (0, 0, [])

    def test_no_text_breaks_it(self) -> None:
        """What XML may not hold is replaced, the rest is text."""
        text = junit(report(result(Outcome.ERROR, HOSTILE), errors=(HOSTILE,)))
        root = ElementTree.fromstring(text.encode())
        assert (
            root.find("testsuite/testcase").attrib["classname"] == "x\ufffd[31m\ufffd|`</td>\n::error::<script>\ufffd"
        )


class TestPipeline:
    def test_a_job_that_is_killed_leaves_a_failure(self, tmp_path: Path) -> None:
        """Before anybody is visited the file says that the run has not ended; an older one is gone."""
        file = tmp_path / "fleet.xml"
        file.write_text("<testsuites/>")
        CiOutputs(file).expect()
        [[case]] = JUnitXml.fromfile(str(file))
        assert [(type(one), one.message) for one in case.result] == [(Error, NO_END)]

    def test_a_file_that_cannot_be_written_is_told_before_anybody_is_visited(self, tmp_path: Path) -> None:
        """With what to do."""
        with pytest.raises(InputError, match=r"cannot be written.*choose another path"):
            CiOutputs(tmp_path / "missing" / "fleet.xml").expect()

    def test_a_file_that_cannot_be_written_afterwards_hides_no_result(self, tmp_path: Path) -> None:
        """The results are told all the same, and the exit code says that the tool failed."""
        told = CiOutputs(tmp_path / "missing" / "fleet.xml").write(report(result(Outcome.ERROR)), ())
        assert (told.exit_code, len(told.results), len(told.errors)) == (1, 1, 1)

    def test_github_is_told_only_on_github(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The summary is appended to, as other steps of the job have theirs there; stdout stays the run's."""
        CiOutputs(None).summarize(report(result(Outcome.ERROR)))
        assert capsys.readouterr() == ("", "")
        summary = tmp_path / "summary.md"
        summary.write_text("before\n")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
        CiOutputs(None).summarize(report(result(Outcome.ERROR)))
        assert summary.read_text().startswith(
            "before\n## Fleet Opt-Out: at least one setting could not be read or set\n"
        )
        assert capsys.readouterr() == ("", "::error title=linkedin%3A error::1 control: error.\n")

    def test_a_summary_that_cannot_be_written_stops_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Containers may not see the folder; a pipe may have no reader, who would be waited for without end."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for summary in ("/missing/summary.md", str(pipe)):
            monkeypatch.setenv("GITHUB_STEP_SUMMARY", summary)
            CiOutputs(None).summarize(report())
            assert f"cannot be written to {summary}" in "".join(capsys.readouterr().err.splitlines())


class TestSummary:
    def test_it_counts_and_says_who_must_do_what(self) -> None:
        """What is done is a number, what is not is a row."""
        text = job_summary(report(result(Outcome.OPTED_OUT), result(Outcome.SIGN_IN_NEEDED, "ben")))
        assert "| opted out | 1 |\n| sign in needed | 1 |" in text
        assert "| ben | linkedin.ai\\_training | sign in needed | Ask ben to sign in to LinkedIn" in text
        assert "| anna |" not in text

    def test_nothing_to_do_is_said(self) -> None:
        """No run, no table."""
        assert job_summary(RunReport(None, False)).strip() == "## Fleet Opt-Out: nothing to do"

    def test_names_are_text(self) -> None:
        """No markup, no HTML, no further line, no terminal sequence; every row has its four cells."""
        text = job_summary(report(result(Outcome.ERROR, HOSTILE), errors=(HOSTILE,)))
        assert "<" not in text.replace("&lt;", "") and "\x1b" not in text and "\x00" not in text
        [row] = [line for line in text.splitlines() if line.startswith("| x")]
        assert len(re.findall(r"(?<!\\)\|", row)) == 5
        assert not any(line.startswith("::") for line in text.splitlines())

    def test_a_large_one_stays_below_github_s_limit(self) -> None:
        """1 MiB for a step; the rest is counted."""
        many = [result(Outcome.ERROR, "n" * 100) for _ in range(10 * MAX_ROWS)]
        text = job_summary(report(*many))
        assert len(text.encode()) < 2**20 and f"… and {9 * MAX_ROWS:,} more" in text


class TestAnnotations:
    def test_one_for_each_service_and_outcome_without_a_name(self) -> None:
        """What could not be read or set is an error; the rest, a warning."""
        challenged, changed = result(Outcome.CHALLENGED), result(Outcome.PAGE_CHANGED)
        assert list(job_annotations(report(challenged, challenged, changed, result(Outcome.OPTED_OUT)))) == [
            "::warning title=linkedin%3A challenged::2 controls: challenged.",
            "::error title=linkedin%3A page changed::1 control: page changed.",
        ]

    def test_a_sentence_gives_no_command(self) -> None:
        """A line break would begin another one."""
        [line] = job_annotations(report(errors=("100 %\n::add-mask::x",), code=1))
        assert line == "::error title=Fleet Opt-Out::100 %25%0A::add-mask::x"

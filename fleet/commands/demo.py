"""`fleet demo`: the whole pipeline over the example inventory, against stand-in services on this machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fleet.audit.keys import read_keys
from fleet.audit.segments import segments
from fleet.audit.verify import Verdict, verify
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.commands.options import complain, people
from fleet.commands.run import prepare_run, progress, show
from fleet.model import Outcome, count_outcomes
from fleet.paths import AuditDir, ansible_content, default_state
from fleet.plan.plan import RunSpec, new_run_id
from fleet.recipes.catalog import Catalog
from fleet.rehearsal.stage import Stage, raise_stage_alone
from fleet.report.table import shown
from fleet.run.execute import execute
from fleet.run.run_report import RunReport
from fleet.settings.resolve import Settings

_CHALLENGED = ("anna.keller", "brian.walsh", "chloe.martin", "finn.schroeder", "irene.russo", "luca.ferrari")


def demo(
    state: Annotated[
        str | None,
        typer.Option(
            "--state", metavar="DIR", help="State directory of the demo [default: ~/.local/state/fleet/demo/TIME]."
        ),
    ] = None,
) -> None:
    """Run a demo: an example company, stand-in services, real Ansible and a real browser.

    Needs no network and touches no real account; writes only to its own state directory, with keys next to it. Shows
    a run, the same run in check mode, a service that challenges every account until the circuit breaker opens, and the
    verification of the log and of tampered copies. Exit code 0 if everything went as expected.
    """
    find_browser()  # fails with instructions if there is none: the demo downloads and installs nothing
    sources = (str(ansible_content() / "inventory.example.yml"),)
    folder = Path(state) if state else default_state() / "demo" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    identity, log_key = (folder.with_name(f"{folder.name}-{name}") for name in ("identity.txt", "log-key.pem"))
    # fleet.yml is ignored: the demo is the same for everyone.
    spec, catalog = prepare_run(Settings(folder.absolute(), identity, log_key, inventory=sources), None, check=False)
    stage = raise_stage_alone(spec.inventory, spec.settings, catalog)
    try:
        # Both runs visit the same services, so that the second finds what the first has stored.
        spec = replace(spec, settings=replace(spec.settings, network=stage.network))
        people.rule("A real run: what can be opted out is opted out, and read back", align="left")
        first = _run(spec, catalog)
        people.rule("The same company in check mode: every setting is read, none is changed", align="left")
        before = _stored(stage)
        second = _run(replace(spec, run_id=new_run_id(), check=True), catalog)
        unchanged = _stored(stage) == before
    finally:
        stage.strike()
    people.print("Check mode changed nothing at the services." if unchanged else "Check mode CHANGED something.")
    people.rule("A service that starts to ask for CAPTCHAs is left alone", align="left")
    with tempfile.TemporaryDirectory() as elsewhere:
        third = _run(_challenged(spec, Path(elsewhere)), catalog)
    is_left_alone = count_outcomes(third.results) == {Outcome.CHALLENGED: 3, Outcome.NOT_RUN: 3}
    people.rule("The log is checked, and tampered with on copies", align="left")
    is_caught = _tamper(spec.settings.state_dir.audit)
    people.print(f"See every record:  fleet audit show --rehearsal --state {shown(folder)}", soft_wrap=True)
    people.print(f"See it as a page:  fleet report --rehearsal --state {shown(folder)}", soft_wrap=True)
    people.print("See what employees see:  fleet portal rehearse", soft_wrap=True)
    if first.errors or second.errors or third.errors or not (unchanged and is_left_alone and is_caught):
        raise typer.Exit(1)


def _challenged(spec: RunSpec, folder: Path) -> RunSpec:
    """Visit six employees one after the other at a service that starts to challenge; in a separate state."""
    six = [
        replace(employee, accounts={service: account}, rehearsal_case={service: "challenge_captcha"})
        for employee in spec.inventory.employees
        for service, account in employee.accounts.items()
        if service == "linkedin" and employee.name in _CHALLENGED
    ]
    settings = replace(
        spec.settings,
        state=folder / "state",
        identity=folder / "identity.txt",
        log_key=folder / "log-key.pem",
        forks=1,
        network=Network(),
    )
    return replace(spec, run_id=new_run_id(), check=False, settings=settings, inventory=spec.inventory.having(six))


def _tamper(places: AuditDir) -> bool:
    """Show the verdict of `fleet audit verify` on the log, a changed and a cut copy; return whether all are right."""

    def flip(lines: list[bytes]) -> list[bytes]:
        [at] = [n for n, line in enumerate(lines) if b'"not_saved"' in line][:1]
        return [*lines[:at], lines[at].replace(b'"not_saved"', b'"opted_out"'), *lines[at + 1 :]]

    cases: list[tuple[str, Callable[[list[bytes]], list[bytes]], Verdict]] = [
        ("The log as it is", lambda lines: lines, Verdict.OK),
        ("A failure made a success", flip, Verdict.MODIFIED),
        ("The last record cut off", lambda lines: lines[:-1], Verdict.TRUNCATED),
    ]
    found = []
    for what, change, _ in cases:
        with tempfile.TemporaryDirectory() as folder:
            copy = AuditDir(Path(folder) / "audit")
            shutil.copytree(places.root, copy.root)
            [segment] = segments(copy.log)
            segment.path.write_bytes(b"".join(change(segment.path.read_bytes().splitlines(keepends=True))))
            verification = verify(copy, read_keys(copy.vkey))
        found.append(verification.verdict)
        said = "; ".join(finding.what for finding in verification.findings) or f"all {verification.signed} are signed"
        people.print(f"{what:25} {verification.verdict.name:10} {said}", soft_wrap=True)
    return found == [verdict for _, _, verdict in cases]


def _stored(stage: Stage) -> list[object]:
    return [account["controls"] for account in stage.rehearsal.truth()]


def _run(spec: RunSpec, catalog: Catalog) -> RunReport:
    with progress(len(spec.inventory.employees), "Checking" if spec.check else "Opting out") as advance:
        report = execute(spec, catalog, advance)
    show(spec, report)
    complain(report.errors)
    return report

"""`fleet demo`: the whole pipeline over the example inventory, against stand-in services on this machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import typer

from fleet.browser.find import install_browser
from fleet.commands.options import STATE, people
from fleet.commands.run import prepare, progress, show
from fleet.config import Given
from fleet.paths import ansible_content, default_state
from fleet.pipeline import RunReport, execute
from fleet.plan import RunSpec, catalogue_for, new_run_id
from fleet.rehearsal.stage import Stage, raise_stage
from fleet.report.table import shown


def demo(state: STATE = None) -> None:
    """Rehearse the example company: real Ansible Runner, real browser, stand-in services. Then the same in check mode.

    Needs no network and touches no real account. Exit code 0 if both runs went to their end.
    """
    install_browser(lambda line: people.print(line, markup=False))
    sources = [str(ansible_content() / "inventory.example.yml")]
    folder = Path(state) if state else default_state() / "demo" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    identity, log_key = (str(folder.with_name(f"{folder.name}-{name}")) for name in ("identity.txt", "log-key.pem"))
    given = Given(state=str(folder), identity=identity, log_key=log_key)
    spec, names = prepare(given, sources, None, check=False)
    stage = raise_stage(spec.inventory, spec.settings, catalogue_for(spec.settings, rehearsal=True))
    try:
        # Both runs meet the same services, so that the second finds what the first has stored.
        spec = replace(spec, settings=replace(spec.settings, network=stage.network))
        people.rule("A real run: what can be opted out is opted out, and read back", align="left")
        first = _run(spec, names)
        people.rule("The same company in check mode: everything is read, nothing is changed", align="left")
        before = _stored(stage)
        second = _run(replace(spec, run_id=new_run_id(), check=True), names)
        unchanged = _stored(stage) == before
    finally:
        stage.strike()
    people.print("Check mode changed nothing at the services." if unchanged else "Check mode CHANGED something.")
    people.print(f"See every record: fleet audit show --state {shown(folder)}", markup=False, soft_wrap=True)
    if first.errors or second.errors or not unchanged:
        raise typer.Exit(1)


def _stored(stage: Stage) -> list[object]:
    return [account["controls"] for account in stage.rehearsal.truth()]


def _run(spec: RunSpec, names: dict[str, str]) -> RunReport:
    with progress(len(spec.inventory.employees), "Checking" if spec.check else "Opting out") as advance:
        report = execute(spec, advance)
    show(spec, report, names)
    return report

"""An inventory whose data somebody else has written, through real Ansible: nothing of it is run or leaves its place."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest

from tests.commands import fleet
from tests.inventories import at_linkedin
from tests.playbook.helpers import BIN, has_intent, nothing_runs, processes, records, state, wait_until

pytestmark = pytest.mark.xdist_group("pipeline")

STAFF = r"""
all:
  vars: {fleet_rehearsal: true}
  hosts:
    good:
      fleet_accounts: {intranet: {profile: good, owner: company}}
      fleet_rehearsal_case: {intranet: switched_on}
      # What belongs to Ansible decides nothing here: each play gets an inventory of names alone.
      ansible_connection: "{{ lookup('pipe', 'touch MARK-connection') }}"
      ansible_python_interpreter: "MARK-interpreter; touch MARK-interpreter"
      ansible_become: true
      ansible_host: "-oProxyCommand=touch MARK-host"
      optout_state: MARK-state
      optout_recipes: ["{{ lookup('pipe', 'touch MARK-recipes') }}"]
    template:
      fleet_email: "{{ lookup('pipe', 'touch MARK-email') }}"
      fleet_accounts: {intranet: {profile: x, owner: company}}
    sum:
      fleet_accounts: {intranet: {profile: "{{ 7 * 7 }}", owner: company}}
      fleet_rehearsal_case: {intranet: switched_on}
    unsafe:
      fleet_accounts: {intranet: {profile: !unsafe "{{ lookup('pipe', 'touch MARK-unsafe') }}", owner: company}}
    steps:
      fleet_accounts: {intranet: {profile: "..", owner: company}}
    '-e@MARK-option': &account
      fleet_accounts: {intranet: {profile: x, owner: company}}
      fleet_rehearsal_case: {intranet: switched_on}
    '--become': *account
    '../../MARK-path': *account
    'range[1:2]/x': *account
    "ini ansible_connection=\"{{lookup('pipe','touch MARK-ini')}}\"": *account
    "lines\nevil ansible_connection=\"{{lookup('pipe','touch MARK-lines')}}\"": *account
"""


def test_hostile_data_is_recorded_as_bad_and_does_nothing(tmp_path: Path) -> None:
    """The one employee whose data is good is opted out; nothing of the others was run, no file is theirs."""
    mark = tmp_path / "mark"
    (tmp_path / "staff.yml").write_text(STAFF.replace("MARK", str(mark)))
    run = json.loads(fleet("run", "-i", str(tmp_path / "staff.yml"), "--output", "json").stdout)
    assert run["errors"] == []
    assert {row["employee"]: (row["outcome"], row["reason"]) for row in run["results"]} == {
        "good": ("opted_out", None),
        **dict.fromkeys(
            [
                "template",
                "sum",
                "unsafe",
                "steps",
                f"-e@{mark}-option",
                "--become",
                f"../../{mark}-path",
                "range1/x",
                "range2/x",
                f"ini ansible_connection=\"{{{{lookup('pipe','touch {mark}-ini')}}}}\"",
                f"lines\nevil ansible_connection=\"{{{{lookup('pipe','touch {mark}-lines')}}}}\"",
            ],
            ("error", "bad_data"),
        ),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "staff.yml"]
    assert "touch" not in json.dumps(records())


def test_what_every_user_can_see_of_a_run_names_nobody(tmp_path: Path) -> None:
    """In the middle of a visit: no employee, profile or port for debugging on any command line, no open file."""
    zoe = at_linkedin("zoe.quartz", "zoe-quartz-9", "switched_on")
    staff = tmp_path / "staff.yml"
    staff.write_text(json.dumps({"all": {"vars": {"fleet_rehearsal": True}, "hosts": {"zoe.quartz": zoe}}}))
    run = subprocess.Popen([str(BIN / "fleet"), "run", "-i", str(staff)], stdout=subprocess.DEVNULL)
    wait_until(has_intent)
    seen = processes()
    left_open = [path for path in state().rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert run.wait(60) == 0
    assert any(one.is_agent for one in seen) and any(one.is_browser for one in seen)
    assert [one.command for one in seen if "zoe" in one.command or "debugging-port" in one.command] == []
    assert left_open == []
    wait_until(nothing_runs)

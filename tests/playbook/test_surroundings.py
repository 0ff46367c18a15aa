"""What lies around the caller: working directory, locale, the settings of their own Ansible."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.commands import FLEET
from tests.playbook.helpers import EXAMPLE

ANNOYING = {
    "LC_ALL": "C",
    "AWX_LIB_DIRECTORY": "/nowhere",
    "ANSIBLE_STDOUT_CALLBACK": "minimal",
    "ANSIBLE_CALLBACKS_ENABLED": "timer, profile_tasks",
    "ANSIBLE_STRATEGY": "mitogen_linear",
    "ANSIBLE_ASK_PASS": "1",
    "ANSIBLE_BECOME": "1",
    "ANSIBLE_BECOME_ASK_PASS": "1",
    "ANSIBLE_NO_LOG": "1",
    "ANSIBLE_RUN_TAGS": "none",
    "ANSIBLE_TASK_TIMEOUT": "1",
    "ANSIBLE_ENABLE_TASK_DEBUGGER": "1",
    "ANSIBLE_VERBOSITY": "4",
    "ANSIBLE_LOG_PATH": "ansible.log",
}
"""Settings of Ansible that stop a play, hide its results, or ask somebody something."""
CONFIG = """
[defaults]
stdout_callback = yaml
strategy = free
ask_pass = true
gathering = smart
fact_caching = jsonfile
fact_caching_connection = facts
force_color = true
[privilege_escalation]
become = true
become_ask_pass = true
"""
STRAYS = ("json", "types", "yaml", "random", "ansible", "fleet", "playwright", "uvicorn")
"""Modules that programs of ours import, and that anybody may have put into a shared folder."""


def test_nothing_of_the_callers_surroundings_changes_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither strange modules in the working directory nor locale nor settings of Ansible: outcomes are as ever."""
    shared = tmp_path / "shared"
    shared.mkdir()
    for name in STRAYS:
        (shared / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write('{name} ')\n")
    (shared / "ansible.cfg").write_text(CONFIG)
    for name, value in ANNOYING.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(shared)
    command = [FLEET, "run", "-i", EXAMPLE, "-l", "chloe.martin,emma.bernard", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert not (tmp_path / "executed").exists(), (tmp_path / "executed").read_text()
    assert done.returncode == 3, done.stderr
    outcomes = {one["employee"]: one["outcome"] for one in json.loads(done.stdout)["results"]}
    assert outcomes == {"chloe.martin": "opted_out", "emma.bernard": "sign_in_needed"}
    assert not (shared / "ansible.log").exists()

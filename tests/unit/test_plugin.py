"""The thin ends in Ansible: neither waits for an agent that is dead, or hangs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT


def load(path: str) -> ModuleType:
    """A plugin as Ansible loads it."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLUGIN = load("roles/optout/action_plugins/optout.py")
FINISH = load("playbooks/callback_plugins/fleet_finish.py")
VISIT = {"v": 1, "op": "visit", "employee": "anna"}

HUNG = """
import socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
time.sleep(600)
"""
SLOW = """
import json, socket, sys, threading, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
visiting, _ = listening.accept()
for _ in range(3):
    looking, _ = listening.accept()
    assert json.loads(looking.makefile().readline())["op"] == "alive"
    looking.sendall(b"{}\\n")
visiting.sendall(b'{"task": {}}\\n')
time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where an agent listens; the plugins look at once, and do not wait long."""
    # The real ones are minutes: nothing else about them is tested here.
    monkeypatch.setattr(PLUGIN, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(PLUGIN, "SILENCE", 2)
    monkeypatch.setattr(FINISH, "FINISH_WITHIN", 0.2)
    return str(tmp_path / "agent.sock")


def serving(program: str, path: str) -> Iterator[subprocess.Popen[bytes]]:
    agent = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    agent.stdout.readline()
    yield agent
    agent.kill()
    agent.wait()
    agent.stdout.close()


@pytest.fixture
def hung(path: str) -> Iterator[subprocess.Popen[bytes]]:
    yield from serving(HUNG, path)


@pytest.fixture
def slow(path: str) -> Iterator[subprocess.Popen[bytes]]:
    yield from serving(SLOW, path)


class TestActionPlugin:
    def test_an_agent_that_hangs_is_killed(self, path: str, hung: subprocess.Popen[bytes]) -> None:
        """It holds the log, and a play without `fleet run` has nobody else who looks."""
        with pytest.raises(PLUGIN.AgentUnavailable, match="did not answer for 2 s, so it was killed"):
            PLUGIN.ask(path, VISIT, is_own=True)
        assert hung.wait(10) == -9
        with pytest.raises(PLUGIN.AgentUnavailable, match="the agent ended before this employee's turn"):
            PLUGIN.ask(path, VISIT, is_own=True)

    def test_a_visit_may_take_its_time(self, path: str, slow: subprocess.Popen[bytes]) -> None:
        """Pauses are long: as long as the agent says that it lives, it is waited for."""
        assert PLUGIN.ask(path, VISIT, is_own=True) == {"task": {}}

    def test_an_agent_that_dies_at_once_is_told_with_its_last_words(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has not read what it was to do, which is more than a pipe holds."""
        program = tmp_path / "fleet"
        program.write_text("#!/bin/sh\nexec >&2\necho 'ImportError: libffi.so.8'\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setenv("FLEET_BIN", str(program))
        with pytest.raises(PLUGIN.AgentUnavailable, match=r"agent did not start \(ImportError: libffi.so.8\); run"):
            PLUGIN.start_agent({"hosts": ["e" * 100] * 10_000})

    def test_the_play_s_tasks_share_one_agent_or_its_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first to ask starts it; no descriptor is left behind, and nothing is started twice."""
        monkeypatch.setattr(PLUGIN.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
        program, started = tmp_path / "fleet", tmp_path / "started"
        program.write_text(
            f'#!/bin/sh\necho once >> {started}\necho \'{{"socket": "/run/x.sock"}}\'\ncat > /dev/null\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("FLEET_BIN", str(program))
        before = len(list(Path("/proc/self/fd").iterdir()))
        assert [PLUGIN.find_agent({}) for _ in range(3)] == ["/run/x.sock"] * 3
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert started.read_text() == "once\n"
        (tmp_path / "fleet-agent.json").unlink()
        program.write_text(f"#!/bin/sh\necho twice >> {started}\nexit 1\n")
        for _ in range(3):
            with pytest.raises(PLUGIN.AgentUnavailable, match="agent did not start; run"):
                PLUGIN.find_agent({})
        assert started.read_text() == "once\ntwice\n"


class TestCallbackPlugin:
    def test_a_play_ends_although_its_agent_does_not(
        self, path: str, hung: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next run closes the log."""
        said: list[str] = []
        callback = FINISH.CallbackModule()
        callback._agent = path
        monkeypatch.setattr(callback._display, "error", lambda message, *_: said.append(message))
        callback.v2_playbook_on_stats(None)
        assert said == ["The agent did not close the log within 0.2 s; the next run will."]

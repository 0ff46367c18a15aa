"""The thin ends in Ansible, and who ends an agent that hangs: no play waits for one that does or that is dead."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fleet.agent.client import AgentClient
from fleet.agent.watch import kill_if_hung
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
import json, socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
checks, visiting = 0, None
while True:
    asking, _ = listening.accept()
    if json.loads(asking.makefile().readline())["op"] == "visit":
        visiting = asking
        continue
    asking.sendall(b"{}\\n")
    checks += 1
    if checks >= 3 and visiting:
        visiting.sendall(b'{"task": {}}\\n')
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where an agent listens; the plugins look at once, and do not wait long."""
    # The real one is a minute: nothing else about it is tested here.
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


class TestWatcher:
    """Of the agent of a play without `fleet run`, where nobody else checks."""

    def watch(self, agent: subprocess.Popen[bytes], path: str) -> None:
        """Check at once, and do not wait long."""
        kill_if_hung(os.pidfd_open(agent.pid), AgentClient(Path(path)), every=0.05, silence=2)

    def test_an_agent_that_hangs_is_killed(self, path: str, hung: subprocess.Popen[bytes]) -> None:
        """It holds the log, and every employee of the play would wait for it; each then learns that it has ended."""
        self.watch(hung, path)
        assert hung.wait(10) == -9
        with pytest.raises(PLUGIN.AgentUnavailable, match="the agent ended before this employee's turn"):
            PLUGIN.ask(path, VISIT)

    def test_a_visit_may_take_its_time(self, path: str, slow: subprocess.Popen[bytes]) -> None:
        """Pauses are long: an agent that answers in between is left alone, and so is one that has ended."""
        watching = threading.Thread(target=self.watch, args=(slow, path))
        visit = threading.Thread(target=lambda: answers.append(PLUGIN.ask(path, VISIT)))
        answers: list[object] = []
        visit.start()
        watching.start()
        visit.join(30)
        assert answers == [{"task": {}}] and slow.poll() is None
        slow.terminate()
        watching.join(30)
        assert not watching.is_alive() and slow.wait(10) == -15

    def test_it_ends_with_its_agent(self, tmp_path: Path) -> None:
        """It is a process of its own, forked before the agent has a thread, and is gone when the agent is."""
        program = (
            "import os, pathlib, sys\n"
            "from fleet.agent.watch import watched_process\n"
            "with watched_process(pathlib.Path(sys.argv[1])):\n"
            "    children = pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()\n"
            "    print(*children)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, text=True)
        [watcher] = done.stdout.split()
        assert not Path("/proc", watcher).exists()


class TestActionPlugin:
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

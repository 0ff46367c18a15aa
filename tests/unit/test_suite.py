"""The suite itself: no test is left out for good, and what one leaves in its process is gone before the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from fleet.agent.main import scrub_environment, settle
from fleet.cli import app
from tests import listings
from tests.conftest import ROOT, as_it_was
from tests.forks import Forked, Server


def test_ctrl_c_is_heard_also_where_a_shell_runs_the_tests_in_the_background() -> None:
    """Tests press it in commands that they start, and what is ignored is inherited."""
    heard = [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"]
    assert subprocess.run(heard, capture_output=True, text=True, check=True).stdout == "False\n"


def test_no_check_is_left_to_the_long_run_alone(pytester: pytest.Pytester) -> None:
    """A test whose every case is marked `full` would be in no `make test`: the suite refuses to run."""
    pytester.makeini(f"[pytest]\npythonpath = {ROOT}\nmarkers = full: x\nasyncio_default_fixture_loop_scope = function")
    pytester.makeconftest("from tests.conftest import pytest_collection_modifyitems")

    def run(which: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess("-m", which, "-p", "no:xdist")

    planted = """
        import pytest
        from tests.sizes import cases

        @pytest.mark.parametrize("number", cases([1, 2, 3], {kept}))
        def test_planted(number): pass
    """
    pytester.makepyfile(planted.format(kept={2}))
    assert pytester.runpytest_inprocess("-m", "not full", "-p", "no:xdist").parseoutcomes() == {
        "passed": 1,
        "deselected": 2,
    }
    assert pytester.runpytest_inprocess("-m", "full", "-p", "no:xdist").parseoutcomes() == {
        "passed": 2,
        "deselected": 1,
    }
    pytester.makepyfile(planted.format(kept=set()))
    refused = run("not full")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*`make test` would run no case of *::test_planted"])


def process() -> list[object]:
    """What commands and agents set for good, as it is now."""
    umask = os.umask(0o022)
    os.umask(umask)
    return [umask, tempfile.gettempdir(), dict(os.environ), sys.excepthook, structlog.get_config()]


def test_what_commands_and_agents_set_for_good_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a test's own process, they change each of these; after the test none of it is left."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", "planted")
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    before = process()
    with as_it_was():
        CliRunner().invoke(app, ["services", "list"])
        assert process()[0] == 0o077
        settle(folder)
        scrub_environment()
        assert [one == other for one, other in zip(before, process(), strict=True)] == [False] * 5
    assert process() == before


FORKED = """
import os, sys
print(sys.argv, os.environ["SAID"], os.getcwd(), oct(os.umask(0)), os.getsid(0) == os.getpid(), input())
print(len(os.environ) < 9, os.read(int(sys.argv[2]), 9), file=sys.stderr)
sys.exit("over")
"""


def test_a_forked_program_has_all_that_a_started_one_has(tmp_path: Path) -> None:
    """Arguments, environment, folder, umask, session, streams, other files and the exit code are its own."""
    (tmp_path / "typed").write_text("typed\n")
    (tmp_path / "five").write_text("five")
    os.umask(0o027)
    said = {}
    with (tmp_path / "five").open() as other:
        arguments, how = (
            ["a b", str(other.fileno())],
            {"env": {"SAID": "é"}, "cwd": tmp_path, "start_new_session": True},
        )
        for name, start in (
            ("forked", partial(Forked, Server(["json"]), FORKED, ["-c", *arguments])),
            ("started", partial(subprocess.Popen, [sys.executable, "-c", FORKED, *arguments])),
        ):
            other.seek(0)
            with ExitStack() as stack:
                stdin = stack.enter_context((tmp_path / "typed").open())
                stdout, stderr = (stack.enter_context((tmp_path / f"{name}{n}").open("w")) for n in (1, 2))
                code = start(stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=[other.fileno()], **how).wait(10)
            said[name] = (code, *((tmp_path / f"{name}{n}").read_text() for n in (1, 2)))
    assert said["forked"] == said["started"]
    printed = f"['-c', 'a b', '{arguments[1]}'] é {tmp_path} 0o27 True typed\n"
    assert said["forked"] == (1, printed, "True b'five'\nover\n")


def test_a_forked_program_ends_by_its_signal_and_is_there_until_then() -> None:
    """As `subprocess` says it; who asks what runs is told its environment and its arguments."""
    server = Server(["json"])
    program = Forked(server, "import time; time.sleep(60)", ["sleeps"], env={"HOME": "here"})
    assert server.running() == [(program.pid, {"HOME": "here"}, ["sleeps"])]
    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.01)
    program.kill()
    assert (program.wait(10), server.running()) == (-signal.SIGKILL, [])


def test_a_server_without_a_module_does_not_import_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Ansible reads its settings when it is imported: those of the server would be in every program."""
    with pytest.raises(ConnectionError):
        Forked(Server(["ansible.cli"], without="ansible.constants"), "", [])
    assert "ansible.constants is imported by ansible.cli" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "starts"),
    [
        ("", 1),
        ("echo >>staff.yml", 2),
        ("mv staff.yml x; cp x staff.yml", 1),
        ("chmod +x staff.yml", 2),
        ("mv staff.yml x; ln -s x staff.yml", 2),
        ("mkdir host_vars", 2),
        ("mkdir group_vars", 2),
        ("touch ansible.cfg", 2),
        ("touch ~/.ansible.cfg", 2),
    ],
)
def test_what_ansible_lists_is_remembered_only_of_the_same_files(tmp_path: Path, change: str, starts: int) -> None:
    """Whatever could make Ansible list something else has it started again; a copy elsewhere is the same file."""
    started = []

    def start(*call: object, is_exported: bool) -> listings.Listing:
        started.append(call)
        return {"all": {"hosts": ["anna"]}}, (), ()

    (tmp_path / "kept").mkdir()
    (tmp_path / "staff.yml").write_text("all:\n  hosts:\n    anna:\n")
    list_hosts = listings.remembering(tmp_path / "kept", start)
    for script in ("", change):
        subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
        assert list_hosts(["staff.yml"], None, sys.executable, tmp_path)[0] == {"all": {"hosts": ["anna"]}}
    assert len(started) == starts


@pytest.mark.parametrize(
    "other",
    [
        {"limit": "anna"},
        {"is_exported": False},
        {"ansible_python": "/usr/bin/python3"},
        {"sources": ["staff.yml", "staff.yml"]},
    ],
)
def test_what_ansible_lists_is_remembered_only_of_the_same_command(tmp_path: Path, other: dict[str, object]) -> None:
    """Also not where Ansible's settings are in the environment, or where it had a warning, which names a path."""
    started, losses = [], ()

    def start(*call: object, is_exported: bool) -> listings.Listing:
        started.append(call)
        return {}, losses, ()

    (tmp_path / "staff.yml").write_text("all:\n  hosts:\n    anna:\n")
    list_hosts = listings.remembering(tmp_path, start)
    call = {"sources": ["staff.yml"], "limit": None, "ansible_python": sys.executable, "cwd": tmp_path}
    list_hosts(**call)
    list_hosts(**call | other)
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("ANSIBLE_INVENTORY_ENABLED", "ini")
        list_hosts(**call)
    assert len(started) == 3
    losses = ("fleet_hr: /elsewhere/people.csv: one row was left out",)
    for _ in range(2):
        list_hosts(**call | {"limit": "all"})
    assert len(started) == 5

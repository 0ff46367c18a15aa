"""`fleet` as a test types it, and what it starts itself: forked from processes that have imported it all already.

The suite types a thousand commands, and starts Ansible for many of them. Where the start of a command, its command line
or its signals are the subject, start the installed script `FLEET`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from types import SimpleNamespace
from typing import Any

from fleet.environment import PYTHON
from tests import listings as kept
from tests.forks import ENVIRON, ROOT, Forked, Server

FLEET = Path(sys.executable).with_name("fleet")
"""The installed script."""
_COMMANDS = sorted(f"fleet.commands.{file.stem}" for file in (ROOT / "fleet/commands").glob("[!_]*.py"))
_OURS = Server(["fleet.cli", "fleet.agent.main", "fleet.rehearsal.__main__", "tests.commands", *_COMMANDS])
_ANSIBLES = Server(
    [
        *("ansible.config.manager", "ansible._internal._ssh._ssh_agent", "ansible._internal._templating._utils"),
        *("ansible.module_utils.common.sys_info", "ansible.context", "ansible.utils.multiprocessing"),
        *("ansible.utils.collection_loader", "ansible.vars.hostvars", "ansible.parsing.utils.addresses"),
        *("cryptography.hazmat.backends.openssl.backend", "jinja2.sandbox", "packaging.specifiers", "tarfile"),
    ],
    without="ansible.constants",  # it reads the settings of whoever starts Ansible
)
_REHEARSAL = "import sys; from fleet.rehearsal.__main__ import main; sys.exit(main())"


def fleet(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    typed: str = "",
    timeout: float = 120,
) -> CompletedProcess[str]:
    """Run a command to its end. `typed` is its standard input, which is no terminal.

    Raises TimeoutExpired after `timeout` seconds, once the process has been killed.
    """
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(typed.encode())
        stdin.seek(0)
        command = ["fleet", *map(str, arguments)]
        process = Forked(_OURS, _fleet(), command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd)
        try:
            process.wait(timeout)
        except TimeoutExpired:
            process.kill()
            process.wait()
            raise
        return CompletedProcess(command, process.wait(), *(_text(stream) for stream in (stdout, stderr)))


def running(home: str) -> list[tuple[int, str]]:
    """Return process and command of what was forked here, has this HOME, and has not ended."""
    return [
        (pid, " ".join(arguments))
        for server in (_OURS, _ANSIBLES)
        for pid, environ, arguments in server.running()
        if environ.get("HOME") == home
    ]


def _fleet() -> str:
    """Return what a new process does to be `fleet`."""
    known = (str(kept.folder) if kept.folder else None, _OURS.address, _ANSIBLES.address)
    return f"from tests import commands; commands.main(*{known!r})"


def main(listings: str | None, ours: str, ansibles: str) -> None:
    """Be `fleet`, in the new process."""
    import fleet.cli

    _OURS.address, _ANSIBLES.address = ours, ansibles
    kept.folder = Path(listings) if listings else None
    fork_what_is_started()
    if kept.folder:
        kept.remember_in(kept.folder)
    fleet.cli.main()


def fork_what_is_started() -> None:
    """From now on this process forks agents, rehearsals and the Ansible that reads an inventory."""
    from fleet.agent import start
    from fleet.inventory import read
    from fleet.rehearsal import process

    start.subprocess = process.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": _start})
    read.subprocess = SimpleNamespace(**vars(subprocess) | {"run": _read})


def _start(command: Sequence[str], **how: Any) -> Forked | subprocess.Popen[bytes]:
    """In place of subprocess.Popen."""
    if command[: len(PYTHON)] == [*PYTHON] and _of_python(how["env"]) <= _of_python(ENVIRON):
        module, *arguments = command[len(PYTHON) + 1 :]
        if module == "fleet":
            return Forked(_OURS, _fleet(), ["fleet", *arguments], **how)
        if module == "fleet.rehearsal":
            return Forked(_OURS, _REHEARSAL, ["fleet.rehearsal"], **how)
    return subprocess.Popen(command, **how)


def _read(command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, **how: Any) -> CompletedProcess[str]:
    """In place of subprocess.run."""
    python, option, code, *arguments = command
    if (python, option) != (sys.executable, "-c") or not _of_python(env) <= _of_python(ENVIRON):
        return subprocess.run(command, env=env, cwd=cwd, **how)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = Forked(_ANSIBLES, code, ["-c", *arguments], stdout=stdout, stderr=stderr, env=env, cwd=cwd)
        return CompletedProcess(command, process.wait(), *(_text(stream) for stream in (stdout, stderr)))


def _of_python(environ: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return what Python reads as it starts; a program that has more of it than its server is started, not forked."""
    found = {name: value for name, value in environ.items() if name.startswith("PYTHON")}
    places = [each for each in found.pop("PYTHONPATH", "").split(os.pathsep) if each not in ("", str(ROOT))]
    return {*found.items(), *(("PYTHONPATH", each) for each in places)}


def _text(stream: Any) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")

"""`fleet` as a test types it: a process for each command, forked from one that has imported the product already.

Starting Python and importing costs 0.3 s of CPU, and the suite types a thousand commands. The forked process has its
own arguments, environment, working folder, umask, standard streams and exit code. Where the start of a command, its
command line or its signals are the subject, start the installed script `FLEET`.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

from tests import listings as kept

FLEET = Path(sys.executable).with_name("fleet")
"""The installed script."""
_COMMANDS = sorted(
    f"fleet.commands.{file.stem}" for file in (Path(__file__).parent.parent / "fleet/commands").glob("[!_]*.py")
)
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["fleet.cli", "tests.listings", *_COMMANDS])
if "pytest" in sys.modules:  # the new processes import this module too
    # Before any test has a home: a process that has it would count as one that its commands left behind.
    forkserver.ensure_running()


@dataclass(frozen=True)
class _Call:
    """What a new process is given. `folder` holds the files `stdin`, `stdout` and `stderr`."""

    arguments: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path
    umask: int
    folder: Path
    listings: Path | None


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
    umask = os.umask(0)
    os.umask(umask)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stream, text in (("stdin", typed), ("stdout", ""), ("stderr", "")):
            (folder / stream).write_text(text, "utf-8")
        typed_in = cwd or Path.cwd()
        call = _Call([str(each) for each in arguments], dict(env or os.environ), typed_in, umask, folder, kept.folder)
        process = _PROCESSES.Process(target=_run, args=(call,))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(["fleet", *call.arguments], timeout)
        output, errors = ((folder / stream).read_text("utf-8") for stream in ("stdout", "stderr"))
        return CompletedProcess(["fleet", *call.arguments], process.exitcode, output, errors)


def _run(call: _Call) -> None:
    """Become the command, in the new process."""
    from fleet.cli import main

    for number, (stream, flags) in enumerate(
        (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY | os.O_APPEND), ("stderr", os.O_WRONLY | os.O_APPEND))
    ):
        descriptor = os.open(call.folder / stream, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = io.TextIOWrapper(io.FileIO(0), "utf-8")  # multiprocessing has put /dev/null in its place
    os.umask(call.umask)
    os.chdir(call.cwd)
    os.environ.clear()
    os.environ.update(call.environ)
    sys.argv = ["fleet", *call.arguments]
    if call.listings:
        kept.remember_in(call.listings)
    main()

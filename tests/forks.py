"""Python programs without the start of Python: forked from a process that has imported already what they import.

Importing is most of what a short program costs: 0.3 s of CPU for `fleet`, 0.4 s for `ansible-inventory`. What is forked
has its own arguments, environment, working folder, umask, streams, session and exit code; in `/proc` it shows the
command line and the environment of its server, so `running` tells which are there. Where a program's start is the
subject, or what the system shows of it, start the program itself.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

_MOST = 16
"""File descriptors that one program may be given."""
_HIGH = 500
"""Where they wait until those of the server are closed."""
_STATUS = 4
ROOT = Path(__file__).parent.parent
ENVIRON = dict(os.environ)
"""As it was before any test had a home: a process that has it would count as one that a test has left."""


class Server:
    """A process that has imported `modules`; it ends with the one that started it.

    It refuses to serve if these import a module that a program must import itself, the one it is `without`.
    """

    def __init__(self, modules: Sequence[str], without: str = "") -> None:
        self._modules, self._without = modules, without
        self._process: subprocess.Popen[bytes] | None = None

    @cached_property
    def address(self) -> str:
        """Where it listens; it is started if nobody has."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("")  # a name of the kernel's choice, in no folder
            listener.listen(64)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.forks", str(listener.fileno()), self._without, *self._modules],
                stdin=subprocess.PIPE,
                env=ENVIRON | {"PYTHONPATH": str(ROOT)},
                pass_fds=[listener.fileno()],
                cwd=ROOT,  # not the first program's: it holds up no file system of a test's own
            )
            return listener.getsockname().hex()

    def running(self) -> list[tuple[int, dict[str, str], list[str]]]:
        """Return process, environment and arguments of each of its programs that has not ended."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(bytes.fromhex(self.address))
            asking.sendall(b"?{}\n")
            return [(pid, environ, arguments) for pid, environ, arguments in json.loads(asking.makefile().readline())]


class Forked:
    """What `subprocess.Popen` is, as far as the product needs it. `what` is Python code, run as `__main__`."""

    def __init__(
        self,
        server: Server,
        what: str,
        arguments: Sequence[str],
        *,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        start_new_session: bool = False,
    ) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        streams: list[int] = []
        theirs: list[int] = []
        for number, given in enumerate((stdin, stdout, stderr)):
            if given == subprocess.PIPE:
                reading, writing = os.pipe()
                if number == 0:
                    other, self.stdin = reading, os.fdopen(writing, "wb")
                else:
                    other, self.stdout = writing, os.fdopen(reading, "rb")
                theirs.append(other)
            elif given == subprocess.DEVNULL:
                other = os.open(os.devnull, os.O_RDWR)
                theirs.append(other)
            else:
                other = number if given is None else given if isinstance(given, int) else given.fileno()
            streams.append(other)
        umask = os.umask(0)
        os.umask(umask)
        call = {
            "what": what,
            "arguments": self.args,
            "environ": dict(os.environ if env is None else env),
            "cwd": str(cwd or Path.cwd()),
            "umask": umask,
            "fds": [0, 1, 2, *pass_fds],
            "session": start_new_session,
        }
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(bytes.fromhex(server.address))
        socket.send_fds(self._socket, [b"!"], [*streams, *pass_fds])
        self._socket.sendall(json.dumps(call).encode() + b"\n")
        for descriptor in theirs:
            os.close(descriptor)
        self.pid = int.from_bytes(self._received(), "big", signed=True)

    def _received(self) -> bytes:
        told = b""
        while len(told) < _STATUS:
            piece = self._socket.recv(_STATUS - len(told))
            if not piece:
                raise RuntimeError("the server of this program has ended")
            told += piece
        return told

    def poll(self) -> int | None:
        """Its exit code, or minus its signal; None as long as it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the same. Raises TimeoutExpired."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = int.from_bytes(self._received(), "big", signed=True)
            self._socket.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _serve(listener: socket.socket) -> NoReturn:
    """Fork what is asked for, and tell how it ended, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    selector = selectors.DefaultSelector()
    programs: dict[int, tuple[int, socket.socket, dict[str, Any]]] = {}
    selector.register(listener, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fd == 0:
                sys.exit()
            elif key.fileobj is listener:
                connection, _address = listener.accept()
                _, descriptors, _, _ = socket.recv_fds(connection, 1, _MOST)
                call = json.loads(connection.makefile("rb").readline())
                if not call:
                    told = [(pid, call["environ"], call["arguments"]) for pid, _, call in programs.values()]
                    connection.sendall(json.dumps(told).encode() + b"\n")
                    connection.close()
                    continue
                pid = os.fork()
                if pid == 0:
                    _become(call, descriptors)
                for each in descriptors:
                    os.close(each)
                connection.sendall(pid.to_bytes(_STATUS, "big", signed=True))
                ended = os.pidfd_open(pid)
                programs[ended] = pid, connection, call
                selector.register(ended, selectors.EVENT_READ)
            else:
                selector.unregister(key.fd)
                os.close(key.fd)
                pid, connection, _ = programs.pop(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with suppress(OSError), connection:  # nobody may wait for it any more
                    connection.sendall(code.to_bytes(_STATUS, "big", signed=True))


def _become(call: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Be the program that is asked for, in the new process."""
    waiting = [fcntl.fcntl(each, fcntl.F_DUPFD, _HIGH) for each in descriptors]
    os.closerange(0, _HIGH)
    for high, number in zip(waiting, call["fds"], strict=True):
        os.dup2(high, number)
        os.close(high)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if call["session"]:
        os.setsid()
    os.umask(call["umask"])
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environ"])
    sys.argv = call["arguments"]
    given = call["environ"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, given), *(each for each in sys.path if each != str(ROOT)), str(ROOT)]
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", errors=errors, buffering=1 if number == 2 else -1, closefd=False)  # noqa: SIM115 # as long as it lives
        for number, mode, errors in ((0, "r", "strict"), (1, "w", "strict"), (2, "w", "backslashreplace"))
    )
    os._exit(_run(call["what"]))


def _run(what: str) -> int:
    """Run code as Python runs a program, and return its exit code."""
    code: Any = 0
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        exec(what, vars(sys.modules["__main__"]))
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined] # as Python itself does before its exit functions
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return int(code or 0) & 0xFF


if __name__ == "__main__":
    gc.disable()
    for name in sys.argv[3:]:
        with suppress(ImportError):  # of another version of Ansible
            importlib.import_module(name)
    if sys.argv[2] in sys.modules:
        sys.exit(f"{sys.argv[2]} is imported by {', '.join(sys.argv[3:])}")
    gc.freeze()
    gc.enable()
    _serve(socket.socket(fileno=int(sys.argv[1])))

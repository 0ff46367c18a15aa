"""OpenSSH as configured on this machine: a worker's address, and one connection to it that all its sessions share."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fleet.errors import InputError, WorkerError

SSH = "ssh"
"""The first one on PATH, as in Ansible."""
CONNECT_WITHIN = 30.0
"""Seconds to connect, sign-in included."""
MAX_WORKERS = 32
MAX_WORDS = 300
"""Characters of ssh's own output that an error may quote."""

_ADDRESS = re.compile(
    r"(?:(?P<scheme>ssh)://)?"
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<program>(?:/[A-Za-z0-9._+~-]+)+)?"
)

_OPTIONS = (
    *("-o", "BatchMode=yes"),  # no one is there to answer a prompt
    *("-o", f"ConnectTimeout={CONNECT_WITHIN:.0f}"),
    # A worker that goes silent is detected after some 30 s.
    *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
    # Session features from the user's ssh_config must not reach a worker.
    *("-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-o", "PermitLocalCommand=no"),
    *("-o", "RequestTTY=no", "-o", "RemoteCommand=none", "-o", "ControlPersist=no"),
    *("-o", "StrictHostKeyChecking=yes"),  # employees' sessions go there, whatever the user's ssh_config allows
)


WHERE_TO_INSTALL = "Install Fleet Opt-Out there, or give the path of the command: ssh://HOST/PATH/TO/fleet."


@dataclass(frozen=True)
class WorkerAddress:
    """Address of a worker: a host name known to ssh, or user, host and port; and the path of `fleet` there."""

    host: str
    user: str | None = None
    port: int | None = None
    program: str = "fleet"

    @property
    def name(self) -> str:
        """Name for people and the audit log, without user and path."""
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def destination(self) -> list[str]:
        """Arguments that make ssh connect to it."""
        port = ["-p", str(self.port)] if self.port else []
        host = self.host.strip("[]")
        return [*port, "--", f"{self.user}@{host}" if self.user else host]


def parse_worker(text: str, origin: str) -> WorkerAddress:
    """Parse `[USER@]HOST`, as for ssh, or `ssh://[USER@]HOST[:PORT][/PATH/TO/fleet]`.

    Raises InputError that names `origin`, where the text was given.
    """
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    is_whole = match and (match["scheme"] or not (match["port"] or match["program"]))
    if match is None or not is_whole or (port is not None and not 0 < port < 65536):
        raise InputError(
            f"{origin}: '{text}' is not a worker address; write [USER@]HOST as for ssh, or "
            "ssh://[USER@]HOST[:PORT][/PATH/TO/fleet]."
        )
    return WorkerAddress(match["host"], match["user"], port, match["program"] or "fleet")


def parse_workers(texts: Sequence[str], origin: str) -> tuple[WorkerAddress, ...]:
    """Parse each as `parse_worker` does. Raises InputError, also for too many and for two with the same name."""
    workers = tuple(parse_worker(text, origin) for text in texts)
    if len(workers) > MAX_WORKERS:
        raise InputError(f"{origin}: {len(workers)} workers; name at most {MAX_WORKERS}.")
    names = [worker.name for worker in workers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{origin}: {twice} is named twice; name each worker once.")
    return workers


class LastWords:
    """Keeps the last 4096 bytes that a program writes to a pipe."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._end = b""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        with self._stream, suppress(ValueError):
            while more := os.read(self._stream.fileno(), 4096):
                self._end = (self._end + more)[-4096:]

    def sentence(self) -> str:
        """Return the last line with words as a sentence, without control characters; empty if there is none.

        Call it only after the program has ended.
        """
        self._reading.join(1)
        lines = self._end.decode("utf-8", "replace").splitlines()
        words = (_plain(line) for line in reversed(lines) if re.search(r"[A-Za-z]{2}", line))
        line = next(words, "")[:MAX_WORDS].rstrip(".")
        return f"{line}." if line else ""


def _plain(line: str) -> str:
    return "".join(character if character.isprintable() else " " for character in line).strip(" │╭╰─╮╯")


class Connection:
    """One signed-in connection to a worker (OpenSSH's ControlMaster); sessions over it need no further sign-in."""

    def __init__(self, address: WorkerAddress, control: Path) -> None:
        """`control` is the path of the socket to create, in a private folder; the connection ends with that folder."""
        self.address = address
        self._control = control
        self._path = str(control).replace("%", "%%")  # ssh reads % as the beginning of a variable
        self._master: subprocess.Popen[bytes] | None = None

    def open(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Sign in. Raises WorkerError with ssh's own message if that fails or `is_over` becomes true meanwhile."""
        # Handle Ctrl-C ourselves: ssh gets a session of its own, so the terminal does not signal it.
        self._master = self._popen(
            ["-M", "-N", "-S", self._path, "-o", "ClearAllForwardings=yes", *_OPTIONS, *self.address.destination],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        assert self._master.stderr is not None
        said = LastWords(self._master.stderr)
        deadline = time.monotonic() + CONNECT_WITHIN + 5
        while not self._control.exists():
            if self._master.poll() is not None or is_over() or time.monotonic() > deadline:
                self.close()
                raise WorkerError(
                    f"Worker {self.address.name} is unreachable: {said.sentence() or 'ssh reported nothing.'} "
                    f"Try by hand: ssh {' '.join(self.address.destination).replace('-- ', '')} true",
                    self.address.name,
                )
            time.sleep(0.02)

    def forward(self, address: str) -> str:
        """Make an address of this machine reachable from the worker's loopback; return the address there.

        Raises WorkerError if the worker's sshd does not allow it.
        """
        try:
            done = subprocess.run(
                [SSH, *self._over_this("-O", "forward", "-R", f"127.0.0.1:0:{address}")],
                capture_output=True,
                text=True,
                check=False,
                timeout=CONNECT_WITHIN,
            )
            port = done.stdout.partition("\n")[0] if done.returncode == 0 else ""
        except subprocess.TimeoutExpired:
            port = ""
        if not port.isdigit():
            raise WorkerError(
                f"Worker {self.address.name} does not let {address} through, which pages on this machine need; "
                "allow it there (AllowTcpForwarding in sshd_config, no 'restrict' before the key).",
                self.address.name,
            )
        return f"127.0.0.1:{port}"

    def start(self, *arguments: str, **streams: Any) -> tuple[subprocess.Popen[bytes], LastWords]:
        """Start `fleet` on the worker; return the process and a reader of its stderr.

        `arguments` are words without spaces or quotes.

        Raises WorkerError if ssh does not start.
        """
        process = self._popen([*self._over_this(), self.address.program, *arguments], **streams)
        complaints, process.stderr = process.stderr, None  # LastWords must be the only reader
        assert complaints is not None
        return process, LastWords(complaints)

    def close(self) -> None:
        """End the connection and all sessions over it."""
        if self._master is not None:
            self._master.terminate()
            try:
                self._master.wait(5)
            except subprocess.TimeoutExpired:
                self._master.kill()
                self._master.wait()

    def _popen(self, arguments: list[str], **streams: Any) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen([SSH, *arguments], stderr=subprocess.PIPE, start_new_session=True, **streams)
        except OSError as error:
            raise WorkerError(
                f"Worker {self.address.name} is unreachable: {SSH} does not start ({error.strerror}); install "
                "OpenSSH's client (Debian: openssh-client).",
                self.address.name,
            ) from None

    def _over_this(self, *arguments: str) -> list[str]:
        # Fail if the connection is gone, instead of letting ssh open a new one.
        return ["-S", self._path, "-o", "ProxyCommand=false", *_OPTIONS, *arguments, *self.address.destination]

"""OpenSSH as this machine has it: where a worker is, and one connection to it that all sessions there share."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fleet.errors import FleetError, InputError

SSH = "ssh"
"""The first one on PATH, as for Ansible."""
CONNECT_WITHIN = 30.0
"""Seconds for a connection, signing in included."""
MAX_WORDS = 300
"""Characters of ssh's own words that an error may carry."""

_ADDRESS = re.compile(
    r"(?:(?P<scheme>ssh)://)?"
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<program>(?:/[A-Za-z0-9._+~-]+)+)?"
)

_OPTIONS = (
    *("-o", "BatchMode=yes"),  # nobody is there to answer a question
    *("-o", f"ConnectTimeout={CONNECT_WITHIN:.0f}"),
    # A worker that is gone without a word is noticed after some 30 s.
    *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
    # What a user's ssh_config asks for in every session is no business of a worker's.
    *("-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-o", "PermitLocalCommand=no"),
    *("-o", "RequestTTY=no", "-o", "ControlPersist=no"),
)


WHERE_TO_INSTALL = "Install Fleet Opt-Out there, or name the command's place: ssh://HOST/PATH/TO/fleet."


class WorkerError(FleetError):
    """A worker cannot be reached or used, or was lost."""


@dataclass(frozen=True)
class WorkerAddress:
    """Where a worker is: a name that ssh knows, or user, host and port; and the path of `fleet` there."""

    host: str
    user: str | None = None
    port: int | None = None
    program: str = "fleet"

    @property
    def name(self) -> str:
        """What people and the audit log call it: no user, no path."""
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def destination(self) -> list[str]:
        """The arguments of ssh that name it."""
        port = ["-p", str(self.port)] if self.port else []
        host = self.host.strip("[]")
        return [*port, "--", f"{self.user}@{host}" if self.user else host]


def parse_worker(text: str, origin: str) -> WorkerAddress:
    """`[USER@]HOST`, as for ssh, or `ssh://[USER@]HOST[:PORT][/PATH/TO/fleet]`.

    Raises InputError that names `origin`, where the text stands.
    """
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    is_whole = match and (match["scheme"] or not (match["port"] or match["program"]))
    if match is None or not is_whole or (port is not None and not 0 < port < 65536):
        raise InputError(
            f"{origin}: '{text}' is no worker; write [USER@]HOST as for ssh, or "
            "ssh://[USER@]HOST[:PORT][/PATH/TO/fleet]."
        )
    return WorkerAddress(match["host"], match["user"], port, match["program"] or "fleet")


class Connection:
    """One signed-in connection to a worker (OpenSSH's ControlMaster); sessions over it need no further sign-in."""

    def __init__(self, address: WorkerAddress, control: Path) -> None:
        """`control` is the socket to make: in a private folder, whose end is the connection's as well."""
        self.address = address
        self._control = control
        self._path = str(control).replace("%", "%%")  # ssh reads % as the beginning of a variable
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the connection
        self._master: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Sign in. Raises WorkerError with ssh's own words if that does not work."""
        self._master = subprocess.Popen(
            [SSH, "-M", "-N", "-S", self._path, "-o", "ClearAllForwardings=yes", *_OPTIONS, *self.address.destination],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to pass on, in good order
        )
        deadline = time.monotonic() + CONNECT_WITHIN + 5
        while not self._control.exists():
            if self._master.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise WorkerError(
                    f"Worker {self.address.name} cannot be reached: {last_words(self._said) or 'ssh said nothing'} "
                    f"Try by hand: ssh {' '.join(self.address.destination).replace('-- ', '')} true"
                )
            time.sleep(0.02)

    def forward(self, address: str) -> str:
        """Make an address of this machine reachable from the worker's own loopback; returns the address there.

        Raises WorkerError if the worker's sshd does not allow it.
        """
        done = subprocess.run(
            self._ssh("-O", "forward", "-R", f"127.0.0.1:0:{address}"), capture_output=True, text=True, check=False
        )
        port = done.stdout.partition("\n")[0]
        if done.returncode != 0 or not port.isdigit():
            raise WorkerError(
                f"Worker {self.address.name} does not let {address} through, which a rehearsal needs; "
                "allow it there (AllowTcpForwarding in sshd_config, no 'restrict' before the key)."
            )
        return f"127.0.0.1:{port}"

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start `fleet` with these arguments (words without blanks or quotes) on the worker."""
        return subprocess.Popen([*self._ssh(), self.address.program, *arguments], start_new_session=True, **streams)

    def close(self) -> None:
        """End the connection and all sessions over it."""
        if self._master is not None:
            self._master.terminate()
            try:
                self._master.wait(5)
            except subprocess.TimeoutExpired:
                self._master.kill()
                self._master.wait()

    def _ssh(self, *arguments: str) -> list[str]:
        # Where there is no such connection any more, ssh would make another one: it shall not.
        alone = ("-o", "ProxyCommand=false")
        return [SSH, "-S", self._path, *alone, *_OPTIONS, *arguments, *self.address.destination]


def last_words(said: IO[bytes]) -> str:
    """The last line that a program has written into a file, as the end of a sentence."""
    size = os.fstat(said.fileno()).st_size
    # Never `seek`: the program that still writes shares the place in the file.
    lines = os.pread(said.fileno(), 4096, max(0, size - 4096)).decode("utf-8", "replace").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")[:MAX_WORDS]
    return f"{line.rstrip('.')}." if line else ""

"""A real sshd on loopback, with keys of its own, and an `ssh` that knows it by the names of machines."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


class Sshd:
    """One server that stands for several machines: each has a port, and a home of its own with the runtime folder."""

    def __init__(self, folder: Path, names: Sequence[str], *, options: str = "", variables: str = "") -> None:
        """`names` are what the `ssh` in `bin` takes for the machines; `options` are further lines of sshd_config,
        `variables` further ones of each session's environment.
        """
        self._variables = variables
        folder.mkdir(parents=True, exist_ok=True)
        self.bin = folder / "bin"
        self.homes = {name: folder / name for name in names}
        self.ports = {name: free_port() for name in names}
        self._folder = folder
        for made in (self.bin, *self.homes.values()):
            made.mkdir(mode=0o700)
        for key in ("host", "user"):
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(keygen, check=True, capture_output=True)
        self._write(options)

    def _write(self, options: str) -> None:
        folder, names = self._folder, list(self.homes)
        key = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known_hosts").write_text("".join(f"{name} {key}\n" for name in names))
        machines = "".join(
            f"Match LocalPort {self.ports[name]}\n  SetEnv HOME={home} XDG_RUNTIME_DIR={home} {self._variables}\n"
            for name, home in self.homes.items()
        )
        (folder / "sshd_config").write_text(
            "".join(f"ListenAddress 127.0.0.1:{port}\n" for port in self.ports.values())
            + f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
            # The folder of a test lies below /tmp, which all may write to.
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"PermitRootLogin prohibit-password\nPidFile none\nMaxStartups 100\n{options}\n{machines}"
        )
        self.reach({})
        # OpenSSH reads the settings of the account's real home, wherever HOME is: a test's own must be named.
        ssh = self.bin / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
        ssh.chmod(0o755)

    def reach(self, through: Mapping[str, int]) -> None:
        """Have `ssh` go to another port for some of the machines, one that leads to them."""
        folder = self._folder
        hosts = "".join(
            f"Host {name}\n  HostName 127.0.0.1\n  HostKeyAlias {name}\n  Port {port}\n"
            for name, port in {**self.ports, **through}.items()
        )
        (folder / "ssh_config").write_text(
            f"IdentityFile {folder}/user\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\nStrictHostKeyChecking no\n{hosts}"
        )

    def __enter__(self) -> Sshd:
        assert SSHD is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks itself in before a sign-in
        self._log = (self._folder / "sshd.log").open("wb")
        self._process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(self._folder / "sshd_config")], stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "sshd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._log.close()

    def stop(self) -> None:
        """End the server; connections that are there go on."""
        self._process.terminate()
        self._process.wait(10)

    def _answers(self) -> bool:
        try:
            for port in self.ports.values():
                with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                    if connection.recv(4) != b"SSH-":
                        return False
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port

"""Starts the rehearsal in its own process and queries its truth. Nothing here needs the web server."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Literal, Self
from urllib.parse import urlencode

from fleet.environment import PYTHON
from fleet.errors import FleetError, InputError
from fleet.paths import PACKAGE
from fleet.rehearsal.account import RehearsalAccount
from fleet.rehearsal.behavior import Case, Extension
from fleet.rehearsal.cases import CASES
from fleet.rehearsal.tls import spki_of

__all__ = ["SITE_HOSTS", "TRUTH_HOST", "Rehearsal", "RehearsalAccount", "start_rehearsal"]

SITE_HOSTS = ("www.linkedin.com", "static.licdn.com", "media.licdn.com", "people.intranet.example")
"""Rehearsed hosts, under their real names."""
TRUTH_HOST = "truth.rehearsal.invalid"
"""Host that tests query; no browser ever goes there."""

START_WITHIN = 20.0
STOP_WITHIN = 5.0


class Rehearsal:
    """A running rehearsal: `address` is `127.0.0.1:PORT`, `spki` the base64 SHA-256 of its only key."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, spki: str, token: str) -> None:
        self.address = address
        self.spki = spki
        self.resolve = {f"{host}:443": address for host in SITE_HOSTS}
        self._process = process
        self._token = token

    def truth(self) -> list[dict[str, Any]]:
        """Return what is actually stored, one dictionary per account.

        Keys: employee, service, controls {control: "in" or "out"}, writes {control: number of changes received},
        requests (the latest 200, "METHOD path"), touched {control, "CONTROL.save" or "elsewhere": count}.
        """
        truth: list[dict[str, Any]] = self._ask("GET", "/accounts")
        return truth

    def storage_state(self, employee: str, service: str) -> dict[str, Any] | None:
        """Return Playwright's storage state of a signed-in browser; None if the account's case has no session.

        Raises KeyError if there is no such account.
        """
        state: dict[str, Any] | None = self._ask(
            "GET", f"/session?{urlencode({'employee': employee, 'service': service})}"
        )
        return state

    def storage_states(self) -> dict[tuple[str, str], dict[str, Any] | None]:
        """Return the same for all accounts at once, by employee and service."""
        return {(employee, service): state for employee, service, state in self._ask("GET", "/sessions")}

    def set_value(self, employee: str, service: str, control: str, value: Literal["in", "out"]) -> None:
        """Store a value without a visit. Raises KeyError if there is no such control."""
        self._ask("PUT", "/value", {"employee": employee, "service": service, "control": control, "value": value})

    def stop(self) -> None:
        """Stop the process; harmless if it has ended."""
        _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self.stop()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = _PinnedConnection(self.address, self.spki)
        try:
            headers = {"Host": TRUTH_HOST, "Authorization": f"Bearer {self._token}"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise FleetError(f"The rehearsal at {self.address} does not answer ({error}); start it again.") from None
        finally:
            connection.close()
        if answer.status == 404:
            raise KeyError(path if body is None else body)
        if answer.status >= 400:
            raise FleetError(f"The rehearsal at {self.address} answered {answer.status} to {method} {path}.")
        return json.loads(content) if content else None


class _PinnedConnection(http.client.HTTPSConnection):
    """Connects to the holder of one key only; certificate authority and host name are not checked."""

    def __init__(self, address: str, spki: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # `connect` compares the key before anything is sent
        super().__init__(address, context=context, timeout=10)
        self._spki = spki

    def connect(self) -> None:
        super().connect()
        certificate = self.sock.getpeercert(binary_form=True)
        if certificate is None or spki_of(certificate) != self._spki:
            self.close()
            raise ssl.SSLError("it shows another key")


def start_rehearsal(
    accounts: Sequence[RehearsalAccount],
    world_file: Path | None = None,
    port: int = 0,
    extension: Extension | None = None,
) -> Rehearsal:
    """Start a rehearsal for `accounts` and wait until it listens. It ends when this process ends, however that ends.

    Accounts may have the package's cases and those of an `extension`.

    Raises InputError for an unknown service or case, a port in use or an unreadable world file, and FleetError if it
    does not start.
    """
    known = {name: {**own, **(extension.cases.get(name, {}) if extension else {})} for name, own in CASES.items()}
    _check(accounts, known)
    wish = {
        "accounts": [[asdict(account), asdict(known[account.service][account.case])] for account in accounts],
        "world_file": str(world_file.absolute()) if world_file is not None else None,
        "port": port,
        "extension": str(extension.folder.absolute()) if extension is not None else None,
    }
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [*PYTHON, "-m", "fleet.rehearsal"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        try:
            answer = _first_line(process, json.dumps(wish).encode() + b"\n")
        except BaseException:
            _end(process)
            raise
        if "address" in answer:
            return Rehearsal(process, answer["address"], answer["spki"], answer["token"])
        _end(process)
        raise _failure(answer, world_file, complaints)


def _check(accounts: Sequence[RehearsalAccount], known: Mapping[str, Mapping[str, Case]]) -> None:
    for account in accounts:
        if account.service not in known:
            raise InputError(
                f"{account.employee}: '{account.service}' is not rehearsed; services: {', '.join(sorted(known))}."
            )
        if account.case not in known[account.service]:
            raise InputError(
                f"{account.employee}: '{account.case}' is not a rehearsal case of {account.service}; "
                f"cases: {', '.join(sorted(known[account.service]))}."
            )


def _first_line(process: subprocess.Popen[bytes], wish: bytes) -> dict[str, Any]:
    """Send the process its accounts and return its answer; empty on timeout."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(wish)
        process.stdin.flush()
    except BrokenPipeError:
        return {}
    line, deadline = b"", time.monotonic() + START_WITHIN
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
        if not chunk:
            return {}
        line += chunk
    answer: dict[str, Any] = json.loads(line)
    return answer


def _failure(answer: dict[str, Any], world_file: Path | None, complaints: IO[bytes]) -> FleetError:
    if answer.get("error") == "port_in_use":
        return InputError(f"Port {answer['port']} is in use; give the rehearsal another one, or none.")
    if answer.get("error") == "world_file":
        return InputError(f"{world_file} is not a world file of the rehearsal; remove it or give another one.")
    complaints.seek(0)
    said = complaints.read().decode(errors="replace").strip().splitlines()
    return FleetError(f"The rehearsal did not start: {said[-1] if said else 'it gave no reason'}.")


def _end(process: subprocess.Popen[bytes]) -> None:
    # The end of its input is the sign to stop; a signal helps one that has not begun to listen for it.
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    for limit, number in ((STOP_WITHIN, signal.SIGTERM), (STOP_WITHIN, signal.SIGKILL)):
        try:
            process.wait(limit)
            return
        except subprocess.TimeoutExpired:
            process.send_signal(number)
    process.wait()

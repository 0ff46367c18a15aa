"""Starts the rehearsal's server, and asks it for the truth."""

from __future__ import annotations

import http.client
import json
import secrets
import select
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from cryptography import x509

from fleet.errors import FleetError, InputError
from fleet.rehearsal.account import AccountTruth, RehearsalAccount
from fleet.rehearsal.cases import CASES
from fleet.rehearsal.hosts import HOSTS, TRUTH
from fleet.rehearsal.tls import spki_of

__all__ = ["AccountTruth", "Rehearsal", "RehearsalAccount", "start_rehearsal"]

START_TIMEOUT = 20.0


class Rehearsal:
    """A running rehearsal; use it as a context manager, or call `stop`. It ends with this process at the latest."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, spki: str, truth_token: str) -> None:
        self.address = address
        """Where it listens, `127.0.0.1:PORT`."""
        self.spki = spki
        """The base64 SHA-256 of its public key."""
        self._process = process
        self._truth_token = truth_token
        self._sessions: dict[tuple[str, str], dict[str, Any] | None] | None = None

    @property
    def resolve(self) -> tuple[tuple[str, str], ...]:
        """The way to each played host, as (`host:443`, `127.0.0.1:PORT`)."""
        return tuple((f"{host}:443", self.address) for host in HOSTS)

    def truth(self) -> list[AccountTruth]:
        """What the server knows of all accounts, in the order given."""
        return [AccountTruth(**one) for one in self._ask("GET", "/truth")]

    def storage_state(self, employee: str, service: str) -> dict[str, Any] | None:
        """The session of an account, as Playwright stores it; None if its case has none.

        Raises KeyError for an account that this rehearsal does not have.
        """
        if self._sessions is None:  # they do not change while the server runs
            rows = self._ask("GET", "/sessions")
            self._sessions = {(row["employee"], row["service"]): row["storage_state"] for row in rows}
        return self._sessions[employee, service]

    def set_value(self, employee: str, service: str, control: str, value: str) -> None:
        """Plant a value ("in" or "out") behind the service's back. Raises FleetError if there is no such control."""
        wanted = {"employee": employee, "service": service, "control": control, "value": value}
        self._ask("POST", "/controls", wanted)

    def stop(self) -> None:
        """End the server, if it still runs."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPSConnection(self.address, timeout=10, context=_any_certificate())
        try:
            connection.connect()
            self._check_key(connection.sock)
            headers = {"Host": TRUTH, "Authorization": f"Bearer {self._truth_token}"}
            connection.request(method, path, json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise FleetError(f"The rehearsal at {self.address} does not answer ({error}); start it again.") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise FleetError(f"The rehearsal refused {method} {path}: {text.decode(errors='replace')}")
        return json.loads(text)

    def _check_key(self, sock: ssl.SSLSocket) -> None:
        certificate = sock.getpeercert(binary_form=True)
        if certificate is None or spki_of(x509.load_der_x509_certificate(certificate)) != self.spki:
            raise FleetError(f"Something else than the rehearsal answers at {self.address}; start it again.")


def start_rehearsal(
    accounts: Sequence[RehearsalAccount], world_file: Path | None = None, port: int = 0
) -> Rehearsal:
    """Start the server and wait until it listens on loopback; port 0 takes any free one.

    Raises InputError for a case or service that does not exist, a port that cannot be used or a bad world file,
    and FleetError if the server does not start.
    """
    _check_cases(accounts)
    truth_token = secrets.token_urlsafe(24)
    order = {
        "accounts": [asdict(account) for account in accounts],
        "world_file": str(world_file.absolute()) if world_file else None,
        "port": port,
        "truth_token": truth_token,
    }
    with tempfile.TemporaryFile() as complaints:
        # In a session of its own, so that Ctrl-C in the terminal does not reach it.
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet.rehearsal"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            answer = _exchange(process, order)
            if answer is None:
                process.kill()
                raise FleetError(f"The rehearsal did not start. {_last_line(complaints)}".strip())
            if "error" in answer:
                raise _refusal(answer)
        except BaseException:
            _abandon(process)
            raise
    return Rehearsal(process, answer["address"], answer["spki"], truth_token)


def _check_cases(accounts: Sequence[RehearsalAccount]) -> None:
    for account in accounts:
        cases = CASES.get(account.service)
        if cases is None:
            raise InputError(
                f"{account.employee}: the service '{account.service}' cannot be rehearsed; "
                f"these can: {', '.join(sorted(CASES))}."
            )
        if account.case not in cases:
            raise InputError(
                f"{account.employee}: {account.service} has no rehearsal case '{account.case}'; "
                f"choose one of: {', '.join(sorted(cases))}."
            )


def _exchange(process: subprocess.Popen[bytes], order: dict[str, Any]) -> dict[str, Any] | None:
    """Send the order and read the answer; None if there is none in time."""
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT)
    line = process.stdout.readline() if ready else b""
    return json.loads(line) if line else None


def _refusal(answer: dict[str, Any]) -> InputError:
    match answer["error"]:
        case "port_in_use":
            return InputError(f"Port {answer['port']} is in use; choose another, or 0 for any free one.")
        case "port_refused":
            return InputError(f"Port {answer['port']} cannot be used by you; choose another, or 0 for any free one.")
    return InputError(answer["message"])


def _abandon(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream:
            try:
                stream.close()
            except BrokenPipeError:
                continue
    process.kill()
    process.wait()


def _last_line(file: IO[bytes]) -> str:
    file.seek(0)
    return (file.read().decode(errors="replace").strip().splitlines() or [""])[-1]

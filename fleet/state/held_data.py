"""All that is held of one person, for handing it out to them (Art. 15 GDPR), and nothing of anybody else.

What erasing deletes is found in the same way (`own_files.py`), so nothing can be erased that is not handed out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fleet.audit.evidence import EvidenceKind
from fleet.audit.keys import read_keys
from fleet.audit.proof import Prover
from fleet.audit.pseudonyms import Subject
from fleet.audit.segments import read_lines
from fleet.authority.former_names import FormerNames
from fleet.authority.mandates import Revocations
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.paths import StateDir, read_regular
from fleet.sessions.store import SessionInfo
from fleet.state.own_files import MAX_ACT, OwnFiles, find_own_files, find_pages, find_waiting, people_in

MAX_FILE = 2 * 1024 * 1024
MAX_PICTURE = 64 * 1024 * 1024
OPERATOR = ("operator", "operator_claimed")
"""Fields that are left out: who ran a command is somebody else."""


@dataclass(frozen=True)
class HeldRecord:
    """One record of the log about the person, without its operator.

    `proof` is None where the line itself has an operator's name, or is not signed yet.
    """

    fields: Mapping[str, Any]
    proof: str | None


@dataclass(frozen=True)
class HeldAct:
    """One file of the portal: `where` is waiting, done or refused."""

    where: str
    name: str
    content: str
    refusal: str | None


@dataclass(frozen=True)
class HeldData:
    """All that is held of one person."""

    employee: str
    inventory: Employee | None
    """None if they are in no inventory that was read."""
    subject: Subject | None
    records: tuple[HeldRecord, ...]
    files: Mapping[str, Sequence[Mapping[str, Any]]]
    """Files of this person alone by the folder of the state; more than one if a crash left an unfinished one."""
    revoked_at: datetime | None
    sessions: tuple[SessionInfo, ...]
    acts: tuple[HeldAct, ...]
    left_out: int
    """Acts that name other people, too."""
    evidence: Mapping[str, bytes]
    """Pictures of controls and labels of renamed ones, as `RUN.SERVICE.CONTROL.KIND`."""
    page: Mapping[str, Any] | None
    """What the portal shows them."""

    @property
    def is_anything(self) -> bool:
        """Return True if anything is held."""
        found = (self.subject, self.inventory, self.revoked_at, self.page)
        return any(one is not None for one in found) or any((self.files, self.sessions, self.acts, self.left_out))


def held_data(
    state: StateDir,
    employee: str,
    subjects: Mapping[str, Subject],
    inventory: Sequence[Employee],
    inbox: Path | None,
    portal_data: Path | None,
) -> HeldData:
    """Return all that is held of an employee, in the state and by the portal.

    Raises InputError if anything cannot be read: then it would be missing. Raises AuditError as `Prover` does.
    """
    subject = subjects.get(employee)
    try:
        own = find_own_files(state, {employee: subject.pseudonym if subject else None})[employee]
        present = {*subjects, *(one.name for one in inventory)}
        former = {one.name for one in FormerNames(state.former_names).of(employee)} - present
        others = (present | {*_with_files(state)}) - {employee} - former
        acts = [*_kept(own), *_waiting(inbox, employee)]
        readable = tuple(act for act in acts if not others & people_in(act.content.encode()))
        return HeldData(
            employee=employee,
            inventory=next((one for one in inventory if one.name == employee), None),
            subject=subject,
            records=tuple(_records(state, subject)) if subject else (),
            files=_files(own, employee),
            revoked_at=Revocations(state.revocations).revoked_at(employee),
            sessions=tuple(own.sessions),
            acts=readable,
            left_out=len(acts) - len(readable),
            evidence=_evidence(own, subject),
            page=_page(portal_data, employee),
        )
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read ({error.strerror}); nothing was written. Replace it by the real file."
        ) from None


def _page(portal_data: Path | None, employee: str) -> Mapping[str, Any] | None:
    path = find_pages(portal_data, [employee]).get(employee)
    return None if path is None else _json(path)


def _with_files(state: StateDir) -> Iterator[str]:
    for folder in (*state.by_employee, state.revocations):
        yield from (path.name.removesuffix(".json") for path in folder.glob("*.json"))


def _records(state: StateDir, subject: Subject) -> Iterator[HeldRecord]:
    own = [(line, record) for line, record in read_lines(state.audit.log) if record.get("subject") == subject.pseudonym]
    prover = Prover(state.audit, read_keys(state.audit.vkey)) if own else None
    for line, record in own:
        is_ours = record.get("operator_claimed") is None
        is_signed = prover is not None and record["seq"] < prover.size
        proof = prover.prove(record["seq"], line).text if prover and is_ours and is_signed else None
        yield HeldRecord({name: value for name, value in record.items() if name not in OPERATOR}, proof)


def _files(own: OwnFiles, employee: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(own.by_employee, key=lambda path: path.name.startswith(".")):
        try:
            content = _json(path)
        except InputError:
            if path.name.startswith("."):
                continue  # a crash left it unfinished; what was to be in it is nowhere
            raise
        if content.get("employee") != employee:
            raise InputError(f"{path} names another employee; restore it from a backup. Nothing was written.")
        found.setdefault(path.parent.name, []).append(content)
    return found


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(read_regular(path, MAX_FILE, follow=False))
    except ValueError:
        raise InputError(f"{path} is damaged; restore it from a backup. Nothing was written.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged; restore it from a backup. Nothing was written.")
    return content


def _kept(own: OwnFiles) -> Iterator[HeldAct]:
    for path in own.acts:
        text = read_regular(path, MAX_ACT, follow=False).decode("utf-8", "replace")
        try:
            kept = json.loads(text)
            yield HeldAct(path.parent.name, path.name, kept["content"], kept["refusal"])
        except (ValueError, KeyError, TypeError):
            yield HeldAct(path.parent.name, path.name, text, None)


def _waiting(inbox: Path | None, employee: str) -> Iterator[HeldAct]:
    for one in find_waiting(inbox, [employee]).get(employee, ()):
        yield HeldAct("waiting", one.name, one.content.decode("utf-8", "replace"), None)


def _evidence(own: OwnFiles, subject: Subject | None) -> Mapping[str, bytes]:
    kinds = tuple(f".{kind}" for kind in EvidenceKind)
    return {
        f"{path.parent.name}{path.name.removeprefix(subject.pseudonym)}": read_regular(path, MAX_PICTURE, follow=False)
        for path in sorted(own.evidence)
        if subject is not None and path.name.startswith(subject.pseudonym) and path.name.endswith(kinds)
    }

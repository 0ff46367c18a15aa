"""Gives all that a state holds of an employee to another name of theirs: written for the new name, then deleted for the
old one.

The intent comes first (`FormerNames.begin`). Every step may be repeated, so after a crash the same rename completes it;
until then nothing else is done with the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleet.audit import records
from fleet.audit.operator import Operator
from fleet.audit.pseudonyms import Subject, known_subjects
from fleet.audit.segments import read_records
from fleet.authority.former_names import FormerNames, Rename
from fleet.authority.person_files import AnyContent, PersonFiles
from fleet.errors import InputError
from fleet.inventory.employee import Employee
from fleet.paths import StateDir
from fleet.sessions.store import SessionInfo, SessionStore, read_identity
from fleet.state.writer import Writer


def require_no_unfinished_rename(state: StateDir) -> None:
    """Refuse a state whose files are partly those of the old name, partly of the new. Raises InputError."""
    rename = FormerNames(state.former_names).unfinished()
    if rename is not None:
        raise InputError(
            f"The rename of {rename} was interrupted; nothing was done in {state.root}. Give that command again: "
            f"fleet inventory rename {rename.old} {rename.new}"
        )


def require_names_of_today(state: StateDir, employees: Collection[Employee]) -> None:
    """Refuse an inventory that has an employee under a former name, and not under the present one. Raises InputError.

    A new employee may have a former name of another one.
    """
    names = {employee.name for employee in employees}
    former = {old: new for old, new in FormerNames(state.former_names).all().items() if old in names}
    known = known_subjects(state.audit.subjects) if former else {}
    for old, new in former.items():
        if new not in names and old not in known:
            raise InputError(
                f"{old} was renamed to {new}, and the inventory still has {old}; correct it, then run again. "
                "No account was visited."
            )


@dataclass(frozen=True)
class Renaming:
    """One rename of an employee's data in a state."""

    writer: Writer
    rename: Rename

    @property
    def _former(self) -> FormerNames:
        return FormerNames(self.writer.state.former_names)

    def require_possible(self, employees: Collection[Employee], *, may_be_there: bool) -> bool:
        """Return True if there is something to do, False if it was done before.

        `may_be_there` accepts an inventory that has the new name already, in place of the old one. Raises InputError.
        """
        old, new = self.rename.old, self.rename.new
        unfinished = self._former.unfinished()
        if unfinished == self.rename:
            return True
        if unfinished is not None:
            require_no_unfinished_rename(self.writer.state)
        hosts, data = {employee.name for employee in employees}, self._data_of(old)
        if old not in hosts and data is None:
            if self._former.all().get(old) == new:
                return False
            raise InputError(f"{old} is not in the inventory, the log or the state; nothing was renamed. Check it.")
        if may_be_there and old in hosts:
            raise InputError(f"{old} is in the inventory; nothing was renamed. Leave out --already-there.")
        taken = self._data_of(new) or self._trace_of(new)
        if taken is not None:
            raise InputError(f"{new} {taken}; nothing was renamed. Choose a name that nobody has or had.")
        if new in hosts and not may_be_there:
            raise InputError(
                f"{new} is in the inventory already; nothing was renamed. If it is {old}, and {old} is no longer "
                "there, add --already-there."
            )
        if any(new in employee.groups for employee in employees):
            raise InputError(f"{new} is the name of a group in the inventory; nothing was renamed. Choose another.")
        return True

    def _data_of(self, name: str) -> str | None:
        """Return where there is data of an employee with this name, to complete a sentence, or None."""
        state = self.writer.state
        if self.writer.subjects.get(name) is not None:
            return "is in the log"
        if any(session.employee == name for session in SessionStore(state).list()):
            return "has a session in the state"
        folders = (folder.name for folder in state.by_employee if name in PersonFiles(folder, AnyContent).names())
        return next((f"has a file in {folder}" for folder in folders), None)

    def _trace_of(self, name: str) -> str | None:
        """Return what else is known of a name that is not one of the employee's own former ones, or None."""
        if name in {one.name for one in self._former.of(self.rename.old)}:
            return None  # the rename is undone
        if name in self.writer.revocations:
            return "has a revocation in the state"
        who = self._former.all().get(name)
        return None if who is None else f"is a former name of {who}"

    async def begin(self, identity: Path, operator_claimed: str | None) -> int:
        """Write everything for the new name, and record it; return how many sessions there are.

        Raises InputError and SessionError if nothing was changed, AuditError and OSError if it must be completed.
        """
        old, new, subjects = self.rename.old, self.rename.new, self.writer.subjects
        store = SessionStore(self.writer.state)
        copies = self._copies(store, identity)
        is_new = self._former.unfinished() is None
        if is_new:
            self._former.begin(self.rename, datetime.now(UTC).date())
        subject = subjects.get(old) or subjects.get(new) or subjects.of({old: None})[old]
        if is_new or not self._is_recorded(subject):
            await self._record(subject, operator_claimed)
        self.writer.revocations.copy(old, new)  # first: who has revoked is never open under either name
        for folder in self.writer.state.by_employee:
            PersonFiles(folder, AnyContent).copy(old, new)
        store.store(copies)
        subjects.rename(old, new)
        return len(copies)

    async def _record(self, subject: Subject, operator_claimed: str | None) -> None:
        await self.writer.log.append(
            records.EMPLOYEE_RENAMED,
            None,
            **Operator(operator_claimed).fields,
            subject=subject.pseudonym,
            old_hmac=subject.hmac("name", self.rename.old),
            new_hmac=subject.hmac("name", self.rename.new),
        )
        await asyncio.to_thread(self.writer.log.sign)

    def complete(self) -> None:
        """Delete everything of the old name but a revocation, which stays. Raises InputError and OSError."""
        old, state = self.rename.old, self.writer.state
        store = SessionStore(state)
        for session in [one for one in store.list() if one.employee == old]:
            store.remove(old, session.service)
        for folder in state.by_employee:
            PersonFiles(folder, AnyContent).remove(old)
        self._former.complete(self.rename)

    def _copies(self, store: SessionStore, identity: Path) -> list[tuple[bytes, SessionInfo]]:
        """Return the employee's sessions, sealed for the new name. The identity is read only if there is one."""
        if all(session.employee != self.rename.old for session in store.list()):
            return []
        try:
            opens = read_identity(identity)
        except InputError as error:
            raise InputError(f"{error} It is needed to seal {self.rename.old}'s sessions for the new name.") from None
        return store.copies(self.rename.old, self.rename.new, opens)

    def _is_recorded(self, subject: Subject) -> bool:
        """Return True if the log has the record of this rename: an interrupted one may have been recorded."""
        old, new = subject.hmac("name", self.rename.old), subject.hmac("name", self.rename.new)
        last = None
        for record in read_records(self.writer.state.audit.log):
            if record["event"] == records.EMPLOYEE_RENAMED and record["subject"] == subject.pseudonym:
                last = record["old_hmac"], record["new_hmac"]
        return last == (old, new)

"""The files of a state that are about one person, for handing them out and for erasing them.

Files of `StateDir.by_employee`, former names, sessions and what a crash left of them are found by their names, evidence
by the pseudonym, and what arrived from the portal by its content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.authority.former_names import FormerNames
from fleet.authority.given import GivenMandates
from fleet.authority.inbox import Arrived, Inbox, RevokeAct
from fleet.errors import InputError
from fleet.model import SAFE_NAME
from fleet.paths import StateDir, read_regular
from fleet.sessions.store import SessionInfo, SessionStore

CUT_OFF = 40
"""Older versions kept at most this many characters of a file's name in its temporary name."""
MAX_ACT = 256 * 1024
"""Bytes of a file of `portal/done` or `portal/refused`: an act of the inbox, escaped, with its refusal."""
MAX_PAGE = 4 * 1024 * 1024
_UNFINISHED = re.compile(r"\.(.+)\.json\.[a-z0-9_]{8}")
"""A temporary name of `write_private` for a file of `by_employee`, left by a crash."""
_NAME = re.compile(r"[A-Za-z0-9._@+-]+")
_NOT_PEOPLE = frozenset(
    (
        "v",
        "act",
        "at",
        "service",
        "control",
        "said",
        "services",
        "controls",
        "profiles",
        "text",
        "granted_on",
        "expires_on",
    )
)
"""Fields of acts and statements whose values name no employee, although they may be equal to an employee's name."""


@dataclass
class OwnFiles:
    """The files about one person."""

    pseudonym: str | None = None
    sessions: list[SessionInfo] = field(default_factory=list)
    session_rests: list[Path] = field(default_factory=list)
    """Side files and temporary files of their sessions, left by a crash."""
    evidence: list[Path] = field(default_factory=list)
    """Pictures of controls and labels, one folder for each run."""
    by_employee: list[Path] = field(default_factory=list)
    """Files of this person alone: what they said, gave, asked for and were sent."""
    acts: list[Path] = field(default_factory=list)
    """What `fleet portal ingest` took in or refused and that names them, or has a token of theirs."""

    @property
    def is_anything(self) -> bool:
        """Return True if there is anything to erase."""
        files = (self.sessions, self.session_rests, self.evidence, self.by_employee, self.acts)
        return self.pseudonym is not None or any(files)


def find_own_files(state: StateDir, pseudonyms: Mapping[str, str | None]) -> dict[str, OwnFiles]:
    """Return the files about each of these people; each folder is listed only once. Raises OSError."""
    found = {name: OwnFiles(pseudonym) for name, pseudonym in pseudonyms.items()}
    for session in SessionStore(state).list():
        if session.employee in found:
            found[session.employee].sessions.append(session)
    for folder in (*state.by_employee, state.former_names):
        for path in folder.glob("*"):
            unfinished = _UNFINISHED.fullmatch(path.name)
            name = unfinished[1] if unfinished else path.name.removesuffix(".json")
            if name in found:
                found[name].by_employee.append(path)
    _find_acts(state, found)
    by_pseudonym = {one.pseudonym: one for one in found.values() if one.pseudonym}
    # Includes files left by a crash: temporary names begin with a dot.
    for path in state.evidence.glob("*/*"):
        if (one := by_pseudonym.get(path.name.lstrip(".").partition(".")[0])) is not None:
            one.evidence.append(path)
    _find_session_rests(state, found)
    return found


def find_waiting(inbox: Path | None, employees: Collection[str]) -> dict[str, list[Arrived]]:
    """Return the acts in the portal's inbox that name these people, whether or not they will be refused.

    Raises InputError if it cannot be read.
    """
    found: dict[str, list[Arrived]] = {}
    for one in Inbox(inbox).arrived() if inbox is not None else ():
        for name in people_in(one.content) & {*employees}:
            found.setdefault(name, []).append(one)
    return found


def find_pages(portal_data: Path | None, employees: Collection[str]) -> dict[str, Path]:
    """Return what `fleet portal publish` wrote for these people's own pages. Raises OSError."""
    found: dict[str, Path] = {}
    for path in (portal_data / "people").glob("*.json") if portal_data is not None else ():
        with suppress(ValueError):  # not a page that we wrote
            page = json.loads(read_regular(path, MAX_PAGE, follow=False))
            if isinstance(page, dict) and page.get("employee") in employees:
                found[page["employee"]] = path
    return found


def erase_in_portal(inbox: Path | None, portal_data: Path | None, employees: Collection[str]) -> set[str]:
    """Delete what waits in the inbox and what the portal shows, and return whose that was; revocations stay.

    Raises InputError and OSError.
    """
    waiting, pages = find_waiting(inbox, employees), find_pages(portal_data, employees)
    erased = set(pages)
    for name, acts in waiting.items():
        for one in acts:
            if not isinstance(one.act, RevokeAct) and inbox is not None and Inbox(inbox).remove(one.name):
                erased.add(name)
    for path in pages.values():
        path.unlink(missing_ok=True)
    return erased


def people_in(act: bytes) -> set[str]:
    """Return what may name a person in a file of `portal/done` or `portal/refused`: employees' names and ID tokens.

    Of a refused act nothing is certain: in fields that no act has, and in a damaged one, every word may be a name.
    """
    text = act.decode("utf-8", "replace")
    try:
        kept = json.loads(text)
        return {*_words(kept, "kept")} if isinstance(kept, dict) else {*_NAME.findall(text)}
    except (ValueError, RecursionError):
        return {*_NAME.findall(text)}


def _words(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name not in _NOT_PEOPLE:
                yield from _words(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _words(one, key)
    elif isinstance(value, str):
        if value.lstrip().startswith("{"):  # an act, and in it the statement of a mandate
            with suppress(ValueError):
                yield from _words(json.loads(value), key)
                return
        yield from _NAME.findall(value)


def _find_acts(state: StateDir, found: Mapping[str, OwnFiles]) -> None:
    """Find acts by today's name, a former one, or a token: one that was refused may name somebody else."""
    whose: dict[str, set[str]] = {name: {name} for name in found}
    for former, name in FormerNames(state.former_names).all().items():
        if name in found:
            whose.setdefault(former, set()).add(name)
    for name in found:
        for token in _tokens(state, name):
            whose.setdefault(token, set()).add(name)
    for path in state.portal.glob("*/*"):
        if path.is_symlink() or not path.is_file():
            continue
        words = whose.keys() & people_in(read_regular(path, MAX_ACT))
        for name in set().union(*(whose[word] for word in words)):
            found[name].acts.append(path)


def _tokens(state: StateDir, employee: str) -> Iterable[str]:
    if not SAFE_NAME.fullmatch(employee):
        return ()
    try:
        given = GivenMandates(state.mandates).of(employee).mandates
    except InputError:
        return ()  # damaged: it goes all the same, and acts are found by the name
    return [mandate.id_token for mandate in given if mandate.id_token is not None]


def _find_session_rests(state: StateDir, found: Mapping[str, OwnFiles]) -> None:
    cut_off: dict[str, list[str]] = {}
    for name in found:
        cut_off.setdefault(f"{name}."[:CUT_OFF], []).append(name)
    for path in state.sessions.glob("*"):
        stem = path.name.removeprefix(".")
        dots = [at for at, letter in enumerate(stem) if letter == "."]
        for name in {*(stem[:at] for at in dots), *cut_off.get(stem[:CUT_OFF], ())} & found.keys():
            live = {f"{name}.{session.service}.age" for session in found[name].sessions}
            if path.name not in live and _is_rest_of(path.name, name):
                found[name].session_rests.append(path)


def _is_rest_of(name: str, employee: str) -> bool:
    """Return True for a side or temporary file of one of this employee's sessions; not of `anna.keller` for `anna`."""
    own = rf"\.?{re.escape(employee)}\.[a-z0-9_]+(\.(age|json))?(\.[a-z0-9_]{{8}})?"
    cut = rf"(?=.{{50}}$)\.{re.escape(f'{employee}.'[:CUT_OFF])}[a-z0-9_]*(\.[a-z]*)?\.[a-z0-9_]{{8}}"
    return re.fullmatch(f"{own}|{cut}", name) is not None

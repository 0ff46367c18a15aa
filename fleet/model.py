"""The product's vocabulary: outcomes, readings, reasons and exit codes. No I/O, no dependencies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Reading(StrEnum):
    """What a control's state means for its employee: data still used (`in`), or opted out (`out`)."""

    IN = "in"
    OUT = "out"


class Outcome(StrEnum):
    """How a control ended in a run. Exactly one per planned employee × service × control."""

    ALREADY_OPTED_OUT = "already_opted_out"
    OPTED_OUT = "opted_out"
    WOULD_OPT_OUT = "would_opt_out"
    NOT_OFFERED = "not_offered"
    SUBMITTED = "submitted"
    ATTESTED = "attested"
    WAIVED = "waived"
    NO_MANDATE = "no_mandate"
    NOT_PERMITTED = "not_permitted"
    ADMIN_NEEDED = "admin_needed"
    EMPLOYEE_NEEDED = "employee_needed"
    SIGN_IN_NEEDED = "sign_in_needed"
    CHALLENGED = "challenged"
    WRONG_ACCOUNT = "wrong_account"
    PAGE_CHANGED = "page_changed"
    NOT_SAVED = "not_saved"
    UNKNOWN = "unknown"
    ERROR = "error"
    NOT_RUN = "not_run"

    @property
    def is_done(self) -> bool:
        """Return True if nothing is left to do today."""
        return self.exit_code == EXIT_OK

    @property
    def is_excused(self) -> bool:
        """Return True if nothing is left to do because of an agreement, not of a reading."""
        return self is Outcome.WAIVED

    @property
    def is_failed(self) -> bool:
        """Return True if Ansible reports the host as failed for it."""
        return self in FAILED

    @property
    def is_changed(self) -> bool:
        """Return True if something was changed at the service, as Ansible counts it."""
        # Of `submitted`, a run only finds the record: people send the request.
        return self in (Outcome.OPTED_OUT, Outcome.WOULD_OPT_OUT)

    @property
    def exit_code(self) -> int:
        """Exit code of a run in which this is the only outcome."""
        return EXIT_CODE_OF[self]


FAILED = frozenset(
    {
        Outcome.SIGN_IN_NEEDED,
        Outcome.CHALLENGED,
        Outcome.WRONG_ACCOUNT,
        Outcome.PAGE_CHANGED,
        Outcome.NOT_SAVED,
        Outcome.UNKNOWN,
        Outcome.ERROR,
        Outcome.NOT_RUN,
    }
)

EXIT_OK = 0
EXIT_TOOL_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_PERSON_NEEDED = 3
EXIT_STILL_IN = 4
EXIT_NOT_PROVED = 5
EXIT_INTERRUPTED = 130

EXIT_CODE_OF: dict[Outcome, int] = {
    Outcome.ALREADY_OPTED_OUT: EXIT_OK,
    Outcome.OPTED_OUT: EXIT_OK,
    Outcome.NOT_OFFERED: EXIT_OK,
    Outcome.SUBMITTED: EXIT_OK,
    Outcome.WAIVED: EXIT_OK,
    Outcome.ATTESTED: EXIT_PERSON_NEEDED,
    Outcome.NO_MANDATE: EXIT_PERSON_NEEDED,
    Outcome.NOT_PERMITTED: EXIT_PERSON_NEEDED,
    Outcome.ADMIN_NEEDED: EXIT_PERSON_NEEDED,
    Outcome.EMPLOYEE_NEEDED: EXIT_PERSON_NEEDED,
    Outcome.SIGN_IN_NEEDED: EXIT_PERSON_NEEDED,
    Outcome.CHALLENGED: EXIT_PERSON_NEEDED,
    Outcome.WRONG_ACCOUNT: EXIT_PERSON_NEEDED,
    Outcome.WOULD_OPT_OUT: EXIT_STILL_IN,
    Outcome.NOT_SAVED: EXIT_STILL_IN,
    Outcome.PAGE_CHANGED: EXIT_NOT_PROVED,
    Outcome.UNKNOWN: EXIT_NOT_PROVED,
    Outcome.ERROR: EXIT_NOT_PROVED,
    Outcome.NOT_RUN: EXIT_NOT_PROVED,
}

EXIT_MEANING: dict[int, str] = {
    EXIT_OK: "everything planned is done",
    EXIT_TOOL_FAILED: "the tool itself failed",
    EXIT_BAD_INPUT: "the command or an input file is wrong",
    EXIT_PERSON_NEEDED: "a person must act before the rest can be done",
    EXIT_STILL_IN: "at least one setting is still opted in",
    EXIT_NOT_PROVED: "at least one setting could not be read or set",
    EXIT_INTERRUPTED: "the run was interrupted",
}

OUTCOME_MEANING: dict[Outcome, str] = {
    Outcome.ALREADY_OPTED_OUT: "read as opted out; nothing was done",
    Outcome.OPTED_OUT: "set, the page loaded again, and read back as opted out",
    Outcome.WOULD_OPT_OUT: "check mode: read as opted in; a run without `--check` would set it",
    Outcome.NOT_OFFERED: "the page says that this account does not have the control",
    Outcome.SUBMITTED: "the organization sent its request, and the service confirmed it (`fleet services submitted`)",
    Outcome.ATTESTED: "the employee says that they did it, and no page was read; 0 where `attestation` accepts it",
    Outcome.WAIVED: "an agreed exception is in force",
    Outcome.NO_MANDATE: "the mandate is missing, expired, revoked or does not cover the service; not touched",
    Outcome.NOT_PERMITTED: "the service is stopped, or its terms or the use of personal sessions were not accepted",
    Outcome.ADMIN_NEEDED: "only the service's administrator can do it (no recipe does this yet)",
    Outcome.EMPLOYEE_NEEDED: "only the employee can go on, such as by entering their profile; not touched",
    Outcome.SIGN_IN_NEEDED: "there is no session, or it has ended",
    Outcome.CHALLENGED: "the service asks for a CAPTCHA, a code or the like; the visit ended there",
    Outcome.WRONG_ACCOUNT: "another person is signed in",
    Outcome.PAGE_CHANGED: "the page, the person or the control was not found exactly as declared; not touched",
    Outcome.NOT_SAVED: "set, but read back as still opted in",
    Outcome.UNKNOWN: "set, but the result could not be read; the next run reads first",
    Outcome.ERROR: "network, browser or data error, or a bug in Fleet Opt-Out; the reason says which",
    Outcome.NOT_RUN: "planned, but never reached",
}


SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
"""Allowed employee names: host names in Ansible, parts of file names here. A leading dot is left to temporary files."""
SERVICE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""Allowed service names in recipes, inventories and the log."""
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
"""Run names: start time (UTC) and a few random digits."""


class Reason(StrEnum):
    """Why a control has its outcome. The only description of a cause that reaches the log."""

    # attested: what the employee said
    SWITCHED = "switched"
    WAS_OFF = "was_off"
    SENT = "sent"
    # no_mandate
    NO_MANDATE_GIVEN = "no_mandate_given"
    MANDATE_EXPIRED = "mandate_expired"
    MANDATE_NOT_YET_VALID = "mandate_not_yet_valid"
    MANDATE_REVOKED = "mandate_revoked"
    MANDATE_OF_ANOTHER = "mandate_of_another"
    MANDATE_MISSES_SERVICE = "mandate_misses_service"
    MANDATE_MISSES_CONTROL = "mandate_misses_control"
    MANDATE_TOO_WEAK = "mandate_too_weak"
    MANDATES_UNREADABLE = "mandates_unreadable"
    ANSWERS_UNREADABLE = "answers_unreadable"
    NOT_ALLOWED = "not_allowed"
    CLOSED = "closed"
    REVOCATIONS_UNREADABLE = "revocations_unreadable"
    # not_permitted
    TERMS_FORBID = "terms_forbid"
    SERVICE_STOPPED = "service_stopped"
    STOPS_UNREADABLE = "stops_unreadable"
    PERSONAL_SESSION = "personal_session"
    COUNTRY = "country"
    # employee_needed
    PROFILE_UNKNOWN = "profile_unknown"
    EMPLOYEE_SIGNS = "employee_signs"
    # admin_needed
    ORGANIZATION_SIGNS = "organization_signs"
    # sign_in_needed
    NO_SESSION = "no_session"
    SIGNED_OUT = "signed_out"
    # challenged
    CAPTCHA = "captcha"
    CODE = "code"
    DEVICE_APPROVAL = "device_approval"
    RESTRICTION = "restriction"
    CHALLENGE = "challenge"
    # page_changed
    ADDRESS = "address"
    IDENTITY = "identity"
    NOT_FOUND = "not_found"
    SEVERAL = "several"
    COVERED = "covered"
    LABEL = "label"
    DEAD = "dead"
    DISABLED = "disabled"
    UNSTABLE = "unstable"
    STATE_UNREADABLE = "state_unreadable"
    SAVE_BUTTON = "save_button"
    # not_saved, unknown
    STILL_IN = "still_in"
    SAVE_REFUSED = "save_refused"
    SAVE_UNANSWERED = "save_unanswered"
    DIALOG = "dialog"
    NOT_SENT = "not_sent"
    DATA_MISSING = "data_missing"
    OTHER_PERSON = "other_person"
    CLICK_FAILED = "click_failed"
    # error
    BAD_DATA = "bad_data"
    UNKNOWN_SERVICE = "unknown_service"
    SESSION_UNREADABLE = "session_unreadable"
    NETWORK = "network"
    REFUSED_HOST = "refused_host"
    TLS = "tls"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVICE_ERROR = "service_error"
    FORBIDDEN = "forbidden"
    BROWSER_CRASHED = "browser_crashed"
    WORKER_LOST = "worker_lost"
    INTERNAL = "internal"
    # unknown, not_run
    INTERRUPTED = "interrupted"
    AGENT_ENDED = "agent_ended"
    AUDIT_FAILED = "audit_failed"
    PLAY_ENDED = "play_ended"
    CIRCUIT_OPEN = "circuit_open"


STOPPING = frozenset({Reason.SERVICE_STOPPED, Reason.STOPS_UNREADABLE})
"""Reasons that stop a whole service."""


def outcome_of_refusal(reason: Reason) -> Outcome:
    """Return the outcome of a control that was refused a moment before the click, from the reason found then."""
    return Outcome.NOT_PERMITTED if reason in STOPPING else Outcome.NO_MANDATE


class ControlKind(StrEnum):
    """The kind of element that a control is on its page."""

    # How each is found and read: fleet/browser/control_kinds.py
    SWITCH = "switch"
    CHECKBOX = "checkbox"
    RADIO = "radio"


class RequestKind(StrEnum):
    """What a request is that a person signs and sends: a form at the service, or a letter to it."""

    FORM = "form"
    LETTER = "letter"


@dataclass(frozen=True)
class Accepted:
    """The organization's decisions to count as done what no page was read for."""

    attestations: Mapping[str, str] = field(default_factory=dict)
    """By service, who decided that an attestation counts."""
    closed: bool = False
    """Whether it counts as done that an employee leaves a control as it is."""

    def by(self, service: str | None, reason: Reason | None) -> str | None:
        """Return the decision about a control that ended for a reason; None if there is none."""
        if reason is Reason.CLOSED:
            return "closed: ok" if self.closed else None
        return self.attestations.get(service or "")


@dataclass(frozen=True)
class Result:
    """The final result for one employee × service × control.

    `service` is None if the employee's data names no readable service, `control` is None if the service is unknown.
    `service_name` is the service's display name, such as `LinkedIn`; None if no recipe gives it one. `duration_ms` is
    wall time spent on this account, 0 if no browser was needed. `refused_hosts` (`host:port`) are the hosts that the
    page requested and the recipe does not list. An `attested` result has the day on which the employee said so (UTC),
    and `accepted_by`, the organization's decision to count it as done, if there is one; so has a closed one.
    """

    employee: str
    service: str | None
    control: str | None
    outcome: Outcome
    before: Reading | None = None
    after: Reading | None = None
    reason: Reason | None = None
    duration_ms: int = 0
    refused_hosts: tuple[str, ...] = ()
    service_name: str | None = None
    attested_on: date | None = None
    accepted_by: str | None = None

    @property
    def exit_code(self) -> int:
        """Exit code of a run in which this is the only result."""
        may_be_accepted = self.outcome is Outcome.ATTESTED or self.reason is Reason.CLOSED
        return EXIT_OK if may_be_accepted and self.accepted_by is not None else self.outcome.exit_code

    @property
    def is_done(self) -> bool:
        """Return True if nothing is left to do today."""
        return self.exit_code == EXIT_OK


def control_name(service: str | None, control: str | None, otherwise: str = "") -> str:
    """Return a control's display name, such as `linkedin.ai_training`; `otherwise` if neither part can be read."""
    return ".".join(part for part in (service, control) if part) or otherwise


def count_outcomes(results: Iterable[Result]) -> dict[str, int]:
    """Count results by outcome, in the order of the enum, without zeros."""
    found = Counter(result.outcome for result in results)
    return {outcome.value: found[outcome] for outcome in Outcome if found[outcome]}


FAILING = frozenset(outcome for outcome in Outcome if not outcome.is_done)
"""The outcomes that fail a run, unless --fail-on names some of them."""


def exit_code_of(results: Iterable[Result], fail_on: Container[Outcome] = FAILING) -> int:
    """Return the exit code of a run: of the `fail_on` outcomes that apply, 5 before 4 before 3; 0 if none applies."""
    return max((result.exit_code for result in results if result.outcome in fail_on), default=EXIT_OK)


def counted(number: int, noun: str) -> str:
    """Format a number and its noun, plural if needed: `1 record`, `12,000 records`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

"""Errors that are printed as one sentence, without a traceback. Everything else is a bug and is raised.

Grouped by who must act. Each message says what happened, to what, and what to do now.
"""

from __future__ import annotations


class FleetError(Exception):
    """Base of all errors meant for people. `exit_code` is what `fleet` ends with (see docs/exit-codes in README)."""

    exit_code = 1


class InputError(FleetError):
    """The command line or an input file is wrong; the caller mends it. Nothing was touched."""

    exit_code = 2


class BusyError(InputError):
    """Somebody else is writing to this state directory: `owner` says who, such as a run.

    `socket` is where a run can be asked to write, as its lock says; None for a command that will soon be done.
    """

    def __init__(self, message: str, owner: str = "", socket: str | None = None) -> None:
        super().__init__(message)
        self.owner = owner
        self.socket = socket


class WorkerError(FleetError):
    """A worker cannot be reached or used, or was lost: `worker` is its name."""

    def __init__(self, message: str, worker: str) -> None:
        super().__init__(message)
        self.worker = worker


class BrowserMissingError(FleetError):
    """No usable browser on this machine; an administrator installs one."""


class AuditError(FleetError):
    """The audit log cannot be written or read; nothing further may be touched."""


class AgentError(FleetError):
    """The agent did not start, or ended before the run did."""


class SessionError(FleetError):
    """A sealed session cannot be opened or is not what it should be.

    `reason` is a code of `fleet.model.Reason`: only that code reaches the log, never this text.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

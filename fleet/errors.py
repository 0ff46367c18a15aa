"""Errors that are printed as one sentence, without a traceback. Everything else is a bug and is raised.

Grouped by who must act. Each message says what happened, to what, and what to do now.
"""

from __future__ import annotations

import errno


class FleetError(Exception):
    """Base of all errors meant for people. `exit_code` is what `fleet` ends with (docs/reference.md)."""

    exit_code = 1


_WHAT_TO_DO = {
    errno.ENOSPC: "make room there and run again",
    errno.EDQUOT: "make room there and run again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) and run again",
    errno.EMFILE: "raise the limit on open files (ulimit -n) and run again",
    errno.EROFS: "make it writable, or name another place",
    errno.EACCES: "see that this user may read and write it",
    errno.EPERM: "see that this user may read and write it",
    errno.EIO: "check the disk",
}


def told(error: OSError) -> str:
    """What the system refused, where, and what to do now: a sentence for what nothing else has a word for."""
    where = f"{error.filename}: " if error.filename is not None else ""
    why = error.strerror or str(error) or type(error).__name__
    return f"{where}{why}; {_WHAT_TO_DO.get(error.errno or 0, 'fix that and run again')}."


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

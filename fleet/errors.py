"""Errors printed as one sentence, without a traceback. Everything else is a bug and is raised.

Grouped by who must act. Each message says what happened, where, and what to do now.
"""

from __future__ import annotations

import errno


class FleetError(Exception):
    """Base of all errors meant for people. `exit_code` is the exit code of `fleet` (docs/reference.md)."""

    exit_code = 1


_WHAT_TO_DO = {
    errno.ENOSPC: "free space there and run again",
    errno.EDQUOT: "free space there and run again",
    errno.EFBIG: "raise the file size limit (ulimit -f) and run again",
    errno.EMFILE: "raise the open file limit (ulimit -n) and run again",
    errno.EROFS: "make it writable, or choose another path",
    errno.EACCES: "give this user read and write access",
    errno.EPERM: "give this user read and write access",
    errno.EIO: "check the disk",
}


def told(error: OSError) -> str:
    """Return what the system refused, where, and what to do now, for an error that no other message covers."""
    where = f"{error.filename}: " if error.filename is not None else ""
    why = error.strerror or str(error) or type(error).__name__
    return f"{where}{why}; {_WHAT_TO_DO.get(error.errno or 0, 'fix that and run again')}."


class InputError(FleetError):
    """The command line or an input file is wrong; the caller must fix it. Nothing was touched."""

    exit_code = 2


class BusyError(InputError):
    """Another process is writing to this state directory: `owner` names it, such as a run.

    `socket` is where that run accepts requests to write, as its lock file states; None for a short-lived command.
    """

    def __init__(self, message: str, owner: str = "", socket: str | None = None) -> None:
        super().__init__(message)
        self.owner = owner
        self.socket = socket


class WorkerError(FleetError):
    """A worker is unreachable, unusable or was lost: `worker` is its name."""

    def __init__(self, message: str, worker: str) -> None:
        super().__init__(message)
        self.worker = worker


class SignInError(FleetError):
    """The person at the desk did not sign in, or is somebody else; they must sign in. Nothing was stored."""

    exit_code = 3


class BrowserMissingError(FleetError):
    """No usable browser on this machine; an administrator must install one."""


class AuditError(FleetError):
    """The audit log cannot be written or read; nothing further may be touched."""


class AgentError(FleetError):
    """The agent did not start, or ended before the run did."""


class SessionError(FleetError):
    """A sealed session cannot be opened or has unexpected content.

    `reason` is a code of `fleet.model.Reason`: only that code reaches the log, never this text.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

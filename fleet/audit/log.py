"""The only writer of the audit log.

Promises: a record is on disk (fdatasync) before `append` returns; after a failed write or sync nothing more is
appended, except the end of the run if the disk was full; there is one writer per state directory; every record is
signed after the next 1,000 records at the latest, or when the log is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from fleet.audit import records
from fleet.audit.keys import read_keys
from fleet.audit.recovery import recover
from fleet.audit.segment_writer import SegmentWriter
from fleet.audit.signed_note import SigningKey
from fleet.errors import AuditError, BusyError, FleetError, InputError
from fleet.paths import AuditDir, is_there, make_private_dir, sync_folder

BALLAST_BYTES = 8 * 1024 * 1024
"""Space for some 20,000 records: the end of a run when the disk is full."""
PATIENCE = 5.0
"""Seconds that a command which writes to the log needs at most."""
_POLL = 0.05
"""Seconds between two checks whether another writer has ended."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class AuditLog:
    """Appends records with group commit: all waiting records are written and synced together, in order."""

    def __init__(
        self, places: AuditDir, owner: str, key: SigningKey, *, socket: Path | None = None, patience: float = 0.0
    ) -> None:
        """Open for writing. A second writer is shown `owner`, such as a run id, and `socket`, where it may ask this one
        to write. If the other writer has no socket and so ends soon, wait for it up to `patience` seconds.

        A torn last line (a crash during a write) is moved to `torn/`; this, and records that were not signed yet, are
        recorded.

        Raises BusyError if another process is writing or has rotated the key since it was read, AuditError if the log
        cannot be opened, does not match its signature, or the disk is nearly full.
        """
        self._places = places
        make_private_dir(places.log)
        with contextlib.ExitStack() as opened:
            try:
                opened.callback(_release, _take_lock(places, owner, socket, patience))
                sync_folder(places.root)
                if read_keys(places.vkey)[-1] != key.verifier:
                    raise BusyError(f"The key of {places.root} was rotated a moment ago; try again.", owner)
                # Only the key passed in: other users with write access to the folder could add keys.
                found = recover(places, key.verifier)
                _lay_in_ballast(places)
                self._tail = SegmentWriter(places, [key], found)
                opened.callback(self._tail.close)
                self._tail.begin()
            except OSError as error:
                raise AuditError(
                    f"The audit log in {places.root} cannot be opened for writing ({error.strerror}); free space and "
                    "give this user write access."
                ) from None
            self._next_seq, unsigned = found.size, found.size - found.signed
            self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
            self._committer: asyncio.Task[None] | None = None
            self._failure: AuditError | None = None
            self._writing = threading.Lock()
            self._is_full = False
            if found.torn or unsigned:
                length, digest = found.torn or (None, None)
                fields = {"bytes": length, "sha256": digest, "unsigned": unsigned}
                self._try(self._tail.append, [self._line(records.LOG_RECOVERED, None, fields)])
                self._try(self._tail.seal)
            self._opened = opened.pop_all()

    async def append(self, event: str, run: str | None, **fields: Any) -> dict[str, Any]:
        """Append one record and return it once it is durable.

        Raises AuditError if it does not match the schema; nothing is written then. Raises AuditError if it cannot be
        written; every later append raises too.
        """
        if self._failure is not None:
            raise self._failure
        line = self._line(event, run, fields)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, done))
        if self._committer is None or self._committer.done():
            # In a separate task: a canceled visit must not leave a half-acknowledged batch behind.
            self._committer = asyncio.create_task(self._commit_waiting())
        await done
        record: dict[str, Any] = orjson.loads(line)
        return record

    def make_room(self) -> bool:
        """After a full disk: free the ballast, so that the end of the run can be recorded; True if that worked."""
        if not self._is_full or self._tail.is_in_doubt or not is_there(self._places.ballast):
            return False
        self._places.ballast.unlink()
        self._failure, self._next_seq = None, self._tail.size
        return True

    def replace_files(self, work: Callable[[], None]) -> None:
        """Run code that rewrites files of the log, while nothing is appended. Raises AuditError."""

        def working() -> None:
            work()
            self._tail.reopen()

        self._try(working)

    def sign(self) -> None:
        """Sign all records now. Raises AuditError."""
        self._try(self._tail.sign)

    def hand_over(self, key: SigningKey) -> None:
        """Sign all records with the current key and with `key`, which alone signs from then on. Raises AuditError."""
        self._try(self._tail.hand_over, key)

    def close(self) -> None:
        """Sign unsigned records, release the files and the lock; later appends are refused.

        Raises AuditError if the signature cannot be written; everything is released nevertheless.
        """
        try:
            if self._failure is None:
                self._try(self._tail.sign)
        finally:
            with self._writing:  # a thread may be writing a signature
                # Refuse appends from now on: the file descriptor may soon belong to another file.
                self._failure = self._failure or AuditError(f"The audit log in {self._places.root} is closed.")
                self._opened.close()
                self._is_full = False

    def _line(self, event: str, run: str | None, fields: Mapping[str, Any]) -> bytes:
        line = records.render(self._next_seq, event, run, fields)
        self._next_seq += 1
        return line

    async def _commit_waiting(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._tail.room], self._waiting[self._tail.room :]
                try:
                    # In a thread, so that visits to other accounts continue during disk I/O.
                    await asyncio.to_thread(self._try, self._tail.append, [line for line, _ in batch])
                except AuditError:
                    self._waiting = batch + self._waiting
                    raise
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)
                if self._tail.is_due:
                    # Acknowledged records stay acknowledged: a failed signature ends the log, not these records.
                    await asyncio.to_thread(self._try, self._tail.seal)
        except Exception as error:
            for _, done in self._waiting:  # no task may wait forever, whatever failed
                if not done.done():
                    done.set_exception(error)
            self._waiting = []
            if not isinstance(error, AuditError):
                raise

    def _try(self, write: Callable[..., None], *given: Any) -> None:
        with self._writing:
            if self._failure is not None:
                raise self._failure
            try:
                write(*given)
            except (OSError, FleetError) as error:
                # Never sync again after a failed sync: dirty pages may be gone, and the second would report success.
                self._is_full = isinstance(error, OSError) and error.errno in _FULL
                why = error.strerror if isinstance(error, OSError) else error
                self._failure = AuditError(
                    f"The audit log in {self._places.root} cannot be written ({why}); nothing more is touched. "
                    "Free space or fix the disk, then run again."
                )
                raise self._failure from None


def wait_until_free(places: AuditDir, within: float) -> bool:
    """Wait `within` seconds for a run, a few for any other command; return True if there was a wait.

    Raises BusyError on timeout.
    """
    if not is_there(places.lock):
        return False
    try:
        descriptor = os.open(places.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"{places.lock} cannot be opened ({error.strerror}); fix its mode.") from None
    try:
        longest, is_for_runs = max(within, PATIENCE), within > 0
        return _wait_for(descriptor, fcntl.LOCK_SH, places, longest, is_waiting_for_runs=is_for_runs)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def kept_free(places: AuditDir, owner: str) -> Iterator[None]:
    """Keep writers, and so runs, off the log meanwhile; a run that tries to begin is shown `owner`.

    Raises BusyError if a run is in progress, or another command has not ended within a few seconds.
    """
    descriptor = _take_lock(places, owner, None, PATIENCE)
    try:
        yield
    finally:
        _release(descriptor)


def _take_lock(places: AuditDir, owner: str, socket: Path | None, patience: float) -> int:
    descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _wait_for(descriptor, fcntl.LOCK_EX, places, patience, is_waiting_for_runs=False)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{owner} (process {os.getpid()})\n{socket or ''}".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _release(descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)  # the next holder's name is not written at once
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, lock: int, places: AuditDir, within: float, *, is_waiting_for_runs: bool) -> bool:
    deadline, has_waited = time.monotonic() + within, False
    while True:
        try:
            fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
            return has_waited
        except BlockingIOError:
            first, _, socket = os.pread(descriptor, 400, 0).decode("utf-8", "replace").strip().partition("\n")
            if (socket and not is_waiting_for_runs) or time.monotonic() >= deadline:
                first = first or "another run"
                raise BusyError(
                    f"{first} is writing to {places.root.parent}; wait until it has ended.", first, socket or None
                ) from None
        has_waited = True
        time.sleep(_POLL)


def _lay_in_ballast(places: AuditDir) -> None:
    if is_there(places.ballast) and not places.ballast.is_symlink() and places.ballast.stat().st_size == BALLAST_BYTES:
        return
    descriptor = os.open(places.ballast, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
    except OSError:
        places.ballast.unlink()
        raise
    finally:
        os.close(descriptor)

"""The one writer of the audit log, and its reader.

Promises: a record is on disk (fdatasync) before `append` returns; a write or sync that fails poisons the log, and
nothing is appended after it; there is one writer per state directory. Not promised yet: evidence of tampering.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet.audit import records
from fleet.errors import AuditError, BusyError
from fleet.paths import make_private_dir, write_private

_FIRST_SEGMENT = "000000000000.jsonl"


def log_path(folder: Path) -> Path:
    """The file that records are appended to."""
    return folder / "log" / _FIRST_SEGMENT


class AuditLog:
    """Appends records; group commit: all that wait are written and synced together, in order."""

    def __init__(self, folder: Path, owner: str) -> None:
        """Open for writing; `owner` is what a second writer is told, such as a run id.

        A torn last line (a crash in the middle of a write) is moved to `torn/` and recorded.

        Raises BusyError if another process is writing, AuditError if the log cannot be opened.
        """
        self._folder = folder
        path = log_path(folder)
        make_private_dir(path.parent)
        with contextlib.ExitStack() as opened:
            try:
                opened.callback(os.close, _take_lock(folder / "lock", owner))
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                opened.callback(os.close, self._file)
                # A new file is not safe before its name is.
                _sync_folder(path.parent)
                _sync_folder(folder)
                torn = _cut_torn_tail(self._file, folder / "torn")
                self._size = os.fstat(self._file).st_size
                self._next_seq = _last_seq(path) + 1
            except OSError as error:
                raise AuditError(
                    f"{path} cannot be opened for writing ({error.strerror}); make it a file that this user may write."
                ) from None
            self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
            self._committer: asyncio.Task[None] | None = None
            self._failure: AuditError | None = None
            if torn is not None:
                self._commit(self._line(records.LOG_RECOVERED, None, torn))
            self._opened = opened.pop_all()

    async def append(self, event: str, run: str, **fields: Any) -> dict[str, Any]:
        """Append one record and return it once it is durable.

        Raises AuditError if it is not a record of the schema, and nothing has happened then. Raises AuditError if it
        cannot be written; from then on every append raises.
        """
        if self._failure is not None:
            raise self._failure
        line = self._line(event, run, fields)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, done))
        if self._committer is None or self._committer.done():
            # A task of its own: a canceled visit must not leave a half-acknowledged batch behind.
            self._committer = asyncio.create_task(self._commit_waiting())
        await done
        record: dict[str, Any] = json.loads(line)
        return record

    def close(self) -> None:
        """Release the file and the lock. Whoever appends now is refused: the descriptor may be another file's soon."""
        self._failure = self._failure or AuditError(f"The audit log in {self._folder} is closed.")
        self._opened.close()

    def _line(self, event: str, run: str | None, fields: Mapping[str, Any]) -> bytes:
        line = records.render(self._next_seq, event, run, fields)
        self._next_seq += 1
        return line

    async def _commit_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                # In a thread: the visits to other accounts go on while the disk works.
                await asyncio.to_thread(self._commit, b"".join(line for line, _ in batch))
            except AuditError as error:
                for _, done in batch + self._waiting:
                    if not done.done():
                        done.set_exception(error)
                self._waiting = []
                return
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _commit(self, data: bytes) -> None:
        try:
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[os.write(self._file, remaining) :]
            os.fdatasync(self._file)
            self._size += len(data)
        except OSError as error:
            # Never a second sync after a failed one: dirty pages may be gone and the second would lie.
            self._failure = AuditError(
                f"The audit log in {self._folder} cannot be written ({error.strerror}); nothing more is touched. "
                "Make room or mend the disk, then run again."
            )
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise self._failure from None


def _take_lock(path: Path, owner: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        first = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another run"
        os.close(descriptor)
        raise BusyError(f"{first} is writing to {path.parent.parent}; wait until it has ended.") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{owner} (process {os.getpid()})".encode())
    return descriptor


def _cut_torn_tail(file: int, quarantine: Path) -> dict[str, Any] | None:
    size = os.fstat(file).st_size
    if not size:
        return None
    with mmap.mmap(file, size, access=mmap.ACCESS_READ) as data:
        # Batches are written at once, so after a power cut the tear may be much longer than a line.
        torn = data[data.rfind(b"\n") + 1 :]
    if not torn:
        return None
    digest = hashlib.sha256(torn).hexdigest()
    make_private_dir(quarantine)
    write_private(quarantine / digest, torn, durable=True)
    _sync_folder(quarantine)
    os.ftruncate(file, size - len(torn))
    os.fdatasync(file)
    return {"bytes": len(torn), "sha256": digest}


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_seq(path: Path) -> int:
    last = b""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * records.MAX_LINE_BYTES))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    if not last:
        return -1
    try:
        return int(json.loads(last)["seq"])
    except (ValueError, KeyError, TypeError):
        raise AuditError(f"{path}: the last line is not a record; the log was changed by hand.") from None


def read_records(folder: Path) -> Iterator[dict[str, Any]]:
    """All complete records, oldest first. A last line that is still being written is left out.

    Raises AuditError for a line that is no record.
    """
    yield from _records_from(log_path(folder), 0)


def read_last_run(folder: Path) -> Iterator[dict[str, Any]]:
    """The records from the newest `run.started` on; none if no run was ever recorded."""
    path = log_path(folder)
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position = data.rfind(f'"event":"{records.RUN_STARTED}"'.encode())
        start = data.rfind(b"\n", 0, max(position, 0)) + 1
    if position >= 0:
        yield from _records_from(path, start)


def _records_from(path: Path, offset: int) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    return
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if not isinstance(record, dict):
                    raise AuditError(f"{path}: line {number + 1} after byte {offset} is not a record.")
                yield record
    except FileNotFoundError:
        return

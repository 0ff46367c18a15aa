"""Two ways of taking the audit log its room: a file system that is full, and a limit on the size of files."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from pathlib import Path

import pytest

from fleet.audit.log import BALLAST_BYTES
from tests.logs import log_path


class FullDisk:
    """The audit folder `folder` on a small file system of its own, which something else can fill."""

    def __init__(self, folder: Path) -> None:
        self._place = folder
        self._place.mkdir(parents=True, mode=0o700, exist_ok=True)
        options = f"size={BALLAST_BYTES + 2**20},mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._place)], check=True)

    def take(self, _writer: int = 0) -> None:
        """Fill it: what the log's last block still holds is all the room that is left."""
        with (self._place / "filler").open("wb", buffering=0) as filler:
            for size in (4096, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def give_back(self) -> None:
        """Make room again."""
        (self._place / "filler").unlink(missing_ok=True)

    def remove(self) -> None:
        """Take the file system away, and the log with it."""
        subprocess.run(["umount", str(self._place)], check=True)


class SizeLimit:
    """No file that the writer writes may become longer than the log is now, and half a record."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = 0
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def take(self, writer: int = 0) -> None:
        """Limit process `writer`, or this one."""
        self._writer = writer
        limit = log_path(self._folder).stat().st_size + 200
        resource.prlimit(writer, resource.RLIMIT_FSIZE, (limit, self._before[1]))

    def give_back(self) -> None:
        """Lift the limit of this process; that of another ends with it."""
        if self._writer == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._before)

    def remove(self) -> None:
        """Leave nothing behind."""
        self.give_back()


NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system to be filled")
WAYS = [pytest.param(FullDisk, marks=NEEDS_ROOT, id="full disk"), pytest.param(SizeLimit, id="size limit")]

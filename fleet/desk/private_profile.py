"""The browser profile of a sign-in: a private folder in memory, wiped at the end, after a crash by the next command.

No session reaches a disk: the folder is refused outside tmpfs, and the browser's temporary files go there too.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import FleetError, InputError
from fleet.orphans import SIGN_IN, held_folder, reap, sweep
from fleet.paths import is_held, is_there

MEMORY = Path("/dev/shm")  # noqa: S108 - the folders in it are private from their creation
"""Where Linux keeps files in memory, whatever the user's environment: the next command finds what was left."""
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_WIPED_WITHIN = 5.0


@dataclass(frozen=True)
class PrivateProfile:
    """The folder of one sign-in. Processes that name it in their command line are killed before it is wiped."""

    root: Path

    @property
    def folder(self) -> Path:
        """The browser's profile (`--user-data-dir`)."""
        return self.root / "profile"

    @property
    def temporary(self) -> Path:
        """Folder for temporary files and downloads (TMPDIR)."""
        return self.root / "tmp"

    def wipe(self) -> None:
        """Remove the browser's profile and end its browsers. Raises FleetError if something of it remains."""
        wipe(self.folder)

    def create(self) -> None:
        """Create the profile with the preferences of a sign-in."""
        preferences = {
            # Else a closed window forgets its session cookies, and with them most sign-ins.
            "session": {"restore_on_startup": 1},
            # The profile is wiped: neither a password nor the browser's own sign-in is of use in it.
            "credentials_enable_service": False,
            "signin": {"allowed": False, "allowed_on_next_startup": False},
            "download": {"default_directory": str(self.temporary)},
        }
        self.temporary.mkdir(mode=0o700)
        (self.folder / "Default").mkdir(mode=0o700, parents=True)
        (self.folder / "Default" / "Preferences").write_text(json.dumps(preferences), "utf-8")
        (self.folder / "First Run").touch()  # no welcome pages


@contextmanager
def private_profile(memory: Path = MEMORY) -> Iterator[PrivateProfile]:
    """Yield a new private profile, wiped at the end; first, wipe what a crash left.

    Meanwhile it has the temporary files of this process and of the programs that it starts.

    Raises InputError if `memory` is not a tmpfs, and FleetError if a profile cannot be wiped.
    """
    require_memory(memory)
    wipe_left_over(memory)
    with held_folder(memory, SIGN_IN) as root:
        profile = PrivateProfile(root)
        profile.create()
        before, was_set = tempfile.tempdir, os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = tempfile.tempdir = str(profile.temporary)
        try:
            yield profile
        finally:
            tempfile.tempdir = before
            os.environ.pop("TMPDIR")
            os.environ.update({"TMPDIR": was_set} if was_set is not None else {})
            wipe(root)


def require_memory(memory: Path = MEMORY) -> None:
    """Raise InputError unless a folder is on a filesystem in memory."""
    kind = _filesystem(memory)
    if kind not in _IN_MEMORY:
        found = f"is on {kind}" if kind else "does not exist"
        raise InputError(f"{memory} {found}: a sign-in is kept in memory only; mount a tmpfs there and run again.")


def wipe_left_over(memory: Path = MEMORY) -> None:
    """Wipe the profiles whose command was killed, with their browsers. Raises FleetError if one cannot be wiped."""
    with suppress(FileNotFoundError):
        if any(SIGN_IN in path.name for path in memory.iterdir()):
            _wipe_left_over(memory)


def _wipe_left_over(memory: Path) -> None:
    sweep(memory)
    for folder in memory.glob(f"{SIGN_IN}*"):
        with suppress(OSError):  # wiped by another command, or another user's
            if not is_held(folder) and folder.stat().st_uid == os.getuid():
                wipe(folder)


def wipe(folder: Path) -> None:
    """Remove a profile and end its browsers. Raises FleetError if something remains after 5 seconds."""
    deadline = time.monotonic() + _WIPED_WITHIN
    reap(folder)
    while is_there(folder):
        if time.monotonic() > deadline:
            raise FleetError(f"{folder} holds a sign-in and cannot be wiped; run: rm -rf {folder}")
        time.sleep(0.05)  # a browser that was just killed may still finish a write
        reap(folder)


def _filesystem(path: Path) -> str | None:
    """Return the type of a folder's filesystem (proc_pid_mountinfo(5)); None if there is no such folder."""
    try:
        device = path.stat().st_dev
        mounts = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = [mount.partition(" - ")[2].split()[0] for mount in mounts if mount.split()[2] == number]
    return kinds[-1] if kinds else "an unknown filesystem"

"""The one module that knows directories, and how files are born private (0600, directories 0700)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import InputError

PACKAGE = Path(__file__).parent
CATALOG = PACKAGE / "recipes" / "services"
REHEARSAL_RECIPES = PACKAGE / "rehearsal" / "services"
_MOST_OF_A_NAME = 200
"""Bytes of a file's name that its temporary name may hold; most filesystems take 255."""


def default_state() -> Path:
    """Where state lives unless --state or FLEET_STATE says otherwise."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fleet"


def default_identity() -> Path:
    """Where the age identity lives unless --identity or FLEET_IDENTITY says otherwise: outside the state."""
    return _config() / "identity.txt"


def default_log_key() -> Path:
    """Where the key that signs the audit log lives unless --log-key or FLEET_LOG_KEY says otherwise."""
    return _config() / "log-key.pem"


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "fleet"


def ansible_content() -> Path:
    """The folder that holds playbooks/ and roles/: the checkout, or the copy inside an installed package."""
    checkout = PACKAGE.parent
    return checkout if (checkout / "playbooks" / "optout.yml").is_file() else PACKAGE / "ansible"


def runtime_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """A private folder for sockets and short-lived files; made if missing.

    `$XDG_RUNTIME_DIR/fleet` where that is the user's own, else `/tmp/fleet-<uid>`: short, because a socket's path may
    not exceed 108 bytes.

    Raises InputError if the folder belongs to somebody else or others may enter it.
    """
    base, folder = environ.get("XDG_RUNTIME_DIR"), Path(f"/tmp/fleet-{os.getuid()}")  # noqa: S108 - looked at below
    if base and len(base) < 56 and _is_own_folder(Path(base)):
        folder = Path(base) / "fleet"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); see what stands there.") from None
    require_private(folder)
    return folder


def _is_own_folder(path: Path) -> bool:
    """True if nobody else can exchange what lies in it: after `sudo -E` the runtime directory is another user's."""
    try:
        info = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o022


def require_private(path: Path) -> None:
    """Refuse a file or folder that somebody else owns or can reach.

    Raises InputError that names the path and the command that mends it.
    """
    _require_private(path, path.lstat())


def _require_private(path: Path, info: os.stat_result) -> None:
    if stat.S_ISLNK(info.st_mode):
        raise InputError(f"{path} is a symbolic link; put the real file or folder there.")
    if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
        raise InputError(f"{path} is neither a file nor a folder; name another.")
    if info.st_uid != os.getuid():
        raise InputError(f"{path} belongs to another user (uid {info.st_uid}); use a path of your own.")
    if info.st_mode & 0o077:
        mode = "700" if stat.S_ISDIR(info.st_mode) else "600"
        raise InputError(
            f"{path} is open to other users (mode {stat.S_IMODE(info.st_mode):04o}); run: chmod {mode} {path}"
        )


def require_safe_way(path: Path) -> None:
    """Refuse a path on which somebody else can exchange a folder or a link after it was looked at.

    Folders that a group may write to are let pass: many systems give each user a group of their own.
    Raises InputError.
    """
    way = {*path.absolute().parents, *path.resolve().parents}
    for place in sorted(way):
        info = place.lstat()
        is_open = not stat.S_ISLNK(info.st_mode) and info.st_mode & 0o002 and not info.st_mode & stat.S_ISVTX
        if info.st_uid not in (0, os.getuid()) or is_open:
            raise InputError(
                f"{path} is not safe: others can exchange what lies in {place} (uid {info.st_uid}, mode "
                f"{stat.S_IMODE(info.st_mode):04o}); choose a place where only you and root can."
            )


def read_private(path: Path, most: int) -> bytes:
    """At most so many bytes of a file that nobody else owns or can reach: what is looked at is what is read.

    Raises InputError as `require_private` does, and if it cannot be read.
    """
    try:
        if path.is_dir():  # before its mode is looked at: nobody shall change that of a folder that others need
            raise InputError(f"{path} is a folder; name a file in it.")
        require_private(path)  # a link by its name, with the words for it
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _require_private(path, os.fstat(descriptor))
            return file.read(most)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); see that it is a file of your own.") from None


def make_private_dir(path: Path) -> None:
    """Make a folder with its parents; the folder itself is 0700.

    Raises InputError if it cannot be made, or stands there open to others.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be made ({error.strerror}); choose another folder or mend its owner."
        ) from None
    require_private(path)


def look(path: Path) -> os.stat_result | None:
    """What is there, None if nothing is; a link whose target is missing is something. Raises InputError where one may
    not look: that is not known to be nothing."""
    try:
        info = path.lstat()
        with suppress(FileNotFoundError):
            info = path.stat()
        return info
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(
            f"{path} cannot be looked at ({error.strerror}); see that this user may enter its folder."
        ) from None


def is_there(path: Path) -> bool:
    """True if anything is there, also a link to nothing.

    Where a missing file opens something, or is made anew, this is asked and not `Path.exists`: that calls a file
    missing, too, which may not be looked at or cannot be read. Raises InputError for those, as `look` does.
    """
    return look(path) is not None


def is_folder(path: Path) -> bool:
    """True if a folder is there. Raises InputError as `look` does."""
    there = look(path)
    return there is not None and stat.S_ISDIR(there.st_mode)


def is_held(path: Path) -> bool:
    """True while another process holds the lock (flock) of a file or folder. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_regular(path: Path, most: int) -> bytes:
    """At most so many bytes of a file. Raises OSError, also for a pipe or a device: reading it may have no end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(most)


def write_private(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file that is 0600 from its first byte and never seen half written (temporary name, then rename).

    With `durable` it is on the disk under its name when this returns. Raises OSError that names the file.
    """
    try:
        _write_private(path, data, durable=durable)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_private(path: Path, data: bytes, *, durable: bool) -> None:
    # Its whole name, by which what a crash leaves is found, unless a name may not be as long as that.
    kept = path.name if len(os.fsencode(path.name)) <= _MOST_OF_A_NAME else path.name[:40]
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{kept}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)  # a file is not safe before its name is


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class AuditDir:
    """The audit log and what belongs to it."""

    root: Path

    @property
    def log(self) -> Path:
        """The segments."""
        return self.root / "log"

    @property
    def checkpoints(self) -> Path:
        """Signed notes, one for each size of the tree that was ever signed."""
        return self.root / "ckpt"

    @property
    def torn(self) -> Path:
        """What was left of lines that a crash has torn, by SHA-256."""
        return self.root / "torn"

    @property
    def vkey(self) -> Path:
        """The log's public keys, oldest first, in C2SP's form."""
        return self.root / "log.vkey"

    @property
    def pem(self) -> Path:
        """The newest public key for openssl."""
        return self.root / "log.pub.pem"

    @property
    def lock(self) -> Path:
        """Locked by whoever writes."""
        return self.root / "lock"

    @property
    def ballast(self) -> Path:
        """Given up when the disk is full, so that the end of the run can be recorded."""
        return self.root / "ballast"

    @property
    def subjects(self) -> Path:
        """The side store that knows which pseudonym of the log is whose."""
        return self.root / "subjects.sqlite"


@dataclass(frozen=True)
class StateDir:
    """The folders inside one state directory. It holds recipients and public keys only, never an identity."""

    root: Path

    @property
    def recipients(self) -> Path:
        """Public age keys that sessions are sealed to, one a line."""
        return self.root / "recipients.txt"

    @property
    def sessions(self) -> Path:
        """Sealed sessions, `EMPLOYEE.SERVICE.age`."""
        return self.root / "sessions"

    @property
    def audit(self) -> AuditDir:
        """The audit log and its side store."""
        return AuditDir(self.root / "audit")

    @property
    def evidence(self) -> Path:
        """Pictures of controls, a folder for each run."""
        return self.root / "evidence"

    @property
    def runs(self) -> Path:
        """Diagnostics of each run: the agent's log."""
        return self.root / "runs"

    def diagnostics(self, run: str) -> Path:
        """What the agent of one run had to say."""
        return self.runs / f"{run}.agent.log"

    @property
    def revocations(self) -> Path:
        """Mandates that were taken back, a file for each employee."""
        return self.root / "revocations"

    @property
    def stopped_services(self) -> Path:
        """Services that nobody may be visited at, a file for each."""
        return self.root / "stopped"

    @property
    def mark(self) -> Path:
        """Says that this is a state of rehearsals. A state without it counts as real."""
        return self.root / "rehearsal.mark"

    @property
    def _folders(self) -> tuple[Path, ...]:
        return self.sessions, self.audit.root, self.evidence, self.runs, self.revocations, self.stopped_services

    def create(self, *, rehearsal: bool = False) -> None:
        """Make the folders that are missing; a new state for rehearsals is marked before anything is put into it.

        Raises InputError as `make_private_dir`, `require_safe_way` and `require_kind` do, and for a folder that holds
        other things.
        """
        self.require_kind(rehearsal=rehearsal)
        ours = {path.name for path in (*self._folders, self.mark)} | {"rehearsal", "demo"}
        if (
            look(self.recipients) is None
            and is_folder(self.root)
            and {path.name for path in self.root.iterdir()} - ours
        ):
            raise InputError(f"{self.root} holds other things; choose a folder of its own, with --state.")
        make_private_dir(self.root)
        if rehearsal and look(self.mark) is None:
            write_private(self.mark, b"A state of rehearsals: nothing in it is true of a real account.\n", durable=True)
        for folder in self._folders:
            make_private_dir(folder)
        require_safe_way(self.root)

    def require_kind(self, *, rehearsal: bool) -> None:
        """Refuse real runs a state of rehearsals, and rehearsals any other that holds something. Raises InputError."""
        is_marked = look(self.mark) is not None
        if is_marked and not rehearsal:
            raise InputError(
                f"{self.root} is a state of rehearsals; for real accounts name another state, for rehearsals give the "
                f"state {self.root.parent} (and --rehearsal)."
            )
        if rehearsal and not is_marked and self._holds_something:
            raise InputError(
                f"{self.root} is not marked as a state of rehearsals, so it counts as real and is left alone; "
                "move it away, or name another --state."
            )

    @property
    def _holds_something(self) -> bool:
        try:
            return look(self.recipients) is not None or any(
                look(folder) is not None and any(folder.iterdir()) for folder in self._folders
            )
        except OSError:
            return True  # what cannot be read is not known to be nothing

    def check(self, *, rehearsal: bool = False) -> None:
        """Refuse a state directory that is missing, of the other kind, not ours, open to others, or not writable.

        Raises InputError with the command that mends it. Makes nothing.
        """
        make = "fleet init" if self.root == default_state() else f"fleet init --state {self.root}"
        if rehearsal:
            make = "fleet run with a rehearsal's inventory"
        self.require_kind(rehearsal=rehearsal)
        if not is_folder(self.root):
            raise InputError(f"There is no state directory at {self.root}; run: {make}")
        require_private(self.root)
        require_safe_way(self.root)
        if not self.recipients.is_file():
            raise InputError(f"{self.root} is not a state directory yet; run: {make}")
        for folder in self._folders:
            is_made = is_there(folder)
            if is_made:
                require_private(folder)
            if not os.access(folder if is_made else self.root, os.W_OK | os.X_OK):
                raise InputError(f"{folder} is not writable; mend its mode (chmod 700 {folder}) and run again.")

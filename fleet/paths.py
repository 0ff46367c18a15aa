"""The one module that knows directories, and that creates files private (0600, directories 0700)."""

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
"""Bytes of a file's name kept in its temporary name; most filesystems allow 255."""


def default_state() -> Path:
    """Return the state directory used unless --state or FLEET_STATE is set."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fleet"


def default_identity() -> Path:
    """Return the age identity file used unless --identity or FLEET_IDENTITY is set; it is outside the state."""
    return _config() / "identity.txt"


def default_log_key() -> Path:
    """Return the file with the log's signing key used unless --log-key or FLEET_LOG_KEY is set."""
    return _config() / "log-key.pem"


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "fleet"


def ansible_content() -> Path:
    """Return the folder with playbooks/ and roles/: the checkout, or the copy inside an installed package."""
    checkout = PACKAGE.parent
    return checkout if (checkout / "playbooks" / "optout.yml").is_file() else PACKAGE / "ansible"


def runtime_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return a private folder for sockets and short-lived files; create it if missing.

    `$XDG_RUNTIME_DIR/fleet` if the user owns that directory, else `/tmp/fleet-<uid>`: short, because a socket's path
    may not exceed 108 bytes.

    Raises InputError if the folder belongs to another user or others may enter it.
    """
    base, folder = environ.get("XDG_RUNTIME_DIR"), Path(f"/tmp/fleet-{os.getuid()}")  # noqa: S108 - checked below
    if base and len(base) < 56 and _is_own_folder(Path(base)):
        folder = Path(base) / "fleet"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be created ({error.strerror}); check what is at that path.") from None
    require_private(folder)
    return folder


def _is_own_folder(path: Path) -> bool:
    """Return True if only we can replace its entries: after `sudo -E` the runtime directory belongs to another user."""
    try:
        info = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o022


def require_private(path: Path) -> None:
    """Refuse a file or folder that another user owns or can access.

    Raises InputError with the path and the command that fixes it.
    """
    _require_private(path, path.lstat())


def _require_private(path: Path, info: os.stat_result) -> None:
    if stat.S_ISLNK(info.st_mode):
        raise InputError(f"{path} is a symbolic link; put the real file or folder there.")
    if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
        raise InputError(f"{path} is neither a file nor a folder; choose another path.")
    if info.st_uid != os.getuid():
        raise InputError(f"{path} belongs to another user (uid {info.st_uid}); use a path of your own.")
    if info.st_mode & 0o077:
        mode = "700" if stat.S_ISDIR(info.st_mode) else "600"
        raise InputError(
            f"{path} is open to other users (mode {stat.S_IMODE(info.st_mode):04o}); run: chmod {mode} {path}"
        )


def require_safe_way(path: Path) -> None:
    """Refuse a path on which another user could replace a folder or link after the check.

    Group-writable folders are allowed: many systems give each user a private group.
    Raises InputError.
    """
    way = {*path.absolute().parents, *path.resolve().parents}
    for place in sorted(way):
        info = place.lstat()
        is_open = not stat.S_ISLNK(info.st_mode) and info.st_mode & 0o002 and not info.st_mode & stat.S_ISVTX
        if info.st_uid not in (0, os.getuid()) or is_open:
            raise InputError(
                f"{path} is not safe: others can replace the contents of {place} (uid {info.st_uid}, mode "
                f"{stat.S_IMODE(info.st_mode):04o}); choose a place that only you and root can write to."
            )


def read_private(path: Path, most: int) -> bytes:
    """Read up to `most` bytes of a file that only we own and can access; the checks apply to the open file descriptor.

    Raises InputError as `require_private` does, and if it cannot be read.
    """
    try:
        if path.is_dir():  # before the mode check: nobody should chmod a folder that others need
            raise InputError(f"{path} is a folder; name a file in it.")
        require_private(path)  # for the better error message: O_NOFOLLOW below refuses links too
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _require_private(path, os.fstat(descriptor))
            return file.read(most)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); use a file that you own.") from None


def make_private_dir(path: Path) -> None:
    """Create a folder with its parents; the folder itself is 0700.

    Raises InputError if it cannot be created, or exists and is open to others.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be created ({error.strerror}); choose another folder or fix its owner."
        ) from None
    require_private(path)


def look(path: Path) -> os.stat_result | None:
    """Return the `stat()` result, or None if the path does not exist; a dangling link counts as existing.

    Raises InputError if access is denied: the path may exist.
    """
    try:
        info = path.lstat()
        with suppress(FileNotFoundError):
            info = path.stat()
        return info
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be accessed ({error.strerror}); let this user enter its folder.") from None


def is_there(path: Path) -> bool:
    """Return True if the path exists; a dangling link counts.

    Use this instead of `Path.exists` where a missing file grants access or is created anew: `Path.exists` also calls a
    file missing if access is denied or it cannot be read. Raises InputError in those cases, as `look` does.
    """
    return look(path) is not None


def is_folder(path: Path) -> bool:
    """Return True if a folder exists there. Raises InputError as `look` does."""
    there = look(path)
    return there is not None and stat.S_ISDIR(there.st_mode)


def is_held(path: Path) -> bool:
    """Return True while another process holds the lock (flock) of a file or folder. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_regular(path: Path, most: int, *, follow: bool = True) -> bytes:
    """Read up to `most` bytes of a file. Raises OSError, also for a pipe or a device, which may never end.

    Without `follow`, a link raises OSError, too.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(most)


def write_private(path: Path, data: bytes, *, durable: bool = False, mode: int = 0o600) -> None:
    """Write a file that is 0600 from its first byte and never visible half written (temporary name, then rename).

    With `durable` it is on disk under its name on return; `mode` is its mode from then on. Raises OSError that names
    the file.
    """
    try:
        _write_private(path, data, durable=durable, mode=mode)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_private(path: Path, data: bytes, *, durable: bool, mode: int) -> None:
    # The whole name, so that leftovers of a crash are found by it, unless that exceeds the name limit.
    kept = path.name if len(os.fsencode(path.name)) <= _MOST_OF_A_NAME else path.name[:40]
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{kept}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if mode != 0o600:
                os.fchmod(descriptor, mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)  # a file is durable only once its name is


def sync_folder(path: Path) -> None:
    """Sync the names in a folder to disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class AuditDir:
    """The audit log and its files."""

    root: Path

    @property
    def log(self) -> Path:
        """The segments."""
        return self.root / "log"

    @property
    def checkpoints(self) -> Path:
        """Signed notes, one for each tree size that was ever signed."""
        return self.root / "ckpt"

    @property
    def torn(self) -> Path:
        """Fragments of lines torn by a crash, named by SHA-256."""
        return self.root / "torn"

    @property
    def vkey(self) -> Path:
        """The log's public keys, oldest first, in C2SP's format."""
        return self.root / "log.vkey"

    @property
    def pem(self) -> Path:
        """The newest public key for openssl."""
        return self.root / "log.pub.pem"

    @property
    def lock(self) -> Path:
        """Locked by the process that writes."""
        return self.root / "lock"

    @property
    def ballast(self) -> Path:
        """Deleted when the disk is full, so that the end of the run can be recorded."""
        return self.root / "ballast"

    @property
    def subjects(self) -> Path:
        """The side store that maps the log's pseudonyms to employees."""
        return self.root / "subjects.sqlite"


@dataclass(frozen=True)
class StateDir:
    """The folders inside one state directory. It holds recipients and public keys only, never an identity."""

    root: Path

    @property
    def recipients(self) -> Path:
        """Public age keys that sessions are sealed to, one per line."""
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
        """Pictures of controls, one folder per run."""
        return self.root / "evidence"

    @property
    def runs(self) -> Path:
        """Diagnostics of each run: the agent's log."""
        return self.root / "runs"

    def diagnostics(self, run: str) -> Path:
        """Diagnostics of one run's agent."""
        return self.runs / f"{run}.agent.log"

    @property
    def revocations(self) -> Path:
        """Revoked mandates, one file per employee."""
        return self.root / "revocations"

    @property
    def attestations(self) -> Path:
        """What employees said that they did themselves, one file per employee."""
        return self.root / "attestations"

    @property
    def mandates(self) -> Path:
        """Mandates that employees gave themselves, one file per employee, and the texts of these mandates."""
        return self.root / "mandates"

    @property
    def notices(self) -> Path:
        """Which notices went out, one file per employee."""
        return self.root / "notices"

    @property
    def submissions(self) -> Path:
        """Requests of the organization's own that services confirmed, one file each."""
        return self.root / "submissions"

    @property
    def appointments(self) -> Path:
        """Open appointments at the desk, one file per employee."""
        return self.root / "appointments"

    @property
    def spot_checks(self) -> Path:
        """Who was drawn for the spot check that is open, one file per employee."""
        return self.root / "spot_checks"

    @property
    def former_names(self) -> Path:
        """Which names employees had before, one file per employee."""
        return self.root / "former-names"

    @property
    def by_employee(self) -> tuple[Path, ...]:
        """The folders with one JSON file per employee, whose name it has: what they said, gave, were sent and asked.

        What is there is shown to them, goes with them when they are renamed, and is erased with them.
        """
        return self.attestations, self.mandates, self.notices, self.appointments, self.spot_checks

    @property
    def portal(self) -> Path:
        """What `fleet portal ingest` took in from the inbox, or refused."""
        return self.root / "portal"

    @property
    def stopped_services(self) -> Path:
        """Services at which no account may be visited, one file each."""
        return self.root / "stopped"

    @property
    def mark(self) -> Path:
        """Marks a state of rehearsals. A state without it counts as real."""
        return self.root / "rehearsal.mark"

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (
            *(self.sessions, self.audit.root, self.evidence, self.runs),
            *(self.revocations, self.stopped_services, self.submissions),
            *(*self.by_employee, self.former_names, self.portal),
        )

    def create(self, *, rehearsal: bool = False) -> None:
        """Create the missing folders; a new rehearsal state is marked before anything is written to it.

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
            raise InputError(f"{self.root} holds other things; choose an empty or new folder with --state.")
        make_private_dir(self.root)
        if rehearsal and look(self.mark) is None:
            write_private(self.mark, b"A state of rehearsals: nothing in it is true of a real account.\n", durable=True)
        for folder in self._folders:
            make_private_dir(folder)
        require_safe_way(self.root)

    def require_kind(self, *, rehearsal: bool) -> None:
        """Refuse a rehearsal state for real runs, and any other non-empty state for rehearsals. Raises InputError."""
        is_marked = look(self.mark) is not None
        if is_marked and not rehearsal:
            raise InputError(
                f"{self.root} is a state of rehearsals; for real accounts name another state, for rehearsals pass the "
                f"state {self.root.parent} (and --rehearsal)."
            )
        if rehearsal and not is_marked and self._holds_something:
            raise InputError(
                f"{self.root} is not marked as a state of rehearsals, so it counts as real and is not used; "
                "move it away, or name another --state."
            )

    @property
    def _holds_something(self) -> bool:
        try:
            return look(self.recipients) is not None or any(
                look(folder) is not None and any(folder.iterdir()) for folder in self._folders
            )
        except OSError:
            return True  # an unreadable folder may hold something

    def check(self, *, rehearsal: bool = False, to_write: bool = True) -> None:
        """Refuse a state directory that is missing, of the other kind, not ours, open to others, or not writable.

        A copy to read (`to_write` False) need not be writable.

        Raises InputError with the command that fixes it. Creates nothing.
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
            if to_write and not os.access(folder if is_made else self.root, os.W_OK | os.X_OK):
                raise InputError(f"{folder} is not writable; fix its mode (chmod 700 {folder}) and run again.")

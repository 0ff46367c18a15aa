"""A place of its own for runs, in which everything is watched: what they write, say, and show to `ps`."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from tests.markers import Markers
from tests.playbook.helpers import BIN

EVERYTHING = frozenset({"*"})
STATE = "home*/.local/state/fleet"
ALLOWED: tuple[tuple[str, frozenset[str], str], ...] = (
    ("given/*", EVERYTHING, "what the operator has, and hands to the commands"),
    ("home*/.config/fleet/identity.txt", frozenset({"identity"}), "the identity's own file"),
    ("home*/.config/fleet/log-key.pem", frozenset({"log key"}), "the signing key's own file"),
    (f"{STATE}/audit/subjects.sqlite*", frozenset({"name"}), "the side store, which alone leads to a person"),
    (f"{STATE}/sessions/*", frozenset({"name"}), "a session's file is named for its employee; it is sealed"),
    (f"{STATE}/audit/log/*", frozenset({"host"}), "refused hosts are recorded so that a recipe can be mended"),
    ("run/fleet/play-*", frozenset({"name", "host"}), "Ansible's inventory and Runner's artifacts, gone with the run"),
    (
        "cwd/report.html",
        frozenset({"name", "host"}),
        "for people; it says whom it is about",
    ),
    ("cwd/*.receipt.*", frozenset({"name", "host"}), "the same"),
    ("cwd/proof", frozenset({"host"}), "a proof holds its record"),
    ("cwd/ansible.log", frozenset({"name", "host"}), "Ansible names its hosts, and shows what the role returns"),
    ("what was said: *", frozenset({"name", "host"}), "tables and JSON are for people; Ansible names its hosts"),
    ("command line: * audit receipt *", frozenset({"name"}), "what the operator typed"),
    # A program's first environment cannot be taken back; the agent reads the inventory with it, as Ansible does.
    ("environment: fleet", frozenset({"env"}), "it is the operator's own"),
    ("environment: agent of a play", frozenset({"env"}), "the same"),
    ("environment: ansible", frozenset({"env"}), "the same, of a play that was started without us"),
    ("environment: other: *", frozenset({"env"}), "what those ask, such as a browser for its version"),
)
"""Where what may be found, and why. Patterns are fnmatch's, over paths in the place."""

_ELSEWHERE = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))


def is_allowed(where: str, channel: str) -> bool:
    """True if the table says so."""
    return any(
        fnmatch(where, pattern) and (channels is EVERYTHING or channel in channels) for pattern, channels, _ in ALLOWED
    )


def role_of(command: bytes) -> str:
    """What a process is to a run, by its command line."""
    for sign, role in (
        (b"--type=renderer", "renderer"),
        (b"--type=", "browser's helper"),
        (b"--remote-debugging-pipe", "browser"),
        (b"run-driver", "driver"),
        (rb"fleet\.rehearsal", "rehearsal"),
        (rb"/fleet/\d{8}T\d{6}Z-", "agent of fleet run"),  # its socket's folder is named for the run
        (b" agent --owner-fd", "agent of a play"),
        (b"/fleet/play-", "ansible of fleet run"),
        (b"ansible", "ansible"),
        (b"fleet ", "fleet"),
    ):
        if re.search(sign, command.replace(b"\0", b" ")):
            return role
    return f"other: {command.replace(bytes(1), b' ').decode('utf-8', 'replace')[:200]}"


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - half the time of Path
        return file.read()


class Place:
    """Home, runtime folder, temporary folder and working directory of runs, and what was found there."""

    def __init__(self, markers: Markers) -> None:
        # Short: a socket's path ends after 108 bytes.
        self.path = Path(tempfile.mkdtemp(prefix="fleet-leaks-"))
        self._began, self._others = time.time(), {path for folder in _ELSEWHERE for path in folder.iterdir()}
        self._markers = markers
        self._searched: dict[str, tuple[int, int, int]] = {}
        self._foreign: dict[str, bytes] = {}
        self._seen_bytes: set[tuple[str, bytes]] = set()
        self._found: set[tuple[str, str]] = set()
        for name in ("home", "home-apart", "run", "tmp", "cwd", "given"):
            (self.path / name).mkdir(mode=0o700)
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()

    def environment(self, **more: str) -> dict[str, str]:
        """A user's environment with everything private, and `more`."""
        kept = {
            name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ
        }
        own = {"HOME": "home", "XDG_RUNTIME_DIR": "run", "TMPDIR": "tmp"}
        places = {name: str(self.path / folder) for name, folder in own.items()}
        return kept | places | {"COLUMNS": "1000", "LC_ALL": "C.UTF-8"} | more

    def start(self, *command: str, **more: str) -> subprocess.Popen[bytes]:
        """A command in this place."""
        return subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.path / "cwd",
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[bytes], within: float = 90.0) -> subprocess.CompletedProcess[bytes]:
        """A command that has ended, and what it has said, searched."""
        try:
            said, complained = process.communicate(timeout=within)
        finally:
            process.kill()
        where = " ".join(Path(str(part)).name for part in process.args)
        self.search(f"what was said: {where}", said)
        self.search(f"what was said: {where}", complained)
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)

    def do(self, *command: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        """A command, to its end."""
        return self.end(self.start(*command, **more))

    def search(self, where: str, content: bytes) -> None:
        """Note the channels whose markers stand where they may not."""
        for channel in self._markers.found_in(content):
            if not is_allowed(where, channel):
                self._found.add((channel, where))

    def _watch(self) -> None:
        """Every 50 ms: the command lines and environments of all processes, and the files of the run."""
        while not self._over.wait(0.05):
            self._look_at_processes()
            self._look_at_files(self.path / "run")
            self._look_at_files(self.path / "tmp")

    def _look_at_processes(self) -> None:
        """Search what is new: of a process that has nothing of this place, the first look at each of its commands."""
        own, place = str(os.getpid()), os.fsencode(self.path)
        for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - twenty times a second
            if pid == own:
                continue
            with suppress(OSError):
                command = _read(f"/proc/{pid}/cmdline")
                if self._foreign.get(pid) == command:
                    continue
                environ = _read(f"/proc/{pid}/environ")
                if _read(f"/proc/{pid}/cmdline") != command:
                    continue  # it became another program meanwhile
                if place not in command + environ:
                    self._foreign[pid] = command
                for where, content in (
                    (f"command line: {command.replace(bytes(1), b' ').decode('utf-8', 'replace')[:200]}", command),
                    (f"environment: {role_of(command)}", environ),
                ):
                    if (where, content) not in self._seen_bytes:
                        self._seen_bytes.add((where, content))
                        self.search(where, content)

    def _look_at_files(self, root: Path, since: float = 0.0) -> None:
        """Search new and changed files at and below `root`, and their names."""
        with suppress(OSError):
            self._look_at_file(str(root), root.lstat(), since)
        folders = [str(root)]
        for folder in folders:
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(OSError):
                        info = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(info.st_mode):
                            folders.append(entry.path)
                        self._look_at_file(entry.path, info, since)

    def _look_at_file(self, path: str, info: os.stat_result, since: float) -> None:
        key = (info.st_ino, info.st_mtime_ns, info.st_size)
        if self._searched.get(path) == key or info.st_mtime < since or info.st_uid != os.getuid():
            return
        where = path.removeprefix(f"{self.path}/")
        content = b""
        if stat.S_ISLNK(info.st_mode):
            content = os.fsencode(Path(path).readlink())
        elif stat.S_ISREG(info.st_mode):
            content = _read(path)
        self._searched[path] = key
        self.search(where, os.fsencode(where) + b"\n" + content)

    def findings(self) -> list[tuple[str, str]]:
        """Channel and place of everything that stands where it may not: said, shown, or on a disk until now."""
        assert self._watching.is_alive()
        self._look_at_files(self.path)
        for folder in _ELSEWHERE:
            new = set(folder.iterdir()) - self._others - {self.path}
            for path in (*new, folder / f"fleet-{os.getuid()}"):
                self._look_at_files(path, self._began)
        return sorted(self._found.copy())

    def has_seen(self, pattern: str) -> bool:
        """True if a file of the place, or a process's part, was searched whose path or part fits fnmatch's pattern."""
        files = (path.removeprefix(f"{self.path}/") for path in self._searched.copy())
        return any(fnmatch(where, pattern) for where in (*files, *(where for where, _ in self._seen_bytes.copy())))

    def remove(self) -> None:
        """Watch no more, and take it away."""
        self._over.set()
        self._watching.join()
        shutil.rmtree(self.path, ignore_errors=True)

"""Other users of the machine, and whoever may edit the inventory: neither gets at files, keys or command lines."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError
from rich.console import Console

from fleet.agent.main import run_agent
from fleet.audit.keys import read_keys, read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.segments import SEGMENT_RECORDS, Segment, read_last_run
from fleet.audit.verify import verify
from fleet.authority.mandates import Revocations
from fleet.browser.engine import Engine
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network
from fleet.errors import FleetError, InputError, SessionError
from fleet.inventory.employee import Account, read_employee
from fleet.inventory.source_lines import SourceLines
from fleet.model import Outcome, Reason, Result
from fleet.paths import REHEARSAL_RECIPES, StateDir, read_private, runtime_dir, write_private
from fleet.recipes.catalog import load_catalog
from fleet.recipes.recipe import fill_profile
from fleet.report.table import results_table
from fleet.report.translations import translator_for
from fleet.sessions.store import SessionStore, read_identity
from fleet.state.create import make_state
from tests.agents import IS_READY, READY, Served
from tests.fuzz.cases import deadline

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user as well")


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    state = StateDir(tmp_path / "state")
    make_state(state, tmp_path / "keys" / "identity.txt", tmp_path / "keys" / "log-key.pem")
    return state


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


class TestSocket:
    @needs_root
    def test_another_user_is_not_answered_even_where_the_modes_let_them_in(self, served: Served) -> None:
        """The kernel says who is at the other end; the modes are only the first door."""
        served.path.parent.parent.chmod(0o755)
        assert b"Permission denied" in served.talk_as(NOBODY)
        served.path.parent.chmod(0o755)
        assert b"Permission denied" in served.talk_as(NOBODY)
        served.path.chmod(0o666)
        assert served.talk_as(NOBODY) in (b"connected ", b"connected closed")
        assert served.talk_as(os.getuid()) == b"connected " + IS_READY + b"\n"
        assert served.talk([READY]) == [IS_READY] and served.failures == []

    def test_the_socket_is_private_from_the_moment_it_has_its_name(self, served: Served) -> None:
        """0600 in a folder of 0700."""
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (served.path, served.path.parent)]
        assert modes == [0o600, 0o700]

    def test_an_agent_does_not_listen_in_a_folder_that_others_can_enter(self, tmp_path: Path) -> None:
        """Looked at when it starts, whoever has started it."""
        (tmp_path / "run").mkdir()
        (tmp_path / "run").chmod(0o755)  # whatever the umask is
        with deadline(5), pytest.raises(InputError, match="is open to other users"):
            run_agent(tmp_path / "run" / "agent.sock", [], {"play": {}}, translator_for)


@pytest.fixture
def find_folder(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Where sockets go if this is the runtime directory."""

    def find(base: Path) -> Path:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
        return runtime_dir()

    return find


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder of our own whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


class TestRuntimeFolder:
    def test_a_folder_of_our_own_is_used(self, base: Path, find_folder: Callable[[Path], Path]) -> None:
        """And made private."""
        assert find_folder(base) == base / "fleet"
        assert stat.S_IMODE((base / "fleet").stat().st_mode) == 0o700

    @pytest.mark.parametrize(
        "plant",
        [
            lambda path: path.write_text(""),
            lambda path: path.symlink_to("/nowhere"),
            lambda path: (path.with_name("theirs").mkdir(mode=0o700), path.symlink_to(path.with_name("theirs"))),
            lambda path: os.mkfifo(path, 0o600),
            lambda path: (path.mkdir(), path.chmod(0o755)),
        ],
        ids=["file", "dangling link", "link", "pipe", "open folder"],
    )
    def test_what_was_planted_under_its_name_is_refused_in_one_sentence(
        self, base: Path, find_folder: Callable[[Path], Path], plant: Callable[[Path], object]
    ) -> None:
        """Nothing is put into a place that somebody else has prepared."""
        plant(base / "fleet")
        with pytest.raises(InputError) as caught:
            find_folder(base)
        assert str(base / "fleet") in str(caught.value)

    @needs_root
    def test_another_users_folder_is_refused(self, base: Path, find_folder: Callable[[Path], Path]) -> None:
        """Whatever its mode."""
        (base / "fleet").mkdir(mode=0o700)
        os.chown(base / "fleet", NOBODY, NOBODY)
        with pytest.raises(InputError, match=r"another user|of your own"):
            find_folder(base)

    @needs_root
    @pytest.mark.parametrize(("owner", "mode"), [(NOBODY, 0o700), (0, 0o777)], ids=["theirs", "everybody's"])
    def test_a_runtime_directory_in_which_others_can_exchange_folders_is_not_used(
        self, base: Path, find_folder: Callable[[Path], Path], owner: int, mode: int
    ) -> None:
        """As after `sudo -E`: what was looked at could be another folder a moment later."""
        base.chmod(mode)
        os.chown(base, owner, owner)
        assert find_folder(base) == Path("/tmp/fleet-0")
        assert list(base.iterdir()) == []


class TestStateDirectory:
    @needs_root
    def test_a_way_that_others_can_change_is_refused(self, state: StateDir, tmp_path: Path) -> None:
        """A parent that is somebody else's, or everybody's; a sticky one is as safe as /tmp is."""
        state.check()
        tmp_path.chmod(0o1777)
        state.check()
        tmp_path.chmod(0o777)
        with pytest.raises(InputError, match=f"others can replace the contents of {tmp_path} "):
            state.check()
        with pytest.raises(InputError, match=f"others can replace the contents of {tmp_path} "):
            StateDir(tmp_path / "new").create()
        tmp_path.chmod(0o700)
        os.chown(tmp_path, NOBODY, NOBODY)
        with pytest.raises(InputError, match=f"others can replace the contents of {tmp_path} "):
            state.check()

    @needs_root
    def test_a_way_over_another_users_link_is_refused(self, state: StateDir, tmp_path: Path) -> None:
        """It leads to the right folder now, and elsewhere when they like."""
        link = tmp_path / "link"
        link.symlink_to(tmp_path)
        StateDir(link / "state").check()
        os.lchown(link, NOBODY, NOBODY)
        with pytest.raises(InputError, match=f"others can replace the contents of {link} "):
            StateDir(link / "state").check()

    def test_writing_never_goes_through_a_link(self, state: StateDir, tmp_path: Path) -> None:
        """Neither a symbolic nor a hard one: the name gets a file of its own."""
        for plant in (Path.symlink_to, Path.hardlink_to):
            victim = tmp_path / f"victim-{plant.__name__}"
            victim.write_text("precious")
            plant(state.root / "revocations.tmp", victim)
            write_private(state.root / "revocations.tmp", b"ours")
            assert victim.read_text() == "precious"
            assert stat.S_IMODE((state.root / "revocations.tmp").lstat().st_mode) == 0o600
            (state.root / "revocations.tmp").unlink()


class TestKeys:
    @pytest.fixture(params=["identity.txt", "log-key.pem"])
    def key(self, request: pytest.FixtureRequest, state: StateDir, tmp_path: Path) -> Path:
        return tmp_path / "keys" / str(request.param)

    def read(self, key: Path, state: StateDir) -> object:
        return read_identity(key) if key.name == "identity.txt" else read_signing_key(state.audit, key)

    def test_a_key_that_others_can_reach_is_refused(self, key: Path, state: StateDir, tmp_path: Path) -> None:
        """By its mode, by a link, by a pipe in its place: at once, in one sentence."""
        assert self.read(key, state)
        key.chmod(0o640)
        with pytest.raises(InputError, match=f"chmod 600 {key}"):
            self.read(key, state)
        key.chmod(0o600)
        key.rename(tmp_path / "elsewhere")
        key.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(InputError, match="is a symbolic link"):
            self.read(key, state)
        key.unlink()
        os.mkfifo(key, 0o600)
        with deadline(5), pytest.raises(InputError):
            self.read(key, state)

    @needs_root
    def test_another_users_key_is_refused(self, key: Path, state: StateDir) -> None:
        """Even where root could read it: who has written it knows it."""
        os.chown(key, NOBODY, NOBODY)
        with pytest.raises(InputError, match="belongs to another user"):
            self.read(key, state)

    @pytest.mark.parametrize(
        "exchange",
        [
            lambda path: path.chmod(0o644),
            lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
            lambda path: (path.unlink(), os.mkfifo(path, 0o600)),
        ],
        ids=["opened to all", "link", "pipe"],
    )
    def test_what_is_exchanged_after_the_look_is_not_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: Callable[[Path], object]
    ) -> None:
        """The last look is at the file that was opened."""
        path = tmp_path / "key"
        write_private(path, b"secret")

        def look_and_lose(path: Path) -> None:  # stands for losing the race, which cannot be lost on purpose
            exchange(path)

        monkeypatch.setattr("fleet.paths.require_private", look_and_lose)
        with deadline(5), pytest.raises(InputError):
            read_private(path, 100)


class TestPipesInPlaceOfFiles:
    """A copy of a state directory may hold anything: reading it comes to an end."""

    @pytest.mark.parametrize(
        "name",
        ["audit/log/000000000000.jsonl", "audit/ckpt/000000000000", "audit/ballast", "audit/log.vkey", "audit/lock"],
    )
    def test_of_the_log(self, state: StateDir, tmp_path: Path, name: str) -> None:
        """Verified, read and opened for writing: an error or none, never a wait for a writer that does not come."""
        places, key = state.audit, tmp_path / "keys" / "log-key.pem"
        keys = read_keys(places.vkey)
        AuditLog(places, "a test", read_signing_key(places, key)).close()
        (state.root / name).unlink()
        os.mkfifo(state.root / name, 0o600)
        with deadline(5):
            verify(places, keys)
            try:
                list(read_last_run(places.log, rehearsal=None))
                AuditLog(places, "a test", read_signing_key(places, key)).close()
            except FleetError as error:
                assert "\n" not in str(error)

    def test_of_what_is_kept_of_a_segment(self, tmp_path: Path) -> None:
        """Its root is a mere cache, its hashes are not."""
        segment = Segment(tmp_path, SEGMENT_RECORDS)
        segment.hashes_path.write_bytes(bytes(32))
        os.mkfifo(segment.path)
        os.mkfifo(segment.root_path)
        with deadline(5):
            assert segment.remembered_root() is None
            with pytest.raises(FleetError, match="is not a file written by the log"):
                segment.start()

    def test_of_a_session_a_recipe_and_an_inventory(self, state: StateDir, tmp_path: Path) -> None:
        """Each is told as what it is."""
        os.mkfifo(state.sessions / "anna.linkedin.age")
        (tmp_path / "recipes").mkdir()
        os.mkfifo(tmp_path / "recipes" / "wiki.yml")
        (tmp_path / "host_vars").mkdir()
        (tmp_path / "staff.yml").write_text("all: {hosts: {anna: {}}}")
        os.mkfifo(tmp_path / "host_vars" / "anna.yml")
        older = state.root / "revocations.yml"
        os.mkfifo(older)
        with deadline(5):
            with pytest.raises(SessionError, match="not a regular file"):
                identity = read_identity(tmp_path / "keys" / "identity.txt")
                SessionStore(state).open("anna", load_catalog().recipes["linkedin"], identity)
            with pytest.raises(InputError, match="not a regular file"):
                load_catalog([tmp_path / "recipes"])
            with pytest.raises(InputError, match="not a regular file"):
                Revocations(state.revocations).all()
            assert SourceLines([str(tmp_path / "staff.yml")]).of_host("anna", "x") == f"{tmp_path / 'staff.yml'}:1"


class TestInventoryData:
    @pytest.mark.parametrize(
        "name",
        [
            "-e@x",
            "--become",
            "../../etc/x",
            "a:b",
            "a/b",
            "a b",
            "a\nb",
            "",
            ".",
            "@x",
            "{{ x }}",
            "a,b",
            "a[1:3]",
            "ä",
            "a\n",
        ],
    )
    def test_a_name_that_means_something_to_ansible_or_a_file_system_is_refused(self, name: str) -> None:
        """It is planned as bad data, and no file and no command line ever holds it."""
        employee = read_employee(name, {}, {}, {}, SourceLines(()))
        assert not employee.is_name_safe
        assert [problem.field for problem in employee.problems] == ["inventory_hostname"]

    @pytest.mark.parametrize(
        "profile", [".", "..", "a/b", "a\\b", "../x", "a\nb", "a\tb", "a\0b", " a", "a ", "a  b", ""]
    )
    def test_a_profile_that_would_lead_elsewhere_is_refused(self, profile: str) -> None:
        """In an address `.` and `..` are steps, whatever is done to the other characters."""
        with pytest.raises(ValidationError):
            Account.model_validate({"profile": profile})

    @pytest.mark.parametrize(
        "profile",
        ["a?b", "a#b", "a%2fb", "%2e%2e", "...", "a;b", "a&b=c", "a@b", "a:b", "chloé", "{profile}", "a\u202eb"],
    )
    def test_any_other_profile_stays_one_step_of_the_address(self, profile: str) -> None:
        """Of every page of every recipe: no host, path, query or fragment of its own."""
        assert Account.model_validate({"profile": profile}).profile == profile
        pages = [page for recipe in load_catalog([REHEARSAL_RECIPES]) for page in recipe.pages]
        pages.append("https://a.example/u/{profile}/settings")
        for page in pages:
            filled, plain = urlsplit(fill_profile(page, profile)), urlsplit(page.replace("{profile}", "x"))
            assert (filled.netloc, filled.query, filled.fragment) == (plain.netloc, plain.query, plain.fragment)
            assert filled.path.count("/") == plain.path.count("/")
            assert not {".", ".."} & set(filled.path.split("/"))

    @pytest.mark.parametrize(
        "locale",
        ["fr --x", "--lang=x", "fr\n", "fr,de", "fr;q=0", "{{ x }}", "fr/..", "", "fr" + "-abcd" * 50, ["fr"], 1],
    )
    def test_a_locale_is_a_language_and_nothing_else(self, locale: object) -> None:
        """It goes to the browser."""
        employee = read_employee("anna", {"fleet_locale": locale}, {}, {}, SourceLines(()))
        assert employee.locale is None
        assert [problem.field for problem in employee.problems] == ["fleet_locale"] + ["fleet_locale"] * (
            "{{" in str(locale)
        )


class TestTerminals:
    """Names and files may hold what a terminal obeys: it is shown, not sent."""

    def test_of_mistakes_in_an_inventory(self, tmp_path: Path) -> None:
        """As `fleet inventory check` names them, and as an error of any command does."""
        (tmp_path / "staff.yml").write_text('all: {hosts: {"a\\e]0;owned\\ab": {"fleet_\\e[2J": 1}}}')
        for arguments in (["inventory", "check"], ["run", "-l", "\x1b[2J"]):
            done = subprocess.run(
                [Path(sys.executable).with_name("fleet"), *arguments, "-i", tmp_path / "staff.yml"],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 2
            assert "\N{REPLACEMENT CHARACTER}" in done.stderr
            assert "\x1b" not in done.stdout + done.stderr and "\a" not in done.stderr

    def test_of_results(self) -> None:
        """The table of a run."""
        result = Result("a\x1b[2J", "linkedin", "ai_training", Outcome.NO_MANDATE, reason=Reason.NO_MANDATE_GIVEN)
        console = Console(file=StringIO(), width=200)
        console.print(results_table([result]))
        said = console.file.getvalue()  # type: ignore[attr-defined] # the StringIO above
        assert "\x1b" not in said and said.count("a\N{REPLACEMENT CHARACTER}[2J") == 2


def test_a_session_outside_the_state_is_not_removed(state: StateDir, tmp_path: Path) -> None:
    """A name from elsewhere that leads out of the folder is nobody's."""
    (tmp_path / "x.linkedin.age").write_text("precious")
    command = [Path(sys.executable).with_name("fleet"), "sessions", "remove", "--state", state.root]
    done = subprocess.run([*command, "../../x", "linkedin"], capture_output=True, text=True, check=False)
    assert (done.returncode, (tmp_path / "x.linkedin.age").read_text()) == (2, "precious")
    assert "There is no session of ../../x" in done.stderr


async def test_the_browser_has_no_debugging_port() -> None:
    """Driven over a pipe: of its processes none listens, and none was told to."""
    before = _descendants(os.getpid())
    engine = Engine(find_browser(), Network(), sandbox=os.geteuid() != 0)
    try:
        assert await engine.refused_selectors(frozenset({"localhost:1"}), {"a", "]"}) == {"]"}
        started = _descendants(os.getpid()) - before
        commands = [_read(Path(f"/proc/{pid}/cmdline")) for pid in started]
        assert any("--remote-debugging-pipe" in command for command in commands)
        assert not any("--remote-debugging-port" in command for command in commands)
        assert not {inode for pid in started for inode in _sockets(pid)} & _listening()
    finally:
        await engine.stop()


def _read(path: Path) -> str:
    """What a file of /proc says; nothing where its process has just ended."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _descendants(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = {int(child) for task in tasks for child in _read(task).split()}
    return children | {each for child in children for each in _descendants(child)}


def _sockets(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):  # closed meanwhile
            found |= set(re.findall(r"^socket:\[([0-9]+)\]$", str(link.readlink())))
    return found


def _listening() -> set[str]:
    """The inodes of all TCP sockets in the state LISTEN."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in _read(Path(f"/proc/net/{name}")).splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A"}

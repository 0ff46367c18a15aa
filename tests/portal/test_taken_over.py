"""A portal that was taken over: whoever holds its user can take away, and opens no account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.commands import FLEET, fleet
from tests.conftest import OBEYING_MODES
from tests.identity_provider import SUBJECT, TEXT, SigningProvider, settings_of, signing_provider, statement
from tests.sizes import sizes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a user for the portal")
PORTAL, GROUP = 64123, os.getegid()
"""A user without a name and a home, as a service has it, in the group of the user who runs `fleet` (docs/portal.md)."""

ATTACK = """
import json, os, signal, socket, sys
place, agent = sys.argv[1], int(sys.argv[2])
got = []

def tried(what, act):
    try:
        act()
    except (OSError, ValueError):
        return
    got.append(what)

def read(path):
    with open(path, "rb") as file:
        file.read(1)

def write(path):
    with open(path, "ab") as file:
        file.write(b"x")

for folder, folders, files in os.walk(place):
    for name in files:
        path = os.path.join(folder, name)
        if "/inbox/" not in path and "/shown/" not in path:
            tried("read " + path, lambda: read(path))
        if "/inbox/" not in path:
            tried("write " + path, lambda: write(path))
            tried("remove " + path, lambda: os.remove(path))
for folder in ("state", "keys", "state/mandates", "state/revocations", "state/attestations"):
    tried("list " + folder, lambda: os.listdir(f"{place}/{folder}"))
    tried("write into " + folder, lambda: write(f"{place}/{folder}/anna"))
for folder in ("shown", "shown/people", "box", "."):
    tried("write into " + folder, lambda: write(f"{place}/{folder}/new"))
tried("move the inbox", lambda: os.rename(f"{place}/box/inbox", f"{place}/box/other"))
tried("move the pages", lambda: os.rename(f"{place}/shown/site.json", f"{place}/box/inbox/site.json"))
tried("link a key", lambda: os.link(f"{place}/keys/identity.txt", f"{place}/box/inbox/link"))
tried("stop the agent", lambda: os.kill(agent, signal.SIGSTOP))
tried("look into the agent", lambda: read(f"/proc/{agent}/environ"))
tried("look at its memory", lambda: read(f"/proc/{agent}/mem"))
print(json.dumps(got))
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SigningProvider, Path]]:
    folder = tmp_path_factory.mktemp("provider")
    with signing_provider(folder) as signing:
        yield signing, folder / "ca.pem"


@pytest.fixture
def place(provider: tuple[SigningProvider, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine as docs/portal.md sets it up: state and keys of one user, the inbox of the portal's."""
    signing, authority = provider
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)  # pytest's own folders are closed to others
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    Path("keys").mkdir(mode=0o700)
    Path("staff.yml").write_text(
        json.dumps({"all": {"hosts": {"anna": {"fleet_subject": SUBJECT, "fleet_country": "DE"}}}})
    )
    Path("fleet.yml").write_text(
        "inventory: staff.yml\nstate: state\nidentity: keys/identity.txt\nlog_key: keys/log-key.pem\n"
        "inbox: box/inbox\ndesk: {countries: [DE]}\nportal_data: shown\neverybody: [linkedin]\n"
        "terms_accepted: {linkedin: T-1}\n"
        "personal_sessions: {linkedin: P-1}\n" + settings_of(signing)
    )
    Path("texts").mkdir()
    Path("texts/mandate.en.txt").write_text(TEXT)
    for name in ("staff.yml", "fleet.yml", "texts/mandate.en.txt"):
        Path(name).chmod(0o600)
    assert fleet("init").returncode == 0
    Path("box").mkdir(mode=0o711)
    Path("box/inbox").mkdir()
    os.chown("box/inbox", PORTAL, GROUP)
    Path("box/inbox").chmod(0o2770)
    Path("shown").mkdir()
    Path("shown").chmod(0o2750)
    assert fleet("portal", "publish").returncode == 0
    return tmp_path


def as_portal(script: str, *arguments: str, directory: str = "/") -> str:
    """Run Python as the portal's user, who need not be able to start this interpreter; returns what it prints."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(GROUP, GROUP, GROUP)
            os.chdir(directory)  # as a user who may enter it
            os.setresuid(PORTAL, PORTAL, PORTAL)
            os.umask(0o027)
            os.dup2(writing, 1)
            sys.argv, sys.stdout = ["attack", *arguments], os.fdopen(1, "w", closefd=False)
            exec(compile(script, "attack", "exec"), {"__name__": "attack"})
            sys.stdout.flush()
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as output:
        told = output.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return told


def put(name: str, content: str) -> None:
    """Write a file into the inbox as the portal's user."""
    script = "import os, sys; open('.new', 'w').write(sys.argv[2]); os.rename('.new', sys.argv[1])"
    as_portal(script, name, content, directory="box/inbox")


def plan() -> tuple[str, str | None]:
    """How Anna's control would end."""
    [one] = json.loads(fleet("run", "--plan", "--output", "json").stdout)["left_alone"]
    return one["outcome"], one["reason"]


def ingest() -> dict[str, Any]:
    """As the user of the state, who obeys the modes that the documentation sets."""
    done = subprocess.run(
        [*OBEYING_MODES, FLEET, "portal", "ingest", "--output", "json"], capture_output=True, text=True, check=False
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_it_reaches_nothing_but_its_own_inbox(place: Path) -> None:
    """Neither state, keys, log and inventory nor the pages that it shows, nor the agent's process."""
    agent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        told = as_portal(ATTACK, str(place), str(agent.pid))
    finally:
        agent.communicate(b"\n")
    assert json.loads(told) == []
    read = (
        "import sys; from pathlib import Path; "
        "print(len([path.read_text() for path in Path(sys.argv[1]).glob('**/*.json')]))"
    )
    assert as_portal(read, str(place / "shown")) == "2\n"


def test_what_it_writes_opens_nothing(place: Path, provider: tuple[SigningProvider, Path]) -> None:
    """Each mandate without the provider's signature for just this is refused; a statement stays a statement."""
    signing, said = provider[0], statement()
    moment = datetime.now(UTC).isoformat()
    sign_in = signing.sign(signing.claims("another sign-in"))
    for number, token in enumerate((sign_in, signing.unsigned(signing.claims(said)), "a.b.c")):
        act = {"v": 1, "act": "mandate", "employee": "anna", "statement": said, "id_token": token, "at": moment}
        put(f"mandate-{number:032x}.json", json.dumps(act))
    assert plan() == ("no_mandate", "no_mandate_given")
    assert len(ingest()["refused"]) == 3
    wanted = {"v": 1, "act": "appointment", "employee": "anna", "is_wanted": True, "at": moment}
    put(f"appointment-{'a' * 32}.json", json.dumps(wanted))
    drawn = {"v": 1, "act": "spot_check", "employee": "anna", "is_coming": True, "at": moment}
    put(f"spot_check-{'a' * 32}.json", json.dumps(drawn))
    answer = ingest()
    assert (answer["taken"], len(answer["refused"])) == ({"appointment": 1}, 1)
    assert plan() == ("no_mandate", "no_mandate_given")
    act = {"v": 1, "act": "attest", "employee": "anna", "service": "linkedin", "control": "ai_training"}
    put(f"attest-{'a' * 32}.json", json.dumps(act | {"said": "switched", "at": moment}))
    assert ingest()["taken"] == {"attest": 1}
    assert plan() == ("attested", "switched")  # never opted_out


@pytest.mark.parametrize("count", sizes(200, 25_000))
def test_what_it_exhausts_shuts_and_can_be_emptied(
    place: Path, provider: tuple[SigningProvider, Path], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood, a pipe, a huge file, a folder: no mandate counts then, and `fleet portal ingest` clears them."""
    signing, said = provider[0], statement()
    act = {"v": 1, "act": "mandate", "employee": "anna", "statement": said}
    act["id_token"], act["at"] = signing.sign(signing.claims(said)), datetime.now(UTC).isoformat()
    put(f"mandate-{'a' * 32}.json", json.dumps(act))
    assert ingest()["taken"] == {"mandate": 1} and plan() == ("sign_in_needed", "no_session")
    flood = (
        "import os, sys\n"
        "for number in range(int(sys.argv[1])): open(f'x{number}', 'w').close()\n"
        "os.mkfifo('revoke-pipe'); os.mkdir('revoke-folder')\n"
        "os.truncate(os.open('revoke-huge', os.O_CREAT | os.O_WRONLY, 0o640), 2**30)\n"
    )
    as_portal(flood, str(count), directory="box/inbox")
    assert plan() == ("no_mandate", "revocations_unreadable")
    while any(Path("box/inbox").iterdir()):
        assert ingest()["refused"]
    assert plan() == ("sign_in_needed", "no_session")

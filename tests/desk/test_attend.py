"""`fleet attend`: employees sit at a display, sign in themselves, and answer what the screen asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fleet.audit import records as schema
from fleet.authority.attestations import Attestations
from fleet.authority.given import GivenMandates
from fleet.desk.private_profile import MEMORY
from fleet.paths import REHEARSAL_RECIPES, StateDir, runtime_dir
from tests.commands import fleet
from tests.desk.attended import (
    AGAIN,
    AGREE,
    ALLOW,
    CHALLENGED,
    OTHER,
    PAGE,
    READING,
    SIGN,
    SIGNING_IN,
    THANKS,
    agent_of,
    agree,
    agree_and_sign_in,
    appointments,
    attending,
    ended,
    itself,
    lay_out,
    marker,
    own_browser,
    personal,
    places_of,
    plain_browser,
    profiles,
    running,
    sign_in,
    sign_in_half,
)
from tests.desk.over_ssh import on_another_machine
from tests.desk.screen import Screen, screen
from tests.playbook.helpers import records, state, stored, wait_until
from tests.sizes import cases

pytestmark = pytest.mark.xdist_group("desk")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A display, a folder with inventory and settings, and open appointments of two people."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    lay_out({"anna.keller": personal("anna.keller"), "brian.walsh": personal("brian.walsh")})
    with screen() as display:
        monkeypatch.setenv("DISPLAY", display.display)
        yield display


Way = Callable[[Screen, Path], None]
FORM = """
requests:
  objection:
    title: Object to research
    kind: form
    page: https://people.intranet.example/settings/privacy
    choices: {de: [Ich widerspreche, Forschung]}
    text: {de: Ich widerspreche der Nutzung.}
    sources: [x]
    verified_live: null
"""
LETTER = FORM.replace("kind: form", "kind: letter").replace(
    "page: https://people.intranet.example/settings/privacy", "send_to: privacy@intranet.example"
)
LETTER = LETTER.replace("    choices: {de: [Ich widerspreche, Forschung]}\n", "")


def lay_out_request(request: str, more: dict[str, Any] | None = None) -> None:
    """Anna Keller at a service with a form or letter, and at LinkedIn if `more` has her account there."""
    anna = personal("anna.keller")
    anna["fleet_accounts"] = {"intranet": {"profile": "anna.keller", "name": "Anna Keller"}, **(more or {})}
    anna["fleet_rehearsal_case"] = dict.fromkeys(anna["fleet_accounts"], "switched_on")
    lay_out({"anna.keller": anna, "brian.walsh": personal("brian.walsh")})
    Path("recipes").mkdir()
    recipe = (REHEARSAL_RECIPES / "intranet.yml").read_text().replace("accounts: organization", "accounts: personal")
    Path("recipes/intranet.yml").write_text(recipe + request)
    settings = json.loads(Path("fleet.yml").read_text())
    settings |= {"recipes": ["recipes"], "controls": ["objection", "ai_training"]}
    Path("fleet.yml").write_text(json.dumps(settings))


def allowed(desk: Screen, tmp_path: Path) -> None:
    """They sign a form, sign in and allow the change: opted out, with a mandate of the desk, records and a receipt."""
    lay_out_request(FORM, {"linkedin": personal("anna.keller")["fleet_accounts"]["linkedin"]})
    with attending("--receipts", str(tmp_path)) as process:
        agree(desk)
        desk.choose(SIGN, 2)
        desk.choose(THANKS, 1)
        sign_in(desk)
        desk.wait_for(ALLOW)
        assert stored()["anna.keller", "linkedin", "ai_training"] == ("in", 0)
        desk.click(900, 300)  # into the service's window, which hears nothing
        desk.press("Tab", "space")
        desk.choose(ALLOW, 1)
        desk.choose(THANKS, 1)
        code, results, said = ended(process)
    assert code == 3 and sorted(results) == [("attested", "sent"), ("opted_out", None)], said
    assert "LinkedIn: the screen asks: Allow?" in said
    assert stored()["anna.keller", "linkedin", "ai_training"] == ("out", 1)
    by_event = {record["event"]: record for record in records()}
    assert by_event[schema.RUN_STARTED]["attended"] is True
    intent, word = by_event[schema.CONTROL_INTENDED], by_event[schema.CONTROL_ATTESTED]
    [end] = [one for one in records() if one["event"] == schema.CONTROL_FINISHED and one["outcome"] == "opted_out"]
    assert (intent["attended"], intent["assurance"], end["attended"]) == (True, "desk", True)
    assert (word["control"], word["said"], word["assurance"]) == ("objection", "sent", "desk")
    [given] = GivenMandates(StateDir(state()).mandates).of("anna.keller").mandates
    assert by_event[schema.MANDATE_GIVEN]["text_sha256"] == given.instruction.text.sha256
    receipt = (tmp_path / "anna.keller.receipt.txt").read_text()
    assert "Ihr eigener Auftrag, persönlich vor Ort erteilt" in receipt  # codespell:ignore
    assert appointments().of("anna.keller") is None and appointments().of("brian.walsh") is not None
    left = json.loads(fleet("attend", "--list", "--output", "json").stdout)
    assert [one["employee"] for one in left["attended"]] == ["brian.walsh"]


def decline(desk: Screen) -> None:
    """Sign in, and leave the setting as it is."""
    agree_and_sign_in(desk)
    desk.choose(ALLOW, 2)
    desk.choose(THANKS, 1)


def not_agree(desk: Screen) -> None:
    """Agree to nothing."""
    desk.wait_for(AGREE)
    desk.click(60, 125)
    desk.press("Tab", "Tab", "Tab", "Tab", "Return")


def close_early(desk: Screen) -> None:
    """Close the window without signing in, try again, close it again, and end there."""
    agree(desk)
    desk.wait_for("Sign In|Sign in")
    desk.click(1000, 880)
    desk.close_window()
    desk.choose(AGAIN, 1)
    desk.wait_for("Sign In|Sign in")
    desk.click(1000, 880)
    desk.close_window()
    desk.choose(AGAIN, 2)
    desk.choose(THANKS, 1)


def end_while_signing_in(desk: Screen) -> None:
    """End the visit on the screen; the open window is closed."""
    agree(desk)
    desk.wait_for("Sign In|Sign in")
    desk.choose(SIGNING_IN, 1)


def close_the_visit(desk: Screen) -> None:
    """Close the service's window while the screen asks."""
    agree_and_sign_in(desk)
    desk.wait_for(READING)
    desk.wait_for(PAGE)
    desk.click(900, 12)
    desk.close_window()


def other_to_the_end(desk: Screen) -> None:
    """Somebody else's account is signed in, twice."""
    agree_and_sign_in(desk)
    desk.choose(OTHER, 1)
    sign_in(desk)
    desk.choose(OTHER, 2)
    desk.choose(THANKS, 1)


def lets_happen(
    acts: Callable[[Screen], None], end: tuple[str, str | None], case: str = "switched_on", code: int = 3, *options: str
) -> Way:
    """The visit of somebody with this case of the rehearsal, how it ends, and that nothing was changed."""

    def way(desk: Screen, _folder: Path) -> None:
        lay_out({"anna.keller": personal("anna.keller", case)})
        with attending(*options) as process:
            acts(desk)
            found, results, said = ended(process)
        assert (found, results) == (code, [end]), said
        assert ("asks for the person" in said) is (acts is answer_challenge)
        assert stored()["anna.keller", "linkedin", "ai_training"] == ("in", 0)

    return way


def answer_challenge(desk: Screen) -> None:
    """Answer the service's challenge in its window, and press Continue; the visit goes on."""
    agree(desk)
    desk.wait_for("Sign In|Sign in")
    desk.click(1000, 880)
    desk.sign_in("anna-keller", "Security Verification")
    desk.close_window()
    desk.wait_for(CHALLENGED)
    desk.click(800, 300)
    desk.press("Tab")
    desk._do("type", "--delay", "20", "123456")
    desk.press("Return")
    desk.wait_for(PAGE)
    desk.choose(CHALLENGED, 1)
    desk.choose(THANKS, 1)


def only_read(desk: Screen) -> None:
    """Sign in; with --check nothing is asked."""
    agree_and_sign_in(desk)
    desk.choose(THANKS, 1)


def signing(request: str, acts: Callable[[Screen], None], end: tuple[str, str]) -> Way:
    """A visit for a form or letter alone: nothing of ours opens its page, and only the employee's word counts."""

    def way(desk: Screen, _folder: Path) -> None:
        lay_out_request(request)
        with attending() as process:
            desk.wait_for(SIGN)
            if request == FORM:
                desk.wait_for("Sign in")
            window = " ".join(plain_browser(process).cmdline())
            assert "remote-debugging" not in window and "enable-automation" not in window
            page = "https://people.intranet.example/settings/privacy" if request == FORM else "about:blank"
            assert page in window
            acts(desk)
            desk.choose(THANKS, 1)
            code, results, said = ended(process)
        assert (code, results) == (3, [end]), said
        assert "they sign a form or letter" in said
        stated = [one["said"] for one in records() if one["event"] == schema.CONTROL_ATTESTED]
        assert stated == (["sent"] if end[0] == "attested" else [])
        assert len(Attestations(StateDir(state()).attestations).of("anna.keller")) == len(stated)
        assert not any(one["event"] == schema.CONTROL_INTENDED for one in records())

    return way


def confirm(desk: Screen) -> None:
    """Say that the service confirmed it."""
    desk.choose(SIGN, 2)


def leave(desk: Screen) -> None:
    """Say that it was not sent."""
    desk.choose(SIGN, 3)


def close_and_confirm(desk: Screen) -> None:
    """Close the window first, then say that the service confirmed it."""
    desk.click(1000, 880)
    desk.close_window()
    wait_until(lambda: not desk.shows("Sign in"))
    desk.choose(SIGN, 2)


def kills(victim: Callable[[subprocess.Popen[str]], psutil.Process], moment: str) -> Way:
    """SIGKILL while somebody signs in, or is asked; the next command, without a display, wipes what was left."""

    def way(desk: Screen, _folder: Path) -> None:
        with attending() as process:
            agree_and_sign_in(desk) if moment == ALLOW else sign_in_half(desk)
            desk.wait_for(moment)
            victim(process).send_signal(signal.SIGKILL)
            if victim not in (itself, agent_of):
                process.terminate()
            process.wait(90)
        assert fleet("attend", "--list").returncode == 0
        fleet("attend", "--yes", "-l", "anna.keller", env={**os.environ, "DISPLAY": ""})
        assert stored()["anna.keller", "linkedin", "ai_training"] == ("in", 0)

    return way


def killed_after_the_press(desk: Screen, folder: Path) -> None:
    """Before the read-back: the outcome is `unknown`, and the next visit reads first and presses nothing."""
    with attending() as process:
        agree_and_sign_in(desk)
        desk.choose(ALLOW, 1)
        wait_until(lambda: stored()["anna.keller", "linkedin", "ai_training"] == ("out", 1))
        agent_of(process).send_signal(signal.SIGKILL)
        code, results, said = ended(process)
    finished = [one["outcome"] for one in records() if one["event"] == schema.CONTROL_FINISHED]
    assert finished == ["unknown"], (code, results, said)
    with attending() as process:
        desk.wait_for(SIGNING_IN)
        assert places_of(marker(), MEMORY, folder, runtime_dir()) == []
        sign_in(desk)
        desk.choose(THANKS, 1)
        code, results, said = ended(process)
    assert (code, results) == (0, [("already_opted_out", None)]), said
    assert stored()["anna.keller", "linkedin", "ai_training"] == ("out", 1)


NOT_ALLOWED = ("no_mandate", "not_allowed")
WAYS: dict[str, Way] = {
    "allowed": allowed,
    "on another machine": on_another_machine,
    "declined": lets_happen(decline, NOT_ALLOWED),
    "not agreed": lets_happen(not_agree, ("no_mandate", "no_mandate_given")),
    "closed early": lets_happen(close_early, ("sign_in_needed", "no_session")),
    "visit closed": lets_happen(close_the_visit, NOT_ALLOWED),
    "ended while signing in": lets_happen(end_while_signing_in, NOT_ALLOWED),
    "somebody else": lets_happen(other_to_the_end, ("wrong_account", None), "other_person"),
    "challenge": lets_happen(answer_challenge, ("would_opt_out", None), "challenge_code", 4, "--check"),
    "check mode": lets_happen(only_read, ("would_opt_out", None), "switched_on", 4, "--check"),
    "form": signing(FORM, confirm, ("attested", "sent")),
    "form not sent": signing(FORM, leave, ("employee_needed", "employee_signs")),
    "form closed first": signing(FORM, close_and_confirm, ("attested", "sent")),
    "letter": signing(LETTER, confirm, ("attested", "sent")),
    "fleet killed while signing in": kills(itself, SIGNING_IN),
    "agent killed while signing in": kills(agent_of, SIGNING_IN),
    "window killed while signing in": kills(plain_browser, SIGNING_IN),
    "fleet killed while asking": kills(itself, ALLOW),
    "agent killed while asking": kills(agent_of, ALLOW),
    "browser killed while asking": kills(own_browser, ALLOW),
    "agent killed after the press": killed_after_the_press,
}


@pytest.mark.parametrize("way", cases(WAYS, ["allowed"]))
def test_a_visit_ends_as_the_employee_decides_and_leaves_nothing(desk: Screen, tmp_path: Path, way: str) -> None:
    """No process, no profile, no session, no cookie, and an audit log that verifies, whatever happens meanwhile."""
    WAYS[way](desk, tmp_path)
    wait_until(lambda: running() == [] and profiles() == [])
    assert list((state() / "sessions").iterdir()) == []
    assert places_of(marker(), MEMORY, tmp_path, runtime_dir()) == []
    assert fleet("audit", "verify", "--rehearsal").returncode == 0


class TestRefused:
    def test_without_a_display_nothing_begins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit code 2, a sentence, and no run in the log."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        lay_out({"anna.keller": personal("anna.keller")})
        refused = fleet("attend", "--yes")
        assert refused.returncode == 2 and "There is no display here" in " ".join(refused.stderr.split())
        assert not any(record["event"] == schema.RUN_STARTED for record in records())

    def test_without_a_terminal_nobody_is_asked_whether_the_employee_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A script must say --yes."""
        monkeypatch.chdir(tmp_path)
        lay_out({"anna.keller": personal("anna.keller")})
        refused = fleet("attend")
        assert refused.returncode == 2 and "add --yes" in " ".join(refused.stderr.split())

    def test_an_employee_sits_at_one_desk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two machines are refused before anything begins."""
        monkeypatch.chdir(tmp_path)
        lay_out({"anna.keller": personal("anna.keller")})
        refused = fleet("attend", "--yes", "--worker", "one", "--worker", "two")
        assert refused.returncode == 2 and "an employee sits at one desk" in " ".join(refused.stderr.split())

"""Notices: who is told what, how often, and that nobody is asked again after an answer or two reminders."""

from __future__ import annotations

import csv
import email
import json
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from fleet.audit.segments import read_records
from fleet.authority.attestations import Attestation, Attestations
from fleet.paths import StateDir
from fleet.state.sent_notices import SentNotices
from tests.commands import fleet

TODAY = datetime.now(UTC).date()
MANDATE = {"reference": "M", "services": ["linkedin"], "granted_on": "2026-01-01", "expires_on": "2999-01-01"}
LABEL_DE = "Ihre Daten zum Schulen von KI-Modellen verwenden, um Inhalte zu erstellen"
PASSWORD = "Nobody will ever ask you for your password at one of these services, neither here nor by mail."


def host(name: str, **more: Any) -> dict[str, Any]:
    accounts = {"linkedin": {"profile": f"{name}-k"}}
    return {"fleet_email": f"{name}@company.example", "fleet_accounts": accounts} | more


@pytest.fixture(autouse=True)
def _company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hosts = {
        "anna": host("anna"),
        "ben": host("ben", fleet_locale="de"),
        "carl": host("carl", fleet_locale="pl"),
        "dora": host("dora", fleet_mandate=MANDATE | {"employee": "dora"}),
    }
    Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    Path("fleet.yml").write_text(
        "inventory: staff.yml\nstate: state\nterms_accepted: {linkedin: T}\npersonal_sessions: {linkedin: P}\n"
        "portal:\n  url: https://optout.example.com\n  organization: Example AG\n  contact: privacy@example.com\n"
        "  sign_in: {issuer: 'https://sso.example.com', client_id: c}\n"
    )
    assert fleet("init").returncode == 0


def rows_of(file: str) -> list[dict[str, str]]:
    with Path(file).open(encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def write(exit_code: int = 0) -> tuple[str, list[dict[str, str]]]:
    """What the command says, and the rows of its file."""
    done = fleet("notices", "write", "-o", "out")
    assert done.returncode == exit_code, done
    return done.stdout, rows_of("out/notices.csv")


def sent(days_ago: int) -> None:
    """Everything that was written went out so many days ago."""
    assert fleet("notices", "sent", "out/notices.csv").returncode == 0
    for path in Path("state/notices").iterdir():
        content = json.loads(path.read_text())
        content["sent"][-1]["sent_on"] = (TODAY - timedelta(days=days_ago)).isoformat()
        path.write_text(json.dumps(content))


def kinds() -> dict[str, str]:
    return {row["employee"]: row["kind"] for row in write()[1]}


def mail(name: str) -> EmailMessage:
    message = email.message_from_bytes(Path(f"out/{name}.first.eml").read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


class TestWords:
    def test_each_employee_reads_how_to_do_it_in_their_language(self) -> None:
        """The exact label where it is known in theirs, else the English one, marked; and nobody asks for a password."""
        told, rows = write()
        assert told.startswith("first: 4 notices\n")
        message = mail("ben")
        assert (message["To"], message["From"]) == ("ben@company.example", "privacy@example.com")
        text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        assert LABEL_DE in text and "freiwillig" in text and "Passwort" in text
        assert "https://www.linkedin.com/mypreferences/d/settings/data-for-ai-improvement" in text
        html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
        assert f'<b lang="de">{LABEL_DE}</b>' in html and "<script" not in html
        english = mail("anna").get_body(("plain",)).get_content()  # type: ignore[union-attr]
        assert PASSWORD in english and "(label in English)" not in english
        assert [row["label"] for row in rows if row["employee"] == "ben"] == [LABEL_DE]

    def test_with_a_portal_the_only_link_is_the_portals(self) -> None:
        """One address that people know: a copy with another link is seen to be one."""
        with Path("fleet.yml").open("a") as config:
            config.write("portal_data: shown\n")
        write()
        for kind in ("plain", "html"):
            body = mail("anna").get_body((kind,)).get_content()  # type: ignore[union-attr]
            assert "https://optout.example.com" in body and "linkedin.com" not in body

    def test_a_cell_is_never_a_formula(self) -> None:
        """Names come from outside."""
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": {"anna": host("anna") | {"fleet_email": "=a@b.c"}}}}))
        assert [row["email"] for row in write()[1]] == ["'=a@b.c"]

    def test_without_a_contact_it_says_what_to_add(self) -> None:
        """To fleet.yml."""
        Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\n")
        assert "fleet.yml has no portal" in fleet("notices", "write", "-o", "out").stderr


class TestHowOften:
    def test_once_and_two_reminders_two_weeks_apart(self) -> None:
        """Counted from the day on which they went out; what was only written counts for nothing."""
        assert set(kinds().values()) == {"first"} == set(kinds().values())
        sent(13)
        assert kinds() == {}
        for path in Path("state/notices").iterdir():
            path.write_text(
                path.read_text().replace((TODAY - timedelta(days=13)).isoformat(), str(TODAY - timedelta(14)))
            )
        assert set(kinds().values()) == {"reminder"}
        sent(14)
        assert set(kinds().values()) == {"reminder"}
        sent(13)
        assert kinds() == {}

    def test_the_same_file_counts_once(self) -> None:
        """However often it is recorded; each notice is in the log."""
        write()
        told = [fleet("notices", "sent", "out/notices.csv").stdout for _ in range(2)]
        assert [one.partition(",")[0] for one in told] == ["Recorded 4 notices", "Recorded 0 notices"]
        events = [one["kind"] for one in read_records(StateDir(Path("state")).audit.log)]
        assert events == ["first"] * 4

    def test_who_does_not_answer_two_reminders_is_closed_like_who_refuses(self) -> None:
        """Nobody can tell which of them it was, wherever they look."""
        for _ in range(3):
            write()
            sent(14)
        said = Attestation(service="linkedin", control="ai_training", said="closed", attested_on=TODAY)
        Attestations(StateDir(Path("state")).attestations).put("anna", said)
        told, rows = write()
        assert "Closed for 3 employees who did not answer two reminders." in told and rows == []
        answer = json.loads(fleet("run", "--plan", "--output", "json").stdout)["left_alone"]
        ended = {json.dumps(one | {"employee": "", "next": ""}, sort_keys=True) for one in answer}
        assert len(answer) == 4 and len(ended) == 1 and '"reason": "closed"' in ended.pop()
        assert write()[0].startswith("Written to")

    @pytest.mark.parametrize(
        "line", ["id,employee\n", "id,employee,kind\nx,anna,first\n", "id,employee,kind\n" + "0" * 32 + ",anna,last\n"]
    )
    def test_another_file_records_nothing(self, line: str) -> None:
        """The sentence names its line."""
        Path("other.csv").write_text(line)
        done = fleet("notices", "sent", "other.csv")
        assert done.returncode == 2 and "other.csv:" in done.stderr
        assert list(read_records(StateDir(Path("state")).audit.log)) == []

    def test_who_is_erased_was_sent_nothing(self) -> None:
        """The file goes with the person's row."""
        write()
        sent(0)
        assert fleet("audit", "erase", "anna").returncode == 0
        assert SentNotices(StateDir(Path("state")).notices).of("anna") == ()


class TestWhoIsLeftOut:
    @pytest.mark.parametrize("said", ["switched", "was_off", "closed"])
    def test_who_has_answered(self, said: Any) -> None:
        """Whatever they said."""
        answer = Attestation(service="linkedin", control="ai_training", said=said, attested_on=TODAY)
        Attestations(StateDir(Path("state")).attestations).put("anna", answer)
        assert "anna" not in kinds()

    def test_whose_account_is_the_organizations(self) -> None:
        """It is no employee's to switch."""
        accounts = {"intranet": {"profile": "anna", "owner": "company"}}
        Path("staff.yml").write_text(
            json.dumps({"all": {"vars": {"fleet_rehearsal": True}, "hosts": {"anna": {"fleet_accounts": accounts}}}})
        )
        assert fleet("run", "--check").returncode in (0, 4)
        done = fleet("notices", "write", "--rehearsal", "-o", "out")
        assert done.returncode == 0, done
        assert rows_of("out/notices.csv") == []


def test_whose_setting_was_switched_gets_their_receipt() -> None:
    """Once for each press; attached, and recorded when it went out."""
    hosts = {"dora": host("dora", fleet_mandate=MANDATE | {"employee": "dora"})}
    Path("staff.yml").write_text(json.dumps({"all": {"vars": {"fleet_rehearsal": True}, "hosts": hosts}}))
    assert fleet("run").returncode == 0
    for count in (1, 0):
        assert fleet("notices", "write", "--rehearsal", "-o", "out").returncode == 0
        rows = rows_of("out/notices.csv")
        assert [row["kind"] for row in rows] == ["receipt"] * count
        assert fleet("notices", "sent", "out/notices.csv", "--rehearsal").returncode == 0
    message = email.message_from_bytes(Path("out/dora.receipt.eml").read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    [attached] = message.iter_attachments()
    assert attached.get_filename() == "dora.receipt.txt"
    assert "We switched it off, reloaded the page and read it back" in attached.get_content()

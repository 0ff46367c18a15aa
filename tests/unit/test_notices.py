"""Notices: who is told what, how often, and that nobody is asked again after an answer or two reminders."""

from __future__ import annotations

import asyncio
import csv
import email
import itertools
import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from fleet.audit import records
from fleet.audit.current_state import CurrentState, Sighting
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import known_subjects
from fleet.audit.segments import read_records
from fleet.authority.attestations import Attestation, Attestations
from fleet.commands.notices import _close
from fleet.inventory.employee import Account, Employee
from fleet.model import Outcome, Reading, Reason, Result
from fleet.notices.recipients import Ask, Due, Notices, Press, answers, open_controls, presses
from fleet.paths import StateDir, default_log_key
from fleet.plan.forecast import Forecast
from fleet.plan.plan import PlannedAccount
from fleet.recipes.catalog import load_catalog
from fleet.settings.resolve import Given, configure
from fleet.state.employee_acts import Attest
from fleet.state.sent_notices import NoticeKind, SentNotice, SentNotices
from tests.commands import fleet
from tests.logs import INTENDED, STARTED

TODAY = datetime.now(UTC).date()
MANDATE = {"reference": "M", "services": ["linkedin"], "granted_on": "2026-01-01", "expires_on": "2999-01-01"}
LABEL_DE = "Ihre Daten zum Schulen von KI-Modellen verwenden, um Inhalte zu erstellen"
PASSWORD = "Nobody will ever ask you for your password at one of these services, neither here nor by mail."


def host(name: str, **more: Any) -> dict[str, Any]:
    accounts = {"linkedin": {"profile": f"{name}-k"}}
    return {"fleet_email": f"{name}@company.example", "fleet_accounts": accounts} | more


@pytest.fixture
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


def rows_of(folder: str) -> list[dict[str, str]]:
    with Path(folder, "notices.csv").open(encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def write(*more: str) -> tuple[str, list[dict[str, str]]]:
    """What the command says, and the rows of its file, in the folder `out`."""
    shutil.rmtree("out", ignore_errors=True)
    done = fleet("notices", "write", "-o", "out", *more)
    assert done.returncode == 0, done
    return done.stdout, rows_of("out")


def sent(days_ago: int) -> None:
    """Everything that was written went out so many days ago."""
    assert fleet("notices", "sent", "out/notices.csv").returncode == 0
    for path in Path("state/notices").iterdir():
        content = json.loads(path.read_text())
        content["sent"][-1]["sent_on"] = (TODAY - timedelta(days=days_ago)).isoformat()
        path.write_text(json.dumps(content))


def kinds() -> dict[str, str]:
    return {row["employee"]: row["kind"] for row in write()[1]}


def mail(name: str, kind: str = "first") -> EmailMessage:
    message = email.message_from_bytes(Path(f"out/{name}.{kind}.eml").read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def without_portal() -> None:
    Path("fleet.yml").write_text("inventory: staff.yml\nstate: state\n")


@pytest.mark.usefixtures("_company")
class TestWords:
    def test_each_employee_reads_how_to_do_it_in_their_language(self) -> None:
        """What the service does, that it is voluntary, three steps, whom to ask, and what nobody will ever ask for."""
        told, rows = write()
        assert told.startswith("first: 4 notices\n")
        message = mail("ben")
        assert (message["To"], message["From"]) == ("ben@company.example", "Example AG <privacy@example.com>")
        assert (message["Reply-To"], message["X-Unsent"]) == ("Example AG <privacy@example.com>", "1")
        text = text_of(message)
        for part in ("KI-Modelle", "freiwillig", "  1. ", "  2. ", f'"{LABEL_DE}"', "  3. ", "Fragen?", "Passwort"):
            assert part in text
        html = text_of(message, "html")
        assert f'<b lang="de">{LABEL_DE}</b>' in html and "<script" not in html
        assert html.split() == Path("out/ben.first.html").read_text().split()
        english = text_of(mail("anna"))
        assert PASSWORD in english and "(label in English)" not in english
        [row] = [row for row in rows if row["employee"] == "ben"]
        assert (row["label"], row["link"], row["language"]) == (LABEL_DE, "https://optout.example.com", "de")
        assert re.fullmatch(r"LinkedIn: 1\. .* 2\. .* 3\. .*", row["steps"])

    def test_a_label_is_in_the_language_of_the_employees_pages(self) -> None:
        """Also where the letter is in English; where the recipe lacks it, the English one is marked."""
        assert [row["label"][:5] for row in write()[1] if row["employee"] == "carl"] == ["Użyj "]
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": {"carl": host("carl", fleet_locale="fi")}}}))
        write()
        assert "(label in English)" in text_of(mail("carl")) and "(label in English)" in text_of(mail("carl"), "html")

    def test_with_a_portal_the_only_link_is_the_portals(self) -> None:
        """One address that people know: a copy with another link is seen to be one."""
        write()
        for kind in ("plain", "html"):
            body = text_of(mail("anna"), kind)
            assert "https://optout.example.com" in body and "linkedin.com" not in body

    def test_without_a_portal_it_leads_to_the_setting(self) -> None:
        """And says by whom it is and whom to ask; a telephone number is no sender."""
        without_portal()
        assert "fleet.yml has no portal" in fleet("notices", "write", "-o", "out").stderr
        write("--contact", "+41 44 123 45 67", "--organization", "Example AG")
        message = mail("anna")
        assert (message["From"], message["Reply-To"]) == (None, None)
        assert "https://www.linkedin.com/mypreferences/d/settings/data-for-ai-improvement" in text_of(message)
        assert "Questions? Ask: +41 44 123 45 67, Example AG" in text_of(message)

    def test_a_cell_is_never_a_formula(self) -> None:
        """Names come from outside."""
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": {"anna": host("anna") | {"fleet_email": "=a@b.c"}}}}))
        assert [row["email"] for row in write()[1]] == ["'=a@b.c"]

    @pytest.mark.parametrize("address", [None, "a,b@c.example", "jürgen@c.example", "a(b)@c.example"])
    def test_whose_address_cannot_be_written_is_named(self, address: str | None) -> None:
        """Nobody else gets that mail, and the others' are written."""
        hosts = {"anna": host("anna") | {"fleet_email": address}, "ben": host("ben")}
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
        told, _ = write()
        assert "No .eml, because fleet_email is missing or unusual: anna." in told
        assert sorted(path.name for path in Path("out").iterdir()) == [
            *("anna.first.html", "ben.first.eml", "ben.first.html", "notices.csv")
        ]

    def test_an_old_notice_is_not_left_among_the_new_ones(self) -> None:
        """It would remind somebody who has refused since."""
        write()
        done = fleet("notices", "write", "-o", "out")
        assert done.returncode == 2 and "out is not empty" in done.stderr


@pytest.mark.usefixtures("_company")
class TestHowOften:
    def test_once_and_two_reminders_two_weeks_apart(self) -> None:
        """Counted from the day on which they went out; what was only written counts for nothing."""
        assert set(kinds().values()) == {"first"} == set(kinds().values())
        assert "remind you twice at most" in text_of(mail("anna"))
        sent(13)
        assert kinds() == {}
        for path in Path("state/notices").iterdir():
            path.write_text(
                path.read_text().replace((TODAY - timedelta(days=13)).isoformat(), str(TODAY - timedelta(14)))
            )
        assert set(kinds().values()) == {"reminder"}
        assert "one more may follow" in text_of(mail("anna", "reminder"))
        sent(14)
        assert set(kinds().values()) == {"reminder"}
        assert "our last reminder" in text_of(mail("anna", "reminder"))
        sent(13)
        assert kinds() == {}

    def test_the_same_file_counts_once(self) -> None:
        """However often it is recorded, also as a spreadsheet saved it; each notice is in the log."""
        write()
        told = [fleet("notices", "sent", "out/notices.csv").stdout for _ in range(2)]
        text = Path("out/notices.csv").read_text()
        Path("out/notices.csv").write_text("\ufeff" + text.replace('","', '";"'))
        told.append(fleet("notices", "sent", "out/notices.csv").stdout)
        assert [one.partition(",")[0] for one in told] == ["Recorded 4 notices", *["Recorded 0 notices"] * 2]
        kept = [one["kind"] for one in read_records(StateDir(Path("state")).audit.log)]
        assert kept == ["first"] * 4

    @pytest.mark.parametrize(
        "line",
        [
            "id,employee\n",
            "id,written_at,employee,kind,controls\nx,2026-11-01T10:00:00Z,anna,first,\n",
            "id,written_at,employee,kind,controls\n" + "0" * 32 + ",2026-11-01T10:00:00Z,anna,last,\n",
            "id,written_at,employee,kind,controls\n" + "0" * 32 + ",yesterday,anna,first,\n",
            "id,written_at,employee,kind,controls\n" + "0" * 32 + ",2026-11-01T10:00:00Z,../anna,first,\n",
            "id,written_at,employee,kind,controls\n" + "0" * 32 + "\n",
        ],
    )
    def test_another_file_records_nothing(self, line: str) -> None:
        """The sentence names its line."""
        Path("other.csv").write_text(line)
        done = fleet("notices", "sent", "other.csv")
        assert done.returncode == 2 and "other.csv:" in done.stderr, done
        assert list(read_records(StateDir(Path("state")).audit.log)) == []

    def test_who_is_erased_was_sent_nothing(self) -> None:
        """The file goes with the person's row."""
        write()
        sent(0)
        assert fleet("audit", "erase", "anna").returncode == 0
        assert SentNotices(StateDir(Path("state")).notices).of("anna") == ()


def outputs(name: str) -> dict[str, str]:
    """All that others see of one employee, without name, moments, numbers and digests."""
    shown = {
        " ".join(verb): fleet(*verb).stdout
        for verb in (
            ("run", "--plan", "--output", "json"),
            ("status", "--output", "json"),
            ("status",),
            ("audit", "show", "--employee", name),
            ("audit", "export", "--format", "csv"),
        )
    }
    for path in sorted(Path("state").rglob("*")):
        if path.suffix == ".json":
            shown[str(path)] = path.read_text()
    shown["files"] = "\n".join(str(path) for path in sorted(Path("state").rglob("*")) if "ckpt" not in str(path))
    subject = known_subjects(StateDir(Path("state")).audit.subjects)[name].pseudonym
    without = rf"{name}|{subject[:14]}\w*|\d{{4}}-\d\d-\d\d[T ][0-9:.]*(Z|\+00:00)?|[0-9a-f]{{32,}}|\d+T\d+Z-\w{{6}}"
    return {
        place: re.sub(r'"(seq|monotonic_ms)": ?\d+|"\d+"', "", re.sub(without, "", text))
        for place, text in shown.items()
    }


def asked_three_times() -> None:
    """Anna's three notices went out, the last one two weeks ago."""
    times = [
        f"{number:032x},2026-01-0{number}T00:00:00Z,anna,{kind}"
        for number, kind in enumerate(("first", "reminder", "reminder"), start=1)
    ]
    lines = ["id,written_at,employee,kind,controls", *(f"{line},linkedin.ai_training" for line in times)]
    Path("sent.csv").write_text("\n".join(lines))
    assert fleet("notices", "sent", "sent.csv").returncode == 0
    [path] = Path("state/notices").iterdir()
    path.write_text(path.read_text().replace(str(TODAY), str(TODAY - timedelta(14))))


@pytest.mark.usefixtures("_company")
def test_nobody_can_tell_who_refused_from_who_never_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the same notices, one says no in the portal and one nothing: all else is the same, byte for byte."""
    seen = []
    for way in ("says", "silent"):
        monkeypatch.chdir(tmp_path)
        Path(way).mkdir()
        monkeypatch.chdir(tmp_path / way)
        monkeypatch.setenv("HOME", str(tmp_path / way))
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": {"anna": host("anna")}}}))
        Path("fleet.yml").write_text((tmp_path / "fleet.yml").read_text() + "inbox: inbox\n")
        Path("inbox").mkdir()
        assert fleet("init").returncode == 0
        asked_three_times()
        if way == "says":
            act = {"v": 1, "act": "close", "employee": "anna", "service": "linkedin", "control": "ai_training"}
            moment = datetime.now(UTC).isoformat()
            Path("inbox", f"close-{'a' * 32}.json").write_text(json.dumps(act | {"at": moment}))
            assert fleet("portal", "ingest").returncode == 0
        told, rows = write()
        assert rows == [] and ("Closed for 1 employee who" in told) == (way == "silent")
        seen.append(outputs("anna"))
    assert '"reason": "closed"' in seen[0]["run --plan --output json"]
    assert seen[0] == seen[1]


DAY = datetime(2026, 3, 15, 12, tzinfo=UTC)
TRAINING = Ask("linkedin", "ai_training")


def after(days: int) -> datetime:
    return DAY + timedelta(days=days)


class Company:
    """One employee, and what has happened."""

    def __init__(self, folder: Path, *asks: Ask, owner: str = "employee") -> None:
        account = Account.model_validate({"owner": owner})
        services = {ask.service: account for ask in asks} | {"linkedin": account}
        self.anna = Employee("anna", accounts=services)
        self.asks, self.sent = asks, SentNotices(folder / "notices")
        self.presses: list[Press] = []
        self.answers: list[tuple[str, datetime]] = []
        self.waiting: set[str] = set()
        self._ids = itertools.count()

    def told(self, kind: NoticeKind, *controls: str, day: int = 0, written: datetime | None = None) -> None:
        notice = SentNotice(
            id=f"{next(self._ids):032x}",
            kind=kind,
            written_at=written or after(day),
            sent_on=after(day).date(),
            controls=controls,
        )
        self.sent.put("anna", notice)

    def asked(self, *controls: str, days: tuple[int, ...] = (0, 14, 28)) -> None:
        for number, day in enumerate(days):
            self.told(NoticeKind.REMINDER if number else NoticeKind.FIRST, *controls, day=day)

    def due(self, day: int) -> Due:
        notices = Notices(
            {"anna": list(self.asks)}, {"anna": self.presses}, {"anna": self.answers}, self.sent, self.waiting
        )
        return notices.due([self.anna], after(day).date())


def kinds_of(due: Due) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    return [(one.kind.value, one.controls) for one in due.recipients]


class TestWhenItIsDue:
    def test_two_weeks_after_the_second_reminder_it_is_closed(self, tmp_path: Path) -> None:
        """Not a day earlier."""
        company = Company(tmp_path, TRAINING)
        company.asked("linkedin.ai_training")
        assert company.due(41) == Due((), ())
        assert company.due(42) == Due((), (("anna", "linkedin", "ai_training"),))

    def test_what_is_new_is_asked_first_and_not_closed(self, tmp_path: Path) -> None:
        """Nobody has left unanswered what they were never asked."""
        company = Company(tmp_path, TRAINING, Ask("jira", "ai"))
        company.asked("linkedin.ai_training")
        due = company.due(42)
        assert due.closed == (("anna", "linkedin", "ai_training"),)
        assert kinds_of(due) == [("first", (("jira", "ai"),))]

    def test_an_answer_begins_a_new_count(self, tmp_path: Path) -> None:
        """An attestation that expired: asked anew, and not closed at once."""
        company = Company(tmp_path, TRAINING)
        company.asked("linkedin.ai_training")
        for name in ("linkedin.ai_training", "linkedin"):
            company.answers = [(name, after(29))]
            assert kinds_of(company.due(300)) == [("first", (("linkedin", "ai_training"),))]
            assert company.due(300).closed == ()
        company.answers = [("jira", after(29))]
        assert company.due(300).closed != ()

    def test_who_has_something_in_the_inbox_is_not_asked(self, tmp_path: Path) -> None:
        """They have answered, and may have refused; their receipt is due all the same."""
        company = Company(tmp_path, TRAINING)
        company.asked("linkedin.ai_training")
        company.waiting = {"anna"}
        assert company.due(42) == Due((), ())
        company.presses = [Press("linkedin", "ai_training", after(1), is_mandated=True, is_claimed=False)]
        assert [kind for kind, _ in kinds_of(company.due(42))] == ["receipt"]

    def test_who_gave_a_mandate_is_told_once_that_they_are_needed(self, tmp_path: Path) -> None:
        """No reminder, and nothing is closed: the mandate is their answer."""
        company = Company(tmp_path, Ask("linkedin", "ai_training", only_once=True))
        assert [(one.kind.value, one.is_last) for one in company.due(0).recipients] == [("first", True)]
        company.asked("linkedin.ai_training")
        assert company.due(99) == Due((), ())

    def test_the_organizations_account_is_no_employees_to_switch(self, tmp_path: Path) -> None:
        """But who uses it hears what was clicked."""
        company = Company(tmp_path, TRAINING, owner="company")
        company.presses = [Press("linkedin", "ai_training", DAY, is_mandated=False, is_claimed=False)]
        assert [kind for kind, _ in kinds_of(company.due(0))] == ["receipt"]

    def test_a_click_after_the_receipt_was_written_gets_one_of_its_own(self, tmp_path: Path) -> None:
        """Also on the same day, and before that receipt went out."""
        company = Company(tmp_path)
        company.presses = [
            Press("linkedin", control, after(0) + timedelta(minutes=minutes), is_mandated=True, is_claimed=False)
            for control, minutes in (("ai_training", 0), ("ads", 2))
        ]
        company.told(NoticeKind.RECEIPT, "linkedin.ai_training", day=1, written=after(0) + timedelta(minutes=1))
        assert kinds_of(company.due(0)) == [("receipt", (("linkedin", "ads"),))]
        company.told(NoticeKind.RECEIPT, "linkedin.ads", day=1, written=after(0) + timedelta(minutes=2))
        assert company.due(2) == Due((), ())


SIGHTING = Sighting(DAY, "r1")


def open_after(reason: Reason | None, outcome: Outcome | None = None, reading: Reading | None = None) -> list[Ask]:
    """What anna is asked about if a run would not visit for this reason (None: would), after such a last run."""
    recipe = load_catalog().recipes["linkedin"]
    states = {}
    if outcome is not None:
        key = "s_1", "linkedin", "ai_training"
        states[key] = CurrentState(*key, outcome, None, SIGHTING, reading, SIGHTING if reading else None)
    result = Result("anna", "linkedin", "ai_training", Outcome.NO_MANDATE, reason=reason)
    visit = PlannedAccount(Employee("anna"), "linkedin", recipe, ("ai_training",))
    planned = Forecast((visit,), (), ()) if reason is None else Forecast((), (result,), ())
    return open_controls(planned, states, {"anna": "s_1"}).get("anna", [])


class TestWhoIsAsked:
    @pytest.mark.parametrize(
        "reason",
        [
            *(Reason.NO_MANDATE_GIVEN, Reason.MANDATE_EXPIRED, Reason.MANDATE_MISSES_SERVICE, Reason.TERMS_FORBID),
            *(Reason.MANDATE_MISSES_CONTROL, Reason.MANDATE_TOO_WEAK, Reason.PERSONAL_SESSION, Reason.PROFILE_UNKNOWN),
        ],
    )
    def test_whose_setting_no_run_may_switch(self, reason: Reason) -> None:
        """Unless it was read as out, or is not offered."""
        assert open_after(reason) == [TRAINING] == open_after(reason, Outcome.NO_MANDATE)
        assert open_after(reason, Outcome.NO_MANDATE, Reading.OUT) == [] == open_after(reason, Outcome.NOT_OFFERED)

    @pytest.mark.parametrize(
        "reason",
        [
            *(Reason.MANDATE_REVOKED, Reason.MANDATE_NOT_YET_VALID, Reason.MANDATE_OF_ANOTHER, Reason.CLOSED),
            *(Reason.MANDATES_UNREADABLE, Reason.REVOCATIONS_UNREADABLE, Reason.SERVICE_STOPPED),
            *(Reason.STOPS_UNREADABLE, Reason.SWITCHED, Reason.WAS_OFF, Reason.BAD_DATA),
        ],
    )
    def test_not_who_has_answered_and_not_for_what_an_administrator_must_fix(self, reason: Reason) -> None:
        """A full inbox sends nobody mail."""
        assert open_after(reason) == []

    def test_who_must_sign_in_is_asked_once(self) -> None:
        """Without a session, or after a visit that the service did not let through; not before the first visit."""
        once = [Ask("linkedin", "ai_training", only_once=True)]
        assert open_after(Reason.NO_SESSION) == once == open_after(None, Outcome.CHALLENGED)
        assert open_after(None, Outcome.SIGN_IN_NEEDED) == once == open_after(None, Outcome.WRONG_ACCOUNT)
        assert open_after(None) == [] == open_after(None, Outcome.PAGE_CHANGED) == open_after(None, Outcome.OPTED_OUT)

    @pytest.mark.usefixtures("_company")
    @pytest.mark.parametrize("said", ["switched", "was_off", "closed"])
    def test_not_who_has_answered(self, said: Any) -> None:
        """Whatever they said."""
        answer = Attestation(service="linkedin", control="ai_training", said=said, attested_on=TODAY)
        Attestations(StateDir(Path("state")).attestations).put("anna", answer)
        assert "anna" not in kinds()

    def test_what_counts_as_an_answer(self) -> None:
        """A statement and its withdrawal, and a mandate, by whom ever it was written down."""
        at = "2026-03-15T12:00:00.000000Z"
        log = [
            {"event": "control.attested", "subject": "s", "service": "linkedin", "control": "ads", "at": at},
            {"event": "mandate.given", "subject": "s", "controls": ["jira.ai"], "at": at},
            {"event": "mandate.met", "subject": "s", "services": ["slack"], "at": at},
            {"event": "notice.sent", "subject": "s", "at": at},
        ]
        assert answers(log) == {"s": [("linkedin.ads", DAY), ("jira.ai", DAY), ("slack", DAY)]}


async def press(state: StateDir, name: str, **intended: Any) -> None:
    log = AuditLog(state.audit, "a test", read_signing_key(state.audit, default_log_key()))
    subject = known_subjects(state.audit.subjects)[name].pseudonym
    await log.append(records.RUN_STARTED, "r1", **STARTED)
    await log.append(records.CONTROL_INTENDED, "r1", **(INTENDED | {"subject": subject} | intended))
    log.close()


@pytest.mark.usefixtures("_company")
@pytest.mark.parametrize(
    ("intended", "said"),
    [
        ({"authority": "mandate", "assurance": "oidc"}, ["With your mandate, we opened your account"]),
        (
            {"authority": "mandate", "assurance": "claimed"},
            ["With your mandate, we opened your account", "If you gave none, tell us"],
        ),
        ({"authority": "company"}, ["In the account that Example AG owns and you use"]),
    ],
)
def test_who_was_clicked_for_gets_their_receipt(intended: dict[str, str], said: list[str]) -> None:
    """Attached, and beside it for the mail merge; whatever came of the click, and on whatever authority. Once."""
    write()
    sent(0)  # from here on anna has a pseudonym
    asyncio.run(press(StateDir(Path("state")), "anna", **intended))
    [row] = write()[1]
    assert (row["employee"], row["kind"], row["receipt"]) == ("anna", "receipt", "anna.receipt.txt")
    message = mail("anna", "receipt")
    [attached] = message.iter_attachments()
    assert attached.get_filename() == "anna.receipt.txt"
    assert attached.get_content().replace("\r\n", "\n") == Path("out/anna.receipt.txt").read_text()
    for kind in ("plain", "html"):
        body = text_of(message, kind)
        assert [part for part in said if part not in body] == [] and "switched" not in body
    assert ("If you gave none" in text_of(message)) == (intended.get("assurance") == "claimed")
    sent(0)
    assert write()[1] == []


def test_a_click_is_read_with_its_authority() -> None:
    """An older record says nothing of the assurance: nobody proved it."""
    at = {"at": "2026-03-15T12:00:00.000000Z", "event": "control.intended"}
    log = [INTENDED | at | {"authority": "mandate"}, INTENDED | at]
    claimed, company = presses(log)["s_1"]
    assert (claimed.is_mandated, claimed.is_claimed) == (True, True)
    assert (company.is_mandated, company.is_claimed, company.at) == (False, False, DAY)


def test_more_controls_are_closed_than_one_act_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In several acts; that each is recorded costs too much to do it a thousand times here."""
    acts: list[Attest] = []
    monkeypatch.setattr("fleet.commands.notices.carry_out", lambda _settings, _owner, act: acts.append(act))
    closed = tuple((f"anna{number}", "linkedin", "ai_training") for number in range(1001))
    _close(configure(Given()).settings, Due((), closed), DAY)
    assert [len(act.statements) for act in acts] == [500, 500, 1]

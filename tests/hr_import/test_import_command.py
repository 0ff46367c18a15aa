"""`fleet inventory import` as a person types it: the difference first, a question, and nothing written by halves."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

FLEET = str(Path(sys.executable).with_name("fleet"))
PEOPLE = """Work Email,Location,LinkedIn URL,First Name,Last Name,Salary
anna.keller@company.example,Dublin,https://www.linkedin.com/in/anna-keller-4b1a2/,Anna,Keller,"1,000"
brian.walsh@company.example,Dublin,,Brian,Walsh,=2
chloe.martin@company.example,Lyon,chloe-martin,Chloé,Martin,3
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text(PEOPLE, "utf-8")


def fleet(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([FLEET, *arguments], capture_output=True, text=True, timeout=120, check=False, input=typed)


def bring_in(*arguments: str) -> subprocess.CompletedProcess[str]:
    return fleet("inventory", "import", "people.csv", "-i", "staff.yml", *arguments)


def refusal(*arguments: str) -> str:
    """The sentences of a refused import, on one line: exit code 2, no traceback, and nothing there is another."""
    before = {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    done = bring_in(*arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done
    assert {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
    return " ".join(done.stderr.partition("Error: ")[2].split())


def answer(text: str, *arguments: str) -> tuple[int, str]:
    """Exit code and screen of an import at a real terminal, at which somebody types `text`."""
    pid, screen = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(FLEET, [FLEET, "inventory", "import", "people.csv", "-i", "staff.yml", *arguments])
    seen = b""
    try:
        while b"[y/N]" not in seen:
            seen += os.read(screen, 65536)
        os.write(screen, text.encode())
        while chunk := os.read(screen, 65536):
            seen += chunk
    except OSError:  # the other side of a terminal has gone
        pass
    finally:
        os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


class TestImport:
    def test_the_first_import_makes_an_inventory_as_a_person_would(self) -> None:
        """What is written is private, without mistakes, and the second time there is nothing to do."""
        done = bring_in("--yes")
        assert done.returncode == 0, done.stderr
        assert "3 joined, 0 changed, 0 left." in done.stdout
        text = Path("staff.yml").read_text("utf-8")
        assert text.partition("all:\n")[2] == (
            "  children:\n"
            "    dublin:\n"
            "      hosts:\n"
            "        anna.keller:\n"
            "          fleet_email: anna.keller@company.example\n"
            "          fleet_accounts:\n"
            "            linkedin: {profile: anna-keller-4b1a2, name: Anna Keller}\n"
            "        brian.walsh:\n"
            "          fleet_email: brian.walsh@company.example\n"
            "    lyon:\n"
            "      hosts:\n"
            "        chloe.martin:\n"
            "          fleet_email: chloe.martin@company.example\n"
            "          fleet_accounts:\n"
            "            linkedin: {profile: chloe-martin, name: Chloé Martin}\n"
        )
        assert [oct(Path(name).stat().st_mode & 0o777) for name in ("staff.yml", "staff.import.yml")] == ["0o600"] * 2
        assert fleet("inventory", "check", "-i", "staff.yml").stdout == "3 employees, 2 accounts, 0 mistakes\n"
        before = Path("staff.yml").stat()
        again = bring_in()
        assert (again.returncode, again.stdout) == (0, "Nothing to change in staff.yml: 3 as they are.\n")
        after = Path("staff.yml").stat()
        assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)

    def test_ansible_itself_reads_the_same_people(self) -> None:
        """The last word on an inventory is not ours."""
        bring_in("--yes")
        program = str(Path(sys.executable).with_name("ansible-inventory"))
        listed = json.loads(
            subprocess.run([program, "-i", "staff.yml", "--list"], capture_output=True, check=True).stdout
        )
        assert (listed["dublin"]["hosts"], listed["lyon"]["hosts"]) == (
            ["anna.keller", "brian.walsh"],
            ["chloe.martin"],
        )
        anna = listed["_meta"]["hostvars"]["anna.keller"]
        assert anna == {
            "fleet_email": "anna.keller@company.example",
            "fleet_accounts": {"linkedin": {"profile": "anna-keller-4b1a2", "name": "Anna Keller"}},
        }

    def test_the_difference_is_shown_and_asked_about(self) -> None:
        """At a terminal: no and Ctrl-C write nothing, yes writes."""
        code, screen = answer("n\n")
        assert code == 1 and "Nothing was done." in screen
        assert not Path("staff.yml").exists()
        code, screen = answer("\x03")
        assert code in (1, 130) and not Path("staff.yml").exists()
        code, screen = answer("y\n")
        assert code == 0 and "Write staff.yml? [y/N]" in screen and "is written" in screen
        assert screen.index("joined") < screen.index("[y/N]")
        assert Path("staff.yml").exists()

    def test_without_a_terminal_it_takes_yes(self) -> None:
        """A cron job that nobody can answer for writes nothing."""
        assert refusal() == "Write staff.yml? There is no terminal to ask at, so nothing was done; add --yes."

    def test_check_writes_nothing(self) -> None:
        """Neither inventory nor columns."""
        done = bring_in("--check")
        assert done.returncode == 0 and "3 joined" in done.stdout
        assert sorted(path.name for path in Path().iterdir()) == ["home", "people.csv"]

    def test_columns_are_remembered_and_a_new_header_is_named(self) -> None:
        """Told once; what the HR system renames is not guessed anew."""
        Path("people.csv").write_text(PEOPLE.replace("Work Email", "Contact"), "utf-8")
        assert "no column is known to hold e-mail addresses; say which of Contact, Location" in refusal("--yes")
        assert bring_in("--map", "email=Contact", "--yes").returncode == 0
        assert bring_in("--yes").stdout.startswith("Nothing to change")
        Path("people.csv").write_text(PEOPLE.replace("Work Email", "Email"), "utf-8")
        assert "people.csv:1: has no column 'Contact' for email; give its new name with --map" in refusal("--yes")

    def test_all_mistakes_are_named_at_once(self) -> None:
        """Each with line and column; salaries may begin with a sign, nobody looks at them."""
        Path("people.csv").write_text(
            PEOPLE + "x,Dublin,,a,b,1\nd@company.example,={{x}},,a,b,1\nanna.keller@company.example,Dublin,,a,b,1\n",
            "utf-8",
        )
        said = refusal("--yes")
        for part in (
            "people.csv:5: Work Email: not an e-mail address.",
            "people.csv:6: Location: begins like a formula",
            "people.csv:7: Work Email: the same address as in line 2; keep one",
        ):
            assert part in said

    def test_a_gap_in_a_mandate_is_named_with_its_line_in_another_folder(self) -> None:
        """The file is looked into where it is, not where the command was typed."""
        Path("people").mkdir()
        Path("people/staff.yml").write_text(
            "all:\n  hosts:\n    anna.keller:\n      fleet_accounts: {linkedin: {profile: anna}}\n"
            "      fleet_mandate: {employee: bob, reference: M-1, services: [linkedin],\n"
            "        granted_on: 2026-01-01, expires_on: 2099-12-31}\n"
        )
        done = fleet("inventory", "import", "people.csv", "-i", "people/staff.yml")
        assert done.returncode == 2
        assert "staff.yml:5: anna.keller: fleet_mandate.employee: names bob" in " ".join(done.stderr.split())

    def test_who_left_goes_only_when_that_is_not_half(self) -> None:
        """A cut or a filtered export looks like that; --keep-left and --keep let people stay."""
        bring_in("--yes")
        Path("people.csv").write_text("\n".join(PEOPLE.splitlines()[:2]) + "\n", "utf-8")
        assert "2 of 3 people would leave staff.yml: see that people.csv is the whole export" in refusal("--yes")
        assert bring_in("--yes", "--keep-left").stdout.startswith("Nothing to change")
        kept = bring_in("--yes", "--keep", "brian.walsh")
        assert kept.returncode == 0 and "0 joined, 0 changed, 1 left, 1 as they are, 1 kept" in kept.stdout
        assert "fleet inventory prune -i staff.yml" in kept.stderr
        assert bring_in("--yes").stdout.startswith("Nothing to change in staff.yml: 1 as they are, 1 kept")
        Path("people.csv").write_text(PEOPLE.replace("anna.keller", "anna.meyer").replace("brian", "bri"), "utf-8")
        assert "1 of 2 people would leave" in refusal("--yes")
        assert bring_in("--yes", "--accept-shrink").returncode == 0
        assert "brian.walsh" in Path("staff.yml").read_text()

    def test_a_keep_must_name_somebody(self) -> None:
        """A slip of the pen would let the person go; one that is remembered may have left since."""
        bring_in("--yes")
        Path("people.csv").write_text("\n".join(PEOPLE.splitlines()[:3]) + "\n", "utf-8")
        said = refusal("--yes", "--keep", "chloe.martn", "--keep", "anna.keller")
        assert said == "--keep chloe.martn: neither staff.yml nor people.csv has that employee; mend the name."
        assert bring_in("--yes", "--keep", "chloe.martin").returncode == 0
        Path("staff.yml").unlink()
        assert bring_in("--yes").returncode == 0

    def test_what_a_person_wrote_stays(self) -> None:
        """Waivers, mandates, comments and rehearsal cases of an inventory that was there before."""
        Path("staff.yml").write_text((ROOT / "inventory.example.yml").read_text("utf-8"), "utf-8")
        Path("people.csv").write_text("Email,LinkedIn\nmarta.conti@company.example,marta-c\n")
        assert bring_in("--yes", "--keep-left").returncode == 0
        text = (ROOT / "inventory.example.yml").read_text("utf-8")
        assert Path("staff.yml").read_text("utf-8") == text.replace("profile: marta-conti,", "profile: marta-c,")

    def test_a_script_gets_one_object(self) -> None:
        """On stdout, and nothing else."""
        done = bring_in("--yes", "--output", "json")
        said = json.loads(done.stdout)
        assert (said["written"], said["left"], said["changed"]) == (True, [], [])
        assert [(one["employee"], one["line"], one["groups"]) for one in said["joined"]] == [
            ("anna.keller", 2, ["dublin"]),
            ("brian.walsh", 3, ["dublin"]),
            ("chloe.martin", 4, ["lyon"]),
        ]
        Path("people.csv").write_text(PEOPLE.replace("Dublin,,Brian", "Lyon,,Brian"), "utf-8")
        said = json.loads(bring_in("--check", "--output", "json").stdout)
        assert (said["written"], said["joined"], said["changed"]) == (
            False,
            [],
            [
                {
                    "employee": "brian.walsh",
                    "line": 3,
                    "changes": [{"field": "site", "before": "dublin", "after": "lyon"}],
                    "stays_in": [],
                }
            ],
        )

    def test_who_stays_in_a_group_that_may_be_a_site_is_told(self) -> None:
        """A first import cannot tell a site from a group made by hand; told in the remembered file, it moves her."""
        Path("staff.yml").write_text(
            "dublin:\n  hosts:\n    anna.keller:\n    brian.walsh:\nlyon:\n  hosts:\n    chloe.martin:\n"
            "  vars: {fleet_locale: fr}\n"
        )
        Path("people.csv").write_text(PEOPLE.replace("Lyon", "Dublin"), "utf-8")
        [_, _, chloe] = json.loads(bring_in("--check", "--output", "json").stdout)["changed"]
        assert (chloe["employee"], chloe["stays_in"]) == ("chloe.martin", ["lyon"])
        done = bring_in("--yes")
        assert "stays in lyon as well; if that is another site" in " ".join(done.stdout.split())
        remembered = Path("staff.import.yml")
        remembered.write_text(remembered.read_text("utf-8").replace("  - dublin\n", "  - dublin\n  - lyon\n"), "utf-8")
        [chloe] = json.loads(bring_in("--yes", "--output", "json").stdout)["changed"]
        assert chloe["changes"] == [{"field": "site", "before": "lyon", "after": "dublin"}]
        assert chloe["stays_in"] == [] and Path("staff.yml").read_text("utf-8").count("chloe.martin:") == 1

    def test_a_cut_file_and_a_file_without_an_end_are_seen(self) -> None:
        """The one is refused; the other may be whole, and is doubted aloud."""
        Path("people.csv").write_text(PEOPLE[:-5], "utf-8")
        assert "people.csv:4: has 5 cells where the header has 6" in refusal("--yes")
        Path("people.csv").write_text(PEOPLE.rstrip("\n"), "utf-8")
        assert "people.csv:4: the last line has no end" in bring_in("--check").stderr

    def test_the_next_command_can_be_pasted(self) -> None:
        """The path as it was given, in quotes where a shell needs them."""
        Path("our staff").mkdir()
        Path("our staff/s.yml").write_text("all:\n  hosts:\n    dora.lind:\n")
        done = fleet("inventory", "import", "people.csv", "-i", "our staff/s.yml", "--yes", "--accept-shrink")
        assert done.returncode == 0 and "fleet inventory prune -i 'our staff/s.yml'" in " ".join(done.stderr.split())

    def test_a_folder_that_is_not_there_is_named_before_the_question(self) -> None:
        """Not after somebody has said yes."""
        done = fleet("inventory", "import", "people.csv", "-i", "d/staff.yml")
        assert done.returncode == 2 and done.stdout == ""
        said = " ".join(done.stderr.split())
        assert (
            said == f"Error: {Path('d').resolve()}: there is no such folder; make it, or mend the path given with -i."
        )

    @pytest.mark.parametrize("name", ["staff.ini", "."])
    def test_only_yaml_is_written(self, name: str) -> None:
        """An INI inventory or a folder is not turned into one."""
        done = fleet("inventory", "import", "people.csv", "-o", name, "--yes")
        assert done.returncode == 2 and "is no YAML file; an import is written into one" in done.stderr


OWN = ("--recipes", str(ROOT / "tests/contract/wagtail/recipes"))
"""A service whose accounts may be the company's: LinkedIn's never are."""
MANDATE = "Mandate Reference,Mandate Services,Mandate Granted On,Mandate Expires On"


def words(text: str) -> str:
    """What a screen says, whatever its width."""
    return " ".join(text.split())


class TestAuthority:
    def test_no_header_makes_an_account_the_company_s(self) -> None:
        """It would need no mandate then: only --map says so, which is remembered, and the output names each account."""
        Path("people.csv").write_text("Email,Wagtail,Wagtail Owner\nanna@b.example,anna,company\n")
        done = bring_in("--yes", *OWN)
        assert done.returncode == 0 and "not read: Wagtail Owner" in done.stderr
        assert "company" not in Path("staff.yml").read_text() and "Authority" not in done.stdout
        done = bring_in("--yes", *OWN, "--map", "wagtail.owner=Wagtail Owner")
        assert "anna wagtail is the company's: it needs no mandate" in words(done.stdout)
        assert "until now wagtail is the employee's: it needs a mandate" in words(done.stdout)
        assert "owner: company" in Path("staff.yml").read_text()
        Path("people.csv").write_text(Path("people.csv").read_text() + "ben@b.example,ben,company\n")
        assert "ben wagtail is the company's" in words(bring_in("--yes", *OWN).stdout)

    def test_an_owner_that_an_older_version_guessed_is_asked_about(self) -> None:
        """It stands in the remembered file, as if somebody had said it."""
        Path("people.csv").write_text("Email,Wagtail,Wagtail Owner\nanna@b.example,anna,company\n")
        Path("staff.import.yml").write_text(
            "columns: {email: Email, wagtail.profile: Wagtail, wagtail.owner: Wagtail Owner}\n"
        )
        assert "wagtail.owner was guessed from 'Wagtail Owner'." in refusal("--yes", *OWN)
        assert bring_in("--yes", *OWN, "--map", "wagtail.owner=").returncode == 0
        assert "company" not in Path("staff.yml").read_text()

    def test_every_mandate_is_shown_person_by_person(self) -> None:
        """However many join at once, also with --yes; a changed one beside what there was."""
        rows = [f"p{number}@b.example,M-{number},linkedin,2026-01-15,2099-12-31" for number in range(25)]
        Path("people.csv").write_text("\n".join([f"Email,{MANDATE}", *rows]) + "\n")
        said = words(bring_in("--yes", *OWN).stdout)
        for number in range(25):
            assert f"p{number} mandate M-{number} for linkedin, 2026-01-15 to 2099-12-31" in said
        rows[3] = "p3@b.example,M-3,linkedin wagtail,2026-01-15,2099-12-31"
        Path("people.csv").write_text("\n".join([f"Email,{MANDATE}", *rows]) + "\n")
        done = bring_in("--check", "--output", "json", *OWN)
        assert json.loads(done.stdout)["authority"] == [
            {
                "employee": "p3",
                "before": "mandate M-3 for linkedin, 2026-01-15 to 2099-12-31",
                "after": "mandate M-3 for linkedin, wagtail, 2026-01-15 to 2099-12-31",
            }
        ]
        assert "authority for the accounts of 1 employee? There is no terminal" in refusal(*OWN)


class TestRowsThatAreNotRead:
    def test_a_bad_row_is_left_out_by_name_and_its_person_stays(self) -> None:
        """The exit code says that somebody must look; nobody leaves because of a slip in a cell."""
        bring_in("--yes")
        text = PEOPLE.replace("https://www.linkedin.com/in/anna-keller-4b1a2/", "https://www.linkedin.com/pub/anna/4b")
        Path("people.csv").write_text(text + ",Dublin,,Dora,Lind,1\neve@company.example,Lyon,,Eve,Ito,1\n", "utf-8")
        said = refusal("--yes")
        assert "people.csv:2: LinkedIn URL: is no profile at LinkedIn; copy the address of the profile" in said
        assert said.endswith("Fix these rows, or leave them out by name: --on-bad-row skip")
        done = bring_in("--yes", "--on-bad-row", "skip")
        assert done.returncode == 3
        assert "people.csv:2: anna.keller is left out: LinkedIn URL: is no profile" in done.stderr
        assert "people.csv:5: Dora Lind is left out: Work Email: is empty" in done.stderr
        assert "1 joined, 0 changed, 0 left, 2 as they are, 1 kept whose rows are left out." in done.stdout
        assert "anna.keller:" in Path("staff.yml").read_text()
        done = bring_in("--check", "--output", "json", "--on-bad-row", "skip")
        assert [(one["line"], one["who"]) for one in json.loads(done.stdout)["left_out"]] == [
            (2, "anna.keller"),
            (5, "Dora Lind"),
        ]
        assert done.returncode == 3

    def test_leavers_are_asked_about_and_the_answer_is_remembered(self) -> None:
        """With --leavers or --where; unread columns have names."""
        Path("people.csv").write_text(
            "Work Email,Status,Termination Date\nanna@b.example,Active,\nbrian@b.example,Terminated,2026-06-30\n"
        )
        said = refusal("--yes")
        assert "1 of 2 rows say that somebody has left: line 3 (Status: Terminated). Nothing was written." in said
        done = bring_in("--check", "--where", "Status=Active")
        assert done.returncode == 0 and "1 joined" in done.stdout
        assert "not read: Status, Termination Date" in done.stderr
        done = bring_in("--yes", "--leavers", "skip")
        assert "people.csv: 1 row left out, because somebody has left: line 3 (Status: Terminated)." in done.stderr
        assert bring_in("--yes").stdout == "Nothing to change in staff.yml: 1 as they are.\n"
        assert bring_in("--yes", "--leavers", "take").stdout.endswith("1 joined, 0 changed, 0 left, 1 as they are.\n")
        assert "1 of 2 rows say that somebody has left" in refusal("--yes", "--leavers", "refuse")

    def test_titles_and_totals_are_told(self) -> None:
        """So that nobody wonders which lines were people."""
        Path("people.csv").write_text(
            "Active Employees\nRun by: HR\n\nWork Email,Site\na@b.example,Dublin\n\nRow Count,1\n"
        )
        done = bring_in("--check")
        assert done.returncode == 0 and "1 joined" in done.stdout
        assert "people.csv:4: this line is taken as the header; passed over above it: 1, 2." in done.stderr
        assert "people.csv:7: 'Row Count 1' is a total, so nobody was read from this line." in done.stderr


class TestInput:
    @pytest.mark.parametrize("name", ["-", "/dev/stdin"])
    def test_an_export_comes_through_a_pipe(self, name: str) -> None:
        """Which a `tail -n +4` before it makes of a file; the question then needs --yes."""
        done = fleet("inventory", "import", name, "-i", "staff.yml", "--check", typed=PEOPLE)
        assert done.returncode == 0 and "3 joined" in done.stdout
        done = fleet("inventory", "import", name, "-i", "staff.yml", typed="Email\nx\n")
        assert done.returncode == 2 and f"{name}:2: Email: not an e-mail address." in done.stderr

    def test_a_pipe_has_a_bound(self) -> None:
        """What never ends is no export."""
        done = fleet("inventory", "import", "/dev/zero", "-i", "staff.yml")
        assert done.returncode == 2 and "/dev/zero is larger than 64 MiB" in done.stderr

    def test_names_are_printed_as_they_are(self) -> None:
        """A picture in place of `:smile:` could not be copied into --map; `[red]` is no color."""
        Path("people.csv").write_text("Name [/b],Team [bold red],:smile:\nx,y,z\n")
        assert "say which of Name [/b], Team [bold red], :smile:: --map email=COLUMN" in refusal("--yes")
        Path("people.csv").write_text("Email,Display Name,Wagtail,:fire:\na@b.example,:smile:,[red]x,y\n")
        Path(":smile:").mkdir()
        done = fleet("inventory", "import", "people.csv", "-i", ":smile:/:fire:.yml", "--yes", *OWN)
        assert "not read: :fire:" in done.stderr and "wagtail [red]x" in words(done.stdout)
        done = fleet("inventory", "import", "people.csv", "-i", ":smile:/:fire:.yml", *OWN)
        assert done.stdout == "Nothing to change in :fire:.yml: 1 as they are.\n"

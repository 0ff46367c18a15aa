"""From columns and rows to people: what is guessed, what is remembered, and what is refused, by line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.catalogue import load_catalogue
from fleet.errors import InputError
from fleet.paths import REHEARSAL_RECIPES
from fleet.people.columns import (
    Remembered,
    choose_columns,
    parse_map,
    place_of_remembered,
    read_remembered,
    render_remembered,
)
from fleet.people.export import Encoding, read_export
from fleet.people.rows import Person, read_people

SERVICES = load_catalogue([REHEARSAL_RECIPES]).recipes
MANDATE = "mandate reference,mandate services,mandate granted on,mandate expires on"


def columns(tmp_path: Path, header: str, remembered: dict[str, str] | None = None, **given: str) -> dict[str, str]:
    path = tmp_path / "people.csv"
    path.write_text(f"{header}\n", "utf-8")
    fields = {field.replace("__", "."): column for field, column in given.items()}
    return choose_columns(read_export(path), SERVICES, remembered or {}, fields).names()


def people(tmp_path: Path, text: str, given: dict[str, str] | None = None) -> tuple[Person, ...]:
    path = tmp_path / "people.csv"
    path.write_text(text, "utf-8")
    export = read_export(path)
    return read_people(export, choose_columns(export, SERVICES, {}, given or {}), SERVICES)


def refused(tmp_path: Path, text: str, given: dict[str, str] | None = None) -> list[str]:
    """The refusal's lines, without the folder."""
    with pytest.raises(InputError) as error:
        people(tmp_path, text, given)
    return str(error.value).replace(f"{tmp_path}/", "").splitlines()


class TestColumns:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (
                "Employee ID,Worker,Email - Primary Work,Location,Supervisory Organization",
                {"display_name": "Worker", "site": "Location", "department": "Supervisory Organization"},
            ),
            (
                "Employee #,First Name,Last Name,Work Email,Location,Department,Country",
                {
                    "email": "Work Email",
                    "first_name": "First Name",
                    "last_name": "Last Name",
                    "site": "Location",
                    "department": "Department",
                    "country": "Country",
                },
            ),
            (
                "ID,Vorname,Nachname,E-Mail,Büro,Abteilung,Sprache",
                {
                    "email": "E-Mail",
                    "locale": "Sprache",
                    "first_name": "Vorname",
                    "last_name": "Nachname",
                    "site": "Büro",
                    "department": "Abteilung",
                },
            ),
            (
                "Matricule,Prénom,Nom,E-mail professionnel,Établissement,Département,Pays,Langue",
                {
                    "email": "E-mail professionnel",
                    "locale": "Langue",
                    "first_name": "Prénom",
                    "last_name": "Nom",
                    "site": "Établissement",
                    "department": "Département",
                    "country": "Pays",
                },
            ),
            (
                "Nome,Cognome,E-mail aziendale,Sede,Reparto,Paese,LinkedIn",
                {
                    "email": "E-mail aziendale",
                    "first_name": "Nome",
                    "last_name": "Cognome",
                    "site": "Sede",
                    "department": "Reparto",
                    "country": "Paese",
                    "linkedin.profile": "LinkedIn",
                },
            ),
        ],
        ids=["workday", "bamboohr", "personio-de", "fr", "it"],
    )
    def test_usual_headers_are_guessed(self, tmp_path: Path, header: str, expected: dict[str, str]) -> None:
        """In four languages, without case, accents and punctuation."""
        given = {} if "email" in expected else {"email": "Email - Primary Work"}
        assert columns(tmp_path, header, **given) == expected | given

    def test_what_is_told_is_above_what_is_remembered_and_that_above_a_guess(self, tmp_path: Path) -> None:
        """An empty column leaves a field out."""
        header = "Email,Other,Site,City"
        assert columns(tmp_path, header, {"email": "Other"}) == {"email": "Other"}
        assert columns(tmp_path, header, {"email": "Other", "site": "City"}, site="Site") == {
            "email": "Other",
            "site": "Site",
        }
        assert columns(tmp_path, header, site="") == {"email": "Email"}

    @pytest.mark.parametrize(
        ("header", "given", "sentence"),
        [
            (
                "Address,Site",
                {},
                "people.csv:1: no column is known to hold e-mail addresses; say which of Address, Site",
            ),
            ("Email", {"email": "Work"}, "people.csv:1: has no column 'Work' for email; give its new name with --map"),
            (
                "Email,Contact",
                {"email": "Work"},
                "people.csv:1: has no column 'Work' for email; give its new name with --map 'email=COLUMN'.",
            ),
            (
                "Email",
                {"site": "City"},
                "people.csv:1: has no column 'City' for site; give its new name with --map 'site=COLUMN', or leave",
            ),
            (
                "Email,Login",
                {"email": "Work", "name": "Login"},
                "people.csv:1: has no column 'Work' for email; give its new name with --map 'email=COLUMN', or leave",
            ),
            ("Email,Email", {}, "people.csv:1: has 2 columns 'Email' for email; rename all but one"),
            ("Email", {"phone": "Email"}, "--map phone: there is no such field; known are name, email"),
            ("Email,R", {"mandate__reference": "R"}, "people.csv:1: a mandate needs mandate.services and"),
            ("Email,O", {"linkedin__owner": "O"}, "people.csv:1: linkedin.owner needs linkedin.profile as well"),
        ],
    )
    def test_columns_that_cannot_be_are_named(
        self, tmp_path: Path, header: str, given: dict[str, str], sentence: str
    ) -> None:
        """With what to do."""
        with pytest.raises(InputError) as error:
            columns(tmp_path, header, **given)
        assert str(error.value).replace(f"{tmp_path}/", "").startswith(sentence)

    def test_an_option_without_a_sign_is_refused(self) -> None:
        """The form is shown."""
        assert parse_map(["email=Work = Email"]) == {"email": "Work = Email"}
        with pytest.raises(InputError, match="FIELD=COLUMN, such as"):
            parse_map(["email"])

    def test_what_is_remembered_is_read_again(self, tmp_path: Path) -> None:
        """Odd names included; a mistake in it has file and line; an unwritten file is nothing."""
        path = place_of_remembered(tmp_path / "staff.yml")
        assert (path.name, read_remembered(path)) == ("staff.import.yml", Remembered())
        remembered = Remembered(
            columns={"email": "no", "site": "Büro: 'x' # y"},
            encoding=Encoding.CP1252,
            groups={"site": ("dublin",)},
            keep=("press.office",),
        )
        path.write_text(render_remembered(remembered), "utf-8")
        assert read_remembered(path) == remembered
        path.write_text("colums: {}\n")
        with pytest.raises(InputError, match=r"staff\.import\.yml:1: colums: unknown key"):
            read_remembered(path)


class TestPeople:
    def test_a_person_is_what_an_inventory_would_say(self, tmp_path: Path) -> None:
        """Name from the address, language from its name, profile from its link, a mandate that names its employee."""
        [anna] = people(
            tmp_path,
            f"Email,Language,First Name,Last Name,LinkedIn URL,Site,Department,{MANDATE}\n"
            "Anna.Keller@company.example,German (Switzerland), Anna\u00a0Maria ,Keller,"
            "https://ch.linkedin.com/in/anna-kell%C3%A9r/?x=y,St. Gallen,Research & Development,"
            "M-1,linkedin; intranet,2026-01-15,2099-12-31\n",
        )
        expected: dict[str, Any] = {
            "fleet_email": "Anna.Keller@company.example",
            "fleet_locale": "de",
            "fleet_accounts": {"linkedin": {"profile": "anna-kellér", "name": "Anna Maria Keller"}},
            "fleet_mandate": {
                "employee": "anna.keller",
                "reference": "M-1",
                "services": ["linkedin", "intranet"],
                "granted_on": "2026-01-15",
                "expires_on": "2099-12-31",
            },
        }
        assert (anna.name, anna.line, anna.variables) == ("anna.keller", 2, expected)
        assert anna.groups == {"site": "st_gallen", "department": "research_development"}

    def test_an_empty_cell_says_nothing(self, tmp_path: Path) -> None:
        """It is no account, no mandate, no group; a mapped column names the employee."""
        [anna] = people(tmp_path, f"Email,Login,LinkedIn,Site,{MANDATE}\na@b.example,AK7,,,,,,\n", {"name": "Login"})
        assert (anna.name, anna.variables, anna.groups) == ("AK7", {"fleet_email": "a@b.example"}, {})

    @pytest.mark.parametrize(
        ("value", "group"),
        [
            ("Zürich", "zurich"),
            ("3D Lab", "site_3d_lab"),
            ("all", "site_all"),
            ("A / B", "a_b"),
            ("7", "site_7"),
            ("Łódź", "lodz"),
            ("Ødense", "odense"),
            ("Ærø", "aero"),
            ("Gießen", "giessen"),
            ("ÞORLÁKSHÖFN Đ Œ ð", "thorlakshofn_d_oe_d"),
        ],
    )
    def test_a_group_has_a_name_that_ansible_takes(self, tmp_path: Path, value: str, group: str) -> None:
        """Letters, digits and underscores, no name with a meaning of its own."""
        [anna] = people(tmp_path, f"Email,Site\na@b.example,{value}\n")
        assert anna.groups == {"site": group}

    @pytest.mark.parametrize(
        ("cell", "what"),
        [
            ("=HYPERLINK(1)", "begins like a formula"),
            ("+49 30 1", "begins like a formula"),
            ("@anna", "begins like a formula"),
            ("-", "begins like a formula"),
            (" =1+1", "begins like a formula"),
            ("\u00a0=1", "begins like a formula"),
            ("＝1", "begins like a formula"),
            ('"\ta"', "begins like a formula"),
            ("{{ lookup('pipe'; 'id') }}", "holds a Jinja template"),
            ("a{% x %}", "holds a Jinja template"),
            ("a{#b", "holds a Jinja template"),
            ("Anna\x1b[31m", "holds the invisible character U+001B"),
            ("Anna\u202ex", "holds the invisible character U+202E"),
            ('"Anna\nKeller"', "holds the invisible character U+000A"),
            ("Anna\u200bx", "holds the invisible character U+200B"),
        ],
    )
    def test_what_must_not_get_into_an_inventory_is_refused_by_line(self, tmp_path: Path, cell: str, what: str) -> None:
        """In every column that is used, and in none that is not."""
        for column in ("Display Name", "Site", "LinkedIn", "Language"):
            [said] = refused(tmp_path, f"Email,{column}\nx@b.example,ok\na@b.example,{cell}\n".replace("ok", ""))
            assert said.startswith(f"people.csv:3: {column}: {what}"), said
        assert people(tmp_path, f"Email,Salary\na@b.example,{cell}\n")[0].name == "a"

    def test_a_template_hidden_in_a_link_is_seen(self, tmp_path: Path) -> None:
        """What is decoded is looked at again."""
        link = "https://www.linkedin.com/in/%7B%7Bx%7D%7D"
        assert "holds a Jinja template" in refused(tmp_path, f"Email,LinkedIn\na@b.example,{link}\n")[0]

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("anna,,", "Email: not an e-mail address."),
            ("o'brien@b.example,,", "Email: not a safe name; use letters"),
            ("jürgen@b.example,,", "Email: not a safe name; use letters"),
            ("all@b.example,,", "Email: 'all' cannot be an employee's name"),
            (",,", "Email: is empty; every employee needs one."),
            ("a@b.example,Elvish,", "Language: not a language such as fr or pt-BR"),
            ("a@b.example,,https://www.linkedin.com/company/x", "LinkedIn: holds characters that are not allowed"),
            ("a@b.example,,..", "LinkedIn: must be a name; . and .. lead"),
        ],
    )
    def test_values_that_are_none_are_refused(self, tmp_path: Path, row: str, said: str) -> None:
        """By the rules of the inventory itself, in its words."""
        [line] = refused(tmp_path, f"Email,Language,LinkedIn,Other\n{row},x\n")
        assert line.startswith(f"people.csv:2: {said}")

    @pytest.mark.parametrize(
        ("cells", "said"),
        [
            ("M-1,linkedin,15.01.2026,2099-12-31", "mandate granted on: not a date; write it as YYYY-MM-DD."),
            ("M-1,linkedin,2026-02-30,2099-12-31", "mandate granted on: not a date; write it as YYYY-MM-DD."),
            ("M-1,linkedin,2026-01-01,2025-01-01", "mandate expires on: expires_on lies before granted_on"),
            ("M-1,myspace,2026-01-01,2027-01-01", "mandate services: unknown service 'myspace'"),
            ("M-1,,2026-01-01,2027-01-01", "mandate services: is empty, and the mandate's other cells are not"),
        ],
    )
    def test_half_a_mandate_is_none(self, tmp_path: Path, cells: str, said: str) -> None:
        """Nobody is acted for on dates that somebody guessed."""
        [line] = refused(tmp_path, f"Email,{MANDATE}\na@b.example,{cells}\n")
        assert line.startswith(f"people.csv:2: {said}")

    def test_a_name_that_no_mandate_can_hold_is_one_mistake(self, tmp_path: Path) -> None:
        """Too long for a host and for a mandate: the address is what must be mended."""
        [line] = refused(tmp_path, f"Email,{MANDATE}\n{'x' * 300}@b.example,M-1,linkedin,2026-01-01,2027-01-01\n")
        assert line.startswith("people.csv:2: Email: not a safe name")

    def test_doubles_are_named_with_both_lines(self, tmp_path: Path) -> None:
        """Addresses and names, whatever their case; a name that is a group's; all mistakes in the file's order."""
        said = refused(
            tmp_path,
            "Email,Site\na@b.example,x\nA@B.example,x\na@c.example,x\nx@b.example,x\nq@b.example,={{\n",
        )
        assert [line.partition(";")[0] for line in said] == [
            "people.csv:3: Email: the same address as in line 2",
            "people.csv:4: Email: the same employee 'a' as in line 2",
            "people.csv:5: Email: 'x' is a group's name as well",
            "people.csv:6: Site: begins like a formula (= + - @ or a tab), which a spreadsheet would run",
        ]

    @pytest.mark.parametrize("value", ["東京", "東京 3", "Москва 1", "&"])
    def test_a_group_without_a_letter_is_refused(self, tmp_path: Path, value: str) -> None:
        """What would be left of it is a number, or nothing."""
        [said] = refused(tmp_path, f"Email,Site\na@b.example,{value}\n")
        assert said == "people.csv:2: Site: cannot become a group's name; write it with letters a-z, at most 100."

    def test_two_values_are_two_groups(self, tmp_path: Path) -> None:
        """Or they are refused, once for each; accents, case, spaces and dots are no difference."""
        said = refused(
            tmp_path,
            "Email,Department\na@b.example,C++\nb@b.example,C#\nx@b.example,C#\nd@b.example,c ++\ne@b.example,IT\n"
            "f@b.example,Отдел IT\n",
        )
        assert said == [
            "people.csv:3: Department: 'C#' makes the group 'c', as 'C++' in line 2 does; write one of them otherwise.",
            "people.csv:7: Department: 'Отдел IT' makes the group 'it', as 'IT' in line 6 does; write one of them "
            "otherwise.",
        ]
        found = people(
            tmp_path,
            "Email,Site\na@b.example,Zürich\nb@b.example,St. Gallen\nc@b.example,ZURICH\nd@b.example,St Gallen\n",
        )
        assert [one.groups["site"] for one in found] == ["zurich", "st_gallen"] * 2

    def test_two_fields_share_a_group_only_where_they_mean_the_same_people(self, tmp_path: Path) -> None:
        """The department IT and the country IT are two groups of people; Singapore is one."""
        said = refused(tmp_path, "Email,Department,Country\na@b.example,IT,DE\nb@b.example,Sales,IT\nc@b.example,,It\n")
        assert said == [
            "people.csv:3: Country: 'IT' makes the group 'it', as Department in line 2 does for other people; write it "
            "otherwise, or leave the column out: --map country=",
        ]
        found = people(tmp_path, "Email,Site,Country\na@b.example,Singapore,Singapore\nb@b.example,Lyon,FR\n")
        assert found[0].groups == {"site": "singapore", "country": "singapore"}

    def test_a_header_alone_is_nobody(self, tmp_path: Path) -> None:
        """An empty list must not empty an inventory."""
        assert refused(tmp_path, "Email\n") == ["people.csv has a header and nobody below it; export it again."]

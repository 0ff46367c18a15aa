"""From columns and rows to people: what is guessed, what is remembered, and what is refused, by line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.errors import InputError
from fleet.hr_import.columns import choose_columns, parse_map
from fleet.hr_import.hr_export import WAY_OUT, Encoding, OnBadRow, read_export
from fleet.hr_import.options import (
    Remembered,
    read_remembered,
    refuse_guessed_ownership,
    remembered_path,
    render_remembered,
)
from fleet.hr_import.people import People, Person, read_people
from fleet.paths import REHEARSAL_RECIPES
from fleet.recipes.catalog import load_catalog
from fleet.recipes.profile_address import read_profile

RECIPES = load_catalog([REHEARSAL_RECIPES]).recipes
MANDATE = "mandate reference,mandate services,mandate granted on,mandate expires on"


def columns(tmp_path: Path, header: str, remembered: dict[str, str] | None = None, **given: str) -> dict[str, str]:
    path = tmp_path / "people.csv"
    path.write_text(f"{header}\n", "utf-8")
    fields = {field.replace("__", "."): column for field, column in given.items()}
    return choose_columns(read_export(path), RECIPES, remembered or {}, fields).names()


def read(
    tmp_path: Path, text: str, given: dict[str, str] | None = None, on_bad_row: OnBadRow = OnBadRow.REFUSE
) -> People:
    path = tmp_path / "people.csv"
    path.write_text(text, "utf-8")
    export = read_export(path, on_bad_row=on_bad_row)
    return read_people(export, choose_columns(export, RECIPES, {}, given or {}), RECIPES, on_bad_row)


def people(tmp_path: Path, text: str, given: dict[str, str] | None = None) -> tuple[Person, ...]:
    return read(tmp_path, text, given).persons


def refused(tmp_path: Path, text: str, given: dict[str, str] | None = None) -> list[str]:
    """The refusal's lines, without the folder and without the way out that they all end with."""
    with pytest.raises(InputError) as error:
        people(tmp_path, text, given)
    lines = str(error.value).replace(f"{tmp_path}/", "").splitlines()
    return [line for line in lines if line != WAY_OUT]


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
                "people.csv:1: no column with e-mail addresses was recognized; choose one of Address, Site",
            ),
            ("Email", {"email": "Work"}, "people.csv:1: no column 'Work' for email; give its new name with --map"),
            (
                "Email,Contact",
                {"email": "Work"},
                "people.csv:1: no column 'Work' for email; give its new name with --map 'email=COLUMN'.",
            ),
            (
                "Email",
                {"site": "City"},
                "people.csv:1: no column 'City' for site; give its new name with --map 'site=COLUMN', or leave",
            ),
            (
                "Email,Login",
                {"email": "Work", "name": "Login"},
                "people.csv:1: no column 'Work' for email; give its new name with --map 'email=COLUMN', or leave",
            ),
            (
                "Email,Email",
                {},
                "people.csv:1: 2 columns are named 'Email' (email); rename all but one, choose another with",
            ),
            (
                "Email,Name,Name",
                {"display_name": "Name"},
                "people.csv:1: 2 columns are named 'Name' (display_name); rename all but one, choose another with "
                "--map 'display_name=COLUMN', or leave it out with --map display_name=",
            ),
            ("Email", {"phone": "Email"}, "--map phone: unknown field; known fields: name, email"),
            ("Email,R", {"mandate__reference": "R"}, "people.csv:1: a mandate also needs mandate.services and"),
            ("Email,O", {"linkedin__owner": "O"}, "people.csv:1: linkedin.owner also needs linkedin.profile"),
        ],
    )
    def test_columns_that_cannot_be_are_named(
        self, tmp_path: Path, header: str, given: dict[str, str], sentence: str
    ) -> None:
        """With what to do."""
        with pytest.raises(InputError) as error:
            columns(tmp_path, header, **given)
        assert str(error.value).replace(f"{tmp_path}/", "").startswith(sentence)

    @pytest.mark.parametrize("header", ["LinkedIn Owner", "linkedin.owner", "LINKEDIN_OWNER"])
    def test_whose_an_account_is_is_never_guessed(self, tmp_path: Path, header: str) -> None:
        """The company's accounts are set without a mandate, so a header does not decide it: --map does."""
        assert columns(tmp_path, f"Email,LinkedIn,{header}") == {"email": "Email", "linkedin.profile": "LinkedIn"}
        assert columns(tmp_path, f"Email,LinkedIn,{header}", linkedin__owner=header)["linkedin.owner"] == header

    def test_a_guess_of_an_older_version_is_asked_about(self, tmp_path: Path) -> None:
        """What `staff.import.yml` remembers of ownership counts if --map named it, then or now."""
        place, guessed = tmp_path / "staff.import.yml", Remembered(columns={"linkedin.owner": "LinkedIn Owner"})
        with pytest.raises(InputError) as error:
            refuse_guessed_ownership(guessed, {}, place)
        assert str(error.value).replace(f"{tmp_path}/", "") == (
            "staff.import.yml: linkedin.owner was guessed from 'LinkedIn Owner', but the owner of an account must be "
            "mapped: add --map 'linkedin.owner=LinkedIn Owner', or leave it out with --map linkedin.owner="
        )
        refuse_guessed_ownership(guessed, {"linkedin.owner": ""}, place)
        refuse_guessed_ownership(guessed.model_copy(update={"mapped": ("linkedin.owner",)}), {}, place)

    def test_two_columns_of_one_name_are_read_for_no_guess(self, tmp_path: Path) -> None:
        """They are told, with the option, unless another usual header stands in or the field is mapped."""
        path = tmp_path / "people.csv"
        path.write_text("Email,Name,Name,Site,Site,Office\n")
        found = choose_columns(read_export(path), RECIPES, {}, {})
        assert found.names() == {"email": "Email", "site": "Office"}
        assert found.unread == ("Name", "Name", "Site", "Site")
        assert [note.replace(f"{tmp_path}/", "") for note in found.notes] == [
            "people.csv:1: 2 columns are named 'Name', so display_name is not read; rename one, or choose another with "
            "--map 'display_name=COLUMN'."
        ]
        assert choose_columns(read_export(path), RECIPES, {}, {"display_name": ""}).notes == ()

    def test_an_option_without_a_sign_is_refused(self) -> None:
        """The form is shown."""
        assert parse_map(["email=Work = Email"]) == {"email": "Work = Email"}
        with pytest.raises(InputError, match="FIELD=COLUMN, such as"):
            parse_map(["email"])

    def test_a_name_that_cannot_be_remembered_is_refused(self, tmp_path: Path) -> None:
        """Too long, or with what nobody sees; a name on two lines is read as one line."""
        assert columns(tmp_path, '"Work\nEmail"') == {"email": "Work Email"}
        for name in ("x" * 201, "Em\x1bail", "Em\u202eail"):
            with pytest.raises(InputError, match=r"people\.csv:1: the name of the column for email is too long, or"):
                columns(tmp_path, name, email=name)

    def test_what_is_remembered_is_read_again(self, tmp_path: Path) -> None:
        """Odd names included; a mistake in it has file and line; an unwritten file is nothing."""
        path = remembered_path(tmp_path / "hr.yml")
        assert (path.name, read_remembered(path)) == (".hr.import.yml", Remembered())
        remembered = Remembered(
            columns={"email": "no", "site": "Büro: 'x' # y"},
            encoding=Encoding.CP1252,
            groups={"site": ("dublin",)},
            keep=("press.office",),
        )
        path.write_text(render_remembered(remembered), "utf-8")
        assert read_remembered(path) == remembered
        path.write_text("colums: {}\n")
        with pytest.raises(InputError, match=r"\.hr\.import\.yml:1: colums: unknown key"):
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

    @pytest.mark.parametrize(
        ("cell", "name", "email"),
        [
            ("sean.o'brien@company.example", "sean.obrien", "sean.o'brien@company.example"),
            ("SEAN.O’BRIEN@company.example", "sean.obrien", "SEAN.O’BRIEN@company.example"),
            ("jürgen.weiß@company.example", "jurgen.weiss", "jürgen.weiß@company.example"),
            ("mailto:anna.keller@company.example", "anna.keller", "anna.keller@company.example"),
            ("MAILTO:anna@company.example?subject=x", "anna", "anna@company.example"),
            ("Anna Keller <anna.keller@company.example>", "anna.keller", "anna.keller@company.example"),
            ('"""Keller, Anna"" <anna.keller@company.example>"', "anna.keller", "anna.keller@company.example"),
            ("<anna.keller@company.example>", "anna.keller", "anna.keller@company.example"),
            ("anna.keller+hr@company.example", "anna.keller+hr", "anna.keller+hr@company.example"),
        ],
    )
    def test_an_address_is_taken_as_people_write_it(self, tmp_path: Path, cell: str, name: str, email: str) -> None:
        """With its name beside it, as a link, with an apostrophe: the name is one that Ansible and files take."""
        [one] = people(tmp_path, f"Email\n{cell}\n")
        assert (one.name, one.variables) == (name, {"fleet_email": email})

    def test_two_addresses_of_one_name_are_refused(self, tmp_path: Path) -> None:
        """The apostrophe alone tells no employees apart."""
        [said] = refused(tmp_path, "Email\nsean.obrien@b.example\nsean.o'brien@b.example\n")
        assert said == (
            "people.csv:3: Email: the same employee 'sean.obrien' as in line 2; keep one of the two lines, or map a "
            "column with unique names: --map name=COLUMN"
        )

    @pytest.mark.parametrize("cell", ["-", "--", "–", "—", "n/a", "N/A", "#N/A", "none", "None", " - "])
    def test_a_sign_for_nothing_is_an_empty_cell(self, tmp_path: Path, cell: str) -> None:
        """In every column that need not be filled."""
        [anna] = people(
            tmp_path, f"Email,Site,LinkedIn,Language,{MANDATE}\na@b.example{f',{cell}' * 7}\n", {"name": ""}
        )
        assert (anna.variables, anna.groups) == ({"fleet_email": "a@b.example"}, {})

    def test_rows_that_say_the_same_are_one_person(self, tmp_path: Path) -> None:
        """Two contracts differ in columns that are not read; what differs in one that is read is refused."""
        text = "Email,Position,FTE,Site\na@b.example,Editor,0.5,x\na@b.example,Trainer,0.5,x\nb@b.example,,1,y\n"
        assert [(one.name, one.line) for one in people(tmp_path, text)] == [("a", 2), ("b", 4)]
        [said] = refused(tmp_path, text.replace("Trainer,0.5,x", "Trainer,0.5,y"))
        assert said == "people.csv:3: Email: the same address as in line 2; keep one of the two lines."

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
            ("東京", "東京"),
            ("東京 3", "東京_3"),
            ("Москва-Сити", "москва_сити"),
            ("Київ", "київ"),
            ("ガス", "ガス"),
            ("서울", "서울"),
        ],
    )
    def test_a_group_has_a_name_that_ansible_takes(self, tmp_path: Path, value: str, group: str) -> None:
        """Letters, digits and underscores, no name with a meaning of its own."""
        [anna] = people(tmp_path, f"Email,Site\na@b.example,{value}\n")
        assert anna.groups == {"site": group}

    @pytest.mark.parametrize(
        ("cell", "what"),
        [
            ("=HYPERLINK(1)", "starts like a formula"),
            ("+49 30 1", "starts like a formula"),
            ("@anna", "starts like a formula"),
            ("-1", "starts like a formula"),
            (" =1+1", "starts like a formula"),
            ("\u00a0=1", "starts like a formula"),
            ("＝1", "starts like a formula"),
            ('"\ta"', "starts like a formula"),
            ("{{ lookup('pipe'; 'id') }}", "contains a Jinja template"),
            ("a{% x %}", "contains a Jinja template"),
            ("a{#b", "contains a Jinja template"),
            ("Anna\x1b[31m", "contains the invisible character U+001B"),
            ("Anna\u202ex", "contains the invisible character U+202E"),
            ('"Anna\nKeller"', "contains the invisible character U+000A"),
            ("Anna\u200bx", "contains the invisible character U+200B"),
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
        assert "contains a Jinja template" in refused(tmp_path, f"Email,LinkedIn\na@b.example,{link}\n")[0]

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("anna,,", "Email: not an e-mail address."),
            ("o/brien@b.example,,", "Email: not a valid name; use only letters"),
            ("юрий@b.example,,", "Email: not a valid name; use only letters"),
            ("Anna Keller,,", "Email: not an e-mail address."),
            ("a@b.example; a@old.example,,", "Email: contains more than one address; keep only the work address."),
            ("a@b.example a@old.example,,", "Email: contains more than one address; keep only the work address."),
            ("-,,", "Email: is empty; every employee needs one."),
            ("all@b.example,,", "Email: 'all' is reserved in inventories and cannot be an employee's name"),
            (",,", "Email: is empty; every employee needs one."),
            ("a@b.example,Elvish,", "Language: not a language code such as fr or pt-BR"),
            (
                "a@b.example,,https://www.linkedin.com/company/x",
                "LinkedIn: is not a profile at LinkedIn; copy the profile's address",
            ),
            ("a@b.example,,..", "LinkedIn: is not a profile at LinkedIn; copy the profile's address, such as https"),
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
            ("M-1,linkedin,2026-01-01,2025-01-01", "mandate expires on: expires_on is before granted_on"),
            ("M-1,myspace,2026-01-01,2027-01-01", "mandate services: unknown service 'myspace'"),
            ("M-1,,2026-01-01,2027-01-01", "mandate services: is empty, but other cells of the mandate are not"),
        ],
    )
    def test_half_a_mandate_is_none(self, tmp_path: Path, cells: str, said: str) -> None:
        """Nobody is acted for on dates that somebody guessed."""
        [line] = refused(tmp_path, f"Email,{MANDATE}\na@b.example,{cells}\n")
        assert line.startswith(f"people.csv:2: {said}")

    def test_a_name_that_no_mandate_can_hold_is_one_mistake(self, tmp_path: Path) -> None:
        """Too long for a host and for a mandate: the address is what must be mended."""
        [line] = refused(tmp_path, f"Email,{MANDATE}\n{'x' * 300}@b.example,M-1,linkedin,2026-01-01,2027-01-01\n")
        assert line.startswith("people.csv:2: Email: not a valid name")

    def test_doubles_are_named_with_both_lines(self, tmp_path: Path) -> None:
        """Addresses and names, whatever their case; a name that is a group's; all mistakes in the file's order."""
        said = refused(
            tmp_path,
            "Email,Site\na@b.example,x\nA@B.example,x\na@c.example,x\nx@b.example,x\nq@b.example,={{\n",
        )
        assert [line.partition(";")[0] for line in said] == [
            "people.csv:3: Email: the same address as in line 2",
            "people.csv:4: Email: the same employee 'a' as in line 2",
            "people.csv:5: Email: 'x' is also the name of a group",
            "people.csv:6: Site: starts like a formula (= + - @ or a tab), which a spreadsheet would run",
        ]

    @pytest.mark.parametrize("value", ["&", "मुंबई", "x" * 101])
    def test_what_can_be_no_group_is_told_and_nobody_is_refused(self, tmp_path: Path, value: str) -> None:
        """Once for each value: the person comes, and is put into no group for it."""
        found = read(tmp_path, f"Email,Site\na@b.example,{value}\nb@b.example,{value}\n")
        assert [one.groups for one in found.persons] == [{}, {}]
        [said] = found.warnings
        assert said.replace(f"{tmp_path}/", "") == (
            f"people.csv:2: Site: '{value}' cannot be a group name, so it has no group; use letters or digits, at "
            "most 100 characters."
        )

    def test_two_values_are_two_groups(self, tmp_path: Path) -> None:
        """Or they are refused, once for each; accents, case, spaces and dots are no difference."""
        said = refused(
            tmp_path,
            "Email,Department\na@b.example,C++\nb@b.example,C#\nx@b.example,C#\nd@b.example,c ++\ne@b.example,IT\n"
            "f@b.example,I/T\ng@b.example,Отдел IT\nh@b.example,I-T\n",
        )
        assert said == [
            "people.csv:3: Department: 'C#' becomes the group 'c', like 'C++' in line 2; rename one of them.",
            "people.csv:9: Department: 'I-T' becomes the group 'i_t', like 'I/T' in line 7; rename one of them.",
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
            "people.csv:3: Country: 'IT' becomes the group 'it', like Department in line 2 for other people; rename "
            "it, or leave the column out: --map country=",
        ]
        found = people(tmp_path, "Email,Site,Country\na@b.example,Singapore,Singapore\nb@b.example,Lyon,FR\n")
        assert found[0].groups == {"site": "singapore", "country": "singapore"}

    @pytest.mark.parametrize(
        ("cell", "code"),
        [
            ("DE", "DE"),
            ("us-ca", "US-CA"),
            ("Germany", "DE"),
            ("Deutschland", "DE"),
            ("Côte d’Ivoire", "CI"),
            ("Svizzera", "CH"),
            ("United States of America", "US"),
            ("USA", "US"),
            ("UK", "GB"),
            ("NO", "NO"),
        ],
    )
    def test_a_country_is_read_as_hr_systems_write_it(self, tmp_path: Path, cell: str, code: str) -> None:
        """A code of two or three letters, a name in four languages; the group is made as before."""
        [one] = people(tmp_path, f"Email,Land\na@b.example,{cell}\n")
        assert one.variables == {"fleet_email": "a@b.example", "fleet_country": code}
        assert "country" in one.groups

    def test_a_value_that_is_no_country_sets_none(self, tmp_path: Path) -> None:
        """It is listed once, and makes a group like any other value."""
        found = read(tmp_path, "Email,Country\na@b.example,DACH\nb@b.example,DACH\nc@b.example,\n")
        assert [one.variables.get("fleet_country") for one in found.persons] == [None, None, None]
        assert found.persons[0].groups == {"country": "dach"}
        assert [one.replace(f"{tmp_path}/", "") for one in found.warnings] == [
            "people.csv:2: Country: 'DACH' is not a country, so fleet_country is not set; write a code such as FR or "
            "US-CA (ISO 3166)."
        ]

    def test_a_header_alone_is_nobody(self, tmp_path: Path) -> None:
        """An empty list must not empty an inventory."""
        assert refused(tmp_path, "Email\n") == ["people.csv: no employees below the header; export it again."]


class TestProfiles:
    """A cell with a profile, by the forms that the shipped recipe of LinkedIn declares."""

    @pytest.mark.parametrize(
        ("cell", "profile"),
        [
            ("anna-keller-4b1a2", "anna-keller-4b1a2"),
            ("https://www.linkedin.com/in/anna-keller-4b1a2", "anna-keller-4b1a2"),
            ("https://fr.linkedin.com/in/anna-keller-4b1a2", "anna-keller-4b1a2"),
            ("https://cn.linkedin.com/in/anna-keller", "anna-keller"),
            ("https://www.linkedin.cn/in/anna-keller", "anna-keller"),
            ("HTTPS://WWW.LINKEDIN.COM/IN/Anna-Keller-4B1A2/", "Anna-Keller-4B1A2"),
            ("linkedin.com/in/anna-keller?trk=public_profile&originalSubdomain=ie", "anna-keller"),
            ("https://www.linkedin.com/in/anna-keller/en", "anna-keller"),
            ("www.linkedin.com/in/anna-keller/overlay/contact-info/", "anna-keller"),
            ("https://www.linkedin.com/in/anna-keller/#about", "anna-keller"),
            ("https://www.linkedin.com/in/chlo%C3%A9-martin-12/", "chloé-martin-12"),
            ("http://linkedin.com/in/anna%2Dkeller%2D4b1a2", "anna-keller-4b1a2"),
            ("https://www.linkedin.com/in/%E0%A4%85%E0%A4%A8%E0%A4%BF%E0%A4%B2", "अनिल"),
            ("https://m.linkedin.com/in/anna-keller", "anna-keller"),
            ("https://www.linkedin.com/mwlite/in/anna-keller", "anna-keller"),
            ("https://www.linkedin.com/mwlite/profile/in/anna-keller", "anna-keller"),
            ("https://www.linkedin.com/comm/in/anna-keller?midToken=x", "anna-keller"),
            ("/in/anna-keller", "anna-keller"),
            ("in/anna-keller", "anna-keller"),
            ("<https://www.linkedin.com/in/anna-keller>", "anna-keller"),
            ("https://www.linkedin.com//in/anna-keller", "anna-keller"),
            ("https:/www.linkedin.com/in/anna-keller", "anna-keller"),
            ("https://https://www.linkedin.com/in/anna-keller", "anna-keller"),
            ("//www.linkedin.com/in/anna-keller", "anna-keller"),
            ("https://www.linkedin.com:443/in/anna-keller", "anna-keller"),
            ("https://www.linkedin.com/in/anna-keller ", "anna-keller"),
            ("https://www.linkedin.com/in/anna-keller,", "anna-keller"),
        ],
    )
    def test_every_form_with_an_id_is_taken(self, tmp_path: Path, cell: str, profile: str) -> None:
        """What stands around it does not matter."""
        [anna] = people(tmp_path, f'Email,LinkedIn\na@b.example,"{cell}"\n')
        assert anna.variables["fleet_accounts"] == {"linkedin": {"profile": profile}}

    @pytest.mark.parametrize(
        "cell",
        [
            "https://www.linkedin.com/pub/anna-keller/4b/1a2/300",
            "https://www.linkedin.com/profile/view?id=123456",
            "https://www.linkedin.com/sales/lead/ACwAAAAbcdEBxyz,NAME_SEARCH,abcd",
            "https://www.linkedin.com/talent/profile/AEMAAAbcdef",
            "https://www.linkedin.com/in/ACoAAAbCdEfGhIjKlMnOpQrStUvWxYz0123456",
            "ACoAAAbCdEfGhIjKlMnOpQrStUvWxYz0123456",
            "https://lnkd.in/eAbC123",
            "https://www.linkedin.com/company/company-example/",
            "https://www.linkedin.com/in/",
            "https://www.linkedin.com/in/me/",
            "https://www.linkedin.com/in/%FF%FE%FD",
            "https://www.linkedin.com.evil.example/in/anna-keller",
            "https://evil.example/www.linkedin.com/in/anna-keller",
            "https://www.xing.com/profile/Anna_Keller",
            "anna.keller@company.example",
            "Anna Keller",
            "anna-keller,",
            "no",
            "me",
        ],
    )
    def test_what_is_no_profile_is_refused_with_what_to_copy(self, tmp_path: Path, cell: str) -> None:
        """By the recipe's own example."""
        [said] = refused(tmp_path, f'Email,LinkedIn\na@b.example,"{cell}"\n')
        assert said.replace("identifies no one", "is not a profile") == (
            "people.csv:2: LinkedIn: is not a profile at LinkedIn; copy the profile's address, such as "
            "https://www.linkedin.com/in/anna-keller-4b1a2"
        )

    def test_a_recipe_without_forms_takes_any_text(self, tmp_path: Path) -> None:
        """What the inventory takes, that is."""
        [anna] = people(tmp_path, "Email,Intranet\na@b.example,me\n")
        assert anna.variables["fleet_accounts"] == {"intranet": {"profile": "me"}}

    def test_every_example_is_a_profile(self) -> None:
        """Of the recipes that are shipped: who copies it has an id."""
        forms = [recipe for recipe in RECIPES.values() if recipe.profile]
        assert [recipe.service for recipe in forms] == ["linkedin"]
        assert [read_profile(one.profile.example, one) for one in forms if one.profile] == ["anna-keller-4b1a2"]


class TestSkipped:
    """--on-bad-row skip: bad rows are left out by name, and nobody leaves because of one."""

    def test_a_bad_row_is_left_out_with_its_own_mistake(self, tmp_path: Path) -> None:
        """Named by its address, by what the person is called, or by its first cell; the others come."""
        text = (
            "Number,Email,Name,LinkedIn\n1,anna@b.example,Anna,anna-keller\n2,,Ben Ito,\n3,,,\n"
            "4,dora@b.example,Dora,Dora L\n5,eve@b.example\n"
        )
        found = read(tmp_path, text, on_bad_row=OnBadRow.SKIP)
        assert [one.name for one in found.persons] == ["anna"]
        assert [(one.line, one.who, one.mistakes[0].partition(";")[0]) for one in found.left_out] == [
            (3, "Ben Ito", "Email: is empty"),
            (4, "3", "Email: is empty"),
            (5, "dora", "LinkedIn: is not a profile at LinkedIn"),
            (6, "5", "2 cells, but the header has 4: too few, so the file was truncated or a line is broken"),
        ]
        assert [one.names >= {name} for one, name in zip(found.left_out[2:], ("dora", "eve"), strict=True)] == [
            True
        ] * 2

    def test_of_two_rows_that_disagree_neither_is_taken(self, tmp_path: Path) -> None:
        """Nor is a third one that agrees with one of them."""
        text = "Email,Site\na@b.example,x\na@b.example,x\na@b.example,y\na@b.example,x\nb@b.example,x\n"
        found = read(tmp_path, text, on_bad_row=OnBadRow.SKIP)
        assert [one.name for one in found.persons] == ["b"]
        assert [one.line for one in found.left_out] == [2, 3, 4, 5]

    def test_groups_that_cannot_be_told_apart_are_refused_all_the_same(self, tmp_path: Path) -> None:
        """That is no one row's mistake."""
        with pytest.raises(InputError, match="becomes the group 'c'"):
            read(tmp_path, "Email,Site\na@b.example,C++\nb@b.example,C#\n,\nx,\n", on_bad_row=OnBadRow.SKIP)

    def test_an_export_of_bad_rows_alone_is_refused(self, tmp_path: Path) -> None:
        """With each of them: an empty list must not empty an inventory."""
        with pytest.raises(InputError, match=r"people\.csv:2: Email: not an e-mail address"):
            read(tmp_path, "Email,Site\nx,\n", on_bad_row=OnBadRow.SKIP)

    def test_the_refusal_names_the_option(self, tmp_path: Path) -> None:
        """Below every row's own mistake."""
        with pytest.raises(InputError) as error:
            people(tmp_path, "Email\nx\n")
        assert str(error.value).splitlines()[-1] == (
            "Nothing was written. Fix these rows, or skip and list them: --on-bad-row skip"
        )

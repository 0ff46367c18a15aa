"""Countries of employees: which codes are accepted, and whom the setting `desk` covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.authority.countries import codes, country, may_be_attended
from fleet.errors import InputError
from fleet.settings.resolve import Given, resolve_settings


class TestCountry:
    def test_the_codes_are_those_of_iso_3166_and_kosovo(self) -> None:
        """249 assigned codes and XK; not the European Union, nor Unicode's own codes."""
        assert len(codes()) == 250
        assert {"DE", "US", "NO", "XK"} <= codes()
        assert not {"EU", "UK", "ZZ", "XA"} & codes()

    @pytest.mark.parametrize(
        ("code", "expected"), [("de", "DE"), ("FR", "FR"), ("us-ca", "US-CA"), ("GB-SCT", "GB-SCT")]
    )
    def test_a_code_is_kept_in_upper_case(self, code: str, expected: str) -> None:
        """A country, or a part of one."""
        assert country(code) == expected

    @pytest.mark.parametrize(
        "code", ["", "D", "DEU", "UK", "EU", "DE-", "DE-BAYERN", "XX-CA", "DE BY", "DE-BY\n", False, 7, None]
    )
    def test_anything_else_is_refused(self, code: Any) -> None:
        """Also the NO that YAML reads as false."""
        with pytest.raises(ValueError, match="not a country code such as FR or US-CA"):
            country(code)


class TestDesk:
    @pytest.mark.parametrize(
        ("where", "countries", "expected"),
        [
            (None, ("DE",), False),
            ("DE", (), False),
            ("DE", ("DE",), True),
            ("DE-BY", ("DE",), True),
            ("DE", ("DE-BY",), False),
            ("US-CA", ("US-NY", "FR"), False),
            ("US-NY", ("US-NY", "FR"), True),
            ("US", ("US-NY",), False),
        ],
    )
    def test_a_country_covers_its_parts_and_a_part_only_itself(
        self, where: str | None, countries: tuple[str, ...], *, expected: bool
    ) -> None:
        """An employee without a country is never covered."""
        assert may_be_attended(where, countries) is expected

    def test_fleet_yml_names_the_countries(self, tmp_path: Path) -> None:
        """None by default, in upper case; NO needs no quotes there, as our own files read it as text."""
        assert resolve_settings(Given(), tmp_path).desk.countries == ()
        (tmp_path / "fleet.yml").write_text("desk: {countries: [de, NO, US-NY]}\n")
        assert resolve_settings(Given(), tmp_path).desk.countries == ("DE", "NO", "US-NY")

    def test_a_wrong_country_is_refused_with_its_line(self, tmp_path: Path) -> None:
        """UK is not ISO's code of the United Kingdom."""
        (tmp_path / "fleet.yml").write_text("forks: 3\ndesk: {countries: [UK]}\n")
        with pytest.raises(InputError, match=r"fleet.yml:2: desk.countries.0: not a country code such as FR"):
            resolve_settings(Given(), tmp_path)

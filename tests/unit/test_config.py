"""Settings: the layers in their order, and what the role's variables may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.browser.proxy import Proxy
from fleet.config import Given, given_from_variables, resolve_settings
from fleet.errors import InputError


class TestLayers:
    def test_the_command_line_is_above_the_environment_above_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One setting in three places: the nearest to the person who types wins."""
        (tmp_path / "fleet.yml").write_text("state: from-file\nforks: 3\n")
        sources = ["staff.yml"]
        assert resolve_settings(Given(), sources, tmp_path).state == tmp_path / "from-file"
        monkeypatch.setenv("FLEET_STATE", "from-environment")
        assert resolve_settings(Given(), sources, tmp_path).state == tmp_path / "from-environment"
        settings = resolve_settings(Given(state="from-option", forks=5), sources, tmp_path)
        assert (settings.state, settings.forks) == (tmp_path / "from-option", 5)

    def test_fleet_config_names_another_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is used wherever the inventory lies; its paths are relative to itself; a missing one is an error."""
        elsewhere = tmp_path / "etc"
        elsewhere.mkdir()
        (elsewhere / "fleet.yml").write_text("recipes: [ours]\n")
        monkeypatch.setenv("FLEET_CONFIG", str(elsewhere / "fleet.yml"))
        assert resolve_settings(Given(), ["staff.yml"], tmp_path).recipes == (elsewhere / "ours",)
        monkeypatch.setenv("FLEET_CONFIG", "nowhere.yml")
        with pytest.raises(InputError, match="FLEET_CONFIG names nowhere"):
            resolve_settings(Given(), ["staff.yml"], tmp_path)

    def test_the_proxys_credentials_are_a_file_beside_fleet_yml(self, tmp_path: Path) -> None:
        """The option may name another proxy; where the credentials are never stands on the command line."""
        (tmp_path / "fleet.yml").write_text("proxy: http://proxy:3128\nproxy_credentials: proxy.txt\n")
        file = tmp_path / "proxy.txt"
        assert resolve_settings(Given(), ["staff.yml"], tmp_path).network.proxy == Proxy("http", "proxy", 3128, file)
        given = Given(proxy="https://other:8443")
        assert resolve_settings(given, ["staff.yml"], tmp_path).network.proxy == Proxy("https", "other", 8443, file)

    def test_a_rehearsal_has_a_state_of_its_own(self, tmp_path: Path) -> None:
        """Unless a state was given: rehearsed records never stand among real ones."""
        assert resolve_settings(Given(), (), tmp_path).for_rehearsal().state.name == "rehearsal"
        assert resolve_settings(Given(state="here"), (), tmp_path).for_rehearsal().state == tmp_path / "here"


class TestRoleVariables:
    def test_text_is_taken_as_ansible_takes_it(self) -> None:
        """Values of -e are text: lists come with commas, numbers as digits."""
        given = given_from_variables({"optout_services": "linkedin, wiki", "optout_forks": "4"})
        assert (given.services, given.forks) == (("linkedin", "wiki"), 4)
        assert given_from_variables({"optout_services": ["linkedin"]}).services == ("linkedin",)
        assert given_from_variables({"optout_proxy": "http://proxy:3128"}).proxy == "http://proxy:3128"
        assert given_from_variables({}) == Given()

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({"optout_forks": "many"}, "optout_forks: many is not a number"),
            ({"optout_recipes": {"a": 1}}, "optout_recipes: give text or a list"),
        ],
    )
    def test_a_wrong_value_is_named(self, variables: dict[str, object], message: str) -> None:
        """The variable's own name stands in the sentence."""
        with pytest.raises(InputError, match=message):
            given_from_variables(variables)

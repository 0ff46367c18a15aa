"""Settings: the layers in their order, and what the role's variables may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet.agent.role_variables import given_from_variables
from fleet.browser.proxy import Proxy
from fleet.errors import InputError
from fleet.notify.targets import Smtp
from fleet.settings.resolve import Given, Source, SourceKind, configure, resolve_settings
from fleet.settings.setting import Setting
from fleet.settings.table import SETTINGS


class TestLayers:
    def test_the_command_line_is_above_the_environment_above_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One setting in three places: the nearest to the person who types wins."""
        (tmp_path / "fleet.yml").write_text("state: from-file\nforks: 3\n")
        assert resolve_settings(Given(), tmp_path).state == tmp_path / "from-file"
        monkeypatch.setenv("FLEET_STATE", "from-environment")
        assert resolve_settings(Given(), tmp_path).state == tmp_path / "from-environment"
        settings = resolve_settings(Given(state="from-option", forks=5), tmp_path)
        assert (settings.state, settings.forks) == (tmp_path / "from-option", 5)

    def test_fleet_config_names_another_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is used wherever the inventory lies; its paths are relative to itself; a missing one is an error."""
        elsewhere = tmp_path / "etc"
        elsewhere.mkdir()
        (elsewhere / "fleet.yml").write_text("recipes: [ours]\n")
        monkeypatch.setenv("FLEET_CONFIG", str(elsewhere / "fleet.yml"))
        assert resolve_settings(Given(), tmp_path).recipes == (elsewhere / "ours",)
        monkeypatch.setenv("FLEET_CONFIG", "nowhere.yml")
        with pytest.raises(InputError, match="FLEET_CONFIG names nowhere"):
            resolve_settings(Given(), tmp_path)

    def test_the_proxys_credentials_are_a_file_beside_fleet_yml(self, tmp_path: Path) -> None:
        """The option may name another proxy; where the credentials are never stands on the command line."""
        (tmp_path / "fleet.yml").write_text("proxy: http://proxy:3128\nproxy_credentials: proxy.txt\n")
        file = tmp_path / "proxy.txt"
        assert resolve_settings(Given(), tmp_path).network.proxy == Proxy("http", "proxy", 3128, file)
        given = Given(proxy="https://other:8443")
        assert resolve_settings(given, tmp_path).network.proxy == Proxy("https", "other", 8443, file)

    @pytest.mark.parametrize("place", ["option", "environment", "file", "default"])
    def test_a_rehearsal_has_a_state_of_its_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        """Wherever the real one comes from: rehearsed records and sessions never stand among real ones."""
        paths = {"state": "here", "identity": "keys/id.txt", "log_key": "keys/log.pem"}
        given = Given(**paths) if place == "option" else Given()
        if place == "environment":
            for name, path in paths.items():
                monkeypatch.setenv(f"FLEET_{name.upper()}", path)
        if place == "file":
            (tmp_path / "fleet.yml").write_text("".join(f"{name}: {path}\n" for name, path in paths.items()))
        real = resolve_settings(given, tmp_path)
        rehearsed = real.of_kind(rehearsal=True)
        assert real.of_kind(rehearsal=False) == real
        assert rehearsed.state == real.state / "rehearsal"
        assert rehearsed.identity == real.identity.with_name(f"rehearsal-{real.identity.name}")
        assert rehearsed.log_key == real.log_key.with_name(f"rehearsal-{real.log_key.name}")
        assert (real.state == tmp_path / "here") is (place != "default")


class TestFile:
    """Which fleet.yml counts: two commands that are typed in the same folder go by the same one."""

    def test_without_an_inventory_it_is_that_of_the_working_directory(self, tmp_path: Path) -> None:
        """As of ansible.cfg; also for a list of hosts, which lies in no folder."""
        (tmp_path / "fleet.yml").write_text("forks: 3\n")
        for sources in ((), ("anna,ben",), ("staff.yml",), ("./staff.yml",), (f"../{tmp_path.name}/staff.yml",)):
            assert configure(Given(inventory=sources), tmp_path).settings.forks == 3, sources

    def test_a_folder_as_inventory_has_it_beside_it_or_inside(self, tmp_path: Path) -> None:
        """Ansible reads every YAML file in the folder, so beside is where it usually is; inside wins."""
        (tmp_path / "staff").mkdir()
        (tmp_path / "fleet.yml").write_text("forks: 3\n")
        assert configure(Given(inventory=(str(tmp_path / "staff"),)), tmp_path / "staff").settings.forks == 3
        (tmp_path / "staff" / "fleet.yml").write_text("forks: 4\n")
        assert configure(Given(inventory=("staff",)), tmp_path).settings.forks == 4

    def test_it_names_the_inventory(self, tmp_path: Path) -> None:
        """One or several, from the file on, as -i would have them; -i is above it."""
        file, cwd = tmp_path / "fleet.yml", tmp_path / "sub"
        cwd.mkdir()
        file.write_text("inventory: staff.yml\n")
        assert configure(Given(), tmp_path).settings.inventory == ("staff.yml",)
        file.write_text("inventory:\n  - sub/staff.yml\n  - anna,ben\n")
        assert configure(Given(), tmp_path).settings.inventory == ("sub/staff.yml", "anna,ben")
        assert configure(Given(inventory=("x.yml",)), tmp_path).settings.inventory == ("x.yml",)

    def test_it_is_not_used_for_an_inventory_of_another_folder(self, tmp_path: Path) -> None:
        """A run in that folder would go by other settings; unless the file names the inventory, or is named itself."""
        (tmp_path / "sub").mkdir()
        (tmp_path / "fleet.yml").write_text("forks: 3\n")
        given = Given(inventory=("sub/staff.yml",))
        with pytest.raises(InputError, match=r"sub/staff.yml is not in the folder of .*fleet.yml, which does not name"):
            configure(given, tmp_path)
        (tmp_path / "fleet.yml").write_text("forks: 3\ninventory: sub/staff.yml\n")
        assert configure(given, tmp_path).settings.forks == 3
        (tmp_path / "sub" / "fleet.yml").write_text("forks: 4\n")
        assert configure(given, tmp_path).settings.forks == 4

    def test_two_that_could_be_meant_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each folder's own commands go by its own; FLEET_CONFIG decides."""
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "fleet.yml").write_text("forks: 3\n")
        given = Given(inventory=("a/staff.yml", "b/staff.yml"))
        with pytest.raises(InputError, match=r"Both .*a/fleet.yml and .*b/fleet.yml could be meant"):
            configure(given, tmp_path)
        monkeypatch.setenv("FLEET_CONFIG", "b/fleet.yml")
        assert configure(given, tmp_path).file == tmp_path / "b" / "fleet.yml"

    @pytest.mark.parametrize("place", [".", "fleet.yml"])
    def test_one_that_others_may_write_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        """It could accept terms, or lead to another state; a file that is named is trusted."""
        (tmp_path / "fleet.yml").write_text("forks: 3\n")
        (tmp_path / place).chmod(0o777)
        for given in (Given(), Given(inventory=("staff.yml",))):
            with pytest.raises(InputError, match=r"fleet\.yml is not used: .* is writable by others"):
                configure(given, tmp_path)
        monkeypatch.setenv("FLEET_CONFIG", "fleet.yml")
        assert configure(Given(), tmp_path).settings.forks == 3

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
    @pytest.mark.parametrize("place", [".", "fleet.yml"])
    def test_one_that_belongs_to_another_is_refused(self, tmp_path: Path, place: str) -> None:
        """Or lies in a folder of theirs, where they can exchange it."""
        (tmp_path / "fleet.yml").write_text("forks: 3\n")
        os.chown(tmp_path / place, 65534, 65534)
        with pytest.raises(InputError, match=r"fleet\.yml is not used: .* belongs to another user"):
            configure(Given(), tmp_path)


class TestSources:
    def test_each_value_tells_where_it_came_from(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The option, the variable, the line of the file, or the default; whichever decided the value."""
        file = tmp_path / "fleet.yml"
        file.write_text(
            "version: 1\n\nstate: from-file\nidentity: id.txt\nforks: 3\nservices:\n  - linkedin\ncontrols: []\n"
        )
        monkeypatch.setenv("FLEET_IDENTITY", "from-environment")
        found = configure(Given(forks=5), tmp_path)
        assert found.file == file
        told = {name: (one.value, str(one.source)) for name, one in found.values.items()}
        assert told["state"] == (tmp_path / "from-file", f"{file}:3")
        assert told["identity"] == (tmp_path / "from-environment", "FLEET_IDENTITY")
        assert told["forks"] == (5, "--forks")
        assert told["services"] == (("linkedin",), f"{file}:6")
        assert told["controls"] == ((), "default")  # an empty list says nothing
        assert told["pause"][1] == "default"
        assert found.values["services"].source == Source(SourceKind.FILE, str(file), 6)

    @pytest.mark.parametrize("setting", [one for one in SETTINGS if one.option], ids=lambda one: one.name)
    def test_every_option_is_above_the_file(self, setting: Setting, tmp_path: Path) -> None:
        """No option has an order of its own."""
        assert setting.option is not None
        in_file = {"forks": "3", "breaker": "{visits: 9}"}.get(setting.name, "there")
        (tmp_path / "fleet.yml").write_text(f"{setting.name}: {in_file}\n")
        below = configure(Given(), tmp_path).values[setting.name]
        assert (below.source.kind, below.source.line) == (SourceKind.FILE, 1)
        given = {"forks": 5, "breaker": "off"}.get(setting.name, ("here",) if setting.is_list else "here")
        above = configure(Given(**{setting.name: given}), tmp_path).values[setting.name]
        assert above.source == Source(SourceKind.OPTION, setting.option.name)
        assert above.value != below.value

    @pytest.mark.parametrize("text", ["services:\n  - linkedin\n", "services: [linkedin]\n", "services: linkedin\n"])
    def test_one_entry_needs_no_list(self, tmp_path: Path, text: str) -> None:
        """Where fleet.yml takes a list, it takes a single text as well."""
        (tmp_path / "fleet.yml").write_text(text)
        assert resolve_settings(Given(), tmp_path).services == ("linkedin",)

    def test_a_misspelled_setting_is_a_bug(self) -> None:
        """What the code passes is held to the table, as keyword arguments are."""
        with pytest.raises(TypeError, match="no such setting: stat"):
            Given(stat="here")

    def test_addresses_to_notify_are_no_settings(self, tmp_path: Path) -> None:
        """Those cross to the agent, and an address may be a secret."""
        (tmp_path / "fleet.yml").write_text(
            "notify: [https://hooks.example/s3cret]\nnotify_file: n.txt\nsmtp: mail:25\n"
        )
        found = configure(Given(), tmp_path)
        assert "hooks" not in repr(found.settings)
        channels = found.channels
        assert [target.url for target in channels.targets] == ["https://hooks.example/s3cret"]
        assert (channels.file, channels.smtp) == (tmp_path / "n.txt", Smtp("mail", 25))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("version: 2\n", r"fleet\.yml:1: version: made for a newer Fleet Opt-Out; update it"),
            ("version: 0\n", r"fleet\.yml:1: version: must be 1"),
        ],
    )
    def test_a_file_for_another_version_is_refused(self, tmp_path: Path, text: str, message: str) -> None:
        """Rather than read in part."""
        (tmp_path / "fleet.yml").write_text(text)
        with pytest.raises(InputError, match=message):
            configure(Given(), tmp_path)


class TestRoleVariables:
    def test_text_is_taken_as_ansible_takes_it(self) -> None:
        """Values of -e are text: lists come with commas, numbers as digits."""
        given = given_from_variables({"optout_services": "linkedin, wiki", "optout_forks": "4"})
        assert (given["services"], given["forks"], given["proxy"]) == (("linkedin", "wiki"), 4, None)
        assert given_from_variables({"optout_services": ["linkedin"]})["services"] == ("linkedin",)
        assert given_from_variables({"optout_proxy": "http://proxy:3128"})["proxy"] == "http://proxy:3128"

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({"optout_forks": "many"}, "optout_forks: many is not a number"),
            ({"optout_forks": "99"}, "optout_forks: must be 64 or less"),
            ({"optout_recipes": {"a": 1}}, "optout_recipes: give text or a list"),
        ],
    )
    def test_a_wrong_value_is_named(self, variables: dict[str, object], message: str) -> None:
        """The sentence names the variable."""
        with pytest.raises(InputError, match=message):
            given_from_variables(variables)

    def test_a_value_that_is_parsed_later_is_named_too(self, tmp_path: Path) -> None:
        """By the variable, not by the option that nobody typed."""
        with pytest.raises(InputError, match="optout_resolve: x: write it as HOST:PORT"):
            resolve_settings(given_from_variables({"optout_resolve": ["x"]}), tmp_path)

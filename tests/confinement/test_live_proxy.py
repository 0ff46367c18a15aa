"""A live run behind a real forward proxy, in a network where nothing else leads anywhere."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.confinement.namespace import run_scenario

pytestmark = pytest.mark.xdist_group("live_proxy")  # two accounts, and the pause that live services are given

HOSTS = ["media.licdn.com:443", "static.licdn.com:443", "www.linkedin.com:443"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if shutil.which("tinyproxy") is None:
        pytest.skip("needs the program tinyproxy (Debian: tinyproxy-bin)")
    return run_scenario("scenarios.behind_proxy", tmp_path_factory.mktemp("home"))


class TestLiveBehindAProxy:
    def test_it_opts_out(self, live: Any) -> None:
        """Two accounts, one of them before a page that reaches out; one write each."""
        assert live["outcomes"] == {"reaches": "opted_out", "plain": "opted_out"}
        assert live["writes"] == {"reaches": 1, "plain": 1}

    def test_personal_sessions_are_left_unused_until_the_organization_has_decided(self, live: Any) -> None:
        """Each such account ends `not_permitted`, reason `personal_session`, exit 3, and nothing was written there."""
        code, results, written = live["undecided"]
        assert code == 3
        assert {row["employee"]: (row["outcome"], row["reason"]) for row in results} == dict.fromkeys(
            ("reaches", "plain"), ("not_permitted", "personal_session")
        )
        assert written == 0

    def test_the_log_names_the_decisions_that_the_run_rested_on(self, live: Any) -> None:
        """Terms, personal sessions and the missing sandbox, each with its reference, for the run before and after."""
        accepted = {"terms_accepted": {"linkedin": "test"}, "sandbox_accepted_by": "test"}
        assert live["decisions"] == [
            accepted | {"personal_sessions": {}},
            accepted | {"personal_sessions": {"linkedin": "test"}},
        ]

    def test_the_proxys_log_shows_the_recipes_hosts_and_nothing_else(self, live: Any) -> None:
        """In tinyproxy's own words."""
        assert sorted(live["asked"]) == [f"CONNECT {host}" for host in HOSTS]

    def test_no_packet_goes_past_the_proxy(self, live: Any) -> None:
        """Connected to are the service (443), the proxy (3128) and the one relay; no name is asked for."""
        others = set(live["seen"]) - {"lo tcp 127.0.0.1:443", "lo tcp 127.0.0.1:3128"}
        [relay] = others
        assert relay.startswith("lo tcp 127.0.0.1:") and relay != "lo tcp 127.0.0.1:18081"

    def test_a_proxy_that_asks_for_a_password_is_told_before_anything_is_touched(self, live: Any) -> None:
        """One sentence, exit 2, and the service was not asked for anything but the way to it."""
        code, [sentence] = live["refused"]
        assert code == 2
        assert sentence == (
            "The proxy http://127.0.0.1:3128 asks for user and password (407); write user:password into a private "
            "file (chmod 600) and name it in fleet.yml: proxy_credentials: FILE."
        )
        assert live["asked_before"] == ["www.linkedin.com:443"]

    def test_a_worker_goes_through_it_as_well(self, live: Any) -> None:
        """With the password that stands in a file here; without a word of sshd_config that lets it forward anything."""
        if live["by_worker"] is None:
            pytest.skip("needs root and the program sshd (Debian: openssh-server)")
        assert live["by_worker"] == {"plain": "already_opted_out"}

    def test_the_password_stays_in_its_file(self, live: Any) -> None:
        """Neither the state nor any log holds it, in whatever form it is sent."""
        assert [path.rpartition("/")[2] for path in live["password_in"]] == ["proxy.txt", "tinyproxy.conf"]

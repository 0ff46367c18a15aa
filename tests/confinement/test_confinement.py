"""What leaves this machine while a page tries to reach the whole world: heard packet by packet, told by the service."""

from __future__ import annotations

from typing import Any

import pytest

from tests.confinement.namespace import full_browser, run_scenario
from tests.confinement.scenarios import WEBRTC

pytestmark = pytest.mark.xdist_group("confinement")

PAGE = "/mypreferences/d/settings/data-for-ai-improvement"


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run_scenario("scenarios.rehearsed", tmp_path_factory.mktemp("home"))


class TestTheListener:
    """The guards below can fail: the page does reach out, and the listener hears it."""

    def test_an_unconfined_browser_is_heard(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """By names, addresses, other ports of this machine, over TCP and UDP, by multicast."""
        seen = set(run_scenario("scenarios.unconfined", tmp_path_factory.mktemp("home")))
        asked = {line.split()[-1] for line in seen if "127.0.0.1:53 " in line}
        assert {name.removesuffix(".trap.example") for name in asked} >= {
            *("img", "srcset", "script", "module", "iframe", "parsed-iframe", "object", "embed", "audio", "video"),
            *("poster", "track", "input", "background", "import", "font", "svg", "stylesheet", "prefetch", "preload"),
            *("modulepreload", "speculation-prefetch", "speculation-prerender", "fetch", "fetch-post", "fetch-later"),
            *("xhr", "beacon", "eventsource", "websocket", "webtransport", "dynamic-import", "worker", "fedcm"),
            *("import-scripts", "refresh", "location", "form", "window", "download", "link", "ping", "rules"),
            *("stun", "turn", "turns", "printer.local", "127.0.0.1.nip.io", "www.linkedin.com"),
        }
        assert seen >= {
            *("lo tcp 127.0.0.2:443", "lo tcp 127.0.0.2:80", "out tcp 192.0.2.2:8443", "out tcp 2001:db8::1:443"),
            *("out tcp 192.0.2.1:3478", "out udp 192.0.2.1:3478", "out udp 192.0.2.1:4433", "out udp 192.0.2.3:4444"),
            *("lo tcp 127.0.0.1:18081", "lo udp 127.0.0.1:18081", "lo tcp ::1:18081", "out ip 2 224.0.0.22"),
            "out udp 224.0.0.251:5353 00000000-0000-4000-8000-000000000000.local",
        }

    def test_webrtc_alone_is_heard(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Resolver rules do not hold it: it sends to addresses, and joins a multicast group."""
        seen = set(run_scenario("scenarios.webrtc_unconfined", tmp_path_factory.mktemp("home")))
        assert seen >= WEBRTC


class TestConfinement:
    def test_nothing_leaves_by_name_either(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Where the recipe's hosts are resolved for real, the same page reaches their port 443 and nothing else."""
        assert run_scenario("scenarios.live", tmp_path_factory.mktemp("home")) == []

    def test_a_full_browser_asks_no_public_name_server(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """It would, past its resolver rules, for google.com; behind the relay it has no name to resolve."""
        program = full_browser()
        [relay] = run_scenario("scenarios.live", tmp_path_factory.mktemp("home"), FLEET_BROWSER=program)
        assert relay.startswith("lo tcp 127.0.0.1:") and relay != "lo tcp 127.0.0.1:18081"

    @pytest.mark.parametrize("mode", ["checked", "run"])
    def test_a_whole_run_connects_to_the_service_alone(self, rehearsed: Any, mode: str) -> None:
        """No name is asked for, no packet leaves, no other service of this machine is knocked at."""
        assert rehearsed[mode]["seen"] == [rehearsed["own"]]

    def test_the_page_that_reaches_out_is_opted_out_all_the_same(self, rehearsed: Any) -> None:
        """What it misses is not needed."""
        assert rehearsed["checked"]["outcomes"] == {
            "reaches": "would_opt_out",
            "asked": "challenged",
            "out": "sign_in_needed",
        }
        assert rehearsed["run"]["outcomes"]["reaches"] == "opted_out"

    def test_check_mode_sends_nothing_that_could_write(self, rehearsed: Any) -> None:
        """The service saw GET alone, and declared pages alone (the page itself asks for /downgraded)."""
        assert set(rehearsed["checked"]["requests"]["reaches"]) == {
            "GET /in/me/",
            f"GET {PAGE}",
            "GET /downgraded",
        }

    def test_a_run_writes_once(self, rehearsed: Any) -> None:
        """Beside the pages there is one save."""
        requests = rehearsed["run"]["requests"]["reaches"]
        saves = [line for line in requests if not line.startswith("GET ")]
        assert saves == ["PUT /mysettings-api/settingsApiSettings/allowDataForGenerativeAI"]
        assert {line for line in requests if line.startswith("GET ")} == {
            "GET /in/me/",
            f"GET {PAGE}",
            "GET /downgraded",
        }

    def test_sign_in_and_challenge_pages_are_read_only(self, rehearsed: Any) -> None:
        """Reached, looked at, left: nothing was typed, pressed or sent there in either run."""
        assert rehearsed["run"]["requests"]["asked"] == ["GET /in/me/", "GET /checkpoint/challenge/AgE2fT0lRkQ"] * 2
        assert rehearsed["run"]["requests"]["out"] == ["GET /in/me/", "GET /login"] * 2

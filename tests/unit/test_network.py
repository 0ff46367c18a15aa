"""Where the browser may connect: the options that say so, and the rules that Chromium is given."""

from __future__ import annotations

import base64
import hashlib

import pytest

from fleet.browser.network import Network, parse_resolve, parse_spki
from fleet.browser.proxy import parse_proxy
from fleet.errors import InputError
from fleet.recipes.labels import exact_names

SPKI = base64.b64encode(hashlib.sha256(b"a key").digest()).decode()


class TestResolve:
    def test_a_host_is_led_to_a_loopback_address(self) -> None:
        """curl's spelling; names are compared in lower case, IPv6 in brackets."""
        assert parse_resolve("Wiki.Corp.example:443=127.0.0.1:8443") == ("wiki.corp.example:443", "127.0.0.1:8443")
        assert parse_resolve("wiki.example:8443=[::1]:9000") == ("wiki.example:8443", "[::1]:9000")
        assert parse_resolve("wiki.example:443=127.9.8.7:1") == ("wiki.example:443", "127.9.8.7:1")

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("wiki.example:443=10.0.0.1:443", "10.0.0.1 is not a loopback address"),
            ("wiki.example:443=[2001:db8::1]:443", "is not a loopback address"),
            ("wiki.example:443=999.0.0.1:443", "is not an IP address"),
            ("wiki.example:443=localhost:443", "write it as HOST:PORT=ADDR:PORT"),
            ("wiki.example=127.0.0.1:443", "write it as HOST:PORT=ADDR:PORT"),
            ("wiki.example:443=127.0.0.1:70000", "a port lies between 1 and 65535"),
            ("a.example:443, MAP * 6.6.6.6=127.0.0.1:1", "write it as HOST:PORT=ADDR:PORT"),
        ],
    )
    def test_anything_else_is_refused(self, value: str, message: str) -> None:
        """Other addresses, names, missing ports, and text that would add rules of its own."""
        with pytest.raises(InputError, match="--resolve") as caught:
            parse_resolve(value)
        assert message in str(caught.value)

    def test_a_key_is_a_base64_sha256(self) -> None:
        """32 bytes and nothing else."""
        assert parse_spki(SPKI) == SPKI
        for wrong in ("", "abc", SPKI[:-4], base64.b64encode(b"short").decode(), SPKI + ",x"):
            with pytest.raises(InputError, match="--trust-spki"):
                parse_spki(wrong)


class TestConfinement:
    def test_declared_hosts_resolve_and_all_else_does_not(self) -> None:
        """A mapped host goes where it is led, a declared one to itself on its own port, all else to nothing."""
        network = Network({"www.a.example:443": "127.0.0.1:8443"}, (SPKI,))
        assert network.arguments(["www.a.example:443", "static.b.example:443"]) == [
            "--host-resolver-rules=MAP static.b.example:443 static.b.example:443, "
            "MAP www.a.example:443 127.0.0.1:8443, MAP * ~NOTFOUND",
            "--no-proxy-server",
            f"--ignore-certificate-errors-spki-list={SPKI}",
        ]

    def test_a_mapping_of_an_undeclared_host_opens_nothing(self) -> None:
        """--resolve leads hosts of the recipes only."""
        network = Network({"evil.example:443": "127.0.0.1:1"})
        assert network.arguments(["a.example:443"])[0] == (
            "--host-resolver-rules=MAP a.example:443 a.example:443, MAP * ~NOTFOUND"
        )

    def test_behind_a_proxy_only_the_relay_resolves(self) -> None:
        """Through a proxy Chromium resolves no names, so the relay admits the hosts; nothing bypasses it."""
        assert Network({"www.a.example:443": "127.0.0.1:8443"}).arguments(["www.a.example:443"], relay=4321) == [
            "--host-resolver-rules=MAP 127.0.0.1:4321 127.0.0.1:4321, MAP * ~NOTFOUND",
            "--proxy-server=http://127.0.0.1:4321",
            "--proxy-bypass-list=<-loopback>",
        ]

    def test_what_stays_on_this_machine_never_goes_to_the_proxy(self) -> None:
        """Hosts with a --resolve, and loopback itself."""
        network = Network({"a.example:443": "127.0.0.1:1"})
        assert network.mapped(["a.example:443", "b.example:443", "localhost:8000"]) == {
            "a.example:443": "127.0.0.1:1",
            "localhost:8000": "localhost:8000",
        }

    def test_a_person_s_window_is_confined_on_this_machine_only(self) -> None:
        """A live sign-in may lead to other companies; it takes the company's proxy, if there is one."""
        network = Network({"wiki.example:443": "127.0.0.1:8443"})
        assert network.window_arguments(["wiki.example:443"]) == [
            "--host-resolver-rules=MAP wiki.example:443 127.0.0.1:8443, MAP * ~NOTFOUND",
            "--no-proxy-server",
        ]
        assert network.window_arguments(["www.linkedin.com:443"]) == []
        behind = Network(proxy=parse_proxy("http://proxy.corp.example:3128"))
        assert behind.window_arguments(["www.linkedin.com:443"]) == ["--proxy-server=http://proxy.corp.example:3128"]

    def test_loopback_means_every_host(self) -> None:
        """One host that leaves the machine makes the run a live one."""
        network = Network({"a.example:443": "127.0.0.1:1"})
        assert network.is_loopback(["a.example:443", "localhost:8000", "127.0.0.1:80", "[::1]:80"]) is True
        assert network.is_loopback(["a.example:443", "b.example:443"]) is False
        assert network.is_loopback(["a.example:8443"]) is False


class TestLabels:
    @pytest.mark.parametrize(
        "shown",
        [
            "Utiliser mes données pour entraîner l'IA",
            "  utiliser MES données pour entraîner l’IA ",
            "Utiliser mes données\N{NO-BREAK SPACE}pour\nentraîner lʼIA",
        ],
    )
    def test_case_spaces_and_apostrophes_do_not_matter(self, shown: str) -> None:
        """The same words in another guise are the same label."""
        assert exact_names(["Utiliser mes données pour entraîner l'IA"]).match(shown)

    @pytest.mark.parametrize(
        "shown", ["Do not use my data (all)", "Please: Use my data (all)", "Use my data (all) ", "Use my data xallx"]
    )
    def test_a_label_is_compared_whole(self, shown: str) -> None:
        """A longer text that contains the label is another label; marks of patterns mean themselves."""
        assert (exact_names(["Use my data (all)"]).match(shown) is not None) is (shown.strip() == "Use my data (all)")

"""An LDAP server that refuses, fails or never ends: one sentence, no password in it, nobody less than everybody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.directories import servers
from tests.directories.desks import Desk, not_told, people_of, told
from tests.sizes import cases

pytestmark = pytest.mark.xdist_group("directories")  # one server of each kind
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"bind_dn": "cn=nobody,dc=company,dc=example"}, "refused 'cn=nobody,dc=company,dc=example' with the"),
    ({"bind_dn": None, "password_file": None}, "has no entry 'ou=people,dc=company,dc=example' (noSuchObject)"),
    ({"bind_dn": None}, "bind_dn and password_file need each other"),
    ({"base": "ou=none,dc=company,dc=example"}, "has no entry 'ou=none,dc=company,dc=example' (noSuchObject)"),
    ({"base": "people"}, "base: 'people' is not a DN"),
    ({"base": "ou=branch,dc=company,dc=example", "filter": "(objectClass=*)"}, "Active Directory's port 3269."),
    ({"bind_dn": "cn=limited,dc=company,dc=example", "page_size": 100}, "does not return everyone (sizeLimitExceeded)"),
    ({"filter": "(mail=*"}, "filter: '(mail=*' is not an LDAP filter; write it as in RFC 4515."),
    ({"filter": "(mail=nobody@company.example)"}, "returned no people"),
    ({"ca_file": None}, "has a certificate from an untrusted CA"),
    ({"ca_file": "missing.pem"}, "contains no CA certificates"),
    ({"url": "ldap://directory.company.example"}, "would send personal data and the password unencrypted"),
    ({"url": "ldaps://localhost:1"}, "is unreachable, or closed the connection"),
    ({"url": "ldaps://localhost/ou=people"}, "names more than a server; move the rest to base."),
    ({"start_tls": True}, "uses TLS from the start; remove start_tls."),
    ({"attributes": {"name": "uid)(x"}}, "'uid)(x' is not an LDAP attribute"),
]
"""Options that are changed, and what is told of them."""


def test_each_fault_has_its_sentence(ldap: Desk) -> None:
    """Before any host is made."""
    expected = [(ldap.another(str(number), **changed), said) for number, (changed, said) in enumerate(FAULTS)]
    assert not_told(expected) == []


@pytest.mark.parametrize("fault", cases(FAULTS, FAULTS[:1]))
def test_fleet_says_the_same(ldap: Desk, fault: tuple[dict[str, Any], str]) -> None:
    """Ended with 2, before any host is made."""
    changed, said = fault
    assert said in ldap.refusal(**changed)


def test_the_root_of_an_active_directorys_domain_can_be_the_base(ldap: Desk) -> None:
    """Its references to partitions without people (DNS, configuration) are passed over; the people are there."""
    assert list(ldap.hosts(base="ou=domain,dc=company,dc=example")) == ["robin"]


def test_a_wrong_password_is_told(ldap: Desk) -> None:
    """With the file that holds it, and without what it holds."""
    (ldap.folder / "secret").write_text("wrong-9Xq\n")
    ldap.secret = "wrong-9Xq"
    assert "secret (invalidCredentials); fix one of them." in told([ldap])[0]


def test_a_certificate_of_another_name_is_refused(ldap: Desk) -> None:
    """It is for `localhost`, and 127.0.0.1 is another name."""
    ldap.options["url"] = ldap.options["url"].replace("localhost", "127.0.0.1")
    assert "has a certificate for another host name" in told([ldap])[0]


def test_a_connection_that_changes_to_tls_is_as_good(ldap: Desk, ldap_server: servers.Directory) -> None:
    """STARTTLS; and in clear on this machine."""
    changed = ldap.another("changed", url=ldap_server.clear_url, start_tls=True)
    read = people_of({"changed": changed, "clear": ldap.another("clear", url=ldap_server.clear_url)})
    assert {way: len(people) for way, people in read.items()} == {"changed": 24, "clear": 24}


def test_where_ldap3_is_missing_it_is_named(ldap: Desk) -> None:
    """The plugin loads without it: `ansible-doc` works, and a run says what to install where."""
    hidden = ldap.folder / "hidden"
    hidden.mkdir()
    (hidden / "ldap3.py").write_text("raise ImportError\n")
    ldap.environ["PYTHONPATH"] = str(hidden)
    assert "ldap3 is not installed; install it in Ansible's environment: pip install ldap3" in ldap.refusal()


@contextmanager
def between(server: servers.Directory, spoil: str) -> Iterator[str]:
    """A relay before the real slapd that spoils its answers; the address of it. A real server does not fail on demand.

    `silent` forwards nothing after the bind; `away` closes after the first page; `for ever` answers each request for
    a page with the first one, whose cookie never ends.
    """
    host, port = urlsplit(server.clear_url).hostname, urlsplit(server.clear_url).port
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)

    def serve() -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        upstream = socket.create_connection((str(host), int(port or 0)))
        pages: list[bytes] = []
        with client, upstream:
            while request := client.recv(65536):
                is_search = b"\x63" in request[:12]
                if is_search and spoil == "silent":
                    threading.Event().wait(5)
                    return
                if is_search and spoil == "away" and pages:
                    return
                if is_search and spoil == "for ever" and pages:
                    client.sendall(renumbered(pages[0], message_id(request)))
                    continue
                upstream.sendall(request)
                answer = whole(upstream, is_search)
                if is_search:
                    pages.append(answer)
                client.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"ldap://localhost:{listener.getsockname()[1]}"
    finally:
        listener.close()


def whole(upstream: socket.socket, is_search: bool) -> bytes:
    """What the server answers: for a search up to its SearchResultDone (RFC 4511: tag 0x65)."""
    upstream.settimeout(1)
    answer = b""
    try:
        while part := upstream.recv(65536):
            answer += part
            if not is_search:
                break
    except TimeoutError:
        pass
    return answer


def messages(data: bytes) -> Iterator[bytes]:
    """The LDAP messages in a piece of BER."""
    at = 0
    while at < len(data):
        length, start = data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(data[start : start + size], "big"), start + size
        yield data[at : start + length]
        at = start + length


def _body(message: bytes) -> int:
    return 2 + (message[1] & 0x7F if message[1] & 0x80 else 0)


def message_id(message: bytes) -> int:
    """The number of a message: the first integer in it."""
    at = _body(message)
    return int.from_bytes(message[at + 2 : at + 2 + message[at + 1]], "big")


def renumbered(answer: bytes, number: int) -> bytes:
    """The same messages as an answer to another request; its number has one byte, as the first one's had."""
    changed = []
    for message in messages(answer):
        at = _body(message)
        assert message[at + 1] == 1 and number < 128
        changed.append(message[: at + 2] + bytes([number]) + message[at + 3 :])
    return b"".join(changed)


def test_a_server_that_does_not_come_to_an_end_is_left(ldap: Desk, ldap_server: servers.Directory) -> None:
    """Silent, gone after the first page, or the first page for ever: no smaller inventory."""
    faults = {
        "silent": "timed out or closed the connection; no hosts were added, run again.",
        "away": "closed the connection",
        "for ever": "twice; no hosts were added; run again",
    }
    with ExitStack() as relays:
        urls = {spoil: relays.enter_context(between(ldap_server, spoil)) for spoil in faults}
        assert not_told([(ldap.another(spoil, url=urls[spoil], timeout=3), faults[spoil]) for spoil in faults]) == []

"""A SCIM server that fails, lies or never ends: one sentence, no token in it, and nobody less than everybody."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.directories import people, servers
from tests.directories.desks import Desk, not_told, people_of, secret_file, told
from tests.sizes import cases

TOKEN = "scim-token-7Qx"
Page = Callable[["Handler", int], None]


class Handler(BaseHTTPRequestHandler):
    """Answers as the test says. A real server does not lie on demand, so this one is scripted."""

    page: Page
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization", ""))
        start = int(parse_qs(urlsplit(self.path).query).get("startIndex", ["1"])[0])
        type(self).page(self, start)

    def send(self, body: bytes | Any, status: int = 200, kind: str = "application/scim+json", **headers: str) -> None:
        """One answer."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def listed(start: int, count: int, total: int, first: int | None = None) -> dict[str, Any]:
    """A page of `count` people from `start` on; `first` is what it says of itself."""
    everybody = people.everybody() * 4
    users = [
        people.scim_user(everybody[number % 24] | {"name": f"p{number}"}) | {"id": f"id-{number}"}
        for number in range(start, start + count)
    ]
    return {"totalResults": total, "startIndex": start if first is None else first, "Resources": users}


def drip(handler: Handler, _start: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/scim+json")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.2)


def break_off(handler: Handler, start: int) -> None:
    body = json.dumps(listed(start, 5, 20)).encode()
    if start > 1:
        body = body[: len(body) // 2]
    handler.send_response(200)
    handler.send_header("Content-Type", "application/scim+json")
    handler.send_header("Content-Length", str(10_000))
    handler.end_headers()
    handler.wfile.write(body)


def silent(handler: Handler, _start: int) -> None:
    time.sleep(8)


FAULTS: dict[str, tuple[Page, str]] = {
    "the same page for ever": (lambda h, start: h.send(listed(1, 5, 20)), "asked for people from 6 on and sent others"),
    "the same people on every page": (lambda h, start: h.send(listed(1, 5, 20, start)), "sent 'id-1' twice"),
    "more counted than there are": (
        lambda h, start: h.send(listed(start, 5 if start == 1 else 0, 20)),
        "sent only 5 of 20 people",
    ),
    "fewer counted than there are": (lambda h, start: h.send(listed(start, 5, 3)), "reported 3 people but sent 5"),
    "more people than it has counted": (
        lambda h, start: h.send(listed(start, 5, 10)),
        "reported 10 people but sent 15",
    ),
    "another count each time": (
        lambda h, start: h.send(listed(start, 5, 20 + start)),
        "first reported 21 people, then 26",
    ),
    "a count without end": (lambda h, start: h.send(listed(start, 5, 10**9)), "raise max_people (100000)"),
    "nobody at all": (lambda h, _: h.send({"totalResults": 0}), "returned no people"),
    "no count": (lambda h, _: h.send({"Resources": []}), "does not answer as a SCIM 2.0 service"),
    "somebody without an id": (
        lambda h, _: h.send({"totalResults": 1, "Resources": [{"userName": "x"}]}),
        "sent a person without an id",
    ),
    "not JSON": (lambda h, _: h.send(b"{"), "sent an invalid answer"),
    "a page for people": (lambda h, _: h.send(b"<html>", kind="text/html"), "answered with 'text/html'"),
    "a page that is too large": (lambda h, _: h.send(b" " * (32 * 2**20 + 1)), "sent more than 32 MiB at once"),
    "broken off": (break_off, "sent an invalid answer; no hosts were added"),
    "drawn out": (drip, "did not send all people within 3 s"),
    "silent": (silent, "timed out"),
    "401": (lambda h, _: h.send(TOKEN.encode(), 401), "refused (401): renew the token in"),
    "403": (lambda h, _: h.send(b"", 403), "refused (403): renew the token in"),
    "404": (lambda h, _: h.send(b"", 404), "has no /Users (404)"),
    "429": (lambda h, _: h.send(b"", 429, **{"Retry-After": "30"}), "limits requests (429); run again in 30 s."),
    "500": (lambda h, _: h.send(b"\x1b[31m", 500), "failed with a server error (500)"),
    "a filter that it does not take": (
        lambda h, _: h.send({"scimType": "invalidFilter", "detail": TOKEN}, 400),
        "rejected the request (400, invalidFilter)",
    ),
    "two of the same name": (
        lambda h, _: h.send({"totalResults": 2, "Resources": [{"id": one, "userName": "kim"} for one in "ab"]}),
        "'a': kim is the name of 2 people; 'b': kim is the name of 2 people",
    ),
    "names that are none": (
        lambda h, _: h.send(
            {
                "totalResults": 3,
                "Resources": [
                    {"id": "a\x1b[2J", "userName": "x; touch y"},
                    {"id": "b", "userName": "localhost"},
                    {"id": "c", "userName": "-o"},
                ],
            }
        ),
        "3 of 3 people cannot be hosts: 'a?[2J': 'x; touch y' is not a valid name",
    ),
}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., tuple[Desk, list[str]]]]:
    """Start a server that answers so; the folder configured for it, and the tokens that it was given."""
    running = []

    def start(page: Page, trust: ssl.SSLContext | None = None, **options: Any) -> tuple[Desk, list[str]]:
        asked: list[str] = []
        handler = type("Scripted", (Handler,), {"page": page, "asked": asked})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        if trust:
            server.socket = trust.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        url = f"{'https' if trust else 'http'}://localhost:{server.server_port}/v2"
        given = {"plugin": "fleet_scim", "url": url, "token_file": secret_file(tmp_path, TOKEN), "page_size": 5}
        return Desk(tmp_path, given | options, TOKEN), asked

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_each_fault_has_its_sentence(serve: Callable[..., tuple[Desk, list[str]]]) -> None:
    """And ends: whatever is asked for again is asked for a bounded number of times."""
    served = {fault: serve(page, timeout=2, max_seconds=3) for fault, (page, _) in FAULTS.items()}
    desks = [desk.another(str(number)) for number, (desk, _) in enumerate(served.values())]
    assert not_told([*zip(desks, (said for _, said in FAULTS.values()), strict=True)]) == []
    assert {fault: len(asked) for fault, (_, asked) in served.items() if not 1 <= len(asked) <= 10} == {}
    assert {token for _, asked in served.values() for token in asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("fault", cases(FAULTS, ["401"]))
def test_fleet_says_the_same(serve: Callable[..., tuple[Desk, list[str]]], fault: str) -> None:
    """One sentence, exit code 2, and no token in it."""
    page, said = FAULTS[fault]
    desk, asked = serve(page, timeout=2, max_seconds=3)
    assert said in desk.refusal()
    assert 1 <= len(asked) <= 10


def test_whoever_answers_well_is_believed(serve: Callable[..., tuple[Desk, list[str]]]) -> None:
    """The scripted server itself is no fault: 20 people on four pages, and a fifth without anybody."""
    desk, asked = serve(lambda h, start: h.send(listed(start, 5 if start < 20 else 0, 20)))
    assert len(desk.hosts()) == 20 and len(asked) == 5


def test_a_page_is_never_the_last_because_of_its_count(serve: Callable[..., tuple[Desk, list[str]]]) -> None:
    """A server that counts each page, full or not, has more people than those on the first."""

    def counted(most: int) -> Desk:
        def page(handler: Handler, start: int) -> None:
            count = max(min(most, 8 - start + 1), 0)
            handler.send(listed(start, count, count))

        desk, _ = serve(page)
        return desk.another(f"pages_of_{most}")

    everybody = {f"p{number}" for number in range(1, 9)}
    read = people_of({f"pages_of_{most}": counted(most) for most in (5, 3)})
    assert read == {"pages_of_5": everybody, "pages_of_3": everybody}


def test_a_server_may_refuse_what_lies_beyond_its_people(serve: Callable[..., tuple[Desk, list[str]]]) -> None:
    """That is an end as good as a page without anybody; a refusal before is none."""
    desk, _ = serve(lambda h, start: h.send(listed(start, 5, 10)) if start < 10 else h.send(b"", 404))
    assert len(desk.hosts()) == 10
    desk, _ = serve(lambda h, start: h.send(listed(start, 5, 15)) if start < 10 else h.send(b"", 404))
    assert "has no /Users (404)" in told([desk])[0]


def test_json_is_read_whatever_it_is_called(serve: Callable[..., tuple[Desk, list[str]]]) -> None:
    """RFC 7644 has one name for it, servers have others."""
    kinds = {
        "standard": "application/scim+json",
        "plain": "application/json;charset=UTF-8",
        "reversed": "application/json+scim;charset=UTF-8",
        "of_a_vendor": "application/vnd.company.scim+json",
        "text": "text/json",
    }

    def called(name: str, kind: str) -> Desk:
        desk, _ = serve(lambda h, start: h.send(listed(start, 3 if start == 1 else 0, 3), kind=kind))
        return desk.another(name)

    read = people_of({name: called(name, kind) for name, kind in kinds.items()})
    assert {name: len(people) for name, people in read.items()} == dict.fromkeys(kinds, 3)


def test_names_of_members_are_read_whatever_their_case(serve: Callable[..., tuple[Desk, list[str]]]) -> None:
    """RFC 7643, 2.1: who is not `Active` is not active, and the others are there."""
    users = [{"ID": one, "USERNAME": f"kim-{one}", "Active": one != "b", "Locale": "en"} for one in "abc"]
    desk, _ = serve(lambda h, _: h.send({"TotalResults": 3, "resources": users}))
    assert set(desk.hosts()) == {"kim-a", "kim-c"}


def test_what_is_on_this_machine_is_asked_without_a_proxy(serve: Callable[..., tuple[Desk, list[str]]]) -> None:
    """Whatever the environment names: a proxy would be given the address and the token of a service here."""
    desk, asked = serve(lambda h, start: h.send(listed(start, 5 if start < 20 else 0, 20)))
    desk.environ |= dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:1")
    assert len(desk.hosts()) == 20 and len(asked) == 5


def test_the_token_goes_nowhere_else(serve: Callable[..., tuple[Desk, list[str]]]) -> None:
    """An answer that points to another server is an error; that one is never asked."""
    _, stolen = serve(lambda h, _: h.send(listed(1, 1, 1)))
    other, _ = serve(lambda h, _: h.send(listed(1, 1, 1)))
    target = other.options["url"].replace("localhost", "127.0.0.1")
    desk, asked = serve(lambda h, _: h.send(b"", 302, Location=f"{target}/Users"))
    assert "redirects (302), and the token is not sent on" in desk.refusal()
    assert len(asked) == 1 and stolen == []


def test_a_server_that_is_not_trusted_gets_no_token(
    serve: Callable[..., tuple[Desk, list[str]]], tmp_path: Path
) -> None:
    """Signed by nobody that is trusted, or a name that is another's; with its authority in ca_file it is."""
    ca, certificate = servers.certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    desk, asked = serve(lambda h, start: h.send(listed(start, 5 if start < 20 else 0, 20)), context)
    named = desk.options["url"].replace("localhost", "127.0.0.1")
    desks = [desk.another("unsigned"), desk.another("named", ca_file=str(ca), url=named)]
    assert not_told([(one, "has an untrusted certificate") for one in desks]) == []
    assert asked == []
    assert len(desk.hosts(ca_file=str(ca))) == 20


def test_an_address_that_cannot_be_is_told(tmp_path: Path) -> None:
    """Before anything is sent."""
    addresses = {
        "http://directory.company.example/v2": "would send personal data and the token unencrypted; use https.",
        "https://user:pass@localhost/v2": "must be https://HOST or http://HOST, without user or query.",
        "ftp://localhost/v2": "must be https://HOST or http://HOST, without user or query.",
        "http://localhost:1/v2": "is unreachable, or closed the connection (Connection refused)",
    }
    desk = Desk(tmp_path, {"plugin": "fleet_scim", "token_file": "secret"}, TOKEN)
    expected = [(desk.another(str(number), url=url), said) for number, (url, said) in enumerate(addresses.items())]
    assert not_told(expected) == []

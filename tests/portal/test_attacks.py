"""Hostile tokens, forged requests and broken surroundings: a clear page, and nothing in the inbox."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fleet.authority.inbox import MandateAct, RevokeAct
from fleet.authority.instruction import nonce_of
from fleet.portal import acts
from fleet.portal.session import Store
from tests.portal.client import Client
from tests.portal.own_provider import Claims, OwnProvider, own_provider
from tests.portal.site import ANNA, BRIAN, Served, free_port, person_json, served
from tests.sizes import cases


@pytest.fixture(scope="module")
def provider() -> Iterator[OwnProvider]:
    with own_provider() as running:
        yield running


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, provider: OwnProvider) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("portal"), provider.issuer, free_port()) as running:
        yield running


@pytest.fixture
def anna(portal: Served, provider: OwnProvider) -> Iterator[Client]:
    """Anna's browser; the provider sends good tokens unless a test changes that."""
    provider.make, provider.is_down = provider.sign, False
    client = Client(portal, provider)
    yield client
    client.http.close()


def title(answer: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.text)
    assert found is not None, answer.text
    return found[1].replace("&#39;", "'")


def changed(**changes: Any) -> Any:
    """A provider's token with other claims; a None leaves one out."""

    def make(provider: OwnProvider, claims: Claims) -> str:
        return provider.sign({name: value for name, value in (claims | changes).items() if value is not None})

    return make


def in_seconds(name: str, seconds: int) -> Any:
    return lambda provider, claims: provider.sign(claims | {name: int(time.time()) + seconds})


def damaged(provider: OwnProvider, claims: Claims) -> str:
    head, body, signature = provider.sign(claims).split(".")
    return f"{head}.{body[:-1]}{'A' if body[-1] != 'A' else 'B'}.{signature}"


HOSTILE = {
    "alg none": OwnProvider.unsigned,
    "HS256 with the public key": OwnProvider.hmac_with_public_key,
    "another key": lambda provider, claims: OwnProvider().sign(claims, kid=provider.key.kid),
    "an unknown key": lambda provider, claims: OwnProvider().sign(claims, kid="two"),
    "one changed byte": damaged,
    "another issuer": changed(iss="http://127.0.0.1:1"),
    "issuer with a slash": lambda provider, claims: provider.sign(claims | {"iss": claims["iss"] + "/"}),
    "another audience": changed(aud="another"),
    "several audiences without azp": changed(aud=["fleet-portal", "another"]),
    "authorized party is another": changed(azp="another"),
    "another nonce": changed(nonce="0" * 64),
    "no nonce": changed(nonce=None),
    "expired": in_seconds("exp", -120),
    "no end": changed(exp=None),
    "stale": in_seconds("iat", -3600),
    "from the future": in_seconds("iat", 3600),
    "not valid yet": in_seconds("nbf", 3600),
    "no subject": changed(sub=None),
    "a subject that is no text": changed(sub=["anna-subject"]),
    "no token": lambda provider, claims: "",
    "no JWT": lambda provider, claims: "eyJhbGciOiJSUzI1NiJ9",
    "times that are no numbers": changed(iat="now", exp=True),
}


class TestHostileTokens:
    @pytest.mark.parametrize("name", cases(HOSTILE, ["alg none", "HS256 with the public key", "another nonce"]))
    def test_a_bad_token_signs_nobody_in(self, anna: Client, provider: OwnProvider, name: str) -> None:
        """Nobody has a page by it, and the answer is a page with a way on."""
        provider.make = lambda claims: HOSTILE[name](provider, claims)
        answer = anna.come_back(anna.start())
        assert (answer.status_code, title(answer)) == (403, "You were not signed in")
        assert anna.get("/").headers["location"] == "/sign-in"

    @pytest.mark.parametrize("name", cases(HOSTILE, ["another key", "another nonce"]))
    def test_a_bad_token_gives_no_mandate(self, anna: Client, provider: OwnProvider, name: str) -> None:
        """The same for who is signed in and about to give one."""
        anna.sign_in()
        state = anna.start(anna.review())
        provider.make = lambda claims: HOSTILE[name](provider, claims)
        assert anna.come_back(state).status_code == 403
        assert anna.portal.acts() == []

    def test_another_tenant_signs_nobody_in(self, anna: Client, portal: Served, provider: OwnProvider) -> None:
        """Where the provider serves many organizations under one issuer."""
        sign_in = {"issuer": provider.issuer, "client_id": "fleet-portal", "tenant": "ours"}
        portal.publish(sign_in=sign_in)
        for tenant in ({"tid": "theirs"}, {}):
            provider.make = lambda claims, tenant=tenant: provider.sign(claims | tenant)  # type: ignore[misc]
            assert anna.come_back(anna.start()).status_code == 403
        provider.make = lambda claims: provider.sign(claims | {"tid": "ours"})
        anna.sign_in()

    def test_a_new_key_of_the_provider_is_fetched(
        self, anna: Client, provider: OwnProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Providers rotate their keys without a word."""
        anna.sign_in()
        monkeypatch.setattr("fleet.portal.provider.AGAIN_SECONDS", 0.0)
        for key in (OwnProvider().key, provider.key):
            monkeypatch.setattr(provider, "key", key)
            anna.sign_in()


class TestMandates:
    def test_a_fresh_sign_in_signs_just_what_was_shown(self, anna: Client, provider: OwnProvider) -> None:
        """The nonce is the statement's digest, and the provider is asked for a sign-in afresh, with PKCE."""
        anna.sign_in()
        assert "max_age" not in anna.asked and anna.asked["code_challenge_method"] == "S256"
        plain = anna.asked["nonce"]
        state = anna.start(anna.review())
        assert (anna.asked["max_age"], anna.asked["prompt"], anna.asked["scope"]) == ("0", "login", "openid")
        assert anna.come_back(state).headers["location"] == "/mandate/given"
        [act] = anna.portal.acts()
        assert isinstance(act, MandateAct) and act.employee == "anna.keller"
        assert nonce_of(act.statement) == anna.asked["nonce"] != plain
        assert json.loads(act.statement)["profiles"] == {"linkedin": "anna-k"}
        assert "code_verifier=" in provider.bodies[-1] and "client_id=fleet-portal" in provider.bodies[-1]

    def test_a_plain_sign_in_is_no_mandate(self, anna: Client) -> None:
        """The way back of one cannot be used for the other."""
        anna.sign_in()
        anna.review()
        state = anna.start()
        assert anna.come_back(state).headers["location"] == "/"
        assert anna.portal.acts() == []

    def test_somebody_else_signs_nothing_for_anna(self, anna: Client, provider: OwnProvider) -> None:
        """A colleague at her computer signs in as themselves."""
        anna.sign_in()
        state = anna.start(anna.review())
        provider.make = lambda claims: provider.sign(claims | {"sub": BRIAN})
        answer = anna.come_back(state)
        assert (answer.status_code, title(answer)) == (403, "You have not given a mandate")
        assert anna.portal.acts() == []

    def test_an_old_sign_in_signs_nothing(self, anna: Client, provider: OwnProvider) -> None:
        """The provider says itself that it did not ask again."""
        anna.sign_in()
        state = anna.start(anna.review())
        provider.make = lambda claims: provider.sign(claims | {"auth_time": int(time.time()) - 300})
        assert title(anna.come_back(state)) == "You have not given a mandate"
        assert anna.portal.acts() == []

    def test_what_another_tab_changed_must_be_read_again(self, anna: Client) -> None:
        """A link to sign one instruction does not sign another one."""
        anna.sign_in()
        first, second = anna.review(), anna.review()
        assert anna.get(first).headers["location"] == "/mandate/review"
        state = anna.start(second)
        anna.review()
        assert title(anna.come_back(state)) == "You have not given a mandate"
        assert anna.portal.acts() == []

    def test_a_text_that_changed_meanwhile_is_not_signed(self, anna: Client) -> None:
        """The organization approves another version while somebody reads."""
        anna.sign_in()
        way = anna.review()
        anna.portal.publish(texts={})
        assert anna.get(way).headers["location"] == "/mandate"
        assert anna.portal.acts() == []

    @pytest.mark.parametrize("control", ["forum.objection", "forum.letter", "linkedin.other", "x" * 50])
    def test_only_what_is_offered_can_be_mandated(self, anna: Client, control: str) -> None:
        """Whatever the form is made to say."""
        anna.sign_in()
        fields = {"form_token": anna.form_token(), "control": control, "profile.linkedin": "anna-k"}
        assert anna.post("/mandate", fields).status_code == 422


class TestReplays:
    def test_the_way_back_is_open_once_and_for_one_browser(self, anna: Client, provider: OwnProvider) -> None:
        """A state that was used, or that another browser began, signs nobody in."""
        state = anna.start()
        other = Client(anna.portal, provider)
        assert title(other.come_back(state)) == "This sign-in cannot be completed"
        assert title(anna.come_back(state)) == "This sign-in cannot be completed"
        state = anna.start()
        assert anna.come_back(state).status_code == 303
        assert title(anna.come_back(state)) == "This sign-in cannot be completed"
        assert title(anna.get("/signed-in?code=c")) == "This sign-in cannot be completed"

    def test_another_providers_answer_is_refused(self, anna: Client) -> None:
        """Mixed-up providers (RFC 9207)."""
        answer = anna.get(f"/signed-in?code=c&state={anna.start()}&iss=http://127.0.0.1:1")
        assert title(answer) == "You were not signed in"

    def test_a_cancelled_sign_in_says_so(self, anna: Client) -> None:
        """The provider's words are not repeated."""
        answer = anna.get(f"/signed-in?error=<b>access_denied</b>&state={anna.start()}")
        assert (answer.status_code, "access_denied" in answer.text) == (403, False)

    def test_signing_in_changes_the_session(self, anna: Client) -> None:
        """An id that somebody planted is worth nothing afterwards."""
        anna.sign_in()
        first = anna.http.cookies["__Host-session"]
        anna.sign_in()
        assert anna.http.cookies["__Host-session"] != first
        anna.http.cookies.clear()
        assert anna.get("/", cookie=f"__Host-session={first}").status_code == 303


FORGED = {
    "another site": {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    "a neighbor": {"sec-fetch-site": "same-site"},
    "typed": {"sec-fetch-site": "none"},
    "another origin": {"sec-fetch-site": "", "origin": "https://evil.example"},
    "no origin": {"sec-fetch-site": "", "origin": ""},
    "origin null": {"origin": "null"},
}


class TestForgedRequests:
    @pytest.mark.parametrize("name", cases(FORGED, ["another site", "no origin"]))
    @pytest.mark.parametrize(
        "path", cases(["/revoke", "/answer", "/appointment", "/spot-check", "/mandate", "/sign-out"], ["/revoke"])
    )
    def test_other_sites_cannot_act(self, anna: Client, name: str, path: str) -> None:
        """Not even with the form's token."""
        anna.sign_in()
        fields = {"form_token": anna.form_token(), "control": "linkedin.ai_training", "answer": "switched"}
        assert anna.post(path, fields, **FORGED[name]).status_code == 403
        assert anna.portal.acts() == []
        assert anna.get("/").status_code == 200

    @pytest.mark.parametrize("token", ["", "x", None])
    def test_a_form_needs_its_token(self, anna: Client, token: str | None) -> None:
        """Missing, wrong, or another session's."""
        anna.sign_in()
        if token is None:
            other = Client(anna.portal, anna.provider)
            other.sign_in()
            token = other.form_token()
        answer = anna.post("/revoke", {"form_token": token})
        assert (answer.status_code, title(answer)) == (403, "This request was refused")
        assert anna.portal.acts() == []

    def test_a_get_never_acts(self, anna: Client) -> None:
        """Mail scanners follow links."""
        anna.sign_in()
        token = anna.form_token()
        for path in ("/revoke", "/answer", "/appointment", "/spot-check", "/sign-out"):
            answer = anna.get(
                f"{path}?form_token={token}&control=linkedin.ai_training&answer=switched&wanted=yes&coming=yes"
            )
            assert answer.status_code == 405
        for path in ("/", "/mandate", "/mandate/review", "/mandate/given", "/not-seen/linkedin.ai_training"):
            anna.get(path)
        assert anna.portal.acts() == []
        assert anna.get("/").status_code == 200

    @pytest.mark.parametrize("wanted", ["", "maybe", "no&wanted=yes"])
    def test_an_appointment_is_wanted_or_not(self, anna: Client, wanted: str) -> None:
        """Anything else is refused."""
        anna.sign_in()
        fields = f"form_token={anna.form_token()}&wanted={wanted}"
        own = {"origin": anna.portal.url, "content-type": "application/x-www-form-urlencoded"}
        assert anna.http.post("/appointment", content=fields, headers=own).status_code == 400
        assert anna.portal.acts() == []

    def test_no_appointment_is_asked_for_where_none_is_offered(self, anna: Client) -> None:
        """A form that the page does not have is refused; withdrawing always works."""
        anna.portal.put(person_json("anna.keller", ANNA))
        anna.sign_in()
        fields = {"form_token": anna.form_token()}
        assert anna.post("/appointment", fields | {"wanted": "yes"}).status_code == 400
        assert anna.portal.acts() == []
        assert anna.post("/appointment", fields | {"wanted": "no"}).status_code == 303

    def test_who_was_not_drawn_answers_no_invitation(self, anna: Client) -> None:
        """Neither way; nor does who was drawn answer anything else."""
        anna.sign_in()
        fields = {"form_token": anna.form_token()}
        for coming in ("yes", "no"):
            assert anna.post("/spot-check", fields | {"coming": coming}).status_code == 400
        anna.portal.put(person_json("anna.keller", ANNA, is_drawn=True))
        for coming in ("", "maybe"):
            assert anna.post("/spot-check", fields | {"coming": coming}).status_code == 400
        assert anna.portal.acts() == []

    @pytest.mark.parametrize(
        ("control", "said"),
        [
            ("forum.notice", "sent"),
            ("forum.objection", "switched"),
            ("forum.objection", "not_seen"),
            ("linkedin.ai_training", "sent"),
        ],
    )
    def test_a_setting_is_not_sent_and_a_form_not_switched(self, anna: Client, control: str, said: str) -> None:
        """Nor does anybody speak for the organization."""
        anna.sign_in()
        fields = {"form_token": anna.form_token(), "control": control, "answer": said}
        assert anna.post("/answer", fields).status_code in (400, 422)
        assert anna.portal.acts() == []

    def test_a_page_is_not_shown_inside_another_site(self, anna: Client) -> None:
        """Neither frames nor images of other sites get anything of ours; links do."""
        anna.sign_in()
        framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
        assert anna.get("/", **framed).status_code == 403
        assert anna.get("/", **framed | {"sec-fetch-dest": "document"}).status_code == 200

    def test_bodies_have_a_limit(self, anna: Client) -> None:
        """17 KiB, announced or not, are read by nobody; what is no form is refused."""
        anna.sign_in()
        token = anna.form_token()
        assert anna.post("/revoke", {"form_token": token, "x": "y" * 17 * 1024}).status_code == 413
        own = {"origin": anna.portal.url, "content-type": "application/x-www-form-urlencoded"}
        streamed = anna.http.post("/revoke", content=iter([b"x" * 1024] * 17), headers=own)
        assert streamed.status_code == 413
        assert (
            anna.http.post("/revoke", json={"form_token": token}, headers={"origin": anna.portal.url}).status_code
            == 415
        )
        many = "&".join(f"a{n}=" for n in range(400))
        assert anna.http.post("/revoke", content=many, headers=own).status_code == 400
        assert anna.http.post("/revoke", content=b"form_token=%ff", headers=own).status_code == 400
        assert anna.portal.acts() == []

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", ""])
    def test_other_hosts_are_not_served(self, anna: Client, host: str) -> None:
        """What the Host header says is never used for an address."""
        assert anna.get("/", host=host).status_code in (400, 421)

    def test_every_answer_has_its_headers(self, anna: Client) -> None:
        """No script, no frame, no copy on disk, no address told to others; cookies that no other site sends."""
        anna.sign_in()
        for path in ("/", "/nothing", "/receipt", "/sign-in", "/portal.css"):
            headers = anna.get(path).headers
            assert headers["content-security-policy"] == (
                "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            )
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cache-control"] == ("max-age=86400" if path == "/portal.css" else "no-store")
            assert "server" not in headers
        cookies = anna.come_back(anna.start()).headers["set-cookie"]
        assert re.fullmatch(r"__Host-session=[\w-]{43}; HttpOnly; Path=/; SameSite=lax; Secure", cookies)

    def test_a_person_sees_their_own_page_only(self, anna: Client, provider: OwnProvider) -> None:
        """Names in what is sent change nothing: who acts is who signed in."""
        anna.sign_in()
        anna.post("/revoke", {"form_token": anna.form_token(), "employee": "brian.walsh"})
        [act] = anna.portal.acts()
        assert isinstance(act, RevokeAct) and act.employee == "anna.keller"


class TestBrokenSurroundings:
    def test_a_provider_that_does_not_answer(
        self, anna: Client, provider: OwnProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Down before the sign-in, or in the middle of it."""
        state = anna.start()
        provider.is_down = True
        assert anna.come_back(state).status_code == 503
        monkeypatch.setattr("fleet.portal.provider.KEPT_SECONDS", 0.0)
        answer = anna.get("/sign-in")
        assert (answer.status_code, title(answer)) == (503, "Signing in is not possible right now")

    def test_a_document_of_another_issuer(
        self, anna: Client, provider: OwnProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The issuer is compared letter by letter."""
        monkeypatch.setattr("fleet.portal.provider.KEPT_SECONDS", 0.0)
        monkeypatch.setattr(provider, "said_issuer", provider.issuer + "/")
        assert anna.get("/sign-in").status_code == 503

    @pytest.mark.parametrize("content", cases([None, "", "{}", '{"v": 1'], [None, "{}"]))
    def test_a_damaged_site(self, anna: Client, content: str | None) -> None:
        """503 with the contact, and never a traceback; it is well again as soon as the file is."""
        anna.sign_in()
        file = anna.portal.data / "site.json"
        before = file.read_text()
        file.unlink() if content is None else file.write_text(content)
        try:
            for path in ("/", "/sign-in", "/mandate"):
                answer = anna.get(path)
                assert (answer.status_code, title(answer)) == (503, "This page is not available right now")
                assert "privacy@example.com" in answer.text
        finally:
            file.write_text(before)
        assert anna.get("/").status_code == 200

    def test_a_damaged_person(self, anna: Client, portal: Served) -> None:
        """The same for one person's file, and no page for who has left."""
        anna.sign_in()
        [file] = [one for one in (portal.data / "people").iterdir() if "anna.keller" in one.read_text()]
        before = file.read_text()
        try:
            file.write_text(before[:-5])
            assert anna.get("/").status_code == 503
            file.write_text(before.replace("anna-subject", "other-subject"))
            assert anna.get("/").status_code == 503
            file.unlink()
            assert title(anna.get("/")) == "Your sign-in is not linked to an employee yet"
        finally:
            file.write_text(before)

    def test_a_full_inbox_says_that_nothing_was_saved(self, anna: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """But a revocation is still taken."""
        anna.sign_in()
        token = anna.form_token()
        monkeypatch.setattr(acts, "MAX_FILES", acts.KEPT_FOR_REVOCATIONS)
        said = {"form_token": token, "control": "linkedin.ai_training", "answer": "switched"}
        answer = anna.post("/answer", said)
        assert (answer.status_code, title(answer)) == (503, "Nothing was saved")
        assert anna.post("/revoke", {"form_token": token}).status_code == 303
        assert [act.act for act in anna.portal.acts()] == ["revoke"]

    def test_one_person_cannot_fill_the_inbox(
        self, anna: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Their acts wait until they are taken in; revoking twice writes one file. The portal's log names nobody."""
        anna.sign_in()
        token = anna.form_token()
        monkeypatch.setattr(acts, "MOST_OF_ONE_PERSON", 2)
        said = {"form_token": token, "control": "linkedin.ai_training", "answer": "switched"}
        assert [anna.post("/answer", said).status_code for _ in range(3)] == [303, 303, 503]
        assert [anna.post("/revoke", {"form_token": token}).status_code for _ in range(2)] == [303, 303]
        assert [act.act for act in anna.portal.acts()] == ["attest", "attest", "revoke"]
        assert "one employee has 2 acts" in caplog.text and anna.portal.acts()[0].employee not in caplog.text

    def test_a_disk_that_takes_nothing(self, anna: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """No success is shown, and no half of a file is left."""
        anna.sign_in()
        token = anna.form_token()

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        answer = anna.post("/revoke", {"form_token": token})
        assert (answer.status_code, title(answer)) == (503, "Nothing was saved")
        assert anna.portal.acts() == []


class TestSessions:
    def test_idle_sessions_end_and_the_oldest_go(self) -> None:
        """After fifteen minutes, and beyond the number that is kept."""
        now = [0.0]
        store: Store[str] = Store(2, clock=lambda: now[0])
        first, second = store.add("first"), store.add("second")
        now[0] = 900
        assert store.get(first) == "first"
        now[0] = 901
        assert (store.get(second), store.get(first)) == (None, "first")
        third, fourth = store.add("third"), store.add("fourth")
        assert (store.get(first), store.get(third), store.get(fourth)) == (None, "third", "fourth")
        assert (store.take(third), store.get(third), store.get(None)) == ("third", None, None)

    def test_a_session_that_ended_says_so_before_anything_is_lost(
        self, anna: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A form that was sent too late is not taken, and the page says it."""
        anna.sign_in()
        token = anna.form_token()
        monkeypatch.setattr("fleet.portal.context.LONGEST_SECONDS", 0.0)
        answer = anna.post("/revoke", {"form_token": token})
        assert (answer.status_code, title(answer)) == (401, "You were signed out")


def test_files_are_readable_by_the_group_whatever_the_umask(anna: Client) -> None:
    """`fleet portal ingest` runs as another user of the same group."""
    before = os.umask(0o077)
    try:
        anna.sign_in()
        anna.post("/revoke", {"form_token": anna.form_token()})
        [file] = anna.portal.inbox.iterdir()
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o640


def test_planted_files_in_the_inbox_are_not_believed(anna: Client) -> None:
    """Links, pipes and strange files beside ours are left alone, and the page still comes."""
    inbox = anna.portal.inbox
    (inbox / f"attest-{'0' * 32}.json").symlink_to("/etc/passwd")
    os.mkfifo(inbox / f"attest-{'1' * 32}.json")
    (inbox / f"attest-{'2' * 32}.json").write_text("{}")
    (inbox / "notes.txt").write_text("x")
    anna.sign_in()
    assert anna.get("/").status_code == 200


def test_a_bug_is_a_page_with_the_contact(anna: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback is shown; it is in the log."""

    def bug(*_arguments: object) -> None:
        raise RuntimeError("planted")

    anna.sign_in()
    monkeypatch.setattr("fleet.portal.home.items_of", bug)
    answer = anna.get("/")
    assert (answer.status_code, title(answer)) == (500, "Something went wrong")
    assert "privacy@example.com" in answer.text and "planted" not in answer.text


def test_who_asks_nothing_is_not_kept(portal: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that stay silent, or send half of a request, end soon: they would keep others out."""
    monkeypatch.setattr("fleet.portal.serve.HEADER_SECONDS", 0.2)
    trusted = ssl.create_default_context()
    portal.ca.configure_trust(trusted)
    for sent in (b"", b"GET / HTTP/1.1\r\nHost: "):
        here = ("127.0.0.1", int(portal.url.rpartition(":")[2]))
        plain = socket.create_connection(here, timeout=10)
        with trusted.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(sent)
            assert client.recv(100) == b""

"""Notifications: what arrives, field for field, at real servers; what is refused; and what never gets out."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import apprise
import pytest

from fleet.errors import InputError
from fleet.notify import mail, send
from fleet.notify.notification import Event, Notification
from fleet.notify.send import Notifier
from fleet.notify.targets import Channels, Smtp, parse_smtp, parse_target
from fleet.rehearsal.tls import certificate_for
from tests.receivers import Mailbox, Webhook, mailbox, webhook

NOTICE = Notification(
    Event.RUN_ENDED,
    5,
    "at least one setting could not be read or set",
    "20261125T060002Z-3d4e5f",
    check=True,
    counts={"already_opted_out": 40, "would_opt_out": 2, "challenged": 1},
    drifted=2,
    not_looked_at=1,
)
TITLE = "Fleet Opt-Out: the check has ended: at least one setting could not be read or set"
TEXT = """\
Run: 20261125T060002Z-3d4e5f
Mode: check, nothing was changed
Already opted out: 40
Would opt out: 2
Challenged: 1
Drifted (found opted in again): 2
Could not be checked: 1
Exit code: 5 (at least one setting could not be read or set)"""
FIELDS = {
    "title": TITLE,
    "message": TEXT,
    "type": "warning",
    "product": "Fleet Opt-Out",
    "format": 1,
    "event": "run.ended",
    "run_id": "20261125T060002Z-3d4e5f",
    "check": True,
    "counts": {"already_opted_out": 40, "would_opt_out": 2, "challenged": 1},
    "drifted": 2,
    "not_looked_at": 1,
    "exit_code": 5,
    "meaning": "at least one setting could not be read or set",
}
SECRET = "s3cretT0ken4711"
ELSEWHERE = "127.1"
"""A name that reaches this machine and does not look like it."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as hook:
        monkeypatch.setenv("SSL_CERT_FILE", hook.certificate)
        yield hook


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture
def heard() -> Iterator[list[logging.LogRecord]]:
    """What reaches the root logger, where it would be printed; pytest's own fixture asks all others as well."""
    records: list[logging.LogRecord] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    ear = Ear()
    logging.getLogger().addHandler(ear)
    yield records
    logging.getLogger().removeHandler(ear)


def notifier(*urls: str, smtp: str = "localhost:25") -> Notifier:
    """One for addresses as they may stand in the private file."""
    targets = tuple(parse_target(url, "notify.txt:1", is_private=True) for url in urls)
    return Notifier(Channels(targets, smtp=parse_smtp(smtp, "fleet.yml:1")))


def elsewhere(box: Mailbox) -> str:
    """The address of a mail server as if it were another machine's."""
    return f"{ELSEWHERE}:{box.smtp.rpartition(':')[2]}"


def files() -> list[str]:
    """All that lies in this test's home."""
    return sorted(str(path) for path in Path.home().rglob("*"))


class TestWebhook:
    def test_its_fields_are_stable(self, hook: Webhook) -> None:
        """Numbers are numbers; nothing else comes, and of this machine there is nothing in it."""
        assert notifier(f"{hook.url}/hook/{SECRET}?key={SECRET}&a=b%26c").tell(NOTICE) == []
        assert hook.notices == [FIELDS]
        assert hook.raw[0].startswith(f"POST /hook/{SECRET}?key={SECRET}&a=b%26c HTTP/1.1\n".encode())
        assert b"User-Agent: Fleet Opt-Out\n" in hook.raw[0]
        assert socket.gethostname().encode() not in hook.raw[0]

    def test_apprises_own_form_may_add_and_rename_fields(self, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
        """`jsons://` with its password and extra fields, as Apprise documents them; ours come, too."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", hook.certificate)  # what Apprise goes by
        address = hook.url.replace("https://", f"jsons://robot:{SECRET}@")
        assert notifier(f"{address}/?:team=privacy&:message=text").tell(NOTICE) == []
        expected = {name: value for name, value in FIELDS.items() if name != "message"}
        assert hook.notices == [expected | {"team": "privacy", "text": TEXT}]
        assert b"Authorization: Basic " in hook.raw[0]

    def test_nothing_is_kept_on_this_machine(self, hook: Webhook) -> None:
        """No storage, cache, key or log of Apprise's in the home folder."""
        before = files()
        assert notifier(hook.url).tell(NOTICE) == []
        assert files() == before


class TestMail:
    def test_a_letter_says_it_in_plain_text(self, box: Mailbox) -> None:
        """One to each address, from the first of them: nothing names this machine or its user."""
        assert notifier("mailto:ops@company.example,dpo%2Bfleet@company.example", smtp=box.smtp).tell(NOTICE) == []
        assert box.recipients == ["ops@company.example", "dpo+fleet@company.example"]
        for letter, to in zip(box.letters, box.recipients, strict=True):
            assert letter.get_content().replace("\r\n", "\n").rstrip("\n") == TEXT
            assert letter.get_content_type() == "text/plain"
            assert {name: value for name, value in letter.items() if name not in ("Date", "Message-ID")} == {
                "Content-Type": 'text/plain; charset="utf-8"',
                "MIME-Version": "1.0",
                "Content-Transfer-Encoding": "7bit",
                "Auto-Submitted": "auto-generated",
                "Subject": TITLE,
                "From": "Fleet Opt-Out <ops@company.example>",
                "To": to,
            }
            assert letter["Message-ID"].endswith("@company.example>")

    def test_another_machine_must_speak_tls(self, box: Mailbox) -> None:
        """A server that does not offer STARTTLS gets nothing, and is named."""
        [said] = notifier("mailto:ops@company.example", smtp=elsewhere(box)).tell(NOTICE)
        assert "it does not offer TLS; use another mail server (smtp: in fleet.yml)" in said
        assert box.raw == []

    @pytest.mark.parametrize("is_tls_from_the_start", [False, True])
    def test_ones_own_authority_is_trusted_by_its_file(
        self, monkeypatch: pytest.MonkeyPatch, is_tls_from_the_start: bool
    ) -> None:
        """SSL_CERT_FILE names it; without that nothing is sent: by STARTTLS, and where TLS begins the connection."""
        with certificate_for([ELSEWHERE]) as files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(files.certificate, files.key)
            with mailbox(context, is_tls_from_the_start=is_tls_from_the_start) as box:
                if is_tls_from_the_start:  # 465 itself may be root's alone
                    monkeypatch.setattr(mail, "_TLS_FROM_THE_START", int(box.smtp.rpartition(":")[2]))
                one = notifier("mailto:ops@company.example", smtp=elsewhere(box))
                [said] = one.tell(NOTICE)
                assert "TLS failed; if your own CA signed its certificate" in said and "SSL_CERT_FILE" in said
                assert box.raw == []
                monkeypatch.setenv("SSL_CERT_FILE", str(files.certificate))
                assert one.tell(NOTICE) == []
                assert [letter["Subject"] for letter in box.letters] == [TITLE]

    def test_a_server_that_refuses_a_recipient_is_named_with_its_code(self) -> None:
        """Its own words, which may hold anything, are not repeated."""
        with mailbox(is_refusing=True) as box:
            [said] = notifier("mailto:ops@company.example", smtp=box.smtp).tell(NOTICE)
        assert said == (
            "notify.txt:1: mailto:ops@company.example was not notified: it answered 550; "
            "check that the address is right and still valid."
        )


class TestFailure:
    def test_each_is_a_sentence_without_the_secret(
        self, hook: Webhook, capfd: pytest.CaptureFixture[str], heard: list[logging.LogRecord]
    ) -> None:
        """Refused, unknown, answered with an error: the rest still get it; no library prints or logs an address."""
        told = notifier(
            f"https://localhost:1/{SECRET}",
            f"https://nowhere.invalid/{SECRET}",
            f"jsons://robot:{SECRET}@localhost:1/",
            hook.url,
        ).tell(NOTICE)
        assert told == [
            "notify.txt:1: https://localhost:1/… was not notified: it refused the connection; check that it is up.",
            "notify.txt:1: https://nowhere.invalid/… was not notified: its host name was not found; fix the address.",
            "notify.txt:1: jsons://localhost:1/… was not notified: Apprise could not deliver it; "
            "check that the address is right and that its host answers.",
        ]
        assert hook.notices == [FIELDS]
        hook.status = 403
        [said] = notifier(f"{hook.url}/{SECRET}").tell(NOTICE)
        assert "it answered 403; check that the address is right and still valid" in said
        printed = capfd.readouterr()
        assert (printed.out, printed.err) == ("", "")
        assert [record.getMessage() for record in heard if SECRET in record.getMessage()] == []
        logging.getLogger("another").warning("heard")
        assert [record.name for record in heard if record.levelno >= logging.WARNING] == ["another"]

    def test_a_redirect_is_not_followed(self, hook: Webhook) -> None:
        """What an address holds is for its own host."""
        hook.status = 307
        [said] = notifier(hook.url).tell(NOTICE)
        assert "it answered 307" in said and len(hook.raw) == 1

    def test_an_answer_without_end_is_not_read(self, hook: Webhook) -> None:
        """Its status says that the notification arrived; its body would fill the memory."""
        hook.is_endless = True
        tracemalloc.start()
        assert notifier(hook.url).tell(NOTICE) == []
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(hook.raw) == 1 and peak < 16 * 1024 * 1024

    def test_a_certificate_that_nobody_trusts_is_named(self, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
        """And nothing is sent."""
        monkeypatch.delenv("SSL_CERT_FILE")
        [said] = notifier(f"{hook.url}/{SECRET}").tell(NOTICE)
        assert "TLS failed" in said and "SSL_CERT_FILE" in said and SECRET not in said
        assert hook.raw == []

    def test_a_proxy_of_the_environment_is_asked_for_other_machines_alone(
        self, hook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What stays on this machine, such as all of a rehearsal, never passes it."""
        with socket.create_server(("127.0.0.1", 0)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            assert notifier(hook.url).tell(NOTICE) == [] and len(hook.raw) == 1
            asked: list[bytes] = []

            def answer() -> None:
                connection, _ = proxy.accept()
                with connection:
                    asked.append(connection.recv(4096))

            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
            assert len(notifier("https://hooks.example/").tell(NOTICE)) == 1
            thread.join(10)
        assert asked[0].startswith(b"CONNECT hooks.example:443 ")

    def test_one_that_never_ends_its_answer_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A header a second would keep each read in time; the whole is bounded, and nothing hangs at the end."""
        with socket.create_server(("127.0.0.1", 0)) as server:

            def drip() -> None:
                connection, _ = server.accept()
                connection.recv(4096)
                with connection:
                    try:
                        connection.sendall(b"HTTP/1.1 200 OK\r\n")
                        while True:
                            connection.sendall(b"X")
                            time.sleep(0.5)
                    except OSError:
                        return

            threading.Thread(target=drip, daemon=True).start()
            monkeypatch.setattr(send, "WITHIN", 2.0)  # 15 seconds of a test's time show no more
            began = time.monotonic()
            [said] = notifier(f"http://127.0.0.1:{server.getsockname()[1]}/").tell(NOTICE)
            assert 2 <= time.monotonic() - began < 7
        assert "no answer within 2 s; check that it is up" in said


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            (f"https://hooks.example/{SECRET}?key={SECRET}", "https://hooks.example/…"),
            (f"jsons://robot:{SECRET}@[::1]:8443/{SECRET}", "jsons://[::1]:8443/…"),
            (f"slack://{SECRET}/b/c", "slack://…"),
            (f"mailto://robot:{SECRET}@company.example", "mailto://…"),
            ("mailto:ops@company.example", "mailto:ops@company.example"),
        ],
    )
    def test_only_what_tells_them_apart_is_shown(self, url: str, shown: str) -> None:
        """Neither tokens nor passwords, whichever way it is printed."""
        target = parse_target(url, "notify.txt:1", is_private=True)
        assert str(target) == shown
        assert SECRET not in repr(target) and SECRET not in repr(Channels((target,)))

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            (f"https://robot:{SECRET}@hooks.example/", "other users could read the password here.* --notify-file"),
            (f"mailto://robot:{SECRET}@company.example", "other users could read the password here"),
            (f"mailto://company.example?user=robot&pass={SECRET}", "other users could read the password here"),
            (f"http://hooks.example/{SECRET}", "not encrypted and is allowed only to this machine; use https://"),
            (f"json://10.0.0.1/{SECRET}", "not encrypted and is allowed only to this machine; use jsons://"),
            (SECRET, "the address has no valid scheme"),
            (f"https:{SECRET}", "is not followed by //"),
            (f"https:///{SECRET}", "has no host"),
            (f"https://hooks.example:{SECRET}/", "is not a URL"),
            (f"mailto:ops@company.example?subject={SECRET}", "and nothing after them"),
            (f"mailto:{SECRET}", "write mailto:ADDRESS"),
            (f"https://hooks.example/a\n{SECRET}", "a line break or another invisible character"),
        ],
    )
    def test_what_cannot_be_is_refused_without_repeating_it(self, url: str, message: str) -> None:
        """On the command line, and in fleet.yml, which others may read."""
        with pytest.raises(InputError, match=message) as refused:
            parse_target(url, "--notify")
        assert SECRET not in str(refused.value)
        assert str(refused.value).startswith("--notify: ")

    @pytest.mark.parametrize("url", [f"nosuch://{SECRET}", f"slack://{SECRET}", f"file:///etc/{SECRET}"])
    def test_what_apprise_does_not_know_is_refused(self, url: str, capfd: pytest.CaptureFixture[str]) -> None:
        """Before anything runs, without repeating it."""
        with pytest.raises(InputError, match="Apprise cannot use") as refused:
            notifier(url)
        assert SECRET not in str(refused.value)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("url", [f"slack://{SECRET}/b/c", f"jsons://robot:{SECRET}@hooks.example/"])
    def test_without_apprise_its_addresses_are_refused(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before anything runs, with the way to install it; webhooks and mail do without."""
        monkeypatch.setitem(sys.modules, "apprise", None)  # as where the extra is not installed
        with pytest.raises(InputError, match="needs Apprise, which is not installed") as refused:
            notifier(url)
        assert str(refused.value) == (
            f"notify.txt:1: {url.partition(':')[0]}:// needs Apprise, which is not installed; run: "
            "pip install 'fleet-optout[apprise]', or use https:// or mailto:."
        )
        assert notifier("https://hooks.example/", "mailto:ops@company.example")

    def test_a_webhook_that_httpx_cannot_use_is_refused(self) -> None:
        """Before anything runs, without repeating it."""
        with pytest.raises(InputError, match="is not a valid URL; fix its host") as refused:
            notifier(f"https://ü_.example/{SECRET}")
        assert SECRET not in str(refused.value)

    @pytest.mark.parametrize("smtp", ["mail.example", "mail.example:0", "mail.example:99999", "a b:25", ":25"])
    def test_a_mail_server_is_a_host_and_a_port(self, smtp: str) -> None:
        """Anything else is refused."""
        with pytest.raises(InputError, match="smtp: write it as HOST:PORT"):
            parse_smtp(smtp, "fleet.yml:3")
        assert parse_smtp("[::1]:2525", "fleet.yml:3") == Smtp("::1", 2525)


class TestFile:
    def written(self, text: str, mode: int = 0o600) -> Channels:
        path = Path.home() / "notify.txt"
        path.write_text(text)
        path.chmod(mode)
        return Channels(file=path)

    def test_it_may_hold_passwords(self) -> None:
        """One address a line; empty lines and comments are none."""
        channels = self.written(f"# ours\n\nhttps://robot:{SECRET}@hooks.example/\n  mailto:ops@company.example  \n")
        assert [str(target) for target in channels.everyone()] == [
            "https://hooks.example/…",
            "mailto:ops@company.example",
        ]

    def test_one_that_others_can_read_is_refused(self) -> None:
        """With the command that mends it; of a wrong line the number is named, and nothing is repeated."""
        with pytest.raises(InputError, match="run: chmod 600"):
            self.written("mailto:ops@company.example\n", 0o644).everyone()
        with pytest.raises(InputError, match=r"notify\.txt:2: the address has no valid scheme") as refused:
            self.written(f"mailto:ops@company.example\n{SECRET}\n").everyone()
        assert SECRET not in str(refused.value)


class TestRehearsal:
    @pytest.mark.parametrize(
        "url",
        [
            "https://hooks.example/",
            "https://127.0.0.1.example/",
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
            f"mailto://robot:{SECRET}@localhost?smtp=mail.example&to=a@b.example",  # only Apprise knows where it goes
        ],
    )
    def test_nobody_outside_is_told(self, url: str) -> None:
        """Refused by name, and then not told either that it was refused."""
        one = notifier(url)
        with pytest.raises(InputError, match="a rehearsal sends nothing to other machines"):
            one.require_loopback()
        assert one.tell(NOTICE) == []

    def test_this_machine_may_be(self, hook: Webhook, box: Mailbox) -> None:
        """Its web server, and addresses by way of its mail server."""
        one = notifier(hook.url, "mailto:ops@company.example", smtp=box.smtp)
        one.require_loopback()
        assert one.tell(NOTICE) == []
        assert (len(hook.raw), len(box.raw)) == (1, 1)
        with pytest.raises(InputError, match=r"mailto:ops@company\.example may be on one"):
            notifier("mailto:ops@company.example", smtp="mail.example:25").require_loopback()


def test_nothing_is_loaded_for_nobody() -> None:
    """httpx and Apprise take a quarter of a second each that most commands need not spend."""
    script = (
        "import sys; from fleet.notify.send import Notifier; Notifier(); print({'apprise', 'httpx'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_nothing_of_apprises_reads_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugins, templates, storage or redirects, whatever its defaults become."""
    made: list[apprise.AppriseAsset] = []

    class Asset(apprise.AppriseAsset):
        def __init__(self, **how: object) -> None:
            super().__init__(**how)
            made.append(self)

    monkeypatch.setattr(apprise, "AppriseAsset", Asset)
    notifier("jsons://hooks.example/")
    [asset] = made
    assert (list(asset.plugin_paths), asset.storage_path, asset.allow_templates) == ([], None, False)
    assert asset.storage_mode is apprise.PersistentStoreMode.MEMORY
    assert (asset.pgp_autogen, asset.pem_autogen, asset.http_redirects) == (False,) * 3

"""Who is told of a run, and one run of the example company that several tests look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import fleet
from tests.conftest import live_in
from tests.playbook.helpers import EXAMPLE, ExampleRun, records
from tests.receivers import Mailbox, Webhook, mailbox, webhook


@contextmanager
def _trusted_webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as hook:
        monkeypatch.setenv("SSL_CERT_FILE", hook.certificate)
        yield hook


@contextmanager
def _mailbox_in_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailbox() as box:
        (folder / "fleet.yml").write_text(f"smtp: {box.smtp}\n")
        monkeypatch.setenv("FLEET_CONFIG", str(folder / "fleet.yml"))
        yield box


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """A webhook that our commands trust."""
    with _trusted_webhook(monkeypatch) as hook:
        yield hook


@pytest.fixture(scope="session")
def example_run(tmp_path_factory: pytest.TempPathFactory) -> ExampleRun:
    """The example company's first run, which tells a webhook and a mailbox; its home is left as it is then."""
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as monkeypatch:
        live_in(folder / "home", monkeypatch)
        with _trusted_webhook(monkeypatch) as hook, _mailbox_in_settings(folder, monkeypatch) as box:
            notify = ("--notify", hook.url, "--notify", "mailto:ops@company.example")
            report = json.loads(fleet("run", "-i", EXAMPLE, *notify, "--output", "json").stdout)
            return ExampleRun(folder / "home", report, records(), hook.notices, box.letters, [*hook.raw, *box.raw])

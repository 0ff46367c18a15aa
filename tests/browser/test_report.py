"""The report in a real browser: nothing foreign runs, nothing is asked of a network, and people can use it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fleet.audit import records
from fleet.audit.checkpoints import read_newest
from fleet.audit.keys import read_signing_key
from fleet.audit.log import AuditLog
from fleet.audit.pseudonyms import Subject, Subjects, known_subjects
from fleet.audit.run_state import RunState
from fleet.audit.segments import read_records
from fleet.browser.find_browser import find_browser
from fleet.model import Outcome, Reason
from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from fleet.report.page import render_report
from fleet.report.translations import LANGUAGES, translator_for
from fleet.state.create import make_state
from tests.logs import FINISHED, INTENDED, STARTED
from tests.sizes import sizes

HOSTILE = [
    "<script>document.title='taken'</script>",
    '"><img src=x onerror="document.title=\'taken\'">',
    "\u202egnp.exe",
    "new\nline\x1b[31m",
    "{{ 7 * 7 }}",
    "😀 Zoë O'Hara-Łęcka",
    "</script><script>document.title='taken'</script>",
]
OUTCOMES = [
    (Outcome.OPTED_OUT, None),
    (Outcome.ALREADY_OPTED_OUT, None),
    (Outcome.NO_MANDATE, Reason.MANDATE_EXPIRED),
    (Outcome.NOT_SAVED, Reason.STILL_IN),
    (Outcome.ERROR, Reason.NETWORK),
]


def png(color: bytes) -> bytes:
    """A picture of 60 × 24 pixels in one color."""
    rows = b"".join(b"\0" + color * 60 for _ in range(24))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (60).to_bytes(4, "big") + (24).to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def run_of(state: StateDir, key: Path, names: list[str]) -> None:
    """A run over these people, one control each; those that were pressed have two pictures."""
    store = Subjects(state.audit.subjects)
    subjects = store.of(dict.fromkeys(names, "de"))
    store.close()
    log = AuditLog(state.audit, "a test", read_signing_key(state.audit, key))
    await log.append(records.RUN_STARTED, "r1", **(STARTED | {"employees": len(names), "controls": len(names)}))
    await asyncio.gather(*(visit(state, log, subjects[name], *OUTCOMES[n % 5]) for n, name in enumerate(names)))
    await log.append(records.RUN_FINISHED, "r1", counts={}, stopped=None, exit_code=5)
    log.close()


async def visit(state: StateDir, log: AuditLog, subject: Subject, outcome: Outcome, reason: Reason | None) -> None:
    whose = {"subject": subject.pseudonym}
    digests: dict[str, str | None] = {"before": None, "after": None}
    if outcome is Outcome.OPTED_OUT:
        for moment, color in (("before", b"\xc0\x20\x20"), ("after", b"\x20\x90\x40")):
            picture = png(color)
            path = state.evidence / "r1" / f"{subject.pseudonym}.linkedin.ai_training.{moment}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture)
            digests[moment] = subject.hmac("evidence", picture)
    planned = {"planned": [["linkedin", "ai_training"]], "authority": None, "mandate_hmac": None}
    await log.append(records.RUN_PLANNED, "r1", **whose, **planned)
    if outcome is Outcome.OPTED_OUT:
        await log.append(records.CONTROL_INTENDED, "r1", **(INTENDED | whose | {"evidence": digests["before"]}))
    before = None if reason else "in"
    after = {Outcome.OPTED_OUT: "out", Outcome.ALREADY_OPTED_OUT: "in"}.get(outcome)
    seen = {"outcome": outcome, "reason": reason, "before": before, "after": after, "evidence": digests["after"]}
    await log.append(records.CONTROL_FINISHED, "r1", **(FINISHED | whose | seen))


def report_of(tmp_path: Path, names: list[str], language: str = "en") -> Path:
    """The report of such a run, as a file."""
    state, key = StateDir(tmp_path / "state"), tmp_path / "keys" / "log-key.pem"
    make_state(state, tmp_path / "keys" / "identity.txt", key)
    # In a thread, because Playwright's own loop runs in this one.
    with ThreadPoolExecutor() as pool:
        pool.submit(lambda: asyncio.run(run_of(state, key, names))).result()
    page = render_of(state, language)
    path = tmp_path / f"report.{language}.html"
    path.write_text(page, "utf-8")
    return path


def render_of(state: StateDir, language: str) -> str:
    log = list(read_records(state.audit.log))
    return render_report(
        RunState.replay("r1", log),
        log[0],
        known_subjects(state.audit.subjects),
        state,
        load_catalog(),
        read_newest(state.audit.checkpoints),
        translator_for(language),
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(find_browser().path), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab that notes whatever goes wrong, and whatever is asked of a network."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: problems.append(r.url) if not r.url.startswith(("file:", "data:image/png")) else None)
    yield page
    assert problems == []
    context.close()


def rows(page: Page) -> Any:
    return page.locator(".controls tbody tr:not(.pictures):visible")


class TestHostileNames:
    def test_they_are_text_and_nothing_else(self, page: Page, tmp_path: Path) -> None:
        """No script runs, no image is asked for; each name can be read; marks that nobody sees are shown as such."""
        page.goto(report_of(tmp_path, HOSTILE).as_uri())
        assert page.title() == "Opt-out report r1"
        shown = page.locator(".controls tbody th").all_inner_texts()
        assert shown == [
            HOSTILE[0],
            HOSTILE[1],
            "\N{REPLACEMENT CHARACTER}gnp.exe",
            "new\N{REPLACEMENT CHARACTER}line\N{REPLACEMENT CHARACTER}[31m",
            *HOSTILE[4:],
        ]
        assert page.locator("script").count() == 2
        assert page.locator("img").count() == 0

    def test_a_planted_script_would_not_run(self, browser: Browser, tmp_path: Path) -> None:
        """The policy alone holds it, were the escaping ever to fail."""
        path = report_of(tmp_path, ["anna"])
        content = path.read_text("utf-8")
        path.write_text(content.replace("</main>", "</main><script>document.title='taken'</script>"), "utf-8")
        said: list[str] = []
        context = browser.new_context()
        other = context.new_page()
        other.on("console", lambda message: said.append(message.text))
        other.goto(path.as_uri())
        assert other.title() == "Opt-out report r1"
        assert any("Content Security Policy" in text for text in said)
        context.close()


class TestUse:
    def test_the_table_can_be_filtered(self, page: Page, tmp_path: Path) -> None:
        """By words and by outcome; how many are left is said."""
        page.goto(report_of(tmp_path, [f"person.{number}" for number in range(10)]).as_uri())
        assert rows(page).count() == 10
        page.get_by_label("Outcome").select_option("not_saved")
        assert rows(page).locator("th").all_inner_texts() == ["person.3", "person.8"]
        assert page.get_by_role("status").first.inner_text() == "2 of 10 controls"
        page.get_by_label("Find").fill("person.8 linkedin")
        assert rows(page).locator("th").all_inner_texts() == ["person.8"]
        page.get_by_label("Find").fill("nobody")
        assert rows(page).count() == 0

    def test_pictures_come_on_demand(self, page: Page, tmp_path: Path) -> None:
        """By keyboard; before and after; the recorded ones, in their real size."""
        page.goto(report_of(tmp_path, ["anna", "brian"]).as_uri())
        assert page.locator("img").count() == 0
        button = page.get_by_role("button", name="Show screenshots of anna, ai_training")
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-expanded") == "true"
        assert [image.get_attribute("alt") for image in page.locator("img").all()] == [
            "anna, LinkedIn ai_training: before",
            "anna, LinkedIn ai_training: after",
        ]
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        assert page.evaluate("[...document.images].map((image) => image.naturalWidth)") == [60, 60]
        page.keyboard.press("Enter")
        assert page.locator("img").count() == 0

    def test_a_picture_that_is_not_the_recorded_one_is_not_shown(self, page: Page, tmp_path: Path) -> None:
        """Somebody has put another file in its place."""
        report_of(tmp_path, ["anna"])
        state = StateDir(tmp_path / "state")
        [before] = state.evidence.glob("r1/*.before.png")
        before.write_bytes(png(b"\0\0\0"))
        path = tmp_path / "again.html"
        path.write_text(render_of(state, "en"), "utf-8")
        page.goto(path.as_uri())
        page.get_by_role("button", name="Show screenshots").click()
        assert [figure.inner_text() for figure in page.locator("figcaption").all()] == ["after"]

    def test_it_can_be_read_without_scripts(self, browser: Browser, tmp_path: Path) -> None:
        """Everything is there; what would need a script is not shown."""
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(report_of(tmp_path, [f"person.{number}" for number in range(10)]).as_uri())
        assert rows(page).count() == 10
        assert page.get_by_role("button").count() == 0
        assert not page.get_by_label("Find").is_visible()
        context.close()

    @pytest.mark.parametrize("width", [360, 800, 1280])
    def test_nothing_is_wider_than_the_window(self, page: Page, tmp_path: Path, width: int) -> None:
        """On a phone and on a laptop, with a name as long as a name can be."""
        page.set_viewport_size({"width": width, "height": 700})
        page.goto(report_of(tmp_path, ["w" * 100, *HOSTILE]).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    @pytest.mark.parametrize("people", sizes(small=1_000, full=10_000))
    def test_a_long_table_can_be_used(self, page: Page, tmp_path: Path, people: int) -> None:
        """A portion is shown, all are found; the page of ten thousand people is smaller than 30 MB."""
        path = report_of(tmp_path, [f"person.{number:05}" for number in range(people)])
        page.goto(path.as_uri())
        assert rows(page).count() == 200
        page.get_by_role("button", name="Show 200 more").click()
        assert rows(page).count() == 400
        last = f"person.{people - 1:05}"
        page.get_by_label("Find").fill(last)
        assert rows(page).locator("th").all_inner_texts() == [last]
        assert page.get_by_role("status").first.inner_text() == f"1 of {people:,} controls"
        assert path.stat().st_size < people * 3 * 1024

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_it_says_its_language_and_the_checkpoint(self, page: Page, tmp_path: Path, language: str) -> None:
        """The checkpoint is word for word what the log has, so that the page is an anchor."""
        path = report_of(tmp_path, HOSTILE, language)
        page.goto(path.as_uri())
        assert page.locator("html").get_attribute("lang") == language
        note = read_newest(StateDir(tmp_path / "state").audit.checkpoints)
        assert page.locator(".log pre").text_content() == note

    def test_headings_and_landmarks_lead_through_it(self, page: Page, tmp_path: Path) -> None:
        """For those who hear the page: one first heading, named regions, table headings, no empty name."""
        page.goto(report_of(tmp_path, ["anna", "brian"]).as_uri())
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.get_by_role("heading", level=2).all_inner_texts() == [
            "In short",
            "Coverage by service",
            "What to do next",
            "Every planned control",
            "The log, and how to check this report",
        ]
        for element in page.locator("button:visible, input:visible, select:visible, a, svg[role=img]").all():
            assert element.evaluate("(el) => (el.ariaLabel || el.labels?.[0]?.textContent || el.textContent).trim()")
        assert page.get_by_role("img").first.get_attribute("aria-label") == "done: 2"


def test_the_policy_names_the_very_scripts(tmp_path: Path) -> None:
    """No `unsafe-inline`, no host: digests of what stands in the page."""
    content = report_of(tmp_path, ["anna"]).read_text("utf-8")
    [policy] = [line for line in content.splitlines() if "Content-Security-Policy" in line]
    assert "default-src 'none'" in policy.replace("&#39;", "'") and "unsafe" not in policy
    script = content.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert digest in policy.replace("&#43;", "+").replace("&#61;", "=")

"""An employee at the portal, in a real browser that runs no script: what they do is in the inbox, and nothing else."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from fleet.authority.inbox import AppointmentAct, AttestAct, CloseAct, MandateAct, RevokeAct, SpotCheckAct
from fleet.report.translations import LANGUAGES, translator_for
from tests.portal.conftest import click_through, sign_in
from tests.portal.site import ANNA, BRIAN, CIARA, NOBODY, Served, person_json, today
from tests.sizes import cases

LABEL = "Use my data for training content creation AI models"


def answer(page: Page, text: str) -> None:
    """Choose an answer about LinkedIn, and save it."""
    card = page.locator("#linkedin\\.ai_training")
    details = card.get_by_text("Do it yourself, or change what you told us")
    if details.count():
        details.click()
    card.get_by_label(text).check()
    card.get_by_role("button", name="Save").click()


class TestDoItYourself:
    def test_three_clicks_here_and_two_there(self, page: Page, portal: Served) -> None:
        """Open the portal, open the service, switch, answer, save; the page says at once what was told."""
        sign_in(page, portal, ANNA)
        link = page.get_by_role("link", name="Open LinkedIn (opens in a new tab)")
        address = "https://www.linkedin.com/mypreferences/d/settings/data-for-ai-improvement"
        assert [link.get_attribute(name) for name in ("href", "rel", "target")] == [
            *(address, "noopener noreferrer", "_blank"),
        ]
        expect(page.locator("#linkedin\\.ai_training q")).to_have_text(LABEL)
        answer(page, "I switched it off")
        [act] = portal.acts()
        assert isinstance(act, AttestAct)
        assert (act.employee, act.service, act.control, act.said) == (
            *("anna.keller", "linkedin", "ai_training", "switched"),
        )
        card = page.locator("#linkedin\\.ai_training")
        told = f"You told us. You told us this on {translator_for('en').day(today())}. Nobody has checked it."
        assert re.sub(r"\s+", " ", card.locator(".state").inner_text()).replace("us Y", "us. Y") == told
        expect(card.get_by_role("status")).to_have_text("Saved.")
        page.reload()
        expect(card.get_by_role("status")).to_have_count(0)

    def test_a_mind_can_be_changed(self, page: Page, portal: Served) -> None:
        """The last word counts, and can be taken back."""
        sign_in(page, portal, ANNA)
        answer(page, "It was off already")
        answer(page, "I take back what I told you")
        said = [act.said for act in portal.acts() if isinstance(act, AttestAct)]
        assert said == ["was_off", None]
        expect(page.locator("#linkedin\\.ai_training .chip")).to_have_text("Open")

    def test_why_somebody_leaves_it_is_not_stored(self, page: Page, portal: Served) -> None:
        """*I leave it* and *I do not use it* write the same act."""
        sign_in(page, portal, ANNA)
        for text in ("I leave it as it is", "I do not use this service"):
            answer(page, text)
        first, second = portal.acts()
        assert isinstance(first, CloseAct) and isinstance(second, CloseAct)
        assert first.model_dump(exclude={"at"}) == second.model_dump(exclude={"at"})
        expect(page.locator("#linkedin\\.ai_training .state")).to_contain_text("We will not ask again.")

    def test_not_seeing_it_leads_to_help_and_stores_nothing(self, page: Page, portal: Served) -> None:
        """What to try, in the languages of the service, and whom to ask."""
        sign_in(page, portal, ANNA)
        answer(page, "I do not see it")
        expect(page.get_by_role("heading", level=1)).to_have_text("You do not see the setting")
        expect(page.locator("main")).to_contain_text("Usa i miei dati")
        expect(page.locator("main a[href='mailto:privacy@example.com']")).to_have_count(1)
        assert portal.acts() == []

    def test_saving_without_an_answer_asks_for_one(self, page: Page, portal: Served) -> None:
        """Also in a browser that does not ask by itself."""
        sign_in(page, portal, ANNA)
        page.locator("#linkedin\\.ai_training form").evaluate("form => { form.noValidate = true }")
        page.locator("#linkedin\\.ai_training").get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_have_text("Choose an answer, then save.")
        assert page.title().startswith("Choose an answer")
        assert portal.acts() == []

    def test_a_form_is_signed_and_sent_by_the_person(self, page: Page, portal: Served) -> None:
        """Address, exact choices in their order and the text to copy are beside it; then they say that it is sent."""
        sign_in(page, portal, ANNA)
        card = page.locator("#forum\\.objection")
        expect(card.locator(".state")).to_contain_text("Only you can do it.")
        link = card.get_by_role("link", name="Open Forum")
        assert link.get_attribute("href") == "https://forum.example/object"
        assert card.locator(".choices q").all_inner_texts() == ["I object to a use of my data", "Research"]
        text = card.get_by_role("textbox", name="Copy this text, and complete it:")
        expect(text).to_have_value("I object to the use of my posts for research.\n\nMy name: ")
        assert text.get_attribute("readonly") == ""
        expect(card.get_by_label("I do not see it")).to_have_count(0)
        card.get_by_label("I sent it and saw the confirmation").check()
        card.get_by_role("button", name="Save").click()
        [act] = portal.acts()
        assert isinstance(act, AttestAct) and (act.control, act.said) == ("objection", "sent")
        expect(card.locator(".chip")).to_have_text("You told us")

    def test_a_letter_has_an_address_and_a_text_in_the_own_language(self, page: Page, portal: Served) -> None:
        """No page to open."""
        sign_in(page, portal, CIARA)
        card = page.locator("#forum\\.letter")
        expect(card.locator("span.copy")).to_have_text("privacy@forum.example")
        expect(card.locator("textarea[lang=de]")).to_have_value("Ich widerspreche.")
        expect(card.get_by_role("link")).to_have_count(0)

    def test_what_the_organization_signs_is_nothing_to_do(self, page: Page, portal: Served) -> None:
        """Neither steps nor a form of ours; once it is confirmed, the page says so."""
        sign_in(page, portal, ANNA)
        card = page.locator("#forum\\.notice")
        expect(card.locator(".state")).to_have_text("Nothing to do Your organization signs and sends this request.")
        expect(card.locator("form, a, textarea")).to_have_count(0)
        sent = {"service": "forum", "control": "notice", "outcome": "submitted", "at": "2026-11-20T09:00:00Z"}
        portal.put(person_json("anna.keller", ANNA, statuses=[sent]))
        page.reload()
        expect(card.locator(".chip")).to_have_text("Requested")
        expect(card.locator(".state")).to_contain_text("Your organization sent this request, and the service")


class TestMandate:
    def give(self, page: Page, typed: str = "https://www.linkedin.com/in/anna-keller-4b1a2/?locale=en") -> None:
        """From the home page to the sign-in that signs."""
        page.get_by_role("link", name="Give a mandate").click()
        box = page.get_by_role("checkbox")
        expect(box).not_to_be_checked()
        box.check()
        page.get_by_label("Your own profile at LinkedIn").fill(typed)
        page.get_by_role("button", name="Continue to the text").click()

    def test_it_is_read_signed_and_revoked(self, page: Page, portal: Served) -> None:
        """The whole text before it counts; the provider's signature over it; one click to revoke."""
        sign_in(page, portal, ANNA)
        self.give(page)
        main = page.locator("main")
        for shown in ("I give this mandate freely", "2026-11", "anna-keller-4b1a2", LABEL):
            expect(main).to_contain_text(shown)
        assert portal.acts() == []
        page.get_by_role("link", name="I agree: sign in and give the mandate").click()
        assert portal.acts() == []
        click_through(page, ANNA)
        expect(page.get_by_role("heading", level=1)).to_have_text("You gave a mandate")
        [act] = portal.acts()
        assert isinstance(act, MandateAct)
        said = json.loads(act.statement)
        assert (said["employee"], said["controls"], said["profiles"]) == (
            *("anna.keller", ["linkedin.ai_training"], {"linkedin": "anna-keller-4b1a2"}),
        )
        page.get_by_role("link", name="Back to your page").click()
        expect(page.locator("#mandate")).to_contain_text("You gave it just now.")
        page.get_by_role("button", name="Revoke my mandate").click()
        expect(page.locator("#mandate")).to_contain_text("You revoked your mandate on")
        assert [type(act) for act in portal.acts()] == [MandateAct, RevokeAct]

    @pytest.mark.parametrize("typed", ["", "me", "https://evil.example/in/anna-keller", "Anna Keller"])
    def test_what_is_no_profile_is_asked_again(self, page: Page, portal: Served, typed: str) -> None:
        """With what was typed still there."""
        sign_in(page, portal, ANNA)
        self.give(page, typed)
        expect(page.get_by_role("alert")).to_contain_text("This is not a profile at LinkedIn.")
        expect(page.get_by_label("Your own profile at LinkedIn")).to_have_value(typed)
        expect(page.get_by_role("checkbox")).to_be_checked()

    def test_where_none_can_be_given_the_page_says_why(self, page: Page, portal: Served) -> None:
        """The service's terms, or no approved text."""
        sign_in(page, portal, ANNA, "/mandate")
        page.goto(f"{portal.url}/mandate")
        expect(page.locator("main")).to_contain_text("Terms 4 forbid automated access")
        portal.publish(texts={})
        page.reload()
        expect(page.locator("main")).to_contain_text("No mandate can be given here at the moment.")
        expect(page.get_by_role("checkbox")).to_have_count(0)

    def test_only_approved_languages_are_offered(self, page: Page, portal: Served) -> None:
        """On an Italian page somebody chooses between the two texts that there are."""
        sign_in(page, portal, CIARA)
        page.goto(f"{portal.url}/mandate?language=it")
        expect(page.get_by_role("radio")).to_have_count(2)
        page.get_by_label("Deutsch").check()
        page.get_by_role("checkbox").check()
        page.get_by_label("Il Suo profilo su LinkedIn").fill("ciara-b")
        page.get_by_role("button", name="Continua con il testo").click()
        expect(page.locator(".text[lang=de]")).to_contain_text("Ich beauftrage die Example Ltd")


class TestAppointment:
    def test_it_is_asked_for_and_withdrawn(self, page: Page, portal: Served) -> None:
        """One click each; the page says at once what was asked."""
        sign_in(page, portal, ANNA)
        card = page.locator("#appointment")
        card.get_by_role("button", name="Ask for an appointment").click()
        expect(card.get_by_role("status")).to_have_text("Saved.")
        asked = f"You asked for an appointment on {translator_for('en').day(today())}. Example Ltd will get in touch"
        expect(card).to_contain_text(asked)
        page.reload()
        expect(card).to_contain_text(asked)
        card.get_by_role("button", name="Withdraw my request").click()
        expect(card.get_by_role("button", name="Ask for an appointment")).to_be_visible()
        acts = portal.acts()
        assert [(type(act), act.employee) for act in acts] == [(AppointmentAct, "anna.keller")] * 2
        assert [act.is_wanted for act in acts if isinstance(act, AppointmentAct)] == [True, False]

    def test_one_that_was_taken_in_can_be_withdrawn(self, page: Page, portal: Served) -> None:
        """Also where no other can be asked for, as the country is no longer among those of the desk."""
        sign_in(page, portal, BRIAN)
        expect(page.locator("#appointment")).to_contain_text("You asked for an appointment on November 21, 2026.")
        page.get_by_role("button", name="Withdraw my request").click()
        expect(page.locator("#appointment")).to_have_count(0)
        [act] = portal.acts()
        assert isinstance(act, AppointmentAct) and not act.is_wanted

    def test_where_the_desk_is_not_offered_nothing_is_said_of_it(self, page: Page, portal: Served) -> None:
        """In some countries an employer may not even ask."""
        sign_in(page, portal, CIARA)
        expect(page.locator("#appointment")).to_have_count(0)


class TestSpotCheck:
    def drawn(self, page: Page, portal: Served) -> Page:
        """Sign in as Anna, who was drawn."""
        portal.put(person_json("anna.keller", ANNA, is_drawn=True))
        sign_in(page, portal, ANNA)
        expect(page.locator("#spot-check")).to_contain_text("you are one of a few people drawn at random")
        return page

    def test_an_invitation_can_be_ignored_without_a_trace(self, page: Page, portal: Served) -> None:
        """Whatever else somebody does on their page."""
        self.drawn(page, portal)
        page.reload()
        page.get_by_role("button", name="Sign out").click()
        assert portal.acts() == []

    def test_who_comes_has_asked_for_an_appointment(self, page: Page, portal: Served) -> None:
        """The invitation is gone, and the appointment can be withdrawn like any other."""
        self.drawn(page, portal).get_by_role("button", name="I am coming").click()
        expect(page.locator("#spot-check")).to_have_count(0)
        expect(page.locator("#appointment").get_by_role("status")).to_have_text("Saved.")
        [act] = portal.acts()
        assert isinstance(act, SpotCheckAct) and (act.employee, act.is_coming) == ("anna.keller", True)
        page.get_by_role("button", name="Withdraw my request").click()
        expect(page.locator("#spot-check")).to_have_count(0)
        assert [type(act) for act in portal.acts()] == [SpotCheckAct, AppointmentAct]

    def test_who_declines_is_not_asked_again(self, page: Page, portal: Served) -> None:
        """And nothing on the page says that they were."""
        self.drawn(page, portal).get_by_role("button", name="No, thank you").click()
        expect(page.locator("#spot-check, #appointment")).to_have_count(0)
        [act] = portal.acts()
        assert isinstance(act, SpotCheckAct) and not act.is_coming

    def test_it_is_answered_once(self, page: Page, portal: Served) -> None:
        """A form that was open in another tab changes nothing."""
        self.drawn(page, portal)
        other = page.context.new_page()
        other.goto(portal.url)
        page.get_by_role("button", name="No, thank you").click()
        other.get_by_role("button", name="I am coming").click()
        expect(other.get_by_role("heading", level=1)).to_have_text("This form cannot be read")
        assert len(portal.acts()) == 1


class TestTheirPage:
    def test_what_was_done_and_what_ends_soon(self, page: Page, portal: Served) -> None:
        """What was pressed, the receipt, and a mandate that an administrator wrote down."""
        sign_in(page, portal, BRIAN)
        main = page.locator("main")
        for shown in ("Your mandate ends on", "We changed this setting for you", "An administrator wrote it down"):
            expect(main).to_contain_text(shown)
        expect(page.locator(".chip").first).to_have_text("Done")
        page.get_by_role("link", name="Show my receipt").click()
        expect(page.locator("pre")).to_contain_text("We switched it off.")
        with page.expect_download() as download:
            page.get_by_role("link", name="Save as a file").click()
        assert download.value.suggested_filename == "brian.walsh.receipt.txt"

    def test_who_is_not_linked_gets_the_value_to_hand_on(self, page: Page, portal: Served) -> None:
        """And can sign out again."""
        sign_in(page, portal, NOBODY)
        expect(page.locator(".value")).to_have_text(NOBODY)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
        page.get_by_role("link", name="Sign in again").click()
        expect(page.get_by_role("button", name=ANNA, exact=True)).to_be_visible()

    def test_hostile_names_are_text(self, page: Page, portal: Served) -> None:
        """Whatever is published or typed is shown and never run."""
        bad = "<script>alert(1)</script>\"'><img src=x>"
        portal.put(person_json("eve.o", "anna-subject", receipt=bad, profiles={"linkedin": bad, "forum": bad}))
        portal.publish(organization=bad, contact=bad)
        sign_in(page, portal, ANNA)
        for path in ("/", "/mandate", "/receipt"):
            page.goto(portal.url + path)
            expect(page.locator("script, img")).to_have_count(0)
        expect(page.locator("pre")).to_have_text(bad)

    def test_the_language_is_chosen_without_a_script(self, page: Page, portal: Served) -> None:
        """The employee's own first; a choice is kept, also after signing out."""
        sign_in(page, portal, CIARA)
        expect(page.locator("html")).to_have_attribute("lang", "de")
        expect(page.locator("#linkedin\\.ai_training h2 [lang=de]")).to_contain_text("Ihre Daten zum Schulen")
        page.get_by_role("link", name="Français").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Vos données auprès des services en ligne")
        page.get_by_role("button", name="Se déconnecter").click()
        expect(page.locator("html")).to_have_attribute("lang", "fr")


PAGES = {
    "home": (ANNA, "/"),
    "home of who did much": (BRIAN, "/"),
    "not seen": (ANNA, "/not-seen/linkedin.ai_training"),
    "mandate": (ANNA, "/mandate"),
    "review": (ANNA, "review"),
    "given": (ANNA, "given"),
    "receipt": (BRIAN, "/receipt"),
    "unlinked": (NOBODY, "/"),
    "signed out": (ANNA, "/signed-out"),
    "missing": (ANNA, "/nothing"),
    "no answer": (ANNA, "no answer"),
}
LOOKS: dict[str, Any] = {
    "phone, dark, scripts": {
        "viewport": {"width": 320, "height": 640},
        "color_scheme": "dark",
        "has_touch": True,
        "is_mobile": True,
    },
    "desktop, light": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
}


def opened(page: Page, portal: Served, path: str, language: str) -> None:
    """Go to a page of somebody who is signed in."""
    if path.startswith("/"):
        page.goto(f"{portal.url}{path}?language={language}")
        return
    page.goto(f"{portal.url}/mandate?language={language}")
    if path == "no answer":
        page.locator("button.strong").click()
        return
    page.get_by_role("checkbox").check()
    page.locator("input[name='profile.linkedin']").fill("anna-k")
    page.locator("button.strong").click()
    if path == "given":
        page.locator("a.strong").click()
        click_through(page, ANNA)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("language", cases(LANGUAGES, ["de"]))
def test_everybody_can_use_every_page(browser: Browser, portal: Served, look: str, language: str) -> None:
    """axe has nothing to say, nothing is wider than a small phone, buttons are large enough, headings in order."""
    context = browser.new_context(ignore_https_errors=True, **LOOKS[look])
    page = context.new_page()
    page.set_default_timeout(15_000)
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and message.location["url"].startswith(portal.url):
            problems.append(message.text)

    page.on("console", note)
    who = None
    for name, (subject, path) in sorted(PAGES.items(), key=lambda item: item[1][0]):
        if subject != who:
            context.clear_cookies()
            sign_in(page, portal, subject)
            who = subject
        opened(page, portal, path, language)
        for summary in page.locator("summary").all():
            summary.click()
        found = Axe().run(page, options={"resultTypes": ["violations"]})
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        assert page.locator("html").get_attribute("lang") == language
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        small = page.evaluate(
            """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), summary')]
                .filter(one => !one.matches('.skip, p:not(.back):not(.who) a:not(.button)'))
                .filter(one => { const box = one.getBoundingClientRect(); return box.height < 24 || box.width < 24 })
                .map(one => one.outerHTML)"""
        )
        assert small == [], name
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))")
        assert levels[0] == 1 and levels.count(1) == 1, name
        assert all(after <= before + 1 for before, after in pairwise(levels)), name
    assert [problem for problem in problems if "status of 4" not in problem] == []
    context.close()


def test_the_keyboard_alone_is_enough(browser: Browser, portal: Served) -> None:
    """From the skip link to a saved answer, with a visible focus all the way."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    sign_in(page, portal, ANNA)
    page.wait_for_url(f"{portal.url}/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert width == "3px"
        if page.evaluate("document.activeElement.type") == "radio":
            break
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#linkedin\\.ai_training").get_by_role("status")).to_have_text("Saved.")
    [act] = portal.acts()
    assert isinstance(act, AttestAct) and act.said == "was_off"
    context.close()

"""The screen of the desk: a window of ours that tells the employee what happens and asks them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined

from fleet.browser.engine import Engine
from fleet.browser.own_window import Form, OwnWindow
from fleet.next_steps import MEANINGS

PATIENCE = 600.0
"""Seconds after which a question without an answer counts as a no: nobody is there any more."""
END = "end"
"""The button that ends the visit."""


class Say(Protocol):
    """Translates a sentence into the employee's language."""

    @property
    def language(self) -> str:
        """Its language."""

    def __call__(self, text: str, **values: object) -> str:
        """Return the sentence with its {placeholders} filled in."""

    def day(self, on: date) -> str:
        """Return a day in words."""


SayIn = Callable[[str | None], Say]
"""Returns what translates for an employee with this locale."""


class Screen:
    """The desk's own window for one employee. A window that was closed answers every question with no."""

    def __init__(self, window: OwnWindow, name: str, say: Say) -> None:
        self._window = window
        self._name = name
        self._say = say
        self._question: asyncio.Future[tuple[str, Form]] | None = None
        self._ended = asyncio.Event()
        window.closed.add_done_callback(lambda _closed: self._ended.set())

    @property
    def has_ended(self) -> bool:
        """True once the employee has ended the visit, or closed this window."""
        return self._ended.is_set()

    def hear(self, button: str, form: Form) -> None:
        """Take a button that was pressed."""
        if self._question is not None and not self._question.done():
            self._question.set_result((button, form))
        elif button == END:
            self._ended.set()

    async def ended(self) -> None:
        """Wait until the employee ends the visit."""
        await self._ended.wait()

    async def show(self, view: str, **content: object) -> None:
        """Show a view that asks nothing; its only button ends the visit."""
        page = _environment().get_template(f"{view}.html.j2")
        body = page.render(say=self._say, name=self._name, meanings=MEANINGS, **content)
        style = files("fleet.desk").joinpath("templates", "screen.css").read_text("utf-8")
        await self._window.show(body, style, self._say.language)

    async def ask(self, view: str, within: float = PATIENCE, **content: object) -> Form | None:
        """Show a question and return the form as sent; None for a no, a closed window, and no answer in time."""
        if self.has_ended:
            return None
        self._question = asyncio.get_running_loop().create_future()
        either: set[asyncio.Future[object]] = {self._question, self._window.closed}  # type: ignore[arg-type]
        try:
            await self.show(view, **content)
            await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if not self._question.done():
                return None
            button, form = self._question.result()
            return None if button == END else form
        finally:
            self._question.cancel()
            self._question = None


async def open_screen(engine: Engine, name: str, say: Say) -> Screen:
    """Open the screen for an employee. Raises BrowserGone if there is no window."""
    heard: list[Screen] = []
    window = await engine.own_window(lambda button, form: heard[0].hear(button, form))
    heard.append(screen := Screen(window, name, say))
    return screen


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("fleet.desk"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

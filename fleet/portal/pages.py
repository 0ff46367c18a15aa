"""Makes the pages: templates in the reader's language, without any script."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fleet.portal.published import Site
from fleet.report.translations import LANGUAGES, Translator, translator_for

LANGUAGE_COOKIE = "__Host-language"
LANGUAGE_NAMES = {"en": "English", "fr": "Français", "de": "Deutsch", "it": "Italiano"}


@dataclass(eq=False)
class Problem(Exception):
    """Ends a request with a page that says what happened and what to do. `title` and `texts` are translated there."""

    status: int
    title: str
    texts: tuple[str, ...] = ()
    way: tuple[str, str] | None = None
    """Address and words of a link that leads on."""


def language_of(request: Request, own: str | None = None) -> str:
    """Return the language of a page: chosen now, chosen before, the employee's `own`, or the browser's."""
    for chosen in (request.query_params.get("language"), request.cookies.get(LANGUAGE_COOKIE), own):
        if chosen in LANGUAGES:
            return chosen
    wanted = []
    for place, part in enumerate(request.headers.get("accept-language", "")[:500].split(",")):
        tag, _, weight = part.partition(";q=")
        try:
            wanted.append((-float(weight or 1), place, tag.strip().split("-")[0].lower()))
        except ValueError:
            continue
    return next((tag for _, _, tag in sorted(wanted) if tag in LANGUAGES), "en")


def page(
    request: Request,
    name: str,
    site: Site | None,
    language: str,
    *,
    status: int = 200,
    form_token: str | None = None,
    **content: Any,
) -> Response:
    """Return a page. `form_token`: of the session; None for pages that are shown to anybody."""
    path = request.url.path if request.method == "GET" else "/"
    text = (
        _environment(language)
        .get_template(name)
        .render(
            content,
            site=site,
            language=language,
            languages=LANGUAGE_NAMES,
            path=path,
            form_token=form_token,
            style=f"/portal.css?{stylesheet()[0]}",
        )
    )
    response = HTMLResponse(text, status)
    response.headers["content-language"] = language
    response.headers["vary"] = "accept-language, cookie"
    if request.query_params.get("language") in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, language, max_age=365 * 24 * 3600, secure=True, httponly=True, samesite="lax"
        )
    return response


def sentence(text: str) -> str:
    """Return the text: a mark for translators on what is translated later."""
    return text


def words_of(language: str) -> Translator:
    """Return what says sentences in a language."""
    return translator_for(language)


@cache
def stylesheet() -> tuple[str, str]:
    """Return the style sheet's version and text."""
    text = files("fleet.portal").joinpath("portal.css").read_text("utf-8")
    return sha256(text.encode()).hexdigest()[:12], text


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("fleet.portal"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = words_of(language)
    environment.globals |= {"say": words, "day": words.day}
    return environment

"""Everybody can read a report: its colors stand out from what is behind them as WCAG 2.2 AA asks for."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

CSS = (ROOT / "fleet/report/templates/report.css").read_text("utf-8")
TEXTS = ("ink", "soft", "done", "person", "in", "failed")
"""Whatever words are written in; the last four also fill the bars of charts."""


def luminance(color: str) -> float:
    """The relative luminance of `#rgb` or `#rrggbb`, as WCAG defines it."""
    digits = color.removeprefix("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """From 1 for the same color to 21 for black on white."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def palettes() -> list[dict[str, str]]:
    """The colors of a light screen, of a dark one and of paper, by name."""
    found = [dict(re.findall(r"--(\w+): (#[0-9a-f]+)", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.S)]
    light = found[0]
    return [light, light | found[1], light | found[2]]


def too_weak(palette: dict[str, str]) -> list[str]:
    """What is not legible enough: words want 4.5, the frame of a field and the mark of the focus 3."""
    wanted = [*((name, 4.5) for name in TEXTS), ("focus", 3.0), ("soft", 3.0)]
    return [
        f"{name} on {ground}: {ratio:.1f}"
        for name, least in wanted
        for ground in ("page", "card")
        if (ratio := contrast(palette[name], palette[ground])) < least
    ]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark", "paper"])
def test_a_report_is_legible(palette: dict[str, str]) -> None:
    """Words of each color, on the page and on its cards; fields are framed in the color of small words."""
    assert too_weak(palette) == []
    assert "border: 1px solid var(--soft)" in next(
        line for line in CSS.splitlines() if line.startswith("input, select")
    )


def test_a_planted_color_is_seen() -> None:
    """The guard above fails on the amber that was once used; black on white is as strong as can be."""
    assert contrast("#000", "#ffffff") == 21
    assert too_weak(palettes()[0] | {"person": "#b5730a"}) == ["person on page: 3.9", "person on card: 3.6"]

"""Numbers as sentences hold them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it needs one: `1 record`, `12,000 records`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

"""Ansible Runner: how a fleet is cut into plays."""

from __future__ import annotations

from fleet.runner import shards


def test_plays_have_at_most_500_employees() -> None:
    """Everybody is in exactly one play, in order."""
    names = [f"e{number}" for number in range(1100)]
    plays = list(shards(names))
    assert [len(play) for play in plays] == [500, 500, 100]
    assert [name for play in plays for name in play] == names
    assert list(shards([])) == []

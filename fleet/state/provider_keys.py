"""Keys of the identity provider: those that it publishes, and those that it published before."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fleet.authority.identity_provider import PublishedProvider
from fleet.paths import look, make_private_dir, read_regular, write_private

MAX_BYTES = 4 * 1024 * 1024
KEPT = timedelta(days=60)
"""A key that is no longer published can have signed an act that is still in the inbox."""


class ProviderKeys:
    """Reads the provider's keys once, and remembers in a file until when each was published."""

    def __init__(self, path: Path, read: Callable[[], PublishedProvider]) -> None:
        self._path = path
        self._read = read
        self._known: list[dict[str, Any]] | None = None

    def at(self, signed_at: datetime) -> list[Mapping[str, Any]]:
        """Return the keys (JWKs) that the provider could sign with then.

        Raises FleetError if the provider cannot be asked.
        """
        if self._known is None:
            self._known = self._refreshed()
        slack = timedelta(hours=1)  # a key may have been replaced just after we last asked
        return [one["key"] for one in self._known if datetime.fromisoformat(one["published_at"]) + slack >= signed_at]

    def _refreshed(self) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        published = [{"key": dict(key), "published_at": now.isoformat()} for key in self._read().keys]
        older = [
            one
            for one in self._remembered()
            if all(one["key"] != each["key"] for each in published)
            and datetime.fromisoformat(one["published_at"]) > now - KEPT
        ]
        make_private_dir(self._path.parent)
        write_private(self._path, json.dumps([*published, *older], indent=1).encode())
        return [*published, *older]

    def _remembered(self) -> list[dict[str, Any]]:
        if look(self._path) is None:
            return []
        try:
            known: list[dict[str, Any]] = json.loads(read_regular(self._path, MAX_BYTES))
            for one in known:
                datetime.fromisoformat(one["published_at"])
        except (OSError, ValueError, KeyError, TypeError):
            return []  # an older key is missing then, and its mandate is refused
        return known

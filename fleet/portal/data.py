"""Reads what `fleet portal publish` wrote: the site, and one person at a time."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from fleet.paths import read_regular
from fleet.portal.published import Person, Site, file_of
from fleet.validation import mistakes

MAX_SITE_BYTES = 8 * 1024 * 1024
MAX_PERSON_BYTES = 4 * 1024 * 1024


class Unavailable(Exception):
    """Something that the pages need is missing or damaged. The message is for the administrator's log."""


class Published:
    """The folder that `fleet portal publish` writes to."""

    def __init__(self, folder: Path) -> None:
        self._site_file = folder / "site.json"
        self._people = folder / "people"
        self._read: tuple[tuple[int, int, int], Site] | None = None

    @property
    def last_site(self) -> Site | None:
        """The site as last read without a fault: it names the contact even while the file is damaged."""
        return self._read[1] if self._read else None

    def site(self) -> Site:
        """Return the site, read again if its file has changed. Raises Unavailable."""
        try:
            there = self._site_file.stat()
            seen = there.st_mtime_ns, there.st_ino, there.st_size
            if self._read is None or self._read[0] != seen:
                self._read = seen, Site.model_validate_json(read_regular(self._site_file, MAX_SITE_BYTES))
        except OSError as error:
            raise Unavailable(f"{self._site_file} cannot be read ({error.strerror})") from None
        except ValidationError as error:
            raise Unavailable(f"{self._site_file} is damaged: {_first(error)}") from None
        return self._read[1]

    def person(self, subject: str) -> Person | None:
        """Return who signed in; None if no employee is published under this subject. Raises Unavailable."""
        path = self._people / file_of(subject)
        try:
            person = Person.model_validate_json(read_regular(path, MAX_PERSON_BYTES))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{path} cannot be read ({error.strerror})") from None
        except ValidationError as error:
            raise Unavailable(f"{path} is damaged: {_first(error)}") from None
        if person.subject != subject:
            raise Unavailable(f"{path} names another subject")
        return person


def _first(error: ValidationError) -> str:
    where, what = next(mistakes(error))
    return ": ".join(filter(None, (".".join(map(str, where)), what)))

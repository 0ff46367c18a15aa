"""A folder with one JSON file per employee. Only the audit log's writer changes it, after the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fleet.errors import InputError
from fleet.model import SAFE_NAME
from fleet.paths import look, make_private_dir, read_regular, sync_folder, write_private

MAX_BYTES = 2 * 1024 * 1024


class PersonFile(BaseModel):
    """Content of a file: whose it is, and what a kind of file adds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    employee: str


class AnyContent(PersonFile):
    """A file of any kind: what it adds is kept as it is."""

    model_config = ConfigDict(extra="allow", frozen=True)


Content = TypeVar("Content", bound=PersonFile)


class PersonFiles(Generic[Content]):
    """Reads and writes the files of one folder, each of the same kind of content."""

    def __init__(self, folder: Path, kind: type[Content]) -> None:
        self.folder = folder
        self._kind = kind

    def of(self, employee: str) -> Content | None:
        """Return an employee's file; None if there is none. Raises InputError if it cannot be read."""
        path = self._path(employee)
        if look(path) is None:
            return None
        try:
            content = self._kind.model_validate_json(read_regular(path, MAX_BYTES))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); fix its mode or disk.") from None
        except ValidationError:
            raise InputError(f"{path} is damaged; restore it from a backup, or delete it to ask again.") from None
        if content.employee != employee:
            raise InputError(f"{path} names another employee; restore it from a backup, or delete it to ask again.")
        return content

    def names(self) -> Iterator[str]:
        """Yield who has a file, in order."""
        if look(self.folder) is not None:
            yield from sorted(path.stem for path in self.folder.glob("*.json") if SAFE_NAME.fullmatch(path.stem))

    def copy(self, employee: str, name: str) -> None:
        """Store an employee's file for another name as well, durable on return. Raises InputError and OSError."""
        content = self.of(employee)
        if content is not None:
            self.put(content.model_copy(update={"employee": name}))

    def put(self, content: Content) -> None:
        """Store a file in place of what was there; durable on return. Raises OSError."""
        make_private_dir(self.folder)
        write_private(self._path(content.employee), content.model_dump_json(indent=1).encode(), durable=True)

    def remove(self, employee: str) -> bool:
        """Delete an employee's file; durable on return. False if there is none. Raises InputError, OSError."""
        path = self._path(employee)
        if look(path) is None:
            return False
        path.unlink(missing_ok=True)
        sync_folder(self.folder)
        return True

    def _path(self, employee: str) -> Path:
        if not SAFE_NAME.fullmatch(employee):
            raise InputError(f"'{employee}' cannot be looked up in {self.folder}: it is not a safe name.")
        return self.folder / f"{employee}.json"

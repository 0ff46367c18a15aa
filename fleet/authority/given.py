"""Mandates that employees gave themselves, kept with what proves them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fleet.authority.attestations import Name
from fleet.authority.instruction import MAX_STATEMENT, Assurance, Instruction, nonce_of
from fleet.errors import InputError
from fleet.model import SAFE_NAME
from fleet.paths import look, make_private_dir, read_regular, write_private

MAX_BYTES = 2 * 1024 * 1024
MAX_MANDATES = 100
"""Mandates kept for one employee; the oldest go."""
MAX_TOKEN = 8 * 1024
"""Bytes of an ID token."""

Statement = Annotated[str, StringConstraints(min_length=1, max_length=MAX_STATEMENT)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN, pattern=r"^[A-Za-z0-9_.-]+$")]


class GivenMandate(BaseModel):
    """A mandate and its proof, which anyone can check without this tool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    statement: Statement
    """The `Instruction` as JSON, byte for byte as it was signed."""
    assurance: Assurance
    given_at: AwareDatetime
    """When the identity provider signed it."""
    id_token: Token
    """The identity provider's ID token; its `nonce` is the statement's SHA-256."""
    key: dict[str, str]
    """The provider's public key that signed the token: the required members of a JWK, and no others."""

    @cached_property
    def instruction(self) -> Instruction:
        """What the employee agreed to."""
        return Instruction.model_validate_json(self.statement)

    @property
    def key_thumbprint(self) -> str:
        """Thumbprint of the key (RFC 7638)."""
        canonical = json.dumps(self.key, sort_keys=True, separators=(",", ":"))
        return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()

    @property
    def reference(self) -> str:
        """The mandate's name in lists and, as an HMAC, in the log: its nonce."""
        return nonce_of(self.statement)


class Given(BaseModel):
    """What one employee gave. `claimed_counts`: whether the inventory's mandate counts beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    employee: Name
    claimed_counts: bool = True
    """False once a given mandate ended a revocation: then the inventory's mandate stays revoked until it is renewed."""
    mandates: Annotated[tuple[GivenMandate, ...], Field(max_length=MAX_MANDATES)] = ()
    """In the order in which they were given."""


class GivenMandates:
    """A folder with one file per employee, and one per text in `texts`. Only the audit log's writer changes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.texts = folder / "texts"

    def of(self, employee: str) -> Given:
        """Return what an employee gave. Raises InputError for a file that cannot be read."""
        path = self._path(employee)
        if look(path) is None:
            return Given(employee=employee)
        try:
            given = Given.model_validate_json(read_regular(path, MAX_BYTES))
            for mandate in given.mandates:
                _ = mandate.instruction  # a damaged statement is found here
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); fix its mode or disk.") from None
        except ValidationError:
            raise InputError(f"{path} is damaged; restore it from a backup, or delete it to ask again.") from None
        if given.employee != employee:
            raise InputError(f"{path} names another employee; restore it from a backup.")
        return given

    def names(self) -> Iterator[str]:
        """Yield who has given a mandate, in order."""
        if look(self.folder) is not None:
            yield from sorted(path.stem for path in self.folder.glob("*.json") if SAFE_NAME.fullmatch(path.stem))

    def put(self, given: Given) -> None:
        """Store what an employee gave, in place of what was there; durable on return. Raises OSError."""
        make_private_dir(self.folder)
        write_private(self._path(given.employee), given.model_dump_json(indent=1).encode(), durable=True)

    def keep_text(self, sha256: str, text: bytes) -> None:
        """Store a text that somebody agreed to under its digest; durable on return. Raises OSError."""
        make_private_dir(self.folder)
        make_private_dir(self.texts)
        path = self.texts / f"{sha256}.txt"
        if look(path) is None:
            write_private(path, text, durable=True)

    def text(self, sha256: str) -> bytes:
        """Return a stored text. Raises OSError."""
        return read_regular(self.texts / f"{sha256}.txt", MAX_BYTES)

    def forget(self, employee: str) -> None:
        """Delete an employee's file. Raises OSError."""
        self._path(employee).unlink(missing_ok=True)

    def _path(self, employee: str) -> Path:
        if not SAFE_NAME.fullmatch(employee):
            raise InputError(f"'{employee}' cannot be looked up in {self.folder}: it is not a safe name.")
        return self.folder / f"{employee}.json"

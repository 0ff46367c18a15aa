"""Mandates that employees gave themselves, in the portal or at the desk, kept with what proves them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from fleet.authority.instruction import MAX_STATEMENT, Assurance, Instruction, nonce_of
from fleet.authority.person_files import MAX_BYTES, PersonFile, PersonFiles
from fleet.paths import look, make_private_dir, read_regular, write_private

MAX_MANDATES = 100
"""Mandates kept for one employee; the oldest go."""
MAX_TOKEN = 8 * 1024
"""Bytes of an ID token."""

Statement = Annotated[str, StringConstraints(min_length=1, max_length=MAX_STATEMENT)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN, pattern=r"^[A-Za-z0-9_.-]+$")]


class GivenMandate(BaseModel):
    """A mandate with its proof, which anyone can check without this tool; one given at the desk has no such proof."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    statement: Statement
    """The `Instruction` as JSON, byte for byte as it was signed."""
    assurance: Assurance
    given_at: AwareDatetime
    """When the identity provider signed it, or when the employee agreed at the desk."""
    id_token: Token | None = None
    """The identity provider's ID token; its `nonce` is the statement's SHA-256. None at the desk, and once `retention`
    has removed it: the mandate counts as before, and the log has the token's HMAC."""
    key: dict[str, str] | None = None
    """The provider's public key that signed the token: the required members of a JWK, and no others."""

    @field_validator("statement")
    @classmethod
    def _is_an_instruction(cls, statement: str) -> str:
        Instruction.model_validate_json(statement)
        return statement

    @model_validator(mode="after")
    def _is_signed_or_given_at_the_desk(self) -> Self:
        is_signed = self.key is not None  # its token may have expired
        if is_signed is (self.assurance is Assurance.DESK) or (self.id_token is not None and not is_signed):
            raise ValueError("a mandate is given at the desk, or has id_token and key")
        return self

    @cached_property
    def instruction(self) -> Instruction:
        """What the employee agreed to."""
        return Instruction.model_validate_json(self.statement)

    @property
    def is_token_expired(self) -> bool:
        """Return True if there was a token that proved it, which `retention` has removed."""
        return self.key is not None and self.id_token is None

    @property
    def key_thumbprint(self) -> str | None:
        """Thumbprint of the key (RFC 7638); None at the desk."""
        if self.key is None:
            return None
        canonical = json.dumps(self.key, sort_keys=True, separators=(",", ":"))
        return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()

    @property
    def reference(self) -> str:
        """The mandate's name in lists and, as an HMAC, in the log: its nonce."""
        return nonce_of(self.statement)


class Given(PersonFile):
    """What one employee gave."""

    mandates: Annotated[tuple[GivenMandate, ...], Field(max_length=MAX_MANDATES)] = ()
    """In the order in which they were given."""


class GivenMandates:
    """What employees gave, one file each, and in `texts` one for each text."""

    def __init__(self, folder: Path) -> None:
        self._files = PersonFiles(folder, Given)
        self.folder = folder
        self.texts = folder / "texts"

    def of(self, employee: str) -> Given:
        """Return what an employee gave. Raises InputError for a file that cannot be read."""
        return self._files.of(employee) or Given(employee=employee)

    def names(self) -> Iterator[str]:
        """Yield who has given a mandate, in order."""
        return self._files.names()

    def put(self, given: Given) -> None:
        """Store what an employee gave, in place of what was there; durable on return. Raises OSError."""
        self._files.put(given)

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

"""Unique marker secrets, and a search for them in whatever form bytes may carry them."""

from __future__ import annotations

import base64
import io
import re
import secrets
import sqlite3
import string
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from math import ceil

EXOTIC = "é\"'+/=<&> %"
"""What encodings spell differently. It follows a marker's letters, so that none of them hides those."""

_COMPRESSED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
"""How gzip and zlib begin; what zip files and pictures hold packed is zlib's too, or named by zipfile."""

_BREAKS = re.compile(rb"=?\s+")
"""Where base64, quoted-printable and terminals break what is too long for a line."""

CUT_OFF = "cut off"
"""Stands for a channel where the core of a marker was found without its end."""


def forms(secret: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """All spellings of a secret: those whose case may be folded (lower case), and those whose case counts."""
    text = secret.decode("latin-1")
    each = [ord(letter) for letter in text]
    folded = {
        secret,
        secret[::-1],
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        secret.hex().encode(),
        "".join(f"%{code:02x}" for code in each).encode(),
        "".join(f"%25{code:02x}" for code in each).encode(),
        "".join(f"\\u{code:04x}" for code in each).encode(),
        "".join(f"\\x{code:02x}" for code in each).encode(),
        "".join(f"&#x{code:x};" for code in each).encode(),
        "".join(f"&#{code};" for code in each).encode(),
        "".join(f"={code:02x}" for code in each).encode(),
    }
    exact = set()
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # Letters at the ends also hold bits of what stands beside the secret.
            whole = slice(ceil(shift * 8 / 6), (shift + len(secret)) * 8 // 6)
            exact.add(encode(bytes(shift) + secret)[whole])
    return frozenset(form.lower() for form in folded), frozenset(exact)


class Markers:
    """One marker for each channel, `markers["cookie"]`; all share a core, by which most bytes are cleared quickly."""

    def __init__(self, channels: Iterable[str]) -> None:
        self._core = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(14))
        self._own = {channel: f"{self._core}{channel}Z" for channel in channels}
        self._forms = {channel: forms(text.encode()) for channel, text in self._own.items()}
        self._cores = forms(self._core.encode())
        self._others: dict[str, tuple[frozenset[bytes], frozenset[bytes]]] = {}

    def plain(self, channel: str) -> str:
        """The channel's marker, letters and digits only."""
        return self._own[channel]

    def __getitem__(self, channel: str) -> str:
        """The channel's marker with characters that encodings spell differently."""
        return self._own[channel] + EXOTIC

    def watch(self, channel: str, secret: bytes) -> None:
        """Look for a secret that somebody else has made, too."""
        self._others[channel] = forms(secret)

    def found_in(self, data: bytes) -> set[str]:
        """The channels whose markers `data` holds, packed ones too."""
        found = {channel for part in unpacked(data) for channel in self._found_in(part)}
        return found - {CUT_OFF} or found

    def _found_in(self, data: bytes) -> set[str]:
        lower = data.lower()
        wanted = self._others | (self._forms if _holds(lower, data, self._cores) else {})
        found = {channel for channel, spellings in wanted.items() if _holds(lower, data, spellings)}
        return found or ({CUT_OFF} if len(wanted) > len(self._others) else set())


def _holds(lower: bytes, data: bytes, spellings: tuple[frozenset[bytes], frozenset[bytes]]) -> bool:
    folded, exact = spellings
    return any(form in lower for form in folded) or any(form in data for form in exact)


def unpacked(data: bytes, depth: int = 3) -> Iterator[bytes]:
    """The bytes, the bytes without line breaks, and what is packed in them: gzip, zlib (also in PNG), zip, SQLite."""
    yield data
    yield _BREAKS.sub(b"", data)
    if depth == 0:
        return
    for start in _COMPRESSED.finditer(data):
        with suppress(zlib.error):
            content = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data[start.start() :], 1 << 26)
            yield from unpacked(content, depth - 1)
    if data.startswith(b"PK"):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from unpacked(name.encode() + b"\n" + archive.read(name), depth - 1)
    if data.startswith(b"SQLite format 3\0"):
        # Long values are spread over pages, so the bytes themselves do not show them in one piece.
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(data)
            database.text_factory = bytes
            tables = [
                name.decode() for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            for table in tables:
                for row in database.execute(f'SELECT * FROM "{table}"'):
                    yield from (
                        part
                        for value in row
                        for part in unpacked(value if isinstance(value, bytes) else str(value).encode(), depth - 1)
                    )

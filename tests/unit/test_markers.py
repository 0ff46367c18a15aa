"""The search for markers finds what it is to find: each form is planted once."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import quopri
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.markers import Markers

MARKERS = Markers(["cookie", "title"])
SECRET = MARKERS["cookie"]


def every(spelling: str) -> Callable[[str], bytes]:
    """Each byte of a text, spelled so."""
    return lambda text: "".join(spelling.format(code) for code in text.encode()).encode()


def png(text: str) -> bytes:
    """A picture with a packed text beside its pixels."""
    chunk = b"zTXtComment\0\0" + zlib.compress(text.encode())
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


def archive(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("trace.network", text)
    return file.getvalue()


def database(text: str) -> bytes:
    """One value that is longer than a page, so that the marker is spread over two."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute("CREATE TABLE cookies (value TEXT)")
        made.execute("INSERT INTO cookies VALUES (?)", ("." * 470 + text + "." * 4000,))
        made.commit()
        content: bytes = made.serialize()
    assert text.encode() not in content
    return content


WAYS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "latin-1": lambda text: text.encode("latin-1"),
    "upper": lambda text: text.upper().encode(),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "base64 0": lambda text: base64.b64encode(text.encode()),
    "base64 1": lambda text: base64.b64encode(b"x" + text.encode()),
    "base64 2": lambda text: base64.b64encode(b"xy" + text.encode()),
    "base64url": lambda text: base64.urlsafe_b64encode(b"\xff" + text.encode()),
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "percent": lambda text: quote(text, safe="").encode(),
    "percent twice": lambda text: quote(quote(text, safe=""), safe="").encode(),
    "percent all": every("%{:02X}"),
    "percent all twice": every("%25{:02x}"),
    "JSON": lambda text: json.dumps(text).encode(),
    "JSON all": every("\\u{:04X}"),
    "repr": lambda text: repr(text.encode()).encode(),
    "HTML": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace"),
    "HTML all": every("&#x{:X};"),
    "HTML decimal": every("&#{};"),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()),
    "quoted-printable, two lines": lambda text: quopri.encodestring(b"." * 70 + text.encode()),
    "base64, two lines": lambda text: base64.encodebytes(b"." * 50 + text.encode()),
    "quoted-printable all": every("={:02X}"),
    "reversed": lambda text: text[::-1].encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "zlib": lambda text: b"\0\1\2" + zlib.compress(text.encode()),
    "zip": archive,
    "PNG": png,
    "SQLite": database,
    "zip in gzip in base64 in it": lambda text: gzip.compress(archive(base64.b64encode(text.encode()).decode())),
    "far behind": lambda text: b"." * (1 << 20) + text.encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_marker_is_found_in_every_form_and_names_its_channel(way: str) -> None:
    """Whatever a program does to a secret before it lets it go."""
    assert MARKERS.found_in(WAYS[way](SECRET)) == {"cookie"}


def test_what_was_cut_off_is_found() -> None:
    """The beginning of a marker alone still tells that there was one."""
    assert MARKERS.found_in(MARKERS.plain("title")[:15].encode()) == {"cut off"}


def test_what_others_have_made_is_found() -> None:
    """A key, for one, in base64 where it was written as bytes."""
    markers = Markers([])
    markers.watch("key", bytes(range(32)))
    assert markers.found_in(b'{"seed": "' + base64.b64encode(bytes(range(32))) + b'"}') == {"key"}


def test_other_bytes_hold_no_marker() -> None:
    """Another run's markers are none of these."""
    assert MARKERS.found_in(Markers(["cookie"])["cookie"].encode() + bytes(1000)) == set()

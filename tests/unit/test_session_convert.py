"""Imports of sessions: what people's tools write is taken where it is plain, and nothing that a browser drops."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import InputError
from fleet.recipes.catalog import load_catalog
from fleet.recipes.recipe import Recipe
from fleet.sessions.convert import read_session
from fleet.sessions.files import session_files

SECRET = "AQEDAR-marker-secret-4711"
LINKEDIN = load_catalog().recipes["linkedin"]
GOOD: dict[str, Any] = {
    "name": "li_at",
    "value": SECRET,
    "domain": ".linkedin.com",
    "path": "/",
    "expires": 1999999999,
    "httpOnly": True,
    "secure": True,
    "sameSite": "None",
}


def naming(**names: list[str]) -> Recipe:
    """A recipe that names more of a session."""
    return Recipe.model_validate(LINKEDIN.model_dump() | names)


def imported(content: object, recipe: Recipe = LINKEDIN) -> dict[str, Any]:
    """The storage state that comes of a file, as Playwright takes it."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_session(data, "anna.json", recipe).state.as_playwright()


def one(**changes: object) -> dict[str, Any]:
    """The cookie that comes of an export with one cookie."""
    [cookie] = imported({"cookies": [GOOD | changes], "origins": []})["cookies"]
    return dict(cookie)


def refusal(content: object, recipe: Recipe = LINKEDIN) -> str:
    """The sentence of a refusal: short, with no value of a cookie."""
    with pytest.raises(InputError) as caught:
        imported(content, recipe)
    said = str(caught.value)
    assert SECRET not in said and len(said.split()) < 30 and said.endswith(".")
    return said


class TestExports:
    def test_cookies_of_an_extension_are_converted(self) -> None:
        """Cookie-Editor and EditThisCookie: a bare array, expirationDate, hostOnly, session, no_restriction, null."""
        extension = [
            {
                "domain": ".linkedin.com",
                "expirationDate": 1999999999.5,
                "hostOnly": False,
                "httpOnly": True,
                "name": "li_at",
                "path": "/",
                "sameSite": "no_restriction",
                "secure": True,
                "session": False,
                "storeId": None,
                "value": SECRET,
            },
            {
                "domain": "www.linkedin.com",
                "hostOnly": True,
                "httpOnly": False,
                "name": "JSESSIONID",
                "path": "/",
                "sameSite": None,
                "secure": True,
                "session": True,
                "storeId": None,
                "value": '"ajax:123"',
            },
        ]
        assert imported(extension) == {
            "cookies": [
                GOOD | {"expires": 1999999999.5},
                {
                    "name": "JSESSIONID",
                    "value": '"ajax:123"',
                    "domain": "www.linkedin.com",
                    "path": "/",
                    "expires": -1,
                    "httpOnly": False,
                    "secure": True,
                    "sameSite": "Lax",
                },
            ],
            "origins": [],
        }

    @pytest.mark.parametrize(
        "content",
        [[GOOD], {"cookies": [GOOD]}, {"url": "https://www.linkedin.com", "cookies": [GOOD]}],
        ids=["an array", "without origins", "with an address"],
    )
    def test_cookies_of_playwrights_kind_need_no_origins(self, content: object) -> None:
        """What `context.cookies()` gives, written to a file, is as good as a storage state."""
        assert imported(content) == {"cookies": [GOOD], "origins": []}

    def test_cookies_of_selenium(self) -> None:
        """Its `expiry`, and a domain without a word on subdomains."""
        selenium = {name: value for name, value in GOOD.items() if name != "expires"} | {"expiry": 1999999999}
        assert imported([selenium]) == {"cookies": [GOOD], "origins": []}

    @pytest.mark.parametrize("ends", ["\n", "\r\n"])
    def test_a_cookies_txt(self, ends: str) -> None:
        """Netscape's format: #HttpOnly_, TRUE for subdomains, 0 for a session cookie."""
        lines = [
            "# Netscape HTTP Cookie File",
            "",
            f"#HttpOnly_.linkedin.com\tTRUE\t/\tTRUE\t1999999999\tli_at\t{SECRET}",
            "www.linkedin.com\tFALSE\t/\tTRUE\t0\tlang\tv=2&lang=en-us",
        ]
        assert imported(ends.join(lines).encode()) == {
            "cookies": [
                GOOD | {"sameSite": "Lax"},
                {
                    "name": "lang",
                    "value": "v=2&lang=en-us",
                    "domain": "www.linkedin.com",
                    "path": "/",
                    "expires": -1,
                    "httpOnly": False,
                    "secure": True,
                    "sameSite": "Lax",
                },
            ],
            "origins": [],
        }

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_what_an_editor_of_windows_makes_of_it(self, encoding: str) -> None:
        """A mark at the start, or UTF-16, as PowerShell's `>` writes it."""
        assert imported(json.dumps([GOOD]).encode(encoding)) == {"cookies": [GOOD], "origins": []}

    @pytest.mark.parametrize(
        ("same_site", "read"),
        [
            ("no_restriction", "None"),
            ("none", "None"),
            ("unspecified", "Lax"),
            ("lax", "Lax"),
            ("LAX", "Lax"),
            ("", "Lax"),
            (None, "Lax"),
            ("strict", "Strict"),
        ],
    )
    def test_every_spelling_of_same_site(self, same_site: str | None, read: str) -> None:
        """What was never said is Lax to a browser."""
        assert one(sameSite=same_site)["sameSite"] == read

    @pytest.mark.parametrize(
        ("expires", "read"),
        [
            (0, -1),
            (None, -1),
            (-1, -1),
            ("Session", -1),
            (1999999999123, 1999999999.123),
            ("1999999999", 1999999999),
            ("2033-05-18T03:33:19.000Z", 1999999999),
            ("Wed, 18 May 2033 03:33:19 GMT", 1999999999),
            (253402300799, 253402300799),
        ],
    )
    def test_every_plain_moment(self, expires: object, read: float) -> None:
        """Seconds, milliseconds, a date with its time zone; 0 and nothing are a session cookie."""
        assert one(expires=expires)["expires"] == read

    @pytest.mark.parametrize("expires", [-0.5, -2, True, "soon", "2033-05-18T03:33:19", 1e300, [1]])
    def test_a_moment_that_is_not_plain_is_refused_with_its_unit(self, expires: object) -> None:
        """The place, the cookie and the unit; not what was given."""
        said = refusal([GOOD | {"expires": expires}])
        assert said == (
            "anna.json: cookies.0 'li_at': expires: must be seconds since 1970, or -1 for a session cookie; "
            "export it again."
        )

    @pytest.mark.parametrize(
        ("partition", "read"),
        [
            (None, None),
            ("", None),
            ("https://linkedin.com", ("https://linkedin.com", False)),
            ({"topLevelSite": "https://linkedin.com", "hasCrossSiteAncestor": False}, ("https://linkedin.com", False)),
            ({"topLevelSite": "https://linkedin.com"}, ("https://linkedin.com", False)),
        ],
    )
    def test_every_form_of_a_partition(self, partition: object, read: tuple[str, bool] | None) -> None:
        """DevTools and extensions write an object; a page of the site itself is sent the cookie."""
        cookie = one(partitionKey=partition)
        found = cookie.get("partitionKey"), cookie.get("_crHasCrossSiteAncestor")
        assert found == (read or (None, None))

    @pytest.mark.parametrize(
        "content",
        [b"", b"[]", b"{}", b"\xff\xfe", b'{"cookies": 1}', b"[" * 100_000, b'{"a": 1}', b"li_at=x; lang=en", b"[1]"],
    )
    def test_what_is_no_session_is_refused_in_a_sentence(self, content: bytes) -> None:
        """It names the file, and what to export in its place."""
        said = refusal(content)
        assert said.startswith("anna.json ")
        assert "export" in said


class TestRules:
    """Each cookie is judged as browsers do; tests/browser/test_cookies.py asks one."""

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"secure": False}, "browsers drop SameSite=None without Secure; set secure to true, or sameSite to Lax"),
            ({"expires": 1000000000}, "has expired; sign in to LinkedIn and export it again"),
            (
                {"value": f"{SECRET}\n"},
                "contains a character that browsers reject; sign in to LinkedIn and export it again",
            ),
            (
                {"value": SECRET + "x" * 4096},
                "longer than the 4096 bytes that browsers accept; sign in to LinkedIn and export it again",
            ),
            (
                {"domain": "linkedin.com"},
                "of linkedin.com is not sent to www.linkedin.com; fix its domain and path",
            ),
            ({"path": "/learning"}, "of .linkedin.com is not sent to www.linkedin.com; fix its domain and path"),
        ],
    )
    def test_a_cookie_that_a_browser_drops_is_refused(self, changes: dict[str, object], fault: str) -> None:
        """Else the service would find nobody signed in, and the employee would be asked to sign in for ever."""
        said = refusal([GOOD | changes])
        assert "'li_at'" in said and said.endswith(f"{fault}.")

    def test_a_host_prefix_needs_a_host(self) -> None:
        """The browser's rule for __Host- is told as what to write."""
        said = refusal([GOOD, GOOD | {"name": "__Host-a"}])
        assert said == (
            "anna.json: cookies.1 '__Host-a': browsers accept this name only with path / "
            "and a domain without a leading dot; fix both."
        )

    def test_the_place_in_a_cookies_txt_is_a_line(self) -> None:
        """What people count in that file."""
        assert refusal(b"# x\n.linkedin.com\tTRUE\t/\tTRUE\t1000000000\tli_at\tx\n").startswith(
            "anna.json: line 2 'li_at': has expired"
        )
        assert "anna.json:1: cookies.txt needs 7 tab-separated fields, not 2" in refusal(b"a\tb\n")

    def test_a_cookie_that_was_never_said_to_cross_sites_may_be_insecure(self) -> None:
        """No browser holds None without Secure: Firefox writes no_restriction where nothing was said."""
        assert one(sameSite="no_restriction", secure=False)["sameSite"] == "Lax"

    def test_foreign_and_expired_cookies_are_left_out(self) -> None:
        """They are named, never judged: what a tracker set is no reason to refuse a session."""
        content = {
            "cookies": [
                GOOD,
                GOOD | {"name": "old", "expires": 1000000000},
                {"name": "sid", "value": "x", "domain": ".bank.example", "sameSite": "None", "expires": "soon"},
                {"name": "sid", "value": "x", "domain": "notlinkedin.com"},
            ],
            "origins": [{"origin": "https://mail.example", "localStorage": [{"name": "a", "value": "b"}]}],
        }
        read = read_session(json.dumps(content).encode(), "a.json", LINKEDIN)
        assert [cookie.name for cookie in read.state.cookies] == ["li_at"]
        assert read.left_out == (
            "data of bank.example, https://mail.example, notlinkedin.com",
            "expired cookies: old",
        )


class TestWhatTheRecipeRequires:
    def test_each_session_cookie_must_be_there(self) -> None:
        """A script cannot read li_at, so an export by a bookmarklet lacks it."""
        assert refusal([GOOD | {"name": "lang"}]) == (
            "anna.json: no cookie 'li_at', which a signed-in session needs; sign in to LinkedIn and export again."
        )

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            (
                {"session_local_storage": ["token"]},
                "no localStorage key 'token', which a signed-in session needs",
            ),
            ({"session_databases": ["auth"]}, "no database 'auth', which a signed-in session needs"),
        ],
    )
    def test_so_must_storage_that_it_names(self, names: dict[str, list[str]], said: str) -> None:
        """What lives in IndexedDB is exported only when asked for."""
        assert said in refusal([GOOD], naming(**names))

    def test_storage_alone_is_no_session_of_a_recipe_that_names_none(self) -> None:
        """The recipe's author is told what to name."""
        origin = {"origin": "https://www.linkedin.com", "localStorage": [{"name": "token", "value": SECRET}]}
        assert refusal({"cookies": [], "origins": [origin]}, naming(session_cookies=[])) == (
            "anna.json: the recipe of LinkedIn does not name its storage; "
            "add it there to session_local_storage or session_databases."
        )

    def test_a_database_that_no_browser_could_be_given_is_refused(self) -> None:
        """With its place, instead of a browser that gives no tab later."""
        origin = {"origin": "https://www.linkedin.com", "localStorage": [], "indexedDB": [{"name": "auth"}]}
        said = refusal({"cookies": [GOOD], "origins": [origin]}, naming(session_databases=["auth"]))
        assert said == "anna.json: origins.0: indexedDB.0.version: missing; add it."


class TestFolder:
    def test_every_file_is_read_or_named(self, tmp_path: Path) -> None:
        """Capitals, a second ending and a browser's (1) are plain; two files of one account are not."""
        names = ["anna.keller.linkedin.JSON", "bob.wiki (1).json", "carl.wiki.json.txt", "dan.wiki.txt"]
        doubles = ["eve.wiki.json", "eve.wiki (1).json"]
        folder = tmp_path / "exports"
        (folder / "older").mkdir(parents=True)
        for name in [*names, *doubles, "sessions.zip", ".DS_Store"]:
            (folder / name).write_text("x")
        found = session_files(folder)
        assert [(one.employee, one.service) for one in found.files] == [
            ("anna.keller", "linkedin"),
            ("bob", "wiki"),
            ("carl", "wiki"),
            ("dan", "wiki"),
        ]
        assert len(found.refused) == 3
        assert "eve.wiki (1).json and eve.wiki.json are both for eve at wiki; keep one." in found.refused[1]
        assert found.ignored == (str(folder / ".DS_Store"), str(folder / "older"))

    def test_nothing_at_all_is_a_mistake(self, tmp_path: Path) -> None:
        """A mistyped folder must not silently mean nobody."""
        (tmp_path / "exports").mkdir()
        with pytest.raises(InputError, match=r"no file named EMPLOYEE\.SERVICE\.json"):
            session_files(tmp_path / "exports")


def test_the_examples_are_still_good() -> None:
    """The moment in these tests has not come yet."""
    assert time.time() < 1999999999

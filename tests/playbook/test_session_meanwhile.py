"""Sessions that are imported, removed or revoked while a visit is under way, as a person does it beside a real run."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from fleet.paths import StateDir
from fleet.recipes.catalog import load_catalog
from fleet.sessions.store import SessionStore, read_identity
from tests.commands import FLEET, fleet
from tests.inventories import mandate

PEOPLE = ("imported", "removed", "revoked", "untouched")
RECIPE = """\
service: portal
name: Portal
domains: [localhost]
session_cookies: [sid]
terms: {automation: allowed, source: Made for a test, reviewed_on: 2026-10-31}
identity: {css: 'header'}
signed_out: [{address: /login}]
controls:
  share:
    title: Share
    page: http://localhost:PORT/settings
    kind: checkbox
    find: {css: '#share'}
    opted_out: 'off'
    sources: [tests/playbook/test_session_meanwhile.py]
    verified_live: null
"""

PAGE = """<!doctype html><html lang=en><header>WHO</header><input type=checkbox id=share checked>
<script>document.querySelector('#share').addEventListener('change', () => fetch('/save'))</script>"""


class Portal:
    """Shows everybody their settings page once all are waiting for it, and rotates each session."""

    def __init__(self) -> None:
        self.arrived, self.release = threading.Barrier(len(PEOPLE) + 1, timeout=60), threading.Event()

    @contextmanager
    def serve(self) -> Iterator[int]:
        portal = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                who = (self.headers.get("cookie") or "").partition("sid=")[2].partition("-")[0]
                if not portal.release.is_set():
                    portal.arrived.wait()
                    portal.release.wait(60)
                page = PAGE.replace("WHO", who)
                self.send_response(200)
                self.send_header("Set-Cookie", f"sid={who}-rotated; Path=/")
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page.encode())

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            self.release.set()
            server.shutdown()
            server.server_close()


def export(folder: Path, who: str, value: str) -> str:
    """A file with a session of this value, named as `sessions import --from` finds it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{who}.portal.json"
    path.write_text(json.dumps({"cookies": [{"name": "sid", "value": f"{who}-{value}", "domain": "localhost"}]}))
    return str(path)


def test_what_was_done_during_a_visit_stays(tmp_path: Path) -> None:
    """An import is not lost, what was removed does not come back, and nothing new is kept of whoever has revoked."""
    portal, recipes, staff = Portal(), tmp_path / "recipes", str(tmp_path / "staff.yml")
    with portal.serve() as port:
        recipes.mkdir()
        (recipes / "portal.yml").write_text(RECIPE.replace("PORT", str(port)))
        hosts = {
            who: {"fleet_accounts": {"portal": {"profile": who}}, "fleet_mandate": mandate(who, "portal")}
            for who in PEOPLE
        }
        Path(staff).write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        given = ("-i", staff, "--recipes", str(recipes))
        assert fleet("init").returncode == 0
        for who in PEOPLE:
            export(tmp_path / "old", who, "old")
        done = fleet("sessions", "import", *given, "--from", str(tmp_path / "old"))
        assert done.returncode == 0, done.stderr
        command = [FLEET, "run", *given, "--check", "--output", "json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
            portal.arrived.wait()
            acts = [
                fleet("sessions", "import", *given, "imported", "portal", export(tmp_path / "new", "imported", "new")),
                fleet("sessions", "remove", "removed", "portal"),
                fleet("mandates", "revoke", "revoked"),
            ]
            portal.release.set()
            said, complaints = run.communicate(timeout=120)
    assert [act.returncode for act in acts] == [0, 0, 0], acts
    ends = {row["employee"]: row["outcome"] for row in json.loads(said)["results"]}
    assert ends == dict.fromkeys(PEOPLE, "would_opt_out"), complaints
    home = Path(os.environ["HOME"])
    store, recipe = SessionStore(StateDir(home / ".local/state/fleet")), load_catalog([recipes]).recipes["portal"]
    kept = {who: store.open(who, recipe, read_identity(home / ".config/fleet/identity.txt")) for who in PEOPLE}
    assert {who: opened and opened.state.cookies[0].value for who, opened in kept.items()} == {
        "imported": "imported-new",
        "removed": None,
        "revoked": "revoked-old",
        "untouched": "untouched-rotated",
    }

"""A service that says, stores and sends marked secrets wherever a page can, to nobody but a signed-in browser.

It runs in the process of the tests, so that nothing of it is on a disk or in a list of processes. How it treats an
account stands at the end of the session cookie: `good`, `fails`, `other`, `moved`, `over`, `code`, `asks`, `held`,
`silent`.
"""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from html import escape
from typing import Any, Self
from urllib.parse import quote

from fleet.rehearsal.tls import certificate_for
from tests.markers import EXOTIC, Markers

HOST = "www.marked.example"
RECIPE = f"""\
service: marked
name: Marked
domains: [marked.example]
session_cookies: [session]
terms: {{automation: allowed, source: Made for a test, reviewed_on: 2026-10-31}}
identity: {{css: 'meta[name="signed-in-user"]', attribute: content}}
signed_out: [{{address: /login*}}]
challenges: [{{kind: code, address: /code*}}]
controls:
  training:
    title: Training
    page: https://{HOST}/settings
    kind: switch
    find: {{css: 'input[name="training"]'}}
    opted_out: 'off'
    sources: [tests/playbook/marked_service.py]
    verified_live: null
"""

COOKIE_END = "+/=%C3%A9'&<>"
"""Cookies and headers may hold fewer characters than pages."""

_PAGE = """<!doctype html><html lang="en"><head><title>{title}</title>
<meta name="signed-in-user" content="{profile}">
<link rel="stylesheet" href="/kept.css"><img src="https://{host}.tracker.example/seen.png"></head>
<body><h1>{heading}</h1><label><input type="checkbox" role="switch" name="training"{checked}> {label}</label>
<p role="status"></p><script>
const say = {say};
localStorage.setItem(say.stored, say.stored);
sessionStorage.setItem(say.stored, say.stored);
document.cookie = 'seen=' + say.written + '; Secure; Max-Age=86400';
caches.open(say.stored).then(cache => cache.put('/kept?' + say.stored, new Response(say.stored)));
indexedDB.open(say.stored);
history.replaceState(say.stored, '');
console.log(say.console); console.error(say.console);
setTimeout(() => {{ throw new Error(say.thrown); }});
Promise.reject(new Error(say.thrown));
alert(say.dialog);
document.querySelector('input').addEventListener('change', async event => {{
  if (say.asks && !confirm(say.dialog)) {{ event.target.checked = true; return; }}
  const body = JSON.stringify({{on: event.target.checked}});
  const answer = await fetch('/save', {{method: 'PUT', headers: {{'x-csrf': say.csrf}}, body}});
  document.querySelector('p').textContent = say.toast + await answer.text();
}});
</script></body></html>"""

CHANNELS = (
    *("cookie", "rotated", "written", "csrf", "stored", "kept"),
    *("title", "heading", "label", "toast", "query", "header", "body"),
    *("console", "thrown", "dialog", "host", "profile"),
)
"""What it says, and where, but for `imported` and `kept`, which are in the storage state."""


class MarkedService:
    """Serves while its `with` lasts. `arrived` is set when a change has arrived that is held until `release`."""

    def __init__(self, markers: Markers) -> None:
        self._markers = markers
        self._is_on: dict[str, bool] = {}
        self.arrived, self.release, self._over = threading.Event(), threading.Event(), threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # killed browsers break connections
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        with certificate_for([HOST]) as files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(files.certificate, files.key)
            self.spki = files.spki
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_why: object) -> None:
        self.release.set()
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def profile(self, case: str) -> str:
        """Whom the service knows an account as."""
        return f"{self._markers.plain('profile')}é\"'+=-{case}"

    def storage_state(self, case: str) -> dict[str, Any]:
        """What a signed-in browser exports, Playwright's storage state."""
        cookie = {"domain": HOST, "path": "/", "expires": 4_000_000_000, "secure": True, "sameSite": "Lax"}
        imported = self._markers["imported"]
        return {
            "cookies": [
                {"name": "session", "value": self._session("cookie", case), "httpOnly": True, **cookie},
                {"name": "extra", "value": self._markers.plain("cookie") + COOKIE_END, "httpOnly": False, **cookie},
            ],
            "origins": [{"origin": f"https://{HOST}", "localStorage": [{"name": imported, "value": imported}]}],
        }

    def _session(self, channel: str, case: str) -> str:
        return f"{self._markers.plain(channel)}{COOKIE_END}-{case}"

    def page(self, case: str) -> str:
        """The settings page of an account."""
        texts = {name: escape(self._markers[name]) for name in ("title", "heading", "label")}
        spoken = ("stored", "console", "thrown", "dialog", "toast")
        say = {name: self._markers[name] for name in spoken} | {
            "written": self._markers.plain("written") + COOKIE_END,
            "csrf": self._markers.plain("csrf") + COOKIE_END,
            "asks": case == "asks",
        }
        return _PAGE.format(
            **texts,
            profile=escape("somebody-else" if case == "other" else self.profile(case)),
            host=self._markers.plain("host"),
            checked=" checked" if self._is_on.get(case, True) else "",
            say=json.dumps(say).replace("<", "\\u003c"),
        )

    def _handler(service) -> type[http.server.BaseHTTPRequestHandler]:  #  is the handler's
        markers = service._markers

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def _case(self) -> str | None:
                cookies = dict(part.split("=", 1) for part in self.headers.get("cookie", "=").split("; "))
                return cookies["session"].rpartition("-")[2] if "session" in cookies else None

            def _answer(self, status: int, body: str = "", **headers: str) -> None:
                self.send_response(status, markers.plain("header"))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("x-marked", markers.plain("header") + COOKIE_END)
                content = body.encode()
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                path, case = self.path.partition("?")[0], self._case()
                if path == "/kept.css":
                    css = f"/* {markers['kept']} */"
                    self._answer(200, css, content_type="text/css", cache_control="max-age=86400")
                elif path != "/settings":
                    self._answer(200, f"<h1>{escape(markers['heading'])}</h1>", content_type="text/html")
                elif case == "silent":
                    service._over.wait()
                elif case in (None, "over", "code", "moved"):
                    to = {"code": "/code", "moved": "/elsewhere"}.get(str(case), "/login")
                    self._answer(302, location=f"{to}?token={markers.plain('query')}{quote(EXOTIC)}")
                else:
                    session = f"session={service._session('rotated', case)}; Secure; HttpOnly; Max-Age=86400"
                    headers = {"content_type": "text/html; charset=utf-8", "set_cookie": session}
                    self._answer(200, service.page(case), cache_control="max-age=600", **headers)

            def do_PUT(self) -> None:
                case = str(self._case())
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if case == "held":
                    service.arrived.set()
                    service.release.wait()
                if case not in ("fails", "held"):
                    service._is_on[case] = body["on"]
                self._answer(500 if case == "fails" else 200, markers["body"])

        return Handler

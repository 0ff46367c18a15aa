"""What Chromium's sandbox is, asked of the kernel and of Chromium itself."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Any

from fleet.browser.engine import Engine
from fleet.browser.find_browser import find_browser
from fleet.browser.network import Network


def status() -> dict[str, Any]:
    """Our own uid, what the kernel says of us and of the page's process, and Chromium's status page if it has one."""
    return asyncio.run(_status())


async def _status() -> dict[str, Any]:
    engine = Engine(find_browser(), Network(), sandbox=True)
    try:
        async with engine.tab(frozenset(), {}, None) as tab:
            page = tab._page  # the product has no use for a page's text
            try:
                await page.goto("chrome://sandbox/")
                said = await page.evaluate("document.body.innerText")
            except Exception:  # the headless shell has no such page
                said = ""
            deadline = time.monotonic() + 10
            renderers: list[dict[str, str]] = []
            # A spare process that is just being started is filtered before it is given a page.
            while not renderers or any(one.get("Seccomp") != "2" for one in renderers):
                pids = [pid for pid in _descendants(os.getpid()) if "--type=renderer" in _read(pid, "cmdline")]
                renderers = [_kernel(pid) for pid in pids]
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.1)
            return {"uid": os.getuid(), "said": said, "own": _kernel(os.getpid()), "renderers": renderers}
    finally:
        await engine.stop()


def _kernel(pid: int) -> dict[str, str]:
    found = re.findall(r"^(Seccomp|NoNewPrivs):\t(\d)$", _read(pid, "status"), re.MULTILINE)
    return dict(found) | {kind: str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("user", "pid", "net")}


def _descendants(ancestor: int) -> list[int]:
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    parents = {pid: int(found[1]) for pid in pids if (found := re.search(r"PPid:\t(\d+)", _read(pid, "status")))}
    found = [ancestor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""  # it has ended meanwhile

"""One Chromium: the switches that confine and quiet it, its launch, and its relaunch after a crash."""

from __future__ import annotations

import asyncio
import os
import tempfile
from functools import partial
from typing import Any

from playwright.async_api import Browser, Playwright
from playwright.async_api import Error as PlaywrightError

from fleet.browser.find_browser import BrowserProgram
from fleet.browser.liveness import BrowserGone, end

MAX_RESTARTS = 5
"""Crashes in one run after which a browser counts as broken."""
START_WITHIN = 30.0
"""Seconds a browser, or Playwright's driver, gets to start."""
PROBE_WITHIN = 5.0
"""Seconds within which a working browser answers."""

_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
DISABLED_FEATURES = (
    # With it WebRTC joins a multicast group and queries names on the local network, regardless of resolver rules.
    "WebRtcHideLocalIpsWithMdns",
    # Chromium honors only one such list, so ours must also contain Playwright's own (tests/browser/test_proxy.py).
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "TcpPortRandomizationWin",
    "ThirdPartyStoragePartitioning",
    "msEdgeUpdateLaunchServicesPreferredVersion",
    "msForceBrowserSignIn",
)
_CONFINED = (
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    f"--disable-features={','.join(DISABLED_FEATURES)}",
)


_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "FONTCONFIG_PATH", "LD_LIBRARY_PATH")
"""What a browser gets of the environment: proxy variables and debugging switches must not reach it."""
_DISPLAY = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")


def launch_options(
    program: BrowserProgram, confining: list[str], *, sandbox: bool, is_visible: bool = False
) -> dict[str, Any]:
    """Return Playwright's options for starting a confined and quiet browser, with a window if it is visible."""
    kept = (*_ENVIRONMENT, *(_DISPLAY if is_visible else ()))
    environment = {key: os.environ[key] for key in kept if key in os.environ}
    return {
        "executable_path": program.path,
        "headless": not is_visible,
        "args": [*_QUIET, *_CONFINED, *confining],
        "chromium_sandbox": sandbox,
        "handle_sigint": False,
        "handle_sigterm": False,
        "handle_sighup": False,
        # A picture of its memory after a crash; a browser with windows has it in the home folder by default.
        "env": {**environment, "BREAKPAD_DUMP_LOCATION": tempfile.gettempdir()},
        "timeout": START_WITHIN * 1000,
    }


class Chromium:
    """One browser that reaches a fixed set of hosts and no others, restarted if it crashes."""

    def __init__(
        self, program: BrowserProgram, confining: list[str], *, sandbox: bool, is_visible: bool = False
    ) -> None:
        """`confining` are the arguments that limit it to its hosts (network.py)."""
        self._options = launch_options(program, confining, sandbox=sandbox, is_visible=is_visible)
        self._browser: Browser | None = None
        self._launching = asyncio.Lock()
        self._launches = 0
        self._is_hung = False
        self.gone: asyncio.Future[None]

    async def launched(self, playwright: Playwright) -> Browser:
        """Return the browser, launching it if necessary. Raises BrowserGone if it cannot be launched."""
        async with self._launching:
            if self._browser is not None and self._browser.is_connected():
                return self._browser
            if self._launches > MAX_RESTARTS:
                raise BrowserGone(f"the browser crashed {self._launches} times")
            self._launches += 1
            try:
                launching = playwright.chromium.launch(**self._options)
                self._browser = await asyncio.wait_for(launching, START_WITHIN + PROBE_WITHIN)
            except TimeoutError as error:
                self._is_hung = True
                raise BrowserGone("the driver does not answer", is_stuck=True) from error
            except PlaywrightError as error:
                raise BrowserGone("the browser does not start") from error
            self.gone = asyncio.get_running_loop().create_future()
            self._browser.on("disconnected", partial(end, self.gone))
            return self._browser

    async def answers(self) -> bool:
        """Return False if the browser hangs, or if it is missing because the driver hangs."""
        if self._browser is None or self.gone.done():
            return not self._is_hung
        try:
            async with asyncio.timeout(PROBE_WITHIN):
                await (await self._browser.new_page()).context.close()
        except (TimeoutError, PlaywrightError):
            return False
        return True

    def forget(self) -> None:
        """Note that the browser was killed: pending calls fail, and the next one launches a new browser."""
        self._is_hung = False
        if self._browser is not None:
            self._browser = None
            end(self.gone)

    async def close(self) -> None:
        """Close the browser, if it was launched."""
        if self._browser is not None:
            await self._browser.close()

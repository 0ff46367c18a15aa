"""A plain browser window for a person's sign-in: the installed browser, as the person would start it.

Nothing is attached to it: no debugging port or pipe, no automation switch. The service sees an ordinary browser,
because until the person has closed it, it is one.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from fleet.browser.find_browser import BrowserProgram
from fleet.desk.private_profile import PrivateProfile
from fleet.errors import FleetError, InputError
from fleet.orphans import is_named_by_a_process

_SWITCHES = (
    # The second start must be able to read the cookies of the first: Playwright sets these two as well.
    "--password-store=basic",
    "--use-mock-keychain",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-search-engine-choice-screen",
)
_KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TZ", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "FONTCONFIG_PATH"),
        *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "XMODIFIERS"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    }
)
_KEPT_PREFIXES = ("LC_", "XDG_", "GTK_", "QT_")
"""What the browser gets of the environment: others may add switches, or write keys of connections to a file."""
_PR_SET_PDEATHSIG = 1
_CLOSED_WITHIN = 10.0
"""Seconds that the browser's processes get to end after its last window has closed."""


class PlainWindow:
    """An open window."""

    def __init__(self, process: asyncio.subprocess.Process, program: BrowserProgram, profile: PrivateProfile) -> None:
        self._process = process
        self._program = program
        self._profile = profile

    async def closed(self) -> None:
        """Wait until the person has closed the window. Raises FleetError if the browser crashed or did not start."""
        code = await self._process.wait()
        if code != 0:
            how = f"was killed (signal {-code})" if code < 0 else f"ended with exit code {code}"
            raise FleetError(
                f"{self._program.name} {how}, so its sign-in is incomplete; nothing was stored. Check the display and "
                "the browser with 'fleet doctor', then run again."
            )
        # A browser that restarts itself runs on in another process.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSED_WITHIN):
                while is_named_by_a_process(self._profile.root):
                    await asyncio.sleep(0.1)


def require_display() -> None:
    """Raise InputError without a display on which a window could open."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(
            "There is no display here (DISPLAY and WAYLAND_DISPLAY are not set), so no window can open; run this on a "
            "desktop."
        )


@asynccontextmanager
async def plain_window(
    program: BrowserProgram, profile: PrivateProfile, address: str, reach: Iterable[str] = (), *, sandbox: bool = True
) -> AsyncIterator[PlainWindow]:
    """Open a plain window at an address; at the end, kill it if it is still open.

    `reach` are Chromium's arguments for a proxy, or for a rehearsal (Network.window_arguments).

    Raises InputError without a display, FleetError if the browser does not start.
    """
    require_display()
    arguments = [*_SWITCHES, *reach, *([] if sandbox else ["--no-sandbox"])]
    kept = (name for name in os.environ if name.upper() in _KEPT or name.startswith(_KEPT_PREFIXES))
    try:
        process = await asyncio.create_subprocess_exec(
            program.path,
            f"--user-data-dir={profile.folder}",
            *arguments,
            address,
            stdin=asyncio.subprocess.DEVNULL,
            # The browser writes addresses of pages there.
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                **{name: os.environ[name] for name in kept},
                "TMPDIR": str(profile.temporary),
                # A picture of its memory after a crash; by default it goes to the home folder.
                "BREAKPAD_DUMP_LOCATION": str(profile.temporary),
            },
            start_new_session=True,  # Ctrl-C in the terminal ends this command, which then ends the browser
            preexec_fn=_end_with_parent(os.getpid()),
        )
    except OSError as error:
        raise FleetError(f"{program.path} does not start ({error.strerror}); run 'fleet doctor'.") from None
    try:
        yield PlainWindow(process, program, profile)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _end_with_parent(parent: int) -> Callable[[], None]:
    """Return a function that has the kernel kill the calling process when `parent` ends, however that ends."""
    libc = ctypes.CDLL(None)  # loaded before the fork

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the request
            os._exit(1)

    return ask

"""Prepares the browsers on this machine, for a run's agent or for a worker."""

from __future__ import annotations

import os
from collections.abc import Iterable

from fleet.browser.engine import Engine
from fleet.browser.find_browser import BrowserProgram, find_browser, find_window_browser
from fleet.browser.network import Network
from fleet.desk.plain_window import require_display
from fleet.desk.private_profile import require_memory, wipe_left_over
from fleet.desk.screen import SayIn
from fleet.desk.steps import Tell
from fleet.desk.visitor import Desk
from fleet.plan.plan import require_sandbox
from fleet.recipes.recipe import Recipe


def is_in_sandbox(wanted: bool) -> bool:
    """Return whether browsers run in Chromium's sandbox here; it does not work for root."""
    return wanted and os.geteuid() != 0


def proxied_hosts(network: Network, recipes: Iterable[Recipe]) -> list[str]:
    """Return one host per service that a proxy must let through."""
    if network.proxy is None:
        return []
    return [min(recipe.page_hosts) for recipe in recipes if not network.is_loopback(recipe.page_hosts)]


async def open_engine(
    network: Network,
    proxied: Iterable[str],
    *,
    sandbox: bool,
    live: bool,
    credentials: bytes | None = None,
    program: BrowserProgram | None = None,
    is_visible: bool = False,
) -> Engine:
    """Return the browser engine of this machine; no browser is started yet.

    `credentials` are the proxy's; None reads them from its file. Without a `program`, it is the one
    that runs use, or one with windows if it is to be visible.

    Raises FleetError if no browser is found, if the proxy is unusable, or if live services would be visited without a
    sandbox that was asked for.
    """
    if live:
        require_sandbox(sandbox)
    engine = Engine(
        program or (find_window_browser() if is_visible else find_browser()),
        network,
        sandbox=is_in_sandbox(sandbox),
        credentials=credentials,
        is_visible=is_visible,
    )
    if engine.upstream is not None:
        for host in proxied:
            await engine.upstream.require(host)
    return engine


def desk_of(engine: Engine, network: Network, *, sandbox: bool, say_in: SayIn, tell: Tell) -> Desk:
    """Return the desk on this machine, whose browsers are the visible ones of `engine`."""
    return Desk(engine, find_window_browser(), network, is_in_sandbox(sandbox), say_in, tell)


def require_desk() -> None:
    """Raise InputError unless this machine has a display, and a folder in memory for sign-ins."""
    require_display()
    require_memory()
    wipe_left_over()

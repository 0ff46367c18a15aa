"""`fleet browser`: find or install the browser that runs use."""

from __future__ import annotations

import typer

from fleet.browser.find_browser import install_browser
from fleet.commands.options import people

app = typer.Typer(no_args_is_help=True, help="Find or install the browser.")


@app.callback()
def _group() -> None:
    pass


@app.command()
def install() -> None:
    """Install a browser if there is none: Playwright's headless shell, or else the system's package."""
    program = install_browser(lambda line: people.print(line))
    typer.echo(f"{program.name} at {program.path}: {program.version()}")

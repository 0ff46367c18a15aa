"""`fleet browser`: install the browser that runs use."""

from __future__ import annotations

import typer

from fleet.browser.find_browser import install_browser
from fleet.commands.options import people

app = typer.Typer(no_args_is_help=True, help="Install the browser.")


@app.callback()
def _group() -> None:
    pass


@app.command()
def install() -> None:
    """Install a browser unless one is found: Playwright's headless shell or, if the download fails, Debian's package.

    Debian's package needs root, or sudo without a password.
    """
    program = install_browser(lambda line: people.print(line))
    typer.echo(f"{program.name} at {program.path}: {program.version()}")

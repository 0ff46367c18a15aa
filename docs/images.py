"""Write docs/images/ from a rehearsal of the example company (`make images`): the terminal, and the report."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from fleet.browser.find_browser import find_browser

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
FLEET = ROOT / ".venv" / "bin" / "fleet"
COLUMNS = 92
EMPLOYEES = "anna.keller,chloe.martin,david.petit,finn.schroeder,irene.russo"
"""One outcome of each color."""


def main() -> None:
    """Rehearse once, and picture what an administrator sees of it."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HOME": home, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
        command = ["run", "-i", "inventory.example.yml", "-l", EMPLOYEES]
        _draw(f"$ fleet {' '.join(command)}\n{_in_terminal([str(FLEET), *command], environment)}")
        report = Path(home) / "report.html"
        subprocess.run([FLEET, "report", "--rehearsal", "-o", report], env=environment, check=True)
        _photograph(report)


def _in_terminal(command: list[str], environment: dict[str, str]) -> str:
    """What a command writes to a terminal, colors included."""
    main_end, other_end = pty.openpty()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=other_end, stderr=subprocess.DEVNULL)
    os.close(other_end)
    written = bytearray()
    while True:
        try:
            part = os.read(main_end, 65536)
        except OSError:  # the terminal is closed: the command has ended
            break
        if not part:
            break
        written += part
    process.wait()
    return written.decode().replace("\r\n", "\n")


def _draw(text: str) -> None:
    """Write the text of a terminal to docs/images/terminal.svg."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere)
        console.print(Text.from_ansi(text.rstrip()))
        picture = console.export_svg(title="fleet run")
    # Fonts would be loaded from elsewhere; the reader's own monospaced one will do.
    (IMAGES / "terminal.svg").write_text(re.sub(r"\s*@font-face \{[^}]*\}", "", picture), "utf-8")


def _photograph(report: Path) -> None:
    """Write the first screen of a report to docs/images/report.png."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser().path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(report.as_uri())
        page.screenshot(path=IMAGES / "report.png")
        browser.close()


if __name__ == "__main__":
    main()

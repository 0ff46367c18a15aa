"""Finding a browser. Small scripts stand where browsers would be, because only names and order are looked at here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fleet.browser.find_browser import find_browser, find_window_browser, install_browser
from fleet.errors import BrowserMissingError
from tests.playbook.helpers import BIN


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, on a machine without Playwright's own browsers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "no-browsers"))
    monkeypatch.delenv("FLEET_BROWSER", raising=False)
    return folder


def add(folder: Path, name: str, script: str = "echo Chromium 1.2.3.4") -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_the_headless_shell_is_preferred(programs: Path) -> None:
    """The system's headless shell first, then Chrome, then Chromium, then Edge."""
    found = []
    for name in ("microsoft-edge", "chromium", "google-chrome", "chromium-headless-shell"):
        add(programs, name)
        found.append(find_browser().path.name)
    assert found == ["microsoft-edge", "chromium", "google-chrome", "chromium-headless-shell"]
    assert find_browser().version() == "Chromium 1.2.3.4"


def test_a_named_browser_wins(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FLEET_BROWSER is used outright; a wrong one is said, not passed over."""
    add(programs, "chromium-headless-shell")
    mine = add(programs, "my-browser")
    monkeypatch.setenv("FLEET_BROWSER", str(mine))
    assert find_browser().path == mine
    monkeypatch.setenv("FLEET_BROWSER", "/nowhere/browser")
    with pytest.raises(BrowserMissingError, match="FLEET_BROWSER names /nowhere/browser"):
        install_browser()


def test_no_browser_is_one_sentence_that_says_what_to_do(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to run where nothing is found, and which packages to install where that does not help."""
    with pytest.raises(BrowserMissingError, match="No browser was found; run 'fleet browser install', or name one"):
        find_browser()
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:1")  # nobody answers there
    with pytest.raises(BrowserMissingError, match="install Debian's package chromium-headless-shell, Google Chrome"):
        install_browser(print)


def test_the_demo_installs_nothing(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no network: without a browser it ends with the command that installs one."""
    calls = tmp_path / "calls"
    for name in ("env", "sudo", "true", "apt-get"):
        add(programs, name, f"echo {name} >> {calls}")
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:1")  # nobody answers there
    done = subprocess.run([BIN / "fleet", "demo"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No browser was found; run 'fleet browser install'" in " ".join(done.stderr.split())
    assert not calls.exists() and not (tmp_path / "home/.local").exists()


def test_what_is_missing_is_installed_by_the_systems_packages(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Playwright's download is tried first; where it fails, apt-get installs the headless shell, for all users."""
    calls = tmp_path / "calls"
    # The real apt-get would change the machine that the tests run on; this one installs into the folder.
    shell = programs / "chromium-headless-shell"
    add(programs, "env", 'shift; exec "$@"')
    add(programs, "sudo", 'shift; exec "$@"')
    add(programs, "true", "exit 0")
    add(
        programs,
        "apt-get",
        f'echo "$(umask) $@" >> {calls}\n'
        f'[ "$1" = install ] && echo "#!/bin/sh" > {shell} && /bin/chmod 755 {shell}\nexit 0',
    )
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:1")  # nobody answers there
    said: list[str] = []
    before = os.umask(0o077)  # as every command of ours has it
    try:
        assert install_browser(said.append).path == shell
    finally:
        os.umask(before)
    assert said[0].startswith("Downloading Playwright's headless shell")
    assert calls.read_text().splitlines() == [
        "0022 update",
        "0022 install -y --no-install-recommends chromium-headless-shell",
    ]


class TestWindow:
    def test_a_sign_in_takes_a_browser_with_windows(self, programs: Path) -> None:
        """The headless shell, which runs prefer, is passed over; without another one it is said what to install."""
        add(programs, "chromium-headless-shell")
        with pytest.raises(BrowserMissingError, match="needs Google Chrome, Chromium or Microsoft Edge; install one"):
            find_window_browser()
        for name in ("microsoft-edge", "chromium", "google-chrome"):
            add(programs, name)
            assert find_window_browser().path.name == name

    def test_a_named_program_without_windows_is_refused(self, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """FLEET_BROWSER is not passed over: it may be set for runs."""
        add(programs, "chromium")
        monkeypatch.setenv("FLEET_BROWSER", str(add(programs, "chromium-headless-shell")))
        with pytest.raises(BrowserMissingError, match="chromium-headless-shell, which has no windows"):
            find_window_browser()
        monkeypatch.setenv("FLEET_BROWSER", str(add(programs, "my-browser")))
        assert find_window_browser().path.name == "my-browser"

"""Chromium's sandbox is on for ordinary users: the kernel says so, and so does Chromium's own status page."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.confinement.namespace import full_browser, run_as_ordinary_user

pytestmark = pytest.mark.xdist_group("sandbox")


def require_sandboxed(status: dict[str, Any]) -> None:
    """Every page's process is filtered (seccomp), cannot gain rights, and is in namespaces of its own."""
    assert status["uid"] != 0
    assert status["renderers"] != []
    for renderer in status["renderers"]:
        assert (renderer["Seccomp"], renderer["NoNewPrivs"]) == ("2", "1")
        for kind in ("user", "pid", "net"):
            assert renderer[kind] != status["own"][kind]


def test_the_kernel_says_that_pages_are_sandboxed() -> None:
    """In the browser that runs use, launched as runs launch it."""
    require_sandboxed(run_as_ordinary_user("sandbox.status", {}))


def test_chromium_itself_says_so() -> None:
    """In the words of chrome://sandbox, which the headless shell does not have."""
    status = run_as_ordinary_user("sandbox.status", {"FLEET_BROWSER": full_browser()})
    require_sandboxed(status)
    said = [line.split("\t") for line in status["said"].splitlines()]
    for row in (
        ["Layer 1 Sandbox", "Namespace"],
        ["PID namespaces", "Yes"],
        ["Network namespaces", "Yes"],
        ["Seccomp-BPF sandbox", "Yes"],
        ["You are adequately sandboxed."],
    ):
        assert row in said


def test_browsers_that_are_somebody_elses_alone_are_passed_over() -> None:
    """Playwright's folder may be closed to this user; the system's browser is then the one, and doctor says ok."""
    closed = Path(tempfile.mkdtemp())
    closed.chmod(0)  # asked of an ordinary user: root reads it all the same
    said = " ".join(run_as_ordinary_user("doctor.words", {"PLAYWRIGHT_BROWSERS_PATH": str(closed)}))
    closed.rmdir()
    assert "ok Sandbox the browser starts in it" in said


def test_doctor_says_that_the_sandbox_does_not_work() -> None:
    """For the user who asks: a browser that does not start in it is named, and what to do."""
    broken = Path(tempfile.mkdtemp()) / "browser"  # the test's own folder is closed to others
    broken.parent.chmod(0o755)
    broken.write_text("#!/bin/sh\ntest $# = 1 && echo Chromium 1\n")
    broken.chmod(0o755)
    said = " ".join(run_as_ordinary_user("doctor.words", {"FLEET_BROWSER": str(broken)}))
    shutil.rmtree(broken.parent)
    assert "missing Sandbox not usable the browser does not start in its sandbox; allow user namespaces" in said

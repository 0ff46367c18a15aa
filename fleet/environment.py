"""What Ansible gets of the caller's environment, and how our Python subprocesses are started.

The Ansible that reads the inventory keeps the caller's settings: inventory plugins, vault passwords, ansible.cfg. The
play ignores them: no setting of the caller may change it, hide its output or prompt for input.
"""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from fleet.paths import ansible_content

PYTHON = (sys.executable, "-P")
"""Our Python without the working directory on its path: with `-m` alone, a stray `json.py` there would be executed."""

_START = (
    "import gc; gc.set_threshold(50_000); "
    "import sys; sys.path[:] = [place for place in sys.path if place]; "
    "import runpy; runpy.run_module('ansible', run_name='__main__', alter_sys=True)"
)
"""Like `-P`, which the Python of another environment's Ansible may be too old for. PYTHONSAFEPATH would also affect
inventory scripts, which may import modules next to them.

Almost all that Ansible makes of an inventory lasts as long as the process: with Python's usual 700 objects between
searches for garbage, half the time to read 3,000 employees is spent on finding none."""

_UTF_8 = {"LC_ALL": "C.UTF-8"}
_PASSED_ON = ("HOME", "USER", "LOGNAME", "TZ", "XDG_RUNTIME_DIR", "TMPDIR")


def ansible_inventory(python: str) -> list[str]:
    """Return the `ansible-inventory` command of the Ansible installed for an interpreter."""
    return [python, "-c", _START, "inventory"]


def inventory_environment() -> dict[str, str]:
    """Return the environment for reading an inventory: the caller's, with strict checks and plain output."""
    return {
        **os.environ,
        **locale_for_ansible(),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
        # A pattern that matches no host is a typing error; ignoring it would silently omit employees.
        "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
        "ANSIBLE_SYSTEM_WARNINGS": "true",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_DISPLAY_TRACEBACK": "never",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        # The output holds personal values: it must stay out of the operator's Ansible log and hold nothing else.
        "ANSIBLE_LOG_PATH": os.devnull,
        "ANSIBLE_DEBUG": "0",
        "ANSIBLE_VERBOSITY": "0",
    }


def play_environment(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a play whose private folder is `folder`, without the caller's Ansible settings.

    No ANSIBLE_* variable or ansible.cfg of the caller applies: display, strategy, callbacks, prompts, log files.
    """
    return {
        **{name: environ[name] for name in _PASSED_ON if name in environ},
        **_UTF_8,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder),  # leaves nothing behind and finds nothing
        "ANSIBLE_ROLES_PATH": str(ansible_content() / "roles"),
    }


def locale_for_ansible() -> dict[str, str]:
    """Return variables for a locale that Ansible can run in; empty if the current one is installed and UTF-8."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
        is_utf_8 = locale.nl_langinfo(locale.CODESET) == "UTF-8"
    except locale.Error:
        is_utf_8 = False
    finally:
        locale.setlocale(locale.LC_ALL, before)
    return {} if is_utf_8 else _UTF_8

"""What of the caller's environment reaches Ansible, and how the Python programs that we start are called.

The Ansible that reads the inventory has the caller's own settings: inventory plugins, vault passwords, ansible.cfg. The
play is ours alone: no setting of the caller's may change it, hide what it says, or ask somebody something.
"""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from fleet.paths import ansible_content

PYTHON = (sys.executable, "-P")
"""Our Python, which imports nothing from the working directory: with `-m` alone, a `json.py` of anybody's that lies
there would be run."""

_WITHOUT_WORKING_DIRECTORY = (
    "import sys; sys.path[:] = [place for place in sys.path if place]; "
    "import runpy; runpy.run_module('ansible', run_name='__main__', alter_sys=True)"
)
"""As `-P`, which the Python of an Ansible in another environment may be too old for. PYTHONSAFEPATH would reach the
scripts of the inventory, which may import what lies beside them."""

_UTF_8 = {"LC_ALL": "C.UTF-8"}
_PASSED_ON = ("HOME", "USER", "LOGNAME", "TZ", "XDG_RUNTIME_DIR", "TMPDIR")


def ansible_inventory(python: str) -> list[str]:
    """The command `ansible-inventory` of the Ansible that an interpreter has."""
    return [python, "-c", _WITHOUT_WORKING_DIRECTORY, "inventory"]


def inventory_environment() -> dict[str, str]:
    """The environment of the Ansible that reads an inventory: the caller's, but for how it says what it found."""
    return {
        **os.environ,
        **locale_for_ansible(),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
        # A pattern that matches nobody is a typing error; passed over, it would leave somebody out.
        "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
        "ANSIBLE_SYSTEM_WARNINGS": "true",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_DISPLAY_TRACEBACK": "never",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        # The answer holds personal values: it is for us alone, not for the operator's Ansible log, and nothing else.
        "ANSIBLE_LOG_PATH": os.devnull,
        "ANSIBLE_DEBUG": "0",
        "ANSIBLE_VERBOSITY": "0",
    }


def play_environment(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a play whose private folder is `folder`, and nothing of the caller's Ansible.

    No variable and no ansible.cfg of the caller's: display, strategy, callbacks, passwords to ask for, log files.
    """
    return {
        **{name: environ[name] for name in _PASSED_ON if name in environ},
        **_UTF_8,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder),  # nothing is to be left behind, nor found there
        "ANSIBLE_ROLES_PATH": str(ansible_content() / "roles"),
    }


def locale_for_ansible() -> dict[str, str]:
    """What makes the locale one that Ansible runs in; nothing where it is UTF-8 and installed."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
        is_utf_8 = locale.nl_langinfo(locale.CODESET) == "UTF-8"
    except locale.Error:
        is_utf_8 = False
    finally:
        locale.setlocale(locale.LC_ALL, before)
    return {} if is_utf_8 else _UTF_8

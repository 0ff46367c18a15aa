"""What Ansible has listed once in this session, for tests of other subjects that read the same inventory again.

`ansible-inventory` costs 0.4 s of CPU, and many tests of a module begin with the same file. What is remembered is the
output of a real start in the same session, and only of files that alone decide it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

folder: Path | None = None
"""Where the commands of tests.commands keep listings; set by the fixture `same_inventories`."""
Listing = tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]
_BESIDE = ("ansible.cfg", "group_vars", "host_vars")
"""What changes how Ansible reads a file in the same folder."""


def remembering(folder: Path, start: Callable[..., Listing]) -> Callable[..., Listing]:
    """Return `fleet.inventory.read._list_hosts` that starts Ansible once for the same files, as kept in `folder`.

    Errors and warnings name paths, so they are never kept.
    """

    def list_hosts(
        sources: Sequence[str], limit: str | None, ansible_python: str, cwd: Path | None, *, is_exported: bool = True
    ) -> Listing:
        content = None if ansible_python != sys.executable else _content(sources, cwd or Path.cwd())
        if content is None:
            return start(sources, limit, ansible_python, cwd, is_exported=is_exported)
        kept = folder / f"{hashlib.sha256(repr((content, limit, is_exported)).encode()).hexdigest()}.json"
        if not kept.exists():
            listing, losses, remarks = start(sources, limit, ansible_python, cwd, is_exported=is_exported)
            if losses or remarks or content != _content(sources, cwd or Path.cwd()):
                return listing, losses, remarks
            new = kept.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(listing), "utf-8")
            new.rename(kept)
        return json.loads(kept.read_text("utf-8")), (), ()

    return list_hosts


def remember_in(folder: Path) -> None:
    """Do so in this process until it ends."""
    from fleet.inventory import read

    read._list_hosts = remembering(folder, read._list_hosts)


def _content(sources: Sequence[str], cwd: Path) -> tuple[tuple[str, bytes], ...] | None:
    """Return names and bytes of the sources; None if anything but these might decide what Ansible lists."""
    files = [cwd / source for source in sources]
    if (
        any(name.startswith("ANSIBLE_") for name in os.environ)
        or (cwd / "ansible.cfg").exists()
        or (Path.home() / ".ansible.cfg").exists()
        or any((file.parent / name).exists() for file in files for name in _BESIDE)
        or any(file.suffix not in (".yml", ".yaml") or file.is_symlink() or not file.is_file() for file in files)
        or any(os.access(file, os.X_OK) or not os.access(file, os.R_OK) for file in files)
    ):
        return None
    contents = tuple((file.name, file.read_bytes()) for file in files)
    return None if any(word in text for _, text in contents for word in (b"plugin", b"vault", b"{{")) else contents

"""An administrator's folder with an inventory file for a directory, and the commands that read it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.commands import fleet
from tests.conftest import ROOT
from tests.playbook.helpers import BIN


@dataclass
class Desk:
    """One inventory file, `people.yml` in `folder`; `options` are those of the plugin."""

    folder: Path
    options: dict[str, Any]
    secret: str
    environ: dict[str, str] = field(default_factory=dict)

    def another(self, name: str, **changed: Any) -> Desk:
        """The same in a folder of its own, with a secret of its own and some options changed (None: left out)."""
        folder = self.folder / name
        folder.mkdir()
        secret_file(folder, self.secret)
        options = {key: value for key, value in {**self.options, **changed}.items() if value is not None}
        return Desk(folder, options, self.secret, self.environ)

    def lay(self, **changed: Any) -> Path:
        """Write the file with some options changed (None: left out)."""
        options = {key: value for key, value in {**self.options, **changed}.items() if value is not None}
        path = self.folder / "people.yml"
        path.write_text(yaml.safe_dump(options))
        return path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """`fleet`, or one of Ansible's programs beside Python, in the folder."""
        if command[0] == "fleet":
            return fleet(*command[1:], cwd=self.folder, env=os.environ | self.environ)
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env=os.environ | self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ansible(self, *options: str, **changed: Any) -> dict[str, Any]:
        """What plain `ansible-inventory` makes of it: variables by host under `_meta`, and the groups."""
        listed = self.run(
            *("ansible-inventory", "--playbook-dir", str(ROOT / "playbooks"), "-i", str(self.lay(**changed))),
            *("--list", *options),
        )
        assert listed.returncode == 0, listed.stderr
        answer: dict[str, Any] = json.loads(listed.stdout, object_hook=_unwrapped)
        return answer

    def hosts(self, *options: str, **changed: Any) -> dict[str, dict[str, Any]]:
        """The variables of each host."""
        found: dict[str, dict[str, Any]] = self.ansible(*options, **changed)["_meta"]["hostvars"]
        return found

    def refusal(self, **changed: Any) -> str:
        """The one sentence of `fleet inventory check` for a directory that cannot be used; exit 2, nothing else."""
        checked = self.run("fleet", "inventory", "check", "-i", str(self.lay(**changed)))
        assert (checked.returncode, checked.stdout) == (2, ""), (checked.stdout, checked.stderr)
        assert checked.stderr.count("Error: ") == 1 and "Traceback" not in checked.stderr, checked.stderr
        assert not self.secret or self.secret not in checked.stderr
        return " ".join(checked.stderr.split())


def read_together(desks: Sequence[Desk]) -> tuple[dict[str, Any], str]:
    """What one plain `ansible-inventory` makes of all these inventories, and what it says on the way."""
    sources = [part for desk in desks for part in ("-i", str(desk.lay()))]
    playbooks = str(ROOT / "playbooks")
    read = desks[0].run("ansible-inventory", "--playbook-dir", playbooks, *sources, "--list")
    assert read.returncode == 0, read.stderr
    return json.loads(read.stdout), read.stderr


def people_of(desks: Mapping[str, Desk]) -> dict[str, set[str]]:
    """Who is in each inventory, of which each puts everybody into a group of its name."""
    for name, desk in desks.items():
        desk.options["groups"] = {name: "true"}
    listed, said = read_together([*desks.values()])
    assert "Failed to parse" not in said, said
    return {name: set(listed[name]["hosts"]) for name in desks}


def told(desks: Sequence[Desk]) -> list[str]:
    """What Ansible tells of each of these inventories, of which none can be used: nobody is in any, no secret is told.

    A sentence that two have in common is told once, of the first.
    """
    listed, said = read_together(desks)
    assert listed["_meta"]["hostvars"] == {}, said
    assert not any(desk.secret and desk.secret in said for desk in desks)
    *sentences, _ = " ".join(said.split()).split("as an inventory source")
    assert len(sentences) == len(desks), said
    return sentences


def not_told(expected: Sequence[tuple[Desk, str]]) -> list[tuple[str, str]]:
    """The sentences that Ansible does not tell of their inventories, each with what it tells instead."""
    sentences = told([desk for desk, _ in expected])
    return [(said, found) for (_, said), found in zip(expected, sentences, strict=True) if said not in found]


def secret_file(folder: Path, secret: str) -> str:
    """A file with a token or a password as it has to be; its name."""
    (folder / "secret").write_text(f"{secret}\n")
    (folder / "secret").chmod(0o600)
    return "secret"


def _unwrapped(value: dict[str, Any]) -> Any:
    """`ansible-inventory` writes so what must never be a template."""
    return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else value

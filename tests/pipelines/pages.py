"""Pages whose commands a test types: those in blocks indented by four spaces, in one shell each, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = re.compile(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^    (\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Typed:
    """A command of a page, its exit code, and what it printed."""

    command: str
    code: int
    output: str


def commands_of(text: str) -> list[str]:
    """Every command of a page or of a part of one, in order; the files that it shows are none."""
    return COMMAND.findall(FILE.sub("", text))


def stand_ins(folder: Path) -> Path:
    """Nothing of systemd runs in a container, and a test makes no user and installs nothing on the machine."""
    folder.mkdir()
    for name, script in (("sudo", 'exec "$@"'), ("systemctl", "echo not here"), ("useradd", "echo not here")):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def python_with_dependencies(folder: Path) -> Path:
    """A folder with a `python3` whose new environments have all packages that are installed here, and Ansible."""
    folder.mkdir(exist_ok=True)
    programs, packages = Path(sys.executable).parent, sysconfig.get_path("purelib")
    extend = f'for place in "$3"/lib/python*/site-packages; do echo {packages} > "$place/ours.pth"; done'
    extend += f' && ln -s {programs}/ansible* "$3/bin"'
    (folder / "python3").write_text(f'#!/bin/sh\n{sys.executable} "$@" && {extend}\n')
    (folder / "python3").chmod(0o755)
    return folder


def environment_of(home: Path, *programs: Path) -> dict[str, str]:
    """What a shell of the user with this home has; `programs` are folders before the PATH."""
    passed_on = ("PIP_", "FLEET_BROWSER", "PLAYWRIGHT_")
    kept = {name: value for name, value in os.environ.items() if name.startswith(passed_on)}
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    return kept | {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}


def type_all(
    commands: Sequence[str],
    cwd: Path,
    environ: Mapping[str, str],
    as_typed: Callable[[str], Sequence[str]] = lambda command: [command],
) -> list[Typed]:
    """Type the commands into one shell; `as_typed` gives the lines that take the place of one, itself the last."""
    lines = []
    for command in commands:
        lines += [f"cat <<'EOF'\n+ {command}\nEOF", *as_typed(command), 'echo "= $?"']
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-c", "\n".join(lines)],
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    parts = re.findall(r"^\+ (.*?)$(.*?)^= (\d+)$", done.stdout, re.MULTILINE | re.DOTALL)
    assert [command for command, _, _ in parts] == list(commands), done.stdout
    return [Typed(command, int(code), output) for command, output, code in parts]


def wrong(typed: Sequence[Typed], exit_codes: Mapping[str, int]) -> list[str]:
    """The commands that ended otherwise than `exit_codes` says; 0 where it says nothing."""
    return [
        f"{one.command} ended with {one.code}:{one.output}"
        for one in typed
        if one.code != exit_codes.get(one.command, 0)
    ]

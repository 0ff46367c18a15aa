"""Parses Ansible's output for an inventory: the cause of a failure in one sentence, and its warnings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from fleet.inventory.source_lines import SourceLines
from fleet.paths import look

# Ansible before 2.19 wraps its lines even without a terminal.
_END = r"(?=\n\n|\n\[(?:WARNING|ERROR|DEPRECATION)|\nERROR|\Z)"
_WARNING = re.compile(rf"^\[WARNING\]: +(.+?){_END}", re.DOTALL | re.MULTILINE)
_ORIGIN = re.compile(r"\s+Origin: (/\S+?:\d+)(?::\d+)?\s*$")
_FAILED_PLUGIN = re.compile(rf"Failed\s+to\s+parse\s+[^\[]+?\s+with\s+'?([\w.]+)'?\s+plugin:\s+(.+?){_END}", re.DOTALL)
_FAILED_SOURCE = re.compile(rf"Completely failed to parse inventory source\s+(.+?){_END}", re.DOTALL)
# Before 2.19, in a plugin's error message: the cause and the line.
_OLD_YAML = re.compile(
    r"Syntax Error while loading YAML\. (?:While constructing a mapping from .+?, line \d+, column \d+, )?(.+?)\. "
    r".*?The error appears to be in '.+?': line (\d+)"
)
_NO_LOCALE = re.compile(r"^ERROR: (Ansible (?:could not initialize the|requires the \w+) .+)$", re.MULTILINE)

_LOSSES = ("fleet_", "Skipping unexpected key ")
"""Prefixes of warnings about a host or value that was left out: our inventory plugins' and Ansible's."""
_IDLE = ("Invalid characters were found in group names but not replaced",)
"""Prefixes of warnings that do not concern employees."""


def warnings_of(stderr: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return Ansible's warnings: first those about hosts or values left out, then all others."""
    losses, others = dict[str, None](), dict[str, None]()
    for said in _WARNING.findall(stderr):
        origin = _ORIGIN.search(said)
        words = _joined(said[: origin.start()] if origin else said)
        if not words.startswith(_IDLE):
            (losses if words.startswith(_LOSSES) else others)[f"{origin[1]}: {words}" if origin else words] = None
    return tuple(losses), tuple(others)


def first_cause(stderr: str, sources: Sequence[str], limit: str | None, cwd: Path | None) -> str:
    """Return one sentence from ansible-inventory's output: file, line, cause."""
    for source in sources:
        path = (cwd or Path.cwd()) / source
        if "," not in source and (look(path) is None or not path.exists()):
            return f"{source}: inventory not found; fix the path given with -i."
        if "," not in source and not os.access(path, os.R_OK):
            return f"{source} cannot be read (Permission denied); fix its mode or owner."
    return _of_the_caller(stderr, sources, limit) or _of_the_files(stderr, sources, cwd)


def _of_the_caller(stderr: str, sources: Sequence[str], limit: str | None) -> str | None:
    """Return the cause if it lies with this machine or command, else None."""
    unwritable = re.search(r"Unable to create local directories ['\"]?(/[^'\":\s]+)", stderr)
    if unwritable:
        return (
            f"Ansible cannot write to {unwritable[1]}; fix its permissions, or set ANSIBLE_HOME to a writable folder."
        )
    if "ModuleNotFoundError" in stderr or "No module named ansible" in stderr:
        return "Ansible is not installed in fleet's environment; install ansible-core there."
    if no_locale := _NO_LOCALE.search(stderr):
        return f"{no_locale[1].rstrip('.')}; set LC_ALL to an installed UTF-8 locale."
    if re.search(r"EOFError \(ctrl-d\)\s+on\s+prompt\s+for", stderr):
        return "Ansible needs a vault password, but there is no terminal to enter it; set ANSIBLE_VAULT_PASSWORD_FILE."
    unmatched = re.search(rf"Could not match supplied host pattern,\s+ignoring:\s+(.+?){_END}", stderr, re.DOTALL)
    if unmatched and limit:
        pattern = _joined(unmatched[1])
        return f"--limit {limit}: {pattern} matches no employee in {', '.join(sources)}; fix the name, or omit --limit."
    return None


def _of_the_files(stderr: str, sources: Sequence[str], cwd: Path | None) -> str:
    """Return the cause if it lies in the contents of the sources."""
    dates = list(SourceLines(sources, cwd).impossible_dates())
    if dates:
        return "\n".join(f"{date}; write it as YYYY-MM-DD." for date in dates)
    where = _failed_source(stderr, sources, cwd)
    words = {plugin: _joined(said) for plugin, said in _FAILED_PLUGIN.findall(stderr)}
    # A file without an extension may be a script, YAML or INI; content that begins with `all:` or similar is not INI.
    is_ini = not (
        where.endswith((".yml", ".yaml", ".json"))
        or "script" in words
        or "ending in ':' is not allowed" in words.get("ini", "")
    )
    cause = re.search(r"YAML parsing failed: (.+)", stderr)
    if cause and not ("ini" in words and is_ini):
        origin = re.search(r"Origin: (/\S+?:\d+)(?::\d+)?$", stderr, re.MULTILINE)
        return f"{origin[1] if origin else where}: {cause[1].rstrip('.')}; fix the YAML."
    if (old := _OLD_YAML.search(words.get("yaml", ""))) and not ("ini" in words and is_ini):
        return f"{where}:{old[2]}: {old[1]}; fix the YAML."
    # Ansible tries its plugins in order; the first one able to read the file has the best error.
    order = sorted(words, key=lambda plugin: plugin == "ini", reverse=is_ini)
    said = next((words[plugin] for plugin in order if "no root 'plugin' key" not in words[plugin]), None)
    if said:
        said = said.removeprefix("Failed to parse inventory: ")
        placed = re.match(r"(/\S+:\d+): (.+)", said)
        return "{} cannot be read by Ansible: {}".format(*(placed.groups() if placed else (where, said)))
    lines = [line for line in stderr.splitlines() if line.strip()]
    last = [line for line in lines if line.startswith("[ERROR]")] or lines[-1:]
    return f"{where} cannot be read by Ansible: {(last or ['no reason given'])[0]}"


def _failed_source(stderr: str, sources: Sequence[str], cwd: Path | None) -> str:
    """Return the source that could not be read, as given, or the file in it; all sources if Ansible names none."""
    failed = _FAILED_SOURCE.search(stderr)
    if failed is None:
        return ", ".join(sources)
    path = _joined(failed[1])
    return next((one for one in sources if str(((cwd or Path.cwd()) / one).resolve()) == path), path)


def _joined(text: str) -> str:
    return " ".join(text.split())

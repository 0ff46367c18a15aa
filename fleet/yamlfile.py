"""Strict YAML for our own files (recipes, fleet.yml), with line numbers.

PyYAML alone lets the last of two equal keys win, reads `no` as False and `1:30` as 90, and expands alias bombs.
This reads only YAML 1.2's core scalars (true, false, null, decimal integers); everything else is text, dates included.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fleet.errors import InputError
from fleet.paths import read_regular
from fleet.validation import mistakes

MAX_BYTES = 1024 * 1024
"""Our own files are written by hand; a larger one is an error or an attack."""

MAX_DEPTH = 50
"""Nesting depth of lists and mappings; a recipe has six."""
MAX_MISTAKES = 50
"""No one reads more of them at once."""

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}

Model = TypeVar("Model", bound=BaseModel)


class NotPlain(Exception):
    """YAML that may be valid but that our files never need; `line` is 1-based."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


@dataclass(frozen=True)
class YamlFile:
    """A parsed file: its plain data, and the line of each value."""

    path: Path
    data: Any
    sha256: str
    """Of the exact bytes that `data` was read from."""
    _root: yaml.Node | None

    def line_of(self, location: tuple[int | str, ...]) -> int:
        """Return the 1-based line of the value at `location` (keys and indexes), or of its nearest parent."""
        node, line = self._root, 1
        for step in location:
            if node is None:
                break
            line = node.start_mark.line + 1
            following = None
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(step):
                        line, following = key.start_mark.line + 1, value
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                following = node.value[step]
                line = following.start_mark.line + 1
            if following is None:
                return line
            node = following
        return line


def read_yaml(path: Path) -> YamlFile:
    """Read one YAML document.

    Raises InputError with `file:line` for a file that cannot be read, is too large, or is not strict YAML.
    """
    try:
        content = read_regular(path, MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES // 1024} KiB, too large for a file written by hand.")
    try:
        root = compose(content.decode("utf-8"), with_aliases=False)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except NotPlain as error:
        raise InputError(f"{path}:{error.line}: {error}.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: not valid YAML: {error.problem or error.context}.") from None
    except (yaml.YAMLError, ValueError, OverflowError):  # PyYAML raises the latter two for numbers out of range
        raise InputError(f"{path}: not valid YAML (a character that YAML does not allow).") from None
    data = _construct(path, root) if root else None
    return YamlFile(path, data, hashlib.sha256(content).hexdigest(), root)


class _Loader(yaml.SafeLoader):
    """Limits the depth: PyYAML's work grows with its square."""

    with_aliases = True
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        line: int = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call] # types-PyYAML has no types
        if self._depth > MAX_DEPTH:
            raise NotPlain("nested too deeply to be a file written by hand", line)
        if not self.with_aliases and self.check_event(yaml.AliasEvent):
            raise NotPlain("aliases (*name) are not allowed here; write the value out", line)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _PlainLoader(_Loader):
    with_aliases = False


def compose(text: str, *, with_aliases: bool) -> yaml.Node | None:
    """Return the nodes of a YAML document.

    Raises NotPlain, and what PyYAML does: YAMLError, ValueError, OverflowError.
    """
    return yaml.compose(text, Loader=_Loader if with_aliases else _PlainLoader)


def load_model(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into a pydantic model.

    Raises InputError that lists every mistake as `file:line: key: what is wrong`.
    """
    return read_model(path, model)[0]


def read_model(path: Path, model: type[Model]) -> tuple[Model, YamlFile]:
    """Like `load_model`, but also return the document, for line numbers."""
    document = read_yaml(path)
    try:
        return model.model_validate(document.data), document
    except ValidationError as error:
        raise InputError("\n".join(describe_errors(document, error))) from None


def describe_errors(document: YamlFile, error: ValidationError) -> list[str]:
    """Return one line per validation error, with file and line, in the file's order."""
    lines, found = [], list(mistakes(error))
    for location, what in found[:MAX_MISTAKES]:
        key = ".".join(str(step) for step in location) or "(whole file)"
        line = document.line_of(location)
        lines.append((line, f"{document.path}:{line}: {key}: {what}."))
    more = [f"{document.path}: {len(found) - MAX_MISTAKES} more mistakes."] if len(found) > MAX_MISTAKES else []
    return [text for _, text in sorted(lines)] + more


def _construct(path: Path, node: yaml.Node) -> Any:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or not key.value.isprintable():
                raise InputError(f"{path}:{line}: a key must be plain text.")
            if key.value in result:
                raise InputError(f"{path}:{key.start_mark.line + 1}: duplicate key '{key.value}'; keep one of them.")
            result[key.value] = _construct(path, value)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_construct(path, item) for item in node.value]
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN_TAGS:
        raise InputError(f"{path}:{line}: the tag {node.tag} is not allowed here; write plain text.")
    if node.style is not None or node.value not in _WORDS:
        return int(node.value) if node.style is None and _INT.fullmatch(node.value) else node.value
    return _WORDS[node.value]


_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}

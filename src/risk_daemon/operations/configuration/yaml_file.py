"""A YAML file as plain values, with the line each of them stands on.

YAML 1.2, so `on`, `no` and `12:30` stay text. Keys are text, a key stands once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from risk_daemon.operations.configuration.problems import (
    ABSENT,
    NO_KEY,
    InvalidConfiguration,
    Problem,
    nearest,
)

type Path_ = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class YamlFile:
    """One file: what it says, and where it says it."""

    name: str
    values: dict[str, Any]
    tree: Any

    def line(self, path: Path_) -> int:
        """The line a value, or the nearest thing around it, stands on."""
        node, line = self.tree, 1
        for part in path:
            found = _line_of(node, part)
            if found is None:
                break
            line = found
            node = node[part]
        return line

    def value(self, path: Path_) -> object:
        """What stands at a path, or ABSENT."""
        node: Any = self.values
        for part in path:
            try:
                node = node[part]
            except (KeyError, IndexError, TypeError):
                return ABSENT
        return node

    def unknown(self, path: Path_, what: str, known: Sequence[str]) -> Problem:
        """Say that a key is not one of those that may stand there, and which it may have meant."""
        allowed = f"{what}: {', '.join(known)}"
        near = nearest(str(path[-1]), known)
        return Problem(self.name, self.line(path), dotted(path), NO_KEY, allowed, near)

    def problem(self, path: Path_, allowed: str, nearest: str = "") -> Problem:
        """Say what is wrong at a path."""
        return Problem(self.name, self.line(path), dotted(path), self.value(path), allowed, nearest)


def _line_of(node: object, part: str | int) -> int | None:
    """Line (from 1) of one entry of a mapping or a list."""
    if isinstance(node, CommentedMap) and part in node:
        return int(node.lc.key(part)[0]) + 1
    if isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
        return int(node.lc.item(part)[0]) + 1
    return None


def dotted(path: Path_) -> str:
    """Write a path as people say it: `logins[0].user`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read(path: Path, name: str) -> YamlFile:
    """Read a file that must hold a mapping; raises InvalidConfiguration."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidConfiguration([Problem(name, 0, "", ABSENT, f"a file at {path}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(
            [Problem(name, 0, "", "unreadable", f"UTF-8 text that can be read ({error})")]
        ) from None
    try:
        tree = YAML(typ="rt").load(text)
    except YAMLError as error:
        raise InvalidConfiguration([_broken(name, error)]) from None
    if tree is None:
        return YamlFile(name, {}, CommentedMap())
    if not isinstance(tree, CommentedMap):
        raise InvalidConfiguration([Problem(name, 1, "", str(tree)[:40], "keys with values")])
    strange = [key for key in tree if not isinstance(key, str)]
    if strange:
        raise InvalidConfiguration([Problem(name, 1, str(strange[0]), strange[0], "a key of text")])
    return YamlFile(name, plain(tree), tree)


def _broken(name: str, error: YAMLError) -> Problem:
    """Turn a complaint of the parser into ours: one line, no excerpt."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Problem(name, 0, "", "not YAML", "YAML 1.2")
    said = str(error.problem or "not YAML").split("\n")[0]
    return Problem(name, error.problem_mark.line + 1, "", said, "YAML 1.2, each key once")


def plain(node: object) -> Any:
    """Take the parser's own types off."""
    if isinstance(node, CommentedMap):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)

"""The tables of vectors that each rule comes with, one file per rule, as they are installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

from risk_daemon import rules


@dataclass(frozen=True)
class Vector:
    """One row of a table."""

    table: Mapping[str, Any]

    def __str__(self) -> str:
        return str(self.table["name"])


def vectors_of(rule: str) -> list[Vector]:
    """Read a rule's vectors."""
    path = files(rules) / "vectors" / f"{rule.replace('-', '_')}.yaml"
    return [Vector(row) for row in YAML(typ="safe").load(path.read_text(encoding="utf-8"))]

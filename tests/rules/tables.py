"""The tables of vectors, one file per rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parent / "vectors"


@dataclass(frozen=True)
class Vector:
    """One row of a table."""

    table: Mapping[str, Any]

    def __str__(self) -> str:
        return str(self.table["name"])


def vectors_of(rule: str) -> list[Vector]:
    """Read a rule's vectors."""
    path = FOLDER / f"{rule.replace('-', '_')}.yaml"
    return [Vector(row) for row in YAML(typ="safe").load(path.read_text())]

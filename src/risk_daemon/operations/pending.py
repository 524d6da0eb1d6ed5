"""A person's orders given while no process could take them: kept, and adopted at the next start.

One JSON line each, flushed before the person is told. `adopt` puts them into
the journal under their own id, so that adopting twice is harmless.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.core.events import OperatorActed
from risk_daemon.operations.home import Home

FILE: Final = "pending-acts.jsonl"


def _path(home: Home) -> Path:
    return home.state / FILE


def keep(home: Home, act: OperatorActed) -> None:
    """Write an act down, durably."""
    with _path(home).open("ab") as file:
        file.write(msgspec.json.encode(act) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def kept(home: Home) -> list[OperatorActed]:
    """Every act that waits; a line torn by a power cut is nobody's order."""
    try:
        lines = _path(home).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=OperatorActed) for line in lines if line.endswith(b"\n")]


def forget(home: Home) -> None:
    """All are in the journal."""
    _path(home).unlink(missing_ok=True)

"""What people ordered or said while no process could take it: kept, and adopted at the next start.

One JSON line each, flushed before the person is told. `adopt` puts them into
the journal under their own id, so that adopting twice is harmless.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.core.events import AlarmRaised, OperatorActed
from risk_daemon.operations.home import Home

FILE: Final = "pending-acts.jsonl"
MESSAGES: Final = "pending-messages.jsonl"


class Message(msgspec.Struct, frozen=True):
    """A message to an audience, and the id under which it is stored once."""

    id: str
    alarm: AlarmRaised


def keep(home: Home, act: OperatorActed) -> None:
    """Write an act down, durably."""
    _keep(home.state / FILE, act)


def keep_message(home: Home, message: Message) -> None:
    """Write a message down, durably."""
    _keep(home.state / MESSAGES, message)


def _keep(path: Path, one: msgspec.Struct) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode(one) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def kept(home: Home) -> list[OperatorActed]:
    """Every act that waits; a line torn by a power cut is nobody's order."""
    return [msgspec.json.decode(line, type=OperatorActed) for line in _lines(home.state / FILE)]


def messages(home: Home) -> list[Message]:
    """Every message that waits."""
    return [msgspec.json.decode(line, type=Message) for line in _lines(home.state / MESSAGES)]


def _lines(path: Path) -> list[bytes]:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [line for line in lines if line.endswith(b"\n")]


def forget(home: Home) -> None:
    """All are in the journal."""
    for name in (FILE, MESSAGES):
        (home.state / name).unlink(missing_ok=True)

"""The protective plan: what an account's worker wrote down for the time without any worker.

Two slots, written in turn, one line each: `CRC NUMBER JSON` (docs/formats/plan.md). The newer
one that is whole counts. Pure but for `read`, and without anything outside the standard library.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
FULL: Final = "full"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that stood. `until` is UTC in ns, None without an end; `scope` a root, or empty."""

    mode: str
    scope: str = ""
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """What a contract's price is worth."""

    root: str
    tick_size: Decimal
    tick_value: Decimal


@dataclass(frozen=True, slots=True)
class Plan:
    """One account's plan. `floor` is the equity at which everything is closed; None: no limit."""

    account: int
    login: str
    floor: Decimal | None = None
    locks: tuple[Lock, ...] = ()
    contracts: Mapping[str, Grid] = field(default_factory=dict)


def names(account: int) -> tuple[str, str]:
    """Name the two slots of an account; even numbers are in the first."""
    return f"plan-{account}-0.txt", f"plan-{account}-1.txt"


def line_of(number: int, body: bytes) -> bytes:
    """Write a slot's one line."""
    content = b"%d %b" % (number, body)
    return b"%08x %b\n" % (zlib.crc32(content), content)


def slot_of(raw: bytes) -> tuple[int, bytes] | None:
    """Read a slot: its number and its JSON; None where it is damaged."""
    told, _, content = raw.removesuffix(b"\n").partition(b" ")
    number, _, body = content.partition(b" ")
    if told != b"%08x" % zlib.crc32(content) or not number.isdigit():
        return None
    return int(number), body


def newest(slots: Iterable[bytes]) -> tuple[int, bytes] | None:
    """Return the newest whole slot."""
    return max((found for raw in slots if (found := slot_of(raw)) is not None), default=None)


def parse(body: bytes) -> Plan | None:
    """Read a plan; None where it is none, or of a format this program does not know."""
    try:
        told: dict[str, Any] = json.loads(body)
        if told["format"] != FORMAT:
            return None
        floor = told["floor"]
        return Plan(
            account=int(told["account"]),
            login=str(told["login"]),
            floor=None if floor is None else Decimal(floor),
            locks=tuple(Lock(str(m), str(s), u) for m, s, u in told["locks"]),
            contracts={
                str(name): Grid(str(root), Decimal(size), Decimal(value))
                for name, (root, size, value) in told["contracts"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation):
        return None


def read(state: Path, account: int) -> Plan | None:
    """Read an account's plan from the disk; None where nothing whole is left of it."""
    slots = []
    for name in names(account):
        try:
            slots.append((state / name).read_bytes())
        except OSError:
            continue
    found = newest(slots)
    return parse(found[1]) if found is not None else None

"""A day of a home's journal as a file that the simulated gateway can play: quotes, and who traded.

What the daemon itself closed is left out: whoever guards the accounts in the replay decides that
anew. Instants are seconds since the first step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from risk_daemon.core.events import (
    Entry,
    Fact,
    MarkChanged,
    RequestSent,
    RequestSettled,
    TradeSeen,
)
from risk_daemon.core.session import CALENDARS, session_at
from risk_daemon.errors import NotFound, Refused
from risk_daemon.operations import home as homes
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from risk_daemon.sim import contracts

FORMAT: Final = 1
KINDS: Final = ("mark-changed", "trade-seen", "request-sent", "request-settled")
_UNIT: Final = Decimal(1_000_000_000)
_SIDES: Final = ("buy", "sell")


@dataclass(slots=True)
class Day:
    """What becomes of a journal: steps, and how much of what was left out."""

    begins: int = 0
    ends: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    accounts: set[int] = field(default_factory=set)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave(self, why: str) -> None:
        """Count something that the gateway can't play, or must not."""
        self.left_out[why] = self.left_out.get(why, 0) + 1


def day_of(found: Iterable[Entry]) -> Day:
    """Make steps of facts, in their order. Pure."""
    day, closing = Day(), set[tuple[int, str]]()
    traded: set[tuple[int, int]] = set()
    for entry in found:
        fact = entry.fact
        match fact:
            case RequestSent():
                closing.add((fact.account, fact.contract))
            case RequestSettled():
                closing.discard((fact.account, fact.contract))
            case MarkChanged() | TradeSeen():
                step = _step(fact, day, closing, traded)
                if step is not None:
                    day.begins = day.begins or entry.at
                    day.ends = entry.at
                    day.steps.append({"at": round((entry.at - day.begins) / 1e9, 3), **step})
            case _:
                pass
    return day


def _step(
    fact: Fact, day: Day, closing: set[tuple[int, str]], traded: set[tuple[int, int]]
) -> dict[str, Any] | None:
    assert isinstance(fact, MarkChanged | TradeSeen)
    root = contracts.root_of(fact.contract)
    if root is None:
        day.leave("of products that the simulated gateway does not list")
        return None
    if isinstance(fact, MarkChanged):
        if fact.bid is None or fact.ask is None or fact.bid >= fact.ask:
            day.leave("one-sided quotes")
            return None
        prices = {"bid": fact.bid, "ask": fact.ask, "last": fact.last or fact.bid}
        return {"quote": {"contract": root, **{k: _price(v) for k, v in prices.items()}}}
    if fact.voided or (fact.account, fact.trade) in traded:
        return None
    traded.add((fact.account, fact.trade))
    if (fact.account, fact.contract) in closing:
        day.leave("fills of the daemon's own closes")
        return None
    day.accounts.add(fact.account)
    order = {"account": fact.account, "contract": root, "side": _SIDES[fact.side]}
    return {"order": {**order, "size": fact.size, "type": "market"}}


def _price(value: int) -> str:
    return format((Decimal(value) / _UNIT).normalize(), "f")


def of_home(at: Home, trade_date: str) -> Day:
    """Read one trade date of a home's journal, beside a running daemon or without one."""
    homes.read(at)
    file = at.state / FILE
    if not file.is_file():
        raise NotFound(f"there is no state file in {at.state}: this home has never run.")
    day = day_of(_within(entries(file, KINDS), trade_date))
    if not day.steps:
        said = f" of {trade_date}" if trade_date else ""
        raise NotFound(f"the journal of {at.path} holds no quote and no fill{said}.")
    return day


def _within(found: Iterable[Entry], trade_date: str) -> Iterator[Entry]:
    for entry in found:
        if not trade_date or session_at(CALENDARS[0], entry.at).trade_date == trade_date:
            yield entry


def write(day: Day, out: Path) -> None:
    """Write a day as lines of JSON, whole or not at all. Raises Refused where a file is."""
    if out.exists():
        raise Refused(f"{out} exists already; nothing was written. Choose another --out.")
    head = {
        "format": FORMAT,
        "what": "recorded day",
        "begins_ns": day.begins,
        "seconds": round((day.ends - day.begins) / 1e9, 3),
        "accounts": sorted(day.accounts),
        "steps": len(day.steps),
    }
    partial = out.with_name(f".{out.name}.part")
    with partial.open("w", encoding="utf-8") as file:
        for row in (head, *day.steps):
            file.write(json.dumps(row) + "\n")
    partial.replace(out)

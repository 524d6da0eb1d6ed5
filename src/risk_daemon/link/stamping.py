"""What a link makes of the broker's words before they go into the stream. No loop, no clock.

The fence sees a fact first; the position version it then has goes with the fact, so that a goal
decided on it can be told from one decided on something older.
"""

from __future__ import annotations

import msgspec

from risk_daemon.broker import fence
from risk_daemon.broker.port import Reading
from risk_daemon.core.events import (
    Fact,
    OrderChanged,
    PositionChanged,
    Reconciled,
    TradeSeen,
)


def arrived(gate: fence.Gate, fact: Fact, now: int) -> tuple[Fact, list[fence.Output]]:
    """Show a fact to the fence; return it with its version, and what the fence says."""
    outputs = fence.step(gate, fence.Arrived(fact), now)
    if isinstance(fact, OrderChanged | PositionChanged | TradeSeen):
        version = fence.version_of(gate, fact.account, fact.contract)
        fact = msgspec.structs.replace(fact, version=version)
    return fact, outputs


def read(gate: fence.Gate, reading: Reading, now: int) -> tuple[Reconciled, list[fence.Output]]:
    """Show a reading to the fence; return what of it goes into the stream, and what it says."""
    rows = reading.rows
    ended = _ended_unseen(gate, reading)
    outputs = fence.step(gate, fence.ReadDone(reading), now)
    stamped = tuple(
        msgspec.structs.replace(row, version=fence.version_of(gate, row.account, row.contract))
        for row in rows.positions
    )
    return msgspec.structs.replace(rows, positions=stamped, orders=(*rows.orders, *ended)), outputs


def _ended_unseen(gate: fence.Gate, reading: Reading) -> tuple[OrderChanged, ...]:
    """Return the orders that ended in a gap of the stream: only a read of all states tells."""
    known = gate.of(reading.account).orders
    return tuple(
        order
        for order in reading.recent or ()
        if not fence.is_working(order)
        and order.order in known
        and fence.is_working(known[order.order].order)
    )

"""The daemon's closes on one account: in flight, settled, and what their fills did.

A close is *in flight* from acceptance until it ended at the exchange **and** its fill could be
known: by its trades, by the position message of its last fill, or by a read begun afterwards. Only
then may the next request on that contract be sized.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from risk_daemon.sim.ledger import Row, whole
from risk_daemon.sim.model import Message

NEVER_NS = -(10**18)


@dataclass(slots=True)
class Close:
    """One accepted close."""

    request: int
    order: int
    contract: str
    accepted_ns: int
    filled: int = 0
    ended_ns: int | None = None
    seen_trades: dict[int, int] = field(default_factory=dict)
    is_seen: bool = False
    has_raised: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether the next request may be sized without it."""
        return self.ended_ns is not None and self.is_seen


@dataclass(frozen=True, slots=True)
class BadFill:
    """A fill of a close that did harm: `how` is reversed, reversed_by_race or increased."""

    how: str
    request: int
    contract: str
    size: int


class Flight:
    """All closes the daemon had accepted on one account."""

    def __init__(self) -> None:
        self._closes: dict[int, Close] = {}
        self._opened_by_close: set[str] = set()
        self._other_fill_ns: dict[str, int] = {}
        self._flattened_ns: dict[str, int] = {}

    def accept(self, request: int, order: int, contract: str, now_ns: int) -> None:
        """A close was accepted as this order."""
        self._closes[order] = Close(request, order, contract, now_ns)

    def unsettled(self) -> list[Close]:
        """Closes still in flight, or whose fill nobody could know yet."""
        return [close for close in self._closes.values() if not close.is_settled]

    def last_end_ns(self, contract: str) -> int | None:
        """When the last close of a contract ended, or None."""
        ends = [
            close.ended_ns
            for close in self._closes.values()
            if close.contract == contract and close.ended_ns is not None
        ]
        return max(ends, default=None)

    def flattened_ns(self, contract: str) -> int | None:
        """When a close of ours made a contract flat that nobody opened since, or None."""
        return self._flattened_ns.get(contract)

    def last_ns(self) -> int:
        """When a close was last heard of."""
        return max((c.ended_ns or c.accepted_ns for c in self._closes.values()), default=NEVER_NS)

    def ended(self, order: int | None, now_ns: int) -> None:
        """An order reached its end; if it is a close, it ended."""
        close = self._closes.get(order or 0)
        if close is not None:
            close.ended_ns = now_ns

    def saw(self, message: Message) -> None:
        """A message was delivered; it may be what settles a close."""
        close = self._closes.get(message.order or 0)
        if close is None or close.ended_ns is None:
            return
        if message.kind == "trade":
            close.seen_trades[whole(message.row, "id")] = whole(message.row, "size")
            close.is_seen |= sum(close.seen_trades.values()) >= close.filled
        elif message.ends_order and (message.kind == "position" or close.filled == 0):
            close.is_seen = True

    def read(self, kind: str) -> None:
        """A REST answer was written: it shows every fill before it, orders only the ends."""
        for close in self._closes.values():
            if close.ended_ns is not None and (kind != "order" or close.filled == 0):
                close.is_seen = True

    def fill(self, row: Row, q: int, now_ns: int) -> BadFill | None:
        """A half-turn happened at position q; what harm a close of ours did, or None."""
        contract, size = str(row["contractId"]), whole(row, "size")
        close = self._closes.get(whole(row, "orderId"))
        if close is None or row["voided"]:
            self._other_fill_ns[contract] = now_ns
            self._opened_by_close.discard(contract)
            self._flattened_ns.pop(contract, None)
            return None
        close.filled += size
        signed = size if row["side"] == 0 else -size
        if q + signed == 0:
            self._flattened_ns[contract] = now_ns
        if q * signed < 0:
            return None
        if q == 0 or contract in self._opened_by_close:
            self._opened_by_close.add(contract)
            is_race = self._other_fill_ns.get(contract, NEVER_NS) >= close.accepted_ns
            how = "reversed_by_race" if is_race else "reversed"
            return BadFill(how, close.request, contract, size)
        if close.has_raised:
            return None
        close.has_raised = True
        return BadFill("increased", close.request, contract, 1)

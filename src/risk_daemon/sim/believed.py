"""Which delivered quotes are believed, and when.

A one-sided, crossed or zero quote is none. One that jumps more than forty ticks from the last
valid one counts when a trade printed at or beyond it, when that side says so again 50 ms later,
when the other side followed, or after 250 ms; until then the old one stands. Source: the project's
decisions, 1.4; the arithmetic is this room's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.sim.model import Quote
from risk_daemon.sim.moment import NS_PER_MS

JUMP_TICKS = 40
AGAIN_NS = 50 * NS_PER_MS
COUNTS_ANYWAY_NS = 250 * NS_PER_MS


@dataclass(slots=True)
class _Doubted:
    quote: Quote
    bid_way: int
    ask_way: int
    since_ns: int


class Believed:
    """The believed quote of one contract, as one login has it delivered."""

    def __init__(self, tick: Decimal) -> None:
        self.quote: Quote | None = None
        self._reach = tick * JUMP_TICKS
        self._doubted: _Doubted | None = None

    def quoted(self, quote: Quote, now_ns: int) -> bool:
        """A quote was delivered; whether what is believed changed."""
        if not quote.is_valid:
            return False
        if self.quote is None:
            return self._believe(quote)
        bid_way = self._way(quote.bid - self.quote.bid)
        ask_way = self._way(quote.ask - self.quote.ask)
        if bid_way == ask_way:  # neither jumped, or one side followed the other
            return self._believe(quote)
        before = self._doubted
        if before is None or (before.bid_way, before.ask_way) != (bid_way, ask_way):
            is_again = before is not None and self._says_again(before, bid_way, ask_way, now_ns)
            if is_again:
                return self._believe(quote)
            self._doubted = _Doubted(quote, bid_way, ask_way, now_ns)
            return False
        if now_ns - before.since_ns >= AGAIN_NS:
            return self._believe(quote)
        before.quote = quote
        return False

    def printed(self, price: Decimal) -> bool:
        """A trade was printed; whether it proves a quote that was doubted."""
        doubted = self._doubted
        if doubted is None:
            return False
        beyond_bid = doubted.bid_way and (price - doubted.quote.bid) * doubted.bid_way >= 0
        beyond_ask = doubted.ask_way and (price - doubted.quote.ask) * doubted.ask_way >= 0
        return self._believe(doubted.quote) if beyond_bid or beyond_ask else False

    def passed(self, now_ns: int) -> bool:
        """Time passed; whether a doubted quote counts anyway now."""
        doubted = self._doubted
        if doubted is None or now_ns - doubted.since_ns < COUNTS_ANYWAY_NS:
            return False
        return self._believe(doubted.quote)

    def _way(self, change: Decimal) -> int:
        if abs(change) <= self._reach:
            return 0
        return 1 if change > 0 else -1

    @staticmethod
    def _says_again(before: _Doubted, bid_way: int, ask_way: int, now_ns: int) -> bool:
        same_side = (bid_way and bid_way == before.bid_way) or (
            ask_way and ask_way == before.ask_way
        )
        return bool(same_side) and now_ns - before.since_ns >= AGAIN_NS

    def _believe(self, quote: Quote) -> bool:
        is_news = quote != self.quote
        self.quote, self._doubted = quote, None
        return is_news

"""Which quotes are believed, and when: one wild quote must not liquidate anyone.

A quote that is one-sided, crossed or zero is no mark. One that jumps more than
`JUMP_TICKS` from the last valid mark is *suspect*: it counts when a trade
printed at or beyond it, when the same side says so again `SECOND_QUOTE` later,
when the other side followed, and after `BELIEVE_AFTER` in any case. Until then
the old mark stands: to act on one wild quote is a false liquidation, to wait
longer a missed one.

Pure: `take_quote`, `take_print` and `due` return whether the valid mark changed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.core.events import MarkChanged
from risk_daemon.core.instrument import Instrument

JUMP_TICKS: Final = 40
SECOND_QUOTE: Final = 50_000_000
BELIEVE_AFTER: Final = 250_000_000


class Suspect(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The latest quote that is not believed yet, and since when each side jumped which way.

    `bid` and `ask` are -1 or +1 for a side that jumped down or up, 0 for one that did not.
    """

    quote: MarkChanged
    since: int
    bid: int = 0
    ask: int = 0


class Market(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The valid mark of one contract, None before the first, and the suspect one beside it."""

    valid: MarkChanged | None = None
    suspect: Suspect | None = None


def take_quote(market: Market, quote: MarkChanged, grid: Instrument | None, at: int) -> bool:
    """Take a quote; without the contract's grid nothing can be measured, so it counts."""
    if not quote.bid or not quote.ask or quote.bid > quote.ask:
        return False
    valid = market.valid
    if valid is None or grid is None:
        return _accept(market, quote)
    reach = JUMP_TICKS * grid.tick_size
    bid = _jump(quote.bid, valid.bid or quote.bid, reach)
    ask = _jump(quote.ask, valid.ask or quote.ask, reach)
    if not bid and not ask:
        return _accept(market, quote)
    if bid == ask or _said_before(market.suspect, bid, ask, at):
        return _accept(market, quote)
    if market.suspect is None or (market.suspect.bid, market.suspect.ask) != (bid, ask):
        market.suspect = Suspect(quote=quote, since=at, bid=bid, ask=ask)
    else:
        market.suspect.quote = quote
    return False


def _jump(price: int, before: int, reach: int) -> int:
    if abs(price - before) <= reach:
        return 0
    return 1 if price > before else -1


def _said_before(suspect: Suspect | None, bid: int, ask: int, at: int) -> bool:
    """Tell whether the side that jumped said so at least `SECOND_QUOTE` ago."""
    if suspect is None or at - suspect.since < SECOND_QUOTE:
        return False
    return bool((bid and bid == suspect.bid) or (ask and ask == suspect.ask))


def take_print(market: Market, price: int) -> bool:
    """Take a trade print: one at or beyond the side that jumped proves it."""
    suspect = market.suspect
    if suspect is None:
        return False
    sides = ((suspect.bid, suspect.quote.bid or 0), (suspect.ask, suspect.quote.ask or 0))
    if not any(way and (price - side) * way >= 0 for way, side in sides):
        return False
    return _accept(market, suspect.quote)


def due(market: Market, at: int) -> bool:
    """Believe a suspect quote that has stood for `BELIEVE_AFTER`."""
    suspect = market.suspect
    if suspect is None or at - suspect.since < BELIEVE_AFTER:
        return False
    return _accept(market, suspect.quote)


def wake_at(market: Market) -> int:
    """Return when `due` could be true, 0 for never."""
    return market.suspect.since + BELIEVE_AFTER if market.suspect else 0


def _accept(market: Market, quote: MarkChanged) -> bool:
    changed = market.valid != quote
    market.valid, market.suspect = quote, None
    return changed

"""Quotes that cannot change a decision, so that none is asked of a rule for nothing.

A rule says how much money an account may still lose or gain before it finds
anything else; that room is divided evenly among the contracts held, so that
they may all move together. An account's quiet prices are those quiet for each
of its rules, a contract's those quiet for each of its holders.

The oracle is the engine that asks at every quote: both must decide the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from risk_daemon.core.account import Account, exit_price
from risk_daemon.core.decision import Quiet
from risk_daemon.core.events import MarkChanged
from risk_daemon.core.world import World

WIDEST: Final = Quiet()


class Span(msgspec.Struct, frozen=True, gc=False):
    """Quiet prices of one contract for all its holders: the bid for longs, the ask for shorts."""

    bid: Quiet = WIDEST
    ask: Quiet = WIDEST

    def holds(self, mark: MarkChanged) -> bool:
        """Tell whether a mark lies within."""
        return _within(self.bid, mark.bid) and _within(self.ask, mark.ask)


def _within(quiet: Quiet, price: int | None) -> bool:
    if price is None:
        return False
    low, high = quiet.low, quiet.high
    return (low is None or low <= price) and (high is None or price <= high)


def by_money(
    world: World, account: Account, loss: int | None, gain: int | None
) -> dict[str, Quiet] | None:
    """Divide a room of money that may be lost, and gained, among the contracts held.

    None for a room means that way is open. Money is rounded to the unit per
    contract, which is why each share is one unit short.
    """
    held = [(name, one) for name, one in account.holdings.items() if one.by_trades]
    found: dict[str, Quiet] = {}
    for name, holding in held:
        grid, size = world.instruments[name], holding.by_trades
        price = exit_price(world.marks.get(name), size)
        if price is None:
            return None
        per_price = grid.tick_value * abs(size)
        down = None if loss is None else _share(loss, len(held)) * grid.tick_size // per_price
        up = None if gain is None else _share(gain, len(held)) * grid.tick_size // per_price
        worse, better = (down, up) if size > 0 else (up, down)
        found[name] = Quiet(
            None if worse is None else price - worse, None if better is None else price + better
        )
    return found


def _share(room: int, parts: int) -> int:
    return max(room // parts - 1, 0)


def narrower(one: Quiet, other: Quiet) -> Quiet:
    """Return what lies within both."""
    lows = [low for low in (one.low, other.low) if low is not None]
    highs = [high for high in (one.high, other.high) if high is not None]
    return Quiet(max(lows, default=None), min(highs, default=None))


def together(found: Iterable[Mapping[str, Quiet] | None]) -> dict[str, Quiet] | None:
    """Join what several rules say of one account; None as soon as one must always be asked."""
    whole: dict[str, Quiet] = {}
    for one in found:
        if one is None:
            return None
        for name, quiet in one.items():
            whole[name] = narrower(whole[name], quiet) if name in whole else quiet
    return whole

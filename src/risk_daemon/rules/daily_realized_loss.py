"""`daily-realized-loss`: the day's realized loss stops the day.

Realized means net: P&L of the day's trades less fees and commissions, on
opening fills too (they only cost). At the limit is past it: the limit is the
first loss forbidden. The account is flattened and locked until the next reset;
a later winning close or a voided trade does not unlock it.

Source: docs/rules/daily-realized-loss.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.decision import (
    ANY_PRICE,
    FULL,
    Breach,
    Clear,
    Finding,
    LockWish,
    Quiet,
    Remedy,
    Undecided,
)
from risk_daemon.core.events import Fact
from risk_daemon.core.instrument import UNIT, show
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.parameters import HIGHER, LOWER, Reader, RuleKind

NAME: Final = "daily-realized-loss"


class DailyRealizedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters in money units: act at `limit` less `buffer`, on the `pnl_basis` figure."""

    limit: int
    buffer: int = 0
    pnl_basis: str = "net"
    name: str = NAME
    priority: int = 20
    reads: ClassVar[frozenset[Aspect]] = frozenset({Aspect.TRADES})

    def check(self, world: World, account: Account) -> Finding:
        """Compare the day's realized P&L with the limit; a missing trade leaves it undecided."""
        del world
        if not account.pnl_is_known:
            return Undecided(why="realized P&L lacks a trade that was filled but not shown")
        realized = account.realized_net
        if self.pnl_basis == "gross":
            realized = account.realized_gross
        if realized > self.buffer - self.limit:
            used = -realized * UNIT // self.limit
            return Clear(figure=realized, bound=-self.limit, used=used)
        observed, limit = show(realized), show(-self.limit)
        return Breach(
            observed=observed,
            limit=limit,
            text=f"realized {observed} today ({self.pnl_basis}), the limit is {limit}",
            remedy=Remedy(
                flatten=True, cancel="all", lock=LockWish(FULL, account.next_reset or None)
            ),
        )

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """No price takes part."""
        del world, account
        return ANY_PRICE


def _rehearsal(
    rule: Rule, world: World, account: Account
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    assert isinstance(rule, DailyRealizedLoss)
    limit = rule.limit - rule.buffer
    held = rehearsal.opened(world, account, 2)
    near = rehearsal.closed(world, account, 1, pnl=-(limit - 1))
    return (*held, *near), (*held, *rehearsal.closed(world, account, 1, pnl=-limit))


def _build(reader: Reader) -> DailyRealizedLoss:
    limit = reader.money("limit", at_least=1)
    buffer = reader.money("buffer", "0")
    if buffer >= limit:
        raise reader.fail("buffer", "an amount below the limit")
    reader.choice("reset", ("session",), "session")
    return DailyRealizedLoss(
        limit=limit,
        buffer=buffer,
        pnl_basis=reader.choice("pnl_basis", ("net", "gross"), "net"),
    )


KIND: Final = RuleKind(
    name=NAME,
    summary="The day's realized loss flattens the account and locks it until the next reset.",
    parameters={
        "limit": 'an amount above 0, as text, e.g. "500.00" (required)',
        "buffer": 'an amount below the limit, as text (default "0": act at the limit)',
        "pnl_basis": "net or gross (default net: after fees and commissions)",
        "reset": "session (default: 17:00 Chicago by the account's calendar)",
    },
    build=_build,
    rehearsal=_rehearsal,
    defaults={"buffer": "0", "pnl_basis": "net", "reset": "session"},
    tighter={"limit": LOWER, "buffer": HIGHER},
    common=("warn_at", "lockout", "on_repeat", "schedule", "reason_text"),
)

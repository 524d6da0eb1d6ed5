"""`daily-combined-loss`: the day's loss, realized and open together, stops the day.

Day P&L is what the day's trades realized, net of costs, plus what open
positions would make at the side they could leave at, less what leaving would
cost. At the limit is past it. The account is flattened and locked until the
next reset. A stage before it, if one is given, allows only reductions.

Source: docs/rules/daily-combined-loss.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from risk_daemon.core.account import Account, open_pnl
from risk_daemon.core.decision import (
    FULL,
    NO_PRICE,
    REDUCE_ONLY,
    Breach,
    Clear,
    Finding,
    LockWish,
    Quiet,
    Remedy,
    Undecided,
)
from risk_daemon.core.events import Fact
from risk_daemon.core.instrument import UNIT, divide, show
from risk_daemon.core.quiet import by_money
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.parameters import HIGHER, LOWER, Reader, RuleKind

NAME: Final = "daily-combined-loss"


class DailyCombinedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters in money units; `reduce_at` is the loss of the first stage, 0 for none."""

    limit: int
    buffer: int = 0
    est_exit_fees: int = 0
    reduce_at: int = 0
    name: str = NAME
    priority: int = 20
    reads: ClassVar[frozenset[Aspect]] = frozenset({Aspect.TRADES, Aspect.PRICES})

    def check(self, world: World, account: Account) -> Finding:
        """Compare day P&L less the cost of leaving with the limit."""
        if not account.pnl_is_known:
            return Undecided(why="day P&L lacks a trade that was filled but not shown")
        floating = open_pnl(account, world.marks, world.instruments)
        if floating is None:
            return Undecided(why="an open position has no believable mark or no contract data")
        figure = account.realized_net + floating - self._exit_costs(world, account)
        if figure <= self.buffer - self.limit:
            return self._breach(account, figure, "", Remedy(flatten=True, cancel="all"), FULL)
        if self.reduce_at and figure <= -self.reduce_at:
            return self._breach(account, figure, "stage", Remedy(cancel="increasing"), REDUCE_ONLY)
        used = -figure * UNIT // self.limit
        return Clear(figure=figure, bound=-self.limit, used=used, whole=self.limit)

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """Say how far the market may move before the first stage, or the limit, is reached."""
        finding = self.check(world, account)
        floating = open_pnl(account, world.marks, world.instruments)
        if not isinstance(finding, Clear) or floating is None:
            return NO_PRICE
        figure = account.realized_net + floating - self._exit_costs(world, account)
        first = min(self.limit - self.buffer, self.reduce_at or self.limit)
        return by_money(world, account, loss=figure + first, gain=None)

    def _exit_costs(self, world: World, account: Account) -> int:
        """Return what closing everything would cost: the last fill's cost, per root."""
        total = 0
        for name, holding in account.holdings.items():
            grid = world.instruments.get(name)
            learned = account.exit_fees.get(grid.root) if grid else None
            each = learned.per_contract if learned else self.est_exit_fees
            total += each * abs(holding.by_trades)
        return total

    def _breach(
        self, account: Account, figure: int, part: str, remedy: Remedy, mode: str
    ) -> Breach:
        observed, limit = show(figure), show(-self.limit)
        lock = LockWish(mode, account.next_reset or None)
        return Breach(
            observed=observed,
            limit=limit,
            text=f"day P&L {observed}, realized and open, the limit is {limit}",
            remedy=msgspec.structs.replace(remedy, lock=lock),
            part=part,
        )


def _rehearsal(
    rule: Rule, world: World, account: Account
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    assert isinstance(rule, DailyCombinedLoss)
    size = rehearsal.size_for(world, rule.limit)
    costs = size * rehearsal.exit_cost(rule.est_exit_fees, world, account)
    limit = rule.limit - rule.buffer
    # The quiet loss is whole ticks below the first stage: at most one tick short of it.
    quiet = min(limit, rule.reduce_at or limit) - costs - rehearsal.tick(world, size)
    held = rehearsal.opened(world, account, size)
    near = rehearsal.lost(world, size, max(quiet, 0))
    return (*held, *near), (*held, *rehearsal.lost(world, size, limit))


def _build(reader: Reader) -> DailyCombinedLoss:
    limit = reader.money("limit", at_least=1)
    buffer = reader.money("buffer", "0")
    if buffer >= limit:
        raise reader.fail("buffer", "an amount below the limit")
    reduce_at = 0
    stages = reader.rows("staged", {"at": "a share of the limit", "do": "what happens there"})
    for stage in stages:
        share = stage.money("at")
        if stage.choice("do", ("reduce-only", "flatten-lock"), "flatten-lock") == "flatten-lock":
            if share != UNIT:
                raise stage.fail("at", '"1" for flatten-lock: the limit itself')
        elif not 0 < share < UNIT:
            raise stage.fail("at", 'a share between 0 and 1 as text, e.g. "0.7"')
        else:
            reduce_at = divide(limit * share, UNIT)
    return DailyCombinedLoss(
        limit=limit,
        buffer=buffer,
        est_exit_fees=reader.money("est_exit_fees", "0"),
        reduce_at=reduce_at,
    )


KIND: Final = RuleKind(
    name=NAME,
    summary="The day's loss, realized and open, flattens the account and locks it until the reset.",
    parameters={
        "limit": 'an amount above 0, as text, e.g. "1000.00" (required)',
        "buffer": 'an amount below the limit, as text (default "0": act at the limit)',
        "est_exit_fees": 'what leaving costs per contract until a fill tells (default "0")',
        "staged": 'a list such as [{at: "0.7", do: reduce-only}, {at: "1", do: flatten-lock}]'
        " (default: the limit only)",
    },
    build=_build,
    rehearsal=_rehearsal,
    defaults={"buffer": "0", "est_exit_fees": "0", "staged": None},
    tighter={"limit": LOWER, "buffer": HIGHER, "est_exit_fees": HIGHER},
    common=("warn_at", "lockout", "on_repeat", "schedule", "reason_text"),
)

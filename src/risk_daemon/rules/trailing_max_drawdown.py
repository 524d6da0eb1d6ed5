"""`trailing-max-drawdown`: equity must stay above a floor that only rises.

The floor is the high-water mark less the drawdown, and never above `lock_at`.
What the high-water mark is taken of is `trail`: the balance at the end of
each trade day, equity at every mark, the balance at every trade, or nothing at
all (`static`). The firm ends the account at the floor; this rule acts `buffer`
above it: flatten, and locked until an admin ends it. With a fifth of the
drawdown left the account may only be reduced, until the next reset.

Source: docs/rules/trailing-max-drawdown.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from risk_daemon.core.account import Account, equity
from risk_daemon.core.decision import (
    FULL,
    NO_PRICE,
    REDUCE_ONLY,
    Breach,
    Clear,
    Finding,
    LockWish,
    Memory,
    Quiet,
    Remedy,
    Undecided,
)
from risk_daemon.core.events import Fact
from risk_daemon.core.instrument import UNIT, show
from risk_daemon.core.quiet import by_money
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.parameters import HIGHER, LOWER, Reader, RuleKind

NAME: Final = "trailing-max-drawdown"
EOD, INTRADAY_EQUITY = "eod", "intraday-equity"
INTRADAY_REALIZED, STATIC = "intraday-realized", "static"
TRAILS: Final = (EOD, INTRADAY_EQUITY, INTRADAY_REALIZED, STATIC)
#: The stage before the floor, as a part of the drawdown: one fifth.
STAGE_PARTS: Final = 5
BUFFER_LEAST: Final = 100 * UNIT
BUFFER_PARTS: Final = 20


class TrailingMaxDrawdown(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters in money units; `floor` replaces the computed floor where it is given."""

    drawdown: int
    start: int
    lock_at: int
    trail: str
    buffer: int
    floor: int | None = None
    name: str = NAME
    priority: int = 10
    reads: ClassVar[frozenset[Aspect]] = frozenset({Aspect.TRADES, Aspect.BALANCE, Aspect.PRICES})

    def check(self, world: World, account: Account) -> Finding:
        """Compare equity with the floor, and carry the high-water mark on."""
        figure = equity(account, world.marks, world.instruments)
        if figure is None or account.ledger is None or not account.pnl_is_known:
            return Undecided(why="equity lacks a balance, a trade, or a believable mark")
        before = account.memory.get(NAME, {})
        after = self._carry_on(account, before, figure, account.ledger)
        memory = after if after != before else None
        floor = self.floor if self.floor is not None else self.floor_of(after)
        if figure <= floor + self._buffer(after):
            return self._breach(figure, floor, FULL, None, memory)
        if (figure - floor) * STAGE_PARTS <= self.drawdown:
            return self._breach(figure, floor, REDUCE_ONLY, account.next_reset or None, memory)
        # Rounded down: what is left is rounded up.
        used = UNIT - -(-(figure - floor) * UNIT // self.drawdown)
        return Clear(figure=figure, bound=floor, memory=memory, used=used, whole=self.drawdown)

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """Say how far equity may fall to the stage, and rise to a new high-water mark."""
        finding = self.check(world, account)
        figure = equity(account, world.marks, world.instruments)
        if not isinstance(finding, Clear) or finding.memory is not None or figure is None:
            return NO_PRICE
        memory = account.memory.get(NAME, {})
        floor = self.floor if self.floor is not None else self.floor_of(memory)
        bound = floor + max(self._buffer(memory), self.drawdown // STAGE_PARTS)
        gain = memory["settled"] - figure if self.trail == INTRADAY_EQUITY else None
        return by_money(world, account, loss=figure - bound, gain=gain)

    def _carry_on(self, account: Account, before: Memory, figure: int, ledger: int) -> Memory:
        """Return the high-water marks after this record.

        `settled` is final; `closing` is the last close, which a late fill may still move.
        """
        if self.trail == STATIC:
            return {}
        day = int(account.trade_date.replace("-", "") or 0)
        settled = before.get("settled", self.start)
        if self.trail == EOD:
            closing = self.start if account.closing is None else account.closing
            if before.get("day", day) != day:
                settled = max(settled, before["closing"])
            return {"settled": settled, "closing": closing, "day": day}
        settled = max(settled, figure if self.trail == INTRADAY_EQUITY else ledger)
        found = {"settled": settled, "closing": settled, "day": day}
        missed = self.trail == INTRADAY_EQUITY and not account.is_seen
        gap = day if missed and account.has_exposure else before.get("gap", 0)
        return {**found, "gap": gap} if gap == day else found

    def floor_of(self, memory: Memory) -> int:
        """Return the floor that high-water marks lead to."""
        high = max(memory.get("settled", self.start), memory.get("closing", self.start))
        return min(self.lock_at, high - self.drawdown)

    def _buffer(self, memory: Memory) -> int:
        """A peak may have been missed while nobody could see: twice the buffer for that day."""
        return 2 * self.buffer if memory.get("gap") else self.buffer

    def _breach(
        self, figure: int, floor: int, mode: str, until: int | None, memory: Memory | None
    ) -> Breach:
        observed, limit = show(figure), show(floor)
        full = mode == FULL
        return Breach(
            observed=observed,
            limit=limit,
            text=f"equity {observed}, the drawdown's floor is {limit}",
            remedy=Remedy(
                flatten=full,
                cancel="all" if full else "increasing",
                lock=LockWish(mode, until),
            ),
            part="" if full else "stage",
            memory=memory,
        )


def _rehearsal(
    rule: Rule, world: World, account: Account
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    assert isinstance(rule, TrailingMaxDrawdown)
    floor = rule.floor if rule.floor is not None else rule.floor_of(account.memory.get(NAME, {}))
    before = account.ledger or 0
    gain = max(floor + 2 * (rule.drawdown + rule.buffer) - before, 0)
    size = rehearsal.size_for(world, before + gain - floor)
    held = rehearsal.opened(world, account, size + 1)
    near = (*held, *rehearsal.closed(world, account, size, pnl=gain))
    return near, (*near, *rehearsal.lost(world, size, before + gain - floor))


def _build(reader: Reader) -> TrailingMaxDrawdown:
    drawdown = reader.money("drawdown", at_least=1)
    start = reader.money("start", at_least=1)
    usual = max(BUFFER_LEAST, drawdown // BUFFER_PARTS)
    floor = reader.money("floor_override") if reader.has("floor_override") else None
    return TrailingMaxDrawdown(
        drawdown=drawdown,
        start=start,
        lock_at=reader.money("lock_at", show(start)),
        trail=reader.choice("trail", TRAILS, EOD),
        buffer=reader.money("buffer", show(usual)),
        floor=floor,
    )


KIND: Final = RuleKind(
    name=NAME,
    summary="Equity at the floor of the trailing drawdown flattens and locks until an admin acts.",
    parameters={
        "drawdown": 'an amount above 0, as text, e.g. "2000.00" (required)',
        "start": 'the balance the account began with, as text, e.g. "50000.00" (required)',
        "lock_at": "the highest the floor can rise to, as text (default: start)",
        "trail": f"one of {', '.join(TRAILS)} (default {EOD})",
        "buffer": "act so far above the floor, as text (default: 100 or 5 % of the drawdown)",
        "floor_override": "a floor that replaces the computed one, as text (default: none)",
    },
    build=_build,
    rehearsal=_rehearsal,
    defaults={
        "lock_at": "start",
        "trail": EOD,
        "buffer": "the larger of 100.00 and 5 % of the drawdown",
        "floor_override": None,
    },
    tighter={"drawdown": LOWER, "buffer": HIGHER, "lock_at": HIGHER, "floor_override": HIGHER},
    common=("warn_at", "lockout", "on_repeat", "schedule", "reason_text"),
)

"""What an account's worker writes down for the time without any worker (docs/formats/plan.md)."""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.engine import Engine
from risk_daemon.core.instrument import show

FORMAT: Final = 1
#: The rules whose limit is a loss of the day.
DAILY_LOSS: Final = ("daily-combined-loss", "daily-realized-loss")


def plan_of(engine: Engine, account: Account) -> bytes:
    """Write an account's plan; equal plans give equal bytes."""
    floor = _floor(engine, account)
    grids = engine.world.instruments
    plan = {
        "format": FORMAT,
        "account": account.account,
        "login": account.login,
        "floor": None if floor is None else show(floor),
        "locks": [
            [lock.placed.mode, lock.placed.scope, lock.placed.until]
            for _, lock in sorted(account.locks.items())
        ],
        "contracts": {
            name: [grid.root, show(grid.tick_size), show(grid.tick_value)]
            for name, grid in sorted(grids.items())
        },
    }
    return msgspec.json.encode(plan, order="deterministic")


def _floor(engine: Engine, account: Account) -> int | None:
    """The equity at which the tightest enforced daily loss is reached; None without one."""
    limits: list[int] = [
        limit
        for setting, rule in engine.rules_of(account)
        if setting.rule in DAILY_LOSS and setting.mode == "enforce"
        for limit in [getattr(rule, "limit", None)]
        if limit is not None
    ]
    if not limits or account.balance is None or not account.pnl_is_known:
        return None
    return account.balance - account.realized_net - min(limits)

"""The watches of one account: one per rule with a memory that is on."""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.sim.court import Court
from risk_daemon.sim.day_end import DayEndWatch
from risk_daemon.sim.model import ZERO
from risk_daemon.sim.money import CombinedWatch, DrawdownWatch, Purses
from risk_daemon.sim.scenario import Limits
from risk_daemon.sim.uncovered import StopWatch
from risk_daemon.sim.watch import Watch


def purses_of(account: int, limits: Limits, court: Court) -> Purses:
    """What the account's books are worth."""
    combined = limits.daily_combined_loss
    return Purses(account, combined.est_exit_fees if combined else ZERO, court)


def watches_of(
    account: int, limits: Limits, balance: Decimal, purses: Purses, court: Court
) -> dict[str, Watch]:
    """By rule."""
    found: list[Watch] = []
    if limits.daily_combined_loss is not None:
        found.append(CombinedWatch(limits.daily_combined_loss, purses))
    if limits.trailing_max_drawdown is not None:
        found.append(DrawdownWatch(limits.trailing_max_drawdown, balance, purses))
    if limits.no_stop_loss_grace is not None:
        found.append(StopWatch(limits.no_stop_loss_grace, account, court))
    if limits.end_of_day_flatten is not None:
        found.append(DayEndWatch(limits.end_of_day_flatten))
    return {watch.rule: watch for watch in found}

"""An account for its trader: may I trade, why not, until when, what can I do. Pure.

The figures are those of the account's view; here they are only said in the words of somebody who
trades and has never read a configuration. A mode or a rule of a newer release is said as the
strictest one: nobody must read "you may trade" because a word was not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from risk_daemon.core.decision import FULL, NO_NEW_ENTRY, REDUCE_ONLY
from risk_daemon.core.lockout import strictness
from risk_daemon.operations.words import both_times, dollars
from risk_daemon.wire.view import AccountView, DistanceView, LockView

#: Begins the name of a lock that waits for a person (operations/accounts/lockouts.py).
UNCONFIRMED: Final = "unarmed:"
EARLIER_SHOWN: Final = 3

_MEANS: Final = {
    FULL: "you can't trade: everything was closed, and whatever opens is closed again",
    REDUCE_ONLY: "you may only make your position smaller: what is added is closed again",
    NO_NEW_ENTRY: "you may open nothing new: such orders are cancelled; you may close",
}
_DAY: Final = "nobody ends it earlier: the limit begins anew with the trading day, 17:00 Chicago"
_FIRST: Final = {
    "daily-combined-loss": _DAY,
    "daily-realized-loss": _DAY,
    "trailing-max-drawdown": "only an admin can end it: talk about the account before you trade on",
    "end-of-day-flatten": "wait for the next session: nothing is held into the close",
    "kill-switch": "a person placed it: before its end only an admin can end it",
    "max-contracts": "stay within the size, working orders included",
    "max-contracts-per-instrument": "stay within that product's size, working orders included",
    "no-stop-loss-grace": "place a protective stop with each entry, for its whole size",
}
_WAIT: Final = "wait for its end, or ask an admin"
_CONFIRM: Final = (
    "get below the limit once, or ask an admin to confirm it; nothing is closed before that"
)


def strictest_first(locks: Iterable[LockView]) -> list[LockView]:
    """Return locks as they count: the strictest first, of equals the one that ends last."""
    latest = sorted(locks, key=lambda lock: lock.until or "~", reverse=True)
    return sorted(latest, key=lambda lock: -strictness(lock.mode))


def may(locks: Sequence[LockView]) -> str:
    """Say in a line what these locks let a trader do."""
    if not locks:
        return "you may trade"
    first = strictest_first(locks)[0]
    return _MEANS.get(first.mode, _MEANS[FULL])


def end(until: str | None, in_ms: float) -> str:
    """Say when something ends and how long that is from now."""
    if until is None:
        return "it has no end of its own: an admin ends it"
    if in_ms <= 0:
        return f"its end, {both_times(until)}, has come: it ends as soon as the account is flat"
    return f"until {both_times(until)}, in {span(in_ms)}"


def span(ms: float) -> str:
    """Say how long it is, to the minute."""
    minutes = max(round(ms / 60_000), 1)
    if minutes < 2 * 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours >= 2 * 24:
        return f"{round(minutes / (24 * 60))} days"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def lock_lines(lock: LockView, in_ms: float) -> tuple[str, str, str]:
    """Say of one lock why it is there, until when, and what can be done."""
    return (
        f"  why:    {lock.reason or lock.rule} ({lock.rule})",
        f"  until:  {end(lock.until, in_ms).removeprefix('until ')}",
        f"  you:    {advice(lock)}",
    )


def advice(lock: LockView) -> str:
    """Say what a trader can do about a lock."""
    if lock.lock.startswith(UNCONFIRMED):
        return _CONFIRM
    return _FIRST.get(lock.rule, _WAIT)


def positions(view: AccountView) -> str:
    """Say what is held, as the market's people say it."""
    held = [
        f"{'long' if one.quantity > 0 else 'short'} {abs(one.quantity)} {one.root}"
        for one in view.positions
    ]
    return ", ".join(held) or "flat"


def money(view: AccountView) -> str:
    """Say the day's result, or that nobody knows it."""
    return f"day P&L {dollars(view.day_pnl)}" if view.pnl_known else "day P&L unknown at the moment"


def room(rows: Iterable[DistanceView]) -> tuple[str, ...]:
    """Say how near each limit is that a rule has measured."""
    return tuple(
        f"  limit:  {row.rule}: {row.observed} of {row.limit}"
        + ("" if row.mode == "enforce" else f" ({row.mode} only: nothing is closed for it)")
        for row in rows
        if row.observed and row.limit
    )


def earlier(reasons: Sequence[str]) -> tuple[str, ...]:
    """Say what happened last, oldest first."""
    return tuple(f"  before: {text}" for text in reasons[-EARLIER_SHOWN:])


def covering(locks: Iterable[LockView], mode: str) -> list[LockView]:
    """Return the locks that restrict at least as much as a mode; who ends last comes last."""
    strict = [lock for lock in locks if strictness(lock.mode) >= strictness(mode)]
    return sorted(strict, key=lambda lock: lock.until or "~")

"""What is unknown, and what the platform did: both close the account, neither closes a position.

Unknown is never "passed": it is told within a second, unlocks nothing, and after
15 s with exposure open the account may only be reduced until it is known again.
To close a trader's position because we cannot see would be no protection.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.core.account import BALANCE_WAIT, Account, Doubt
from risk_daemon.core.decision import FULL, REDUCE_ONLY
from risk_daemon.core.events import Fact, LockPlaced
from risk_daemon.core.incident import alarm, end_lock, held_now, stand
from risk_daemon.core.world import World

MS: Final = 1_000_000
ALARM_AFTER: Final = 500 * MS
REDUCE_ONLY_AFTER: Final = 15_000 * MS
PLATFORM_UNLOCK_AFTER: Final = 30_000 * MS


def doubts(world: World, account: Account) -> list[Fact]:
    """Tell of what stays unknown, and stop the account from growing after 15 s of it."""
    outputs: list[Fact] = []
    at = world.at
    missing = account.known and not account.pnl_is_known
    _doubt(account, "trade", "a position moved by a fill that has not been shown", at, missing)
    _doubt(account, "read", "the account has not been read yet", at, not account.known)
    blind = not account.is_seen
    _doubt(account, "feed", f"the broker session is {account.feed}", at, blind)
    since = account.differs_since
    moved = bool(since) and at - since >= BALANCE_WAIT
    _doubt(account, "balance", "the balance moved and no trade has explained it yet", at, moved)
    for name in sorted(account.doubts):
        doubt = account.doubts[name]
        if not doubt.is_alarmed and at - doubt.since >= ALARM_AFTER:
            doubt.is_alarmed = True
            outputs.append(alarm(account, "warn", "unknown", doubt.why))
        if doubt.lock or at - doubt.since < REDUCE_ONLY_AFTER or not account.has_exposure:
            continue
        outputs.append(_lock_doubt(account, name, doubt, world))
    over = [
        name
        for name in sorted(account.locks)
        if name.startswith("unknown-") and name.split("-", 1)[1] not in account.doubts
    ]
    return outputs + [end_lock(account, name, "known again") for name in over]


def _doubt(account: Account, name: str, why: str, at: int, holds: bool) -> None:  # noqa: FBT001
    if not holds:
        account.doubts.pop(name, None)
    else:
        account.doubts.setdefault(name, Doubt(since=at, why=why))


def _lock_doubt(account: Account, name: str, doubt: Doubt, world: World) -> LockPlaced:
    doubt.lock = f"unknown-{name}"
    placed = LockPlaced(
        account=account.account,
        lock=doubt.lock,
        rule="unknown",
        mode=REDUCE_ONLY,
        began_at=world.at,
        until=None,
        reason=f"unknown for 15 s: {doubt.why}",
    )
    stand(account, placed, world.seq, held_now(account))
    return placed


def platform(world: World, account: Account) -> list[Fact]:
    """`canTrade` false is the platform's own lock; ours stands beside it at once."""
    if account.can_trade or "platform" in account.locks:
        return []
    account.platform_since, account.platform_looked = world.at, False
    placed = LockPlaced(
        account=account.account,
        lock="platform",
        rule="platform",
        mode=FULL,
        began_at=world.at,
        until=None,
        reason="the platform stopped this account from trading",
    )
    stand(account, placed, world.seq, {})
    return [placed, alarm(account, "urgent", "platform lock", placed.reason)]


def end_platform_lock(world: World, account: Account) -> list[Fact]:
    """End our lock half a minute after the platform let the account trade again."""
    name = "platform"
    if name not in account.locks or not account.can_trade:
        return []
    if world.at - account.can_trade_since < PLATFORM_UNLOCK_AFTER:
        return []
    account.platform_since = 0
    return [end_lock(account, name, "the platform lets the account trade again")]


def wakes(account: Account) -> list[int]:
    """Return the instants at which something unknown, or the platform's lock, moves on."""
    found = [account.differs_since + BALANCE_WAIT] if account.differs_since else []
    for doubt in account.doubts.values():
        found += [doubt.since + ALARM_AFTER, doubt.since + REDUCE_ONLY_AFTER]
    if "platform" in account.locks and account.can_trade:
        found.append(account.can_trade_since + PLATFORM_UNLOCK_AFTER)
    return found

"""`lockout set`, `clear` and `confirm`: what a person says of the locks of one account."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from risk_daemon.core.events import LockPlaced
from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.operations import daemon, home, orders, state_file
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import MODES, Who, end_of, now_ns
from risk_daemon.operations.outcome import DONE, FAILED, UNREACHABLE, Outcome
from risk_daemon.operations.words import both_times, iso
from risk_daemon.settings import Settings

#: The rule behind every lock that a person has placed.
PERSONS: Final = "kill-switch"
#: Begins the name of a lock that waits for a person: a limit that was broken when it was adopted.
UNCONFIRMED: Final = "unarmed:"
CLEARED_WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 0.1


def place(
    at: Home,
    account: str,
    mode: str,
    who: Who,
    span: tuple[str | None, str | None],
    *,
    dry_run: bool,
) -> Outcome:
    """Order a lock; `span` is (--until, --for). Says what it means and who keeps it."""
    home.read(at)
    settings = in_force(at)
    number, name = find_account(at, account)
    until = end_of(now_ns(settings), *span)
    act = orders.make(settings, number, mode, who, until)
    end = f"until {both_times(iso(until))}" if until else "until an admin ends it"
    line = f"{name}: {MODES[mode]} {end}: {who.reason} ({who.by})"
    data = {"account": number, "mode": mode, "until": iso(until) if until else None}
    if dry_run:
        return Outcome((line,), data=data, notes=("nothing was done",))
    kept = orders.give(at, act, _link(settings, number))
    code = UNREACHABLE if kept.where == "file" else DONE
    notes = [kept.sentence] if kept.sentence else []
    if not _is_guarded(at, number):
        notes.append("no worker holds the account: nobody enforces this lock until `start`")
    data["kept"] = kept.where
    return Outcome((line,), code, data, tuple(notes), f"risk-daemon-admin why {number}")


def _link(settings: Settings, account: int) -> str:
    """The process that could keep an order for this account."""
    owners = [login.name for login in settings.logins if account in login.accounts]
    return daemon.link_name(owners[0]) if owners else ""


def _is_guarded(at: Home, account: int) -> bool:
    try:
        rows = daemon.status(at).get("accounts", [])
    except OperatorError:
        return False
    return any(row["account"] == account and row.get("enforcing") for row in rows)


def clear(at: Home, account: str, who: Who, *, dry_run: bool) -> Outcome:
    """End every lock a person has placed on an account; locks of the other rules stay."""
    home.read(at)
    settings = in_force(at)
    number, name = find_account(at, account)
    held = _locks(at, number)
    mine = [lock for lock in held if lock.rule == PERSONS]
    rest = tuple(f"{name}: still {_said(lock)}" for lock in held if lock.rule != PERSONS)
    why = f"risk-daemon-admin why {number}"
    data: dict[str, Any] = {"account": number, "ended": len(mine), "left": len(rest)}
    if not mine:
        line = f"{name}: no person has locked it"
        return Outcome((line, *rest), data=data, next_command=why)
    if dry_run:
        lines = tuple(f"{name}: would be ended: {_said(lock)}" for lock in mine)
        return Outcome((*lines, *rest), data=data, notes=("nothing was done",))
    kept = orders.give(at, orders.make(settings, number, "unlock", who), _link(settings, number))
    data["kept"] = kept.where
    notes = (kept.sentence,) if kept.sentence else ()
    if kept.where == "file":
        lines = tuple(f"{name}: ends at the next start: {_said(lock)}" for lock in mine)
        return Outcome((*lines, *rest), UNREACHABLE, data, notes, "risk-daemon-admin start")
    if not _ended(at, number, _is_persons):
        line = f"{name}: the order is kept, but no worker has ended the lock yet"
        return Outcome((line, *rest), FAILED, data, notes, "risk-daemon-admin status")
    lines = tuple(f"{name}: ended: {_said(lock)}" for lock in mine)
    return Outcome((*lines, *rest), DONE, data, notes, why)


def _said(lock: LockPlaced) -> str:
    end = f"until {both_times(iso(lock.until))}" if lock.until else "until an admin ends it"
    return f"{lock.mode} by {lock.rule} {end} ({lock.reason})"


def _locks(at: Home, account: int) -> list[LockPlaced]:
    """The locks that stand on an account, from the state file."""
    try:
        locks = state_file.standing(at).locks
    except NotFound:
        return []
    return [lock for _, lock in sorted(locks.items()) if lock.account == account]


def _is_persons(lock: LockPlaced) -> bool:
    return lock.rule == PERSONS


def _is_unconfirmed(lock: LockPlaced) -> bool:
    return lock.lock.startswith(UNCONFIRMED)


def _ended(at: Home, account: int, which: Callable[[LockPlaced], bool]) -> bool:
    """Whether the worker has ended every such lock, in time."""
    never = threading.Event()
    for _ in range(int(CLEARED_WITHIN_S / LOOK_EVERY_S)):
        if not any(map(which, _locks(at, account))):
            return True
        never.wait(LOOK_EVERY_S)
    return False


# --- confirm -------------------------------------------------------------------


def unconfirmed(at: Home, account: str) -> tuple[int, str, list[LockPlaced]]:
    """An account, its title, and the limits that wait for a person there."""
    home.read(at)
    number, name = find_account(at, account)
    return number, name, [lock for lock in _locks(at, number) if _is_unconfirmed(lock)]


def confirm(at: Home, account: str, who: Who, *, dry_run: bool) -> Outcome:
    """Say that limits broken at their adoption are meant: their rules act from now on."""
    number, name, waiting = unconfirmed(at, account)
    settings = in_force(at)
    why = f"risk-daemon-admin why {number}"
    data: dict[str, Any] = {"account": number, "confirmed": [lock.rule for lock in waiting]}
    if not waiting:
        line = f"{name}: no limit waits to be confirmed"
        return Outcome((line,), data=data, next_command=why)
    if dry_run:
        lines = tuple(f"{name}: {lock.rule} would act: {lock.reason}" for lock in waiting)
        return Outcome(lines, data=data, notes=("nothing was done",))
    kept = orders.give(at, orders.make(settings, number, "confirm", who), _link(settings, number))
    data["kept"] = kept.where
    notes = (kept.sentence,) if kept.sentence else ()
    if kept.where == "file":
        lines = tuple(f"{name}: {lock.rule} acts from the next start on" for lock in waiting)
        return Outcome(lines, UNREACHABLE, data, notes, "risk-daemon-admin start")
    if not _ended(at, number, _is_unconfirmed):
        line = f"{name}: the order is kept, but no worker has confirmed it yet"
        return Outcome((line,), FAILED, data, notes, "risk-daemon-admin status")
    lines = tuple(
        f"{name}: {lock.rule} acts now: confirmed by {who.by}: {who.reason}" for lock in waiting
    )
    return Outcome(lines, DONE, data, notes, why)

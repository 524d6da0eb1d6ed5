"""What a trader may ask and do: `risk-daemon status | why | lock`. Nothing here makes looser.

The same processes are asked as by `risk-daemon-admin`, and the same order is given as by
`lockout set`; only the words are a trader's, and a lock has an end, as no trader ends one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from risk_daemon.core import session
from risk_daemon.core.decision import FULL, REDUCE_ONLY
from risk_daemon.core.events import LockPlaced
from risk_daemon.errors import Denied, NotFound, OperatorError, Refused, UsageError
from risk_daemon.operations import daemon, home, orders, state_file
from risk_daemon.operations.accounts import guard, lockouts, plainly
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.configuration import overridden
from risk_daemon.operations.configuration.in_force import in_force, policies_in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DEGRADED, DONE, FAILED, UNREACHABLE, Outcome
from risk_daemon.operations.words import count, iso
from risk_daemon.wire.view import AccountView, LockView

DAY_END: Final = "end of day"
WEEK_END: Final = "end of week"
_NOBODY: Final = (
    "NOT PROTECTED: the daemon does not run; this is what stood when it was last seen. Tell an "
    "admin, and look after your positions yourself"
)
_EXITS: Final = {"healthy": DONE, "degraded": DEGRADED, "down": FAILED}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known at one moment: who guards, what each account looks like, what locks it."""

    now: int
    runs: bool
    titles: Mapping[int, str]
    rows: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    views: Mapping[int, AccountView] = field(default_factory=dict)
    stored: Sequence[LockPlaced] = ()
    disabled: str = ""

    def locks(self, account: int) -> list[LockView]:
        """Return an account's locks: as its worker sees them, else as they are stored."""
        if self.runs and account in self.views:
            return list(self.views[account].locks)
        return [_as_view(one) for one in self.stored if one.account == account]

    def objection(self, account: int) -> str:
        """Say why an account is not protected, or nothing."""
        return guard.objection(self.rows.get(account, {}), self.views.get(account))

    def in_ms(self, until: str | None) -> float:
        """Return how long it is to a moment."""
        if until is None:
            return 0.0
        return datetime.fromisoformat(until).timestamp() * 1e3 - self.now / 1e6


def _as_view(lock: LockPlaced) -> LockView:
    return LockView(
        lock=lock.lock,
        rule=lock.rule,
        mode=lock.mode,
        began_at=iso(lock.began_at),
        until=iso(lock.until) if lock.until else None,
        reason=lock.reason,
    )


def _open(at: Home) -> None:
    """Refuse in a trader's words where the home is another user's."""
    try:
        is_closed = at.path.exists() and not os.access(at.path, os.R_OK | os.X_OK)
    except PermissionError:
        is_closed = True
    if is_closed:
        raise Denied(
            f"you may not look into {at.path}: it belongs to another user of this machine. An "
            "admin can allow you these three commands (docs/guides/install.md, Traders)."
        )
    home.read(at)


def _look(at: Home) -> _Seen:
    _open(at)
    settings = in_force(at)
    names = {one.account: one.name for one in policies_in_force(at)}
    titles = {
        number: f"{number} {names[number]}" if names.get(number) else str(number)
        for number in settings.accounts()
    }
    now = orders.now_ns(settings)
    try:
        known = daemon.status(at)
        views = daemon.views(at, sorted(titles))
    except OperatorError:
        return _look_at_file(at, now, titles)
    rows = {row["account"]: row for row in known.get("accounts", [])}
    off = known.get("disabled")
    disabled = f"{off.get('reason')} ({off.get('by')})" if off else ""
    return _Seen(now, True, titles, rows, views, _stored(at), disabled)


def _look_at_file(at: Home, now: int, titles: Mapping[int, str]) -> _Seen:
    try:
        last = state_file.standing(at)
    except OperatorError:
        return _Seen(now, False, titles)
    off = f"{last.disabled.reason} ({last.disabled.by})" if last.disabled else ""
    return _Seen(now, False, titles, stored=tuple(last.locks.values()), disabled=off)


def _stored(at: Home) -> tuple[LockPlaced, ...]:
    try:
        return tuple(state_file.standing(at).locks.values())
    except OperatorError:
        return ()


def _chosen(at: Home, account: str | None) -> tuple[int, str]:
    """Return the account that is meant; where the home guards one only, it need not be named."""
    _open(at)
    if account is not None:
        return find_account(at, account)
    known = in_force(at).accounts()
    if len(known) != 1:
        listed = ", ".join(map(str, known[:10]))
        raise UsageError(f"say which account: {listed}. Example: risk-daemon why {known[0]}")
    return find_account(at, str(known[0]))


# --- status --------------------------------------------------------------------


def status(at: Home) -> Outcome:
    """Say of each account whether it is protected, and what its trader may do."""
    seen = _look(at)
    wrong = {number: seen.objection(number) for number in seen.titles}
    guarded = sum(not why for why in wrong.values())
    state = guard.state(len(wrong), guarded if seen.runs else 0, bool(seen.disabled))
    lines = tuple(_line(seen, number, wrong[number]) for number in seen.titles)
    data = {
        "state": state,
        "accounts": [
            {
                "account": number,
                "protected": seen.runs and not wrong[number],
                "why_not": wrong[number],
                "may": plainly.may(seen.locks(number)),
                "locks": [_lock_data(one) for one in seen.locks(number)],
            }
            for number in seen.titles
        ],
    }
    above = (_verdict(seen, state, guarded),)
    locked = next((number for number in seen.titles if seen.locks(number)), None)
    hint = f"risk-daemon why {locked}" if locked is not None else ""
    return Outcome(lines, _EXITS[state], data, (), hint, above)


def _verdict(seen: _Seen, state: str, guarded: int) -> str:
    if seen.disabled:
        return f"NOT PROTECTED: an admin switched protection off: {seen.disabled}"
    if not seen.runs:
        return _NOBODY
    total = count(len(seen.titles), "account")
    return f"{'protected' if state == 'healthy' else 'NOT ALL PROTECTED'}: {guarded} of {total}"


def _line(seen: _Seen, number: int, wrong: str) -> str:
    view, locks = seen.views.get(number), seen.locks(number)
    parts = [plainly.may(locks)]
    if locks:
        first = plainly.strictest_first(locks)[0]
        parts.append(plainly.end(first.until, seen.in_ms(first.until)))
    if view is not None:
        parts += [plainly.positions(view), plainly.money(view)]
    if seen.runs and wrong:
        parts.append(f"NOT PROTECTED: {wrong}")
    return f"{seen.titles[number]}: {'; '.join(parts)}"


def _lock_data(lock: LockView) -> dict[str, Any]:
    return {"rule": lock.rule, "mode": lock.mode, "until": lock.until, "reason": lock.reason}


# --- why -----------------------------------------------------------------------


def why(at: Home, account: str | None) -> Outcome:
    """Say why an account can't trade, until when, and what its trader can do."""
    number, title = _chosen(at, account)
    seen = _look(at)
    locks, view = plainly.strictest_first(seen.locks(number)), seen.views.get(number)
    lines = [f"{title}: {plainly.may(locks)}"]
    for lock in locks:
        lines += plainly.lock_lines(lock, seen.in_ms(lock.until))
    lines += [f"  off:    {one}" for one in overridden.lines(at, number, seen.now)]
    if view is not None:
        lines.append(f"  now:    {plainly.positions(view)}, {plainly.money(view)}")
        lines += plainly.room(view.distances)
        lines += [f"  doubt:  {text}" for text in view.unknown]
        lines += plainly.earlier(view.reasons)
    above: tuple[str, ...] = ()
    if seen.disabled or not seen.runs:
        above = (_verdict(seen, "down", 0),)
    elif wrong := seen.objection(number):
        above = (f"NOT PROTECTED: {wrong}",)
    data = {
        "account": number,
        "may": plainly.may(locks),
        "locks": [_lock_data(one) | {"advice": plainly.advice(one)} for one in locks],
        "lines": lines,
    }
    return Outcome(tuple(lines), DONE if seen.runs else UNREACHABLE, data, above=above)


# --- lock ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """A lock that a trader asks for: of which account, how strict, until when (ns UTC)."""

    account: int
    title: str
    mode: str
    until: int
    end: str
    is_there: bool

    @property
    def question(self) -> str:
        """What is to be confirmed, with what it means."""
        means = "closed and locked" if self.mode == FULL else "locked: it may only get smaller"
        return f"{self.title} is {means} {self.end}. Nobody but an admin ends that before. Lock it?"


def plan(at: Home, account: str | None, span: tuple[str | None, str | None], *, flat: bool) -> Plan:
    """Work out a lock; `span` is (--until, --for). Refused where a longer one stands."""
    number, title = _chosen(at, account)
    seen = _look(at)
    until = _end(at, number, seen.now, span)
    end = plainly.end(iso(until), (until - seen.now) / 1e6)
    mode = FULL if flat else REDUCE_ONLY
    # The file, not the view: what covers some products only is no lock of the whole account.
    placed = _stored(at) if seen.runs else seen.stored
    whole = [_as_view(one) for one in placed if one.account == number and not one.scope]
    longest = plainly.covering(whole, mode)[-1:]
    stands = next(iter(longest), None)
    is_there = stands is not None and stands.until is not None and _ns(stands.until) == until
    if stands is not None and not is_there and (stands.until is None or _ns(stands.until) > until):
        raise Refused(
            f"{title} is locked already, and longer than that: "
            f"{plainly.end(stands.until, seen.in_ms(stands.until))} ({stands.reason}). A lock is "
            "made longer, never shorter; nothing was changed."
        )
    return Plan(number, title, mode, until, end, is_there)


def _ns(moment: str) -> int:
    # To the millisecond, as it was written.
    return round(datetime.fromisoformat(moment).timestamp() * 1e3) * 1_000_000


def _end(at: Home, account: int, now: int, span: tuple[str | None, str | None]) -> int:
    """Return when a lock ends; in words: by default with the trading day."""
    until, for_ = span
    words = " ".join((until or "").lower().replace("-", " ").split())
    if for_ is None and words in ("", DAY_END, WEEK_END):
        policy = next((one for one in policies_in_force(at) if one.account == account), None)
        if policy is None:
            raise NotFound(f"account {account} has no policy yet: give --for, such as --for 2h.")
        if words == WEEK_END:
            return session.next_week(policy.calendar, now) or now
        return session.next_reset(policy.calendar, policy.day_roll, now)
    end = orders.end_of(now, until, for_)
    assert end is not None  # one of them was given
    return end


def lock(at: Home, wanted: Plan, reason: str, *, dry_run: bool) -> Outcome:
    """Lock an account as planned, in its trader's name."""
    why_command = f"risk-daemon why {wanted.account}"
    data = {"account": wanted.account, "mode": wanted.mode, "until": iso(wanted.until)}
    if wanted.is_there:
        line = f"{wanted.title}: locked already {wanted.end}"
        return Outcome((line,), data=data | {"kept": "journal"}, next_command=why_command)
    act = "flatten-lock" if wanted.mode == FULL else wanted.mode
    who = Who(daemon.operator(), f"the trader's own wish: {reason}")
    span = (iso(wanted.until), None)
    done = lockouts.place(at, str(wanted.account), act, who, span, dry_run=dry_run)
    would = "would be " if dry_run else ""
    means = "closed and locked" if wanted.mode == FULL else "locked, may only get smaller,"
    line = f"{wanted.title}: {would}{means} {wanted.end}"
    return replace(done, lines=(line,), data=done.data | data, next_command=why_command)


def refuse_unlock(at: Home, account: str | None) -> Outcome:
    """Say to whom a trader has to go with this."""
    _, title = _chosen(at, account)
    raise Denied(
        f"{title}: a lock ends by itself or by an admin, never by its trader: that is what it is "
        "for. `risk-daemon why` says until when; `risk-daemon-admin lockout clear` is an admin's."
    )

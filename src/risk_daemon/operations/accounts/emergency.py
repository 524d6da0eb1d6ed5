"""Emergencies: everything flat and locked, or protection switched off, whatever else is broken.

Through the link where it lives, because the broker keeps one session per user;
by our own session where it does not. The lock is journalled, or written down
for the next start, before it is promised to anyone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from risk_daemon.core.events import AlarmRaised, ProtectionDisabled
from risk_daemon.errors import NotFound, NotReachable, OperatorError
from risk_daemon.operations import daemon, orders, state_file
from risk_daemon.operations.accounts import own_session
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Kept, Who
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.words import both_times, iso
from risk_daemon.settings import Login, Settings

ALIVE_WITHIN_S: Final = 1.5
#: A link closes for 9 s at most, then says what is left.
LINK_WITHIN_S: Final = 9.5
STOP_WITHIN_S: Final = 9.0
LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Result:
    """One account: flat, proven by a query, or what is left; and by which way."""

    account: int
    flat: bool
    proven: bool
    left: tuple[str, ...]
    way: str

    def line(self) -> str:
        """Say it."""
        if self.flat and self.proven:
            return f"{self.account}: flat, proven by query ({self.way})"
        if self.flat:
            return f"{self.account}: flat by its last event, not proven by a query ({self.way})"
        left = "; ".join(self.left) or "unknown what is left"
        return f"{self.account}: NOT FLAT: {left} ({self.way})"


@dataclass(frozen=True, slots=True)
class Flattening:
    """What became of one login: who keeps its locks, and each account."""

    kept: Kept
    results: list[Result]


def flatten_all(home: Home, who: Who, *, dry_run: bool = False) -> Outcome:
    """Flatten and fully lock every account."""
    settings = in_force(home)
    if dry_run:
        lines = tuple(f"{n}: would be flattened and locked" for n in settings.accounts())
        data = {"accounts": list(settings.accounts())}
        return Outcome(lines, data=data, notes=("nothing was done",))
    # All logins at once: a frozen link must not delay the closes of another login.
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(partial(_flatten, home, settings, who), settings.logins))
    return _told(home, who, done)


def lock_out(home: Home, account: str, who: Who, *, dry_run: bool = False) -> Outcome:
    """Flatten and fully lock one account, the way `flatten_all` does with all."""
    settings = in_force(home)
    number, name = find_account(home, account)
    if dry_run:
        line = f"{name}: would be flattened and locked"
        return Outcome((line,), data={"accounts": [number]}, notes=("nothing was done",))
    logins = [
        msgspec.structs.replace(login, accounts=(number,))
        for login in settings.logins
        if number in login.accounts
    ]
    return _told(home, who, [_flatten(home, settings, who, login, number) for login in logins])


def _told(home: Home, who: Who, done: Sequence[Flattening]) -> Outcome:
    """Say what became of every account, and who stands behind the lock."""
    results = [one for each in done for one in each.results]
    enforced = _is_enforced(home)
    notes = list(dict.fromkeys(each.kept.sentence for each in done if each.kept.sentence))
    if not enforced:
        notes.append("nobody enforces the lock until `risk-daemon-admin start`")
    return Outcome(
        tuple(one.line() for one in results),
        DONE if all(one.flat and one.proven for one in results) else FAILED,
        {
            "accounts": [_as_data(one) for one in results],
            "locks_kept_by": sorted({each.kept.where for each in done}),
            "enforced": enforced,
            "reason": who.reason,
            "by": who.by,
        },
        tuple(notes),
        "risk-daemon-admin status" if enforced else "risk-daemon-admin start",
    )


def _as_data(one: Result) -> dict[str, Any]:
    return {
        "account": one.account,
        "flat": one.flat,
        "proven": one.proven,
        "left": list(one.left),
        "way": one.way,
    }


def _is_enforced(home: Home) -> bool:
    """Whether a worker stands behind every account."""
    try:
        status = daemon.status(home)
    except OperatorError:
        return False
    rows = status.get("accounts", [])
    return not status.get("disabled") and bool(rows) and all(row.get("enforcing") for row in rows)


def _flatten(
    home: Home, settings: Settings, who: Who, login: Login, account: int = 0
) -> Flattening:
    """One login: through its link, which keeps the lock; else by a session of our own."""
    asked = {"account": account, "by": who.by, "reason": who.reason}
    link = daemon.link_name(login.name)
    if _lives(home, link):
        try:
            answer = daemon.ask(home, link, "flatten", asked, LINK_WITHIN_S)
        except OperatorError as error:
            # A second session would throw out the one that is closing right now.
            if _lives(home, link):
                return Flattening(Kept("link"), _still_closing(login, error))
        else:
            return Flattening(Kept("link"), _by_link(login, answer))
    kept = _lock(home, settings, who, login)
    return Flattening(kept, _by_own_session(home, settings, login))


def _lives(home: Home, link: str) -> bool:
    """Whether a link answers at all; a frozen one must be known as such soon."""
    try:
        daemon.ask(home, link, "status", within_s=ALIVE_WITHIN_S)
    except OperatorError:
        return False
    return True


def _still_closing(login: Login, error: OperatorError) -> list[Result]:
    left = (f"the link is still at it: {error.sentence}",)
    return [Result(account, False, False, left, "through the link") for account in login.accounts]


def _lock(home: Home, settings: Settings, who: Who, login: Login) -> Kept:
    """Order the locks of a login whose link is dead, before anything is closed."""
    kept = Kept("journal")
    for account in login.accounts:
        act = orders.make(settings, account, "flatten-lock", who)
        # Once the journal has failed it is not asked again for every account.
        kept = orders.give(home, act) if kept.where == "journal" else orders.write_down(home, act)
    return kept


def _by_link(login: Login, answer: dict[str, Any]) -> list[Result]:
    """What a link says; an account it does not name is not proven."""
    rows = {row["account"]: row for row in answer.get("accounts", [])}
    return [
        Result(
            account,
            bool(rows.get(account, {}).get("flat")),
            bool(rows.get(account, {}).get("proven")),
            tuple(rows.get(account, {}).get("left", ("the link does not know it",))),
            "through the link",
        )
        for account in login.accounts
    ]


def _by_own_session(home: Home, settings: Settings, login: Login) -> list[Result]:
    way = f"own session, link {login.name} does not answer"
    try:
        rows = own_session.flatten(home, settings, login, login.accounts)
    except OperatorError as error:
        return [Result(account, False, False, (error.sentence,), way) for account in login.accounts]
    return [Result(row.account, row.flat, row.proven, row.left, way) for row in rows]


# --- switching off --------------------------------------------------------------


def switch_off(home: Home, who: Who, *, alarm: bool, dry_run: bool = False) -> Outcome:
    """Switch protection off, on purpose and durably; positions stay as they are and are listed."""
    settings = in_force(home)
    held = held_positions(home, settings.accounts())
    if dry_run:
        return Outcome(("protection would be switched off", *held), notes=("nothing was done",))
    durable = _mark(home, who, alarm=alarm)
    stopped = _stop(home, who)
    if not durable and not stopped:
        return _was_off(home)
    lines = [f"protection is off: {who.reason} ({who.by})", *held]
    notes = []
    if held:
        notes.append("positions are open: `risk-daemon-admin emergency flatten-all` closes them")
    if not durable:
        lines.append("the journal did not answer: only the supervisor keeps the mark")
    if not stopped:
        lines.append("the supervisor did not answer: processes may still run")
    data = {
        "disabled": {"by": who.by, "reason": who.reason},
        "durable": durable,
        "stopped": stopped,
        "positions": list(held),
    }
    code = DONE if durable and stopped else FAILED
    return Outcome(tuple(lines), code, data, tuple(notes), "risk-daemon-admin start")


def _mark(home: Home, who: Who, *, alarm: bool) -> bool:
    """Journal the mark; False where the journal can't."""
    text = f"protection was switched off by {who.by}: {who.reason}"
    page = AlarmRaised(account=0, level="page", what="disabled", text=text, source="command")
    try:
        daemon.append(home, ProtectionDisabled(by=who.by, reason=who.reason))
        if alarm:
            daemon.append(home, page)
    except OperatorError:
        return False
    return True


def _stop(home: Home, who: Who) -> bool:
    asked = {"by": who.by, "reason": who.reason}
    try:
        daemon.ask(home, daemon.SUPERVISOR, "stop", asked, STOP_WITHIN_S)
    except OperatorError:
        return False
    return _ended(home)


def _ended(home: Home) -> bool:
    """Whether the supervisor, and with it everything it started, is gone in time."""
    never = threading.Event()
    for _ in range(int(STOP_WITHIN_S / LOOK_EVERY_S)):
        try:
            daemon.ask(home, daemon.SUPERVISOR, "status", within_s=1.0)
        except NotReachable:
            return True
        except OperatorError:
            pass
        never.wait(LOOK_EVERY_S)
    return False


def _was_off(home: Home) -> Outcome:
    """Nothing runs: say since when and why, and change nothing."""
    start = "risk-daemon-admin start"
    try:
        last = state_file.standing(home)
    except NotFound:
        return Outcome(("nothing was running: no daemon ever started here",), next_command=start)
    except OperatorError as damaged:
        line = f"no process answers: nothing protects the accounts; {damaged.sentence}"
        return Outcome((line,), FAILED, next_command=start)
    if last.disabled is not None:
        since = both_times(iso(last.disabled_at))
        line = f"protection was off already: {last.disabled.reason} ({last.disabled.by}, {since})"
        return Outcome((line,), next_command=start)
    line = "no process answers: nothing protects the accounts, and the mark could not be kept"
    return Outcome((line,), FAILED, next_command=start)


def held_positions(home: Home, accounts: Sequence[int]) -> tuple[str, ...]:
    """Open positions as the workers last published them."""
    try:
        views = daemon.views(home, accounts)
    except OperatorError:
        return ()
    return tuple(
        f"{view.account} {view.name}: {position.quantity:+d} {position.contract}"
        for _, view in sorted(views.items())
        for position in view.positions
    )

"""`lockout set`: a person's lock on one account."""

from __future__ import annotations

from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon, home, orders
from risk_daemon.operations.adoption import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.looking import find_account
from risk_daemon.operations.orders import MODES, Who, end_of, now_ns
from risk_daemon.operations.outcome import DONE, UNREACHABLE, Outcome
from risk_daemon.operations.words import both_times, iso
from risk_daemon.settings import Settings


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

"""When an account is read although nobody asked: its figures do not fit together.

Two concerns. *Views*: quantities by trades, by order fills and by positions
differ, so a message is late, lost or taken back. *Balance*: it moved by money
that no known fill brought. Either is settled by a read of positions and trades,
at once and again 250 ms later; the reader has one under way per account at most.
"At once" leaves the messages of one fill the time to arrive: a read begun
among them is overtaken by the next and proves nothing.

Views that differ can keep a reduction from leaving: they are then read as deep as enforcement's
requests may pay for, or the login's other reads could keep it waiting for a minute.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.broker.gate import MS, SECOND, AccountGate, Concern, Output, Read
from risk_daemon.broker.port import FULL, RECENT
from risk_daemon.core.instrument import CENT

VIEWS: Final = "views"
BALANCE: Final = "balance"
AGAIN_AFTER: Final = 250 * MS
#: What two reads did not settle is left to the slower ones.
LATER: Final = 10 * SECOND
GRACE: Final = {VIEWS: 100 * MS, BALANCE: 250 * MS}
WHY: Final = {
    VIEWS: "trades, orders and positions differ",
    BALANCE: "the balance moved without a trade",
}


def note(account: AccountGate, now: int) -> None:
    """Begin or end the concerns of an account, by what it shows now."""
    _note(account, VIEWS, now, holds=any(not view.agrees for view in account.views.values()))
    _note(account, BALANCE, now, holds=abs(account.unexplained) > CENT)


def _note(account: AccountGate, name: str, now: int, *, holds: bool) -> None:
    if not holds:
        account.concerns.pop(name, None)
    elif name not in account.concerns:
        account.concerns[name] = Concern(due=now + GRACE[name])


def hold_up(account: AccountGate, now: int) -> None:
    """Views that differ let nothing be reduced: the reads that settle them are enforcement's."""
    concern = account.concerns.setdefault(VIEWS, Concern(due=now + GRACE[VIEWS]))
    if not concern.holds_up:
        concern.holds_up = True
        concern.due = min(concern.due, now + GRACE[VIEWS])


def take_balance(account: AccountGate, balance: int) -> None:
    """Take a balance as shown; the first one explains itself."""
    if account.balance is None:
        account.explained = balance - account.cash
    account.balance = balance


def explain(account: AccountGate) -> None:
    """Take the balance for explained: every trade has been read."""
    if account.balance is not None:
        account.explained = account.balance - account.cash


def due(account: AccountGate, now: int) -> list[Output]:
    """Ask for the reads whose time has come."""
    outputs: list[Output] = []
    for name in sorted(account.concerns):
        concern = account.concerns[name]
        if now < concern.due:
            continue
        concern.looks += 1
        concern.due = now + (AGAIN_AFTER if concern.looks == 1 else LATER)
        depth = RECENT if concern.holds_up else FULL
        outputs.append(Read(account.account, depth, WHY[name]))
    return outputs


def wakes(account: AccountGate) -> list[int]:
    """Return the instants at which a read becomes due."""
    return [concern.due for concern in account.concerns.values()]

"""What an earlier run of a login spent of the request budget, as the stream tells it.

The broker counts by login, not by process: a link that began with an empty
window would be refused where it matters most, at its first close. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.port import COST, FULL, POSITIONS
from risk_daemon.core.events import FeedChanged, Reconciled, RequestSent
from risk_daemon.link import polling
from risk_daemon.wire.record import Record, decode

KINDS: Final = ("request-sent", "reconciled", "feed-changed")
#: The reconciliation that nobody waits for; it has a share of its own.
REGULAR: Final = "regular"
#: Log in, list contracts and accounts, warm the enforcement connection.
OPENING: Final = 4


def spend(
    budget: rationing.Budget, records: Iterable[Record], login: str, accounts: tuple[int, ...]
) -> None:
    """Put what these records tell into the window, each at its own time."""
    for record in records:
        share, cost = _cost(record, login, accounts)
        budget.answered += [(record.at, share)] * cost


def _cost(record: Record, login: str, accounts: tuple[int, ...]) -> tuple[str, int]:
    match decode(record).fact:
        case RequestSent(account=account) if account in accounts:
            return rationing.ENFORCEMENT, 1
        case Reconciled(account=account, only_positions=cheap, why=why) if account in accounts:
            share = rationing.REST if why in (REGULAR, polling.WHY) else rationing.VERIFICATION
            return share, COST[POSITIONS] if cheap else COST[FULL]
        case FeedChanged(login=name, state="suspect") if name == login:
            return rationing.REST, OPENING
        case _:
            return rationing.REST, 0

"""A new link takes over what the earlier one spent: the broker counts by login."""

import pytest

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.budget import ENFORCEMENT, REST, VERIFICATION, Budget
from risk_daemon.core.events import Fact, FeedChanged, Reconciled, RequestSent
from risk_daemon.link.spent import OPENING, spend
from risk_daemon.wire.record import Record, new_record

OURS, THEIRS = 7, 8
AT = 1_000 * rationing.SECOND


def recorded(fact: Fact, at: int = AT) -> Record:
    new = new_record(fact)
    return Record(1, at, new.version, new.kind, new.account, new.payload, 0)


def a_read(account: int = OURS, *, why: str = "verify", cheap: bool = False) -> Reconciled:
    return Reconciled(
        account=account,
        positions=(),
        orders=(),
        trades=(),
        balance=0,
        can_trade=True,
        began_at=AT,
        stable=True,
        why=why,
        only_positions=cheap,
    )


def sent(account: int = OURS) -> RequestSent:
    return RequestSent(
        account=account, key="k", request="r", act="close", contract="c", order=0, size=0, epoch=1
    )


@pytest.mark.parametrize(
    ("fact", "share", "cost"),
    [
        (sent(), ENFORCEMENT, 1),
        (sent(THEIRS), ENFORCEMENT, 0),
        (a_read(), VERIFICATION, 3),
        (a_read(cheap=True), VERIFICATION, 1),
        (a_read(why="regular"), REST, 3),
        (a_read(THEIRS), VERIFICATION, 0),
        (FeedChanged(login="north", state="suspect", why="reading"), REST, OPENING),
        (FeedChanged(login="south", state="suspect", why="reading"), REST, 0),
        (FeedChanged(login="north", state="trusted", why=""), REST, 0),
    ],
)
def test_what_a_record_cost(fact: Fact, share: str, cost: int) -> None:
    budget = Budget()

    spend(budget, [recorded(fact)], "north", (OURS,))

    assert rationing.used(budget, share) == cost
    assert sum(rationing.used(budget, name) for name in rationing.SHARES) == cost


def test_it_leaves_the_window_at_its_own_time() -> None:
    budget = Budget()
    full = [recorded(sent())] * rationing.LIMIT

    spend(budget, full, "north", (OURS,))

    assert not rationing.take(budget, ENFORCEMENT, AT + rationing.WINDOW - 1)
    assert rationing.take(budget, ENFORCEMENT, AT + rationing.WINDOW)

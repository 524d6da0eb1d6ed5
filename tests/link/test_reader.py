"""Reads of accounts: only of those whose own row is known, and the first one before all else.

Played in virtual time: nothing here waits.
"""

import asyncio
import math
from typing import Any, cast

import pytest

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.budget import Budget
from risk_daemon.broker.port import COST, FULL, POSITIONS, RECENT, Broker, Reading, Rows
from risk_daemon.core.events import TradeSeen
from risk_daemon.link.loop import WARM_EVERY_S
from risk_daemon.link.reader import ASKED, ASKED_KEEPS, BUDGET_LOOK_S, RECONNECT_KEEPS, Reader
from risk_daemon.settings import READS_PER_ACCOUNT, READS_PER_ROUND, REGULAR_PER_MINUTE, Login
from tests.virtual import BEGINS, VirtualTime

ACCOUNT = 7
WITHIN_S = 10.0


class Desk:
    """A broker that shows an empty account and counts how often it was asked."""

    def __init__(self) -> None:
        self.reads = 0
        #: When each of the next reads shows a fill, after it began.
        self.trades_after_ns: list[int] = []

    async def read(self, account: int, since: int, depth: str) -> Rows:
        """Show a fill where one is due; `since` is when the read began."""
        del depth
        self.reads += 1
        found = [trade(account, since + after) for after in self.trades_after_ns[:1]]
        del self.trades_after_ns[:1]
        return Rows(positions=(), orders=(), trades=tuple(found), recent=None)


def trade(account: int, at: int) -> TradeSeen:
    return TradeSeen(
        account=account,
        trade=1,
        order=1,
        contract="CON.F.US.MNQ.Z26",
        side=1,
        size=1,
        price=1,
        traded_at=at,
    )


class AtWork:
    """A reader at work, what it is told of the account, and what came of it."""

    def __init__(self, budget: Budget, standing: tuple[int, bool] | None) -> None:
        self.desk, self.standing, self.time = Desk(), standing, VirtualTime()
        self.found: list[Reading] = []
        self.reader = Reader(
            cast("Broker", self.desk),
            budget,
            self.time.clock(),
            arrivals=lambda _: 0,
            since=lambda _, at: at,
            standing=lambda _: self.standing,
            on_reading=self.found.append,
            on_failure=lambda _, __: None,
        )

    def run(self, *steps: Any) -> None:
        """Let the reader serve while these steps are taken."""

        async def story() -> None:
            serving = asyncio.create_task(self.reader.run())
            async with asyncio.timeout(WITHIN_S):
                for step in steps:
                    await step()
            serving.cancel()

        self.time.play(story())

    async def is_wanted(self, depth: str = FULL) -> None:
        self.reader.want(ACCOUNT, depth, why="a test")
        for _ in range(5):
            await asyncio.sleep(0)

    async def is_polled(self) -> None:
        self.reader.want(ACCOUNT, why="regular", urgent=False)
        await asyncio.sleep(0)

    async def looks_for_its_turn(self) -> None:
        """Let the reader look at the budget three times."""
        await asyncio.sleep(3 * BUDGET_LOOK_S)

    async def is_read(self) -> None:
        await self.reader.read_since((ACCOUNT,), 1)


def used_up(*shares: str) -> Budget:
    """A budget in which these classes have nothing left."""
    budget, now = Budget(), BEGINS
    for share in shares:
        budget.answered += [(now, share)] * rationing.SHARES[share]
    return budget


def test_an_account_whose_own_row_was_never_shown_is_not_read() -> None:
    one = AtWork(Budget(), standing=None)

    one.run(one.is_wanted)

    assert one.desk.reads == 0


def test_it_is_read_once_its_row_is_known_and_told_as_the_row_says() -> None:
    one = AtWork(Budget(), standing=None)

    async def row_comes() -> None:
        one.standing = (500, True)

    one.run(one.is_wanted, row_comes, one.is_wanted, one.is_read)

    assert one.desk.reads == 1
    assert (one.found[0].rows.balance, one.found[0].rows.can_trade) == (500, True)


@pytest.mark.parametrize(("traded_after_ns", "reads"), [(-1, 1), (0, 2)])
def test_a_read_during_which_something_was_traded_is_repeated(
    traded_after_ns: int, reads: int
) -> None:
    one = AtWork(Budget(), standing=(500, True))
    one.desk.trades_after_ns = [traded_after_ns]

    one.run(one.is_wanted, one.is_read)

    assert [found.rows.stable for found in one.found] == [False, True][-reads:]
    assert one.desk.reads == reads


def test_the_first_read_of_an_account_may_use_what_enforcement_has() -> None:
    budget = used_up(rationing.VERIFICATION, rationing.REST)
    one = AtWork(budget, standing=(500, True))

    one.run(one.is_wanted, one.is_read)

    assert rationing.used(budget, rationing.ENFORCEMENT) == COST[FULL]


def test_a_later_one_may_not() -> None:
    budget = used_up(rationing.VERIFICATION, rationing.REST)
    one = AtWork(budget, standing=(500, True))

    one.run(one.is_wanted, one.is_read, one.is_wanted)

    assert one.desk.reads == 1


def test_but_one_that_looks_for_a_request_of_unknown_outcome_may() -> None:
    budget = used_up(rationing.VERIFICATION, rationing.REST)
    one = AtWork(budget, standing=(500, True))

    async def looks() -> None:
        await one.is_wanted(RECENT)

    one.run(one.is_wanted, one.is_read, looks)

    assert one.desk.reads == 2


def test_a_cheap_one_that_waits_for_the_budget_does_not_hold_up_the_one_after_a_reconnect() -> None:
    budget = used_up(rationing.VERIFICATION, rationing.REST)
    one = AtWork(budget, standing=(500, True))

    async def verifies() -> None:
        await one.is_wanted(POSITIONS)

    async def reconnects() -> None:
        await one.is_wanted(RECENT)

    async def is_read_again() -> None:
        await one.reader.read_since((ACCOUNT,), one.found[0].began_at + 1)

    one.run(one.is_wanted, one.is_read, verifies, reconnects, is_read_again)

    assert one.desk.reads == 2


def test_one_that_waits_for_its_turn_holds_up_no_urgent_one() -> None:
    budget = used_up(rationing.REST)
    one = AtWork(budget, standing=(500, True))

    one.run(one.is_polled, one.looks_for_its_turn, one.is_wanted, one.is_read)

    assert [reading.rows.why for reading in one.found] == ["a test"]


def test_a_regular_one_takes_its_turn_while_the_rest_has_room_for_a_reconnect() -> None:
    one = AtWork(Budget(), standing=(500, True))

    one.run(one.is_polled, one.is_read)

    assert [reading.rows.why for reading in one.found] == ["regular"]


def test_and_leaves_the_room_of_a_reconnect_untouched() -> None:
    budget, now = Budget(), BEGINS
    spent = rationing.SHARES[rationing.REST] - RECONNECT_KEEPS
    budget.answered += [(now, rationing.REST)] * spent
    one = AtWork(budget, standing=(500, True))

    one.run(one.is_polled, one.looks_for_its_turn)

    assert one.desk.reads == 0


def test_what_was_read_urgently_is_not_polled_again() -> None:
    budget = used_up(rationing.REST)
    one = AtWork(budget, standing=(500, True))

    async def rest_is_free_again() -> None:
        budget.answered.clear()

    one.run(one.is_polled, one.is_wanted, one.is_read, rest_is_free_again, one.looks_for_its_turn)

    assert one.desk.reads == 1


# --- how often -------------------------------------------------------------------


def test_what_is_said_to_be_left_for_regular_reads_is_left() -> None:
    warm = math.ceil(60 / WARM_EVERY_S)

    assert rationing.SHARES[rationing.REST] - RECONNECT_KEEPS - warm == REGULAR_PER_MINUTE
    assert COST[FULL] == READS_PER_ACCOUNT


@pytest.mark.parametrize("accounts", [1, 2, 3, 4, 10, 50])
def test_rounds_cost_no_more_than_the_budget_leaves_for_them(accounts: int) -> None:
    login = Login(name="n", user="u", credentials="env", accounts=tuple(range(1, accounts + 1)))
    period = login.reconcile_every_s

    a_round = READS_PER_ACCOUNT * accounts + READS_PER_ROUND
    assert a_round * 60 / period <= REGULAR_PER_MINUTE
    assert period >= 10.0
    assert period == 10.0 or a_round * 60 / (period - 0.1) > REGULAR_PER_MINUTE, "no slower"


def test_reads_that_come_one_after_the_other_are_waited_for_as_long_as_they_take() -> None:
    one = AtWork(Budget(), standing=(500, True))
    accounts, within_s = (1, 2, 3), 1.0

    async def next_one_when_the_last_is_read() -> None:
        for number in accounts:
            one.reader.want(number, why="a test")
            await one.reader.read_since((number,), 1)
            await asyncio.sleep(within_s * 0.5)

    async def all_are_read() -> None:
        wanted = asyncio.create_task(next_one_when_the_last_is_read())
        await one.reader.read_since(accounts, 1, within_s)
        await wanted

    one.run(all_are_read)

    assert one.desk.reads == len(accounts)


def test_where_no_further_one_comes_the_wait_is_over() -> None:
    one = AtWork(Budget(), standing=(500, True))

    async def half_of_them() -> None:
        one.reader.want(1, why="a test")
        with pytest.raises(TimeoutError):
            await one.reader.read_since((1, 2), 1, 0.05)

    one.run(half_of_them)

    assert one.desk.reads == 1


def test_a_read_that_waits_for_the_budget_is_not_late() -> None:
    """A link that follows another one has its minute's requests to wait for."""
    budget = used_up(*rationing.SHARES)
    one = AtWork(budget, standing=(500, True))
    within_s = 0.05

    async def the_window_passes() -> None:
        await asyncio.sleep(3 * within_s)
        assert one.desk.reads == 0
        budget.answered.clear()

    async def it_is_read() -> None:
        one.reader.want(ACCOUNT, why="a test")
        passing = asyncio.create_task(the_window_passes())
        await one.reader.read_since((ACCOUNT,), 1, within_s)
        await passing

    one.run(it_is_read)

    assert one.desk.reads == 1


def spent(enforcement: int) -> Budget:
    """A budget whose shares for reads are used up, and so much of enforcement's."""
    budget = used_up(rationing.VERIFICATION, rationing.REST)
    budget.answered += [(BEGINS, rationing.ENFORCEMENT)] * enforcement
    return budget


@pytest.mark.parametrize(("left", "reads"), [(ASKED_KEEPS + COST[FULL], 1), (ASKED_KEEPS, 0)])
def test_what_somebody_asked_for_is_read_of_what_closes_do_not_need(left: int, reads: int) -> None:
    one = AtWork(spent(rationing.SHARES[rationing.ENFORCEMENT] - left), standing=(500, True))
    one.reader.last_read_at[ACCOUNT] = 1  # the first read of an account may use all of it

    async def it_is_asked_for() -> None:
        one.reader.want(ACCOUNT, why=ASKED)
        await one.looks_for_its_turn()

    one.run(it_is_asked_for)

    assert one.desk.reads == reads


def test_a_read_that_waits_is_what_somebody_asks_for_meanwhile() -> None:
    one = AtWork(spent(0), standing=(500, True))
    one.reader.last_read_at[ACCOUNT] = 1

    async def it_waits_and_is_asked_for() -> None:
        await one.is_wanted()
        await one.looks_for_its_turn()
        assert one.desk.reads == 0
        one.reader.want(ACCOUNT, why=ASKED)
        await one.reader.read_since((ACCOUNT,), 2)

    one.run(it_waits_and_is_asked_for)

    assert (one.desk.reads, one.found[0].rows.why) == (1, ASKED)

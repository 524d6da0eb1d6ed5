"""Reading in turn: who is next, and how old a figure gets by it."""

from __future__ import annotations

import pytest

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.port import COST, FULL, POSITIONS
from risk_daemon.link import polling
from risk_daemon.link.loop import WARM_EVERY_S


@pytest.mark.parametrize("accounts", [1, 2, 3, 4, 7])
def test_every_account_is_read_in_every_round_and_deeply_in_every_third(accounts: int) -> None:
    numbers = tuple(range(1, accounts + 1))
    rounds = len(polling.CYCLE)
    turns = [polling.turn(n, numbers) for n in range(accounts * rounds * 2)]

    for first in range(0, len(turns), accounts):
        assert {account for account, _ in turns[first : first + accounts]} == set(numbers)
    for number in numbers:
        depths = [depth for account, depth in turns if account == number]
        for first in range(len(depths) - rounds + 1):
            assert sorted(depths[first : first + rounds]) == [FULL, POSITIONS, POSITIONS]


@pytest.mark.parametrize("accounts", [1, 4])
def test_the_price_is_the_time_between_two_reads_of_a_figure(accounts: int) -> None:
    ages = polling.worst_ages_s(accounts)

    assert ages["positions"] == round(accounts * polling.STEP_S, 1)
    assert ages["orders"] == ages["trades"] == round(3 * accounts * polling.STEP_S, 1)
    assert ages["balance"] == polling.LIST_EVERY_S
    assert f"positions {ages['positions']:g} s" in polling.price(accounts)


def test_a_minute_of_polling_costs_what_the_budget_has_for_it() -> None:
    a_cycle = sum(COST[depth] for depth in polling.CYCLE)
    a_minute = 60 / (polling.STEP_S * len(polling.CYCLE)) * a_cycle

    beside = 60 / WARM_EVERY_S + 60 / polling.LIST_EVERY_S
    rest = rationing.SHARES[rationing.REST] - polling.KEEPS_OF_REST
    verification = rationing.SHARES[rationing.VERIFICATION] - polling.KEEPS_OF_VERIFICATION
    assert a_minute + beside <= rest + verification
    assert a_minute + beside > rest + verification - 2, "no slower than it must be"


def test_polling_is_late_when_three_rounds_failed_but_not_in_a_moment() -> None:
    assert polling.late_after_s(1) == polling.LATE_AFTER_S_MIN
    assert polling.late_after_s(20) == pytest.approx(60 * polling.STEP_S)

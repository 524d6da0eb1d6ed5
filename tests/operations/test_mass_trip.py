"""A change that trips more accounts than it may is held, with which and why and what allows it."""

import pytest

from risk_daemon.errors import Refused
from risk_daemon.operations.changing import mass_trip


@pytest.mark.parametrize(
    ("accounts", "most"), [(1, 1), (3, 1), (10, 1), (19, 1), (20, 2), (1_000, 100)]
)
def test_a_tenth_of_the_accounts_may_trip_and_never_fewer_than_one(
    accounts: int, most: int
) -> None:
    assert mass_trip.allowed(accounts) == most


def trips(count: int) -> dict[int, list[str]]:
    return {number: ["max-contracts: 3 contracts, limit 2"] for number in range(1, count + 1)}


def test_one_more_than_may_trip_is_held_and_every_account_is_named_with_why() -> None:
    mass_trip.judge(trips(2), 20, 0)

    with pytest.raises(Refused) as held:
        mass_trip.judge(trips(3), 20, 2)

    lines = held.value.sentence.splitlines()
    assert "3 of 20 accounts, more than 2 (10 %, never fewer than 1)" in lines[0]
    assert "the same command with --accept-trips 3" in lines[0]
    assert lines[1:] == [f"  {number}: max-contracts: 3 contracts, limit 2" for number in (1, 2, 3)]


def test_a_person_who_accepts_as_many_lets_it_through() -> None:
    mass_trip.judge(trips(3), 20, 3)


def test_more_than_twenty_are_counted() -> None:
    with pytest.raises(Refused) as held:
        mass_trip.judge(trips(25), 30, 0)

    assert held.value.sentence.splitlines()[-1] == "  and 5 more"
    assert len(held.value.sentence.splitlines()) == 22

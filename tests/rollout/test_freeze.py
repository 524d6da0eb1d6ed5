"""A freeze forbids what it names, in its span, for its accounts, and never a way back."""

import pytest

from risk_daemon.rollout.freeze import everything, first_free, forbids, is_representative
from risk_daemon.rollout.plan import Freeze


def frozen(
    begin: int, end: int, *what: str, accounts: tuple[int, ...] = (), counts: bool = True
) -> Freeze:
    return Freeze(
        begin=begin, end=end, forbids=what, reason="FOMC", accounts=accounts, counts=counts
    )


@pytest.mark.parametrize(("at", "said"), [(9, ""), (10, "FOMC"), (19, "FOMC"), (20, "")])
def test_a_freeze_lasts_from_its_begin_until_before_its_end(at: int, said: str) -> None:
    assert forbids((frozen(10, 20, "switch"),), "switch", at) == said


def test_a_freeze_forbids_what_it_names_and_nothing_else() -> None:
    freezes = (frozen(0, 20, "switch"),)

    assert forbids(freezes, "promote", 5) == ""
    assert forbids((*freezes, frozen(0, 20, "promote")), "promote", 5) == "FOMC"


def test_a_freeze_of_some_accounts_is_no_freeze_of_all() -> None:
    freezes = (frozen(0, 20, "switch", accounts=(7,)),)

    assert forbids(freezes, "switch", 5, 7) == "FOMC"
    assert forbids(freezes, "switch", 5, 8) == ""
    assert forbids(freezes, "switch", 5) == ""


@pytest.mark.parametrize(("at", "counts"), [(9, True), (10, False), (19, False), (20, True)])
def test_what_is_seen_in_some_freezes_is_not_representative(at: int, counts: bool) -> None:
    assert is_representative((frozen(10, 20, counts=False), frozen(0, 99)), at) is counts


def test_the_first_free_instant_is_after_the_freezes_that_follow_each_other() -> None:
    freezes = (frozen(20, 30, "switch"), frozen(0, 20, "switch"), frozen(31, 40, "switch"))

    assert first_free(freezes, "switch", 0, 100) == 30
    assert first_free(freezes, "switch", 0, 30) is None
    assert first_free(freezes, "promote", 0, 30) == 0
    assert first_free((frozen(0, 9, "switch", accounts=(7,)),), "switch", 0, 5, 8) == 0
    assert first_free((frozen(0, 9, "switch", accounts=(7,)),), "switch", 0, 5, 7) is None


def test_a_freeze_that_covers_everything_is_told() -> None:
    assert everything((frozen(0, 100, "start", "switch"),), (1, 2), 0, 100) == (
        "the freezes forbid every start from now until the plan would end",
        "the freezes forbid every switch from now until the plan would end",
    )
    assert everything((frozen(0, 99, "start", "promote", "switch"),), (1, 2), 0, 100) == ()


def test_an_account_that_is_frozen_throughout_is_told() -> None:
    assert everything((frozen(0, 100, "switch", accounts=(2,)),), (1, 2), 0, 100) == (
        "the freezes leave account 2 no time to be switched",
    )

"""Fresh, quiet, stale: old alone is neither good nor bad."""

from __future__ import annotations

import pytest

from risk_daemon.link import ages
from risk_daemon.link.ages import FRESH, LOOK_EVERY, OLD_AFTER, QUIET, SECOND, STALE, Ages

C, D = "C", "D"
BEGAN = 100 * SECOND


def following(*contracts: str) -> Ages:
    found = Ages()
    for contract in contracts:
        ages.begin(found, contract, BEGAN)
    return found


def test_nobody_looks_at_what_was_heard_of_a_moment_ago() -> None:
    found = following(C)

    assert ages.next_look(found, BEGAN + OLD_AFTER - 1) == ""
    assert ages.next_look(found, BEGAN + OLD_AFTER) == C


def test_whoever_was_looked_at_longest_ago_is_next() -> None:
    found, now = following(C, D), BEGAN + OLD_AFTER

    assert ages.next_look(found, now) == C
    assert ages.next_look(found, now + SECOND) == D
    assert ages.next_look(found, now + 2 * SECOND) == ""
    assert ages.next_look(found, now + LOOK_EVERY - 1) == ""
    assert ages.next_look(found, now + LOOK_EVERY) == C


@pytest.mark.parametrize("state", [QUIET, STALE])
def test_what_a_look_shows_is_news_once_and_over_with_the_next_sign_of_life(state: str) -> None:
    found, now = following(C), BEGAN + OLD_AFTER

    assert ages.judge(found, C, state, now)
    assert not ages.judge(found, C, state, now)
    assert ages.hear(found, C, now + 1)
    assert found.contracts[C].state == FRESH
    assert not ages.hear(found, C, now + 2)


def test_who_was_heard_of_while_somebody_looked_is_not_judged_by_that() -> None:
    found, now = following(C), BEGAN + OLD_AFTER
    ages.hear(found, C, now)

    assert not ages.judge(found, C, STALE, now)
    assert ages.judge(found, C, STALE, now + 1)


def test_what_is_not_followed_is_nobodys_concern() -> None:
    found = following(C)
    ages.end(found, C)

    assert not ages.hear(found, C, BEGAN)
    assert not ages.judge(found, C, STALE, BEGAN + OLD_AFTER)
    assert ages.old(found, BEGAN + OLD_AFTER) == []

"""Who is shown next: nobody waits for ever, and the market never before what happened."""

from __future__ import annotations

from risk_daemon.worker.showing import AGAIN_AFTER, MOVING_AFTER, TOGETHER, Showing

FEW = [(number, False) for number in range(1, 11)]


def shown_first(showing: Showing) -> None:
    """Have every one of the few shown once."""
    showing.happened(number for number, _ in FEW)
    showing.turn(FEW)


def test_what_happened_is_shown_once() -> None:
    showing = Showing()
    shown_first(showing)
    showing.happened([3])

    assert (showing.turn(FEW), showing.turn(FEW)) == ([3], [])


def test_an_account_that_is_not_ours_keeps_its_turn_until_it_is() -> None:
    showing = Showing()
    showing.happened([77])

    assert showing.turn([]) == []
    assert showing.turn([(77, False)]) == [77]


def test_an_account_to_which_nothing_happens_is_shown_again_after_a_while() -> None:
    showing = Showing()
    shown_first(showing)
    turns = [showing.turn([(1, False)]) for _ in range(AGAIN_AFTER)]

    assert turns == [[]] * (AGAIN_AFTER - 1) + [[1]]


def test_one_that_holds_something_sooner() -> None:
    showing = Showing()
    shown_first(showing)
    turns = [showing.turn([(1, True)]) for _ in range(MOVING_AFTER)]

    assert turns == [[]] * (MOVING_AFTER - 1) + [[1]]


def test_of_too_many_those_to_whom_something_happened_come_first() -> None:
    many = [(number, True) for number in range(3 * TOGETHER)]
    showing = Showing()
    showing.moved(number for number, _ in many)
    showing.happened([299])

    assert showing.turn(many) == [299, *range(TOGETHER - 1)]


def test_and_all_the_others_in_the_turns_after() -> None:
    many = [(number, True) for number in range(3 * TOGETHER)]
    showing = Showing()
    seen: set[int] = set()
    for _ in range(3):
        showing.moved(number for number, _ in many)
        seen.update(showing.turn(many))

    assert seen == {number for number, _ in many}

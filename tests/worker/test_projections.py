"""A holder of another release, compared in words that both know."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from risk_daemon.core.events import HashTaken
from risk_daemon.wire.view import PROJECTION
from risk_daemon.worker.projections import KEPT, Projections

NOTHING = ("", False)


def unknown() -> dict[str, str]:
    """What is shown now, where a projection was taken at the very record."""
    raise AssertionError("the projection of that record was to be used")


def theirs(seq: int, version: int = PROJECTION, **shown: str) -> HashTaken:
    return HashTaken(
        account=7,
        release="v1",
        holder="worker-1@v1",
        seq=seq,
        count=1,
        digest="d",
        projection=version,
        shown=shown,
    )


def at(seq: int, **shown: str) -> HashTaken:
    found = theirs(seq)
    return msgspec.structs.replace(found, shown={"trade date": "2026-11-27", **shown})


def test_a_difference_is_told_once_until_it_is_another_or_over() -> None:
    mine = Projections()
    for seq in range(1, 6):
        mine.take(7, seq, {"locks": "none"})

    by_a, by_b = (f"locks: v1 has full by {one}, the other none" for one in "ab")
    assert mine.news(theirs(1, locks="full by a"), unknown) == (by_a, False)
    assert mine.news(theirs(2, locks="full by a"), unknown) == NOTHING
    assert mine.news(theirs(3, locks="full by b"), unknown) == (by_b, False)
    assert mine.news(theirs(4, locks="none"), unknown) == NOTHING
    assert mine.news(theirs(5, locks="full by b"), unknown) != NOTHING


def test_what_no_release_decides_is_told_apart_from_what_follows_from_a_decision() -> None:
    mine = Projections()
    mine.take(7, 1, {"locks": "none", "positions": "2 MNQ"})

    said, are_facts = mine.news(theirs(1, locks="full", positions="3 MNQ"), unknown)

    assert ("positions: v1 has 3 MNQ, the other 2 MNQ" in said, are_facts) == (True, True)


def test_what_only_one_of_both_shows_is_a_difference() -> None:
    mine = Projections()
    mine.take(7, 1, {"mood": "good"})

    said, _ = mine.news(theirs(1, locks="none"), unknown)

    assert "locks: v1 has none, the other nothing to say" in said
    assert "mood: v1 has nothing to say, the other good" in said


def test_another_record_another_version_and_another_account_say_nothing() -> None:
    mine = Projections()
    mine.take(7, 1, {"locks": "none"})
    mine.take(8, 2, {"locks": "none"})

    mine.touched(7, 3)
    assert mine.news(theirs(2, locks="full"), unknown) == NOTHING
    assert mine.news(theirs(1, PROJECTION + 1, locks="full"), unknown) == NOTHING
    assert mine.news(theirs(1, 0), unknown) == NOTHING


def test_only_so_many_are_kept() -> None:
    mine = Projections()
    for seq in range(1, KEPT + 2):
        mine.take(7, seq, {"locks": "none"})
        mine.touched(7, seq)

    assert mine.news(theirs(1, locks="full"), unknown) == NOTHING
    assert mine.news(theirs(2, locks="full"), unknown) != NOTHING


def now(**shown: str) -> Callable[[], dict[str, str]]:
    return lambda: {"trade date": "2026-11-27", **shown}


def test_where_none_was_taken_the_account_is_compared_as_it_still_is() -> None:
    mine = Projections()
    mine.touched(7, 4)

    said = mine.news(at(4, realized="5"), now(realized="4"))

    assert said == ("realized: v1 has 5, the other 4", True)
    assert mine.news(at(5, realized="4"), now(realized="4")) == NOTHING
    assert mine.news(at(3, realized="5"), now(realized="4")) == NOTHING


def test_between_two_days_nothing_is_compared() -> None:
    theirs_then = at(4, realized="5")

    assert Projections().news(theirs_then, lambda: {"trade date": "2026-11-30"}) == NOTHING

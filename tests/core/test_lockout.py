"""Locks: the strictest in force counts, each ends on its own time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core.decision import FULL, LOCK_MODES, NO_NEW_ENTRY, REDUCE_ONLY
from risk_daemon.core.events import LockPlaced
from risk_daemon.core.lockout import (
    Lock,
    closes_everything,
    covers,
    is_over,
    is_scoped,
    strictest,
    strictness,
    tighten,
)


def lock(mode: str, until: int | None = None) -> Lock:
    placed = LockPlaced(
        account=1, lock=mode, rule="r", mode=mode, began_at=0, until=until, reason="because"
    )
    return Lock(placed=placed)


@given(st.lists(st.sampled_from(LOCK_MODES), min_size=1))
def test_the_mode_in_force_is_the_strictest_of_all(modes: list[str]) -> None:
    locks = {str(number): lock(mode) for number, mode in enumerate(modes)}

    assert strictest(locks) == min(modes, key=LOCK_MODES.index)


def test_without_a_lock_no_mode_is_in_force() -> None:
    assert strictest({}) == ""


def test_a_mode_of_a_newer_release_is_stricter_than_all() -> None:
    assert strictness("hibernate") > strictness(FULL) > strictness(REDUCE_ONLY)
    assert strictness(REDUCE_ONLY) > strictness(NO_NEW_ENTRY)
    assert closes_everything(lock("hibernate"))
    assert closes_everything(lock(FULL))
    assert not closes_everything(lock(REDUCE_ONLY))


def test_a_lock_ends_at_its_time_and_not_before() -> None:
    assert not is_over(lock(REDUCE_ONLY, until=10), 9, is_flat=False)
    assert is_over(lock(REDUCE_ONLY, until=10), 10, is_flat=False)
    assert not is_over(lock(REDUCE_ONLY), 10**18, is_flat=True)


def test_a_lock_with_an_unfinished_close_outlives_its_end() -> None:
    assert not is_over(lock(FULL, until=10), 11, is_flat=False)
    assert is_over(lock(FULL, until=10), 11, is_flat=True)


def test_what_reduce_only_allows_only_falls() -> None:
    held = Lock(placed=lock(REDUCE_ONLY).placed, allowance={"A": 3, "B": 2})

    tighten(held, {"A": -1, "C": 5})
    tighten(held, {"A": 4})

    assert held.allowance == {"A": 1, "B": 0}


@pytest.mark.parametrize(
    ("scope", "covered", "scoped"),
    [
        ("", ["ZC", "ES", ""], False),
        ("configuration", ["ZC", "ES", ""], False),
        ("galaxy:ZC", ["ZC", "ES", ""], False),
        ("roots:ZC,ZW", ["ZC"], True),
        ("except:ZC,ZW", ["ES", ""], True),
    ],
)
def test_a_lock_covers_what_its_scope_names_and_an_unknown_scope_everything(
    scope: str, covered: list[str], scoped: bool
) -> None:
    placed = LockPlaced(
        account=1, lock="l", rule="r", mode=FULL, began_at=0, until=None, reason="", scope=scope
    )
    found = Lock(placed=placed)

    assert [root for root in ("ZC", "ES", "") if covers(found, root)] == covered
    assert is_scoped(found) is scoped

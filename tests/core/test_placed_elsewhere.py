"""Locks and high-water marks that come into an account from outside: after its state was lost."""

import pytest

from risk_daemon.core.events import HighWaterKept, LockPlaced
from tests.build import ACCOUNT, Stream, goals, order, position, reading, rule


def placed(mode: str, scope: str = "") -> LockPlaced:
    return LockPlaced(
        account=ACCOUNT,
        lock="restored:9:day",
        rule="daily-realized-loss",
        mode=mode,
        began_at=1,
        until=None,
        reason="x",
        scope=scope,
    )


def holding_three() -> Stream:
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 3)
    stream.outputs.clear()
    return stream


@pytest.mark.parametrize("scope", ["", "roots:MNQ"])
def test_reduce_only_from_elsewhere_closes_nothing_and_lets_nothing_grow(scope: str) -> None:
    stream = holding_three()

    stream.feed(placed("reduce-only", scope))
    stream.feed(order(5, 1, 1))

    assert [(goal.act, goal.order) for goal in goals(stream.outputs)] == [("cancel", 5)]


def test_what_is_held_at_the_first_stable_read_is_what_it_allows() -> None:
    stream = holding_three()
    stream.feed(placed("reduce-only"))

    stream.feed(reading(position(4), stable=False))
    assert stream.account.locks["restored:9:day"].is_unmeasured
    stream.feed(reading(position(3), began_at=stream.at))
    stream.feed(reading(position(2), began_at=stream.at))

    (lock,) = stream.account.locks.values()
    assert not lock.is_unmeasured
    assert list(lock.allowance.values()) == [2]
    stream.outputs.clear()
    stream.feed(reading(position(3), began_at=stream.at))
    assert [(goal.act, goal.allowed) for goal in goals(stream.outputs) if goal.act != "look"] == [
        ("reduce", 2)
    ]


def test_a_full_lock_from_elsewhere_closes_at_once() -> None:
    stream = holding_three()

    stream.feed(placed("full"))

    assert "close" in [goal.act for goal in goals(stream.outputs)]


def test_high_water_marks_only_rise() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.account.memory["r"] = {"settled": 5, "day": 7}

    stream.feed(HighWaterKept(account=ACCOUNT, rule="r", marks={"settled": 9, "day": 6, "new": 1}))
    stream.feed(HighWaterKept(account=ACCOUNT, rule="s", marks={"settled": -3}))

    assert stream.account.memory == {
        "r": {"settled": 9, "day": 7, "new": 1},
        "s": {"settled": -3},
    }

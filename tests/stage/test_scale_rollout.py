"""A rollout to many that is aborted at one half: played with few, and its figures judged."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.scale_rollout import BACK_MAX_S, CPU_MAX, PLAN_MAX_S, ScaleRollout, judge
from tests.untraced import leave_children_untraced

leave_children_untraced()

TOLD = {
    "accounts": 1_000,
    "plan_s": PLAN_MAX_S,
    "back_s": BACK_MAX_S,
    "idle_cpu": 0.02,
    "dwelling_cpu": 0.02 + CPU_MAX,
    "moved": 500,
    "reversed": 0,
    "increased": 0,
    "duplicate": 0,
    "late": 0,
}


def test_half_of_a_few_accounts_move_and_all_of_them_come_back_and_are_met() -> None:
    told = ScaleRollout(Crowd(2, 4), lambda *_: None, dwell_s=1.0).run()

    assert (told["accounts"], told["moved"]) == (8, 4)
    assert [one for one in told["problems"] if "of a core" not in one] == []


def test_figures_at_their_bounds_are_good() -> None:
    assert judge(TOLD, [])["ok"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"plan_s": PLAN_MAX_S + 0.01}, "planned in 5.01 s"),
        ({"back_s": BACK_MAX_S + 0.01}, "looked at in 30.01 s"),
        ({"dwelling_cpu": 0.02 + CPU_MAX + 0.01}, "6.0% of a core while dwelling"),
        ({"moved": 499}, "499 of 1000 accounts were moved"),
        ({"late": 1}, "late: 1"),
    ],
)
def test_one_beyond_them_is_told(more: dict[str, Any], problem: str) -> None:
    (said,) = judge(TOLD | more, [])["problems"]

    assert problem in said


def test_what_was_wrong_already_is_told_too() -> None:
    assert judge(TOLD, ["not back: 7"])["problems"] == ["not back: 7"]

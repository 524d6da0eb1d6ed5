"""Reasons to go back at once: each made to happen, and told."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from risk_daemon.stage.contract_page import page
from risk_daemon.stage.proof import NOTHING_TYPED, in_words, with_triggers
from risk_daemon.stage.second_release import SOURCE
from risk_daemon.stage.triggers import FAULTS, PHASES, Fault, Triggers
from tests.untraced import leave_children_untraced

leave_children_untraced()

BY_NAME = {one.trigger: one for one in FAULTS}
CRASH, RULES = BY_NAME["crash in production"], BY_NAME["rules not triggering correctly"]
BROKEN = [one for one in FAULTS if one.change]


def row(**changed: Any) -> dict[str, Any]:
    whole = {"trigger": "crash", "phase": "50", "by": "crash: exit 23", "accounts": 5}
    return whole | {"seconds": 1.5, "problem": ""} | changed


@pytest.mark.parametrize("fault", BROKEN, ids=lambda one: one.trigger)
def test_each_bad_release_differs_from_this_one_in_one_place(fault: Fault) -> None:
    assert fault.change is not None
    file, old, new = fault.change

    assert (SOURCE / file).read_text().count(old) == 1
    assert "LIT" in new


def test_the_six_are_made_to_happen_in_the_canary_and_at_half() -> None:
    assert len(FAULTS) == 6
    assert PHASES == ("canary", "50")


def test_what_a_bad_release_does_brings_every_account_back_by_itself() -> None:
    said: list[str] = []

    rows = [
        *Triggers(lambda _, text: said.append(text), (RULES,), ("canary",)).run(),
        *Triggers(lambda _, text: said.append(text), (CRASH,), ("50",)).run(),
    ]

    assert [one["problem"] for one in rows] == ["", ""]
    assert "breach-unanswered" in rows[0]["by"]
    assert "exit 23" in rows[1]["by"]
    assert [one["accounts"] for one in rows] == [1, 5]
    assert any("back in" in text for text in said)


def test_a_trigger_that_nobody_saw_is_a_problem_of_the_whole() -> None:
    verdict = with_triggers(NOTHING_TYPED, [row(), row(problem="nobody saw it", phase="canary")])

    assert not verdict["ok"]
    assert verdict["problems"] == ["crash, canary: nobody saw it"]
    assert in_words(verdict)[0] == (
        "1 of 2 times every account was back by itself, after 1.5 s at the most"
    )
    assert with_triggers(NOTHING_TYPED, [row()])["ok"]


def test_the_page_shows_who_saw_it_and_how_long_it_took() -> None:
    verdict = with_triggers(NOTHING_TYPED, [row(), row(problem="nobody saw it", phase="canary")])

    text = page(verdict, dt.date(2026, 11, 27))

    assert "| crash | 50 | crash | 5 | 1.5 s |" in text
    assert "| crash | canary | crash | 5 | **nobody saw it** |" in text

"""The rollouts that a stranger is shown: what is patched, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.stage.rollouts_shown import BADS, STEPS, Bad, in_words
from risk_daemon.stage.second_release import SOURCE


def verdict(**changed: Any) -> dict[str, Any]:
    bad = {"patch": "a leak", "stopped_in": "canary", "by": "memory", "events": 70, "seconds": 1.0}
    phases = [{"phase": "canary", "accounts": 1}, {"phase": "100", "accounts": 20}]
    whole = {
        "ok": True,
        "good": {"phases": phases, "minutes": 1.5},
        "bad": [bad],
        "rollback": {"accounts": 20, "steps_s": [1.0, 2.0], "total_s": 3.0},
        "unprotected_ms": {"p99": 12.5, "n": 40},
        "breaches": 9,
        "answered": 9,
        "problems": [],
    }
    return whole | changed


@pytest.mark.parametrize("bad", BADS, ids=lambda one: one.patch)
def test_each_bad_one_differs_from_this_release_in_one_place(bad: Bad) -> None:
    file, old, new = bad.change

    assert (SOURCE / file).read_text().count(old) == 1
    assert new != old


def test_one_is_to_be_stopped_before_it_acts_and_one_where_it_does() -> None:
    assert [one.stops_in for one in BADS] == ["shadow", "canary"]


def test_the_way_back_has_the_five_steps_of_a_rollback() -> None:
    assert [name for name, _ in STEPS] == ["stop", "revert", "verify", "reconcile", "notify"]


def test_it_is_told_in_sentences() -> None:
    assert in_words(verdict()) == [
        "a leak: stopped in canary after 70 records of the stream, by memory",
        "v9.0.0 went to 1 → 20 accounts in 1.5 minutes",
        "20 accounts went back in 3 s of 300",
        "9 of 9 breaches answered; an account was handed over in 12.5 ms (99 of 100)",
        "verdict: the good one arrived, the bad ones did not",
    ]
    told = in_words(verdict(ok=False, problems=["nobody came"]))
    assert told[-2:] == ["problem: nobody came", "verdict: NOT ok"]

"""Releases that are bad only after a while: each played, and told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from risk_daemon.stage.contract_page import page
from risk_daemon.stage.lasting import ENDS, FAILOVER_MAX_MS, LEAKS, SHOWN, Lasting, changes
from risk_daemon.stage.proof import NOTHING_TYPED, in_words, with_lasting
from risk_daemon.stage.second_release import SOURCE
from tests.untraced import leave_children_untraced

leave_children_untraced()


def row(**changed: Any) -> dict[str, Any]:
    whole = {"release": SHOWN[ENDS], "phase": "canary", "ended": "aborted", "by": "crash"}
    figures = {"seconds": 6.2, "unprotected_ms": 34.0, "failover_ms": 22.8, "problem": ""}
    return whole | figures | changed


def test_each_differs_from_this_release_in_one_place() -> None:
    for version, found in changes(Path("leaks")).items():
        ((file, old, new),) = found

        assert (SOURCE / file).read_text().count(old) == 1, version
        assert new != old


def test_a_leak_is_held_and_an_end_after_an_hour_costs_no_more_than_a_fail_over() -> None:
    said: list[str] = []

    leaked, ended = Lasting(lambda _, text: said.append(text)).run()

    assert (leaked["problem"], ended["problem"]) == ("", "")
    assert (leaked["release"], leaked["ended"]) == (SHOWN[LEAKS], "held")
    assert leaked["by"].startswith("memory: ")
    assert "and growing: " in leaked["by"] or "the limit is " in leaked["by"]
    assert (ended["ended"], ended["accounts"]) == ("aborted", 1)
    assert ended["by"].startswith("crash: worker-")
    assert ended["unprotected_ms"] <= max(ended["failover_ms"], FAILOVER_MAX_MS)
    assert any("nobody enforced for" in text for text in said)


def test_one_that_nobody_noticed_is_a_problem_of_the_whole() -> None:
    verdict = with_lasting(NOTHING_TYPED, [row(), row(problem="nobody noticed")])

    assert not verdict["ok"]
    assert verdict["problems"] == [f"{SHOWN[ENDS]}: nobody noticed"]
    assert in_words(verdict)[0] == (
        "it ends an hour after it was given an account: aborted after 6.2 s by crash; nobody "
        "enforced for 34 ms, as a worker was killed for 22.8 ms"
    )
    assert with_lasting(NOTHING_TYPED, [row()])["ok"]


def test_the_page_shows_how_each_ended_and_for_how_long_nobody_enforced() -> None:
    verdict = with_lasting(NOTHING_TYPED, [row(), row(problem="nobody noticed")])

    text = page(verdict, dt.date(2026, 11, 27))

    assert f"| {SHOWN[ENDS]} | aborted | crash | 6.2 s | 34 ms | 22.8 ms |" in text
    assert f"| {SHOWN[ENDS]} |  |  | **nobody noticed** |  |  |" in text

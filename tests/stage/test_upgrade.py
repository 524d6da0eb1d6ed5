"""What the demo of an upgrade promises, and how it says so; the play itself is a command."""

from typing import Any

import pytest

from risk_daemon.errors import OperatorError
from risk_daemon.stage.upgrade import differing, in_words, refuse_short, told

BREACH = "seq 9: BreachFound of account 7, decided by v2 and not by v1: a-rule, more"


def a_verdict(**changed: Any) -> dict[str, Any]:
    """The verdict of an upgrade in which everything went well."""
    gap = {"n": 10, "p50": 28.0, "p95": 29.0, "p99": 29.0, "max": 30.0}
    verdict: dict[str, Any] = {
        "ok": True,
        "problems": [],
        "breaches": 3,
        "answered": 3,
        "late": 0,
        "memory_mb": {"total": 391.5},
        "releases": {
            "v1": {"digest": "1" * 64, "decisions": 12, "decided": "a" * 32},
            "v2": {"digest": "2" * 64, "decisions": 13, "decided": "b" * 32},
        },
        "differing": [BREACH],
        "gap_ms": {"promote": gap, "rollback": gap},
    }
    return verdict | changed


def test_there_and_back_without_a_problem_is_ok() -> None:
    verdict = told(a_verdict())
    said = in_words(verdict)

    assert verdict["ok"]
    assert said[-1] == "verdict: there and back, every breach answered"
    assert f"one differing decision: {BREACH}" in said
    assert any("10 accounts" in line and "worst 30.0 ms" in line for line in said)


SAME = {name: {"digest": name, "decisions": 1, "decided": "a" * 32} for name in ("v1", "v2")}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"memory_mb": {"total": 500.0}}, "memory is 500.0 MB, the limit is 500"),
        ({"differing": []}, "the two releases decided the same"),
        ({"releases": SAME}, "the two releases decided the same"),
        ({"breaches": 0}, "nobody broke a limit"),
        ({"problems": ["account 7 was not handed over"]}, "account 7 was not handed over"),
    ],
)
def test_a_promise_that_is_broken_is_a_problem(changed: dict[str, Any], problem: str) -> None:
    verdict = told(a_verdict(**changed))

    assert not verdict["ok"]
    assert any(problem in text for text in verdict["problems"])
    assert in_words(verdict)[-1] == "verdict: NOT ok"


def test_what_the_referee_refuses_is_not_ok() -> None:
    assert not told(a_verdict(ok=False))["ok"]


def test_only_a_rules_finding_is_shown_as_a_difference() -> None:
    assert differing({"elsewhere": ["seq 8: intent 7:r:8:0 of account 7, ...", BREACH]}) == [BREACH]


def test_an_upgrade_too_short_to_come_back_is_refused() -> None:
    refuse_short(30)
    with pytest.raises(OperatorError, match="--seconds 29 is too short; at least 30"):
        refuse_short(29)

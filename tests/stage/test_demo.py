"""A short demo with real processes: the referee finds nothing wrong, and people can read it."""

from typing import Any

import pytest

from risk_daemon.operations.releases import release
from risk_daemon.rules import CATALOG
from risk_daemon.stage import play
from risk_daemon.supervisor.release import workers_of
from tests.stage.conftest import Played

MUST_BE_ZERO = (
    "late",
    "reversed",
    "reversed_by_race",
    "increased",
    "duplicate",
    "false",
    "orphan_orders",
)


def test_every_breach_of_a_short_demo_is_answered(demo: Played) -> None:
    verdict = demo.verdict

    assert verdict["breaches"] > 0
    assert verdict["answered"] == verdict["breaches"], verdict["problems"]
    assert {name: verdict[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0)


def test_each_account_and_each_process_is_told_of(demo: Played) -> None:
    assert len(demo.verdict["by_account"]) == 10
    processes = {"total", "journal", "link-demo-north", "supervisor", *workers_of(release())}
    assert processes <= set(demo.verdict["memory_mb"])


def test_people_see_what_was_broken_what_happened_and_what_a_person_did(demo: Played) -> None:
    kinds = {kind for kind, _ in demo.said}

    assert {"stage", "fault", "act", "breach", "answered"} <= kinds


def test_a_demo_leaves_no_process_behind(demo: Played) -> None:
    from risk_daemon.stage.daemon import Daemon

    assert Daemon(demo.home).processes() == {}


def a_verdict(**changed: Any) -> dict[str, Any]:
    """The verdict of a whole minute in which everything went well."""
    rows = {rule: {"breaches": 5} for rule in CATALOG}
    verdict: dict[str, Any] = {
        "ok": True,
        "problems": [],
        "breaches": 45,
        "answered": 45,
        "late": 0,
        "breaches_in_faults": 5,
        "by_rule": rows,
        "by_account": {"1": {"breaches": 45}},
        "memory_mb": {"total": 300.0},
        "host": {"fsync_p95_ms": 0.5},
        "latency_ms": {"n": 30, "p50": 5.0, "p95": 12.0, "p99": 14.0, "max": 14.0},
        **dict.fromkeys(MUST_BE_ZERO, 0),
    }
    return verdict | changed


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"breaches": 39}, "only 39 breaches"),
        ({"breaches_in_faults": 19}, "19 of 45 breaches fell into fault windows"),
        ({"by_rule": {"kill-switch": {"breaches": 1}}}, "kill-switch was broken 1 times"),
        ({"by_rule": {"kill-switch": {"breaches": 2}}}, "no-stop-loss-grace was not judged"),
        ({"by_account": {"7": {"breaches": 0}}}, "account 7 had no breach"),
        ({"memory_mb": {"total": 400.0}}, "memory is 400.0 MB"),
        ({"latency_ms": {"p50": 9.0, "p95": 20.0, "max": 21.0, "n": 30}}, "p95 20.0 ms"),
    ],
)
def test_a_promise_the_demo_breaks_is_a_problem(changed: dict[str, Any], problem: str) -> None:
    verdict = play.judge(a_verdict(**changed), play.WHOLE_S)

    assert not verdict["ok"]
    assert any(problem in text for text in verdict["problems"]), verdict["problems"]
    assert play.in_words(verdict)[-1] == "verdict: NOT ok"


def test_a_minute_without_a_problem_is_ok() -> None:
    verdict = play.judge(a_verdict(), play.WHOLE_S)

    assert verdict["ok"]
    assert play.in_words(verdict)[-1] == "verdict: every breach was answered"


def test_the_counts_of_a_minute_are_not_asked_of_less() -> None:
    assert play.judge(a_verdict(breaches=3, breaches_in_faults=3), 18)["ok"]


def test_on_a_noisy_host_the_timing_is_not_judged() -> None:
    slow = {"p50": 50.0, "p95": 90.0, "max": 99.0, "n": 30}
    verdict = play.judge(a_verdict(latency_ms=slow, host={"fsync_p95_ms": 9.0}), play.WHOLE_S)

    assert verdict["ok"]
    assert verdict["timing"] == "not judged: host noisy"

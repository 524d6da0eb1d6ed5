"""A short demo with real processes: the referee finds nothing wrong, and people can read it."""

from typing import Any

import pytest

from risk_daemon.operations.which_release import release
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
    ],
)
def test_a_promise_the_demo_breaks_is_a_problem(changed: dict[str, Any], problem: str) -> None:
    verdict = play.judge_timing(play.judge(a_verdict(**changed), play.WHOLE_S))

    assert not verdict["ok"]
    assert any(problem in text for text in verdict["problems"]), verdict["problems"]
    assert play.in_words(verdict)[-1] == "verdict: NOT ok"


def test_a_minute_without_a_problem_is_ok() -> None:
    verdict = play.judge_timing(play.judge(a_verdict(), play.WHOLE_S))

    assert verdict["ok"]
    assert play.in_words(verdict)[-1] == "verdict: every breach was answered"


def test_the_counts_of_a_minute_are_not_asked_of_less() -> None:
    assert play.judge(a_verdict(breaches=3, breaches_in_faults=3), 18)["ok"]


def latency(p95: float, p99: float) -> dict[str, Any]:
    return {"n": 30, "p50": 5.0, "p95": p95, "p99": p99, "max": p99}


@pytest.mark.parametrize(
    ("measured", "problem"),
    [
        (latency(20.0, 21.0), "p95 20.0 ms, the limit is 20 ms"),
        (latency(12.0, 60.0), "p99 60.0 ms, the limit is 60 ms"),
    ],
)
def test_a_latency_over_its_limit_is_a_problem(measured: dict[str, Any], problem: str) -> None:
    verdict = play.judge_timing(a_verdict(latency_ms=measured))

    assert (verdict["ok"], verdict["problems"], verdict["timing"]) == (False, [problem], problem)
    assert play.in_words(verdict)[-1] == "verdict: NOT ok"


def test_a_latency_just_within_its_limits_is_ok() -> None:
    verdict = play.judge_timing(a_verdict(latency_ms=latency(19.9, 59.9)))

    assert (verdict["ok"], verdict["timing"]) == (True, "within its limits")


def test_on_a_noisy_host_the_timing_is_not_judged() -> None:
    slow = a_verdict(latency_ms=latency(90.0, 99.0), host={"fsync_p95_ms": 9.0})
    verdict = play.judge_timing(slow)

    assert (verdict["ok"], verdict["timing"]) == (True, "not judged: host noisy")


def test_several_runs_are_judged_by_all_their_latencies_together() -> None:
    def run(seed: int, *latencies: float, **changed: Any) -> dict[str, Any]:
        samples = {"latency_ms": list(latencies), "after_cancel_ms": [], "timer_ms": []}
        return a_verdict(seed=seed, samples=samples, **changed)

    both = play.judge_timing(play.pooled([run(7, *[5.0] * 20), run(8, *[5.0] * 19, 59.0)]))
    one_bad = play.pooled([run(7, 5.0), run(8, 5.0, ok=False, problems=["late"])])

    assert (both["ok"], both["seed"], both["breaches"]) == (True, [7, 8], 90)
    assert both["latency_ms"]["p95"] == 5.0
    assert both["latency_ms"]["max"] == 59.0
    assert (one_bad["ok"], one_bad["problems"]) == (False, ["late"])

"""What is drawn: quantiles, counts, cohorts, and that a graph of fewer points hides nothing bad."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.console import figures
from risk_daemon.console.figures import (
    FIRST,
    INCUMBENT,
    NEW,
    Compared,
    Decided,
    Ended,
    Figures,
    Mark,
    Sample,
)

PROCESS = {"name": "worker-1", "memory_mb": 50.0, "cpu_percent": 7.0}


def rollout(stage: str, *releases: str) -> dict[str, Any]:
    """A rollout of v2 over v1: a canary of one account, then half of four, then all."""
    upto = {"shadow": 0, "canary": 1, "50": 2, "100": 4, "soak": 4}
    return {
        "rollout": "v2-20261127",
        "stage": stage,
        "holds": [],
        "release": "v2",
        "phases": [{"phase": name, "accounts": count} for name, count in upto.items()],
        "accounts": [{"account": number, "release": one} for number, one in enumerate(releases, 1)],
    }


# --- quantiles and counts ---


@pytest.mark.parametrize(
    ("took", "share", "wanted"),
    [
        ([], 0.5, None),
        ([1_000], 0.5, 1.0),
        ([1_000], 0.95, 1.0),
        ([1_000, 2_000], 0.5, 1.0),
        ([1_000, 2_000], 0.95, 2.0),
        (list(range(1_000, 21_000, 1_000)), 0.95, 19.0),
    ],
)
def test_a_quantile_is_a_value_that_was_seen(
    took: list[int], share: float, wanted: float | None
) -> None:
    assert figures.quantile(took, share) == wanted


@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([0.5, 0.95]))
def test_so_many_are_not_above_a_quantile(took: list[int], share: float) -> None:
    value = figures.quantile(sorted(took), share)
    assert value is not None
    assert sum(one / 1_000 <= value for one in took) >= share * len(took)


def test_figures_are_of_the_accounts_that_are_asked_for_alone() -> None:
    decided = [Decided(1, 1, 2_000, True), Decided(1, 2, 9_000, False)]
    ended = [Ended(1, 1, ""), Ended(1, 1, "late"), Ended(1, 2, "")]
    compared = [Compared(1, 1, True), Compared(1, 2, False)]

    found = figures.figures({1: True}, decided, ended, compared)

    assert found == Figures(
        accounts=1,
        connected=1,
        records=1,
        episodes=1,
        p50=2.0,
        p95=2.0,
        max=2.0,
        fired=1,
        agreed=1,
        goals=2,
        clean=1,
    )


def test_of_nothing_there_is_no_latency() -> None:
    found = figures.figures({1: False}, [], [], [])
    assert (found.p50, found.max, found.connected) == (None, None, 0)


# --- cohorts ---


def test_without_a_rollout_there_are_no_cohorts() -> None:
    assert figures.cohort_of({}) == {}
    assert figures.cohort_of(rollout("aborted", "v1")) == {}


def test_in_the_canary_phase_the_canary_is_first_and_the_others_are_incumbents() -> None:
    found = figures.cohort_of(rollout("canary", "v2", "v1", "v1", "v1"))
    assert found == {1: FIRST, 2: INCUMBENT, 3: INCUMBENT, 4: INCUMBENT}


def test_later_those_of_earlier_phases_are_first_and_the_others_are_new() -> None:
    found = figures.cohort_of(rollout("50", "v2", "v2", "v1", "v1"))
    assert found == {1: FIRST, 2: NEW, 3: INCUMBENT, 4: INCUMBENT}


def test_an_account_that_went_back_is_an_incumbent_again() -> None:
    assert figures.cohort_of(rollout("50", "v1", "v2"))[1] == INCUMBENT


def test_while_all_go_back_the_cohorts_are_those_of_the_last_phase() -> None:
    assert figures.cohort_of(rollout("rolling back", "v2", "v1"))[1] == FIRST


def test_in_the_first_phase_nothing_came_before() -> None:
    assert figures.cohort_of(rollout("shadow", "v1", "v1")) == {1: INCUMBENT, 2: INCUMBENT}


# --- samples ---


def test_a_sample_has_everyone_and_each_cohort() -> None:
    decided = [Decided(1, 1, 1_000, False), Decided(1, 2, 3_000, False)]
    everyone = {1: True, 2: False}

    found = figures.sample(5, 2.04, everyone, 1, {1: FIRST}, (decided, [], []), [PROCESS])

    assert (found.at, found.rate, found.guarded) == (5, 2.0, 1)
    assert found.everyone.max == 3.0
    assert (found.cohorts[FIRST].max, found.cohorts[INCUMBENT].max) == (1.0, 3.0)
    assert found.cohorts[NEW].accounts == 0
    assert found.processes == {"worker-1": (50.0, 7.0)}


def test_without_cohorts_a_sample_has_everyone_alone() -> None:
    assert figures.sample(5, 0, {1: True}, 1, {}, ([], [], []), []).cohorts == {}


def made(at: int, **fields: Any) -> Sample:
    return Sample(at=at, **fields)


def test_few_samples_stay_as_they_are() -> None:
    samples = [made(1), made(2)]
    assert figures.thin(samples, 2) == samples


def test_fewer_points_keep_the_worst_and_add_up_the_counts() -> None:
    samples = [
        made(
            10,
            rate=2.0,
            guarded=3,
            everyone=Figures(accounts=3, connected=3, records=5, max=1.0),
            processes={"a": (10.0, None), "b": (1.0, 1.0)},
            cohorts={FIRST: Figures(records=1)},
            marks=(Mark(10, "phase", "entered canary"),),
        ),
        made(
            20,
            rate=4.0,
            guarded=1,
            everyone=Figures(accounts=3, connected=2, records=7, max=9.0),
            processes={"a": (30.0, 5.0)},
        ),
        made(30),
        made(40),
    ]

    first, last = figures.thin(samples, 2)

    assert (first.at, first.rate, first.guarded) == (20, 3.0, 1)
    assert (first.everyone.records, first.everyone.max, first.everyone.connected) == (12, 9.0, 2)
    assert first.processes == {"a": (30.0, 5.0), "b": (1.0, 1.0)}
    assert first.cohorts[FIRST].records == 1
    assert [mark.text for mark in first.marks] == ["entered canary"]
    assert last.at == 40


@given(st.lists(st.integers(0, 10**6), min_size=1, unique=True), st.integers(2, 50))
def test_there_are_never_more_points_than_asked_for(ats: list[int], points: int) -> None:
    found = figures.thin([made(at) for at in sorted(ats)], points)
    assert len(found) <= max(points, 1)
    assert found[-1].at == max(ats)

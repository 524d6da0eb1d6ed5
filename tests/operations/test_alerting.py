"""When people are told that something lasts: at the limit not, past it once, and once when over."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from risk_daemon.operations.alerts import alerting
from risk_daemon.operations.alerts.alerting import (
    SECOND,
    Limits,
    Look,
    Raise,
    State,
    again,
    kept,
    step,
)

SLOW, FAST = 200_001, 200_000


class Watcher:
    """Looks once a second, and remembers what was raised."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.state = State()
        self.at = SECOND
        self.raised: list[Raise] = []

    def sees(self, *, for_s: int = 1, **told: Any) -> list[str]:
        """See this for so many seconds; what was raised meanwhile."""
        before = len(self.raised)
        for _ in range(for_s):
            look = Look(at=self.at, **told)
            self.state, raised = step(self.state, look, self.limits)
            self.raised += raised
            self.at += SECOND
        return [f"{one.level} {one.what}" for one in self.raised[before:]]


# --- rates: the brief's first two rows ---


@pytest.mark.parametrize(
    ("slow", "of", "told"),
    [(5, 100, []), (6, 100, ["warn latency"]), (3, 49, []), (3, 50, ["warn latency"])],
)
def test_latency_is_told_when_more_than_five_percent_of_enough_records_are_slow(
    slow: int, of: int, told: list[str]
) -> None:
    watcher = Watcher()

    found = watcher.sees(latencies_us=(SLOW,) * slow + (FAST,) * (of - slow), decided=of)

    assert found == told


@pytest.mark.parametrize(
    ("failed", "of", "told"),
    [(1, 100, []), (2, 100, ["page error rate"]), (50, 99, []), (10, 1_000, [])],
)
def test_an_error_rate_is_told_above_one_percent_of_enough_records(
    failed: int, of: int, told: list[str]
) -> None:
    watcher = Watcher()

    assert watcher.sees(decided=of, failed=failed) == told


def test_records_are_counted_over_a_window_and_leave_it() -> None:
    watcher = Watcher(window_s=10)

    assert watcher.sees(latencies_us=(SLOW,) * 30, decided=30) == []
    assert watcher.sees(for_s=9) == []
    assert watcher.sees(latencies_us=(SLOW,) * 30, decided=30) == []
    assert watcher.sees(latencies_us=(SLOW,) * 20, decided=20) == ["warn latency"]
    assert "P95 over 200 ms (50 of 50 records within 10 s took longer)" in watcher.raised[-1].text


# --- what lasts ---


def test_memory_is_told_once_when_it_lasts_and_once_when_it_is_over() -> None:
    watcher = Watcher()

    assert watcher.sees(memory_mb=700.0, for_s=120) == []
    assert watcher.sees(memory_mb=700.1, for_s=60) == []
    assert watcher.sees(memory_mb=700.1, for_s=300) == ["warn memory"]
    assert watcher.sees(memory_mb=500.0, for_s=59) == []
    assert watcher.sees(memory_mb=500.0, for_s=60) == ["info memory"]
    assert watcher.raised[-1].text.startswith("over: the daemon's processes hold 700 MB")
    assert watcher.sees(for_s=100) == []


def test_what_trembles_about_its_limit_is_told_once() -> None:
    watcher = Watcher(memory_s=0)

    told = [one for _ in range(20) for one in watcher.sees(memory_mb=701.0)]
    told += [one for _ in range(20) for one in watcher.sees(memory_mb=699.0) + _up(watcher)]

    assert told == ["warn memory"]


def _up(watcher: Watcher) -> list[str]:
    return watcher.sees(memory_mb=701.0)


def test_a_disconnected_login_is_a_warning_first_and_a_page_after_five_minutes() -> None:
    watcher = Watcher()

    assert watcher.sees(apart=("alpha",), for_s=30) == []
    assert watcher.sees(apart=("alpha",), for_s=270) == ["warn blind"]
    assert watcher.sees(apart=("alpha",)) == ["page disconnected"]
    assert "login alpha is disconnected for more than 5 min" in watcher.raised[-1].text
    assert watcher.sees(apart=("alpha",), for_s=1_000) == []


def test_a_login_that_came_back_in_time_is_not_told_and_begins_anew() -> None:
    watcher = Watcher(blind_s=600)

    for _ in range(3):
        assert watcher.sees(apart=("alpha",), for_s=300) == []
        assert watcher.sees(for_s=1) == []


def test_each_login_is_told_of_by_itself() -> None:
    watcher = Watcher(blind_s=0, disconnected_s=0)

    assert watcher.sees(apart=("alpha", "beta")) == ["warn blind", "page disconnected"] * 2


def test_repeated_disconnects_are_told_at_the_third_within_ten_minutes() -> None:
    watcher = Watcher()

    assert watcher.sees(lost=("alpha", "beta")) == []
    assert watcher.sees(for_s=300) == []
    assert watcher.sees(lost=("alpha",)) == []
    assert watcher.sees(for_s=298) == []
    assert watcher.sees(lost=("alpha",)) == []  # the first one is ten minutes ago
    assert watcher.sees(lost=("alpha",)) == ["warn repeated disconnects"]
    assert watcher.sees(for_s=700) == ["info repeated disconnects"]


def test_a_stale_price_of_a_held_contract_is_told_when_it_lasts() -> None:
    watcher = Watcher()

    assert watcher.sees(stale=("MNQ",), for_s=60) == []
    assert watcher.sees(stale=("MNQ",), for_s=60) == ["warn stale"]


@pytest.mark.parametrize(
    ("well", "wrong", "told"),
    [
        ({"disk_free_gb": 2.0}, {"disk_free_gb": 1.9}, "warn disk"),
        ({"backup_age_h": 48.0}, {"backup_age_h": 48.1}, "warn backup age"),
        ({"unsaved_h": 48.0}, {"unsaved_h": 48.1}, "warn no verified backup"),
        ({"calendar_days": 60.0}, {"calendar_days": 59.0}, "warn calendar"),
    ],
)
def test_the_house_is_told_of_past_its_limit(
    well: dict[str, float], wrong: dict[str, float], told: str
) -> None:
    watcher = Watcher()

    assert watcher.sees(**well, for_s=3) == []
    assert watcher.sees(**wrong, for_s=3) == [told]


def test_a_home_without_a_backup_is_told_once_what_makes_one_and_that_there_is_one() -> None:
    watcher = Watcher()

    assert watcher.sees(unsaved_h=47.99, for_s=3) == []
    assert watcher.sees(unsaved_h=49.0, for_s=300) == ["warn no verified backup"]
    assert watcher.raised[-1].text == (
        "there is no verified backup of this home, whose state is 49 h old, more than 48 h:"
        " `risk-daemon-admin backup create` makes one"
    )
    assert watcher.sees(backup_age_h=0.0, for_s=60) == ["info no verified backup"]
    assert watcher.sees(backup_age_h=48.1) == ["warn backup age"]


# --- across a restart ---


def test_after_a_restart_nothing_is_told_twice_and_what_ended_is_told_as_over() -> None:
    watcher = Watcher(memory_s=0, blind_s=0)
    watcher.sees(memory_mb=800.0, apart=("alpha",))

    written = msgspec.json.decode(msgspec.json.encode(kept(watcher.state)), type=dict[str, str])
    watcher.state = again(written, watcher.at)

    assert watcher.sees(memory_mb=800.0, for_s=60) == []
    assert watcher.sees(memory_mb=800.0, for_s=1) == ["info blind"]


# --- the limits ---


def test_limits_that_cannot_be_meant_are_refused() -> None:
    assert alerting.objection(Limits()) == ""
    assert alerting.objection(Limits(memory_mb=-1)) == "memory_mb must not be negative, was -1"
    assert alerting.objection(Limits(window_s=0)) == "window_s must be more than 0"
    assert "latency_ms must not be" in alerting.objection(Limits(latency_ms=float("nan")))

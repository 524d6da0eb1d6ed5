"""Who looks after an alarm: acknowledged, silenced, over, or on to the next one."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.operations.alerts import alert_settings, attended
from risk_daemon.operations.alerts.alert_settings import AlertSettings, Escalation, Heartbeat
from risk_daemon.operations.alerts.attended import Acknowledged, Attended, Silence
from risk_daemon.operations.alerts.outbox import Alarm, Place

MINUTE = 60_000_000_000
T0 = 1_000_000 * MINUTE
PLAN = Escalation(after_minutes=10, to=("admins", "management"))


def alarm(seq: int = 5, **changed: Any) -> Alarm:
    found: dict[str, Any] = {
        "place": Place(seq, seq * 7),
        "at": T0,
        "account": 0,
        "level": "urgent",
        "what": "worker silent",
        "text": "worker-1 missed its heartbeats",
        "source": "supervisor",
    }
    return Alarm(**{**found, **changed})


def acknowledged(one: Alarm, by: str = "kim") -> Acknowledged:
    return Acknowledged(place=one.place, by=by, at=T0 + MINUTE)


def silence(what: str = "worker silent", minutes: int = 60) -> Silence:
    return Silence(what=what, until=T0 + minutes * MINUTE, by="kim", reason="a drill")


def calls(
    *alarms: Alarm, after: float, known: Attended | None = None, since: int = 0
) -> list[tuple[int, str]]:
    now = T0 + int(after * MINUTE)
    found = attended.due(alarms, known or Attended(), PLAN, since, now)
    return [(one.alarm.place.seq, one.audience) for one in found]


def test_what_nobody_acknowledges_goes_to_one_after_the_other() -> None:
    assert calls(alarm(), after=9.99) == []
    assert calls(alarm(), after=10) == [(5, "admins")]
    assert calls(alarm(), after=19.99) == [(5, "admins")]
    assert calls(alarm(), after=20) == [(5, "admins"), (5, "management")]
    assert calls(alarm(level="page"), after=10) == [(5, "admins")]


@pytest.mark.parametrize(
    "changed",
    [{"level": "warn"}, {"source": "escalation"}, {"place": Place()}, {"at": T0 - 1_440 * MINUTE}],
)
def test_what_calls_nobody_or_called_already_goes_no_further(changed: dict[str, Any]) -> None:
    assert calls(alarm(**changed), after=30) == []


def test_what_was_raised_before_there_was_an_escalation_stays_where_it_is() -> None:
    assert calls(alarm(), after=10, since=T0 + 1) == []
    assert calls(alarm(), after=10, since=T0) == [(5, "admins")]


def test_an_acknowledged_alarm_goes_no_further_and_another_one_does() -> None:
    known = attended.acknowledge(Attended(), acknowledged(alarm()))

    assert calls(alarm(), alarm(6), after=10, known=known) == [(6, "admins")]


def test_an_alarm_of_another_journal_is_not_the_one_that_was_acknowledged() -> None:
    known = attended.acknowledge(Attended(), acknowledged(alarm()))

    assert calls(alarm(place=Place(5, 1)), after=10, known=known) == [(5, "admins")]


def test_who_acknowledged_first_stays() -> None:
    first = attended.acknowledge(Attended(), acknowledged(alarm(), "kim"))
    both = attended.acknowledge(first, acknowledged(alarm(), "lee"))

    told = both.acknowledger(alarm())
    assert told is not None
    assert told.by == "kim"
    assert len(both.acknowledged) == 1


def test_what_a_later_alarm_says_is_over_needs_nobody() -> None:
    over = alarm(9, level="info", text="over: worker-1 missed its heartbeats")

    assert calls(alarm(), over, after=10) == []
    assert calls(alarm(), over, alarm(10), after=10) == [(10, "admins")]
    assert calls(alarm(), alarm(9, level="info", text="over: something else"), after=10) == [
        (5, "admins")
    ]


def test_a_silence_hides_until_its_end_and_never_a_page() -> None:
    known = attended.silence(Attended(), silence(minutes=15), T0)

    assert known.silence(alarm(), T0) is not None
    assert known.silence(alarm(what="latency"), T0) is None
    assert known.silence(alarm(level="page"), T0) is None
    assert known.silence(alarm(), T0 + 15 * MINUTE) is None
    assert calls(alarm(), after=12, known=known) == []
    assert calls(alarm(level="page"), after=12, known=known) == [(5, "admins")]
    assert calls(alarm(), after=15, known=known) == [(5, "admins")]


def test_a_silence_replaces_one_of_its_name_and_is_ended_by_one_that_is_over() -> None:
    known = attended.silence(Attended(), silence("latency", 5), T0)
    known = attended.silence(known, silence(), T0 + 6 * MINUTE)
    known = attended.silence(known, silence(minutes=90), T0 + 7 * MINUTE)

    assert [(one.what, one.until) for one in known.silences] == [
        ("worker silent", T0 + 90 * MINUTE)
    ]
    assert attended.silence(known, silence(minutes=7), T0 + 7 * MINUTE).silences == ()


def test_it_is_said_when_an_alarm_goes_to_the_next_one() -> None:
    told = [attended.next_call(alarm(), PLAN, T0 + minutes * MINUTE) for minutes in (0, 10, 20)]

    assert told == [("admins", T0 + 10 * MINUTE), ("management", T0 + 20 * MINUTE), None]


def test_a_second_call_says_for_how_long_nobody_answered_how_to_and_whom_to_reach() -> None:
    first, second = attended.due((alarm(),), Attended(), PLAN, 0, T0 + 20 * MINUTE)

    assert attended.said(first, PLAN, "") == (
        "not acknowledged by admins for 10 min: worker silent: worker-1 missed its heartbeats"
        " (risk-daemon-admin alert ack 5)"
    )
    assert attended.said(second, PLAN, "admin on call: Kim +1 312 555 0100").endswith(
        "for 20 min: worker silent: worker-1 missed its heartbeats"
        " (risk-daemon-admin alert ack 5); admin on call: Kim +1 312 555 0100"
    )


# --- the file ---


def test_a_file_says_thresholds_escalation_and_heartbeat_or_nothing_of_them() -> None:
    assert alert_settings.read({"channels": []}) == AlertSettings()
    found = alert_settings.read(
        {
            "thresholds": {"memory_mb": 600},
            "escalation": {"after_minutes": 10, "to": ["admins", "management"]},
            "heartbeat": {"address": "file:credentials/heartbeat.url"},
        }
    )

    assert isinstance(found, AlertSettings)
    assert found.thresholds.memory_mb == 600
    assert found.escalation == PLAN
    assert found.heartbeat == Heartbeat(address="file:credentials/heartbeat.url", every_s=60)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"thresholds": {"memory": 1}}, "unknown field `memory`"),
        ({"thresholds": {"memory_mb": -1}}, "thresholds: memory_mb must not be negative"),
        ({"escalation": {"to": ["admins"]}}, "missing required field `after_minutes`"),
        (
            {"escalation": {"after_minutes": 0, "to": ["admins"]}},
            "escalation: after_minutes must be more than 0, was 0",
        ),
        ({"escalation": {"after_minutes": 1, "to": ["cats"]}}, "audience 'cats': allowed are"),
        ({"escalation": {"after_minutes": 1, "to": []}}, "audience 'nobody'"),
        ({"heartbeat": {"address": "https://x"}}, "heartbeat: address says in which file"),
        (
            {"heartbeat": {"address": "file:x", "every_s": 0.5}},
            "heartbeat: every_s must be at least 1, was 0.5",
        ),
    ],
)
def test_a_file_that_is_wrong_says_what_and_what_is_allowed(raw: dict[str, Any], why: str) -> None:
    found = alert_settings.read(raw)

    assert isinstance(found, str)
    assert why in found

"""What people read: times of both places, facts in a line."""

from zoneinfo import ZoneInfo

import pytest

from risk_daemon.core import events
from risk_daemon.operations.words import (
    both_times,
    count,
    dollars,
    duration,
    in_words,
    iso,
    kind_of,
)

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_time_is_the_exchanges_and_local_both_labelled() -> None:
    at = "2026-11-25T23:00:00+00:00"

    assert both_times(at, BERLIN) == "Wed 17:00:00 Chicago (Thu 00:00:00 CET)"
    assert both_times(at, ZoneInfo("America/Chicago")) == "Wed 17:00:00 Chicago"


def test_a_time_of_the_stream_is_utc() -> None:
    assert iso(1_795_622_400_123_000_000) == "2026-11-25T16:00:00.123+00:00"


def compared(verdict: str, why: str = "") -> events.DecisionCompared:
    return events.DecisionCompared(
        account=1,
        release="v2",
        against="v1",
        rule="max-contracts",
        seq=7,
        decided_at=9,
        verdict=verdict,
        source="live",
        why=why,
    )


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (
            events.OperatorActed(account=1, act="reduce-only", by="me", reason="news", act_id="x"),
            "reduce-only · news · me",
        ),
        (
            events.Intended(
                account=1,
                epoch=1,
                cause_seq=1,
                key="k",
                goal=events.Goal(act="close", account=1, contract="CON.MNQ", reason="loss"),
            ),
            "CON.MNQ · close · loss",
        ),
        (
            events.AlarmRaised(account=0, level="warn", what="disk", text="two\n lines"),
            "disk · two lines",
        ),
        (
            events.LeaseGranted(account=1, holder="worker-1", release="v1", epoch=3, incarnation=1),
            "worker-1, epoch 3, v1",
        ),
        (events.SettingsAdopted(text="{}", digest="abc"), "settings abc"),
        (compared("agrees"), "max-contracts agrees: v2 against v1"),
        (compared("looser", "v1 does"), "max-contracts looser: v2 against v1: v1 does"),
        (events.Pulse(), ""),
    ],
)
def test_a_fact_is_told_in_a_line(fact: events.Fact, words: str) -> None:
    assert in_words(fact) == words


def test_a_kind_is_named_as_in_the_journal() -> None:
    assert kind_of(events.Pulse()) == "pulse"
    assert kind_of(events.Unknown(kind="of-tomorrow")) == "of-tomorrow"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.25, "0.2 ms"),
        (12.4, "12 ms"),
        (1_500, "1.5 s"),
        (119_000, "119.0 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (200_000_000, "2 d"),
    ],
)
def test_durations_are_said_as_people_say_them(ms: float, text: str) -> None:
    assert duration(ms) == text


def test_money_is_shown_in_cents() -> None:
    shown = [dollars(text) for text in ("-8.20625", "0", "1000.005", "?")]

    assert shown == ["-8.21", "0.00", "1000.00", "?"]


def test_a_number_has_its_noun() -> None:
    assert [count(n, "lock") for n in (0, 1, 2)] == ["0 locks", "1 lock", "2 locks"]

"""`/health` is 200 only when every account is guarded; what is not known counts as not guarded."""

from typing import Any

import pytest

from risk_daemon.console import view as views
from risk_daemon.console.seen import EVENTS_MAX, Seen
from risk_daemon.core.events import (
    AlarmRaised,
    Entry,
    Fact,
    FeedChanged,
    ProtectionDisabled,
    ProtectionEnabled,
    Pulse,
    QuoteAged,
    RecordQuarantined,
)
from risk_daemon.wire.view import PositionView
from tests.console.build import NOW, SECOND, row, seen, view


def test_all_guarded_is_healthy() -> None:
    status, body = views.health(seen(view(1), view(2)), NOW)

    assert (status, body["ok"], body["state"], body["why"]) == (200, True, "healthy", "")
    assert [one["account"] for one in body["accounts"]] == [1, 2]
    assert body["accounts"][0] == {
        "account": 1,
        "name": "A1",
        "login": "alpha",
        "release": "v1",
        "holder": "worker-1",
        "epoch": 3,
        "enforcing": True,
        "connected": True,
        "feed": "trusted",
        "mode": "",
        "view_age_ms": 1_000,
        "why": "",
    }
    assert (body["supervisor_age_ms"], body["journal"]["age_ms"]) == (1_000, 1_000)


@pytest.mark.parametrize(
    ("fields", "told", "why"),
    [
        ({}, {"enforcing": False}, "no worker enforces it"),
        ({"enforcing": False}, {}, "its worker worker-1 says that it does not enforce it"),
        ({"epoch": 2}, {}, "its worker is on epoch 2, the supervisor on 3"),
        ({"connected": False, "feed": "blind"}, {}, "its feed is blind"),
    ],
)
def test_one_account_that_is_not_guarded_makes_it_degraded(
    fields: dict[str, Any], told: dict[str, Any], why: str
) -> None:
    memory = seen(view(1), view(2, **fields), rows=[row(1), row(2, **told)])

    status, body = views.health(memory, NOW)

    assert (status, body["state"]) == (503, "degraded")
    assert body["why"] == "1 of 2 accounts are not guarded"
    assert [one["why"] for one in body["accounts"]] == ["", why]


def test_an_account_without_a_view_is_not_guarded() -> None:
    memory = seen(rows=[row(1)])
    memory.names[1] = "ONE"

    _, body = views.health(memory, NOW)

    assert body["accounts"][0]["why"] == "its worker has not published it yet"
    assert body["accounts"][0]["name"] == "ONE"
    assert body["state"] == "down"


def test_old_words_are_not_believed() -> None:
    memory = seen(view(1))
    later = NOW + 4 * SECOND

    status, body = views.health(memory, later)
    assert (status, body["why"]) == (503, "the supervisor does not answer")

    memory.status_at = later
    assert views.health(memory, later)[1]["why"] == "the journal does not answer"

    memory.record_at = later
    assert views.health(memory, later)[0] == 200

    memory.journal_connected = False
    assert views.health(memory, later)[1]["why"] == "the journal does not answer"


def test_before_anything_came_it_is_down_and_says_why() -> None:
    status, body = views.health(Seen(), NOW)

    assert (status, body["state"]) == (503, "down")
    assert body["why"] == "the supervisor has not answered yet"
    assert body["supervisor_age_ms"] is None
    assert views.health(seen(), NOW)[1]["why"] == "no account is assigned"


def test_protection_that_was_switched_off_is_down_until_it_is_on_again() -> None:
    memory = seen(view(1))
    memory.take_entry("protection-disabled", off(11), NOW)

    status, body = views.health(memory, NOW)

    assert (status, body["state"]) == (503, "down")
    assert body["why"] == "protection was switched off by me: trial"
    assert body["disabled"] == {
        "by": "me",
        "reason": "trial",
        "since": "1970-01-01T00:00:00.000+00:00",
    }
    on = Entry(12, 0, 0, ProtectionEnabled(by="me"))
    memory.take_entry("protection-enabled", on, NOW)
    assert views.health(memory, NOW)[0] == 200


def off(seq: int) -> Entry:
    return Entry(seq, 0, 0, ProtectionDisabled(by="me", reason="trial"))


def test_records_of_before_are_remembered_without_looking_fresh() -> None:
    memory = Seen()

    memory.remember(off(3))

    assert (memory.last_seq, memory.record_at, len(memory.events)) == (0, 0, 1)
    assert memory.disabled is not None


def test_an_account_is_shown_as_published_with_its_age() -> None:
    memory = seen(view(2), view(1))

    assert [one["account"] for one in views.accounts(memory, NOW)["accounts"]] == [1, 2]
    one = views.account(memory, 1, NOW)
    assert one is not None
    assert (one["day_pnl"], one["age_ms"]) == ("-10.00", 1_000)
    assert views.account(memory, 9, NOW) is None


def test_events_are_the_latest_in_words_without_pulses() -> None:
    memory = Seen()
    for seq in range(1, EVENTS_MAX + 2):
        alarm = AlarmRaised(account=0, level="warn", what="disk", text=f"number {seq}")
        memory.take_entry("alarm-raised", Entry(seq, 0, 0, alarm), NOW)
    memory.take_entry("pulse", Entry(EVENTS_MAX + 2, 0, 0, Pulse()), NOW)

    shown = views.events(memory, 2)["events"]

    assert [one["seq"] for one in shown] == [EVENTS_MAX, EVENTS_MAX + 1]
    assert shown[1]["words"] == f"disk · number {EVENTS_MAX + 1}"
    assert shown[1]["kind"] == "alarm-raised"
    assert views.events(memory, 0)["events"] == []
    assert len(memory.events) == EVENTS_MAX
    assert memory.last_seq == EVENTS_MAX + 2


def test_metrics_say_what_health_says() -> None:
    memory = seen(view(1), rows=[row(1), row(2, enforcing=False)])
    memory.kinds["pulse"] = 7

    families = {one.name: one for one in views.metrics(memory, NOW)}

    assert families["risk_daemon_healthy"].samples == (("", {}, 0.0),)
    enforcing = families["risk_daemon_account_enforcing"].samples
    assert enforcing == (("", {"account": "1"}, 1.0), ("", {"account": "2"}, 0.0))
    assert families["risk_daemon_account_view_age_ms"].samples == (("", {"account": "1"}, 1000.0),)
    assert families["risk_daemon_account_day_pnl_dollars"].samples[0][2] == -10.0
    memory_bytes = families["risk_daemon_process_memory_bytes"].samples
    assert memory_bytes == (("", {"process": "worker-1"}, 50e6),)
    assert families["risk_daemon_records_total"].samples == (("", {"kind": "pulse"}, 7.0),)


# --- what is looked at for alarms ---

HOUSE = {"disk_free_gb": 50.0}


def fed(memory: Seen, *facts: Fact) -> None:
    for number, fact in enumerate(facts):
        memory.take_entry("any", Entry(20 + number, 0, 0, fact), NOW - SECOND)


def test_a_look_takes_what_was_counted_once() -> None:
    memory = seen(view(1))
    memory.take_figures({"decided": [[1, 900, 0], [1, 1_200, 1]]}, NOW - SECOND)
    fed(memory, RecordQuarantined(account=0, source="x", why="odd", raw=""))

    look = views.look(memory, NOW, HOUSE)

    assert look is not None
    assert (look.latencies_us, look.decided, look.failed) == ((900, 1_200), 3, 2)
    assert (look.memory_mb, look.disk_free_gb, look.apart) == (50.0, 50.0, ())
    again = views.look(memory, NOW, HOUSE)
    assert again is not None
    assert (again.latencies_us, again.decided, again.failed) == ((), 0, 0)


def test_a_login_that_is_not_trusted_is_apart_and_counted_each_time_that_it_is_lost() -> None:
    memory = seen(view(1), view(2, connected=False, login="beta"))
    states = ("blind", "trusted", "suspect", "blind", "trusted", "blind")
    fed(memory, *(FeedChanged(login="beta", state=state) for state in states))

    look = views.look(memory, NOW, HOUSE)

    assert look is not None
    assert (look.apart, look.lost) == (("beta",), ("beta", "beta"))


def test_while_protection_is_off_on_purpose_nobody_is_called_for_a_connection() -> None:
    memory = seen(view(1, connected=False))
    fed(memory, ProtectionDisabled(by="kim", reason="holiday"))

    look = views.look(memory, NOW, HOUSE)

    assert look is not None
    assert look.apart == ()


def test_an_old_price_counts_where_somebody_holds_the_contract() -> None:
    held = PositionView(
        contract="MNQ", root="MNQ", quantity=1, average="1", unrealized=None, agreed=True
    )
    memory = seen(view(1, positions=(held,)))
    fed(
        memory,
        QuoteAged(contract="MNQ", state="stale"),
        QuoteAged(contract="ES", state="stale"),
    )
    look = views.look(memory, NOW, HOUSE)
    fed(memory, QuoteAged(contract="MNQ", state="fresh"))
    after = views.look(memory, NOW, HOUSE)

    assert look is not None
    assert look.stale == ("MNQ",)
    assert after is not None
    assert after.stale == ()


def test_while_nobody_answers_nothing_is_looked_at_and_nothing_is_lost() -> None:
    memory = seen(view(1))
    memory.take_figures({"decided": [[1, 900, 0]]}, NOW)

    assert views.look(Seen(), NOW, HOUSE) is None
    assert views.look(memory, NOW + 60 * SECOND, HOUSE) is None
    assert memory.counted.decided == 1

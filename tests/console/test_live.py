"""The live stream's parts: what changes one, and what a tab is told that comes back."""

from typing import Any

import pytest

from risk_daemon.console import live
from risk_daemon.console.figures import Figures, Mark, Sample
from risk_daemon.console.live import Place, place_of
from risk_daemon.console.seen import Seen
from risk_daemon.core.events import Entry, LockPlaced
from risk_daemon.operations.alerts.outbox import Alarm
from risk_daemon.operations.alerts.outbox import Place as AlarmPlace
from tests.console.build import NOW, SECOND, row, seen, view
from tests.console.test_figures import rollout


def changed(memory: Seen, before: live.Stamps) -> list[str]:
    after = live.stamps(memory, NOW)
    return sorted(name for name, one in after.items() if before.get(name) != one)


def locked(seq: int) -> Entry:
    lock = LockPlaced(
        account=1, lock="l", rule="r", mode="full", began_at=1, until=None, reason="too much"
    )
    return Entry(seq, seq * SECOND, 1, lock)


def alarm(seq: int, audience: str = "") -> Alarm:
    return Alarm(
        place=AlarmPlace(seq, 1),
        at=seq * SECOND,
        account=1,
        level="page",
        what="feed",
        text=f"blind {seq}",
        source="link",
        audience=audience,
    )


# --- parts ---


def test_what_is_as_it_was_is_not_sent_again() -> None:
    memory = seen(view(1), view(2))
    assert changed(memory, live.stamps(memory, NOW)) == []


def test_an_account_changes_alone() -> None:
    memory = seen(view(1), view(2))
    before = live.stamps(memory, NOW)
    memory.take_view(view(2, day_pnl="5"), NOW)
    assert changed(memory, before) == ["account/2"]


def test_the_head_changes_when_an_account_is_not_guarded_any_more() -> None:
    memory = seen(view(1))
    before = live.stamps(memory, NOW)
    memory.status = {**memory.status, "accounts": [row(1, enforcing=False)]}
    assert changed(memory, before) == ["account/1", "head"]


def test_a_phase_changes_the_cohort_of_its_accounts() -> None:
    memory = seen(view(1), view(2))
    before = live.stamps(memory, NOW)
    memory.take_rollout(rollout("canary", "v2", "v1"))
    assert changed(memory, before) == ["account/1", "account/2", "rollout"]
    assert live.part(memory, "account/1", NOW)["cohort"] == "first"


def test_parts_are_what_the_page_shows() -> None:
    memory = seen(view(1), rows=[row(1), row(7)])
    memory.take_rollout({**rollout("canary", "v2"), "plan": {"long": "text"}})
    memory.tip = memory.minute = Sample(at=1)
    memory.samples.append(Sample(at=1, everyone=Figures(records=3, fired=2, agreed=1)))
    memory.fresh = Sample(at=2, everyone=Figures(records=4))
    memory.marks.append(Mark(1, "phase", "entered canary"))
    parts: dict[str, Any] = {
        name: live.part(memory, name, NOW) for name in live.stamps(memory, NOW)
    }

    assert parts["head"]["state"] == "degraded"
    assert (parts["head"]["accounts"], parts["head"]["supervisor"]) == (2, True)
    assert parts["account/1"]["view"]["name"] == "A1"
    assert parts["account/7"]["view"] is None
    assert parts["account/7"]["why"] == "its worker has not published it yet"
    assert "plan" not in parts["rollout"]
    assert parts["processes"][0]["name"] == "worker-1"
    assert parts["figures"]["quarter"]["records"] == 7
    assert parts["marks"][0].text == "entered canary"
    assert live.part(Seen(), "rollout", NOW) is None


def test_an_event_is_shown_in_words_without_the_fact_itself() -> None:
    shown = live.event(locked(3))
    assert (shown["seq"], shown["kind"], "fact" in shown) == (3, "lock-placed", False)


# --- places, and what was missed ---


def test_a_place_is_read_as_it_was_given_out() -> None:
    assert place_of(str(Place("ab12", 5, 77))) == Place("ab12", 5, 77)


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "a.1", "a.1.-2", "a/b.1.2", "a.1." + "9" * 30, "." * 5, "é².1.2"]
)
def test_a_place_that_nobody_gave_out_is_none(text: str) -> None:
    found = place_of(text)
    assert found is None or str(found) == text


def test_a_new_tab_has_missed_nothing() -> None:
    assert live.missed(seen(), None, Place("a", 1, 1)) is None


def test_a_tab_that_comes_back_is_told_what_happened_meanwhile() -> None:
    memory = seen(view(1))
    for seq in (5, 8, 9):
        memory.remember(locked(seq))
    memory.alarms.extend([alarm(4), alarm(8), alarm(9, "traders")])
    memory.marks.extend([Mark(4_000, "phase", "old"), Mark(8_000, "alert", "new")])

    told = live.missed(memory, Place("a", 6, 6_000), Place("b", 10, 10_500))

    assert told is not None
    assert (told["seconds"], told["restarted"], told["records"], told["events"]) == (
        4.5,
        True,
        4,
        2,
    )
    assert told["all_known"] is True
    assert [one["text"] for one in told["alarms"]] == ["blind 8"]
    assert [one.text for one in told["marks"]] == ["new"]


def test_what_nobody_remembers_any_more_is_said_to_be_at_least_so_much() -> None:
    memory = seen()
    memory.remember(locked(90))

    told = live.missed(memory, Place("a", 6, 6_000), Place("a", 100, 9_000))

    assert told is not None
    assert (told["restarted"], told["events"], told["all_known"]) == (False, 1, False)

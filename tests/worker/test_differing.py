"""Two releases on the same records: what is the same, looser, stricter, declared, or untold."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from risk_daemon.core.account import Account
from risk_daemon.core.decision import Breach, Finding, Quiet
from risk_daemon.core.events import (
    AlarmRaised,
    BreachFound,
    Fact,
    Intended,
    Pulse,
    RequestSent,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import Parser, Rule, World
from risk_daemon.rules.declared import Declared
from tests.build import (
    ACCOUNT,
    MS,
    SECOND,
    WEDNESDAY_RESET,
    WEDNESDAY_TEN,
    contract,
)
from tests.worker.two import (
    HIGHER,
    LATER,
    LOSS,
    LOWER,
    NEW,
    OLD,
    SIZE,
    Two,
    alerting,
    changed,
    drain,
    lease,
    limit,
    two,
)

# --- the same -------------------------------------------------------------------


def test_the_same_code_agrees_on_each_finding_and_says_nothing_else() -> None:
    both = Two().open(SIZE, LOSS)

    both.fill(1, 4)
    both.answered()
    both.pulse(12)
    both.fill(-1, 1, pnl=-600 * UNIT)
    both.answered()
    both.pulse(40)

    assert both.verdicts == ["agrees", "agrees"]
    first, second = both.found
    assert (first.rule, first.account, first.release, first.against) == (
        "max-contracts",
        ACCOUNT,
        NEW,
        OLD,
    )
    assert second.rule == "daily-realized-loss"
    assert first.saw == first.other_saw == "holds 4 contracts (gross), the limit is 2"
    assert first.wanted == first.other_wanted == f"reduce {contract('MNQ')} to 2"
    both.feed(Pulse(), after=WEDNESDAY_RESET - both.at - SECOND)
    both.pulse(12)
    assert both.candidate.locks == {}, "its time is over"
    assert len(both.found) == 2
    assert both.reseeds == []
    assert both.is_alike


def test_it_is_told_once_however_many_workers_of_the_release_see_it() -> None:
    both = two()
    both.fill(1, 4)
    both.pulse(2)

    again = both.restart()

    assert both.verdicts == ["agrees"]
    assert again == []


def test_of_an_account_that_the_release_holds_itself_nothing_is_said() -> None:
    both = two(HIGHER)
    both.feed(lease(2, NEW))

    both.fill(1, 3)
    both.pulse(3)

    assert both.found == []
    assert both.candidate.shadow is None


def test_so_many_findings_of_a_minute_are_told_and_no_more() -> None:
    both = alerting()
    for _ in range(70):
        both.fill(1, 3)
        both.fill(-1, 3, pnl=0)
        both.pulse()

    by_minute: dict[int, int] = {}
    for entry in both.entries:
        if isinstance(entry.fact, BreachFound):
            minute = (entry.at + SECOND) // (60 * SECOND)
            by_minute[minute] = by_minute.get(minute, 0) + 1

    assert max(by_minute.values()) <= 60
    assert len(both.found) == 70
    assert set(both.verdicts) == {"agrees"}


# --- looser ---------------------------------------------------------------------


def test_what_only_the_holder_finds_is_looser_and_known_at_its_word() -> None:
    both = two(HIGHER)

    both.fill(1, 3)
    filled_at = both.at
    both.pulse()

    (found,) = both.found
    assert (found.verdict, found.direction, found.rule) == ("looser", "looser", "max-contracts")
    assert found.fields == ("breach",)
    assert found.other_saw == "holds 3 contracts (gross), the limit is 2"
    assert found.other_wanted == f"reduce {contract('MNQ')} to 2"
    assert found.saw == "clear: 3 against 3"
    assert found.wanted == ""
    assert found.why == f"{OLD} finds a breach, and {NEW} does not"
    told_at = next(entry.at for entry in both.entries if entry.fact is found)
    assert told_at - filled_at <= 300 * MS
    assert both.entries[found.seq - 1].fact.__class__.__name__ == "TradeSeen"


def test_what_it_finds_later_is_looser_and_one_difference() -> None:
    both = two(LATER)

    both.fill(1, 1)
    both.fill(-1, 1, pnl=-550 * UNIT)
    both.fill(1, 1)
    both.answered()
    both.fill(-1, 1, pnl=-100 * UNIT)
    both.pulse(3)

    assert both.verdicts == ["looser"]
    assert both.found[0].fields == ("breach", "lock")


def test_a_milder_lock_is_looser() -> None:
    both = two(changed("daily-realized-loss", Milder))

    both.fill(1, 1)
    both.fill(-1, 1, pnl=-600 * UNIT)
    both.pulse(2)

    (found,) = both.found
    assert (found.verdict, found.fields) == ("looser", ("lock",))
    assert found.wanted.startswith("a reduce-only lock until")
    assert found.other_wanted.startswith("a full lock until")
    assert found.why == f"{NEW} places the lock, looser than {OLD}"
    both.pulse(12)
    (lock,) = both.candidate.locks.values()
    assert lock.placed.mode == "full"
    assert both.forced == [lock.placed.lock]
    assert both.is_alike


class Milder:
    """A rule whose locks are reduce-only."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.name, self.priority, self.reads = rule.name, rule.priority, rule.reads

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        return self._rule.quiet(world, account)

    def check(self, world: World, account: Account) -> Finding:
        found = self._rule.check(world, account)
        if not isinstance(found, Breach) or found.remedy.lock is None:
            return found
        lock = msgspec.structs.replace(found.remedy.lock, mode="reduce-only")
        remedy = msgspec.structs.replace(found.remedy, lock=lock)
        return msgspec.structs.replace(found, remedy=remedy)


# --- stricter -------------------------------------------------------------------


def test_what_only_the_candidate_finds_is_stricter_after_a_second() -> None:
    both = two(LOWER)

    both.fill(1, 2)
    filled_at = both.at
    both.pulse(2)

    (found,) = both.found
    assert (found.verdict, found.fields) == ("stricter", ("breach",))
    assert found.saw == "holds 2 contracts (gross), the limit is 1"
    assert found.wanted == f"reduce {contract('MNQ')} to 1"
    assert (found.other_saw, found.other_wanted) == ("", "")
    assert found.why == f"{NEW} finds a breach, and {OLD} does not"
    told_at = next(entry.at for entry in both.entries if entry.fact is found)
    assert told_at - filled_at == SECOND


def test_what_it_finds_earlier_is_stricter_though_the_holder_comes_to_it_too() -> None:
    both = two(changed("daily-realized-loss", limit(-400 * UNIT)))

    both.fill(1, 2)
    both.fill(-1, 1, pnl=-200 * UNIT)
    both.fill(-1, 1, pnl=-400 * UNIT)
    both.pulse(2)

    (found,) = both.found
    assert (found.verdict, found.fields) == ("stricter", ("breach", "lock"))
    assert found.why == (
        f"{OLD} finds a breach, and {NEW} had it earlier;"
        f" {OLD} places the lock, and {NEW} had it earlier"
    )


def test_a_goal_asked_for_earlier_is_stricter() -> None:
    both = two(LOWER)

    both.fill(1, 4)
    both.pulse(2)

    (found,) = both.found
    assert (found.verdict, found.fields) == ("stricter", ("goal",))
    assert found.wanted == f"reduce {contract('MNQ')} to 1"
    assert found.other_wanted == f"reduce {contract('MNQ')} to 2"
    assert found.why == f"{NEW} asks for the goal, stricter than {OLD}"


def test_a_rule_in_alert_is_compared_too() -> None:
    both = alerting(HIGHER)

    both.fill(1, 3)
    both.pulse(2)

    assert both.verdicts == ["looser"]


# --- declared -------------------------------------------------------------------

YEAR = 365 * 86_400 * SECOND
MEANT = Declared(
    name="limit-higher",
    rule="max-contracts",
    direction="looser",
    field="breach",
    cap_ppm=20_000,
    until=WEDNESDAY_TEN + YEAR,
    why="the limit is met at one contract more",
)


def judged(catalog: Mapping[str, Parser], *declared: Declared) -> tuple[str, str, str]:
    both = two(catalog, *declared)
    both.fill(1, 3)
    both.pulse(2)
    (found,) = both.found
    return found.verdict, found.direction, found.declared


def test_a_difference_that_the_release_declares_is_declared() -> None:
    assert judged(HIGHER, MEANT) == ("declared", "looser", "limit-higher")


@pytest.mark.parametrize(
    "other",
    [
        {"rule": "daily-realized-loss"},
        {"direction": "stricter"},
        {"field": "lock"},
        {"until": WEDNESDAY_TEN},
    ],
)
def test_and_no_other_one(other: dict[str, object]) -> None:
    meant = msgspec.structs.replace(MEANT, **other)

    assert judged(HIGHER, meant) == ("looser", "looser", "")


# --- words that are missing -------------------------------------------------------


def test_a_holder_that_fails_over_to_its_peer_meanwhile_is_no_difference() -> None:
    """It dies with what it decided; its peer asks for what is open and tells of no finding."""
    both = two()
    both.is_mute = True
    both.fill(1, 3)
    both.is_mute = False

    both.feed(Pulse(), after=600 * MS)
    both.feed(lease(2, OLD, f"worker-2@{OLD}"))
    both.pulse(3)

    assert both.verdicts == ["agrees"]
    assert both.is_alike


def test_what_was_only_told_to_people_is_lost_with_the_holder_and_counts_for_nothing() -> None:
    both = alerting()
    both.is_mute = True
    both.fill(1, 3)
    both.is_mute = False

    both.feed(lease(2, OLD, f"worker-2@{OLD}"))
    both.pulse(3)

    assert both.verdicts == ["unseen"]


@pytest.mark.parametrize(
    "what",
    [
        AlarmRaised(account=0, level="warn", what="died", text="journal", source="supervisor"),
        drain(),
    ],
)
def test_nor_does_what_is_decided_while_something_died_or_the_holder_is_silent(what: Fact) -> None:
    both = alerting()
    both.is_mute = True
    both.feed(what)
    both.fill(1, 3)
    both.feed(what)
    both.pulse(3)

    assert both.verdicts == ["unseen"]


def test_a_finding_in_the_time_of_a_drain_counts_for_nothing() -> None:
    both = alerting()
    both.is_mute = True
    both.feed(drain())
    both.fill(1, 3)
    both.pulse(3)

    assert both.verdicts == ["unseen"]


def test_nor_what_is_decided_before_the_journal_stood_still() -> None:
    both = alerting()
    both.is_mute = True
    both.fill(1, 3)
    both.feed(Pulse(), after=1_501 * MS)
    both.pulse(3)

    assert both.verdicts == ["unseen"]


def test_but_a_journal_that_is_on_time_has_lost_nothing() -> None:
    both = alerting()
    both.is_mute = True
    both.fill(1, 3)
    both.feed(Pulse(), after=1_500 * MS)

    assert both.verdicts == ["stricter"]


def test_a_goal_that_its_link_was_told_of_directly_was_decided() -> None:
    both = two()
    both.is_mute = True
    both.fill(1, 3)
    both.is_mute = False
    (goal,) = both.sides[0].engine.open_demands(both.candidate)
    assert isinstance(goal, Intended)

    both.feed(
        RequestSent(
            account=ACCOUNT,
            key=goal.key,
            request="r1",
            act="reduce",
            contract=contract("MNQ"),
            order=0,
            size=1,
            epoch=1,
        )
    )
    both.pulse(2)

    assert both.verdicts == ["agrees"]


def test_words_of_a_finding_that_was_judged_are_late_and_no_difference() -> None:
    both = two()
    both.is_mute = True
    both.fill(1, 3)
    both.is_mute = False
    both.feed(lease(2, OLD, f"worker-2@{OLD}"))
    both.pulse(2)
    seq = both.found[0].seq

    both.feed(
        BreachFound(
            account=ACCOUNT,
            rule="max-contracts",
            mode="enforce",
            incident=f"{ACCOUNT}:max-contracts:{seq}",
            observed="3",
            limit="2",
            text="late",
        )
    )
    both.pulse(2)

    assert both.verdicts == ["agrees"]

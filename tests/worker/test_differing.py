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
    LockEnded,
    LockPlaced,
    MarkChanged,
    OperatorActed,
    Pulse,
    RequestSent,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import Parser, Rule, World, state_hash
from risk_daemon.rules import CATALOG
from risk_daemon.rules.declared import Declared
from tests.build import (
    ACCOUNT,
    MS,
    SECOND,
    WEDNESDAY_RESET,
    WEDNESDAY_TEN,
    contract,
    order,
    policy,
    position,
    rule,
    trade,
)
from tests.worker.two import NEW, OLD, Two, changed, drain, lease, limit

SIZE = rule("max-contracts", limit=2)
LOSS = rule("daily-realized-loss", limit="500")
BARRED = rule("daily-realized-loss", limit="500", lockout="admin")
HIGHER = changed("max-contracts", limit(UNIT))
LOWER = changed("max-contracts", limit(-UNIT))
LATER = changed("daily-realized-loss", limit(100 * UNIT))
EARLIER = changed("daily-realized-loss", limit(-100 * UNIT))


def two(catalog: Mapping[str, Parser] = CATALOG, *declared: Declared) -> Two:
    return Two(catalog, *declared).open(rule("kill-switch"), SIZE, LOSS)


def alerting(catalog: Mapping[str, Parser] = CATALOG) -> Two:
    return Two(catalog).open(rule("max-contracts", "alert", limit=2))


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


class Renamed:
    """A rule of another priority."""

    def __init__(self, rule: Rule, priority: int) -> None:
        self._rule = rule
        self.name, self.priority = rule.name, priority

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        return self._rule.quiet(world, account)

    def check(self, world: World, account: Account) -> Finding:
        return self._rule.check(world, account)


class Poisonous(Renamed):
    """A rule whose finding nobody can weigh."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule, rule.priority)

    def check(self, world: World, account: Account) -> Finding:
        found = super().check(world, account)
        return None if isinstance(found, Breach) else found  # type: ignore[return-value]


class Milder:
    """A rule whose locks are reduce-only."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.name, self.priority = rule.name, rule.priority

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


# --- the re-seed ------------------------------------------------------------------


def test_one_difference_is_one_finding_until_the_account_is_re_seeded() -> None:
    both = two(HIGHER)

    both.fill(1, 3)
    both.answered()
    both.fill(1, 1)
    both.answered()
    both.pulse(9)

    assert both.verdicts == ["looser"]
    (reseeded,) = both.reseeds
    assert (reseeded.release, reseeded.turn, reseeded.why) == (NEW, 1, "a decision differed")
    assert both.is_alike
    both.fill(1, 1)
    both.pulse(2)
    assert both.verdicts == ["looser", "looser"]


def test_it_waits_for_the_holder_to_come_to_rest_and_no_longer_than_half_a_minute() -> None:
    both = two(HIGHER)
    both.fill(1, 3)
    began = both.at
    both.answered()
    while not both.reseeds:
        both.fill(1, 1)
        both.answered()
        both.pulse(2)

    at = next(entry.at for entry in both.entries if entry.fact is both.reseeds[0])
    assert 30 * SECOND <= at - began <= 33 * SECOND


def test_a_lock_that_the_holder_does_not_have_is_let_go_and_not_placed_again() -> None:
    both = two(EARLIER)
    both.fill(1, 1)
    both.fill(-1, 1, pnl=-450 * UNIT)
    both.fill(1, 1)
    both.pulse(5)
    assert len(both.candidate.locks) == 1

    both.pulse(12)

    assert both.verdicts == ["stricter"]
    assert both.candidate.locks == {}
    assert both.is_alike
    both.fill(1, 1)
    both.fill(-1, 2, pnl=0)
    both.pulse(12)
    assert both.verdicts == ["stricter"]
    assert len(both.reseeds) == 1


def test_what_was_held_back_is_one_finding_of_both_when_the_holder_comes_to_it() -> None:
    both = two(EARLIER)
    both.fill(1, 2)
    both.fill(-1, 1, pnl=-450 * UNIT)
    both.pulse(12)

    both.fill(-1, 1, pnl=-100 * UNIT)
    both.pulse(12)

    assert both.verdicts == ["stricter"]
    assert len(both.reseeds) == 2
    assert both.is_alike
    assert list(both.candidate.locks) == list(both.holder.world.accounts[ACCOUNT].locks)


def test_what_was_held_back_is_found_again_when_it_was_false_once() -> None:
    both = two(LOWER)
    both.fill(1, 2)
    both.pulse(12)
    assert both.overruled == ["max-contracts|"]

    both.fill(-1, 2, pnl=0)
    assert both.overruled == []
    both.fill(1, 2)
    both.pulse(2)

    assert both.verdicts == ["stricter", "stricter"]


def test_a_lock_that_only_the_holder_has_is_taken_over_and_ends_with_its_word() -> None:
    both = two(LATER)
    both.fill(1, 2)
    both.fill(-1, 2, pnl=-550 * UNIT)
    both.pulse(12)
    assert both.is_alike
    (name,) = both.candidate.locks
    assert both.forced == [name]

    both.fill(1, 1)
    both.answered()
    both.pulse(10)
    assert both.verdicts == ["looser"], "under the same lock both do the same"

    both.pulse(8 * 3600)
    assert both.holder.world.accounts[ACCOUNT].locks == {}
    assert both.candidate.locks == {}
    assert both.verdicts == ["looser"]


def test_the_day_counts_of_both_are_the_same_again() -> None:
    both = two(LOWER)
    both.fill(1, 2)
    both.pulse(12)

    assert both.candidate.trips == both.holder.world.accounts[ACCOUNT].trips == {}


def test_the_account_that_comes_to_the_candidate_is_decided_by_it_at_once() -> None:
    both = two(LOWER)
    both.fill(1, 2)
    both.pulse(12)
    assert both.is_alike

    entry_count = len(both.entries)
    both.feed(lease(2, NEW))
    outputs = both.sides[0].engine.open_demands(both.candidate)

    assert both.candidate.shadow is None
    assert [one.goal.allowed for one in outputs if isinstance(one, Intended)] == [1]
    assert len(both.entries) == entry_count + 1


def test_with_the_lock_that_it_held_back_and_its_finding_told() -> None:
    both = two(EARLIER)
    both.fill(1, 2)
    both.fill(-1, 1, pnl=-450 * UNIT)
    both.pulse(12)
    assert both.candidate.locks == {}

    entry = both.next_entry(lease(2, NEW))
    outputs = both.sides[0].engine.step(entry)

    kinds = [type(one) for one in outputs]
    assert kinds.count(BreachFound) == kinds.count(LockPlaced) == 1
    assert [one.goal.locked for one in outputs if isinstance(one, Intended)] == [True]
    assert both.candidate.trips == {"daily-realized-loss": 1}


@pytest.mark.parametrize("catalog", [HIGHER, LOWER, EARLIER, LATER])
def test_a_worker_that_folds_it_all_again_comes_to_the_same_state(
    catalog: Mapping[str, Parser],
) -> None:
    both = two(catalog)
    both.fill(1, 3)
    both.answered()
    both.fill(-1, 1, pnl=-450 * UNIT)
    both.pulse(12)
    both.fill(-1, 1, pnl=-100 * UNIT)
    both.pulse(12)
    before = state_hash(both.candidate)

    again = both.restart()

    assert again == []
    assert state_hash(both.candidate) == before
    assert {"looser", "stricter"} & set(both.verdicts)


def test_nobody_else_heeds_a_re_seed() -> None:
    both = two(LOWER)
    both.fill(1, 2)
    both.pulse(2)
    before = state_hash(both.holder.world.accounts[ACCOUNT])
    holder_records = both.holder.world.accounts[ACCOUNT].records

    both.pulse(12)

    assert len(both.reseeds) == 1
    assert both.holder.world.accounts[ACCOUNT].records == holder_records
    assert before == state_hash(both.holder.world.accounts[ACCOUNT])


# --- rarer -----------------------------------------------------------------------


def test_a_lock_that_only_the_candidate_ends_is_looser() -> None:
    both = Two().open(BARRED)
    both.fill(1, 1)
    both.fill(-1, 1, pnl=-600 * UNIT)
    both.next_day()
    both.is_mute = True
    both.feed(unlocked())
    both.is_mute = False
    both.pulse(4)
    assert both.verdicts == ["agrees"], "its word may still come"
    both.pulse(2)

    assert both.verdicts == ["agrees", "looser"]
    found = both.found[1]
    assert (found.rule, found.fields) == ("daily-realized-loss", ("end",))
    assert found.wanted.startswith("ends daily-realized-loss:")
    assert found.why == f"{NEW} ends the lock, and {OLD} does not"


def unlocked() -> OperatorActed:
    return OperatorActed(account=ACCOUNT, act="unlock", by="ann", reason="why not", act_id="a1")


def ended(lock: str) -> LockEnded:
    return LockEnded(account=ACCOUNT, lock=lock, why="a test")


def test_such_a_lock_is_taken_over_and_its_end_is_the_holders_to_say() -> None:
    both = Two().open(BARRED)
    both.fill(1, 1)
    both.fill(-1, 1, pnl=-600 * UNIT)
    both.next_day()
    both.is_mute = True
    both.feed(unlocked())
    both.is_mute = False
    both.pulse(12)
    (name,) = both.forced
    assert list(both.candidate.locks) == [name]
    assert both.candidate.incidents["daily-realized-loss|"].is_open

    both.feed(ended(name))

    assert both.forced == []
    assert both.candidate.locks == {}
    assert both.verdicts == ["agrees", "looser"]


def test_a_lock_whose_time_is_over_is_not_taken_over() -> None:
    """The word of its end was lost: it must not come back from the dead."""
    both = two()
    both.fill(1, 1)
    both.fill(-1, 1, pnl=-600 * UNIT)
    both.pulse(2)
    both.feed(Pulse(), after=WEDNESDAY_RESET - both.at - SECOND)
    both.is_mute = True
    both.pulse()
    both.is_mute = False
    both.feed(AlarmRaised(account=0, level="warn", what="died", text="", source="supervisor"))

    both.pulse(12)

    assert both.verdicts == ["agrees"]
    assert [one.why.split(":")[0] for one in both.reseeds] == ["locks"]
    assert both.candidate.locks == {}
    assert both.is_alike


def test_a_lock_that_the_holder_ends_and_the_candidate_keeps_is_stricter() -> None:
    both = two()
    both.fill(1, 1)
    both.fill(-1, 1, pnl=-600 * UNIT)
    both.pulse(2)
    (name,) = both.candidate.locks

    both.feed(ended(name))
    both.pulse(2)

    assert both.verdicts == ["agrees", "stricter"]
    assert both.found[1].why == f"{OLD} ends the lock, and {NEW} keeps it"
    assert both.found[1].fields == ("end",)


def test_a_lock_nobody_has_can_be_ended_by_anyone() -> None:
    both = two()

    both.feed(ended("daily-realized-loss:7"))
    both.pulse(2)

    assert both.verdicts == []


def test_locks_that_stay_apart_are_made_alike_without_a_finding_and_once() -> None:
    """The holder died with its lock unsaid, and nobody could tell whether it would have said so."""
    both = two()
    both.is_mute = True
    both.fill(1, 1)
    both.fill(-1, 1, pnl=-600 * UNIT)
    both.feed(lease(2, OLD, f"worker-2@{OLD}"))
    both.pulse(40)

    assert both.verdicts == ["unseen"]
    (reseeded,) = both.reseeds
    assert reseeded.why.startswith("locks: daily-realized-loss:")
    assert both.candidate.locks == {}
    both.feed(unlocked())
    both.pulse(2)
    assert both.verdicts == ["unseen"]


def test_the_end_of_a_lock_that_the_holder_never_placed_is_no_difference() -> None:
    both = Two().open(BARRED)
    both.fill(1, 1)
    both.feed(Pulse(), after=WEDNESDAY_RESET - both.at - 2 * SECOND)
    both.is_mute = True
    both.fill(-1, 1, pnl=-600 * UNIT)
    both.feed(lease(2, OLD, f"worker-2@{OLD}"))
    both.pulse(4)
    both.feed(unlocked())
    both.pulse(2)

    assert both.verdicts == ["unseen"]
    assert both.reseeds == []
    assert both.candidate.locks == {}


def test_a_re_seed_that_was_lost_is_asked_for_again() -> None:
    both = two(LOWER)
    both.is_deaf = True
    both.fill(1, 2)
    both.pulse(60)
    assert both.reseeds == []
    both.is_deaf = False

    both.pulse(31)

    assert len(both.reseeds) == 1
    assert both.is_alike


def test_a_limit_broken_at_its_adoption_is_held_back_by_the_holder_alone() -> None:
    both = two(LOWER)
    both.fill(1, 2)
    both.pulse(2)
    both.feed(policy(rule("max-contracts", limit=2, action="flatten-all"), digest="d2"))
    both.pulse(12)

    assert both.overruled == ["unarmed:max-contracts", "max-contracts|"]
    assert both.candidate.locks == {}
    assert both.is_alike
    both.fill(-1, 2, pnl=0)
    assert both.overruled == []


def test_what_two_rules_ask_for_is_the_same_goal_in_another_name() -> None:
    each = rule("max-contracts-per-instrument", limits={"MNQ": 2})
    both = Two(changed("max-contracts-per-instrument", first)).open(SIZE, each)

    both.fill(1, 4)
    both.pulse(2)

    (found,) = both.found
    assert (found.verdict, found.fields) == ("stricter", ("goal",))
    assert "asks for the goal in the name of max-contracts-per-instrument" in found.why


def first(rule: Rule) -> Rule:
    return Renamed(rule, 1)


def test_a_holders_goal_for_what_the_candidate_is_at_already_is_stricter() -> None:
    both = two(LOWER)
    both.unsaid = (BreachFound,)
    both.fill(1, 2)
    both.feed(trade(90, 1, 1, traded_at=both.at), position(3))
    both.pulse(2)

    (found,) = both.found
    assert (found.verdict, found.fields) == ("stricter", ("goal",))
    assert found.why == f"{OLD} asks for the goal, and {NEW} had it earlier"


def test_of_two_goals_it_lacks_both_are_named_once() -> None:
    both = Two(changed("daily-realized-loss", limit(10_000 * UNIT))).open(LOSS)
    both.goals_first = True
    both.fill(1, 3)
    both.fill(1, 2, root="MES")

    both.fill(-1, 1, pnl=-600 * UNIT)
    both.pulse(2)

    (found,) = both.found
    assert found.verdict == "looser"
    assert "goal" in found.fields
    assert found.other_wanted.count("close") == 2


def test_a_worker_that_begins_in_the_middle_does_not_judge_what_was_decided_before() -> None:
    both = two()
    both.is_mute = True
    both.fill(1, 3)
    both.is_mute = False
    goal = both.sides[0].engine.open_demands(both.candidate)
    seq = len(both.entries) - 1
    both.resume()

    both.feed(
        *goal,
        BreachFound(
            account=ACCOUNT,
            rule="max-contracts",
            mode="enforce",
            incident=f"{ACCOUNT}:max-contracts:{seq}",
            observed="3",
            limit="2",
            text="late",
        ),
    )
    both.pulse(3)

    assert both.verdicts == []


def test_an_account_that_cannot_be_folded_is_not_compared() -> None:
    both = two(changed("max-contracts", Poisonous))
    both.fill(1, 4)
    both.pulse(12)

    assert both.verdicts == []
    assert both.sides[0].engine.poisoned


def test_the_other_way_round_the_old_release_watches_the_new_one() -> None:
    """After the switch it is the old release that is warm, and says where the new one differs."""
    both = two(LOWER)
    both.feed(lease(2, NEW))
    account = both.holder.world.accounts[ACCOUNT]

    assert account.shadow is not None
    assert both.candidate.shadow is None


def test_goals_that_nobody_was_told_of_are_forgotten_and_those_under_way_are_not() -> None:
    each = rule("max-contracts-per-instrument", limits={"MES": 1})
    seven_lower = changed("max-contracts", limit(-7 * UNIT))
    both = Two(seven_lower).open(rule("max-contracts", limit=10), each)
    both.feed(order(9, 1, 1, root="MES", limit_price=5_000 * UNIT))
    both.fill(1, 2, root="MES")
    both.pulse()
    for goal in both.goals():
        both.feed(sent(goal))
    both.feed(order(7, 1, 1, limit_price=20_000 * UNIT), order(8, -1, 3, limit_price=21_999 * UNIT))
    both.fill(1, 2)
    both.pulse(3)
    assert set(both.candidate.slots) == {contract("MES"), contract("MNQ")}
    assert set(both.candidate.asked) > {9}

    both.pulse(40)

    assert both.verdicts == ["agrees", "stricter"]
    assert set(both.candidate.slots) == {contract("MES")}
    assert set(both.candidate.plans) == {contract("MES")}
    assert set(both.candidate.asked) == {9}


def sent(goal: Intended) -> RequestSent:
    return RequestSent(
        account=ACCOUNT,
        key=goal.key,
        request=f"r:{goal.key}",
        act=goal.goal.act,
        contract=goal.goal.contract,
        order=goal.goal.order,
        size=1,
        epoch=1,
    )


def test_a_window_is_over_at_a_quote_too_and_a_quote_that_means_nothing_ends_nothing() -> None:
    both = two(LOWER)
    both.fill(1, 2)
    until = both.sides[0].comparer.wake_at()

    both.feed(quote(20_998), quote(20_999))
    both.feed(quote(21_000), after=until - both.at - 1)
    assert both.verdicts == []
    both.feed(quote(21_001), after=1)

    assert both.verdicts == ["stricter"]


def quote(price: int) -> MarkChanged:
    return MarkChanged(
        contract=contract("MNQ"), bid=price * UNIT, ask=price * UNIT, last=price * UNIT
    )


def test_such_a_limit_is_the_candidates_to_hold_back_once_it_has_the_account() -> None:
    both = two(LOWER)
    both.fill(1, 2)
    both.pulse(2)
    both.feed(policy(rule("max-contracts", limit=2, action="flatten-all"), digest="d2"))
    both.pulse(12)

    outputs = both.sides[0].engine.step(both.next_entry(lease(2, NEW)))

    placed = [one for one in outputs if isinstance(one, LockPlaced)]
    assert [(one.lock, one.mode) for one in placed] == [("unarmed:max-contracts", "reduce-only")]

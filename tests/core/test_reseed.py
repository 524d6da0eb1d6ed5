"""A shadow after a difference: put right by a record, and the same to whoever folds it again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from risk_daemon.core.events import (
    AlarmRaised,
    BreachFound,
    Intended,
    LockEnded,
    LockPlaced,
    MarkChanged,
    OperatorActed,
    Pulse,
    RequestSent,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import Parser, Rule, state_hash
from tests.build import (
    ACCOUNT,
    SECOND,
    WEDNESDAY_RESET,
    contract,
    order,
    policy,
    position,
    rule,
    trade,
)
from tests.worker.two import (
    BARRED,
    EARLIER,
    HIGHER,
    LATER,
    LOSS,
    LOWER,
    NEW,
    OLD,
    SIZE,
    Poisonous,
    Renamed,
    Two,
    changed,
    lease,
    limit,
    two,
)

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

"""Each gate says each of its verdicts, for the reason it gives, and one step beside it does not."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from risk_daemon.rollout.judge import GATES, accuracy_ppm, figures, judge
from risk_daemon.rollout.thresholds import MINUTE, SECOND, Declared
from risk_daemon.wire.sample import Damaged, Sample
from tests.rollout.telling import (
    BEGIN,
    CANARY,
    END,
    NEW,
    OLD,
    OTHER,
    SECOND_ONE,
    all_is_well,
    bucket,
    connected,
    fired,
    folded,
    goal,
    holding,
    minute,
    minutes,
    phase,
    verdict,
    verdicts,
)


def test_where_all_is_well_every_gate_passes() -> None:
    told = [*all_is_well(), *(holding(n, 300) for n in range(24 * 60))]
    found = verdicts(phase(), told, 60)

    assert {one.gate: one.says for one in found.values() if one.says != "pass"} == {}
    assert tuple(found) == GATES[:-1]
    assert tuple(verdicts(phase("first", "new"), told, 60)) == GATES


def test_before_anything_was_told_nothing_passes() -> None:
    found = verdicts(phase(), [], 0)

    assert {one.says for one in found.values()} == {"unmeasurable", "inconclusive"} - {
        "inconclusive"
    }


# --- errors ------------------------------------------------------------------


def failing_every(records: int, count: int, release: str = NEW, first: int = 1) -> list[Sample]:
    """Minutes of 20 facts and 20 marks, of which every so-manieth fact fails."""
    return [
        minute(
            number,
            20,
            20,
            release=release,
            failing=[n for n in range(20) if (number * 20 + n) % records == first],
            seq=number * 20,
        )
        for number in range(count)
    ]


def test_too_many_errors_with_nobody_to_compare_fail() -> None:
    found = verdict("errors", phase(), failing_every(60, 21), 21)

    assert (found.says, found.alert) == ("fail", "critical")
    assert found.sentence == (
        "7 error episodes in 420 records (broker facts): a healthy release would show this"
        " in one of 1,000 phases, and no other is there to compare"
    )
    assert dict(found.counts)["fact episodes"] == 7
    assert found.bound == ""


def test_too_many_errors_of_its_own_fail_and_the_others_are_told() -> None:
    told = failing_every(60, 21) + minutes(21, 20, 20, release=OLD)
    found = verdict("errors", phase(), told, 21)

    assert found.says == "fail"
    assert found.sentence.endswith("7 its own, 0 of the other on the same 420 records")


def test_too_many_errors_on_the_same_records_as_the_other_are_held() -> None:
    told = failing_every(60, 21) + failing_every(60, 21, OLD)
    found = verdict("errors", phase(), told, 21)

    assert (found.says, found.alert) == ("hold", "critical")
    assert found.sentence.endswith(
        "too many, but 0 its own, 7 of the other on the same 420 records: going back would not help"
    )


def test_too_many_errors_while_the_other_has_as_many_on_other_records_are_held() -> None:
    told = failing_every(60, 21) + failing_every(60, 21, OLD, first=30)

    assert verdict("errors", phase(), told, 21).says == "hold"


def test_an_other_that_decided_half_of_the_records_is_none_to_compare_with() -> None:
    told = failing_every(60, 21) + failing_every(60, 10, OLD)

    assert verdict("errors", phase(), told, 21).says == "fail"


def test_errors_that_began_late_are_compared_from_then_on() -> None:
    early = [minute(n, release=OLD, failing=(1,) if n % 60 == 0 else ()) for n in range(1_200)]
    quiet = [minute(n, failing=(9,) if n % 60 == 0 else ()) for n in range(1_200)]
    late = [minute(1_200 + n, failing=(1,) if n % 3 == 0 else ()) for n in range(45)]
    clean = [minute(1_200 + n, release=OLD) for n in range(45)]

    assert verdict("errors", phase(), [*early, *quiet, *late, *clean], 1_245).says == "fail"


def relative(of_other: int, own: int) -> list[Sample]:
    """A day without too many errors, but this many of each on records of their own."""
    told: list[Sample] = []
    for number in range(1_440):
        ours = (1,) if number % (1_440 // own) == 0 else ()
        theirs = (11,) if of_other and number % (1_440 // of_other) == 0 else ()
        told.append(minute(number, 60, 60, failing=ours))
        told.append(minute(number, 60, 60, release=OLD, failing=theirs))
    return told


def test_far_more_errors_than_the_other_fail_though_they_are_not_too_many() -> None:
    found = verdict("errors", phase(), relative(1, 60), 1_440)

    assert found.says == "fail"
    assert "more than 200 % of the other" in found.sentence


def test_before_that_people_are_warned() -> None:
    found = verdict("errors", phase(), relative(0, 24), 1_440)

    assert (found.says, found.alert) == ("pass", "warning")
    assert verdict("errors", phase(), relative(20, 24), 1_440).alert == ""


def test_few_records_are_inconclusive_and_say_how_many_more_would_do() -> None:
    found = verdict("errors", phase(), minutes(16, 20, 20), 16)

    assert found.says == "inconclusive"
    assert found.sentence.startswith("0 error episodes in 320 records (broker facts)")
    assert found.sentence.endswith(
        "not yet proven below 1 %; 7 more records without an error would do"
    )
    assert found.bound == "below 1.02 %, 95 % sure"


def test_enough_records_pass_with_their_bound() -> None:
    found = verdict("errors", phase(), minutes(17, 20, 20), 17)

    assert (found.says, found.bound) == ("pass", "below 0.959 %, 95 % sure")


def test_a_class_of_which_no_proof_is_asked_passes_without() -> None:
    told = minutes(20, 20, 0)

    assert verdict("errors", phase(), told, 20).says == "inconclusive"
    assert verdict("errors", phase(proven=("fact",)), told, 20).says == "pass"


def test_an_error_among_few_enforcement_attempts_is_not_lost_among_the_marks() -> None:
    def attempts(number: int) -> Sample:
        one = minute(number, 20, 20, 10, failing=(1,))
        return msgspec.structs.replace(
            one,
            failed=(0, 0, 1),
            failures=tuple(msgspec.structs.replace(f, kind="enforcement") for f in one.failures),
        )

    found = verdict("errors", phase(), [attempts(n) for n in range(12)], 12)

    assert found.says == "fail"
    assert "(enforcement attempts)" in found.sentence


def test_a_long_burst_is_one_episode_and_yet_no_pass() -> None:
    burst = [minute(n, 20, 20, failing=range(20) if n < 2 else ()) for n in range(10)]
    found = verdict("errors", phase(), burst, 10)

    assert found.says == "inconclusive"
    assert found.sentence == (
        "1 error episode in 200 records (broker facts): a long burst, that a person must look at"
    )


def test_what_was_not_told_is_unmeasurable_however_clean_the_rest_is() -> None:
    told = minutes(60)
    del told[30]
    found = verdict("errors", phase(), told, 60)

    assert found.says == "unmeasurable"
    assert found.sentence.endswith("what was not told may have been errors")


# --- damage ------------------------------------------------------------------


def damaged(what: str = "crash", account: int = CANARY) -> Damaged:
    shown = {
        "account": account,
        "release": NEW,
        "at": BEGIN,
        "what": what,
        "detail": "exit code -9",
    }
    return msgspec.convert(shown, Damaged)


def test_the_first_damage_fails_whatever_else_is_known() -> None:
    assert verdict("damage", phase(), [damaged()], 0).sentence == (
        "crash (account 7): exit code -9; one is too many"
    )
    assert verdict("damage", phase(), [damaged("security", 0)], 0).sentence.startswith(
        "security (the daemon)"
    )
    found = verdict("damage", phase(), [damaged()], 0)
    assert (found.says, found.alert) == ("fail", "critical")


# --- decisions ---------------------------------------------------------------


def decisions(*told: Sample, **limits: Any) -> tuple[str, str]:
    judging = phase("first", "incumbent", **limits)
    found = verdict("decisions", judging, [*minutes(10), *told], 10)
    return found.says, found.sentence


def test_one_looser_decision_fails() -> None:
    assert decisions(fired(), fired("looser", 1, rule="kill-switch")) == (
        "fail",
        "kill-switch (1): looser than the other, undeclared",
    )


def test_a_stricter_one_is_held_for_a_person() -> None:
    says, why = decisions(fired(), fired("stricter", 2))

    assert (says, why) == ("hold", "max-contracts (2): stricter, undeclared: a person classifies")


def test_enough_agreeing_firings_pass_with_their_share() -> None:
    assert decisions(fired()) == ("pass", "agreed on 100 % of 64 firings (64 generated)")
    assert decisions(fired(count=63)) == ("inconclusive", "63 firings (63 generated), wanted 64")


def test_what_a_home_has_recorded_makes_up_for_what_it_does_not_see_live() -> None:
    few = (fired(count=3, source="live"), fired(count=10))

    assert decisions(*few) == ("inconclusive", "13 firings (3 live, 10 generated), wanted 64")
    assert decisions(*few, fired(count=51, source="recorded")) == (
        "pass",
        "agreed on 100 % of 64 firings (3 live, 51 recorded, 10 generated)",
    )


def test_a_changed_rule_must_have_fired_itself() -> None:
    changed: dict[str, Any] = {"changed": ("kill-switch",)}

    assert decisions(fired(), **changed) == (
        "inconclusive",
        "kill-switch was changed and has fired 0 times, wanted 64",
    )
    assert decisions(fired(), fired(rule="kill-switch", count=63), **changed)[0] == "inconclusive"
    assert decisions(fired(rule="kill-switch"), **changed)[0] == "pass"


CAPPED = {"declared": (Declared("rounds-up", "max-contracts", 20_000),)}


def test_a_declared_difference_passes_below_its_cap_and_fails_above_it() -> None:
    few = fired("declared", 2, name="rounds-up", source="recorded")
    many = fired("declared", 30, name="rounds-up", source="recorded")

    assert decisions(fired(count=98), few, **CAPPED)[0] == "pass"
    assert decisions(fired(count=98), many, **CAPPED) == (
        "fail",
        "declared rounds-up on more than 2 % of the firings of max-contracts:"
        " a healthy release would show this in one of 1,000 phases",
    )


def test_several_declared_differences_share_the_doubt() -> None:
    one, other = CAPPED["declared"][0], Declared("other", "kill-switch", 20_000)
    edge = [
        fired(count=11, source="recorded"),
        fired("declared", 5, name="rounds-up", source="recorded"),
    ]

    assert decisions(*edge, firings=1, declared=(one,))[0] == "fail"
    assert decisions(*edge, firings=1, declared=(one, other))[0] == "inconclusive"


def test_cases_made_at_the_boundary_show_a_declared_difference_and_are_part_of_no_share() -> None:
    many = fired("declared", 60, name="rounds-up")

    assert decisions(fired(), many, **CAPPED)[0] == "pass"


def test_a_declared_difference_that_is_never_seen_is_a_finding() -> None:
    assert decisions(fired(), **CAPPED) == (
        "inconclusive",
        "declared rounds-up was never seen: it may do nothing",
    )


def test_a_difference_that_nobody_declared_is_held() -> None:
    says, why = decisions(fired(), fired("declared", 1, name="other"))

    assert says == "hold"
    assert why == "a difference named other that the release does not declare"


def test_firings_that_were_not_told_are_unmeasurable() -> None:
    assert (
        decisions(fired(), fired(source="live", count=1), minute(10, told=2))[0] == "unmeasurable"
    )


def test_accuracy_is_the_share_of_firings_that_agree() -> None:
    tally = folded(phase(), [fired(count=3), fired("stricter", 1)])

    assert accuracy_ppm(tally) == 750_000
    assert accuracy_ppm(folded(phase(), [])) == 1_000_000


# --- enforcement -------------------------------------------------------------


def goals(*flaws: str, **limits: Any) -> tuple[str, str]:
    told = [goal(at=BEGIN + n, flaw=flaw) for n, flaw in enumerate(flaws)]
    whole = [*told, minute(0, told=len(told)), *minutes(10)[1:]]
    found = verdict("enforcement", phase("first", "incumbent", **limits), whole, 10)
    return found.says, found.sentence


@pytest.mark.parametrize("flaw", ["residue", "orphan", "duplicate"])
def test_one_goal_with_a_flaw_of_our_own_fails(flaw: str) -> None:
    assert goals("", flaw) == ("fail", f"1 goal ended with {flaw}: one is too many")


def test_goals_without_a_flaw_pass() -> None:
    assert goals("", "") == ("pass", "100 % of 2 goals without a flaw")
    assert goals() == ("inconclusive", "0 goals came to an end, wanted 1")


def test_late_goals_fail_when_they_are_too_many_and_are_inconclusive_before() -> None:
    assert goals("", "late") == ("inconclusive", "1 of 2 goals late, tolerated 1 %")
    assert goals(*["late"] * 6) == (
        "fail",
        "6 of 6 goals late: a healthy release would show this in one of 1,000 phases",
    )
    assert goals("late", *[""] * 400) == ("pass", "99.8 % of 401 goals without a flaw")


def test_goals_that_were_not_told_are_unmeasurable() -> None:
    told = [goal(), minute(0, told=2), *minutes(10)[1:]]

    assert verdict("enforcement", phase(), told, 10).says == "unmeasurable"


# --- latency -----------------------------------------------------------------


def buckets(ours: Sequence[int], took: int = 0) -> list[Sample]:
    told: list[Sample] = [
        bucket(at=BEGIN + n * SECOND, ours=one, took=took) for n, one in enumerate(ours)
    ]
    return [*told, minute(0, told=len(told)), *minutes(10)[1:]]


def latency(ours: Sequence[int]) -> tuple[str, str]:
    found = verdict("latency", phase(), buckets(ours), 10)
    return found.says, found.sentence


def test_slower_buckets_fail_when_there_are_too_many_in_a_row() -> None:
    assert latency([130] * 14) == (
        "fail",
        "in 14 of 14 buckets slower than tolerated, in 14 at its worst:"
        " a healthy release would show this in one of 1,000 phases",
    )
    assert latency([130] * 9)[0] == "pass"


def test_a_twentieth_slower_is_never_much_slower() -> None:
    assert latency([120] * 60) == (
        "pass",
        "in 0 of 60 buckets slower than tolerated, in 0 at its worst:"
        " less than 50 % slower, 95 % sure",
    )


def test_the_buckets_of_the_incumbents_are_not_the_releases() -> None:
    told = [bucket(at=BEGIN + n, ours=300, account=SECOND_ONE, release=OLD) for n in range(30)]

    assert dict(verdict("latency", phase("first", "incumbent"), told, 1).counts)["buckets"] == 0


def test_few_buckets_are_inconclusive() -> None:
    assert latency([100] * 4) == (
        "inconclusive",
        "in 0 of 4 buckets slower than tolerated, in 0 at its worst;"
        " 1 more bucket not much slower would do",
    )
    assert latency([100] * 5)[0] == "pass"


def test_buckets_that_were_not_told_are_unmeasurable() -> None:
    told = buckets([100] * 20)[1:]

    assert verdict("latency", phase(), told, 10).says == "unmeasurable"


def windows(*slow: int, each: int = 5) -> str:
    """The alert where in these windows of 5 minutes all are slow, told in so many buckets each."""
    told = [
        bucket(at=BEGIN + number * 5 * MINUTE + n, took=200_001 if number in slow else 200_000)
        for number in range(4)
        for n in range(each)
    ]
    return verdict("latency", phase(), [minute(0, told=0), *told], 20).alert


def test_the_absolute_limit_passed_in_two_windows_in_a_row_is_an_alert() -> None:
    assert windows(1, 2) == "warning"
    assert windows(1, 3) == ""
    assert windows() == ""
    assert windows(1, 2, each=4) == ""


def test_a_twentieth_above_the_absolute_limit_is_no_alert() -> None:
    def window(number: int, slow: int) -> Sample:
        took = (200_001,) * slow + (1,) * (100 - slow)
        one = bucket(at=BEGIN + number * 5 * MINUTE)
        return msgspec.structs.replace(one, end_to_end=took)

    assert verdict("latency", phase(), [window(0, 5), window(1, 5)], 10).alert == ""
    assert verdict("latency", phase(), [window(0, 6), window(1, 6)], 10).alert == "warning"


# --- memory ------------------------------------------------------------------


def memory(values: Sequence[int], now_minute: int | None = None) -> tuple[str, str, str]:
    told = [holding(n, one) for n, one in enumerate(values)]
    found = verdict("memory", phase(), told, now_minute or len(values))
    return found.says, found.sentence, found.alert


def test_memory_that_stays_below_the_target_passes() -> None:
    assert memory([300] * 400) == ("pass", "300 MB, 300 MB when the phase ends", "")


def test_memory_above_the_target_passes_with_a_warning() -> None:
    says, why, alert = memory([501] * 400)

    assert (says, alert) == ("pass", "warning")
    assert why.endswith("above the target of 500")
    assert memory([500] * 400)[2] == ""


def test_memory_above_the_limit_three_times_in_a_row_is_held() -> None:
    assert memory([701] * 3)[:2] == ("hold", "701 MB, the limit is 700; most in worker-1")
    assert memory([700] * 3)[0] == "inconclusive"
    assert memory([701] * 2)[0] == "inconclusive"
    assert memory([701, 701, 600, 701])[0] == "inconclusive"


def test_a_leak_is_held_before_it_is_a_failure() -> None:
    says, why, alert = memory([200 + n // 2 for n in range(400)])

    assert (says, alert) == ("hold", "warning")
    assert why.startswith("398 MB and growing: 9")


def test_after_the_planned_end_nothing_is_projected() -> None:
    told = [holding(n, 200 + n // 3) for n in range(1_441)]

    assert verdict("memory", phase(), told, 1_440).says == "pass"
    assert verdict("memory", phase(), told[:-60], 1_380).says == "pass"
    assert verdict("memory", phase(), [holding(n, 200 + n // 2) for n in range(900)], 900).says == (
        "hold"
    )


def test_processes_are_added_up() -> None:
    told = [holding(n, 400, name) for n in range(3) for name in ("worker-1", "worker-2")]

    assert verdict("memory", phase(), told, 3).sentence == (
        "800 MB, the limit is 700; most in worker-2"
    )


def test_a_process_that_stops_telling_is_unmeasurable() -> None:
    assert memory([300] * 400, 403)[0] == "unmeasurable"
    assert memory([300] * 400, 402)[0] == "pass"
    gapped = [holding(n, 300) for n in range(400) if not 100 < n < 104]
    whole = [holding(n, 300) for n in range(400) if not 100 < n < 103]
    assert verdict("memory", phase(), gapped, 400).says == "unmeasurable"
    assert verdict("memory", phase(), whole, 400).says == "pass"


def test_memory_seen_too_shortly_is_inconclusive() -> None:
    assert memory([300] * 60)[:2] == (
        "inconclusive",
        "300 MB; seen in 6 parts of the phase, wanted 24",
    )


# --- connection --------------------------------------------------------------


def cut_off(*told: Sample, cohorts: tuple[str, ...] = ("first", "incumbent")) -> tuple[str, str]:
    judging = phase(*cohorts)  # type: ignore[arg-type]
    count = sum(getattr(one, "account", 0) == CANARY for one in told)
    whole = [*told, minute(0, told=count), *minutes(10)[1:]]
    found = verdict("connection", judging, whole, 10)
    return found.says, found.sentence


DOWN, UP = connected(False), connected(True)
OTHERS_DOWN = connected(False, account=SECOND_ONE, release=OLD)


def test_a_feed_that_is_there_passes_and_one_of_which_nothing_was_told_does_not() -> None:
    assert cut_off(UP) == ("pass", "no account was cut off for more than 5 minutes")
    assert cut_off() == (
        "unmeasurable",
        "account 7: whether it is connected was never told",
    )


def test_an_account_alone_without_feed_for_more_than_five_minutes_fails() -> None:
    assert cut_off(DOWN) == ("fail", "1 account cut off for more than 5 minutes, the others not")
    assert cut_off(connected(False, BEGIN + 5 * MINUTE))[0] == "pass"
    assert cut_off(connected(False, BEGIN + 5 * MINUTE - 1))[0] == "fail"


def test_an_outage_that_is_over_counts_too() -> None:
    assert cut_off(DOWN, connected(True, BEGIN + 5 * MINUTE + 1))[0] == "fail"
    assert cut_off(DOWN, connected(False, BEGIN + 1), connected(True, BEGIN + 4 * MINUTE))[0] == (
        "pass"
    )
    assert cut_off(DOWN, connected(False, BEGIN + 9 * MINUTE))[0] == "fail"


def test_an_outage_of_all_is_held() -> None:
    assert cut_off(DOWN, OTHERS_DOWN) == (
        "hold",
        "1 account cut off for more than 5 minutes, the others too",
    )
    assert cut_off(DOWN, cohorts=("first",)) == (
        "hold",
        "1 account cut off for more than 5 minutes, nobody to compare with",
    )


# --- two cohorts, and figures -------------------------------------------------


def two_cohorts(of_first: int, of_new: int) -> list[Sample]:
    """Two hours in which every so-manieth minute of each has an error."""
    return [
        minute(
            n,
            20,
            20,
            account=account,
            failing=(1,) if n % every == 0 else (),
            seq=n * 100 + account,
        )
        for account, every in ((CANARY, of_first), (SECOND_ONE, of_new))
        for n in range(120)
    ]


def test_newly_switched_accounts_that_fail_far_more_often_are_held() -> None:
    found = verdict("cohorts", phase("first", "new"), two_cohorts(200, 3), 120)

    assert found.says == "hold"
    assert found.sentence == "the newly switched fail more often than the first canary: 40 of 41"


def test_newly_switched_accounts_that_are_alike_pass() -> None:
    found = verdict("cohorts", phase("first", "new"), two_cohorts(10, 8), 120)

    assert found.says == "pass"
    assert found.sentence.startswith("15 of 27 episodes on the newly switched")


def test_cohorts_of_which_something_is_missing_are_unmeasurable() -> None:
    told = [*two_cohorts(200, 200)[:-1], minute(0, account=OTHER, release=OLD)]
    judging = phase("first", "new", "incumbent")

    assert verdict("cohorts", judging, told[:120], 122).says == "unmeasurable"


def test_the_three_cohorts_stand_side_by_side() -> None:
    told: list[Sample] = [
        bucket(took=300_000),
        goal(flaw="late"),
        goal(),
        connected(False),
        minute(0, 20, 30, 50, failing=(1,), told=4),
        minute(0, 20, 30, account=OTHER, release=OLD),
        bucket(took=300_000, account=OTHER, release=OLD),
    ]
    first, new, incumbents = figures(
        folded(phase("first", "new", "incumbent"), told), BEGIN + MINUTE
    )

    assert (first.cohort, first.accounts, first.records, first.episodes) == ("first", 1, 100, 1)
    assert (first.error_ppm, first.timed, first.slow) == (10_000, 10, 10)
    assert (first.goals, first.correct_ppm, first.cut_off) == (2, 500_000, 1)
    assert (new.records, new.error_ppm, new.correct_ppm) == (0, 0, 1_000_000)
    assert (incumbents.cohort, incumbents.records, incumbents.slow) == ("incumbent", 50, 10)


def test_judging_changes_nothing() -> None:
    tally = folded(phase("first", "new"), all_is_well())

    assert judge(tally, END) == judge(tally, END)

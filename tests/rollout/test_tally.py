"""What was told, and what should have been told and was not."""

import random

import msgspec
import pytest

from risk_daemon.rollout.judge import figures, judge
from risk_daemon.rollout.tally import episodes, missing
from risk_daemon.rollout.thresholds import MINUTE, SECOND
from risk_daemon.wire.sample import Damaged, Decided, Failure, Sample
from tests.rollout.telling import (
    BEGIN,
    CANARY,
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
)


def gaps(samples: list[Sample], now_minute: int = 10, now_seconds: int = 0) -> str:
    tally = folded(phase(), samples)
    return missing(tally, BEGIN + now_minute * MINUTE + now_seconds * SECOND)


def test_nothing_is_missing_where_the_spans_follow_each_other_up_to_now() -> None:
    assert gaps(minutes(10)) == ""


def test_an_account_of_which_nothing_was_told_is_named() -> None:
    assert gaps([]) == "account 7: nothing was told of it"
    assert gaps([connected(True)]) == "account 7: nothing was told of it"


def test_a_gap_is_told_with_its_ends() -> None:
    told = minutes(10)
    del told[4]

    assert gaps(told) == (
        f"account 7: nothing was told of it from {BEGIN + 4 * MINUTE} to {BEGIN + 5 * MINUTE}"
    )


def test_a_gap_may_be_filled_later_whatever_order_the_parts_come_in() -> None:
    told = minutes(10)
    late = [*told[:3], *told[5:], told[4], told[3]]

    assert gaps(late) == ""


def test_the_beginning_and_the_end_may_be_missing_for_as_long_as_the_patience_lasts() -> None:
    assert "since" in gaps(minutes(10), 11, 31)
    assert gaps(minutes(10), 11, 30) == ""
    assert gaps(minutes(10)[1:]) == ""
    assert gaps(minutes(10)[2:]) == f"account 7: it was told of from {BEGIN + 2 * MINUTE} on only"


def test_a_span_that_was_told_twice_is_not_believed() -> None:
    assert "told of twice" in gaps([*minutes(10), minute(4)])


def test_samples_that_were_stored_and_are_not_here_are_missed() -> None:
    whole: list[Sample] = [
        goal(),
        bucket(),
        connected(True),
        fired(source="live"),
        minute(0, told=4),
    ]

    assert gaps(whole, 1) == ""
    for place in range(4):
        assert gaps(whole[:place] + whole[place + 1 :], 1) == (
            "account 7: 4 of its samples were stored, 3 are here"
        )


def test_samples_whose_span_is_not_over_are_not_expected_to_be_counted() -> None:
    assert gaps([*minutes(1), goal(at=BEGIN + MINUTE)], 1) == ""


def test_what_is_told_of_before_an_account_was_switched_counts_for_nothing() -> None:
    since = BEGIN + 90 * SECOND
    told: list[Sample] = [
        goal(at=BEGIN),
        goal(at=since),
        minute(1, told=1),
        minute(2, told=1, failing=(1,)),
    ]
    told.insert(3, goal(at=BEGIN + 2 * MINUTE))

    tally = folded(phase(since=since), told)

    assert missing(tally, BEGIN + 3 * MINUTE) == ""
    assert figures(tally, BEGIN)[0].records == 20
    assert figures(tally, BEGIN)[0].goals == 2


STRANGE: list[Sample] = [
    minute(0, account=99, failing=(1,)),
    minute(0, account=OTHER, failing=(1,)),
    minute(0, release="v0.9.0", failing=(1,)),
    minute(0, account=OTHER, release="v0.9.0", failing=(1,)),
    goal(account=99, flaw="orphan"),
    goal(release=OLD, flaw="orphan"),
    goal(at=BEGIN - 1, flaw="orphan"),
    fired("looser", release=OLD),
    fired("looser", source="live", at=BEGIN - 1),
    holding(1, 900, release=OLD),
    holding(-1, 900),
    Damaged(account=CANARY, release=OLD, at=BEGIN, what="crash", detail="exit code 1"),
    Damaged(account=CANARY, release=NEW, at=BEGIN - 1, what="crash", detail="exit code 1"),
]


@pytest.mark.parametrize("strange", STRANGE, ids=str)
def test_other_releases_accounts_and_times_change_nothing(strange: Sample) -> None:
    judging = phase("first", "new", "incumbent")
    told = [*minutes(10), *minutes(10, account=SECOND_ONE)]
    before, after = folded(judging, told), folded(judging, [*told, strange])
    now = BEGIN + 10 * MINUTE

    assert judge(after, now) == judge(before, now)
    assert figures(after, now) == figures(before, now)


def test_a_firing_counts_on_every_account_it_is_seen_on() -> None:
    told = [fired("looser", 1, source="live", account=OTHER)]

    assert verdict("decisions", phase("first", "new", "incumbent"), told, 0).says == "fail"


def test_a_shadow_counts_where_it_is_to() -> None:
    judging = phase("first", "incumbent", shadowed=(SECOND_ONE,))
    told = [
        *minutes(10),
        *minutes(10, account=SECOND_ONE, release=OLD),
        *minutes(10, account=SECOND_ONE),
    ]

    shown = verdict("errors", judging, told, 10)
    without = verdict("errors", judging, told[:20], 10)

    assert dict(shown.counts)["fact records"] == 400
    assert without.says == "unmeasurable"
    assert "account 8: nothing was told of it" in without.sentence


def test_one_record_that_several_accounts_fail_on_is_one_episode_against_the_release() -> None:
    judging = phase("first", "new")
    told: list[Sample] = [
        minute(0, account=CANARY, failing=(1,), seq=500),
        minute(0, account=SECOND_ONE, failing=(1,), seq=500),
    ]
    cell = folded(judging, told).cells[0][0]
    found = episodes(cell, judging.thresholds)

    assert (found.separate, found.own, found.covering) == (1, 1, 2)
    assert found.by_group == {"first": 1, "new": 1}


def test_records_that_both_fail_on_are_nobodys_own() -> None:
    told: list[Sample] = [
        minute(0, failing=(1, 10)),
        minute(0, release=OLD, failing=(1, 16)),
        minute(1, release=OLD, failing=()),
    ]
    cell = folded(phase(), told).cells[0][0]
    found = episodes(cell, phase().thresholds)

    assert (found.separate, found.own, found.others) == (2, 1, 2)
    assert cell.twice == 40


def test_an_incumbents_failures_are_shown_and_not_held_against_the_release() -> None:
    told: list[Sample] = [minute(0, account=SECOND_ONE, release=OLD, failing=(1, 10))]
    tally = folded(phase("first", "incumbent"), told)
    found = episodes(tally.cells[0][0], tally.limits)

    assert (found.separate, found.covering, found.own, found.others) == (0, 0, 0, 0)
    assert figures(tally, BEGIN)[2].episodes == 2


def test_failures_that_were_only_counted_are_episodes_too() -> None:
    def crowd(release: str) -> Decided:
        listed = tuple(Failure("fact", "x", BEGIN, 1 + nth, nth) for nth in range(2))
        return Decided(
            account=CANARY,
            release=release,
            begin=BEGIN,
            end=BEGIN + MINUTE,
            decided=(200, 0, 0),
            failed=(83, 0, 0),
            failures=listed,
        )

    cell = folded(phase(), [crowd(NEW), crowd(OLD)]).cells[0][0]
    found = episodes(cell, phase().thresholds)

    assert (found.separate, found.covering) == (1 + 3, 1 + 3)
    assert (found.own, found.others) == (3, 4)


def test_places_go_on_over_samples_and_begin_anew_with_a_block() -> None:
    told: list[Sample] = [
        minute(0, failing=(18,)),
        minute(1, failing=(2,)),
        minute(2, failing=(18,)),
        minute(15, failing=(0,)),
    ]
    tally = folded(phase(), told)

    assert episodes(tally.cells[0][0], tally.limits).separate == 2
    assert [one.place for one in tally.cells[0][0].ours[CANARY, "first"]] == [18, 22, 58]
    assert [one.place for one in tally.cells[0][1].ours[CANARY, "first"]] == [0]


def test_what_comes_after_the_planned_end_is_in_the_last_block() -> None:
    tally = folded(phase(), [minute(24 * 60 + 100)])

    assert set(tally.cells[0]) == {95}


def test_the_same_samples_give_the_same_verdicts_whatever_order_the_accounts_come_in() -> None:
    chance = random.Random(5)
    judging = phase("first", "new", "incumbent", shadowed=(OTHER,))
    streams: list[list[Sample]] = []
    for account, release in ((7, NEW), (7, OLD), (8, NEW), (8, OLD), (9, NEW), (9, OLD)):
        failing = [[n for n in range(20) if chance.random() < 0.01] for _ in range(60)]
        told: list[Sample] = [
            minute(n, 20, 20, account=account, release=release, failing=failing[n], seq=20 * n)
            for n in range(60)
        ]
        told.insert(0, goal(account=account, release=release, at=BEGIN))
        told[1] = msgspec.structs.replace(minute(0, account=account, release=release), told=1)
        streams.append(told)
    now = BEGIN + 60 * MINUTE
    shown = judge(folded(judging, [sample for told in streams for sample in told]), now)

    for _ in range(5):
        left = [list(told) for told in streams]
        mixed = []
        while any(left):
            mixed.append(chance.choice([told for told in left if told]).pop(0))
        again = folded(judging, mixed)

        assert judge(again, now) == shown
        assert judge(again, now) == judge(again, now)


def test_damages_are_kept_in_their_order_and_only_so_many() -> None:
    told = [
        Damaged(account=CANARY, release=NEW, at=BEGIN + 100 - n, what="crash", detail=str(n))
        for n in range(50)
    ]
    tally = folded(phase(), told)

    assert tally.damage_count == 50
    assert len(tally.damages) == 20
    assert tally.damages[0].detail == "49"


def test_all_is_well_is_what_it_says() -> None:
    assert gaps(all_is_well(60), 60) == ""

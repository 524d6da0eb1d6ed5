"""From single findings to what is known of a release."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.core.events import DecisionCompared
from risk_daemon.rollout.difference import (
    Declared,
    covered,
    in_words,
    of_pair,
    summary,
    through,
    told,
    turned,
)

OLD, NEW = "v1.2.0", "v1.3.0"
DAY = 86_400 * 10**9


def finding(seq: int, verdict: str = "agrees", **more: Any) -> DecisionCompared:
    given: dict[str, Any] = {
        "account": 101,
        "release": NEW,
        "against": OLD,
        "rule": "max-contracts",
        "decided_at": seq,
        "source": "live",
    }
    if verdict in ("looser", "stricter"):
        given |= {"direction": verdict, "fields": ("breach",)}
    return DecisionCompared(seq=seq, verdict=verdict, **given | more)


def declared(**more: Any) -> Declared:
    given: dict[str, Any] = {
        "name": "later",
        "rule": "max-contracts",
        "direction": "looser",
        "field": "breach",
        "cap_ppm": 20_000,
        "until": DAY,
        "why": "as asked",
    }
    return Declared(**given | more)


def test_coverage_is_by_firings_with_the_mix_of_their_sources() -> None:
    found = [finding(number) for number in range(12)]
    found += [finding(100 + number, source="recorded") for number in range(40)]
    found += [finding(200 + number, source="generated") for number in range(19)]
    found += [finding(300, "unseen")]
    found += [finding(400, rule="daily-realized-loss")]

    known = summary(found, NEW, OLD)

    assert [in_words(rule) for rule in known.rules] == [
        "daily-realized-loss: 1 firing: 1 live, 0 recorded, 0 generated",
        "max-contracts: 71 firings: 12 live, 40 recorded, 19 generated; 1 unseen",
    ]
    assert (known.firings, known.unseen, known.looser, known.stricter) == (72, 1, 0, ())
    assert known.first_looser is None


def test_the_first_looser_one_is_the_first_by_record_and_stricter_ones_are_listed() -> None:
    found = [finding(9, "looser"), finding(7, "stricter"), finding(5, "looser"), finding(1)]

    known = summary(found, NEW, OLD)

    assert known.first_looser is not None
    assert known.first_looser.seq == 5
    assert known.looser == 2
    assert [one.seq for one in known.stricter] == [7]
    (rule,) = known.rules
    assert (rule.firings, rule.agrees, rule.looser, rule.stricter) == (4, 1, 2, 1)
    assert in_words(rule).endswith("; 2 looser; 1 stricter")


def test_findings_of_other_releases_do_not_count() -> None:
    found = [finding(1, release="v9.9.9"), finding(2, against="v9.9.9"), finding(3)]

    assert [one.seq for one in of_pair(found, NEW, OLD)] == [3]


def test_after_the_switch_the_old_release_says_it_and_it_is_turned_round() -> None:
    said = finding(
        4,
        "stricter",
        release=OLD,
        against=NEW,
        saw="3 contracts",
        wanted="reduce",
        other_saw="clear",
    )

    (seen,) = of_pair([said], NEW, OLD)

    assert (seen.release, seen.against) == (NEW, OLD)
    assert (seen.verdict, seen.direction) == ("looser", "looser")
    assert (seen.saw, seen.wanted, seen.other_saw, seen.other_wanted) == (
        "clear",
        "",
        "3 contracts",
        "reduce",
    )
    assert turned(turned(said)) == said
    assert turned(finding(1)).verdict == "agrees"
    assert turned(finding(1, "unseen")).verdict == "unseen"


def test_what_the_old_release_declares_is_no_excuse_for_the_new_one() -> None:
    said = finding(4, "declared", direction="stricter", release=OLD, against=NEW, declared="x")

    seen = turned(said)

    assert (seen.verdict, seen.declared) == ("looser", "")


def test_a_turned_difference_that_the_candidate_declares_is_declared() -> None:
    said = finding(4, "stricter", release=OLD, against=NEW)

    known = summary([said, finding(5)], NEW, OLD, [declared()])

    assert known.looser == 0
    (one,) = known.declared
    assert (one.name, one.seen, one.firings, one.cap_ppm) == ("later", 1, 2, 20_000)
    assert one.is_over
    assert known.never_seen == ()


@pytest.mark.parametrize(
    "other",
    [
        {"rule": "kill-switch"},
        {"direction": "stricter"},
        {"field": "lock"},
        {"until": 4},
    ],
)
def test_one_that_does_not_fit_declares_nothing(other: dict[str, Any]) -> None:
    said = finding(4, "looser")

    assert covered(said, [declared(**other)]) == said
    assert covered(said, [declared(until=5)]).verdict == "declared"


def test_every_field_must_be_declared() -> None:
    said = finding(4, "looser", fields=("breach", "lock"))

    assert covered(said, [declared()]) == said
    both = covered(said, [declared(), declared(name="lock", field="lock")])
    assert (both.verdict, both.declared) == ("declared", "later, lock")


def test_a_difference_that_does_not_say_in_what_is_not_declared() -> None:
    said = finding(4, "looser", fields=())

    assert covered(said, [declared()]) == said


def test_one_that_is_never_seen_is_told() -> None:
    known = summary([finding(1)], NEW, OLD, [declared()])

    assert known.never_seen == ("later",)
    assert known.declared[0].seen == 0
    assert not known.declared[0].is_over


@pytest.mark.parametrize(("seen", "firings", "is_over"), [(1, 50, False), (1, 49, True)])
def test_a_cap_is_a_share_of_the_rules_firings(seen: int, firings: int, is_over: bool) -> None:
    found = [finding(number) for number in range(firings - seen)]
    found += [finding(1_000, "declared", direction="looser", declared="later")]

    known = summary(found, NEW, OLD, [declared()])

    assert known.declared[0].firings == firings
    assert known.declared[0].is_over == is_over


def test_a_difference_is_told_as_a_person_would() -> None:
    said = finding(
        4338,
        "looser",
        saw="clear: 3 against 3",
        other_saw="holds 3 contracts, the limit is 2",
        other_wanted="reduce MNQ to 2",
        why=f"{OLD} finds a breach, and {NEW} does not",
    )

    assert told(said) == (
        "account 101, record 4338, max-contracts: looser: v1.2.0 saw 'holds 3 contracts, the limit"
        " is 2' and wanted reduce MNQ to 2; v1.3.0 saw 'clear: 3 against 3' and wanted nothing;"
        " v1.2.0 finds a breach, and v1.3.0 does not"
    )
    assert told(finding(7, case="breach of max-contracts")).startswith(
        "account 101, generated breach of max-contracts, max-contracts: agrees: "
    )
    assert told(finding(0, account=0, case="the limit itself of max-contracts")).startswith(
        "script 'the limit itself of max-contracts', max-contracts: agrees: "
    )
    assert told(finding(7, "declared", declared="later")) == (
        "account 101, record 7, max-contracts: declared (later): v1.2.0 saw no breach and wanted"
        " nothing; v1.3.0 saw no breach and wanted nothing"
    )


# --- records that a third release held ---

OLDER = "v1.1.0"


def held_by_a_third(mine: DecisionCompared, *theirs: DecisionCompared) -> list[tuple[str, str]]:
    found = through([mine], theirs, OLD)
    assert all((one.release, one.against) == (NEW, OLD) for one in found)
    return [(one.verdict, one.direction) for one in found]


def third(verdict: str = "agrees", *, of: str = OLD, **more: Any) -> DecisionCompared:
    return finding(7, verdict, release=of, against=OLDER, **more)


def test_two_that_agree_with_a_third_agree() -> None:
    assert held_by_a_third(third(of=NEW), third()) == [("agrees", "")]


@pytest.mark.parametrize("way", ["looser", "stricter"])
def test_who_differs_alone_from_a_third_differs_from_the_other(way: str) -> None:
    back = {"looser": "stricter", "stricter": "looser"}[way]

    assert held_by_a_third(third(way, of=NEW), third()) == [(way, way)]
    assert held_by_a_third(third(of=NEW), third(way)) == [(back, back)]


def test_two_that_differ_alike_from_a_third_agree() -> None:
    both = {"wanted": "reduce to 2"}

    assert held_by_a_third(third("looser", of=NEW, **both), third("looser", **both)) == [
        ("agrees", "")
    ]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (third("looser", of=NEW), third("stricter")),
        (third("looser", of=NEW, wanted="flat"), third("looser", wanted="reduce to 2")),
        (third("unseen", of=NEW), third()),
        (third(of=NEW), third("unseen")),
        (third(of=NEW), third(account=102)),
        (third(of=NEW), third(rule="kill-switch")),
    ],
)
def test_what_is_not_certain_is_left_out(mine: DecisionCompared, theirs: DecisionCompared) -> None:
    assert held_by_a_third(mine, theirs) == []


def test_a_decision_that_was_decided_again_counts_once() -> None:
    found = [finding(7), finding(7, source="recorded"), finding(8, source="recorded")]

    known = summary(found, NEW, OLD)

    assert [in_words(rule) for rule in known.rules] == [
        "max-contracts: 2 firings: 1 live, 1 recorded, 0 generated"
    ]

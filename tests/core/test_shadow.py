"""What is kept of a holder by a release that does not hold the account."""

from __future__ import annotations

import pytest

from risk_daemon.core import shadow
from risk_daemon.core.account import Account, Incident, Plan, Shadow, Slot
from risk_daemon.core.events import BreachFound, DecisionCompared, Goal, LockPlaced
from risk_daemon.core.lockout import Lock
from risk_daemon.core.reseed import reseed
from risk_daemon.core.shadow import part_of
from tests.build import ACCOUNT, WEDNESDAY_TEN


@pytest.mark.parametrize(
    ("incident", "found"),
    [
        ("101:max-contracts:77", ("max-contracts|", 77)),
        ("101:max-contracts:working:77", ("max-contracts|working", 77)),
        ("101:max-contracts:a:b:77", ("max-contracts|a:b", 77)),
        ("", ("max-contracts|", 0)),
        ("101:max-contracts:x", ("max-contracts|", 0)),
        ("102:max-contracts:77", ("max-contracts|", 0)),
        ("101:max-contracts-per-instrument:77", ("max-contracts|", 0)),
    ],
)
def test_an_incident_names_its_finding_and_its_record(
    incident: str, found: tuple[str, int]
) -> None:
    assert part_of(incident, 101, "max-contracts") == found


def test_a_lock_that_is_taken_over_twice_is_named_once() -> None:
    kept = Shadow(locks={"platform": placed("platform")}, forced=["platform"])
    account = Account(account=ACCOUNT, shadow=kept)

    reseed(account, kept, 9, WEDNESDAY_TEN)

    assert kept.forced == ["platform"]
    assert list(account.locks) == ["platform"]


@pytest.mark.parametrize(("until", "stands"), [(1, True), (0, False), (-1, False)])
def test_a_lock_is_taken_over_until_its_time_is_over(until: int, stands: bool) -> None:
    kept = Shadow(locks={"a:1": placed("a:1", until=WEDNESDAY_TEN + until)})
    account = Account(account=ACCOUNT, shadow=kept)

    reseed(account, kept, 9, WEDNESDAY_TEN)

    assert (list(account.locks) == ["a:1"]) == stands
    assert (account.wake_at == WEDNESDAY_TEN + 1) == stands


def test_a_lock_without_a_name_here_stays() -> None:
    """A newer release placed it: no record that this one can read tells of its end."""
    kept = Shadow()
    account = Account(account=ACCOUNT, shadow=kept)
    shadow.force(kept, "other")
    account.locks["unknown:7"] = lock("unknown:7")
    account.locks["a:1"] = lock("a:1")

    reseed(account, kept, 9, WEDNESDAY_TEN)

    assert list(account.locks) == ["unknown:7"]


@pytest.mark.parametrize(
    ("found", "is_open", "overruled"),
    [
        ({}, True, ["a|"]),
        ({"a|": 6}, True, ["a|"]),
        ({"a|": 7}, True, []),
        ({"a|": 8}, True, []),
        ({}, False, []),
    ],
)
def test_what_the_holder_has_not_found_since_is_held_back(
    found: dict[str, int], is_open: bool, overruled: list[str]
) -> None:
    kept = Shadow(found=found)
    account = Account(account=ACCOUNT, shadow=kept, incidents={"a|": incident(7, is_open=is_open)})

    reseed(account, kept, 9, WEDNESDAY_TEN)
    reseed(account, kept, 10, WEDNESDAY_TEN)

    assert kept.overruled == overruled
    assert kept.turns == 2


def test_the_next_end_of_a_lock_wakes_the_account_unless_something_earlier_does() -> None:
    assert woken(0, None) == 0
    assert woken(0, 50) == WEDNESDAY_TEN + 50
    assert woken(90, 50) == WEDNESDAY_TEN + 50
    assert woken(20, 50) == WEDNESDAY_TEN + 20


def woken(wake: int, until: int | None) -> int:
    end = None if until is None else WEDNESDAY_TEN + until
    kept = Shadow(locks={"a:1": placed("a:1", until=end)})
    account = Account(account=ACCOUNT, shadow=kept, wake_at=wake and WEDNESDAY_TEN + wake)
    reseed(account, kept, 9, WEDNESDAY_TEN)
    return account.wake_at


def test_a_lock_that_is_let_go_leaves_its_own_finding_without_one() -> None:
    kept = Shadow(found={"a|": 7, "b|": 7}, locks={"b:7": placed("b:7")})
    account = Account(
        account=ACCOUNT,
        shadow=kept,
        locks={"a:7": lock("a:7"), "b:7": lock("b:7")},
        lock_names={"a:7": 7, "b:7": 7},
        incidents={"a|": incident(7, lock="a:7"), "b|": incident(7, lock="b:7")},
    )

    reseed(account, kept, 9, WEDNESDAY_TEN)

    assert (account.incidents["a|"].lock, account.incidents["b|"].lock) == ("", "b:7")
    assert list(account.lock_names) == ["b:7"]
    assert kept.overruled == []
    assert kept.forced == []


def test_a_lock_that_both_have_stands_as_the_holder_placed_it() -> None:
    kept = Shadow(locks={"a:7": placed("a:7", until=WEDNESDAY_TEN + 5)})
    mine = Lock(placed=placed("a:7"), allowance={"MNQ": 2})
    account = Account(account=ACCOUNT, shadow=kept, locks={"a:7": mine})

    reseed(account, kept, 9, WEDNESDAY_TEN)

    assert account.locks["a:7"].placed.until == WEDNESDAY_TEN + 5
    assert account.locks["a:7"].allowance == {"MNQ": 2}
    assert kept.forced == ["a:7"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, (1, 7)),
        ((3, 5, True), (4, 7)),
        ((3, 7, True), (3, 7)),
        ((3, 8, True), (3, 8)),
        ((3, 8, False), (4, 7)),
    ],
)
def test_a_lock_that_is_taken_over_latches_its_finding(
    before: tuple[int, int, bool] | None, after: tuple[int, int]
) -> None:
    kept = Shadow(locks={"a:7": placed("a:7", incident=f"{ACCOUNT}:a:7")}, found={"a|": 9})
    account = Account(account=ACCOUNT, shadow=kept)
    if before is not None:
        number, seq, is_open = before
        account.incidents["a|"] = incident(seq, number=number, is_open=is_open)

    reseed(account, kept, 9, WEDNESDAY_TEN)

    found = account.incidents["a|"]
    assert (found.number, found.seq, found.is_open) == (*after, True)


def test_a_lock_of_no_finding_latches_none() -> None:
    kept = Shadow(locks={"platform": placed("platform")})
    account = Account(account=ACCOUNT, shadow=kept)

    reseed(account, kept, 9, WEDNESDAY_TEN)

    assert account.incidents == {}


def test_plans_that_have_reached_their_end_or_wait_for_an_answer_stay() -> None:
    goal = Goal(act="close", account=ACCOUNT, contract="B")
    account = Account(
        account=ACCOUNT,
        plans={
            "A": Plan(since=1, cause_seq=1),
            "B": Plan(since=1, cause_seq=1),
            "C": Plan(since=1, cause_seq=1, reached_at=3),
        },
        slots={
            "A": Slot(key="k", cause_seq=1, goal=goal, since=1),
            "B": Slot(key="k", cause_seq=1, goal=goal, since=1, request="r1"),
        },
    )

    reseed(account, Shadow(), 9, WEDNESDAY_TEN)

    assert sorted(account.plans) == ["B", "C"]
    assert sorted(account.slots) == ["B"]


@pytest.mark.parametrize(
    ("release", "verdict", "astray"),
    [
        ("v2", "looser", 7),
        ("v2", "stricter", 7),
        ("v2", "declared", 7),
        ("v2", "agrees", 0),
        ("v2", "unseen", 0),
        ("v3", "looser", 0),
    ],
)
def test_an_account_is_astray_from_its_own_first_difference_on(
    release: str, verdict: str, astray: int
) -> None:
    kept = Shadow()
    account = Account(account=ACCOUNT, shadow=kept)

    for seq in (7, 8):
        shadow.hear(account, kept, compared(release, verdict, seq), "v2")

    assert kept.astray == astray


def compared(release: str, verdict: str, seq: int) -> DecisionCompared:
    return DecisionCompared(
        account=ACCOUNT,
        release=release,
        against="v1",
        rule="a",
        seq=seq,
        decided_at=1,
        verdict=verdict,
        source="live",
    )


def test_the_holders_findings_are_counted_where_they_act() -> None:
    kept = Shadow(trips={"a": 1})
    account = Account(account=ACCOUNT, shadow=kept)

    for seq, mode in enumerate(("enforce", "alert", "shadow", "enforce"), start=7):
        shadow.hear(account, kept, breach(seq, mode), "v2")
    shadow.hear(account, kept, breach(11, "enforce", rule="b"), "v2")
    reseed(account, kept, 12, WEDNESDAY_TEN)

    assert account.trips == {"a": 3, "b": 1}
    assert kept.found == {"a|": 10, "b|": 11}


def breach(seq: int, mode: str, rule: str = "a") -> BreachFound:
    return BreachFound(
        account=ACCOUNT,
        rule=rule,
        mode=mode,
        incident=f"{ACCOUNT}:{rule}:{seq}",
        observed="2",
        limit="1",
        text="too much",
    )


@pytest.mark.parametrize(("seq", "named"), [(7, "a:7"), (6, "")])
def test_a_lock_of_the_holder_belongs_to_the_finding_it_names(seq: int, named: str) -> None:
    kept = Shadow()
    account = Account(account=ACCOUNT, shadow=kept, incidents={"a|": incident(seq)})

    shadow.hear(account, kept, placed("a:7", incident=f"{ACCOUNT}:a:7"), "v2")

    assert account.incidents["a|"].lock == named
    assert list(kept.locks) == ["a:7"]


def incident(seq: int, *, number: int = 1, is_open: bool = True, lock: str = "") -> Incident:
    return Incident(number=number, is_open=is_open, since=1, seq=seq, lock=lock)


def placed(name: str, until: int | None = None, incident: str = "") -> LockPlaced:
    return LockPlaced(
        account=ACCOUNT,
        lock=name,
        rule="a",
        mode="full",
        began_at=WEDNESDAY_TEN - 5,
        until=until,
        reason="a test",
        incident=incident,
    )


def lock(name: str) -> Lock:
    return Lock(placed=placed(name))

"""What is kept of a holder by a release that does not hold the account."""

from __future__ import annotations

import pytest

from risk_daemon.core import shadow
from risk_daemon.core.account import Account, Shadow
from risk_daemon.core.events import LockPlaced
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


def placed(name: str, until: int | None = None) -> LockPlaced:
    return LockPlaced(
        account=ACCOUNT,
        lock=name,
        rule="a",
        mode="full",
        began_at=WEDNESDAY_TEN - 5,
        until=until,
        reason="a test",
    )


def lock(name: str) -> Lock:
    return Lock(placed=placed(name))

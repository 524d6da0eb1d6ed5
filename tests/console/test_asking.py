"""What may be asked for on the page, and when it is refused before anything is done."""

from typing import Any

import pytest

from risk_daemon.console import asking
from risk_daemon.console.asking import Asked
from tests.console.test_figures import rollout


def asked(action: str, **fields: Any) -> Asked:
    return Asked(**{"action": action, "reason": "a calm day", "seen": "s", **fields})


@pytest.mark.parametrize(
    "one",
    [
        asked("hold"),
        asked("promote", phase="10"),
        asked("rollback", release="v1"),
        asked("flatten-all", typed=" Flatten ALL "),
    ],
)
def test_what_is_asked_for_wholly_is_not_objected_to(one: Asked) -> None:
    assert asking.objection(one) == ""


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (asked("shutdown"), "'shutdown' can't be asked for here; what can: start, approve"),
        (asked("hold", reason="  "), "a reason is needed"),
        (asked("hold", reason="x" * 501), "of at most 500 characters"),
        (asked("flatten-all"), "type 'flatten all' to have it done; it says ''"),
        (asked("flatten-all", typed="flatten"), "it says 'flatten', nothing was done"),
        (asked("promote"), "promote needs a phase"),
        (asked("rollback"), "rollback needs a release"),
    ],
)
def test_what_is_not_is_refused_with_what_is_missing(one: Asked, why: str) -> None:
    assert why in asking.objection(one)


def key(stage: str, *holds: str) -> str:
    return asking.rollout_key({**rollout(stage), "holds": [{"key": one} for one in holds]})


def test_a_rollout_is_another_one_at_another_stage() -> None:
    assert key("canary") == key("canary")
    assert key("draft") == key("gated") != key("shadow")
    assert len({asking.rollout_key({}), key("canary"), key("50"), key("canary", "person")}) == 4


@pytest.mark.parametrize("action", ["abort", "hold", "rollback"])
def test_a_way_back_is_not_refused_because_a_hold_came_meanwhile(action: str) -> None:
    assert asking.is_as_seen(action, key("canary"), key("canary", "person"))
    assert not asking.is_as_seen(action, key("canary"), key("50"))


def test_a_way_on_is() -> None:
    assert asking.is_as_seen("promote", key("canary"), key("canary"))
    assert not asking.is_as_seen("promote", key("canary"), key("canary", "person"))


def test_flattening_is_about_the_accounts_and_whether_they_are_guarded() -> None:
    one, two = {"accounts": [{"account": 1}]}, {"accounts": [{"account": 1}, {"account": 2}]}
    off = {**one, "disabled": {"by": "anna"}}
    assert len({asking.accounts_key(status) for status in (one, two, off, {})}) == 4

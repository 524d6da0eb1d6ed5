"""What a release declares to decide otherwise: which differences it covers, and until when."""

from __future__ import annotations

import pytest

from risk_daemon.rules.declared import LOOSER, STRICTER, Declared, covering

RULE, UNTIL = "max-contracts", 1_000


def declared(name: str, field: str, direction: str = STRICTER, rule: str = RULE) -> Declared:
    return Declared(
        name=name,
        rule=rule,
        direction=direction,
        field=field,
        cap_ppm=1,
        until=UNTIL,
        why="a closed order counts at once",
    )


BREACH, LOCK = declared("sooner", "breach"), declared("longer", "lock")
FOUND = ("breach", STRICTER)


def test_what_is_declared_is_named() -> None:
    assert covering((BREACH, LOCK), RULE, [FOUND], 1) == "sooner"


def test_several_differences_name_each_declaration_once_in_their_order() -> None:
    differs = [("lock", STRICTER), FOUND, ("lock", STRICTER)]

    assert covering((BREACH, LOCK), RULE, differs, 1) == "longer, sooner"


def test_one_that_is_not_declared_leaves_all_of_them_uncovered() -> None:
    assert covering((BREACH,), RULE, [FOUND, ("lock", STRICTER)], 1) == ""


@pytest.mark.parametrize(
    "other",
    [declared("sooner", "breach", LOOSER), declared("sooner", "breach", rule="kill-switch"), LOCK],
    ids=["the other direction", "another rule", "another field"],
)
def test_only_the_same_rule_field_and_direction_covers(other: Declared) -> None:
    assert covering((other,), RULE, [FOUND], 1) == ""


@pytest.mark.parametrize(("at", "named"), [(UNTIL - 1, "sooner"), (UNTIL, ""), (UNTIL + 1, "")])
def test_from_its_end_on_it_covers_nothing(at: int, named: str) -> None:
    assert covering((BREACH,), RULE, [FOUND], at) == named


def test_nothing_that_differs_needs_no_name() -> None:
    assert covering((BREACH,), RULE, [], 1) == ""

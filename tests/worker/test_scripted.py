"""The scripts of the rules: facts that one release makes and two decide."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
import pytest

from risk_daemon.core.world import Parser
from risk_daemon.operations.rollouts.differences import of_script
from risk_daemon.rules import CATALOG
from risk_daemon.worker.canonical import LOOSER
from risk_daemon.worker.scripted import Scripted, Told, decide, scripts
from risk_daemon.worker.tables import vectors_of
from tests.rules.test_turned_comparisons import CASES, FOLDER, turned
from tests.worker.two import HIGHER, LOWER

#: Comparisons that scripts do not tell apart when they are turned. The tables notice them by what a
#: rule looks up or observes; what is decided, which is all that two releases share, stays the same.
SURVIVORS = {
    ("max-contracts", "LtE"),
    ("no-stop-loss-grace", "Lt"),
    ("no-stop-loss-grace", "NotEq"),
    ("trailing-max-drawdown", "IsNot"),
}
STOPPED_LEAST = 0.95


@cache
def made() -> tuple[Scripted, ...]:
    return tuple(scripts(CATALOG))


@cache
def as_it_is(script: Scripted) -> Told:
    return decide(CATALOG, script)


def ways(catalog: Mapping[str, Parser], rule: str) -> set[str]:
    """Which ways a release of other rules differs on the scripts of one."""
    found: set[str] = set()
    for script in made():
        if script.rule == rule:
            said = of_script(script, decide(catalog, script), as_it_is(script), "new", "old")
            found |= {one.direction for one in said}
    return found - {""}


def source_line(rule: str, line: int) -> str:
    path = FOLDER / f"{rule.replace('-', '_')}.py"
    return path.read_text().splitlines()[line - 1]


def test_every_vector_is_a_script_as_written_and_mirrored() -> None:
    wanted = [(name, str(one)) for name in sorted(CATALOG) for one in vectors_of(name)]

    assert [(one.rule, one.case) for one in made()[::2]] == wanted
    assert [one.case for one in made()[1::2]] == [f"{case}, mirrored" for _, case in wanted]


def test_a_script_survives_its_way_to_another_release() -> None:
    sent = msgspec.json.decode(msgspec.json.encode(made()), type=tuple[Scripted, ...])

    assert sent == made()


def test_two_of_the_same_code_decide_every_script_alike() -> None:
    assert [name for name in CATALOG if ways(CATALOG, name)] == []


@pytest.mark.parametrize(("catalog", "way"), [(HIGHER, "looser"), (LOWER, "stricter")])
def test_a_limit_that_was_moved_shows_which_way(catalog: Mapping[str, Parser], way: str) -> None:
    assert way in ways(catalog, "max-contracts")


def test_a_comparison_made_stricter_is_not_looser_for_what_follows_from_it() -> None:
    found = {
        into.__name__: ways(turned(rule, number, into), rule)
        for rule, number, line, into in CASES
        if rule == "max-contracts" and "exposure > self.limit" in source_line(rule, line)
    }

    assert found["GtE"] == {"stricter"}
    assert "looser" in found["LtE"]


def test_a_release_that_falls_over_is_looser_than_any() -> None:
    def falls(_params: object) -> Any:
        raise RuntimeError("no")

    catalog: dict[str, Parser] = {**CATALOG, "kill-switch": falls}

    assert LOOSER in ways(catalog, "kill-switch")


def test_of_the_turned_comparisons_of_the_rules_nearly_all_are_stopped_in_shadow() -> None:
    alike = [
        (rule, into.__name__)
        for rule, number, _, into in CASES
        if not ways(turned(rule, number, into), rule)
    ]

    assert len(alike) <= (1 - STOPPED_LEAST) * len(CASES)
    assert set(alike) == SURVIVORS

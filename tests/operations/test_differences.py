"""Two releases on one boundary case: which way they differ, in what, and in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from risk_daemon.operations.rollouts.differences import KEPT_AT_ONCE, keep, of_case
from risk_daemon.worker.boundary import Decided
from risk_daemon.worker.canonical import Decision
from tests.operations import build, lived

OLD, NEW = "v1.2.0", "v1.3.0"
CASE = {"account": 101, "rule": "a", "case": "breach", "seq": 7, "at": 9}
BREACH = Decision(field="breach", name="breach:a|", rule="a", seq=0, strength=(2,), words="holds 3")
GOAL = Decision(
    field="goal", name="goal:MNQ", rule="a", seq=0, strength=(-2, 0), words="reduce MNQ to 2"
)
MORE = Decision(
    field="goal", name="goal:MNQ", rule="a", seq=0, strength=(-3, 0), words="reduce MNQ to 3"
)


def decided(*decisions: Decision, sees: str = "clear") -> Decided:
    return Decided(account=101, rule="a", case="breach", facts_at=5, sees=sees, decisions=decisions)


def compared(mine: Decided, other: Decided) -> list[tuple[Any, ...]]:
    return [
        (one.verdict, one.direction, one.fields) for one in of_case(CASE, mine, other, NEW, OLD)
    ]


@pytest.mark.parametrize(
    ("mine", "other", "found"),
    [
        ((BREACH, GOAL), (BREACH, GOAL), [("agrees", "", ())]),
        ((), (BREACH, GOAL), [("looser", "looser", ("breach", "goal"))]),
        ((BREACH, GOAL), (), [("stricter", "stricter", ("breach", "goal"))]),
        ((BREACH, MORE), (BREACH, GOAL), [("looser", "looser", ("goal",))]),
        ((BREACH, GOAL), (BREACH, MORE), [("stricter", "stricter", ("goal",))]),
        ((BREACH,), (GOAL,), [("looser", "looser", ("breach", "goal"))]),
        ((GOAL,), (GOAL,), []),
        ((), (), []),
    ],
)
def test_which_way_they_differ(
    mine: tuple[Decision, ...], other: tuple[Decision, ...], found: list[tuple[Any, ...]]
) -> None:
    assert compared(decided(*mine), decided(*other)) == found


def test_what_each_saw_and_wanted_is_in_it() -> None:
    (found,) = of_case(CASE, decided(sees="clear: 3 of 3"), decided(BREACH, GOAL), NEW, OLD)

    assert (found.saw, found.wanted) == ("clear: 3 of 3", "")
    assert (found.other_saw, found.other_wanted) == ("holds 3", "reduce MNQ to 2")
    assert found.why == f"breach: {NEW} is looser than {OLD}; goal: {NEW} is looser than {OLD}"
    assert (found.case, found.source, found.seq) == ("breach of a", "generated", 7)


def test_another_rule_that_fires_in_the_case_is_a_finding_of_its_own() -> None:
    other_rule = Decision(
        field="breach", name="breach:b|", rule="b", seq=0, strength=(2,), words="too many"
    )

    found = of_case(CASE, decided(BREACH), decided(BREACH, other_rule), NEW, OLD)

    assert [(one.rule, one.verdict, one.saw) for one in found] == [
        ("a", "agrees", "holds 3"),
        ("b", "looser", ""),
    ]


def test_more_findings_than_one_message_takes_are_kept_each_once_and_once_more_as_evidence(
    tmp_path: Path,
) -> None:
    home = build.home(tmp_path / "home")
    journal = lived.begin(home)
    try:
        findings = [
            msgspec.structs.replace(one, seq=seq)
            for one in of_case(CASE, decided(BREACH, GOAL), decided(BREACH, GOAL), NEW, OLD)
            for seq in range(1, 2 * KEPT_AT_ONCE + 2)
        ]

        assert keep(home, findings) == len(findings) == 2 * KEPT_AT_ONCE + 1
        assert keep(home, findings) == 0
        assert keep(home, findings, "a phase") == len(findings)
    finally:
        journal.kill()
        journal.wait(20)

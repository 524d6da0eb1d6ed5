"""The controller of a rollout killed in each phase: what is counted, and once for real."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.core.events import Fact, LeaseGranted, PolicyAdopted, RolloutStored, RuleSetting
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.rollout import row as rows
from risk_daemon.stage.controller_kills import (
    ALL,
    LOOSER,
    PHASES,
    ConfigurationKills,
    ControllerKills,
    Kill,
    broken,
    broken_policies,
    in_words,
    judge,
    step_of,
)
from risk_daemon.stage.crowd import LIMIT
from risk_daemon.wire.record import new_record
from tests.rollout.world import NEW, OLD, plan
from tests.untraced import leave_children_untraced

leave_children_untraced()
SECOND = 1_000_000_000
CLEAN = dict.fromkeys(("reversed", "increased", "duplicate"), 0)


@pytest.mark.parametrize("of", [ControllerKills, ConfigurationKills])
def test_killed_once_in_each_phase_it_ends_as_it_would_have(of: type[ControllerKills]) -> None:
    said: list[tuple[str, str]] = []

    verdict = of(1, 7, lambda kind, text: said.append((kind, text))).run()

    assert verdict["problems"] == []
    assert verdict["kills"] == {phase.name: 1 for phase in PHASES}
    # A kill counted in writes may come when the command has its answer already: not every one.
    assert verdict["while_asking"] > 0, "nobody waited for what was killed"
    assert verdict["answered"] == ALL


def kills(problem: str = "") -> list[Kill]:
    return [
        Kill(phase=phase.name, step="s", in_time=True, seconds=1.0, problem=problem)
        for phase in PHASES
    ]


def test_the_same_end_in_every_phase_is_ok() -> None:
    verdict = judge(kills(), 1, ALL, CLEAN, [])

    assert verdict["ok"]
    assert in_words(verdict)[-1] == "verdict: the same end, whenever it is killed"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((kills()[1:], 1, ALL, CLEAN, []), "canary: 0 kills of 1"),
        ((kills("")[:3] + kills("late")[3:], 1, ALL, CLEAN, []), "back, s: late"),
        ((kills(), 1, ALL - 1, CLEAN, []), f"{ALL - 1} of {ALL} breaches answered afterwards"),
        ((kills(), 1, ALL, CLEAN | {"reversed": 1}, []), "reversed: 1"),
        ((kills(), 1, ALL, CLEAN, ["record 9 gives"]), "record 9 gives"),
    ],
)
def test_each_promise_that_is_broken_is_a_problem(given: tuple[Any, ...], problem: str) -> None:
    verdict = judge(*given)

    assert (verdict["ok"], verdict["problems"]) == (False, [problem])


def test_a_step_is_the_stage_and_what_nobody_has_answered() -> None:
    row = rows.begin(plan(), {})
    given = {
        name: rows.Command(does=does, account=1, version=NEW)
        for name, does in (("a", rows.SMOKE), ("b", rows.SWITCH), ("c", rows.SMOKE))
    }

    assert step_of(row) == "draft with nothing under way"
    assert step_of(rows.Row(plan=plan(), stage="10", commands=given)) == (
        "10 with 2 smoke, 1 switch under way"
    )


def test_after_the_way_back_began_no_account_may_go_to_the_candidate(tmp_path: Path) -> None:
    facts = [
        granted(OLD.release, 1),
        written("canary"),
        granted(NEW.release, 2),
        written(rows.ABORTING),
        granted(NEW.release, 3),  # its epoch is raised where it is
        granted(OLD.release, 4),
        granted(NEW.release, 5),
        written("canary"),
        granted(OLD.release, 6),
        granted(NEW.release, 7),
    ]

    assert broken(stored(tmp_path, facts)) == [
        f"record 7 gives 1 to {NEW.release} after the way back"
    ]


def test_after_the_way_back_began_no_account_may_get_the_looser_limit(tmp_path: Path) -> None:
    facts = [
        adopted(LOOSER, 1),  # by a person, before there is any rollout
        adopted(LIMIT, 1),
        written("canary"),
        adopted(LOOSER, 1),
        written(rows.ABORTING),
        adopted(LIMIT, 1),
        adopted(LOOSER, 2),
        written(rows.ABORTED),
        adopted(LOOSER, 1),
        written("canary"),
        adopted(LOOSER, 2),
    ]

    assert broken_policies(stored(tmp_path, facts)) == [
        "record 7 loosens 2 after the way back",
        "record 9 loosens 1 after the way back",
    ]


def adopted(limit: int, account: int) -> PolicyAdopted:
    rule = RuleSetting(rule="max-contracts", mode="enforce", params={"limit": limit})
    return PolicyAdopted(
        account=account, login="a", name="A", calendar="c", day_roll="d", rules=(rule,), digest="d"
    )


def written(stage: str) -> RolloutStored:
    body = rows.encode(rows.Row(plan=plan(), stage=stage))
    return RolloutStored(rollout="r1", revision=1, latch=stage, body=body)


def granted(release: str, epoch: int) -> LeaseGranted:
    return LeaseGranted(account=1, holder="w", release=release, epoch=epoch, incarnation=1)


def stored(folder: Path, facts: list[Fact]) -> Path:
    sequencer, batch = Sequencer(), Batch(SECOND)
    batch.records = [sequencer.admit(new_record(fact), SECOND) for fact in facts]
    with closing(JournalFile(folder / "journal.db", 5)) as file:
        file.store(batch)
    return folder / "journal.db"

"""A thousand accounts going back: what is counted, what is promised, and a small one for real."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.core.events import DrainAsked, Fact, LeaseGranted
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.scale import Scale, in_words, judge, way_back
from risk_daemon.wire.record import new_record
from tests.untraced import leave_children_untraced

leave_children_untraced()
SECOND = 1_000_000_000


def test_a_few_accounts_go_there_and_back_and_are_guarded_by_the_old_release() -> None:
    said: list[tuple[str, str]] = []
    run = Scale(Crowd(logins=2, each=2), seed=7, say=lambda kind, text: said.append((kind, text)))

    verdict = run.run()

    assert verdict["ok"], verdict["problems"]
    assert (verdict["moved_back"], verdict["answered_by_the_old"]) == (4, 4)
    assert ("stage", "4 of 4 breaches answered") in said


def told(**changed: Any) -> dict[str, Any]:
    whole = {
        "accounts": 10,
        "logins": 2,
        "rollback_all_s": 30.0,
        "first_90_percent_s": 3.0,
        "moved_back": 10,
        "answered_by_the_old": 10,
        **dict.fromkeys(("reversed", "increased", "duplicate", "late"), 0),
    }
    return whole | changed


def test_just_within_its_limits_is_ok() -> None:
    assert judge(told())["ok"]
    assert in_words(judge(told()))[-1] == "verdict: ok"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"rollback_all_s": 30.1}, "all went back in 30.1 s, allowed 30"),
        ({"first_90_percent_s": 3.1}, "90 % had gone back after 3.1 s, allowed 3"),
        ({"moved_back": 9}, "moved back: 9 of 10"),
        ({"answered_by_the_old": 9}, "answered by the old: 9 of 10"),
        ({"reversed": 1}, "reversed: 1"),
        ({"increased": 1}, "increased: 1"),
        ({"duplicate": 1}, "duplicate: 1"),
        ({"late": 1}, "late: 1"),
    ],
)
def test_a_promise_that_is_broken_is_a_problem(changed: dict[str, Any], problem: str) -> None:
    verdict = judge(told(**changed))

    assert (verdict["ok"], verdict["problems"]) == (False, [problem])


def test_the_way_back_begins_with_its_own_first_drain(tmp_path: Path) -> None:
    facts = [
        (1, granted("old", epoch=1)),
        (2, drained("new")),
        (3, granted("new", epoch=2)),
        (10, drained("old")),
        (11, granted("old", epoch=3)),
        (12, drained("old")),
        (14, granted("old", epoch=4)),
    ]

    assert way_back(stored(tmp_path, facts), "old") == [1.0, 4.0]


def drained(heir: str) -> DrainAsked:
    return DrainAsked(account=1, holder="w", epoch=1, release=heir, for_ms=300)


def granted(release: str, epoch: int) -> LeaseGranted:
    return LeaseGranted(account=1, holder="w", release=release, epoch=epoch, incarnation=1)


def stored(folder: Path, facts: list[tuple[int, Fact]]) -> Path:
    sequencer, batch = Sequencer(), Batch(SECOND)
    batch.records = [sequencer.admit(new_record(fact), at * SECOND) for at, fact in facts]
    with closing(JournalFile(folder / "journal.db", 5)) as file:
        file.store(batch)
    return folder / "journal.db"

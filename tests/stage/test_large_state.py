"""A large state file: made of what a day has, and what is promised when it is lost."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.core.events import MarkChanged, OrderChanged
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.operations.home import Home
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.large import MB, grow
from risk_daemon.stage.lost_state import empty, in_words, judge
from risk_daemon.wire.record import new_record

CROWD = Crowd(logins=2, each=3)
ORDER = OrderChanged(account=1, order=5, contract="MNQ", status=2, type=2, side=1, size=1)
QUOTE = MarkChanged(contract="MNQ", bid=21_000, ask=21_002, last=21_001)


def test_a_file_grows_to_its_size_and_every_record_follows_the_one_before(tmp_path: Path) -> None:
    state = tmp_path / "journal.db"
    sequencer, batch = Sequencer(), Batch(1)
    batch.records = [sequencer.admit(new_record(fact), 1_000) for fact in (ORDER, QUOTE)]
    with closing(JournalFile(state, 5)) as file:
        file.store(batch)
    said: list[str] = []

    added = grow(state, 1, CROWD, said.append)

    assert state.stat().st_size >= MB
    assert said
    with closing(Reader(state)) as reader:
        last = reader.last()
        assert last is not None
        assert last.seq == added + 2
        assert not reader.check(1, last.seq, 0).broken_at
        found = reader.records(3, last.seq, ["order-changed"], 100).records
        assert {record.account for record in found} <= set(CROWD.accounts())


def told(**changed: Any) -> dict[str, Any]:
    way = {"answered_s": 60.0, "healthy_s": 60.0, "lock_stands": True} | changed
    return {"size_mb": 200.0, "records": 9, "backup_s": 50.0, "ways": {"lost": way}}


def test_protected_within_a_minute_with_every_lock_is_ok() -> None:
    verdict = judge(told())

    assert verdict["ok"]
    assert in_words(verdict)[-1] == "verdict: ok"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"answered_s": 60.1}, "lost: protected after 60.1 s, allowed 60"),
        ({"healthy_s": 61.0}, "lost: protected after 61.0 s, allowed 60"),
        ({"lock_stands": False}, "lost: a person's lock was lost"),
    ],
)
def test_a_later_answer_or_a_lost_lock_is_a_problem(changed: dict[str, Any], problem: str) -> None:
    verdict = judge(told(**changed))

    assert (verdict["ok"], verdict["problems"]) == (False, [problem])
    assert f"problem: {problem}" in in_words(verdict)


def test_a_lost_state_has_neither_files_nor_folders_left(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.state / "history").mkdir(parents=True)
    (home.state / "history" / "day").write_text("samples")
    (home.state / "journal.db").write_text("records")

    empty(home)

    assert list(home.state.iterdir()) == []

"""The file for the time the journal is away: on the disk before anything acts on it."""

from pathlib import Path

import pytest

from risk_daemon.core.events import AlarmRaised, Fact, Goal, Intended, OperatorActed
from risk_daemon.link.emergency import EmergencyFile, once

ACT = OperatorActed(account=1, act="flatten-lock", by="anna", reason="r", act_id="a1")
INTENT = Intended(
    account=1, epoch=2, cause_seq=3, key="1:kill-switch:3:close", goal=Goal(act="close", account=1)
)


def test_what_was_written_is_read_back_in_order(tmp_path: Path) -> None:
    file = EmergencyFile(tmp_path / "emergency.jsonl")
    for fact in (ACT, INTENT):
        file.write(fact)

    assert EmergencyFile(tmp_path / "emergency.jsonl").read() == [ACT, INTENT]


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert EmergencyFile(tmp_path / "none").read() == []


def test_a_torn_last_line_was_not_acted_on(tmp_path: Path) -> None:
    path = tmp_path / "emergency.jsonl"
    EmergencyFile(path).write(ACT)
    path.write_bytes(path.read_bytes() + b'{"format": 1, "kind": "inte')

    assert EmergencyFile(path).read() == [ACT]


def test_a_damaged_line_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "emergency.jsonl"
    path.write_bytes(b"garbage\n")
    EmergencyFile(path).write(ACT)

    with pytest.raises(ValueError, match="Expecting value"):
        EmergencyFile(path).read()


def test_cleared_it_is_gone(tmp_path: Path) -> None:
    file = EmergencyFile(tmp_path / "emergency.jsonl")
    file.write(ACT)
    file.clear()
    file.clear()

    assert file.read() == []


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        (ACT, "a1"),
        (INTENT, "1:kill-switch:3:close"),
        (AlarmRaised(account=1, level="warn", what="w", text="t"), ""),
    ],
)
def test_each_fact_is_folded_in_once_under_its_name(fact: Fact, name: str) -> None:
    assert once(fact) == name

"""The log of alarms has each once, although it may be cut, moved away, or fail half-way."""

import json
from pathlib import Path

import pytest

from risk_daemon.operations.alerts import alarm_log
from risk_daemon.operations.alerts.alarm_log import AlarmLog, latest, place
from risk_daemon.operations.alerts.outbox import Place
from risk_daemon.operations.home import Home
from tests.operations.test_outbox import alarm, alarms


def seqs(home: Home) -> list[int]:
    return [one.place.seq for one in latest(home)]


def test_a_batch_is_a_line_each_and_the_place_is_kept(home: Home) -> None:
    AlarmLog(home).deliver(alarms(3, 5))

    again = AlarmLog(home)
    assert (again.place, place(home)) == (Place(5, 1005), Place(5, 1005))
    assert again.latest == list(alarms(3, 5))
    line = json.loads((home.logs / "alarms.log").read_text().splitlines()[0])
    assert line["level"] == "info"
    assert line["at"].endswith("+00:00")


def test_a_torn_line_was_never_delivered(home: Home) -> None:
    AlarmLog(home).deliver(alarms(3, 5))
    path = home.logs / "alarms.log"
    path.write_bytes(path.read_bytes()[:-7])
    (home.state / "outbox.json").unlink()

    again = AlarmLog(home)

    assert again.place.seq == 3
    again.deliver(alarms(5))
    assert seqs(home) == [3, 5]


def test_a_death_between_line_and_place_is_seen_by_the_line(home: Home) -> None:
    sink = AlarmLog(home)
    sink.deliver(alarms(3))
    before = (home.state / "outbox.json").read_bytes()
    sink.deliver(alarms(5))
    (home.state / "outbox.json").write_bytes(before)

    assert AlarmLog(home).place.seq == 5


def test_a_log_that_was_moved_away_does_not_bring_everything_again(home: Home) -> None:
    AlarmLog(home).deliver(alarms(3, 5))
    (home.logs / "alarms.log").unlink()

    assert AlarmLog(home).place == Place(5, 1005)


def test_a_place_that_could_not_be_written_brings_no_line_twice(home: Home) -> None:
    sink = AlarmLog(home)
    # Where the place is to be written first there is a folder.
    (home.state / "outbox.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        sink.deliver(alarms(3, 5))
    (home.state / "outbox.new").rmdir()

    sink.deliver(alarms(3, 5))
    sink.deliver(alarms(8))

    assert seqs(home) == [3, 5, 8]
    assert sink.place.seq == 8


def test_the_log_is_rotated_by_size_and_the_oldest_is_dropped(home: Home, tmp_path: Path) -> None:
    del tmp_path
    sink = AlarmLog(home)
    log = home.logs / "alarms.log"
    for seq in range(1, 7):
        sink.deliver([alarm(seq)])
        with log.open("ab") as file:
            file.write(b" " * alarm_log.LOG_BYTES_MAX + b"\n")

    names = sorted(path.name for path in home.logs.iterdir())
    assert names == ["alarms.log", "alarms.log.1", "alarms.log.2", "alarms.log.3"]
    assert AlarmLog(home).place.seq == 6


def test_another_process_lines_are_passed_over(home: Home) -> None:
    (home.logs / "alarms.log").write_text('{"at": 1}\n[]\nnone\n')

    assert latest(home) == []
    assert AlarmLog(home).place == Place()

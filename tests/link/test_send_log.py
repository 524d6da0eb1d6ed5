"""What a link let out, noted where its death does not take it; not believed where it may lack."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon.link import send_log
from risk_daemon.link.send_log import ENTRIES, SendLog

LINE = 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return send_log.path_of(tmp_path, "north")


def begun(path: Path) -> SendLog:
    log = SendLog(path)
    log.begin()
    return log


def noted(path: Path, *keys: str) -> str:
    """A link notes these goals, each at its place in the row, and is gone; the log's name."""
    log = begun(path)
    for at, key in enumerate(keys, start=1):
        log.note(key, at)
    log.close()
    return log.name


def test_the_next_link_knows_what_left_and_when(path: Path) -> None:
    name = noted(path, "a", "b")

    log = begun(path)
    assert log.name == name
    assert [log.left_at(key) for key in ("a", "b", "c")] == [1, 2, None]
    log.note("c", 3)
    assert log.left_at("c") is None  # its own are no earlier link's
    log.close()
    assert begun(path).left_at("c") == 3


def test_what_was_noted_survives_a_kill_in_the_same_instant(path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from risk_daemon.link.send_log import SendLog;"
        "log = SendLog(Path(sys.argv[1])); log.begin(); log.note('a', 7);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)

    assert begun(path).left_at("a") == 7


def test_the_newest_overwrites_the_oldest(path: Path) -> None:
    name = noted(path, *(str(number) for number in range(ENTRIES + 2)))

    log = begun(path)
    assert log.name == name
    assert [log.left_at(str(number)) for number in (0, 1, 2)] == [None, None, 3]
    assert log.left_at(str(ENTRIES + 1)) == ENTRIES + 2


def _flip(raw: bytearray) -> None:
    raw[LINE * 2 + 3] ^= 1


def _drop(raw: bytearray) -> None:
    raw[LINE * 2 : LINE * 3] = bytes(LINE)


def _cut(raw: bytearray) -> None:
    del raw[len(raw) // 2 :]


def _behead(raw: bytearray) -> None:
    raw[:LINE] = bytes(LINE)


def _reboot(raw: bytearray) -> None:
    raw[:LINE] = send_log._line(f"1 {'0' * 27} name")  # noqa: SLF001


@pytest.mark.parametrize("damage", [_flip, _drop, _cut, _behead, _reboot])
def test_a_log_that_is_not_whole_or_of_another_boot_is_begun_anew(
    path: Path, damage: Callable[[bytearray], None]
) -> None:
    name = noted(path, "a", "b", "c")
    raw = bytearray(path.read_bytes())
    damage(raw)
    path.write_bytes(raw)

    log = begun(path)
    assert log.name not in ("", name)
    assert log.left_at("a") is None


def test_a_log_that_was_deleted_in_use_is_begun_anew(path: Path) -> None:
    name = noted(path, "a")
    first = begun(path)
    path.unlink()
    first.note("b", 2)

    assert begun(path).name not in ("", name)


def test_two_links_do_not_note_in_one_log(path: Path) -> None:
    first = begun(path)
    second = begun(path)

    assert "" not in (first.name, second.name)
    assert first.name != second.name


def test_where_there_can_be_no_log_there_is_none_and_requests_leave(tmp_path: Path) -> None:
    log = begun(tmp_path / "no such folder" / "log")

    log.note("a", 1)
    assert log.name == ""


def test_a_log_that_cannot_be_written_any_more_is_none(path: Path) -> None:
    told: list[str] = []
    log = SendLog(path, told.append)
    log.begin()
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, log._file or 0)  # noqa: SLF001 - no room, as the system says it
    os.close(full)

    log.note("a", 1)
    assert log.name == ""
    assert len(told) == 1
    assert not path.exists()


def test_boots_are_told_apart_where_the_system_does_not_name_them(tmp_path: Path) -> None:
    assert send_log.boot(tmp_path / "no such file").isdigit()
    assert send_log.boot() == send_log.boot()

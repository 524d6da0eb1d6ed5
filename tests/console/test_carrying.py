"""Every alarm reaches the log once: through kill -9, a journal that is away, or another one."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from risk_daemon.core.events import AlarmRaised
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from tests.operations.conftest import process, wait_for

WORDS = [sys.executable, "-m", "risk_daemon.programs.console", "--port", "0", "--home"]


def raise_alarm(home: Home, number: int) -> None:
    fact = AlarmRaised(account=0, level="warn", what="trial", text=f"number {number}", source="t")
    asked.append(home, fact)


def begin_console(home: Home) -> "subprocess.Popen[bytes]":
    (home.run / "console.json").unlink(missing_ok=True)
    return subprocess.Popen([*WORDS, str(home.path)])


@contextmanager
def console(home: Home) -> Iterator["subprocess.Popen[bytes]"]:
    """A console until the end of the block."""
    running = begin_console(home)
    try:
        wait_for(home.run / "console.json", running)
        yield running
    finally:
        running.kill()
        running.wait(20)


def logged(home: Home) -> list[str]:
    """Texts of the alarms in the log, in their order."""
    with contextlib.suppress(FileNotFoundError):
        lines = (home.logs / "alarms.log").read_text().splitlines()
        return [json.loads(line)["text"] for line in lines]
    return []


def api(home: Home, path: str) -> dict[str, Any]:
    port = json.loads((home.run / "console.json").read_text())["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def eventually(holds: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


def numbers(upto: int) -> list[str]:
    return [f"number {number}" for number in range(upto)]


def test_alarms_of_before_and_of_now_are_logged_and_shown(journal: Home) -> None:
    raise_alarm(journal, 0)
    with console(journal):
        eventually(lambda: logged(journal) == numbers(1), "the one of before")
        raise_alarm(journal, 1)
        eventually(lambda: logged(journal) == numbers(2), "the one of now")
        eventually(lambda: len(api(journal, "/api/v1/alarms")["alarms"]) == 2, "both are shown")

        (_, shown) = api(journal, "/api/v1/alarms")["alarms"]
        assert {key: shown[key] for key in ("account", "level", "what", "text", "source")} == {
            "account": 0,
            "level": "warn",
            "what": "trial",
            "text": "number 1",
            "source": "t",
        }
        assert shown["seq"] > 0
        assert len(api(journal, "/api/v1/alarms?limit=1")["alarms"]) == 1


def test_kill_9_of_the_console_loses_no_alarm_and_repeats_none(journal: Home) -> None:
    raised = 0
    for round_ in range(8):
        running = begin_console(journal)
        # Killed while it reads what it missed, or later while it is given new ones.
        if round_ % 2:
            wait_for(journal.run / "console.json", running)
        for _ in range(5):
            raise_alarm(journal, raised)
            raised += 1
        if round_ % 4 == 3:
            eventually(lambda: bool(logged(journal)), "something was delivered")
        running.kill()
        running.wait(20)
        assert not [text for text, count in Counter(logged(journal)).items() if count > 1]

    with console(journal):
        eventually(lambda: len(logged(journal)) >= raised, "all were delivered")
        raise_alarm(journal, raised)
        eventually(lambda: len(logged(journal)) > raised, "the newest is delivered")

        assert logged(journal) == numbers(raised + 1)

        def shown() -> list[str]:
            return [one["text"] for one in api(journal, "/api/v1/alarms?limit=500")["alarms"]]

        eventually(lambda: shown() == numbers(raised + 1), "all are shown")


def test_two_consoles_of_a_home_deliver_once(journal: Home) -> None:
    with console(journal):
        raise_alarm(journal, 0)
        eventually(lambda: logged(journal) == numbers(1), "the first delivers")
        with console(journal):
            raise_alarm(journal, 1)
            eventually(lambda: len(logged(journal)) >= 2, "it goes on")
            raise_alarm(journal, 2)
            eventually(lambda: len(logged(journal)) >= 3, "it still goes on")

    assert logged(journal) == numbers(3)


def test_a_journal_that_comes_back_is_read_from_where_it_was_left(home: Home) -> None:
    with process("journal", home, "journal.ready"):
        raise_alarm(home, 0)
        running = begin_console(home)
        wait_for(home.run / "console.json", running)
        eventually(lambda: logged(home) == numbers(1), "the first")
    try:
        with process("journal", home, "journal.ready"):
            raise_alarm(home, 1)
            eventually(lambda: logged(home) == numbers(2), "the second")
    finally:
        running.kill()
        running.wait(20)


def test_of_another_journal_every_alarm_is_told(home: Home) -> None:
    with process("journal", home, "journal.ready"):
        for number in range(3):
            raise_alarm(home, number)
        with console(home):
            eventually(lambda: logged(home) == numbers(3), "those of the first")
    for path in home.state.iterdir():
        path.unlink()

    with process("journal", home, "journal.ready"):
        raise_alarm(home, 3)
        with console(home):
            eventually(lambda: logged(home) == numbers(4), "the one of the second")
        raise_alarm(home, 4)
        with console(home):
            eventually(lambda: logged(home) == numbers(5), "and its next")


def test_a_log_that_can_not_be_written_is_tried_again(journal: Home) -> None:
    with console(journal):
        raise_alarm(journal, 0)
        eventually(lambda: logged(journal) == numbers(1), "delivered")
        (journal.logs / "alarms.log").rename(journal.logs / "kept")
        (journal.logs / "alarms.log").mkdir()
        raise_alarm(journal, 1)
        said = journal.logs / "console.log"
        eventually(lambda: "alarms are not delivered" in said.read_text(), "it says so")
        (journal.logs / "alarms.log").rmdir()
        (journal.logs / "kept").rename(journal.logs / "alarms.log")

        eventually(lambda: logged(journal) == numbers(2), "delivered later")

"""A process that waits, loaded, to be the next of its kind. Python's own shell stands in."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from risk_daemon.errors import NotFound
from risk_daemon.stage.waiting import until
from risk_daemon.supervisor.children import Running, spawn
from risk_daemon.supervisor.spare import AFTER_NS, DIVIDES, LINK, Loaded, Spare

LONG_AFTER = 10 * AFTER_NS
WITHIN_S = 20.0
RELEASE = "v1.0.0"


class Bench:
    """Starts shells that read what to do, and remembers them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self.started: list[Running] = []

    def start(self) -> Running:
        running = spawn("waiting", ["code"], self._logs, secrets=False, release=RELEASE, waits=True)
        self.started.append(running)
        return running


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for running in bench.started:
        running.dismiss()
        running.kill()
        ended(running)


def ended(running: Running) -> int | None:
    until(lambda: not running.is_alive, WITHIN_S, "its end")
    assert running._popen is not None  # noqa: SLF001
    return running._popen.returncode  # noqa: SLF001


def test_one_waits_and_becomes_the_link_it_is_told_to_be(bench: Bench) -> None:
    spare = Spare(bench.start)
    spare.keep(LONG_AFTER, RELEASE, is_calm=True)
    spare.keep(LONG_AFTER * 2, RELEASE, is_calm=True)
    assert len(bench.started) == 1

    running = spare.take("link-north", "raise SystemExit(7)", RELEASE, LONG_AFTER)
    assert running is bench.started[0]
    assert running.name == "link-north"
    assert ended(running) == 7


def test_the_next_one_is_started_once_the_links_are_there_again(bench: Bench) -> None:
    spare = Spare(bench.start)
    spare.keep(LONG_AFTER, RELEASE, is_calm=True)
    spare.take("link-north", "pass", RELEASE, LONG_AFTER)

    spare.keep(LONG_AFTER + 1, RELEASE, is_calm=True)  # it was not looked yet whether they are
    spare.keep(LONG_AFTER + AFTER_NS - 1, RELEASE, is_calm=False)
    spare.keep(LONG_AFTER + AFTER_NS, RELEASE, is_calm=True)
    assert len(bench.started) == 1
    spare.keep(LONG_AFTER + 2 * AFTER_NS, RELEASE, is_calm=True)
    assert len(bench.started) == 2


def test_where_none_waits_or_it_died_none_is_taken(bench: Bench) -> None:
    spare = Spare(bench.start)
    assert spare.take("link-north", "pass", RELEASE, 0) is None

    spare.keep(LONG_AFTER, RELEASE, is_calm=True)
    bench.started[0].kill()
    ended(bench.started[0])
    assert spare.take("link-north", "pass", RELEASE, LONG_AFTER) is None


def test_one_that_ends_while_it_waits_is_replaced_but_not_at_once(bench: Bench) -> None:
    spare = Spare(bench.start)
    spare.keep(LONG_AFTER, RELEASE, is_calm=True)
    bench.started[0].kill()
    ended(bench.started[0])

    spare.keep(LONG_AFTER * 2, RELEASE, is_calm=True)
    assert len(bench.started) == 1
    spare.keep(LONG_AFTER * 2 + AFTER_NS, RELEASE, is_calm=True)
    assert len(bench.started) == 2


def test_one_of_another_release_is_not_taken_and_gives_way(bench: Bench) -> None:
    spare = Spare(bench.start)
    spare.keep(LONG_AFTER, RELEASE, is_calm=True)

    assert spare.take("link-north", "pass", "v2.0.0", LONG_AFTER) is None
    assert bench.started[0].is_alive
    spare.keep(LONG_AFTER * 2, "v2.0.0", is_calm=True)
    assert ended(bench.started[0])


def test_one_that_cannot_be_started_is_done_without() -> None:
    def start() -> Running:
        raise NotFound("this release is not staged")

    spare = Spare(start)
    spare.keep(LONG_AFTER, RELEASE, is_calm=True)
    assert spare.take("link-north", "pass", RELEASE, LONG_AFTER) is None
    spare.end()


def test_one_that_waits_ends_with_whoever_keeps_it(bench: Bench) -> None:
    spare = Spare(bench.start)
    spare.keep(LONG_AFTER, RELEASE, is_calm=True)
    spare.end()
    assert ended(bench.started[0])


@pytest.mark.parametrize(
    ("kind", "says"), [("journal", rb""), ("link", rb"\d+\n" if DIVIDES else rb"")]
)
def test_a_real_one_that_is_nobodys_ends_when_its_keeper_is_gone(
    tmp_path: Path, kind: str, says: bytes
) -> None:
    module = f"risk_daemon.programs.{kind}"
    words = [sys.executable, "-m", module, "--home", str(tmp_path), "--spare"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch(says, done.stdout)


class Links(Bench):
    """Starts the real program of a link, which loads what it needs and waits."""

    def __init__(self, home: Path) -> None:
        super().__init__(home / "logs")
        self.home = home
        (home / "logs").mkdir()

    def start(self) -> Running:
        words = ["risk_daemon.programs.link", "--home", str(self.home), "--spare"]
        logs = self.home / "logs"
        running = spawn(LINK, words, logs, secrets=False, release=RELEASE, waits=True, answers=True)
        self.started.append(running)
        return running

    def ready(self) -> tuple[Loaded, psutil.Process]:
        """What has loaded, and the part of it that waits."""
        loaded = Loaded(self.start)
        loaded.keep(LONG_AFTER, RELEASE, is_calm=True)
        until(lambda: loaded.is_ready, WITHIN_S, "the libraries to be loaded")
        (waiting,) = psutil.Process(self.started[0].pid).children()
        return loaded, waiting

    def write(self, line: str) -> None:
        """Say a word that was on its way when whom it was for ended."""
        running = self.started[0]._popen  # noqa: SLF001
        assert running is not None
        assert running.stdin is not None
        running.stdin.write(line.encode())
        running.stdin.flush()

    def taken(self, loaded: Loaded, login: str) -> Running:
        """The link that begins; what was said to wait may have ended meanwhile."""
        before = len(self.started)

        def begins() -> bool:
            found = loaded.take(f"link-{login}", login, RELEASE, LONG_AFTER)
            self.started.extend([found] if found else [])
            return found is not None

        until(begins, WITHIN_S, "a part that waits")
        return self.started[before]


@pytest.fixture
def links(tmp_path: Path) -> Iterator[Links]:
    links = Links(tmp_path)
    yield links
    for running in links.started:
        running.kill()
        until(lambda: not running.is_alive, WITHIN_S, "its end")  # noqa: B023
        running.dismiss()


@pytest.mark.skipif(not DIVIDES, reason="Windows can't divide a process; `told` is its way")
def test_every_link_is_a_part_of_what_was_loaded_once(links: Links) -> None:
    loaded = Loaded(links.start)
    loaded.keep(LONG_AFTER, RELEASE, is_calm=True)
    assert loaded.take("link-north", "north", RELEASE, LONG_AFTER) is None, "it has not loaded yet"

    north = links.taken(loaded, "north")
    south = links.taken(loaded, "south")

    assert (north.name, north.release, south.name) == ("link-north", RELEASE, "link-south")
    assert len({north.pid, south.pid, links.started[0].pid}) == 3
    until((links.home / "logs" / "link-south.log").exists, WITHIN_S, "its own log")
    south.kill()
    until(lambda: not south.is_alive, WITHIN_S, "the end of one")
    links.started[0].kill()
    until(lambda: not links.started[0].is_alive, WITHIN_S, "the end of what was loaded")
    assert north.is_alive, "the end of what was loaded took a link with it"


@pytest.mark.skipif(not DIVIDES, reason="Windows can't divide a process; `told` is its way")
def test_a_part_that_ends_while_it_waits_is_replaced_and_no_other_takes_its_word(
    links: Links,
) -> None:
    loaded, waiting = links.ready()
    waiting.kill()
    waiting.wait(WITHIN_S)

    assert links.started[0].divide(waiting.pid, "link-north", "north") is None
    links.write(f"{waiting.pid} north\n")
    south = links.taken(loaded, "south")

    until((links.home / "logs" / "link-south.log").exists, WITHIN_S, "its own log")
    assert not (links.home / "logs" / "link-north.log").exists()
    assert south.is_alive


@pytest.mark.skipif(not DIVIDES, reason="Windows can't divide a process; `told` is its way")
def test_what_was_loaded_is_replaced_when_it_ends_and_its_waiting_part_ends_too(
    links: Links,
) -> None:
    loaded, waiting = links.ready()
    links.started[0].kill()
    until(lambda: not links.started[0].is_alive, WITHIN_S, "its end")

    loaded.keep(LONG_AFTER * 2, RELEASE, is_calm=True)

    waiting.wait(WITHIN_S)
    assert not loaded.is_ready
    loaded.keep(LONG_AFTER * 2 + AFTER_NS, RELEASE, is_calm=True)
    assert len(links.started) == 2
    assert loaded.is_loading

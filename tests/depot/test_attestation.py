"""A journal lets in workers that run what their release was signed for, and no others."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.core.events import AlarmRaised
from risk_daemon.depot import staging
from risk_daemon.errors import DaemonError
from risk_daemon.operations import daemon
from risk_daemon.operations.home import Home
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import decode
from risk_daemon.wire.transport import Hello
from tests.depot.build import Recipe
from tests.depot.conftest import Releases
from tests.operations.conftest import process


@pytest.fixture
def staged(releases: Releases, tmp_path: Path) -> Iterator[Home]:
    """A home with a staged release, and its journal."""
    releases.added(tmp_path / "made", Recipe())
    releases.told(0, "stage", "v1.0.0")
    with process("journal", releases.home, "journal.ready"):
        yield releases.home


def asks(home: Home, hello: Hello) -> str:
    """Greet the journal and ask for the leases: empty if they came, else why it parted."""

    async def ask() -> str:
        parted: list[str] = []
        try:
            journal = await JournalClient.connect(home.run, hello, 5.0, on_lost=parted.append)
            await journal.leases()
        except DaemonError as error:
            return " ".join([*parted, str(error)])
        journal.close()
        return ""

    return asyncio.run(ask())


def alarms(home: Home, at_least: int) -> list[str]:
    """The alarms of the journal, once there are so many; nobody waits for more than is said."""
    deadline = time.monotonic() + 10
    while True:
        found = [decode(one).fact for one in daemon.tail(home, 100, ("alarm-raised",))]
        told = [one.text for one in found if isinstance(one, AlarmRaised) and one.level == "page"]
        if len(told) >= at_least:
            return told
        assert time.monotonic() < deadline, told
        time.sleep(0.02)


def test_a_worker_that_runs_what_was_signed_is_served(staged: Home) -> None:
    code = staging.read(staged.releases / "v1.0.0").code

    assert asks(staged, Hello("worker", "worker-1@v1.0.0", "v1.0.0", code=code)) == ""
    assert alarms(staged, 0) == []


def test_a_worker_that_runs_other_code_is_refused_and_told_once(staged: Home) -> None:
    for name in ("worker-1@v1.0.0", "worker-2@v1.0.0"):
        said = asks(staged, Hello("worker", name, "v1.0.0", code="b" * 64))
        assert "a worker of v1.0.0 runs code bbbbbbbbbbbb, signed is" in said

    told = alarms(staged, 1)

    assert len(told) == 1
    assert "it is refused" in told[0]


def test_a_worker_that_names_no_code_is_refused(staged: Home) -> None:
    assert "runs code it does not name" in asks(staged, Hello("worker", "w", "v1.0.0"))


def test_without_a_manifest_that_can_be_read_a_staged_release_has_no_workers(staged: Home) -> None:
    (staged.releases / "v1.0.0" / "manifest.json").unlink()

    assert "can't be read" in asks(staged, Hello("worker", "w", "v1.0.0", code="a" * 64))


@pytest.mark.parametrize("release", ["dev", "", "../releases/v1.0.0", "v9.0.0"])
def test_of_a_release_that_is_not_staged_nothing_is_asked(staged: Home, release: str) -> None:
    assert asks(staged, Hello("worker", "w", release)) == ""


def test_whoever_is_no_worker_is_served(staged: Home) -> None:
    assert asks(staged, Hello("link", "link-alpha", "v1.0.0")) == ""

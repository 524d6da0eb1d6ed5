"""`release prune`: what somebody needs is never let go, and there is something to go back to."""

import shutil
from pathlib import Path

import psutil
import pytest

from risk_daemon.depot.store import Depot
from risk_daemon.operations import daemon
from risk_daemon.operations.home import Home
from risk_daemon.supervisor.children import Register, Running
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Snapshot, SnapshotsKept
from tests.depot import build
from tests.depot.build import Recipe
from tests.depot.conftest import Releases, releases_at
from tests.depot.leases import lease
from tests.operations.conftest import process

VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0")


@pytest.fixture
def five(releases: Releases, tmp_path: Path) -> Releases:
    """A depot with five releases, added one after the other by this home."""
    depot = Depot(releases.depot)
    for at, version in enumerate(VERSIONS):
        made = build.release(tmp_path / version, Recipe(version))
        depot.add(made, [build.KEY.trusted], at, "tester", lambda _: None)
    with depot.changing():
        depot.remember(releases.home.path)
    return releases


def there(releases: Releases) -> list[str]:
    return sorted(path.name for path in (releases.depot / "releases").iterdir())


def snapshot(home: Home, release: str) -> None:
    """Have a release be the one that wrote an account's newest snapshot."""

    async def act(journal: JournalClient) -> SnapshotsKept:
        seq = (await journal.probe()).seq
        return await journal.put_snapshots([Snapshot(1, release, 3, seq, "", b"state")])

    with process("journal", home, "journal.ready"):
        assert daemon.with_journal(home, act).refused == ""


def test_the_last_three_stay(five: Releases) -> None:
    told = five.told(0, "prune", "--dry-run").out
    assert there(five) == list(VERSIONS)

    said = five.told(0, "prune").out

    assert [line.split(":")[0] for line in said.splitlines()] == ["v1.0.0", "v1.1.0"]
    assert told == said.replace("removed", "would be removed")
    assert there(five) == list(VERSIONS[2:])
    for version in VERSIONS[2:]:
        five.told(0, "verify", version)
    assert five.told(0, "prune").out == "nothing to remove\n"


def test_parts_of_none_of_the_others_go_with_it(five: Releases) -> None:
    five.told(0, "prune")

    # The lock and the other wheel are everybody's; each has one wheel of its own.
    assert len(list((five.depot / "parts").iterdir())) == 2 + 3


def test_what_holds_an_account_stays_and_asking_for_it_is_refused(five: Releases) -> None:
    lease(five.home, "v1.0.0", 1, 2)

    said = five.refused(3, "prune", "v1.0.0")
    five.told(0, "prune")

    assert f"v1.0.0 is not removed: it holds 2 accounts in {five.home.path}" in said
    assert there(five) == ["v1.0.0", *VERSIONS[2:]]
    assert "holds 2 accounts" in five.told(0, "list").out
    assert five.told(0, "show", "v1.0.0", "--json").data()["accounts"] == [1, 2]


def test_what_wrote_the_newest_snapshot_of_an_account_stays(five: Releases) -> None:
    snapshot(five.home, "v1.0.0")
    snapshot(five.home, "v1.1.0")

    said = five.refused(3, "prune", "v1.1.0")
    five.told(0, "prune")

    assert "the newest snapshots" in said
    assert there(five) == ["v1.1.0", *VERSIONS[2:]]


def test_but_of_an_account_that_somebody_holds_anybody_may_have_written_it(
    five: Releases,
) -> None:
    lease(five.home, "v1.0.0", 1)
    snapshot(five.home, "v1.1.0")

    five.told(0, "prune")

    assert there(five) == ["v1.0.0", *VERSIONS[2:]]


def test_one_of_the_last_three_is_not_removed_by_name(five: Releases) -> None:
    assert "it is one of the last 3" in five.refused(3, "prune", "v1.2.0")
    assert "there is no release v7.0.0" in five.refused(5, "prune", "v7.0.0")


def test_an_old_one_is_removed_by_name_and_only_it(five: Releases) -> None:
    five.told(0, "stage", "v1.1.0")

    five.told(0, "prune", "v1.1.0")

    assert there(five) == ["v1.0.0", *VERSIONS[2:]]
    assert not list(five.home.releases.iterdir())


def test_what_another_home_needs_stays(five: Releases, tmp_path: Path) -> None:
    other = releases_at(tmp_path / "second")
    other = Releases(type(other.admin)(other.home, five.admin.env), five.depot)
    other.told(0, "stage", "v1.1.0")
    lease(other.home, "v1.0.0", 1)

    said = five.refused(3, "prune", "v1.0.0")
    five.told(0, "prune")

    assert f"it holds 1 account in {other.home.path}" in said
    assert there(five) == list(VERSIONS)


def test_a_home_that_is_not_there_lets_nothing_go(five: Releases, tmp_path: Path) -> None:
    other = releases_at(tmp_path / "second")
    Releases(type(other.admin)(other.home, five.admin.env), five.depot).told(0, "stage", "v1.1.0")
    shutil.rmtree(other.home.path)

    said = five.refused(3, "prune")

    assert f"the home {other.home.path} uses this depot and is not there now" in said


def test_a_state_file_that_can_not_be_read_lets_nothing_go(five: Releases) -> None:
    (five.home.state / "journal.db").write_bytes(b"no database at all, but long enough " * 100)

    assert "can't be read" in five.refused(1, "prune")


def test_processes_whose_supervisor_is_silent_let_nothing_go(five: Releases) -> None:
    register = Register(five.home.run / "processes.json")
    with process("journal", five.home, "journal.ready") as journal:
        started = psutil.Process(journal.pid).create_time()
        register.write({"journal": Running("journal", journal.pid, started)})

        said = five.told(3, "prune")

    assert f"journal of {five.home.path} run, and the supervisor can't say of which" in said.err
    assert there(five) == list(VERSIONS)
    assert "v1.0.0: removed from the depot" in five.told(0, "prune").out

"""Journal, links, console and supervisor become another release's, proven first, one by one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.supervisor.test_failover import Scene
from tests.supervisor.test_notifying import local

OTHERS = ("console", "link-north", "journal")
FIRST, SECOND = "v7.0.0", "v7.0.1"
DIES = ("v7.9.1", "programs/link.py", "    link.lost = lost\n", "    raise SystemExit('no link')\n")
FLIPS = (
    "v7.9.2",
    "broker/projectx/wire.py",
    'return 1 if _whole(data, "side", 0, 1) == 0 else -1',
    'return -1 if _whole(data, "side", 0, 1) == 0 else 1',
)
MISREADS = (
    "v7.9.3",
    "wire/record.py",
    "    return zlib.crc32(new.payload, crc)\n",
    "    return zlib.crc32(new.payload[:3], crc)\n",
)
SILENT = (
    "v7.9.4",
    "programs/supervisor.py",
    "    handing_over.announce(home.path)\n",
    "    raise SystemExit('no supervisor')\n",
)


class House(Scene):
    """A daemon, and releases of the same code but for a word; a service manager listens."""

    listener: socket.socket

    def prepare(self) -> None:
        text = '"""`risk-daemon console --home H`'
        for release in (FIRST, SECOND):
            changed = f'"""`risk-daemon console --home H` of {release}'
            install(self.daemon.home, release, ("programs/console.py", text, changed))
        for release, file, old, new in (DIES, FLIPS, MISREADS, SILENT):
            install(self.daemon.home, release, (file, old, new))

    def releases(self) -> dict[str, str]:
        """The release of each process that is no worker."""
        status: dict[str, Any] = asked.status(Home(self.daemon.home))
        rows = {row["name"]: row["release"] for row in status["processes"]}
        found = {name: release for name, release in rows.items() if not name.startswith("worker")}
        return found | {"supervisor": status["release"]}

    def told(self) -> list[list[str]]:
        """What the service manager was told since it was asked last."""
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self.listener.recv(4096).decode().splitlines())
        return found

    def promote(self, release: str) -> None:
        self.daemon.run("promote", "--all", "--to-version", release).ok()

    def hand_over(self, release: str, *words: str) -> Any:
        return self.daemon.run("hand-over", "--to-version", release, "--stays", "0.5", *words)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with local() as listener, pytest.MonkeyPatch.context() as environment:
        listener.bind(str(folder / "notify"))
        listener.setblocking(False)
        environment.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        found = House(folder)
        found.listener = listener
        try:
            yield found
        finally:
            found.close()


def all_of(release: str) -> dict[str, str]:
    return dict.fromkeys((*OTHERS, "supervisor"), release)


def test_accounts_come_first(house: House) -> None:
    before = house.releases()

    done = house.hand_over(FIRST)

    assert done.code == 3
    assert f"not by {FIRST}; nothing was handed over" in done.err
    assert f"risk-daemon-admin promote --all --to-version {FIRST}" in done.err
    assert house.releases() == before


def test_every_process_becomes_the_release_and_the_accounts_stay_guarded(house: House) -> None:
    house.breach_is_answered()
    house.promote(FIRST)
    workers = {name: pid for name, pid in house.pids().items() if name.startswith("worker")}
    lease = house.lease()

    planned = house.hand_over(FIRST, "--dry-run", "--json").ok().data
    done = house.hand_over(FIRST, "--json").ok().data

    assert planned["data"]["processes"] == [*OTHERS, "supervisor"]
    rows = done["data"]["processes"]
    assert [row["process"] for row in rows] == [*OTHERS, "supervisor"]
    assert all(row["to"] == FIRST and row["gap_ms"] > 0 and not row["why"] for row in rows)
    assert house.releases() == all_of(FIRST)
    assert house.lease() == lease
    assert workers.items() <= house.pids().items(), "a worker was touched"
    house.breach_is_answered()


def test_the_service_manager_knows_whom_to_watch_before_the_one_before_leaves(
    house: House,
) -> None:
    first, moved, second = house.told()

    assert moved == [second[1]] != [first[1]]
    assert (first[0], second[0]) == ("READY=1", "READY=1")
    lock = (house.daemon.home / "run" / "daemon.lock").read_text()
    assert second[1] == f"MAINPID={lock[1:].split()[0]}"


def test_there_is_nothing_to_hand_over_twice(house: House) -> None:
    pids = house.pids()

    done = house.hand_over(FIRST).ok()

    assert f"everything runs as {FIRST} already" in done.out
    assert house.pids() == pids


def test_what_dies_is_started_again_as_what_it_became(house: House) -> None:
    pid = house.daemon.kill("link-north")
    until(lambda: house.pids().get("link-north", pid) != pid, 10, "the link to be started again")

    assert house.releases()["link-north"] == FIRST
    house.daemon.wait_healthy()


def test_a_release_that_translates_otherwise_is_refused(house: House) -> None:
    house.breach_is_answered()
    house.promote(FLIPS[0])
    pids = house.pids()

    done = house.hand_over(FLIPS[0])

    assert done.code == 3
    assert f"{FLIPS[0]} makes other facts of what link-north was sent: message" in done.err
    assert "side 1 becomes -1" in done.err or "side -1 becomes 1" in done.err
    assert house.pids() == pids


def test_a_release_that_can_not_restore_the_state_is_refused(house: House) -> None:
    house.promote(MISREADS[0])
    pids = house.pids()

    done = house.hand_over(MISREADS[0])

    assert done.code == 3
    assert f"{MISREADS[0]} does not make of this home's state what it was" in done.err
    assert "nothing was handed over" in done.err
    assert house.pids() == pids


def test_a_link_that_does_not_stay_up_becomes_what_it_was(house: House) -> None:
    house.promote(DIES[0])

    done = house.hand_over(DIES[0])

    assert done.code == 1
    assert f"link-north: NOT handed over: it ended as {DIES[0]}: no link" in done.out
    assert f"it is of {FIRST} again" in done.out
    assert house.releases() == all_of(FIRST) | {"console": DIES[0]}
    house.daemon.wait_healthy()
    house.breach_is_answered()


def test_a_supervisor_that_does_not_come_up_changes_nothing(house: House) -> None:
    house.promote(SILENT[0])
    pids = house.pids()

    done = house.hand_over(SILENT[0])

    assert done.code == 1
    assert f"the supervisor of {SILENT[0]} does not come up" in done.out
    assert house.pids()["supervisor"] == pids["supervisor"]
    assert house.releases() == all_of(SILENT[0]) | {"supervisor": FIRST}


def test_another_release_follows_by_the_same_command(house: House) -> None:
    house.promote(SECOND)

    house.hand_over(SECOND).ok()

    assert house.releases() == all_of(SECOND)
    house.daemon.wait_healthy()
    house.breach_is_answered()


def test_bad_words_are_refused(house: House) -> None:
    assert house.hand_over("v9.9.9").code == 3
    done = house.daemon.run("hand-over", "--to-version", FIRST, "--stays", "-1")

    assert done.code == 2
    assert "--stays must be from 0 to 60 seconds, was -1" in done.err

"""A full disk: what protects goes on being stored, what can wait is refused, nothing is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.core.events import AlarmRaised, DrainAsked, LeaseGranted, LockPlaced
from risk_daemon.errors import JournalAway
from risk_daemon.journal import reserve
from risk_daemon.journal.intake import NO_ROOM
from risk_daemon.journal.segment import Segment
from risk_daemon.stage import small_disk
from risk_daemon.stage.small_disk import MEBIBYTE, fill
from risk_daemon.stage.waiting import until
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import NewRecord, Record, decode, new_record
from tests.journal.homes import Home, act, intent, on_loop, policy

ACCOUNT = 7


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.kill()


class Small:
    """A journal on a file system of 48 MiB."""

    def __init__(self, home: Home) -> None:
        state = home.path / "state"
        under = tuple(small_disk.words(48 * MEBIBYTE, state, ()))
        state.mkdir()
        if not small_disk.is_possible(state):
            pytest.skip("no file system may be mounted here")
        pid = home.start(under=under).pid
        self.home, self.state = home, small_disk.inside(pid, state)
        self.journal: JournalClient

    async def begin(self) -> None:
        self.journal = await self.home.client("supervisor")
        await self.journal.append([policy(ACCOUNT)])
        await self.has_reserve()

    async def has_reserve(self) -> None:
        there = (self.state / reserve.FILE).exists
        await asyncio.to_thread(until, there, 20, "the reserve")

    async def is_tight(self) -> bool:
        return bool((await self.journal.ask("status")).data["is_tight"])

    async def alarms(self) -> list[tuple[str, str]]:
        found = await self.journal.tail(1, kinds=("alarm-raised",), limit=100)
        facts = [decode(one).fact for one in found]
        return [(one.level, one.text) for one in facts if isinstance(one, AlarmRaised)]

    async def grow(self) -> None:
        """Store until the room that was left is used up, and the reserve is in use."""
        for number in range(400):
            answer = await self.journal.append([big(number)])
            assert answer.refused == ""
            if await self.is_tight():
                return
        raise AssertionError("the disk is not full")


def _look(found: list[Record], room: asyncio.Event) -> None:
    if any(b"there is room again" in one.payload for one in found):
        room.set()


def big(number: int) -> NewRecord:
    return NewRecord("big", 0, bytes(100_000), once=f"big-{number}")


@on_loop
async def test_on_a_full_disk_locks_leases_and_intents_are_stored(home: Home) -> None:
    disk = Small(home)
    await disk.begin()
    fill(disk.state, leave=2 * MEBIBYTE)

    await disk.grow()

    assert not (disk.state / reserve.FILE).exists()
    lease = (await disk.journal.grant([Grant(ACCOUNT, 0, "worker-1", "v1")])).leases[0]
    kept = await disk.journal.intend(ACCOUNT, lease.epoch, "k", intent(ACCOUNT, lease.epoch, "k"))
    locked = await disk.journal.append([new_record(lock("a"))])
    assert (lease.epoch, kept.refused, locked.refused) == (1, "", "")
    assert any(level == "page" and NO_ROOM in text for level, text in await disk.alarms())
    assert (await disk.journal.ask("verify")).data["ok"]


@on_loop
async def test_changes_wait_for_room_and_are_taken_up_when_there_is_some(home: Home) -> None:
    disk = Small(home)
    await disk.begin()
    fill(disk.state, leave=2 * MEBIBYTE)
    await disk.grow()
    drain = DrainAsked(account=ACCOUNT, epoch=1, holder="worker-1", for_ms=1_000, release="v2")

    for wanted in (policy(ACCOUNT + 1), new_record(drain)):
        assert (await disk.journal.append([wanted])).refused == NO_ROOM

    small_disk.free(disk.state)
    await disk.has_reserve()
    room = asyncio.Event()
    disk.journal.subscribe(1, ("alarm-raised",), on_records=lambda found: _look(found, room))
    await room.wait()
    assert (await disk.journal.append([policy(ACCOUNT + 1)])).refused == ""
    assert (await disk.alarms())[-1] == ("info", "there is room again")


@on_loop
async def test_beyond_the_reserve_nothing_is_answered_that_is_not_stored(home: Home) -> None:
    disk = Small(home)
    await disk.begin()
    fill(disk.state, leave=2 * MEBIBYTE)
    stored = 0
    while not (await disk.journal.append([big(stored)])).refused:
        stored += 1
    with pytest.raises(JournalAway):
        await disk.journal.append([big(0)])

    assert home.process is not None
    assert await asyncio.to_thread(home.process.wait, 30) == 1
    assert stored * 100_000 > 2 * 2 * MEBIBYTE


SEGMENT = """
import sys
from pathlib import Path
from risk_daemon.core.events import OperatorActed
from risk_daemon.journal.segment import Segment
from risk_daemon.stage.small_disk import fill
folder = Path(sys.argv[1])
segment = Segment(folder / "emergency-north.jsonl")
segment.take_room()
fill(folder)
act = OperatorActed(account=1, act="a", by="b", reason="r" * 900, act_id="1")
acts = [act] * 500
for act in acts:
    segment.write(act)
assert Segment(segment.path).read() == acts
segment.clear()
segment.write(acts[0])
assert segment.read() == acts[:1]
"""


def test_the_emergency_segment_is_written_on_a_disk_without_any_room(tmp_path: Path) -> None:
    if not small_disk.is_possible(tmp_path):
        pytest.skip("no file system may be mounted here")
    program = [sys.executable, "-c", SEGMENT, str(tmp_path)]

    done = subprocess.run(
        small_disk.words(2 * MEBIBYTE, tmp_path, program),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0


# --- what links kept meanwhile ---------------------------------------------------------


def lock(name: str) -> LockPlaced:
    return LockPlaced(
        account=ACCOUNT, lock=name, rule="r", mode="full", began_at=5, until=None, reason="because"
    )


def granted(epoch: int) -> LeaseGranted:
    return LeaseGranted(
        account=ACCOUNT, holder="worker-2", release="v1", epoch=epoch, incarnation=0
    )


@on_loop
async def test_a_journal_takes_in_what_links_kept_before_it_answers_anybody(home: Home) -> None:
    home.start()
    journal = await home.client()
    await journal.append([policy(ACCOUNT)])
    await journal.grant([Grant(ACCOUNT, 0, "worker-1", "v1")])
    home.kill()
    segment = Segment(home.path / "state" / "emergency-north.jsonl")
    for fact in (granted(2), lock("a"), granted(3)):
        segment.write(fact)

    home.start()
    journal = await home.client()
    refused = await journal.grant([Grant(ACCOUNT, 1, "worker-1", "v1")])

    assert refused.refused == f"account {ACCOUNT}: its epoch is 3, expected 1"
    (lease,) = (await journal.leases()).leases
    assert (lease.holder, lease.epoch) == ("worker-2", 3)
    placed = await journal.tail(1, kinds=("lock-placed",), limit=9)
    assert [decode(one).fact for one in placed] == [lock("a")]


@on_loop
async def test_what_it_took_in_already_is_not_taken_in_again(home: Home) -> None:
    home.start()
    journal = await home.client()
    await journal.append([policy(ACCOUNT), act("x")])
    await journal.grant([Grant(ACCOUNT, 0, "worker-1", "v1")])
    segment = Segment(home.path / "state" / "emergency-north.jsonl")
    for fact in (granted(1), lock("a")):
        segment.write(fact)

    for _ in range(2):
        home.kill()
        home.start()
        journal = await home.client()

    (lease,) = (await journal.leases()).leases
    assert (lease.holder, lease.epoch) == ("worker-1", 1)
    assert len(await journal.tail(1, kinds=("lock-placed",), limit=9)) == 1


@on_loop
async def test_an_epoch_that_does_not_follow_is_told_and_not_taken(home: Home) -> None:
    (home.path / "state").mkdir()
    Segment(home.path / "state" / "emergency-north.jsonl").write(granted(9))

    home.start()
    journal = await home.client()

    assert (await journal.leases()).leases == []
    found = await journal.tail(1, kinds=("alarm-raised",), limit=9)
    assert b"its link kept epoch 9, 0 is known" in found[0].payload

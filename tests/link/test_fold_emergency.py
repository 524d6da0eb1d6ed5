"""What was made durable without the journal comes into it, whole and once; then the file goes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.core.events import (
    Fact,
    Goal,
    Intended,
    LeaseGranted,
    LockPlaced,
    OperatorActed,
)
from risk_daemon.errors import JournalAway
from risk_daemon.journal.segment import Segment
from risk_daemon.link.emergency import fold, may_be_stored_yet
from risk_daemon.wire import control
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import decode
from tests.journal.homes import Home, Served, on_loop, policy

ACCOUNT = 7
ACT = OperatorActed(account=ACCOUNT, act="flatten-lock", by="anna", reason="r", act_id="a1")
KINDS = ("intended", "operator-acted")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.start()
    yield home
    home.kill()


def intended(epoch: int) -> Intended:
    goal = Goal(act="close", account=ACCOUNT, contract="MNQ", locked=True)
    return Intended(account=ACCOUNT, epoch=epoch, cause_seq=0, key=f"close-{epoch}", goal=goal)


async def leased(home: Home) -> JournalClient:
    """A journal that knows the account, held at epoch 1."""
    journal = await home.client()
    await journal.append([policy(ACCOUNT)])
    await journal.grant([Grant(ACCOUNT, 0, "worker-1", "v1")])
    return journal


async def stored(journal: JournalClient) -> list[Fact]:
    return [decode(record).fact for record in await journal.tail(1, kinds=KINDS, limit=100)]


def written(home: Home, *facts: Fact) -> Segment:
    file = Segment(home.path / "emergency.jsonl")
    for fact in facts:
        file.write(fact)
    return file


@on_loop
async def test_goals_and_acts_come_in_and_the_file_goes(home: Home) -> None:
    journal = await leased(home)
    file = written(home, intended(1), ACT)

    refused = await fold(file, journal, home.path / "aside")

    assert refused == []
    assert await stored(journal) == [intended(1), ACT]
    assert file.read() == []


@on_loop
async def test_folded_in_twice_they_are_stored_once(home: Home) -> None:
    journal = await leased(home)
    await fold(written(home, intended(1), ACT), journal, home.path / "aside")

    await fold(written(home, intended(1), ACT), journal, home.path / "aside")

    assert await stored(journal) == [intended(1), ACT]


@on_loop
async def test_a_goal_the_journal_refuses_keeps_nothing_else_out_and_is_told(home: Home) -> None:
    journal = await leased(home)

    refused = await fold(written(home, intended(9), ACT), journal, home.path / "aside")

    assert await stored(journal) == [ACT]
    assert refused == ["close-9: account 7: its epoch is 1, not 9"]


@on_loop
async def test_while_the_journal_is_away_the_file_stays(home: Home) -> None:
    journal = await leased(home)
    file = written(home, ACT)
    journal.close()

    with pytest.raises(JournalAway):
        await fold(file, journal, home.path / "aside")

    assert file.read() == [ACT]


@on_loop
async def test_what_a_full_disk_keeps_out_stays_in_the_file(tmp_path: Path) -> None:
    """The journal refuses what it has not stored, and ends: nothing else keeps the goal now."""
    served = Served(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(served.run())
        journal = await leased(served.home)
        waits = await _till_it_waits(Segment(tmp_path / "emergency.jsonl"), journal, tmp_path)
    served.close()

    assert running.result() == 1
    assert Segment(tmp_path / "emergency.jsonl").read() == [waits]


async def _till_it_waits(file: Segment, journal: JournalClient, folder: Path) -> Intended:
    """Fold in goals one by one; return the one for which there was no room any more."""
    for number in range(1_000):
        goal = Goal(act="close", account=ACCOUNT, contract="MNQ", reason="x" * 5_000)
        one = Intended(account=ACCOUNT, epoch=1, cause_seq=0, key=f"close-{number}", goal=goal)
        file.write(one)
        try:
            assert await fold(file, journal, folder / "aside") == []
        except JournalAway:
            return one
    raise AssertionError("the file took a thousand goals")


@pytest.mark.parametrize(
    ("said", "is_for_now"),
    [
        (control.Intended(1, 8, epoch=1), False),
        (control.Intended(1, 0, refused="the disk is full", epoch=1), True),
        (control.Intended(1, 0, refused="its epoch is 2, not 1", epoch=2), False),
    ],
)
def test_a_goal_may_be_stored_yet_while_its_epoch_is(
    said: control.Intended, is_for_now: bool
) -> None:
    assert may_be_stored_yet(intended(1), said) == is_for_now


@pytest.mark.parametrize(
    ("said", "is_for_now"),
    [
        (control.Appended(1, 8), False),
        (control.Appended(1, 0, refused="the file is far behind"), True),
        (control.Appended(1, 0, refused="no policy has been adopted", accounts=[7]), False),
    ],
)
def test_an_act_may_be_stored_yet_where_the_account_is_somebodys(
    said: control.Appended, is_for_now: bool
) -> None:
    assert may_be_stored_yet(ACT, said) == is_for_now


@on_loop
async def test_a_lease_that_was_kept_is_granted_and_a_lock_is_placed(home: Home) -> None:
    journal = await leased(home)
    lease = LeaseGranted(account=ACCOUNT, holder="worker-2", release="v1", epoch=2, incarnation=0)
    lock = LockPlaced(
        account=ACCOUNT, lock="l", rule="r", mode="full", began_at=5, until=None, reason="because"
    )

    for _ in range(2):
        assert await fold(written(home, lease, lock), journal, home.path / "aside") == []

    (held,) = (await journal.leases()).leases
    assert (held.holder, held.epoch) == ("worker-2", 2)
    placed = await journal.tail(1, kinds=("lock-placed",), limit=9)
    assert [decode(one).fact for one in placed] == [lock]


@on_loop
async def test_a_lease_that_does_not_follow_is_told(home: Home) -> None:
    journal = await leased(home)
    lease = LeaseGranted(account=ACCOUNT, holder="worker-2", release="v1", epoch=5, incarnation=0)

    refused = await fold(written(home, lease), journal, home.path / "aside")

    assert refused == ["LeaseGranted: account 7: its epoch is 1, expected 4"]


@on_loop
async def test_a_damaged_segment_is_kept_aside_and_its_rest_comes_in(home: Home) -> None:
    journal = await leased(home)
    segment = written(home, intended(1), ACT)
    raw = bytearray(segment.path.read_bytes())
    raw[70] ^= 1
    segment.path.write_bytes(raw)

    refused = await fold(Segment(segment.path), journal, home.path / "set-aside" / "it")

    assert await stored(journal) == [ACT]
    assert refused == [
        f"1 damaged lines of {segment.path}, kept as {home.path / 'set-aside' / 'it'}"
    ]
    assert (home.path / "set-aside" / "it").read_bytes() == bytes(raw)
    assert Segment(segment.path).read() == []


@on_loop
async def test_where_no_copy_can_be_kept_the_rest_comes_in_all_the_same(home: Home) -> None:
    journal = await leased(home)
    segment = written(home, ACT)
    with segment.path.open("ab") as file:
        file.write(b"garbage\n")

    (refused,) = await fold(Segment(segment.path), journal, segment.path / "no folder")

    assert "and no copy could be kept" in refused
    assert await stored(journal) == [ACT]

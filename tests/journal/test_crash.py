"""The journal killed at any moment, on a full disk, and started on a damaged file."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import JournalAway
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sqlite import sqlite3
from risk_daemon.wire import control
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import NewRecord, decode, holds
from tests.journal.homes import Home, Seen, Served, act, intent, mark, on_loop


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.kill()


class Load:
    """A client that appends as fast as it is answered, and remembers what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.promised: dict[str, int] = {}
        self.causes: dict[str, int] = {}
        self.count = 0

    async def run(self, client: JournalClient, epoch: int) -> None:
        try:
            while True:
                await self._turn(client, epoch)
        except JournalAway:
            pass

    async def _turn(self, client: JournalClient, epoch: int) -> None:
        self.count += 1
        key = f"{self.name}/{self.count}"
        cause = await client.append([mark(self.count), mark(-self.count)])
        if self.count % 2:
            answer = await client.intend(7, epoch, key, intent(7, epoch, key))
            assert answer.refused == ""
            self.promised[f"intended/{key}"] = answer.seq
        else:
            appended = await client.append([act(key), mark()])
            self.promised[f"operator-acted/{key}"] = appended.last_seq - 1
        self.causes[key] = cause.last_seq


@on_loop
async def test_nothing_promised_is_lost_by_any_kill(home: Home) -> None:
    loads = [Load(name) for name in ("a", "b", "c")]
    seen = Seen()
    for round_ in range(6):
        home.start()
        client = await home.client("supervisor")
        seen.subscribe(client)
        epoch = (await client.grant([Grant(7, round_, "a", "v1")])).leases[0].epoch
        assert epoch == round_ + 1
        async with asyncio.TaskGroup() as tasks:
            for load in loads:
                tasks.create_task(load.run(await home.client(load.name), epoch))
            await seen.until_more(150 + 20 * round_)
            home.kill()

    home.start()
    client = await home.client()
    verified = await client.ask("verify")
    assert verified.data["ok"], verified
    records = {record.seq: record for record in await client.tail(1, limit=1_000_000)}
    promised = {name: seq for load in loads for name, seq in load.promised.items()}
    causes = [seq for load in loads for seq in load.causes.values()]
    assert len(promised) > 200
    for name, seq in promised.items():
        assert records[seq].kind == name.split("/", 1)[0]
        assert name.split("/", 1)[1].encode() in records[seq].payload
    assert len(set(promised.values())) == len(promised)
    assert all(records[seq].kind == "mark-changed" for seq in causes)
    assert (await client.leases()).leases[0].epoch == 6


class Flood:
    """A link under load: facts one by one and in bursts, never waiting for an answer."""

    def __init__(self) -> None:
        self.answered = 0
        self.count = 0

    async def run(self, client: JournalClient) -> None:
        while client.is_open:
            self.count += 1
            client.append([mark(self.count)] * (self.count % 7 + 1)).add_done_callback(self._note)
            await asyncio.sleep(0 if self.count % 5 else 0.001)

    def _note(self, done: asyncio.Future[control.Appended]) -> None:
        if done.exception() is None:
            self.answered = max(self.answered, done.result().last_seq)


KILLS = 12


@on_loop
async def test_whoever_comes_back_after_a_kill_has_seen_nothing_that_is_lost(home: Home) -> None:
    home.start()
    looker, seen, floods = await home.client("worker"), Seen(), [Flood(), Flood()]
    seen.subscribe(looker)
    for kill in range(KILLS):
        lost = asyncio.Event()
        looker.on_lost = lambda _, lost=lost: lost.set()
        async with asyncio.TaskGroup() as tasks:
            for flood in floods:
                tasks.create_task(flood.run(await home.client("link")))
            await seen.until_more(200 + 37 * kill)
            home.kill()
        await lost.wait()
        assert last_seq(home.file) >= max(seen.seqs[-1], *(flood.answered for flood in floods))
        home.start()
        await looker.reconnect(30)
    await seen.until_more(1)

    assert seen.truncated is None
    assert seen.seqs == [*range(1, len(seen.records) + 1)]
    assert all(holds(a.crc, b) for a, b in pairwise(seen.records))


def last_seq(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT max(seq) FROM record").fetchone()[0])


async def _fill(client: JournalClient) -> tuple[list[int], control.Appended]:
    """Append promises until one is refused; return what was kept."""
    kept: list[int] = []
    while True:
        answer = await client.append([NewRecord("big", 0, b"x" * 5_000, "promise")])
        if answer.refused:
            return kept, answer
        kept.append(answer.last_seq)


@on_loop
async def test_a_full_file_refuses_what_it_did_not_store_alarms_and_ends(tmp_path: Path) -> None:
    served = Served(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(served.run())
        client, seen, lost = await served.home.client(), Seen(), asyncio.Event()
        client.on_lost = lambda _: lost.set()
        seen.subscribe(client, control.NOW, views=True)
        await client.grant([Grant(7, 0, "a", "v1")])
        filling = tasks.create_task(_fill(client))
        kept, refused = await filling
        await lost.wait()
    served.close()

    assert running.result() == 1
    assert refused.last_seq == 0
    assert refused.refused.startswith("the state file can't be written: database or disk is full")
    alarm = msgspec.msgpack.decode(seen.views[0].payload, type=AlarmRaised)
    assert (alarm.level, alarm.what) == ("page", "journal-failed")
    with closing(Reader(served.home.file)) as reader:
        stored = reader.records(1, 1 << 40, ["big"], 1 << 40).records
        assert [record.seq for record in stored] == kept
        assert not reader.check(1, 1 << 40, 0).broken_at


@on_loop
async def test_a_mistake_in_the_loop_ends_the_journal_and_stores_nothing_more(
    tmp_path: Path,
) -> None:
    served = Served(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(served.run())
        client, lost = await served.home.client(), asyncio.Event()
        client.on_lost = lambda _: lost.set()
        told = asyncio.get_running_loop().call_exception_handler
        told({"message": "no descriptor is left", "exception": OSError(24, "EMFILE")})
        await client.append([act("in time")])
        told({"message": "a mistake", "exception": ValueError("ours")})
        unanswered = client.append([act("too late")])
        await lost.wait()
        with pytest.raises(JournalAway, match="the journal stops"):
            await unanswered
    served.close()

    assert running.result() == 1
    with closing(Reader(served.home.file)) as reader:
        stored = reader.records(1, 1 << 40, ["operator-acted"], 9).records
    assert [decode(record).fact.act_id for record in stored] == ["in time"]  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on file sizes is POSIX")
@on_loop
async def test_a_disk_that_fails_leaves_unanswered_what_may_be_stored(home: Home) -> None:
    process = home.start(under=("sh", "-c", 'ulimit -f 600; exec "$@"', "sh"))
    client, seen = await home.client(), Seen()
    seen.subscribe(client, control.NOW, views=True)
    with pytest.raises(JournalAway, match="the state file can't be written: disk I/O error"):
        await _fill(client)
    code = await asyncio.to_thread(process.wait, 30)

    assert code == 1
    assert [view.topic for view in seen.views] == ["alarm"]
    log = [json.loads(line) for line in _lines(home.path / "logs" / "journal.log")]
    assert [line["event"] for line in log] == [
        "journal started",
        "state file failed",
        "journal stopped",
    ]
    home.kill()

    home.start()
    client = await home.client()
    assert len(await client.tail(1, kinds=["big"], limit=10_000)) > 10
    assert (await client.ask("verify")).data["ok"]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_a_damaged_file_is_not_served(home: Home) -> None:
    @on_loop
    async def fill() -> None:
        home.start()
        await (await home.client()).append([act(str(number)) for number in range(50)])

    fill()
    home.kill()
    with closing(sqlite3.connect(home.file, isolation_level=None)) as connection:
        connection.execute("UPDATE record SET account = 1 WHERE seq = 20")
    process = home.start()
    _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "record 20 of " in said
    assert "restore --rebuild" in said
    assert not (home.run_dir / "journal.ready").exists()
    log = _lines(home.path / "logs" / "journal.log")
    assert json.loads(log[-1])["event"] == "refused"


@on_loop
async def test_a_mistake_of_ours_ends_the_journal_at_once(home: Home) -> None:
    process = home.start()
    client = await home.client()
    await client.grant([Grant(7, 0, "a", "v1")])
    with closing(sqlite3.connect(home.file, isolation_level=None)) as connection:
        connection.execute("UPDATE lease SET epoch = 9")
    with pytest.raises(JournalAway):
        await client.grant([Grant(7, 1, "b", "v1")])

    assert await asyncio.to_thread(process.wait, 30) == 1
    assert "epoch 2 does not follow the file's" in _lines(home.path / "logs" / "journal.log")[1]


@on_loop
async def test_a_page_that_can_not_be_read_ends_the_journal_at_once(home: Home) -> None:
    home.start()
    await (await home.client()).append([mark(number) for number in range(5_000)])
    assert await asyncio.to_thread(home.stop) == 0
    with home.file.open("r+b") as file:
        file.seek(20 * 4_096)
        file.write(b"\xff" * 4_096)
    process = home.start("--verify-last", "10")
    client = await home.client()

    with pytest.raises(JournalAway):
        await client.tail(1, limit=5_000)

    assert await asyncio.to_thread(process.wait, 30) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="what is open cannot be deleted there")
@pytest.mark.parametrize("is_replaced", [False, True])
@on_loop
async def test_a_file_that_lost_its_name_is_put_back_whole(
    home: Home, *, is_replaced: bool
) -> None:
    process = home.start()
    client = await home.client()
    await client.append([act(str(number)) for number in range(50)])
    home.file.unlink()
    if is_replaced:
        home.file.write_bytes(b"a stranger's")
    last = (await client.append([act("after")])).last_seq

    assert await asyncio.to_thread(process.wait, 30) == 1
    home.kill()
    home.start()
    client = await home.client()

    (record,) = await client.tail(last, kinds=("operator-acted",), limit=1)
    assert b"after" in record.payload
    assert (await client.ask("verify")).data["ok"]
    aside = home.path / "set-aside" / "instead-of-journal.db"
    assert aside.exists() is is_replaced


def test_time_goes_on_though_the_clock_was_set_back_between_two_starts(home: Home) -> None:
    home.start("--offset-s", "3600")

    async def an_hour_ahead() -> None:
        await (await home.client()).append([mark()])

    on_loop(an_hour_ahead)()
    home.stop()
    home.start()

    async def set_right() -> None:
        seen = Seen()
        seen.subscribe(await home.client(), from_seq=1)
        await seen.until(lambda: len(seen.of("pulse")) > 1)
        before = max(record.at for record in seen.records)
        await seen.until(lambda: seen.records[-1].at > before)

        times = [record.at for record in seen.records]
        assert times == sorted(times)

    on_loop(set_right)()

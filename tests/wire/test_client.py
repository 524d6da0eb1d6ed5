"""The journal's client across from a journal that says what the test says: frames out and in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from risk_daemon.errors import JournalAway, TimedOut
from risk_daemon.wire import control
from risk_daemon.wire.channel import Channel, Hello
from risk_daemon.wire.client import JournalClient, Line, ask
from risk_daemon.wire.control import Grant, Lease, Snapshot
from risk_daemon.wire.record import NewRecord, Record
from risk_daemon.wire.transport import serve
from tests.journal.homes import on_loop

PULSE = NewRecord("pulse", 0, b"\x80")


def record(seq: int) -> Record:
    return Record(seq, seq, 1, "pulse", 0, b"\x80", seq * 7)


class Journal:
    """The other side of one client: what it was asked, and the way to answer."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.channel: Channel
        self._arrived = asyncio.Event()

    def welcome(self, channel: Channel) -> None:
        self.channel = channel
        channel.listen(self._take, lambda _: None)

    def _take(self, frames: list[Any]) -> None:
        self.asked += frames
        self._arrived.set()

    async def until(self, count: int) -> list[Any]:
        while len(self.asked) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return self.asked

    def say(self, *frames: msgspec.Struct) -> None:
        for frame in frames:
            self.channel.send(frame)


@asynccontextmanager
async def pair(tmp_path: Path) -> AsyncIterator[tuple[JournalClient, Journal]]:
    journal = Journal()
    server = await serve(tmp_path, "journal", journal.welcome, hello=Hello("j", "journal"))
    client = await JournalClient.connect(tmp_path, Hello("worker", "a"), 5)
    try:
        yield client, journal
    finally:
        client.close()
        await server.close()


@on_loop
async def test_every_question_is_a_frame_with_a_number_of_its_own(tmp_path: Path) -> None:
    async with pair(tmp_path) as (client, journal):
        client.append([PULSE])
        client.intend(7, 3, "k", PULSE)
        client.grant([Grant(7, 0, "a", "v1")])
        client.probe()
        client.leases()
        client.get_snapshots("v1", 3)
        client.tail()
        client.tail(-5, since_at=9, kinds=["pulse"], limit=2)
        client.ask("status")
        client.ask("status", {"a": 1})

        assert await journal.until(10) == [
            control.Append(1, [PULSE]),
            control.Intend(2, 7, 3, "k", PULSE),
            control.GrantLeases(3, [Grant(7, 0, "a", "v1")]),
            control.Probe(4),
            control.Leases(5),
            control.GetSnapshots(6, "v1", 3),
            control.Tail(7, 0, 0, [], 100),
            control.Tail(8, -5, 9, ["pulse"], 2),
            control.Ask(9, "status", {}),
            control.Ask(10, "status", {"a": 1}),
        ]


@on_loop
async def test_an_answer_goes_to_whoever_asked_and_one_to_nobody_is_nothing(tmp_path: Path) -> None:
    async with pair(tmp_path) as (client, journal):
        first, second, third = client.probe(), client.probe(), client.probe()
        second.cancel()
        await journal.until(3)
        journal.say(*(control.Probed(number, number, 9) for number in (99, 2, 3, 1)))

        assert (await first, await third) == (control.Probed(1, 1, 9), control.Probed(3, 3, 9))
        assert client.is_open


@on_loop
async def test_what_is_only_told_is_a_frame_without_a_number(tmp_path: Path) -> None:
    async with pair(tmp_path) as (client, journal):
        client.publish_view("pnl", 7, b"x")
        client.wake_at(9)
        assert client.buffered > 0

        assert await journal.until(2) == [control.Publish("pnl", 7, b"x"), control.WakeAt(9)]


@on_loop
async def test_answers_in_parts_are_put_together_before_they_are_given(tmp_path: Path) -> None:
    lease = Lease(7, "a", "v1", 1, 1, 1)
    async with pair(tmp_path) as (client, journal):
        tail, held, shots = client.tail(), client.leases(), client.get_snapshots("", 3)
        await journal.until(3)
        one = Snapshot(7, "v1", 3, 1, "d", b"x")
        journal.say(
            control.Tailed(1, [record(1)], last=False),
            control.LeasesHeld(2, [lease], 5, last=False),
            control.Snapshots(3, [one], last=False),
            control.Tailed(1, [record(2)], last=True),
            control.Snapshots(3, [], last=True),
            control.LeasesHeld(2, [lease], 5),
        )

        assert await tail == [record(1), record(2)]
        assert await held == control.LeasesHeld(2, [lease, lease], 5)
        assert await shots == [one]


@on_loop
async def test_snapshots_travel_half_a_mebibyte_at_a_time_and_a_refusal_ends_it(
    tmp_path: Path,
) -> None:
    half = 1 << 18
    bodies = [b"a" * half, b"b" * half, b"c" * half, b"d" * half, b"e", b"f" * (3 * half), b"g"]
    snapshots = [Snapshot(n, "v1", 3, 1, "d", body) for n, body in enumerate(bodies)]
    async with pair(tmp_path) as (client, journal):
        keeping = asyncio.ensure_future(client.put_snapshots(snapshots))
        for number, refused in ((1, ""), (2, ""), (3, "full")):
            await journal.until(number)
            journal.say(control.SnapshotsKept(number, refused))

        assert (await keeping).refused == "full"
        assert [[one.account for one in frame.snapshots] for frame in journal.asked] == [
            [0, 1],
            [2, 3],
            [4],
        ]
        assert await client.put_snapshots([]) == control.SnapshotsKept(0)


@on_loop
async def test_what_is_subscribed_to_is_delivered_and_remembered(tmp_path: Path) -> None:
    seen: list[Any] = []
    async with pair(tmp_path) as (client, journal):
        client.subscribe(
            4,
            ["pulse"],
            True,
            crc=21,
            on_records=seen.append,
            on_view=seen.append,
            on_truncated=lambda seq: seen.append(("truncated", seq)),
            on_caught_up=lambda seq: seen.append(("caught up", seq)),
        )
        assert client.seen == (3, 21)
        view = control.View("pnl", 7, b"x")
        assert await journal.until(1) == [control.Subscribe(4, ["pulse"], True, 21)]
        probed = client.probe()
        journal.say(
            control.Records([record(4), record(5), record(6)]),
            view,
            control.CaughtUp(6, 1),
            control.Truncated(3),
            control.Probed(1, 1, 1),
        )
        await probed

        assert seen == [[record(4), record(5), record(6)], view, ("caught up", 6), ("truncated", 3)]
        assert client.seen == (6, 42)


@pytest.mark.parametrize(
    ("from_seq", "before", "live", "renewed"),
    [
        (control.NOW, (-1, -1), (9, -1), control.Subscribe(10, crc=-1)),
        (0, (0, -1), (0, -1), control.Subscribe(1, crc=-1)),
        (1, (0, -1), (0, -1), control.Subscribe(1, crc=-1)),
        (5, (4, -1), (4, -1), control.Subscribe(5, crc=-1)),
    ],
)
@on_loop
async def test_a_subscription_is_renewed_behind_what_was_last_delivered(
    tmp_path: Path,
    from_seq: int,
    before: tuple[int, int],
    live: tuple[int, int],
    renewed: control.Subscribe,
) -> None:
    async with pair(tmp_path) as (client, journal):
        client.subscribe(from_seq, on_records=lambda _: None)
        assert client.seen == before
        probed = client.probe()
        await journal.until(2)
        assert journal.asked[0] == control.Subscribe(from_seq)
        journal.say(control.CaughtUp(9, 1), control.Probed(1, 1, 1))
        await probed
        assert client.seen == live

        await client.reconnect(5)
        assert (await journal.until(3))[2] == renewed


@on_loop
async def test_a_subscription_of_now_that_was_never_live_is_renewed_as_it_was(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as (client, journal):
        client.subscribe(control.NOW, on_records=lambda _: None)
        await journal.until(1)
        await client.reconnect(5)

        assert await journal.until(2) == [control.Subscribe(control.NOW)] * 2


@on_loop
async def test_without_a_subscription_a_new_connection_asks_nothing(tmp_path: Path) -> None:
    async with pair(tmp_path) as (client, journal):
        await client.reconnect(5)
        client.wake_at(1)

        assert await journal.until(1) == [control.WakeAt(1)]


@on_loop
async def test_what_was_asked_of_a_journal_that_is_lost_fails_with_the_reason(
    tmp_path: Path,
) -> None:
    lost: list[str] = []
    async with pair(tmp_path) as (client, journal):
        client.on_lost = lost.append
        first, second = client.probe(), client.tail()
        await journal.until(2)
        journal.say(control.Tailed(2, [record(1)], last=False))
        journal.channel.close("the journal stops")

        for future in (first, second):
            with pytest.raises(JournalAway, match="the journal stops"):
                await future
        assert lost == ["the journal stops"]
        assert not client.is_open
        assert client.buffered == 0
        with pytest.raises(JournalAway, match="not connected"):
            await client.probe()


@on_loop
async def test_whoever_closes_is_not_told_but_those_who_wait_are(tmp_path: Path) -> None:
    lost: list[str] = []
    async with pair(tmp_path) as (client, _):
        client.on_lost = lost.append
        waiting, given_up = client.probe(), client.probe()
        given_up.cancel()
        client.close()

        with pytest.raises(JournalAway, match="closed on our side"):
            await waiting
        assert lost == []
        assert not client.is_open
        client.close()


@on_loop
async def test_a_process_is_asked_once_and_its_other_frames_are_passed_over(tmp_path: Path) -> None:
    async def answer(channel: Channel) -> None:
        asked = await channel.receive()
        channel.send(control.WakeAt(1))
        channel.send(control.Answer(asked.id, True, {"op": asked.op, "args": asked.args}))
        await channel.receive()

    server = await serve(tmp_path, "link", answer, hello=Hello("link", "link"))

    found = await ask(tmp_path, "link", "status")
    assert found == control.Answer(1, True, {"op": "status", "args": {}})
    found = await ask(tmp_path, "link", "status", {"a": 1})
    assert found.data == {"op": "status", "args": {"a": 1}}
    await server.close()


@on_loop
async def test_one_that_closes_or_says_nothing_is_named_with_the_question(tmp_path: Path) -> None:
    async def leave(channel: Channel) -> None:
        await channel.receive()
        channel.close("too busy")

    async def stare(channel: Channel) -> None:
        await channel.closed()

    for name, handler, why in (
        ("link", leave, "link closed without answering 'status': too busy"),
        ("worker", stare, "worker did not answer 'status' within 0.05 s"),
    ):
        server = await serve(tmp_path, name, handler, hello=Hello(name, name))
        with pytest.raises(TimedOut) as found:
            await ask(tmp_path, name, "status", timeout_s=0.05 if handler is stare else 5)
        assert str(found.value) == why
        await server.close()


@on_loop
async def test_a_line_asks_one_question_after_the_other_over_one_connection(tmp_path: Path) -> None:
    met: list[Channel] = []

    async def answer(channel: Channel) -> None:
        met.append(channel)
        while (asked := await channel.receive()) is not None:
            channel.send(control.Answer(asked.id, True, {"op": asked.op}))

    server = await serve(tmp_path, "link", answer, hello=Hello("link", "link"))
    line = Line(tmp_path, "link")

    assert [(await line.ask(op)).data["op"] for op in ("a", "b")] == ["a", "b"]
    assert len(met) == 1
    line.close()
    assert (await line.ask("c")).data == {"op": "c"}
    assert len(met) == 2
    line.close()
    await server.close()


@on_loop
async def test_an_answer_to_an_earlier_question_is_passed_over(tmp_path: Path) -> None:
    async def answer(channel: Channel) -> None:
        while (asked := await channel.receive()) is not None:
            for number in (asked.id - 1, asked.id):
                channel.send(control.Answer(number, True, {"number": number}))

    server = await serve(tmp_path, "link", answer, hello=Hello("link", "link"))
    line = Line(tmp_path, "link")

    assert [(await line.ask("a")).data["number"] for _ in range(3)] == [1, 2, 3]
    line.close()
    await server.close()


@on_loop
async def test_a_line_that_broke_is_made_anew_by_the_next_question(tmp_path: Path) -> None:
    met: list[Channel] = []

    async def answer(channel: Channel) -> None:
        met.append(channel)
        asked = await channel.receive()
        if len(met) == 1:
            channel.close("too busy")
        else:
            channel.send(control.Answer(asked.id, True))
            await channel.receive()

    server = await serve(tmp_path, "link", answer, hello=Hello("link", "link"))
    line = Line(tmp_path, "link")
    with pytest.raises(TimedOut):
        await line.ask("a")

    assert (await line.ask("a")).ok
    line.close()
    await server.close()

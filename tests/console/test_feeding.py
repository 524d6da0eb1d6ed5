"""The live stream as it is sent: all of it first, then what changed, to whoever still reads."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from risk_daemon.clock import FakeClock
from risk_daemon.console import feeding
from risk_daemon.console.feeding import Feed
from risk_daemon.console.live import Place
from risk_daemon.console.seen import Seen
from tests.console.build import NOW, seen, view
from tests.console.test_live import alarm, locked


def read(message: bytes) -> tuple[str, str, dict[str, Any]]:
    """Return id, event and data of a message, the way a browser takes it."""
    fields = dict(line.split(": ", 1) for line in message.decode().strip().split("\n"))
    return fields["id"], fields["event"], json.loads(fields["data"])


def feed(memory: Seen) -> Feed:
    clock = FakeClock(1_795_622_400_000_000_000)
    clock.advance(NOW)
    return Feed(memory, clock, "boot")


async def following(one: Feed, there: Place | None = None) -> tuple[AsyncIterator[bytes], Any]:
    stream = one.follow(there)
    return stream, read(await anext(stream))


def test_a_new_tab_is_given_everything_and_then_what_changes() -> None:
    async def play() -> None:
        memory = seen(view(1), view(2))
        one = feed(memory)
        running = asyncio.create_task(one.run())
        stream, (place, kind, whole) = await following(one)
        assert (kind, place.startswith("boot.10.")) == ("whole", True)
        assert {"account/1", "account/2", "head", "processes"} <= set(whole["parts"])
        assert (whole["missed"], whole["events"]) == (None, [])

        memory.take_view(view(2, day_pnl="5"), NOW)
        memory.remember(locked(11))
        memory.take_alarms([alarm(12), alarm(12, "traders")])
        _, kind, change = read(await anext(stream))

        assert (kind, set(change["parts"])) == ("change", {"account/2"})
        assert [one["seq"] for one in change["events"]] == [11]
        assert [one["text"] for one in change["alarms"]] == ["blind 12"]

        memory.status = {**memory.status, "accounts": memory.status["accounts"][:1]}
        _, _, change = read(await anext(stream))
        assert change["gone"] == ["account/2"]
        assert "events" not in change
        running.cancel()

    asyncio.run(play())


def test_a_tab_that_comes_back_is_told_what_it_missed() -> None:
    async def play() -> None:
        memory = seen(view(1))
        memory.last_seq = 50
        _, (_, _, whole) = await following(feed(memory), Place("before", 20, 1))
        assert (whole["missed"]["restarted"], whole["missed"]["records"]) == (True, 30)

    asyncio.run(play())


def test_a_tab_that_does_not_read_is_let_go_and_one_that_left_is_forgotten() -> None:
    async def play() -> None:
        memory = seen(view(1))
        one = feed(memory)
        stream, _ = await following(one)
        running = asyncio.create_task(one.run())
        for number in range(feeding.BEHIND_MAX + 2):
            memory.take_view(view(1, day_pnl=str(number)), NOW + number + 1)
            one.tick()
        assert one.tabs == 0
        rest = [message async for message in stream]
        assert 0 < len(rest) < feeding.BEHIND_MAX

        stream, _ = await following(one)
        assert one.tabs == 1
        await stream.aclose()  # type: ignore[attr-defined]
        assert one.tabs == 0
        running.cancel()

    asyncio.run(play())

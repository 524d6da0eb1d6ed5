"""What every long-running program but the journal needs: the journal, settings, questions."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from risk_daemon.core.events import SettingsAdopted
from risk_daemon.errors import OperatorError
from risk_daemon.settings import Settings, decode_settings
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Ask, Op, answer
from risk_daemon.wire.record import decode
from risk_daemon.wire.transport import Channel, Hello, tasks

JOURNAL_WITHIN_S: Final = 10.0


def arguments(program: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with what every program takes."""
    parser = argparse.ArgumentParser(prog=f"risk-daemon {program}", description=description)
    parser.add_argument("--home", type=Path, required=True, help="the daemon's home directory")
    parser.add_argument("--release", default="", help="the release this program belongs to")
    return parser


async def journal_of(home: Path, hello: Hello, lost: asyncio.Event) -> JournalClient:
    """Connect to the journal; `lost` is set whenever the connection ends."""
    return await JournalClient.connect(
        home / "run", hello, JOURNAL_WITHIN_S, on_lost=lambda _: lost.set()
    )


async def settings_of(journal: JournalClient) -> Settings:
    """Return the settings adopted last; every process runs by these, not by the file."""
    found = await journal.tail(-1, kinds=("settings-adopted",), limit=1)
    if not found:
        raise OperatorError("no settings have been adopted in this home; run `start` first")
    fact = decode(found[-1]).fact
    assert isinstance(fact, SettingsAdopted)
    return decode_settings(fact.text)


def attend(ops: Mapping[str, Op]) -> Callable[[Channel], Awaitable[None]]:
    """Answer a channel's questions, each in a task of its own: a slow one delays no other."""
    ops = {"tasks": tasks, **ops}

    async def serve(channel: Channel) -> None:
        async with asyncio.TaskGroup() as group:
            while (frame := await channel.receive()) is not None:
                if isinstance(frame, Ask):
                    group.create_task(_answer(channel, frame, ops))

    return serve


async def _answer(channel: Channel, frame: Ask, ops: Mapping[str, Op]) -> None:
    channel.send(await answer(frame, ops))


async def until_stopped(stop: asyncio.Event, *tasks: asyncio.Task[object]) -> None:
    """Wait for the stop, or for the first task that ends; its exception is raised."""
    waiting = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in tasks:
        if task in done:
            task.result()

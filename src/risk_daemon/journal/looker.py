"""Reads the file for those who ask, in a thread of its own, a piece at a time.

Pieces of different askers interleave, and nobody is sent more than they take:
a long look never keeps another waiting for long, nor fills the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from risk_daemon.journal.reader import Reader
from risk_daemon.journal.subscriber import Packer, Subscription, split
from risk_daemon.wire import control
from risk_daemon.wire.control import Snapshot
from risk_daemon.wire.record import Record
from risk_daemon.wire.transport import Channel

PIECE: Final = 1_000
_CHECK_PIECE: Final = 2_000
_BUFFERED_ENOUGH: Final = 1 << 20
_FRAME_FULL: Final = 1 << 19
_END: Final = (1 << 63) - 1


class Looker:
    """The reading thread."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-looker")

    def close(self) -> None:
        """Give up what has not begun."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._reader.close()

    async def crc_at(self, seq: int) -> int | None:
        """Return a record's crc, None if it is not in the file."""
        return await self._look(self._reader.crc_at, seq)

    async def send_records(self, subscription: Subscription, upto: int) -> None:
        """Send a subscriber its next piece of the file, not beyond `upto`."""
        kinds = sorted(subscription.kinds)
        found = await self._look(self._reader.records, subscription.next_seq, upto, kinds, PIECE)
        if subscription.is_over:
            return
        for frame in Packer(found.records).frames(frozenset()):
            subscription.channel.send_packed(frame)
        subscription.next_seq = found.next_seq

    async def tail(self, channel: Channel, asked: control.Tail) -> None:
        """Send what a Tail asks for."""
        next_seq = asked.from_seq
        if asked.since_at:
            next_seq = await self._look(self._reader.seq_since, asked.since_at)
        elif next_seq < 0:
            next_seq = await self._look(self._reader.seq_back, min(-next_seq, _END), asked.kinds)
        left, is_all = asked.limit, False
        while left > 0 and not is_all and channel.is_open:
            want = min(PIECE, left)
            found = await self._look(self._reader.records, next_seq, _END, asked.kinds, want)
            for part in split(found.records):
                channel.send(control.Tailed(asked.id, part, False))
            await breathe(channel)
            next_seq, is_all = found.next_seq, found.is_all
            left -= len(found.records)
        channel.send(control.Tailed(asked.id, [], True))

    async def snapshots(self, channel: Channel, asked: control.GetSnapshots) -> None:
        """Send what a GetSnapshots asks for."""
        after = -1
        while channel.is_open:
            found = await self._look(
                self._reader.snapshots, asked.release, asked.schema, after, 100
            )
            if not found:
                break
            for part in _split(found):
                channel.send(control.Snapshots(asked.id, part, False))
            after = found[-1].account
            await breathe(channel)
        channel.send(control.Snapshots(asked.id, [], True))

    async def read(self, from_seq: int, kinds: Sequence[str], limit: int) -> list[Record]:
        """Return some records; a negative `from_seq` counts from the end."""
        if from_seq < 0:
            from_seq = await self._look(self._reader.seq_back, -from_seq, list(kinds))
        found = await self._look(self._reader.records, from_seq, _END, list(kinds), limit)
        return found.records

    async def verify(self) -> dict[str, Any]:
        """Follow the whole chain and let SQLite look at its own structure."""
        anchor = await self._look(self._reader.beginning, 1)
        seq, crc, checked, broken_at = anchor.seq + 1, anchor.crc, 0, 0
        while not broken_at:
            check = await self._look(self._reader.check, seq, _CHECK_PIECE, crc)
            checked, crc, broken_at = checked + check.checked, check.crc, check.broken_at
            seq = check.last_seq + 1
            if check.checked < _CHECK_PIECE:
                break
        structure = await self._look(self._reader.quick_check)
        return {
            "ok": not broken_at and structure == "ok",
            "records": checked,
            "last_seq": seq - 1,
            "broken_at": broken_at,
            "structure": structure,
        }

    async def _look[**P, T](self, look: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: look(*args, **kwargs))


async def breathe(channel: Channel) -> None:
    """Wait until a reader has taken most of what it was sent."""
    if channel.buffered > _BUFFERED_ENOUGH:
        await channel.drained()


def _split(snapshots: Sequence[Snapshot]) -> Iterator[list[Snapshot]]:
    part: list[Snapshot] = []
    size = 0
    for one in snapshots:
        if part and size + len(one.body) > _FRAME_FULL:
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.body)
    if part:
        yield part

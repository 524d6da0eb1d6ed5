"""The journal as everyone else sees it, and one-shot questions to any process.

Calls return futures at once and in order: what was called first arrives first,
whether or not anybody awaits the answers. When the journal is lost, every
future still open fails with JournalAway (what it asked for may be stored or
not), and `on_lost` is called once; connecting anew is the caller's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.errors import JournalAway, TimedOut
from risk_daemon.wire import control
from risk_daemon.wire.control import Grant, Snapshot
from risk_daemon.wire.record import NewRecord, Record
from risk_daemon.wire.transport import Channel, Hello, connect

JOURNAL: Final = "journal"
_SNAPSHOTS_FULL: Final = 1 << 19
_NOTHING: Final = (-1, control.UNPROVEN)

OnRecords = Callable[[list[Record]], None]
OnView = Callable[[control.View], None]
OnSeq = Callable[[int], None]
OnLost = Callable[[str], None]


class JournalClient:
    """One connection to the journal. All calls belong to the loop it was made in."""

    def __init__(self, run_dir: Path, hello: Hello, on_lost: OnLost | None = None) -> None:
        self.on_lost = on_lost
        #: Seq and crc of the last record that was delivered; what `reconnect` resumes from.
        self.seen: tuple[int, int] = _NOTHING
        self._run_dir = run_dir
        self._hello = hello
        self._channel: Channel | None = None
        self._next_id = 0
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._parts: dict[int, list[Any]] = {}
        self._subscribed: control.Subscribe | None = None
        self._on_records: OnRecords | None = None
        self._on_view: OnView | None = None
        self._on_truncated: OnSeq | None = None
        self._on_caught_up: OnSeq | None = None

    @classmethod
    async def connect(
        cls, run_dir: Path, hello: Hello, timeout_s: float, on_lost: OnLost | None = None
    ) -> JournalClient:
        """Connect, waiting for the journal to start. Raises NotReachable, Denied."""
        client = cls(run_dir, hello, on_lost)
        await client._connect(timeout_s)
        return client

    async def reconnect(self, timeout_s: float) -> None:
        """Connect again and renew the subscription behind the last record delivered.

        If that record is not in the journal's file, `on_truncated` is called.
        """
        self.close()
        await self._connect(timeout_s)
        asked = self._subscribed
        if asked is not None:
            seq, crc = self.seen
            if seq >= 0:
                asked = msgspec.structs.replace(asked, from_seq=seq + 1, crc=crc)
            self._send(asked)

    @property
    def is_open(self) -> bool:
        """Whether the journal is connected."""
        return self._channel is not None and self._channel.is_open

    @property
    def buffered(self) -> int:
        """Bytes sent that have not left; bound your own queue by it."""
        return self._channel.buffered if self._channel is not None else 0

    def close(self) -> None:
        """Part from the journal; open futures fail, `on_lost` is not called."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        self._fail_open("closed on our side")

    # --- writing ------------------------------------------------------------

    def append(
        self, records: Sequence[NewRecord], *, patient: bool = False
    ) -> asyncio.Future[control.Appended]:
        """Append, all or none. Answered when stored, promises when flushed.

        `patient`: nobody acts upon these records; they may leave a moment later, still in order.
        """
        return self._ask(lambda number: control.Append(number, list(records)), patient=patient)

    def intend(
        self, account: int, epoch: int, key: str, record: NewRecord
    ) -> asyncio.Future[control.Intended]:
        """Store an intent, once per key, if `epoch` is the account's present one."""
        return self._ask(lambda number: control.Intend(number, account, epoch, key, record))

    def grant(
        self, grants: Sequence[Grant], latch: str = "", records: Sequence[NewRecord] = ()
    ) -> asyncio.Future[control.LeasesGranted]:
        """Compare and set leases, all or none; with a latch only while it is the rollout's."""
        return self._ask(
            lambda number: control.GrantLeases(number, list(grants), latch, list(records))
        )

    def store_rollout(
        self,
        rollout: str,
        expected: int,
        latch: str,
        body: bytes,
        raised: Sequence[int] = (),
        records: Sequence[NewRecord] = (),
    ) -> asyncio.Future[control.RolloutRead]:
        """Set the rollout's row if `expected` is its revision; raise epochs, store records."""
        return self._ask(
            lambda number: control.StoreRollout(
                number, rollout, expected, latch, body, list(raised), list(records)
            )
        )

    def read_rollout(self) -> asyncio.Future[control.RolloutRead]:
        """The rollout's row, durable."""
        return self._ask(control.ReadRollout)

    def probe(self) -> asyncio.Future[control.Probed]:
        """Write a promise that means nothing, to see how long it takes."""
        return self._ask(control.Probe)

    async def put_snapshots(self, snapshots: Sequence[Snapshot]) -> control.SnapshotsKept:
        """Keep snapshots, in as many frames as they need; the first refusal ends it."""
        answer = control.SnapshotsKept(0)
        for part in _frames_of(snapshots):
            answer = await self._ask(partial(control.PutSnapshots, snapshots=part))
            if answer.refused:
                break
        return answer

    def publish_view(self, topic: str, account: int, payload: bytes) -> None:
        """Pass a view on to whoever looks; it is stored nowhere."""
        self._send(control.Publish(topic, account, payload))

    def wake_at(self, at: int) -> None:
        """Have a pulse emitted at `at`; the earliest wish of this connection counts."""
        self._send(control.WakeAt(at))

    # --- reading --------------------------------------------------------------

    def subscribe(
        self,
        from_seq: int,
        kinds: Sequence[str] = (),
        views: bool = False,
        *,
        on_records: OnRecords,
        on_view: OnView | None = None,
        on_truncated: OnSeq | None = None,
        on_caught_up: OnSeq | None = None,
        crc: int = control.UNPROVEN,
    ) -> None:
        """Have every record from `from_seq` on delivered, in order, without a gap.

        Once per connection (again after `on_truncated`, or after a new connection).
        `control.NOW` begins with what comes next. `crc` is that of the record before
        `from_seq` if the caller holds one (a snapshot's): it proves that the file
        still contains what the caller has seen. `on_truncated` says it does not:
        the caller must forget what it knows and begin again from a snapshot.
        """
        self._on_records, self._on_view = on_records, on_view
        self._on_truncated, self._on_caught_up = on_truncated, on_caught_up
        self._subscribed = control.Subscribe(from_seq, list(kinds), views, crc)
        self.seen = (max(from_seq - 1, 0), crc) if from_seq >= 0 else _NOTHING
        self._send(self._subscribed)

    def pause(self) -> None:
        """Have nothing delivered, answers neither, until `resume` or a new connection.

        For who catches up more slowly than it is sent to: a live subscriber that takes nothing is
        cut by the journal.
        """
        if self._channel is not None:
            self._channel.pause()

    def resume(self) -> None:
        """Have everything delivered again."""
        if self._channel is not None:
            self._channel.resume()

    def leases(self) -> asyncio.Future[control.LeasesHeld]:
        """Every lease, durable."""
        return self._ask(control.Leases)

    def get_snapshots(self, release: str, schema: int) -> asyncio.Future[list[Snapshot]]:
        """The newest snapshot per account, by account; `release` empty: of any."""
        return self._ask(lambda number: control.GetSnapshots(number, release, schema))

    def tail(
        self,
        from_seq: int = 0,
        *,
        since_at: int = 0,
        kinds: Sequence[str] = (),
        limit: int = 100,
    ) -> asyncio.Future[list[Record]]:
        """Records of the file; a negative `from_seq` counts from the end."""
        return self._ask(
            lambda number: control.Tail(number, from_seq, since_at, list(kinds), limit)
        )

    def ask(self, op: str, args: dict[str, Any] | None = None) -> asyncio.Future[control.Answer]:
        """Ask the journal's admin side."""
        return self._ask(lambda number: control.Ask(number, op, args or {}))

    # --- inside ---------------------------------------------------------------

    async def _connect(self, timeout_s: float) -> None:
        channel = await connect(self._run_dir, JOURNAL, self._hello, timeout_s)
        self._channel = channel

        def on_lost(reason: str) -> None:
            if self._channel is channel:
                self._lose(reason)

        channel.listen(self._take, on_lost)

    def _lose(self, reason: str) -> None:
        self._channel = None
        self._fail_open(reason)
        if self.on_lost is not None:
            self.on_lost(reason)

    def _fail_open(self, reason: str) -> None:
        waiting, self._open = self._open, {}
        self._parts.clear()
        for future in waiting.values():
            if not future.done():
                future.set_exception(JournalAway(reason))

    def _ask(
        self, make: Callable[[int], msgspec.Struct], *, patient: bool = False
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        if not self.is_open:
            future.set_exception(JournalAway("not connected"))
            return future
        self._next_id += 1
        self._send(make(self._next_id), patient=patient)
        self._open[self._next_id] = future
        return future

    def _send(self, frame: msgspec.Struct, *, patient: bool = False) -> None:
        if self._channel is not None:
            self._channel.send(frame, patient=patient)

    def _take(self, frames: list[Any]) -> None:
        for frame in frames:
            match frame:
                case control.Records(records):
                    self.seen = records[-1].seq, records[-1].crc
                    _tell(self._on_records, records)
                case control.View():
                    _tell(self._on_view, frame)
                case control.CaughtUp(last_seq):
                    if self.seen == _NOTHING:
                        self.seen = last_seq, control.UNPROVEN
                    _tell(self._on_caught_up, last_seq)
                case control.Truncated(last_seq):
                    _tell(self._on_truncated, last_seq)
                case control.Snapshots(number, part, last) | control.Tailed(number, part, last):
                    self._gather(number, part, last)
                case control.LeasesHeld(number, leases, _, last):
                    self._gather(number, leases, last, frame)
                case _:
                    self._settle(frame.id, frame)

    def _gather(
        self,
        number: int,
        part: Sequence[Any],
        last: bool,
        whole: control.LeasesHeld | None = None,
    ) -> None:
        parts = self._parts.setdefault(number, [])
        parts += part
        if last:
            del self._parts[number]
            answer = parts if whole is None else msgspec.structs.replace(whole, leases=parts)
            self._settle(number, answer)

    def _settle(self, number: int, answer: object) -> None:
        future = self._open.pop(number, None)
        if future is not None and not future.done():
            future.set_result(answer)


class Line:
    """A connection for one question after the other; made when it is needed, and where it broke."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self._run_dir, self._name = run_dir, name
        self._channel: Channel | None = None
        self._number = 0

    async def ask(
        self, op: str, args: dict[str, Any] | None = None, timeout_s: float = 5.0
    ) -> control.Answer:
        """Ask. Raises NotReachable, Denied, or TimedOut if no answer came: it is made anew then."""
        if self._channel is None:
            hello = Hello("admin", "command")
            self._channel = await connect(
                self._run_dir, self._name, hello, timeout_s, patient=False
            )
        channel, self._number = self._channel, self._number + 1
        why = f"did not answer {op!r} within {timeout_s:g} s"
        try:
            async with asyncio.timeout(timeout_s):
                channel.send(control.Ask(self._number, op, args or {}))
                while (frame := await channel.receive()) is not None:
                    if isinstance(frame, control.Answer) and frame.id == self._number:
                        return frame
                why = f"closed without answering {op!r}: {channel.reason}"
        except TimeoutError:
            pass
        self.close()
        raise TimedOut(f"{self._name} {why}")

    def close(self) -> None:
        """Part; the next question connects again."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


async def ask(
    run_dir: Path, name: str, op: str, args: dict[str, Any] | None = None, timeout_s: float = 5.0
) -> control.Answer:
    """Ask any process once. Raises NotReachable, Denied, or TimedOut if no answer came."""
    line = Line(run_dir, name)
    try:
        return await line.ask(op, args, timeout_s)
    finally:
        line.close()


def _tell[T](callback: Callable[[T], None] | None, what: T) -> None:
    if callback is not None:
        callback(what)


def _seen(future: asyncio.Future[Any]) -> None:
    """Whoever ignores an answer need not hear that none came."""
    if not future.cancelled():
        future.exception()


def _frames_of(snapshots: Sequence[Snapshot]) -> Iterator[list[Snapshot]]:
    part: list[Snapshot] = []
    size = 0
    for one in snapshots:
        if part and size + len(one.body) > _SNAPSHOTS_FULL:
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.body)
    if part:
        yield part

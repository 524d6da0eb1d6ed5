"""Carries every alarm of the journal to one sink, in order, each exactly once.

One carrier of a sink at a time: it holds a lock, so that a second console that
somebody starts by hand shows alarms without delivering them again. The sink
works in a thread: no answer of the console waits for a disk or for a channel,
and no sink for another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.console.seen import Seen
from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import DaemonError, Malformed, Refused
from risk_daemon.journal.exclusive import Hold
from risk_daemon.operations.alerts import outbox
from risk_daemon.operations.alerts.alarm_log import AlarmLog
from risk_daemon.operations.alerts.outbox import Alarm, Outbox, Place
from risk_daemon.operations.alerts.sending import in_words
from risk_daemon.operations.home import Home
from risk_daemon.wire import control
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, decode
from risk_daemon.wire.transport import Hello

KINDS: Final = ("alarm-raised",)
CONNECT_WITHIN_S: Final = 5.0
AGAIN_AFTER_S: Final = 0.5
HOLD_AGAIN_AFTER_S: Final = 5.0
OPEN_AGAIN_AFTER_S: Final = 2.0

_log = logging.getLogger("alarms")


class Sink(Protocol):
    """Where alarms go. `deliver` raises OSError if not all of them are there."""

    @property
    def place(self) -> Place:
        """The last alarm that it has."""

    def places(self) -> Iterator[Place]:
        """Places of the latest alarms, the newest first."""

    def rewind(self, to: Place) -> None:
        """Set the place, durably."""

    def deliver(self, alarms: Sequence[Alarm], now: int) -> None:
        """Take a batch at an instant in ns UTC, durably."""


class Carrier:
    """The shell of one sink's machine. `make` opens it; `name` is that of its lock."""

    def __init__(
        self, home: Home, seen: Seen, clock: Timekeeper, make: Callable[[], Sink], name: str
    ) -> None:
        self._home = home
        self._seen = seen
        self._clock = clock
        self._make, self._name = make, name
        self._one_at_a_time = asyncio.Lock()
        self._unkept_ones: set[asyncio.Task[None]] = set()
        self._inputs: asyncio.Queue[outbox.Input] = asyncio.Queue()
        self._journal: JournalClient | None = None

    async def run(self) -> None:
        """Carry for as long as it runs; what is away is waited for."""
        hold = await self._hold()
        try:
            sink = await self._open()
            if isinstance(sink, AlarmLog):  # what people are shown
                self._seen.alarms.extend(sink.latest)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(sink))
                group.create_task(self._carry(sink))
        finally:
            hold.release()

    async def _hold(self) -> Hold:
        """Become the one carrier of the home, however long another one lives."""
        while True:
            try:
                return Hold(self._home.state / f"{self._name}.lock")
            except (Refused, OSError):
                await asyncio.sleep(HOLD_AGAIN_AFTER_S)

    async def _open(self) -> Sink:
        """Open the sink; one that can't be opened must not take the console with it."""
        while True:
            try:
                return await asyncio.to_thread(self._make)
            except OSError as error:
                _log.warning("alarms can't be written", extra={"why": str(error)})
                await asyncio.sleep(OPEN_AGAIN_AFTER_S)

    # --- the journal ---

    async def _follow(self, sink: Sink) -> None:
        while True:
            # Away: whoever looks sees the ages, and alarms wait in the journal.
            with contextlib.suppress(DaemonError, OSError):
                await self._follow_once(sink)
            self._journal = None
            self._inputs.put_nowait(outbox.Lost())
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _follow_once(self, sink: Sink) -> None:
        lost = asyncio.Event()
        hello = Hello("console", "alarms", self._seen.release)
        journal = await JournalClient.connect(
            self._home.run, hello, CONNECT_WITHIN_S, lambda _: lost.set()
        )
        try:
            # Before the place is compared: what is raised meanwhile is news, never missed.
            journal.subscribe(
                control.NOW,
                KINDS,
                views=True,
                on_records=self._news,
                on_view=lambda frame: self._unkept(sink, frame),
            )
            # A batch may be delivered meanwhile, so the place is taken once.
            places = list(sink.places())
            met = await _meet(journal, places)
            self._journal = journal
            self._inputs.put_nowait(outbox.Connected() if met == places[0] else _rewound(met))
            await lost.wait()
        finally:
            journal.close()

    def _news(self, records: list[Record]) -> None:
        self._inputs.put_nowait(outbox.News(records[-1].seq))

    def _unkept(self, sink: Sink, frame: control.View) -> None:
        """The journal could not keep this one: it is told at once, once, and has no place."""
        if frame.topic != "alarm":
            return
        fact = msgspec.msgpack.decode(frame.payload, type=AlarmRaised)
        alarm = _alarm_of(Place(), self._clock.now_ns(), fact)
        if isinstance(sink, AlarmLog):
            _log.critical(fact.what, extra={"account": fact.account, "text": fact.text})
            self._seen.take_alarms([alarm])
            return
        task = asyncio.create_task(self._try(sink, alarm))
        self._unkept_ones.add(task)
        task.add_done_callback(self._unkept_ones.discard)

    async def _try(self, sink: Sink, alarm: Alarm) -> None:
        with contextlib.suppress(OSError):  # the log has it, and says so
            await self._given(sink, (alarm,))

    # --- the machine ---

    async def _carry(self, sink: Sink) -> None:
        state = Outbox(place=sink.place)
        while True:
            event = await self._inputs.get()
            if isinstance(event, outbox.Rewound):
                await asyncio.to_thread(sink.rewind, event.place)
            for request in outbox.step(state, event):
                match request:
                    case outbox.Read():
                        await self._read(request)
                    case outbox.Deliver(alarms):
                        await self._deliver(sink, alarms)
                    case outbox.Wake(at):
                        delay = max(at - self._clock.steady_ns(), 0) / SECOND_NS
                        asyncio.get_running_loop().call_later(delay, self._woken)

    async def _read(self, asked: outbox.Read) -> None:
        if self._journal is None:
            return  # Lost is on its way, and Connected reads again
        try:
            records = await self._journal.tail(asked.after + 1, kinds=KINDS, limit=outbox.BATCH_MAX)
        except DaemonError:
            return
        self._inputs.put_nowait(outbox.Found(tuple(map(_alarm, records)), asked.number))

    async def _deliver(self, sink: Sink, alarms: tuple[Alarm, ...]) -> None:
        try:
            await self._given(sink, alarms)
        except OSError as error:
            said = {"sink": self._name, "why": in_words(error)}
            _log.warning("alarms are not delivered", extra=said)
            self._inputs.put_nowait(outbox.Failed(self._clock.steady_ns()))
            return
        if isinstance(sink, AlarmLog):
            self._seen.take_alarms(alarms)
        self._inputs.put_nowait(outbox.Delivered())

    async def _given(self, sink: Sink, alarms: tuple[Alarm, ...]) -> None:
        async with self._one_at_a_time:
            await asyncio.to_thread(sink.deliver, alarms, self._clock.now_ns())

    def _woken(self) -> None:
        self._inputs.put_nowait(outbox.Woken(self._clock.steady_ns()))


async def _meet(journal: JournalClient, places: Sequence[Place]) -> Place:
    """Find the latest delivered alarm that the journal still has; the beginning if none."""
    for place in places:
        if place.seq == 0:
            break
        found = await journal.tail(place.seq, limit=1)
        if found and (found[0].seq, found[0].crc) == (place.seq, place.crc):
            return place
    return Place()


def _rewound(place: Place) -> outbox.Rewound:
    _log.warning("the journal is another one", extra={"from_seq": place.seq + 1})
    return outbox.Rewound(place)


def _alarm(record: Record) -> Alarm:
    try:
        fact = decode(record).fact
    except Malformed as error:
        # It was meant to tell somebody something: that is told, and the others go on.
        fact = AlarmRaised(account=record.account, level="urgent", what="alarm", text=str(error))
    assert isinstance(fact, AlarmRaised)
    return _alarm_of(Place(record.seq, record.crc), record.at, fact)


def _alarm_of(place: Place, at: int, fact: AlarmRaised) -> Alarm:
    return Alarm(
        place=place,
        at=at,
        account=fact.account,
        level=fact.level,
        what=fact.what,
        text=fact.text,
        source=fact.source,
        audience=fact.audience,
    )

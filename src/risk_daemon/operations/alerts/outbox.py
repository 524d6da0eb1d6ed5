"""How alarms reach one sink, each exactly once: a pure machine over a place in the journal.

Rules for editors. The journal keeps the alarms, so the machine keeps none: it
knows up to where its sink has them, asks for the next ones, and hands them over
in order, a batch at a time. It never asks for a second batch before the sink
has answered for the first, and its place moves only by that answer. Each sink
has a machine of its own: a dead one delays no other, and loses nothing.

    idle ──news──▶ reading ──found──▶ delivering ──delivered──▶ reading ──nothing──▶ idle
                                          └──failed──▶ waiting ──woken──▶ reading
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000
#: How many alarms a sink is given at once.
BATCH_MAX: Final = 100
RETRY_MAX_S: Final = 60


class Place(msgspec.Struct, frozen=True):
    """The last alarm a sink has, by its record: the crc tells a journal that is another one."""

    seq: int = 0
    crc: int = 0


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm as people get it. `place.seq` is its id; 0 for one the journal could not keep."""

    place: Place
    at: int
    account: int
    level: str
    what: str
    text: str
    source: str
    audience: str = ""


class Phase(StrEnum):
    """What the machine waits for."""

    AWAY = "away"
    IDLE = "idle"
    READING = "reading"
    DELIVERING = "delivering"
    WAITING = "waiting"


# --- what may happen ---


class Connected(msgspec.Struct, frozen=True):
    """The journal is there, and still has the record at the sink's place."""


class Rewound(msgspec.Struct, frozen=True):
    """The journal is there, but ends or differs before the sink's place: begin again from here."""

    place: Place


class Lost(msgspec.Struct, frozen=True):
    """The journal went away."""


class News(msgspec.Struct, frozen=True):
    """The journal has an alarm at this seq."""

    seq: int


class Found(msgspec.Struct, frozen=True):
    """What the read of this number found, oldest first; empty: the sink has all there is."""

    alarms: tuple[Alarm, ...]
    number: int


class Delivered(msgspec.Struct, frozen=True):
    """The sink has the batch, durably."""


class Failed(msgspec.Struct, frozen=True):
    """The sink has nothing of the batch. `now` is steady, in ns."""

    now: int


class Woken(msgspec.Struct, frozen=True):
    """It is `now` (steady, ns)."""

    now: int


type Input = Connected | Rewound | Lost | News | Found | Delivered | Failed | Woken


# --- what is to be done ---


class Read(msgspec.Struct, frozen=True):
    """Read at most `BATCH_MAX` alarms behind a seq; the answer carries the number."""

    after: int
    number: int


class Deliver(msgspec.Struct, frozen=True):
    """Hand these over, and answer Delivered or Failed."""

    alarms: tuple[Alarm, ...]


class Wake(msgspec.Struct, frozen=True):
    """Say Woken at this steady time (ns)."""

    at: int


type Request = Read | Deliver | Wake


class Outbox(msgspec.Struct):
    """State for one sink: what it has, and what is known to be there."""

    place: Place
    phase: Phase = Phase.AWAY
    known: int = 0
    reads: int = 0
    #: There was news since the read that is out: what it finds may be older.
    is_stale: bool = False
    batch: tuple[Alarm, ...] = ()
    failures: int = 0
    retry_at: int = 0
    #: While a batch is with the sink the journal may go: that changes nothing of the batch.
    is_away: bool = True


def step(outbox: Outbox, event: Input) -> list[Request]:
    """Take one input; returns what is to be done."""
    match event:
        case Connected():
            outbox.is_away = False
            return _read(outbox) if outbox.phase in (Phase.AWAY, Phase.READING) else []
        case Rewound(place):
            outbox.is_away, outbox.known = False, 0
            if outbox.phase is Phase.DELIVERING:
                # It can't be taken back; the answer must not move the place to where it was.
                outbox.batch = ()
            outbox.place = place
            return [] if outbox.phase is Phase.DELIVERING else _read(outbox)
        case Lost():
            outbox.is_away = True
            if outbox.phase in (Phase.IDLE, Phase.READING):
                outbox.phase = Phase.AWAY
            return []
        case News(seq):
            outbox.known = max(outbox.known, seq)
            outbox.is_stale = True
            is_new = outbox.phase is Phase.IDLE and outbox.known > outbox.place.seq
            return _read(outbox) if is_new else []
        case Found(alarms, number):
            # An answer to a question of before a loss, or of another journal, is none.
            is_asked = outbox.phase is Phase.READING and number == outbox.reads
            return _found(outbox, alarms) if is_asked else []
        case Delivered():
            outbox.place = outbox.batch[-1].place if outbox.batch else outbox.place
            outbox.batch, outbox.failures = (), 0
            return _read(outbox)
        case Failed(now):
            outbox.batch, outbox.phase = (), Phase.WAITING
            outbox.failures += 1
            outbox.retry_at = now + min(2 ** min(outbox.failures - 1, 6), RETRY_MAX_S) * SECOND_NS
            return [Wake(outbox.retry_at)]
        case _:
            is_due = outbox.phase is Phase.WAITING and event.now >= outbox.retry_at
            return _read(outbox) if is_due else []


def _read(outbox: Outbox) -> list[Request]:
    if outbox.is_away:
        outbox.phase = Phase.AWAY
        return []
    outbox.phase, outbox.is_stale = Phase.READING, False
    outbox.reads += 1
    return [Read(outbox.place.seq, outbox.reads)]


def _found(outbox: Outbox, alarms: tuple[Alarm, ...]) -> list[Request]:
    """Hand over what is new."""
    fresh = tuple(one for one in alarms if one.place.seq > outbox.place.seq)
    if not fresh and outbox.is_stale:
        return _read(outbox)
    if not fresh:
        outbox.phase = Phase.IDLE
        return []
    outbox.batch, outbox.phase = fresh, Phase.DELIVERING
    return [Deliver(fresh)]

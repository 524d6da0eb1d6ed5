"""One record of the stream: what the journal stores and everyone reads.

The payload is opaque to the journal (a msgpack map of one struct of
`core.events`), so a newer release can write kinds that an older one cannot
name: the older reads the stream all the same.

The chain: `crc` of a record covers its own fields and the crc before it, so
a row altered, dropped or swapped is noticed at the next one.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

from risk_daemon.core import events
from risk_daemon.core.events import Entry, Fact
from risk_daemon.errors import Malformed
from risk_daemon.schemas import RECORDS

FORMAT_VERSION: Final = RECORDS[1]
FACT: Final = "fact"
PROMISE: Final = "promise"


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record with its place in the total order. `account` 0 means no single account."""

    seq: int
    at: int
    version: int
    kind: str
    account: int
    payload: bytes
    crc: int


class NewRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record on its way in: the journal adds seq, at and crc.

    `once` is empty, or a name under which the record is stored at most once
    (the key of an intent, the id of a lock, of an operator's act).
    """

    kind: str
    account: int
    payload: bytes
    durability: str = FACT
    version: int = FORMAT_VERSION
    once: str = ""


KINDS: Final[dict[str, type[Fact]]] = {
    "contract-seen": events.ContractSeen,
    "account-seen": events.AccountSeen,
    "order-changed": events.OrderChanged,
    "position-changed": events.PositionChanged,
    "trade-seen": events.TradeSeen,
    "mark-changed": events.MarkChanged,
    "print-seen": events.PrintSeen,
    "quote-aged": events.QuoteAged,
    "account-missing": events.AccountMissing,
    "reconciled": events.Reconciled,
    "feed-changed": events.FeedChanged,
    "record-quarantined": events.RecordQuarantined,
    "policy-adopted": events.PolicyAdopted,
    "settings-adopted": events.SettingsAdopted,
    "lease-granted": events.LeaseGranted,
    "lease-taken": events.LeaseTaken,
    "drain-asked": events.DrainAsked,
    "rollout-stored": events.RolloutStored,
    "rollout-noted": events.RolloutNoted,
    "sample-taken": events.SampleTaken,
    "timed": events.Timed,
    "operator-acted": events.OperatorActed,
    "console-used": events.ConsoleUsed,
    "requests-refused": events.RequestsRefused,
    "lock-placed": events.LockPlaced,
    "lock-ended": events.LockEnded,
    "high-water-kept": events.HighWaterKept,
    "breach-found": events.BreachFound,
    "alarm-raised": events.AlarmRaised,
    "hash-taken": events.HashTaken,
    "decision-compared": events.DecisionCompared,
    "shadow-reseeded": events.ShadowReseeded,
    "protection-disabled": events.ProtectionDisabled,
    "protection-enabled": events.ProtectionEnabled,
    "intended": events.Intended,
    "goal-refused": events.GoalRefused,
    "request-sent": events.RequestSent,
    "request-answered": events.RequestAnswered,
    "request-settled": events.RequestSettled,
    "pulse": events.Pulse,
    "probed": events.Probed,
}
NAMES: Final[dict[type[Fact], str]] = {fact: kind for kind, fact in KINDS.items()}

#: Kinds that must survive a power cut before anything acts on them.
PROMISES: Final = frozenset(
    {
        "policy-adopted",
        "settings-adopted",
        "lease-granted",
        "rollout-stored",
        "rollout-noted",
        "operator-acted",
        "console-used",
        "requests-refused",
        "lock-placed",
        "lock-ended",
        "high-water-kept",
        "protection-disabled",
        "protection-enabled",
        "intended",
        "probed",
    }
)

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoders = {kind: msgspec.msgpack.Decoder(fact) for kind, fact in KINDS.items()}
_fields = struct.Struct(">QqHq")


def encode(fact: Fact) -> bytes:
    """Write a fact's payload; equal facts give equal bytes."""
    return _encoder.encode(fact)


def new_record(fact: Fact, once: str = "") -> NewRecord:
    """Wrap a fact for appending, with the durability its kind asks for."""
    kind = NAMES[type(fact)]
    return NewRecord(
        kind=kind,
        account=getattr(fact, "account", 0),
        payload=encode(fact),
        durability=PROMISE if kind in PROMISES else FACT,
        once=once,
    )


def decode(record: Record) -> Entry:
    """Read a record as the deciders see it; an unknown kind is kept as `Unknown`.

    Raises Malformed for a known kind whose payload is not of its shape.
    """
    decoder = _decoders.get(record.kind)
    if decoder is None:
        return Entry(record.seq, record.at, record.account, events.Unknown(kind=record.kind))
    try:
        fact: Fact = decoder.decode(record.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"record {record.seq} is no {record.kind}: {error}") from error
    return Entry(record.seq, record.at, record.account, fact)


def chain(before: int, seq: int, at: int, new: NewRecord) -> int:
    """Return the crc of a record that follows one whose crc is `before`."""
    head = _fields.pack(seq, at, new.version, new.account)
    crc = zlib.crc32(head, before)
    crc = zlib.crc32(new.kind.encode(), crc)
    return zlib.crc32(new.payload, crc)


def holds(before: int, record: Record) -> bool:
    """Tell whether a record follows one whose crc is `before`.

    A damaged row may hold anything, also what is no number where one belongs.
    """
    new = NewRecord(record.kind, record.account, record.payload, version=record.version)
    try:
        return chain(before, record.seq, record.at, new) == record.crc
    except (struct.error, TypeError, AttributeError):
        return False

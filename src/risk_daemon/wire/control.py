"""The frames processes speak: the journal's protocol, and the admin protocol of every process.

Each frame is a tagged array (docs/formats/control.md). A field may be added at
the end with a default, never renamed, moved or removed; a reader ignores
trailing fields it does not know and refuses a tag it does not know.
`id` is chosen by who asks and comes back in the answer. Times are UTC
nanoseconds, `seq` counts from 1, an empty `refused` means that it was done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from risk_daemon.errors import OperatorError
from risk_daemon.wire.record import NewRecord, Record

#: `Subscribe.from_seq`: only what comes from now on.
NOW: Final = -1
#: `Subscribe.crc`: the subscriber has seen nothing it could prove.
UNPROVEN: Final = -1

#: What the state file can hold; a larger number is refused where it is read.
type Int = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
type Name = Annotated[str, msgspec.Meta(max_length=100)]
type Kinds = Annotated[list[str], msgspec.Meta(max_length=64)]


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The base of everything that is sent."""


class Lease(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who may enforce an account. `holder` empty: nobody. Epochs only grow."""

    account: Int
    holder: str
    release: str
    epoch: Int
    incarnation: Int
    granted_seq: Int


class Grant(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One compare-and-set: `expected_epoch` 0 means that there is no lease yet."""

    account: Int
    expected_epoch: Int
    holder: Name
    release: Name


class Snapshot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The folded state of one account after `seq`, as its release encodes it."""

    account: Int
    release: str
    schema: Int
    seq: Int
    digest: str
    body: bytes


# --- appending --------------------------------------------------------------


class Append(Frame, frozen=True, tag="append"):
    """Store these records, all or none, in this order."""

    id: Int
    records: list[NewRecord]


class Appended(Frame, frozen=True, tag="appended"):
    """Done (promises: durable) or refused. `last_seq` is the highest seq of these records.

    `duplicates` counts records that were stored before under their `once`.
    `accounts` names those whose facts were refused for want of a policy.
    """

    id: Int
    last_seq: Int
    refused: str = ""
    duplicates: Int = 0
    accounts: list[Int] = []


class Intend(Frame, frozen=True, tag="intend"):
    """Store an intent, if `epoch` is the account's and `key` is new."""

    id: Int
    account: Int
    epoch: Int
    key: str
    record: NewRecord


class Intended(Frame, frozen=True, tag="intended"):
    """The intent is durable at `seq`; `duplicate`: it was before, as that seq.

    `epoch` is the account's epoch when it was judged, so that a late refusal
    of an older epoch can be told from one that counts.
    """

    id: Int
    seq: Int
    duplicate: bool = False
    refused: str = ""
    epoch: Int = 0


# --- leases -----------------------------------------------------------------


class GrantLeases(Frame, frozen=True, tag="grant-leases"):
    """Compare and set, all or none; with a `latch` only while it is the rollout's.

    `records` are stored with the leases, or none of it is.
    """

    id: Int
    grants: list[Grant]
    latch: str = ""
    records: list[NewRecord] = []


class LeasesGranted(Frame, frozen=True, tag="leases-granted"):
    """The new leases, durable; or refused, and nothing has changed. `is_shut`: for the latch."""

    id: Int
    leases: list[Lease]
    refused: str = ""
    is_shut: bool = False


class Leases(Frame, frozen=True, tag="leases"):
    """Ask for every lease."""

    id: Int


class LeasesHeld(Frame, frozen=True, tag="leases-held"):
    """Every lease, durable, by account; more follow unless `last`."""

    id: Int
    leases: list[Lease]
    incarnation: Int
    last: bool = True


# --- the rollout ------------------------------------------------------------


class StoreRollout(Frame, frozen=True, tag="store-rollout"):
    """Set the rollout's row, if `expected` is its revision; raise these accounts' epochs with it.

    Who holds a raised account goes on holding it. `records` say what it is about. All in one
    transaction, a promise.
    """

    id: Int
    rollout: str
    expected: Int
    latch: str
    body: bytes
    raised: list[Int] = []
    records: list[NewRecord] = []


class ReadRollout(Frame, frozen=True, tag="read-rollout"):
    """Ask for the rollout's row."""

    id: Int


class RolloutRead(Frame, frozen=True, tag="rollout-read"):
    """The row, durable, as it is now; revision 0 if there never was a rollout.

    `refused`: what was asked to be stored was not, and nothing has changed.
    """

    id: Int
    rollout: str = ""
    revision: Int = 0
    latch: str = ""
    body: bytes = b""
    refused: str = ""


# --- the stream -------------------------------------------------------------


class Subscribe(Frame, frozen=True, tag="subscribe"):
    """Send every record from `from_seq` on, in order, without a gap; then go on live.

    `kinds` empty means all. `crc` is that of record `from_seq` - 1 as the
    subscriber knows it: if the file's differs, the subscriber saw records that
    a crash has undone, and is told so. One subscription per connection.
    """

    from_seq: Int
    kinds: Kinds = []
    views: bool = False
    crc: Int = UNPROVEN


class Records(Frame, frozen=True, tag="records"):
    """Records in order of seq."""

    records: list[Record]


class CaughtUp(Frame, frozen=True, tag="caught-up"):
    """Everything up to `last_seq` has been sent; what follows is live."""

    last_seq: Int
    at: Int


class Truncated(Frame, frozen=True, tag="truncated"):
    """The subscriber knows records that the file does not: it must discard itself."""

    last_seq: Int


class Publish(Frame, frozen=True, tag="publish"):
    """Pass a view on, unstored. The last per topic and account is kept for who comes later."""

    topic: str
    account: Int
    payload: bytes


class View(Frame, frozen=True, tag="view"):
    """A published view; its payload is as its publisher wrote it."""

    topic: str
    account: Int
    payload: bytes


class WakeAt(Frame, frozen=True, tag="wake-at"):
    """Emit a pulse at `at`; the earliest asked for over this connection counts."""

    at: Int


# --- snapshots --------------------------------------------------------------


class PutSnapshots(Frame, frozen=True, tag="put-snapshots"):
    """Keep these; the newest two per account and release stay."""

    id: Int
    snapshots: list[Snapshot]


class SnapshotsKept(Frame, frozen=True, tag="snapshots-kept"):
    """They are stored, or refused."""

    id: Int
    refused: str = ""


class GetSnapshots(Frame, frozen=True, tag="get-snapshots"):
    """Ask for the newest snapshot per account; `release` empty means of any."""

    id: Int
    release: str
    schema: Int


class Snapshots(Frame, frozen=True, tag="snapshots"):
    """Some of them, by account; more follow unless `last`."""

    id: Int
    snapshots: list[Snapshot]
    last: bool


# --- looking ----------------------------------------------------------------


class Tail(Frame, frozen=True, tag="tail"):
    """Read the file: from `from_seq`, or from `since_at` if that is not 0.

    A negative `from_seq` counts from the end. At most `limit` records.
    """

    id: Int
    from_seq: Int = 0
    since_at: Int = 0
    kinds: Kinds = []
    limit: Int = 100


class Tailed(Frame, frozen=True, tag="tailed"):
    """Some of them, in order; more follow unless `last`."""

    id: Int
    records: list[Record]
    last: bool


class Probe(Frame, frozen=True, tag="probe"):
    """Write a promise and say how long it took."""

    id: Int


class Probed(Frame, frozen=True, tag="probed"):
    """The promise is durable; from its arrival until its commit it took `took_ns`."""

    id: Int
    seq: Int
    took_ns: Int
    refused: str = ""


# --- admin, the same for every process --------------------------------------


class Ask(Frame, frozen=True, tag="ask"):
    """Do `op`. Arguments and answers are what JSON could carry."""

    id: Int
    op: str
    args: dict[str, Any] = {}


class Answer(Frame, frozen=True, tag="answer"):
    """What came of it; `exit` is the exit code a command should end with."""

    id: Int
    ok: bool
    data: dict[str, Any] = {}
    error: str = ""
    exit: Int = 0


type AnyFrame = (
    Append
    | Appended
    | Intend
    | Intended
    | GrantLeases
    | LeasesGranted
    | Leases
    | LeasesHeld
    | StoreRollout
    | ReadRollout
    | RolloutRead
    | Subscribe
    | Records
    | CaughtUp
    | Truncated
    | Publish
    | View
    | WakeAt
    | PutSnapshots
    | SnapshotsKept
    | GetSnapshots
    | Snapshots
    | Tail
    | Tailed
    | Probe
    | Probed
    | Ask
    | Answer
)

Op = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def answer(ask: Ask, ops: Mapping[str, Op]) -> Answer:
    """Do what was asked and turn what a person can mend into an answer."""
    op = ops.get(ask.op)
    if op is None:
        known = ", ".join(sorted(ops))
        return Answer(ask.id, False, error=f"unknown operation {ask.op[:50]!r}: {known}", exit=2)
    try:
        return Answer(ask.id, True, await op(ask.args))
    except OperatorError as error:
        return Answer(ask.id, False, error=error.sentence, exit=error.exit_code)

"""Judges what may be stored, and puts it into the batch that is being filled.

The loop's thread is the only one in here, and the order of calls is the order
of the file: an epoch, a policy or a name that an earlier call set is in force
for the next one, and both are stored in that order or not at all. The file
checks the fence again in the transaction itself.

Every answer comes with the number of the batch that must be stored before it
may be given; 0 says at once. What is answered, and what is seen, is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from risk_daemon.clock import Timekeeper
from risk_daemon.core import events
from risk_daemon.journal import lease
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import Head
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.wire import control
from risk_daemon.wire.record import (
    FACT,
    PROMISE,
    PROMISES,
    NewRecord,
    Record,
    new_record,
)

#: Facts that make no sense before the account's limits are known.
NEEDS_POLICY: Final = frozenset(
    {"account-seen", "order-changed", "position-changed", "trade-seen", "reconciled"}
)
#: Kinds with a door of their own, and the frame that opens it.
OWN_DOOR: Final = {
    "intended": "Intend",
    "lease-granted": "GrantLeases",
    "rollout-stored": "StoreRollout",
    "pulse": "WakeAt",
    "probed": "Probe",
}
#: What can wait until somebody has made room: a full disk is no time for changes.
WAITS_FOR_ROOM: Final = frozenset({"policy-adopted", "settings-adopted", "drain-asked"})
NO_ROOM: Final = (
    "the disk is full, and policies, settings and moves between releases wait; locks, leases and"
    " intents go on; make room, and it is taken up within seconds"
)
_LARGEST: Final = (1 << 63) - 1
_VERSION_MAX: Final = (1 << 16) - 1
_NAME_MAX: Final = 200
#: Records that may wait for a file that does not keep up, before appends are refused.
UNSTORED_MAX: Final = 100_000
#: So that a frame of records holds at least one of any size.
PAYLOAD_MAX: Final = 1 << 19
#: The rest of the record are two names and a number.
BODY_MAX: Final = PAYLOAD_MAX - 1024


class Intake:
    """What the journal knows while it runs, and the batch being filled."""

    def __init__(
        self, head: Head, clock: Timekeeper, stored_once: Callable[[str], int | None]
    ) -> None:
        self.leases = dict(head.leases)
        self._rollout = head.rollout
        self._rollout_batch = 0
        self.incarnation = head.incarnation
        self.stored_batch = 0
        #: Intents that came under an epoch that was over: refused, and counted.
        self.stale = 0
        #: The reserve was given up: only what protects is stored.
        self.is_tight = False
        self._stored_seq = head.seq
        self._policies = set(head.policies)
        self._sequencer = Sequencer(head.seq, head.at, head.crc)
        self._clock = clock
        self._stored_once = stored_once
        self._waiting_once: dict[str, tuple[int, int]] = {}
        self._lease_batch = 0
        self._batch = Batch(1)

    @property
    def last_seq(self) -> int:
        """The newest record's seq, seen or not."""
        return self._sequencer.seq

    @property
    def last_at(self) -> int:
        """The newest record's time."""
        return self._sequencer.at

    @property
    def stored_seq(self) -> int:
        """The newest record that is stored, and so may be seen."""
        return self._stored_seq

    @property
    def is_empty(self) -> bool:
        """Whether the batch being filled has nothing in it."""
        return self._batch.is_empty

    def take_batch(self) -> Batch:
        """Give the batch away to be stored and begin the next."""
        batch, self._batch = self._batch, Batch(self._batch.number + 1)
        return batch

    def stored(self, batch: Batch) -> list[Record]:
        """This batch is in the file, as durable as it asked to be; return what may be seen."""
        self.stored_batch = batch.number
        for name, _ in batch.once:
            del self._waiting_once[name]
        if batch.records:
            self._stored_seq = batch.records[-1].seq
        return self._sequencer.stored(self._stored_seq)

    # --- doors ------------------------------------------------------------

    def append(self, asked: control.Append) -> tuple[control.Appended, int]:
        """Take in records, all or none."""
        refused = self._overload() or self._without_room(asked.records) or _refusal(asked.records)
        if refused:
            return control.Appended(asked.id, 0, refused), 0
        accounts = self._without_policy(asked.records)
        if accounts:
            refused = f"no policy has been adopted for account {accounts[0]}"
            return control.Appended(asked.id, 0, refused, accounts=accounts), 0
        last_seq = duplicates = wait = 0
        now = self._clock.now_ns()
        for new in asked.records:
            name = f"{new.kind}/{new.once}" if new.once else ""
            seq, batch = self._known_once(name)
            if seq:
                duplicates += 1
            else:
                is_promise = new.durability != FACT or new.kind in PROMISES
                seq, batch = self._admit(new, now, is_promise, name).seq, self._batch.number
            last_seq, wait = max(last_seq, seq), max(wait, batch)
        return control.Appended(asked.id, last_seq, duplicates=duplicates), wait

    def intend(self, asked: control.Intend) -> tuple[control.Intended, int]:
        """Take in an intent, if its epoch is the account's and its key is new."""
        present = lease.epoch_of(self.leases, asked.account)
        refused = lease.may_intend(self.leases, asked.account, asked.epoch)
        refused = refused or _intent_refusal(asked)
        self.stale += asked.epoch < present
        if refused:
            return control.Intended(asked.id, 0, refused=refused, epoch=present), 0
        name = f"intended/{asked.key}"
        seq, batch = self._known_once(name)
        if seq:
            return control.Intended(asked.id, seq, duplicate=True, epoch=present), batch
        record = self._admit(asked.record, self._clock.now_ns(), True, name)
        self._batch.intents.append((asked.account, asked.epoch))
        return control.Intended(asked.id, record.seq, epoch=present), self._batch.number

    def grant(self, asked: control.GrantLeases) -> tuple[control.LeasesGranted, int]:
        """Compare and set leases, all or none."""
        if shut := lease.shut(asked.latch, self._rollout.latch):
            return control.LeasesGranted(asked.id, [], shut, is_shut=True), 0
        granted = lease.grant(self.leases, asked.grants, self.incarnation, self.last_seq + 1)
        if isinstance(granted, str):
            return control.LeasesGranted(asked.id, [], granted), 0
        refused = self._without_room(asked.records) or _refusal(asked.records)
        if refused:
            return control.LeasesGranted(asked.id, [], refused), 0
        self._grant(granted)
        for new in asked.records:
            self._admit(new, self._clock.now_ns(), True, "")
        return control.LeasesGranted(asked.id, list(granted)), self._batch.number

    def _grant(self, granted: tuple[control.Lease, ...]) -> None:
        now = self._clock.now_ns()
        for one in granted:
            fact = events.LeaseGranted(
                account=one.account,
                holder=one.holder,
                release=one.release,
                epoch=one.epoch,
                incarnation=one.incarnation,
            )
            self._admit(new_record(fact), now, True, "")
            self.leases[one.account] = one
        self._batch.leases += granted
        self._lease_batch = self._batch.number

    def store_rollout(self, asked: control.StoreRollout) -> tuple[control.RolloutRead, int]:
        """Compare and set the rollout's row, and raise epochs with it: all or nothing."""
        present = self._rollout
        refused = NO_ROOM if self.is_tight and not asked.raised else ""
        refused = refused or _rollout_refusal(asked, present.revision)
        if refused:
            return self._row(asked.id, refused), 0
        fact = events.RolloutStored(
            rollout=asked.rollout,
            revision=present.revision + 1,
            latch=asked.latch,
            body=asked.body,
        )
        now = self._clock.now_ns()
        for new in (new_record(fact), *asked.records):
            self._admit(new, now, True, "")
        self._rollout, self._rollout_batch = fact, self._batch.number
        self._grant(lease.raised(self.leases, asked.raised, self.incarnation, self.last_seq + 1))
        return self._row(asked.id), self._batch.number

    def rollout(self, asked: control.ReadRollout) -> tuple[control.RolloutRead, int]:
        """Show the rollout's row, once it is durable."""
        wait = self._rollout_batch if self._rollout_batch > self.stored_batch else 0
        return self._row(asked.id), wait

    def _row(self, number: int, refused: str = "") -> control.RolloutRead:
        row = self._rollout
        return control.RolloutRead(number, row.rollout, row.revision, row.latch, row.body, refused)

    def held(self, asked: control.Leases) -> tuple[control.LeasesHeld, int]:
        """Show every lease, once all of them are durable."""
        leases = [self.leases[account] for account in sorted(self.leases)]
        wait = self._lease_batch if self._lease_batch > self.stored_batch else 0
        return control.LeasesHeld(asked.id, leases, self.incarnation), wait

    def keep(self, asked: control.PutSnapshots) -> tuple[control.SnapshotsKept, int]:
        """Take in snapshots of states that this stream has led to."""
        if self.is_tight and asked.snapshots:
            return control.SnapshotsKept(asked.id, NO_ROOM), 0
        for one in asked.snapshots:
            if not 0 <= one.seq <= self.last_seq:
                refused = f"a snapshot at record {one.seq}, the last is {self.last_seq}"
                return control.SnapshotsKept(asked.id, refused), 0
            if not (0 <= one.account <= _LARGEST and 0 <= one.schema <= _LARGEST):
                return control.SnapshotsKept(asked.id, "a number is out of range"), 0
        self._batch.snapshots += asked.snapshots
        return control.SnapshotsKept(asked.id), self._batch.number if asked.snapshots else 0

    def probe(self) -> tuple[int, int]:
        """Write a promise that means nothing; return its seq, and the batch to wait for."""
        new = NewRecord("probed", 0, b"\x80", durability=PROMISE)
        return self._admit(new, self._clock.now_ns(), True, "").seq, self._batch.number

    def emit(self, fact: events.Fact) -> None:
        """Write a fact of the journal's own."""
        new = new_record(fact)
        self._admit(new, self._clock.now_ns(), new.durability != FACT, "")

    # --- inside -------------------------------------------------------------

    def _admit(self, new: NewRecord, now: int, is_promise: bool, name: str) -> Record:
        record = self._sequencer.admit(new, now)
        batch = self._batch
        batch.records.append(record)
        batch.has_promise = batch.has_promise or is_promise
        if name:
            batch.once.append((name, record.seq))
            self._waiting_once[name] = (record.seq, batch.number)
        if new.kind == "policy-adopted":
            self._policies.add(new.account)
            batch.policies.append((new.account, record.seq))
        return record

    def _known_once(self, name: str) -> tuple[int, int]:
        """Return where a name was stored, and the batch to wait for; 0 if it is new."""
        if not name:
            return 0, 0
        waiting = self._waiting_once.get(name)
        if waiting is not None:
            return waiting
        return self._stored_once(name) or 0, 0

    def _overload(self) -> str:
        behind = self.last_seq - self._stored_seq
        return f"the file is {behind} records behind" if behind > UNSTORED_MAX else ""

    def _without_room(self, records: Iterable[NewRecord]) -> str:
        waits = self.is_tight and any(new.kind in WAITS_FOR_ROOM for new in records)
        return NO_ROOM if waits else ""

    def _without_policy(self, records: Iterable[NewRecord]) -> list[int]:
        adopted: set[int] = set()
        missing: set[int] = set()
        for new in records:
            account = new.account
            if new.kind == "policy-adopted":
                adopted.add(account)
            elif new.kind in NEEDS_POLICY and not (account in self._policies or account in adopted):
                missing.add(account)
        return sorted(missing)


def _refusal(records: Iterable[NewRecord]) -> str:
    """Tell what is wrong with these records by themselves; empty if nothing is."""
    for new in records:
        if new.kind in OWN_DOOR:
            return f"a record of kind {new.kind} is written by {OWN_DOOR[new.kind]} only"
        malformed = _malformed(new)
        if malformed:
            return malformed
    return ""


def _malformed(new: NewRecord) -> str:
    if not 0 < len(new.kind) <= _NAME_MAX or len(new.once) > _NAME_MAX:
        return f"a kind or a name of more than {_NAME_MAX} characters, or of none"
    if not 0 <= new.account <= _LARGEST or not 0 <= new.version <= _VERSION_MAX:
        return f"account {new.account} or version {new.version} is out of range"
    if len(new.payload) > PAYLOAD_MAX:
        return f"a payload of {len(new.payload)} bytes, at most {PAYLOAD_MAX}"
    if new.durability not in (FACT, PROMISE):
        return f"a durability of {new.durability[:20]!r}, known are {FACT} and {PROMISE}"
    return ""


def _rollout_refusal(asked: control.StoreRollout, revision: int) -> str:
    if asked.expected != revision:
        return f"the rollout's row is at revision {revision}, expected {asked.expected}"
    if not 0 < len(asked.rollout) <= _NAME_MAX or not 0 < len(asked.latch) <= _NAME_MAX:
        return f"a rollout's name and latch have 1 to {_NAME_MAX} characters"
    if len(asked.body) > BODY_MAX:
        return f"a rollout's row of {len(asked.body)} bytes, at most {BODY_MAX}"
    return _refusal(asked.records)


def _intent_refusal(asked: control.Intend) -> str:
    if asked.record.kind != "intended" or asked.record.account != asked.account:
        return f"an intent's record is of kind intended, for account {asked.account}"
    if not 0 < len(asked.key) <= _NAME_MAX:
        return f"an intent's key has 1 to {_NAME_MAX} characters"
    return _malformed(asked.record)

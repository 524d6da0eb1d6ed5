"""The journal's disk: what is in the file, what of it would survive a power cut, and the lock file.

Batches are stored in order; a power cut loses those after the last one that was flushed. The
lock file's two slots are written as the journal's own code encodes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from risk_daemon.core.events import FeedChanged, LeaseGranted, LockPlaced
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import Head
from risk_daemon.journal.lease import after_restore
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.wire.control import Lease, Snapshot
from risk_daemon.wire.locks import Slot, Standing, decode_slot, encode_slot, missing, together
from risk_daemon.wire.record import Record, new_record

if TYPE_CHECKING:
    from risk_daemon.proving.world import World


class Disk:
    """One host's disk."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.incarnation = 1
        self.batches: list[Batch] = []
        self.flushed = 0
        self.slots: list[bytes] = [b"", b""]
        self.full_until = 0
        self._number = 0
        self._flushed_seq = 0
        self._about_locks = False
        self._rebuild()

    def _rebuild(self) -> None:
        self.records: list[Record] = []
        self.once: dict[str, int] = {}
        self.leases: dict[int, Lease] = {}
        self.policies: set[int] = set()
        self.snapshots: dict[tuple[int, str], Snapshot] = {}
        self.standing = Standing()
        for batch in self.batches:
            self._fill(batch)

    def _fill(self, batch: Batch) -> bool:
        self.records += batch.records
        self.once.update(batch.once)
        self.leases.update({lease.account: lease for lease in batch.leases})
        self.policies |= {account for account, _ in batch.policies}
        self.snapshots.update({(one.account, one.release): one for one in batch.snapshots})
        taken = [self.standing.take(record) for record in batch.records]
        return any(taken)

    def head(self) -> Head:
        """Where the file ends, as a journal reads it at its start."""
        last = self.records[-1] if self.records else None
        return Head(
            seq=last.seq if last else 0,
            at=last.at if last else 0,
            crc=last.crc if last else 0,
            incarnation=self.incarnation,
            leases=dict(self.leases),
            policies=set(self.policies),
        )

    def crc_at(self, seq: int) -> int | None:
        """Return the crc of a record, None where there is none."""
        if seq == 0:
            return 0
        return self.records[seq - 1].crc if 0 < seq <= len(self.records) else None

    def store(self, batch: Batch) -> None:
        """Commit a batch; one with a promise is flushed, and all before it."""
        self.world.judge.stored(self, batch)
        self.batches.append(batch)
        self._about_locks = self._fill(batch) or self._about_locks
        if batch.has_promise and self.world.without.flushes():
            self.flushed = len(self.batches)
            self._flushed_seq = len(self.records)

    def keep_locks(self) -> None:
        """Write the lock file's next slot, if the batches stored since say anything of locks."""
        if self._about_locks:
            self._about_locks = False
            self._write_slot()

    def open(self) -> None:
        """Make the lock file say what the file says, as a journal does before it serves."""
        kept = together(decode_slot(raw) if raw else None for raw in self.slots)
        if kept is None or not kept.is_whole or kept != self._slot():
            self._write_slot()
            self._write_slot()

    def _write_slot(self) -> None:
        self._number += 1
        self.slots[self._number % 2] = encode_slot(self._slot())

    def _slot(self) -> Slot:
        return Slot(
            number=self._number,
            incarnation=self.incarnation,
            seq=self.standing.seq,
            crc=self.standing.crc,
            epoch=max((lease.epoch for lease in self.leases.values()), default=0),
            rows=self.standing.rows({}),
        )

    def is_flushed(self, seq: int) -> bool:
        """Tell whether a record would survive a power cut."""
        return seq <= self._flushed_seq

    def cut_power(self) -> int:
        """Lose what was not flushed; return how many records that were."""
        lost = len(self.records)
        self.batches = self.batches[: self.flushed]
        self._rebuild()
        return lost - len(self.records)

    # --- an old copy comes back ----------------------------------------------------

    def copy(self) -> list[Batch]:
        """Return a copy of what is in the file now."""
        return list(self.batches)

    def restore(self, batches: list[Batch], *, knows_locks: bool, knows_epochs: bool) -> None:
        """Go on from an old copy, as `risk-daemon-admin restore` does (`journal.anew`).

        The lock file joins what the copy lacks; every lease is nobody's, far above.
        """
        kept = together(decode_slot(raw) if raw else None for raw in self.slots)
        self.batches, self.flushed = list(batches), len(batches)
        self._rebuild()
        self._flushed_seq = len(self.records)
        head = self.head()
        sequencer = Sequencer(head.seq, head.at, head.crc)
        batch = Batch(0)
        batch.has_promise = True
        rows = kept.rows if kept and knows_locks else ()
        placed: list[LockPlaced] = missing(self.standing, rows, head.seq)
        highest = kept.epoch if kept else 0
        if knows_epochs:
            self.incarnation += 1
            never = Lease(0, "", "", 0, self.incarnation, 0)
            held = [(n, self.leases.get(n, never)) for n in sorted(self.policies)]
            leases = after_restore(
                [
                    msgspec.structs.replace(lease, account=n, epoch=max(lease.epoch, highest))
                    for n, lease in held
                ],
                self.incarnation,
            )
        else:
            leases = ()
        now = self.world.host.wall()
        blind = [
            FeedChanged(login=login, state="blind", why="the state was restored")
            for login in self.world.logins
        ]
        for fact in (*blind, *placed, *(_granted(lease) for lease in leases)):
            record = sequencer.admit(new_record(fact), now)
            batch.records.append(record)
            if isinstance(fact, LockPlaced):
                name = f"lock-placed/{fact.account}:{fact.lock}:{fact.began_at}"
                batch.once.append((name, record.seq))
        batch.leases = [
            msgspec.structs.replace(lease, granted_seq=batch.records[-len(leases) + n].seq)
            for n, lease in enumerate(leases)
        ]
        self.store(batch)
        self.open()


def _granted(lease: Lease) -> LeaseGranted:
    return LeaseGranted(
        account=lease.account,
        holder=lease.holder,
        release=lease.release,
        epoch=lease.epoch,
        incarnation=lease.incarnation,
    )

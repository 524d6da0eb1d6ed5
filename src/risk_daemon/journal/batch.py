"""What one transaction stores."""

from __future__ import annotations

from risk_daemon.wire.control import Lease, Snapshot
from risk_daemon.wire.record import Record


class Batch:
    """Records and what goes with them. `number` counts batches; it only grows."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.has_promise = False
        self.records: list[Record] = []
        self.once: list[tuple[str, int]] = []
        self.policies: list[tuple[int, int]] = []
        self.leases: list[Lease] = []
        self.intents: list[tuple[int, int]] = []
        self.snapshots: list[Snapshot] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        return not self.records and not self.snapshots

    def absorb(self, later: Batch) -> None:
        """Take in the batch that comes next, so that one commit serves both."""
        self.number = later.number
        self.has_promise = self.has_promise or later.has_promise
        self.records += later.records
        self.once += later.once
        self.policies += later.policies
        self.leases += later.leases
        self.intents += later.intents
        self.snapshots += later.snapshots

"""PURE: gives every record its place in the total order, and says when it may be seen.

Rules for editors:
  * seq has no gaps, `at` never decreases, each crc follows the one before;
  * records are seen in order of seq, once;
  * a record is seen only once it is stored, as durably as its class asks.
"""

from __future__ import annotations

from collections import deque

from risk_daemon.wire.record import NewRecord, Record, chain


class Sequencer:
    """The head of the stream, as of the newest record of the file."""

    def __init__(self, seq: int = 0, at: int = 0, crc: int = 0) -> None:
        self.seq = seq
        self.at = at
        self.crc = crc
        self._unseen: deque[Record] = deque()

    def admit(self, new: NewRecord, now: int) -> Record:
        """Place a record at the head."""
        self.seq += 1
        self.at = max(self.at, now)
        self.crc = chain(self.crc, self.seq, self.at, new)
        record = Record(
            self.seq, self.at, new.version, new.kind, new.account, new.payload, self.crc
        )
        self._unseen.append(record)
        return record

    def stored(self, seq: int) -> list[Record]:
        """Every record up to `seq` is stored; return, once, those that may be seen now."""
        unseen = self._unseen
        records: list[Record] = []
        while unseen and unseen[0].seq <= seq:
            records.append(unseen.popleft())
        return records

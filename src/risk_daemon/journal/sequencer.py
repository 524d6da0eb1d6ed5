"""PURE: gives every record its place in the total order, and says when it may be seen.

Rules for editors:
  * seq has no gaps, `at` never decreases, each crc follows the one before;
  * records are seen in order of seq, whatever their class;
  * a promise is seen only once it is stored, and so is everything behind it.
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
        self._promises: deque[int] = deque()

    def admit(self, new: NewRecord, now: int, is_promise: bool) -> Record:
        """Place a record at the head."""
        self.seq += 1
        self.at = max(self.at, now)
        self.crc = chain(self.crc, self.seq, self.at, new)
        record = Record(
            self.seq, self.at, new.version, new.kind, new.account, new.payload, self.crc
        )
        self._unseen.append(record)
        if is_promise:
            self._promises.append(self.seq)
        return record

    def stored(self, seq: int) -> None:
        """Every record up to `seq` is stored, with the durability it asked for."""
        while self._promises and self._promises[0] <= seq:
            self._promises.popleft()

    def ready(self) -> list[Record]:
        """Return, once, the records that may be seen now."""
        unseen = self._unseen
        if not self._promises:
            records = list(unseen)
            unseen.clear()
            return records
        records = []
        while unseen[0].seq < self._promises[0]:
            records.append(unseen.popleft())
        return records

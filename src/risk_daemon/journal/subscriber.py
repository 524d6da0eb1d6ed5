"""One subscription: first what is in the file, then what is in memory, then live.

The file lags what has been seen by one commit, so the newest records are kept
in memory (`Recent`) until they are surely in the file, and some more: a
subscriber reads the file until it reaches them, and is live from that turn on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from risk_daemon.journal.reader import PIECE_BYTES
from risk_daemon.wire import control
from risk_daemon.wire.record import Record
from risk_daemon.wire.transport import Channel, pack

RECENT_MAX: Final = 4_096
RECENT_BYTES: Final = 2 << 20
#: A frame of records is closed when its payloads reach this many bytes.
_FRAME_FULL: Final = 1 << 18
_RECORD_OVERHEAD: Final = 64


class Recent:
    """The newest records that have been seen, without a gap."""

    def __init__(self, last_seq: int) -> None:
        self.last_seq = last_seq
        self._records: deque[Record] = deque()
        self._size = 0

    @property
    def first_seq(self) -> int:
        """The oldest seq held here; one beyond the last if there is none."""
        return self.last_seq + 1 - len(self._records)

    def add(self, records: Sequence[Record]) -> None:
        """These have just been seen; forget the oldest if there are enough others."""
        self._records.extend(records)
        self._size += sum(len(record.payload) for record in records)
        self.last_seq = records[-1].seq
        while self._has_enough():
            self._size -= len(self._records.popleft().payload)

    def _has_enough(self) -> bool:
        return len(self._records) > RECENT_MAX or self._size > RECENT_BYTES

    def piece(self, seq: int) -> list[Record]:
        """Return records from `seq` on, not many more than a mebibyte."""
        piece: list[Record] = []
        size = 0
        for record in islice(self._records, seq - self.first_seq, None):
            piece.append(record)
            size += len(record.payload)
            if size >= PIECE_BYTES:
                break
        return piece

    def crc_at(self, seq: int) -> int | None:
        """Return a record's crc, None if it is not held here."""
        at = seq - self.first_seq
        return self._records[at].crc if 0 <= at < len(self._records) else None


class Subscription:
    """What one peer wants. `is_live`: it gets each record as it is seen."""

    def __init__(self, channel: Channel, asked: control.Subscribe) -> None:
        self.channel = channel
        self.kinds = frozenset(asked.kinds)
        self.views = asked.views
        self.next_seq = max(asked.from_seq, 1)
        self.is_live = False
        self.is_over = False


class Packer:
    """Packs one run of records once per set of kinds, however many subscribe to it."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._packed: dict[frozenset[str], list[bytes]] = {}

    def frames(self, kinds: frozenset[str]) -> list[bytes]:
        """Return the frames for subscribers of these kinds (empty: all)."""
        if kinds not in self._packed:
            wanted = [r for r in self._records if r.kind in kinds] if kinds else self._records
            self._packed[kinds] = [pack(control.Records(part)) for part in split(wanted)]
        return self._packed[kinds]


def split(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Split records into runs that each fit into a frame."""
    part: list[Record] = []
    size = 0
    for record in records:
        part.append(record)
        size += len(record.payload) + _RECORD_OVERHEAD
        if size >= _FRAME_FULL:
            yield part
            part, size = [], 0
    if part:
        yield part

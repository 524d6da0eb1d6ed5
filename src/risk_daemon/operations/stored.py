"""What a journal's file holds of some kinds, from its first record to its last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from risk_daemon.core.events import Entry
from risk_daemon.journal.reader import Reader
from risk_daemon.wire.record import decode

_PIECE: Final = 1_000
_LAST: Final = (1 << 62) - 1


def entries(
    file: Path, kinds: Sequence[str], from_seq: int = 1, upto: int = _LAST
) -> Iterator[Entry]:
    """Read piece by piece: a reader returns a mebibyte at a time."""
    next_seq, is_all = from_seq, False
    with closing(Reader(file)) as reader:
        while not is_all:
            found = reader.records(next_seq, upto, kinds, _PIECE)
            next_seq, is_all = found.next_seq, found.is_all
            yield from map(decode, found.records)

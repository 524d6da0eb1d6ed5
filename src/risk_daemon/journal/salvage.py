"""What can still be read of a damaged state file, and believed.

Only a copy is opened: the damaged file stays as it was found. A record is believed
if it follows the one before; the first that does not ends it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from risk_daemon.errors import Malformed, NotFound
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sqlite import UNREADABLE
from risk_daemon.wire.record import Record, decode, holds

_PAGE: Final = 500
_END: Final = 1 << 62


class Salvage:
    """A damaged state file, copied into `folder` and read from there."""

    def __init__(self, path: Path, folder: Path) -> None:
        #: Whether every record was read to the end of the file and nothing contradicted it.
        self.is_complete = False
        self.last_seq = 0
        self._copy = folder / path.name
        folder.mkdir(mode=0o700, parents=True)
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(path.name + suffix), folder / (path.name + suffix))

    def records(self, after: int, crc: int) -> Iterator[Record]:
        """Yield what follows record `after`, whose crc is given, as far as it can be believed.

        With `after` 0 it begins with the oldest record that is there.
        """
        self.last_seq = after
        try:
            with closing(Reader(self._copy)) as reader:
                yield from self._follow(reader, after, crc)
        except (*UNREADABLE, NotFound):
            return  # what came until here is what there is

    def _follow(self, reader: Reader, after: int, crc: int) -> Iterator[Record]:
        if not after:
            anchor = reader.beginning(1)
            after, crc = anchor.seq, anchor.crc
            first = reader.records(after, after, (), 1).records if after else []
            yield from first
        seq = after
        while True:
            page = reader.records(seq + 1, _END, (), _PAGE).records
            for record in page:
                if record.seq != seq + 1 or not holds(crc, record) or not _is_readable(record):
                    return
                seq, crc = record.seq, record.crc
                self.last_seq = seq
                yield record
            if not page:
                # An empty page proves nothing by itself: SQLite must agree that this is the end.
                self.is_complete = reader.quick_check() == "ok" and self._ends_at(reader, seq)
                return

    def _ends_at(self, reader: Reader, seq: int) -> bool:
        """Whether the file knows of no record behind this one, and has this one."""
        last = reader.last()
        return (last.seq if last else 0) == seq and reader.known_seq() <= seq

    def names(self, from_seq: int, upto: int) -> dict[str, int]:
        """Return the names under which these records are stored once, as far as can be read."""
        try:
            with closing(Reader(self._copy)) as reader:
                return dict(reader.names(from_seq, upto))
        except (*UNREADABLE, NotFound):
            return {}  # what is then said twice, its epoch refuses


def _is_readable(record: Record) -> bool:
    try:
        decode(record)
    except Malformed:
        return False
    return True

"""A client that writes down what the journal acknowledged, and what it showed as promised.

It appends promises that mean nothing, one after the other, for as long as it
runs, and follows all promises of everybody. Whatever it was told is durable
must be in the file afterwards, byte for byte.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from risk_daemon.core.events import ProtectionEnabled
from risk_daemon.errors import DaemonError
from risk_daemon.journal.reader import Reader
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import PROMISES, Record, new_record
from risk_daemon.wire.transport import Hello

EVERY_S: Final = 0.02
AGAIN_AFTER_S: Final = 0.02
CONNECT_WITHIN_S: Final = 5.0
#: Any kind that must be durable and changes nothing where protection is on already.
NAME: Final = "witness"
_ALL: Final = 1 << 62
_PAGE: Final = 5_000


class Witness:
    """Runs in a thread of its own from `begin` to `end`."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._ending = threading.Event()
        self._count = 0
        #: What was acknowledged: the number in the text, by seq.
        self.acknowledged: dict[int, str] = {}
        #: What was shown as a record of a promise's kind, by seq.
        self.shown: dict[int, Record] = {}
        self.cut_back: list[int] = []

    def begin(self) -> None:
        """Start writing."""
        self._thread.start()

    def end(self) -> None:
        """Stop writing; what is in flight is not counted."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._witness())

    async def _witness(self) -> None:
        journal: JournalClient | None = None
        while not self._ending.is_set():
            try:
                journal = journal or await self._follow()
                if not journal.is_open:
                    await journal.reconnect(CONNECT_WITHIN_S)
                await self._append(journal)
                await asyncio.sleep(EVERY_S)
            except DaemonError:
                await asyncio.sleep(AGAIN_AFTER_S)
        if journal is not None:
            journal.close()

    async def _follow(self) -> JournalClient:
        hello = Hello("admin", NAME)
        journal = await JournalClient.connect(self._run_dir, hello, CONNECT_WITHIN_S)
        journal.subscribe(
            1, sorted(PROMISES), on_records=self._take, on_truncated=self.cut_back.append
        )
        return journal

    async def _append(self, journal: JournalClient) -> None:
        self._count += 1
        reason = f"record {self._count} of the {NAME}"
        promise = new_record(ProtectionEnabled(by=NAME, reason=reason))
        answer = await journal.append([promise])
        if not answer.refused:
            self.acknowledged[answer.last_seq] = reason

    def _take(self, records: list[Record]) -> None:
        for record in records:
            self.shown[record.seq] = record

    def contradictions(self, file: Path) -> list[str]:
        """Compare with the file; return every difference, and a chain that does not hold."""
        reader = Reader(file)
        try:
            check = reader.check(1, _ALL, 0)
            stored = {record.seq: record for record in _promises(reader)}
        finally:
            reader.close()
        found = [f"the journal was cut back to seq {seq}" for seq in self.cut_back]
        if check.broken_at:
            found.append(f"the journal's chain is broken at seq {check.broken_at}")
        found += [
            f"seq {seq} was shown as {record.kind} of account {record.account} and is lost"
            for seq, record in sorted(self.shown.items())
            if stored.get(seq) != record
        ]
        found += [
            f"seq {seq} was acknowledged ({reason}) and is lost"
            for seq, reason in sorted(self.acknowledged.items())
            if seq not in stored or reason.encode() not in stored[seq].payload
        ]
        return found


def _promises(reader: Reader) -> Iterable[Record]:
    last, seq = reader.last(), 1
    while last is not None and seq <= last.seq:
        page = reader.records(seq, last.seq, sorted(PROMISES), _PAGE)
        yield from page.records
        seq = page.next_seq

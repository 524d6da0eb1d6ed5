"""The link's way into the stream: in order, and kept until the journal has it.

While the journal is away facts wait here, up to a bound; beyond it they are
dropped (`link.unsaid`). That is a gap, and so is what the journal refuses: the
accounts are read anew. A batch whose answer was lost with the connection is sent again: every
fold is idempotent, a lost fill is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from risk_daemon.core.events import Fact
from risk_daemon.errors import JournalAway
from risk_daemon.link.unsaid import Unsaid
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Appended
from risk_daemon.wire.record import NewRecord, new_record


class Outlet:
    """Appends facts; `on_gap` is told why facts do not get into the stream."""

    def __init__(self, journal: JournalClient, on_gap: Callable[[str], None]) -> None:
        self._journal = journal
        self._unsaid = Unsaid(on_gap)

    @property
    def is_dropping(self) -> bool:
        """Facts are dropped: too many wait."""
        return self._unsaid.is_dropping

    def put(
        self,
        facts: Sequence[Fact],
        once: Callable[[Fact], str] | None = None,
        *,
        patient: bool = False,
    ) -> None:
        """Append facts, now or when the journal is back; `patient` as of `JournalClient.append`."""
        records = [new_record(fact, once(fact) if once else "") for fact in facts]
        taken = self._unsaid.put(records)
        if taken is not None and self._journal.is_open:
            self._send(*taken, patient=patient)

    @property
    def waiting(self) -> int:
        """Batches without an answer."""
        return len(self._unsaid)

    def resend(self) -> None:
        """Send again, in order, what had no answer when the journal was lost."""
        for number, records in self._unsaid.rest():
            self._send(number, records)

    def _send(self, number: int, records: list[NewRecord], *, patient: bool = False) -> None:
        future = self._journal.append(records, patient=patient)
        future.add_done_callback(lambda done: self._answered(number, done))

    def _answered(self, number: int, done: asyncio.Future[Appended]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, JournalAway):
            return  # kept, and sent again after the reconnect
        if error is not None:
            raise error
        answer = done.result()
        is_nobodys = bool(answer.accounts)
        for again in self._unsaid.answered(number, answer.refused, is_nobodys=is_nobodys):
            self._send(*again)

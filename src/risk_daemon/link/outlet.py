"""The link's way into the stream: in order, and kept until the journal has it.

While the journal is away facts wait here, up to a bound; beyond it they are
dropped. That is a gap, and so is what the journal refuses: the accounts are read
anew. A batch whose answer was lost with the connection is sent again: every
fold is idempotent, a lost fill is not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from risk_daemon.core.events import Fact
from risk_daemon.errors import JournalAway
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Appended
from risk_daemon.wire.record import NewRecord, new_record

WAITING_MAX: Final = 20_000


class Outlet:
    """Appends facts; `on_gap` is told why facts do not get into the stream."""

    def __init__(self, journal: JournalClient, on_gap: Callable[[str], None]) -> None:
        self._journal = journal
        self._on_gap = on_gap
        self._unsaid: deque[tuple[int, list[NewRecord]]] = deque()
        self._number = 0
        #: Facts are dropped: from the bound on, until half of what waits is in the journal.
        self.is_dropping = False

    def put(
        self,
        facts: Sequence[Fact],
        once: Callable[[Fact], str] | None = None,
        *,
        patient: bool = False,
    ) -> None:
        """Append facts, now or when the journal is back; `patient` as of `JournalClient.append`."""
        records = [new_record(fact, once(fact) if once else "") for fact in facts]
        if len(self._unsaid) >= WAITING_MAX:
            if not self.is_dropping:
                self.is_dropping = True
                self._on_gap(f"more than {WAITING_MAX} facts wait for the journal")
            return
        self._number += 1
        self._unsaid.append((self._number, records))
        if self._journal.is_open:
            self._send(self._number, records, patient=patient)

    @property
    def waiting(self) -> int:
        """Batches without an answer."""
        return len(self._unsaid)

    def resend(self) -> None:
        """Send again, in order, what had no answer when the journal was lost."""
        for number, records in list(self._unsaid):
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
        while self._unsaid and self._unsaid[0][0] <= number:
            self._unsaid.popleft()
        if self.is_dropping and len(self._unsaid) < WAITING_MAX // 2:
            self.is_dropping = False
            self._on_gap("facts were dropped while the journal was away")
        answer = done.result()
        # Nobody guards an account without a policy: its facts are nobody's loss.
        if answer.refused and not answer.accounts:
            self._on_gap(f"the journal refused facts: {answer.refused}")

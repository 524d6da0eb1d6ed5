"""The link's way into the stream: in order, and kept until the journal has it.

While the journal is away facts wait here, up to a bound; beyond it they are
dropped, a gap is marked, and the accounts are read anew. A batch whose answer
was lost with the connection is sent again: every fold is idempotent, a lost
fill is not.
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
    """Appends facts; `on_gap` is called once when facts had to be dropped."""

    def __init__(self, journal: JournalClient, on_gap: Callable[[], None]) -> None:
        self._journal = journal
        self._on_gap = on_gap
        self._unsaid: deque[tuple[int, list[NewRecord]]] = deque()
        self._number = 0
        self._has_gap = False
        self.refused = ""

    def put(self, facts: Sequence[Fact], once: Callable[[Fact], str] | None = None) -> None:
        """Append facts, now or when the journal is back."""
        records = [new_record(fact, once(fact) if once else "") for fact in facts]
        if len(self._unsaid) >= WAITING_MAX:
            if not self._has_gap:
                self._has_gap = True
                self._on_gap()
            return
        self._number += 1
        self._unsaid.append((self._number, records))
        if self._journal.is_open:
            self._send(self._number, records)

    @property
    def waiting(self) -> int:
        """Batches without an answer."""
        return len(self._unsaid)

    def resend(self) -> None:
        """Send again, in order, what had no answer when the journal was lost."""
        self._has_gap = False
        for number, records in list(self._unsaid):
            self._send(number, records)

    def _send(self, number: int, records: list[NewRecord]) -> None:
        future = self._journal.append(records)
        future.add_done_callback(lambda done: self._answered(number, done))

    def _answered(self, number: int, done: asyncio.Future[Appended]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, JournalAway):
            return  # kept, and sent again after the reconnect
        if error is not None:
            raise error
        if done.result().refused:
            self.refused = done.result().refused
        while self._unsaid and self._unsaid[0][0] <= number:
            self._unsaid.popleft()

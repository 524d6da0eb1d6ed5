"""What a link has still to say to the journal. No loop, no clock.

Facts wait here until the journal has them, up to a bound; what is beyond it, and what the journal
refuses, is a gap: the broker is asked again. What the link itself did is known to nobody else (a
request that left, its answer, its end): it is neither dropped nor given up, or a worker would wait
for the end of a request for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from risk_daemon.wire.record import NewRecord

WAITING_MAX: Final = 20_000
#: Kinds that no read of the broker could bring back.
OWN: Final = frozenset({"request-sent", "request-answered", "request-settled", "goal-refused"})

type Numbered = tuple[int, list[NewRecord]]


class Unsaid:
    """Batches without an answer, by the number they were put with."""

    def __init__(self, on_gap: Callable[[str], None]) -> None:
        self._on_gap = on_gap
        self._waiting: dict[int, list[NewRecord]] = {}
        self._refused: list[int] = []
        self._number = 0
        #: Facts are dropped: from the bound on, until half of what waits is in the journal.
        self.is_dropping = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, records: Sequence[NewRecord]) -> Numbered | None:
        """Take a batch; return it with its number, None where all of it is dropped."""
        if len(self._waiting) >= WAITING_MAX:
            if not self.is_dropping:
                self.is_dropping = True
                self._on_gap(f"more than {WAITING_MAX} facts wait for the journal")
            records = [record for record in records if record.kind in OWN]
            if not records:
                return None
        self._number += 1
        self._waiting[self._number] = list(records)
        return self._number, self._waiting[self._number]

    def rest(self) -> list[Numbered]:
        """Return, in order, all that is to be said again over a new connection."""
        self._refused = []
        return [(number, self._waiting[number]) for number in sorted(self._waiting)]

    def answered(self, number: int, refused: str, *, is_nobodys: bool) -> list[Numbered]:
        """Take the answer to one batch; return what is to be said now.

        What was refused and is our own is said after the next batch that is not refused.
        `is_nobodys`: nobody guards these accounts; their facts are no loss.
        """
        records = self._waiting.pop(number, [])
        if self.is_dropping and len(self._waiting) < WAITING_MAX // 2:
            self.is_dropping = False
            self._on_gap("facts were dropped while the journal was away")
        if not refused:
            numbers, self._refused = self._refused, []
            return [(again, self._waiting[again]) for again in numbers]
        if not is_nobodys:
            self._keep(number, [record for record in records if record.kind in OWN])
            self._on_gap(f"the journal refused facts: {refused}")
        return []

    def _keep(self, number: int, own: list[NewRecord]) -> None:
        if own:
            self._waiting[number] = own
            self._refused.append(number)

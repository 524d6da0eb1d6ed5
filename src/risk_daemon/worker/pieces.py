"""The stream in pieces of a few milliseconds each.

A thousand leases granted at once are half a second of folding: as one piece they keep
a worker from its heartbeat, and it is killed for doing its work. Between two pieces
whatever else waits has its turn; the order of the records stays what it was.

A journal may be sent faster than it is folded: who catches up asks it to wait, or most of
it would lie here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from risk_daemon.wire.record import Record

PIECE_NS: Final = 20_000_000
#: So many records may wait to be folded before no more is taken: some four megabytes.
LEFT_MAX: Final = 10_000


class Pieces:
    """Folds what it is given, in order, and gives the loop a turn now and then.

    `on_piece` hears how many records each piece had. An error of `fold` ends it all: what comes
    after a record that was not folded must not be folded either. `on_full` hears that enough
    is waiting, each time more is given; `on_room`, once, that most of it is folded.
    """

    def __init__(
        self,
        steady_ns: Callable[[], int],
        fold: Callable[[Record], None],
        on_piece: Callable[[int], None],
        on_error: Callable[[Exception], None],
        on_full: Callable[[], None],
        on_room: Callable[[], None],
    ) -> None:
        self._steady_ns, self._fold = steady_ns, fold
        self._on_piece, self._on_error = on_piece, on_error
        self._on_full, self._on_room = on_full, on_room
        self._is_full = False
        self._left: deque[Record] = deque()
        self._after: list[Callable[[], None]] = []
        self._is_under_way = False

    def take(self, records: Sequence[Record]) -> None:
        """Fold these after all that were given before."""
        self._left.extend(records)
        if len(self._left) > LEFT_MAX:
            self._is_full = True
            self._on_full()
        if not self._is_under_way:
            self._go_on()

    def afterwards(self, what: Callable[[], None]) -> None:
        """Call this when all that was given before is folded."""
        if self._is_under_way:
            self._after.append(what)
        else:
            what()

    def _go_on(self) -> None:
        self._is_under_way = True
        try:
            self._on_piece(self._piece())
        except Exception as error:  # noqa: BLE001 - whoever folds ends with it
            self._on_error(error)
            return
        if self._is_full and len(self._left) <= LEFT_MAX // 2:
            self._is_full = False
            self._on_room()
        if self._left:
            asyncio.get_running_loop().call_soon(self._go_on)
            return
        self._is_under_way = False
        after, self._after = self._after, []
        for what in after:
            what()

    def _piece(self) -> int:
        """Fold until the time of a piece is over; return how many."""
        until = self._steady_ns() + PIECE_NS
        folded = 0
        while self._left:
            self._fold(self._left.popleft())
            folded += 1
            if self._steady_ns() >= until:
                break
        return folded

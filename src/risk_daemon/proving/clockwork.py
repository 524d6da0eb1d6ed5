"""Virtual time: what is to happen, in order; and a host's two clocks that a fault may set wrong.

Processes read them through the daemon's own `Clock`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from risk_daemon.clock import Clock

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS
#: Wednesday 18 November 2026, 10:00:00 in Chicago: the exchange is open.
BEGIN: Final = 1_795_017_600 * SECOND


class Clockwork:
    """Calls what is due, the earliest first; of two at one instant the one that was set first."""

    def __init__(self) -> None:
        self.now = 0
        self._due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, wait: int, call: Callable[..., None], *args: Any) -> None:
        """Call something a while from now (ns)."""
        self._count = count = self._count + 1
        heapq.heappush(self._due, (self.now + wait if wait > 0 else self.now, count, call, args))

    def run(self, until: int) -> None:
        """Let time pass up to an instant."""
        due, pop = self._due, heapq.heappop
        while due and due[0][0] <= until:
            self.now, _, call, args = pop(due)
            call(*args)
        self.now = until


class Host:
    """The machine's clocks: `stepped` is what somebody set the wall clock by."""

    def __init__(self, clockwork: Clockwork) -> None:
        self._clockwork = clockwork
        self.stepped = 0
        self.slept = 0

    def wall(self) -> int:
        """What the wall clock shows."""
        return BEGIN + self._clockwork.now + self.stepped

    def steady(self) -> int:
        """How long the host was awake; sleep is not counted."""
        return self._clockwork.now - self.slept

    def clock(self) -> Clock:
        """Make the clock of a process that begins now."""
        return Clock(wall=self.wall, steady=self.steady)

"""Time that passes only when nothing else can happen: for what waits, without waiting for it.

For code that waits on nothing but its own tasks and its own sleeps. A sleep in such a story is an
instant that is reached, in order, and takes no time; two runs are alike to the last step.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock

#: When every story begins, in ns UTC.
BEGINS: Final = 1_800_000_000 * SECOND_NS


class VirtualTime:
    """The time of one story: its clock, and the loop it is played in."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def clock(self) -> Clock:
        """Return the clock that the program is handed."""
        return Clock(wall=lambda: BEGINS + self._passed_ns(), steady=self._passed_ns)

    def play(self, story: Coroutine[Any, Any, None]) -> None:
        """Play a story from its beginning to its end."""
        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            runner.run(story)

    def _passed_ns(self) -> int:
        return round(self.passed_s * SECOND_NS)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, of: VirtualTime) -> None:
        self._of = of
        super().__init__(_Selector(of))

    def time(self) -> float:
        return self._of.passed_s


class _Selector(selectors.SelectSelector):
    """Waits for nothing: that much time has passed instead."""

    def __init__(self, of: VirtualTime) -> None:
        super().__init__()
        self._of = of

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        self._of.passed_s += max(timeout, 0)
        return super().select(0)

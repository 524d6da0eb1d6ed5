"""Asks processes for a sign of life: one that is there and silent holds up what it does for others.

Workers tell of themselves (`wire.heart`); journal and links are asked. A process counts from its
first answer on: while it loads it owes none. Time in which this process itself did not run is
not counted against anybody: a machine that stood still proves nothing.

Slow is not frozen. Whoever waits for a disk or for a core, or uses one, may answer yet, and has
twice the time of one that does nothing at all while our question lies before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.errors import DaemonError
from risk_daemon.supervisor.children import Labour
from risk_daemon.wire.client import Line

EVERY_S: Final = 0.2
#: As long one connection is used: who takes no new one is of no use to people either.
CALLED_ANEW_NS: Final = 10 * SECOND_NS
#: How often it is looked while an answer is awaited.
LOOK_EVERY_S: Final = 0.05
#: A question that is answered later than this was asked of a machine with other troubles.
LATE_NS: Final = SECOND_NS // 2
SILENT_NS: Final = SECOND_NS
#: That, of one that does nothing meanwhile. With a restart: within 1.4 s (journal), 2.5 s (link).
STILL_NS: Final = 6 * SECOND_NS // 10


class Silence:
    """PURE: how long a process has been silent, by what was asked and answered. Steady ns."""

    def __init__(self) -> None:
        self._answered: int | None = None
        self._looked = self._worked = 0

    def answered(self, now: int) -> None:
        """It answered."""
        self._answered = self._looked = now

    def gone(self) -> None:
        """It is not there, or new: it owes nothing until its first answer."""
        self._answered = None

    @property
    def has_answered(self) -> bool:
        """The present one has answered, and counts from then on."""
        return self._answered is not None

    def worked(self, now: int) -> None:
        """It was seen to use a core, or to wait for one or for a disk."""
        self._worked = now

    def is_over(self, now: int) -> bool:
        """Look at the clock; tell whether it has been silent for too long."""
        late, self._looked = now - self._looked > LATE_NS, now
        if self._answered is None:
            return False
        if late:
            self._answered = now  # we were not there ourselves
        still = now - max(self._answered, self._worked)
        return now - self._answered > SILENT_NS or still > STILL_NS


class Prober:
    """Asks one process again and again."""

    def __init__(
        self,
        run_dir: Path,
        name: str,
        pid: Callable[[], int | None],
        on_silence: Callable[[str], None],
        clock: Timekeeper,
        on_answer: Callable[[str, dict[str, Any]], None],
    ) -> None:
        """`on_answer` hears what the process says of itself, with its name."""
        self._on_answer = on_answer
        self._name, self._pid = name, pid
        self._line, self._called = Line(run_dir, name), 0
        self._on_silence = on_silence
        self._clock = clock
        self._silence = Silence()
        self._labour = Labour()

    @property
    def has_answered(self) -> bool:
        """The process that is there has given a sign of life."""
        return self._silence.has_answered

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            await self._run()
        finally:
            self._line.close()

    async def _run(self) -> None:
        asked: asyncio.Task[bool] | None = None
        of: int | None = None
        while True:
            await asyncio.sleep(EVERY_S if asked is None else LOOK_EVERY_S)
            pid, now = self._pid(), self._clock.steady_ns()
            if pid != of:
                of = pid
                self._silence.gone()
                if asked is not None:
                    asked.cancel()  # what the one before says is no sign of the new one's life
                asked = None
                self._line.close()
            if asked is not None and asked.done():
                if asked.result() and pid is not None:
                    self._silence.answered(now)
                asked = None
            elif asked is None and pid is not None:
                asked = asyncio.create_task(self._ask(now))
                self._labour.is_seen(pid)  # what it did before our question is no work on it
            elif pid is not None and self._labour.is_seen(pid):
                self._silence.worked(now)
            if self._silence.is_over(now):
                self._silence.gone()
                self._on_silence(self._name)

    async def _ask(self, now: int) -> bool:
        if now - self._called > CALLED_ANEW_NS:
            self._line.close()
            self._called = now
        try:
            answer = await self._line.ask("tasks", {}, SILENT_NS / SECOND_NS)
        except DaemonError:
            return False
        self._on_answer(self._name, answer.data)
        return True

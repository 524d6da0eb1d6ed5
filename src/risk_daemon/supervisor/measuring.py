"""What processes use of memory and of a core, measured beside the loop that guards.

The system walks through a process's memory to count it: milliseconds for each, and a third of a
second for the thirty processes of a thousand accounts on a machine that is busy. A supervisor that
waited for it took the answers that lay unread meanwhile for silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import psutil

from risk_daemon.clock import SECOND_NS

#: A shorter time says nothing: the system counts CPU in hundredths of a second.
USAGE_OVER_NS: Final = SECOND_NS
#: Between two counts of a process's memory: as often as the figures of a day are kept.
MEMORY_EVERY_NS: Final = 10 * SECOND_NS


class Used(NamedTuple):
    """What one process uses; None where that is not known."""

    memory_mb: float | None = None
    cpu_percent: float | None = None


def memory_mb(pid: int) -> float | None:
    """Return a process's proportional memory in MB, where the system counts it."""
    try:
        info = psutil.Process(pid).memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    size = getattr(info, "pss", 0) or getattr(info, "uss", 0) or info.rss
    return float(round(size / 1e6, 1))


class Usage:
    """CPU use of processes, each between this look and the last one at least a second before."""

    def __init__(self) -> None:
        #: By pid: when it was looked at, its CPU seconds then, and what it had used until then.
        self._looks: dict[int, tuple[int, float, float | None]] = {}

    def percent(self, pid: int, now: int) -> float | None:
        """Return the share of one core in percent; None at the first look and of a gone process."""
        try:
            times = psutil.Process(pid).cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            self._looks.pop(pid, None)
            return None
        spent = float(times.user + times.system)
        at, before, told = self._looks.get(pid, (now, spent, None))
        if now - at >= USAGE_OVER_NS:
            told = round((spent - before) / ((now - at) / SECOND_NS) * 100, 1)
        elif pid in self._looks:
            return told
        self._looks[pid] = (now, spent, told)
        return told

    def forget(self, alive: set[int]) -> None:
        """Keep nothing of processes that are gone."""
        for pid in self._looks.keys() - alive:
            del self._looks[pid]


class Meter:
    """The latest figures of processes; whoever asks while they are taken waits for those."""

    def __init__(self, steady_ns: Callable[[], int]) -> None:
        self._steady_ns, self._usage = steady_ns, Usage()
        #: By pid: when its memory was counted, and what was found.
        self._memory: dict[int, tuple[int, float | None]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def look(self, pids: set[int]) -> Mapping[int, Used]:
        """Return what these processes use; memory as it was a few seconds ago."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._look, pids)

    def _look(self, pids: set[int]) -> dict[int, Used]:
        now = self._steady_ns()
        self._usage.forget(pids)
        kept = {pid: one for pid, one in self._memory.items() if now - one[0] < MEMORY_EVERY_NS}
        self._memory = {pid: kept.get(pid) or (now, memory_mb(pid)) for pid in pids}
        return {
            pid: Used(memory, self._usage.percent(pid, now))
            for pid, (_, memory) in self._memory.items()
        }

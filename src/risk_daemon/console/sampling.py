"""Takes a sample of everything each second for who looks now, and keeps every tenth for a day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.console import figures, view
from risk_daemon.console.figures import SPAN_NS, Compared, Decided, Ended, Figures, Sample
from risk_daemon.console.history import Store
from risk_daemon.console.seen import Seen

EVERY_S: Final = 1.0
MINUTE_NS: Final = 60 * SECOND_NS
_MS: Final = 1_000_000

_log = logging.getLogger("history")


class Sampler:
    """Keeps `Seen`'s figures up to date."""

    def __init__(self, seen: Seen, clock: Timekeeper, store: Store) -> None:
        self._seen, self._clock, self._store = seen, clock, store
        self._kept_at = clock.now_ns() // SPAN_NS
        self._kept_steady = clock.steady_ns()
        self._marks_from = clock.now_ns() // _MS
        self._is_failing = False

    async def run(self) -> None:
        """Go on where the run before ended, then sample for as long as it runs."""
        await self._restore()
        while True:
            await asyncio.sleep(EVERY_S)
            await self._sample()

    async def _restore(self) -> None:
        now_ms = self._clock.now_ns() // _MS
        begin_ms = now_ms - 15 * 60_000
        try:
            found = await asyncio.to_thread(self._store.read, begin_ms, now_ms)
        except OSError as error:
            _log.warning("history can't be read", extra={"why": str(error)})
            return
        self._seen.samples.extend(found)
        marks = [mark for one in found for mark in one.marks if mark not in self._seen.marks]
        self._seen.marks.extendleft(reversed(marks))

    async def _sample(self) -> None:
        seen, now, at = self._seen, self._clock.steady_ns(), self._clock.now_ns()
        if seen.last_seq:
            seen.counts.append((now, seen.last_seq))
        seen.tip = take(seen, at // _MS, now, SPAN_NS)
        seen.minute = take(seen, at // _MS, now, MINUTE_NS)
        _forget(seen, now - MINUTE_NS)
        # From where the last one that was kept ended: nothing counts twice, nothing not at all.
        seen.fresh = take(seen, at // _MS, now, now - self._kept_steady)
        if at // SPAN_NS == self._kept_at:
            return
        self._kept_at, self._kept_steady = at // SPAN_NS, now
        marks = tuple(one for one in seen.marks if one.at > self._marks_from)
        self._marks_from = max((one.at for one in marks), default=self._marks_from)
        ended = self._kept_at * SPAN_NS // _MS
        sample = msgspec.structs.replace(seen.fresh, at=ended, marks=marks)
        seen.samples.append(sample)
        seen.fresh = None
        await self._keep(sample)

    async def _keep(self, sample: Sample) -> None:
        try:
            await asyncio.to_thread(self._store.add, sample)
        except OSError as error:
            if not self._is_failing:  # once: a full disk stays full for a while
                _log.warning("history is not kept", extra={"why": str(error)})
            self._is_failing = True
        else:
            self._is_failing = False


def figures_of(seen: Seen, account: int, now: int) -> Figures:
    """Return what one account came to in the last minute."""
    view = seen.views.get(account)
    is_connected = view is not None and view.connected
    return figures.figures({account: is_connected}, *told(seen, now - MINUTE_NS))


def told(seen: Seen, since: int) -> tuple[list[Decided], list[Ended], list[Compared]]:
    """Return what was told after a steady time."""
    return (
        [one for one in seen.decided if one.heard > since],
        [one for one in seen.ended if one.heard > since],
        [one for one in seen.compared if one.heard > since],
    )


def take(seen: Seen, at_ms: int, now: int, span_ns: int) -> Sample:
    """Sample what is seen now, and what was decided in the span before."""
    rows = seen.status.get("accounts", [])
    views = {number: seen.views.get(number) for number in (int(row["account"]) for row in rows)}
    everyone = {number: one is not None and one.connected for number, one in views.items()}
    guarded = sum(not view.account_objection(seen, row, now) for row in rows)
    return figures.sample(
        at_ms,
        rate(seen.counts),
        everyone,
        guarded,
        figures.cohort_of(seen.rollout),
        told(seen, now - span_ns),
        seen.status.get("processes", []),
    )


def rate(counts: Sequence[tuple[int, int]]) -> float:
    """Return how many records a second the journal took between the first look and the last."""
    if len(counts) < 2:
        return 0.0
    (began, first), (ended, last) = counts[0], counts[-1]
    return max(last - first, 0) / ((ended - began) / SECOND_NS) if ended > began else 0.0


def _forget(seen: Seen, before: int) -> None:
    for told in (seen.decided, seen.ended, seen.compared):
        while told and told[0].heard <= before:
            told.popleft()

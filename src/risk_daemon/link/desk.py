"""Where goals wait for the budget and requests leave. Decides nothing: the fence does.

Closes go before cancels whenever something has to wait (`link.waiting`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from risk_daemon.broker import budget as rationing
from risk_daemon.broker import fence
from risk_daemon.broker.port import Broker, Request
from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import Intended
from risk_daemon.link.send_log import SendLog
from risk_daemon.link.waiting import KEPT, Waiting


class Desk:
    """Takes goals in, lets requests out, brings answers back."""

    def __init__(
        self,
        gate: fence.Gate,
        broker: Broker,
        budget: rationing.Budget,
        clock: Timekeeper,
        *,
        apply: Callable[[fence.Input], list[fence.Output]],
        on_unauthorized: Callable[[], None],
        release_of: Callable[[int], str] = lambda _: "",
        sent: SendLog,
    ) -> None:
        self._gate, self._broker, self._clock = gate, broker, clock
        self._apply, self._sent = apply, sent
        self._queue = Waiting(
            budget, clock.now_ns, apply, on_unauthorized, release_of, sent.left_at
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump_at: asyncio.TimerHandle | None = None

    def take(self, intended: Intended, *, by_person: bool = False) -> None:
        """Take a goal in, once per key: it may come by the stream and directly."""
        if self._queue.take(intended, by_person=by_person):
            self.pump()

    def look_for(self, intended: Intended, left_at: int) -> None:
        """Take over a goal that may have left: wherever it comes from again, it is not sent."""
        self._queue.look_for(intended, left_at)

    def know(self, key: str) -> None:
        """Count a goal as taken in: nothing is to be done for it."""
        self._queue.know(key)

    def knows(self, key: str) -> bool:
        """Tell whether a goal of this key was taken in."""
        return self._queue.knows(key)

    @property
    def waiting(self) -> int:
        """Goals that wait for the budget."""
        return self._queue.waiting

    def pump(self) -> None:
        """Hand goals to the fence while the budget lets requests out, each release's in order."""
        until = self._queue.pump()
        if until:
            self._pump_later(until)

    def _pump_later(self, until: int) -> None:
        if self._pump_at is not None:
            self._pump_at.cancel()
        wait_s = max(until - self._clock.now_ns(), 1_000_000) / 1e9
        self._pump_at = asyncio.get_running_loop().call_later(wait_s, self.pump)

    def send(self, request: Request) -> None:
        """Let a request out; without budget it did not leave, and the fence is told so."""
        if not self._queue.may_leave(request):
            asyncio.get_running_loop().call_soon(self._apply, fence.Answered(request, KEPT))
            return
        task = asyncio.create_task(self._send(request), name=f"send {request.request}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, request: Request) -> None:
        outcome = await self._broker.send(request, partial(self._leaves, request))
        self._queue.answered(request, outcome)
        self.pump()

    def _leaves(self, request: Request) -> None:
        """Note that a request leaves: whoever comes after us must not have to guess."""
        at = fence.leaves_at(self._gate, request.account, self._clock.now_ns())
        self._sent.note(request.key, at)

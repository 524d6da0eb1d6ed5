"""Where goals wait for the budget and requests leave. Decides nothing: the fence does.

Closes go before cancels whenever something has to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from risk_daemon.broker import budget as rationing
from risk_daemon.broker import fence
from risk_daemon.broker.port import REFUSED, THROTTLED, UNAUTHORIZED, Broker, Outcome, Request
from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import Intended

_FIRST: Final = {"close": 0, "reduce": 0, "resize": 1, "cancel": 2}
KEYS_MAX: Final = 10_000


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
    ) -> None:
        self._release_of = release_of
        self._gate, self._broker, self._budget, self._clock = gate, broker, budget, clock
        self._apply = apply
        self._on_unauthorized = on_unauthorized
        self._waiting: list[tuple[int, int, Intended, bool]] = []
        self._keys: dict[str, None] = {}
        self._count = 0
        self._reserved = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump_at: asyncio.TimerHandle | None = None

    def take(self, intended: Intended, *, by_person: bool = False) -> None:
        """Take a goal in, once per key: it may come by the stream and directly."""
        if intended.key in self._keys:
            return
        self._keys[intended.key] = None
        if len(self._keys) > KEYS_MAX:
            del self._keys[next(iter(self._keys))]
        self._count += 1
        rank = _FIRST.get(intended.goal.act, 3)
        self._waiting.append((rank, self._count, intended, by_person))
        self.pump()

    def knows(self, key: str) -> bool:
        """Tell whether a goal of this key was taken in."""
        return key in self._keys

    @property
    def waiting(self) -> int:
        """Goals that wait for the budget."""
        return len(self._waiting)

    def pump(self) -> None:
        """Hand goals to the fence while the budget lets requests out, each release's in order."""
        self._waiting.sort(key=lambda item: item[:2])
        refused: set[str] = set()
        while (item := self._first(refused)) is not None:
            _, _, intended, by_person = item
            looks = intended.goal.act == "look"
            now, release = self._clock.now_ns(), self._whose(intended, by_person=by_person)
            if not looks and not rationing.take(
                self._budget, rationing.ENFORCEMENT, now, release=release
            ):
                refused.add(release)
                continue
            self._waiting.remove(item)
            self._reserved = 0 if looks else 1
            self._apply(fence.Decided(intended, by_person))
            if self._reserved:
                rationing.give_back(self._budget, rationing.ENFORCEMENT, release)
                self._reserved = 0
        if refused:
            self._pump_later(self._clock.now_ns())

    def _first(self, refused: set[str]) -> tuple[int, int, Intended, bool] | None:
        """Return the first goal that waits, of no release that has to wait for its turn."""
        for item in self._waiting:
            if self._whose(item[2], by_person=item[3]) not in refused:
                return item
        return None

    def _whose(self, intended: Intended, *, by_person: bool) -> str:
        return "" if by_person else self._release_of(intended.account)

    def _pump_later(self, now: int) -> None:
        if self._pump_at is not None:
            self._pump_at.cancel()
        wait_s = max(rationing.free_at(self._budget, now) - now, 1_000_000) / 1e9
        self._pump_at = asyncio.get_running_loop().call_later(wait_s, self.pump)

    def send(self, request: Request) -> None:
        """Let a request out; without budget it did not leave, and the fence is told so."""
        if self._reserved:
            self._reserved = 0
        elif not rationing.take(
            self._budget,
            rationing.ENFORCEMENT,
            self._clock.now_ns(),
            release=self._release_of(request.account),
        ):
            kept = Outcome(outcome=REFUSED, code=429, meaning=THROTTLED, text="own budget")
            asyncio.get_running_loop().call_soon(self._apply, fence.Answered(request, kept))
            return
        task = asyncio.create_task(self._send(request), name=f"send {request.request}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, request: Request) -> None:
        outcome = await self._broker.send(request)
        rationing.answer(
            self._budget,
            rationing.ENFORCEMENT,
            self._clock.now_ns(),
            throttled=outcome.meaning == THROTTLED,
        )
        if outcome.meaning == UNAUTHORIZED:
            self._on_unauthorized()
        self._apply(fence.Answered(request, outcome))
        self.pump()

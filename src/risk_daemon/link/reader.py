"""Reads of accounts: at most one under way per account, the urgent ones first.

A read is *stable* when nothing of the account arrived while it was under way;
an unstable one is repeated, for only a stable one may re-base quantities.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.port import Broker, Reading, Rows
from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import Reconciled
from risk_daemon.errors import BrokerUnavailable, Malformed

PARTS: Final = 3
REPEAT_AFTER_S: Final = 0.02
FAILED_AFTER_S: Final = 0.25
REPEATS_MAX: Final = 20


class Wish(msgspec.Struct, kw_only=True):
    """What somebody wants to know of an account."""

    recent: bool = False
    why: str = ""
    urgent: bool = False


class Reader:
    """Reads accounts of one login and hands each result on."""

    def __init__(
        self,
        broker: Broker,
        budget: rationing.Budget,
        clock: Timekeeper,
        *,
        arrivals: Callable[[int], int],
        since: Callable[[int, int], int],
        standing: Callable[[int], tuple[int, bool]],
        on_reading: Callable[[Reading], None],
        on_failure: Callable[[int, Exception], None],
    ) -> None:
        self._broker, self._budget, self._clock = broker, budget, clock
        self._arrivals, self._since, self._standing = arrivals, since, standing
        self._on_reading, self._on_failure = on_reading, on_failure
        self._wishes: dict[int, Wish] = {}
        self._busy: set[int] = set()
        self._wanted = asyncio.Event()
        self._news = asyncio.Condition()
        #: The last stable reading of each account, and when it began.
        self.last: dict[int, Reading] = {}
        self.last_read_at: dict[int, int] = {}

    def want(self, account: int, *, recent: bool = False, why: str, urgent: bool = True) -> None:
        """Ask for a read; several wishes for one account become one read."""
        wish = self._wishes.setdefault(account, Wish(why=why))
        wish.recent = wish.recent or recent
        wish.urgent = wish.urgent or urgent
        self._wanted.set()

    async def read_since(self, accounts: Sequence[int], at: int) -> None:
        """Return when every one of these accounts has a stable read that began after `at`."""
        async with self._news:
            await self._news.wait_for(
                lambda: all(self.last_read_at.get(number, 0) >= at for number in accounts)
            )

    async def run(self) -> None:
        """Serve wishes for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                for account in [n for n in self._wishes if n not in self._busy]:
                    wish = self._wishes.pop(account)
                    self._busy.add(account)
                    group.create_task(self._serve(account, wish))

    async def _serve(self, account: int, wish: Wish) -> None:
        try:
            for _ in range(REPEATS_MAX):
                stable = await self._once(account, wish)
                if stable:
                    return
                await asyncio.sleep(REPEAT_AFTER_S if stable is False else FAILED_AFTER_S)
            self.want(account, recent=wish.recent, why=wish.why, urgent=wish.urgent)
        finally:
            self._busy.discard(account)
            if account in self._wishes:
                self._wanted.set()

    async def _once(self, account: int, wish: Wish) -> bool | None:
        """Read once; True for a stable read, False for an unstable one, None for a failure."""
        share = rationing.VERIFICATION if wish.urgent else rationing.REST
        parts = PARTS + wish.recent
        await self._take(share, parts)
        arrivals, began_at = self._arrivals(account), self._clock.now_ns()
        throttled = False
        try:
            rows = await self._broker.read(
                account, self._since(account, began_at), recent=wish.recent
            )
        except (BrokerUnavailable, Malformed) as error:
            throttled = type(error).__name__ == "Throttled"
            self._on_failure(account, error)
            return None
        finally:
            now = self._clock.now_ns()
            for _ in range(parts):
                rationing.answer(self._budget, share, now, throttled=throttled)
        stable = self._arrivals(account) == arrivals
        reading = self._reading(account, rows, began_at, stable, wish.why)
        self._on_reading(reading)
        if stable:
            self.last[account], self.last_read_at[account] = reading, began_at
            async with self._news:
                self._news.notify_all()
        return stable

    def _reading(self, account: int, rows: Rows, began_at: int, stable: bool, why: str) -> Reading:
        balance, can_trade = self._standing(account)
        return Reading(
            account=account,
            began_at=began_at,
            ended_at=self._clock.now_ns(),
            recent=rows.recent,
            rows=Reconciled(
                account=account,
                positions=rows.positions,
                orders=rows.orders,
                trades=rows.trades,
                balance=balance,
                can_trade=can_trade,
                began_at=began_at,
                stable=stable,
                why=why,
            ),
        )

    async def _take(self, share: str, parts: int) -> None:
        """Wait until the budget lets a whole read out: half a read says nothing."""
        for _ in range(parts):
            rationing.wait(self._budget, share, 1)
            while not rationing.take(self._budget, share, self._clock.now_ns()):
                until = rationing.free_at(self._budget, self._clock.now_ns())
                await asyncio.sleep(max(until - self._clock.now_ns(), 0) / 1e9)
            rationing.wait(self._budget, share, -1)


async def forever(period_s: Callable[[], float], turn: Callable[[], Awaitable[None]]) -> None:
    """Take a turn again and again, each a period after the last one ended."""
    while True:
        await asyncio.sleep(period_s())
        await turn()

"""Reads of accounts: at most one under way per account, the urgent ones first.

A read is *stable* when nothing of the account arrived, and nothing of it was traded,
while it was under way; an unstable one is repeated, for only a stable one may re-base
quantities. A
regular read that has to wait for the budget waits outside the door: were it
*under way*, the read after a reconnect would wait behind it. An account whose
own row was never shown is not read: without it nobody knows
whether it may trade, and a guess either locks it or lets it go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.port import COST, FULL, POSITIONS, RECENT, Broker, Reading, Rows
from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import Reconciled
from risk_daemon.errors import BrokerUnavailable, Malformed
from risk_daemon.link.polling import KEEPS_OF_REST, KEEPS_OF_VERIFICATION

REPEAT_AFTER_S: Final = 0.02
VERIFY_AFTER_S: Final = 0.1
FAILED_AFTER_S: Final = 0.25
#: A gateway that answers nothing but errors must not find the budget spent when it is back. What
#: looks for a request of unknown outcome (True) waits less: a close may hang on it.
FAILED_S_MAX: Final = {False: 4.0, True: 1.0}
REPEATS_MAX: Final = 20
BUDGET_LOOK_S: Final = 0.1
RECONNECT_KEEPS: Final = 16
#: Why a read is wanted that somebody waits for: a person, or who was just given an account.
ASKED: Final = "asked"
#: Of enforcement's share, what such a read leaves to the closes.
ASKED_KEEPS: Final = 60


class Wish(msgspec.Struct, kw_only=True):
    """What somebody wants to know of an account."""

    depth: str = POSITIONS
    why: str = ""


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
        standing: Callable[[int], tuple[int, bool] | None],
        on_reading: Callable[[Reading], None],
        on_failure: Callable[[int, Exception], None],
    ) -> None:
        self._broker, self._budget, self._clock = broker, budget, clock
        self._arrivals, self._since, self._standing = arrivals, since, standing
        self._on_reading, self._on_failure = on_reading, on_failure
        self._wishes: dict[int, Wish] = {}
        self._polls: dict[int, Wish] = {}
        self._busy: set[int] = set()
        #: How many reads wait for the budget.
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._news = asyncio.Condition()
        #: Another client has the streams: what is known is what is read.
        self.is_polling = False
        #: The last stable reading of each account, and when it began.
        self.last: dict[int, Reading] = {}
        self.last_read_at: dict[int, int] = {}

    def want(self, account: int, depth: str = FULL, *, why: str, urgent: bool = True) -> None:
        """Ask for a read; several wishes for one account become one, as deep as the deepest."""
        wish = (self._wishes if urgent else self._polls).setdefault(account, Wish(why=why))
        wish.depth = max(wish.depth, depth, key=lambda name: COST[name])
        wish.why = ASKED if why == ASKED else wish.why
        self._wanted.set()

    def forget(self) -> None:
        """What was read did not reach everybody: the next read begins where the first one did."""
        self.last_read_at.clear()

    async def read_since(
        self, accounts: Sequence[int], at: int, each_within_s: float | None = None
    ) -> None:
        """Return when every one of these accounts has a stable read that began after `at`.

        TimeoutError if no further one comes within `each_within_s`, though the budget let one
        out: of fifty accounts the last wait for a minute's requests, those of a link before this
        one among them, and to begin again with the first would never end.
        """
        async with self._news:
            while left := self._unread(accounts, at):
                try:
                    async with asyncio.timeout(each_within_s):
                        await self._news.wait_for(lambda: self._unread(accounts, at) < left)
                except TimeoutError:
                    if not self._waiting and self._unread(accounts, at) == left:
                        raise

    def _unread(self, accounts: Sequence[int], at: int) -> int:
        return sum(self.last_read_at.get(number, 0) < at for number in accounts)

    async def run(self) -> None:
        """Serve wishes for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(forever(lambda: BUDGET_LOOK_S, lambda: self._poll(group)))
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                for account in [n for n in self._wishes if self._may_serve(n)]:
                    wish = self._wishes.pop(account)
                    self._busy.add(account)
                    group.create_task(self._serve(account, wish))

    def _may_serve(self, account: int) -> bool:
        return account not in self._busy and self._standing(account) is not None

    async def _serve(self, account: int, wish: Wish) -> None:
        """Read until the read is stable; a cheap one waits for the burst of messages to pass."""
        overtaken_s = VERIFY_AFTER_S if wish.depth == POSITIONS else REPEAT_AFTER_S
        failed_s, failed_s_max = FAILED_AFTER_S, FAILED_S_MAX[wish.depth == RECENT]
        try:
            for _ in range(REPEATS_MAX):
                stable = await self._once(account, wish, await self._take(account, wish))
                if stable:
                    return
                await asyncio.sleep(overtaken_s if stable is False else failed_s)
                if stable is None:
                    failed_s = min(failed_s * 2, failed_s_max)
            self.want(account, wish.depth, why=wish.why)
        finally:
            self._leave(account)

    async def _poll(self, group: asyncio.TaskGroup) -> None:
        """Let those regular reads out that the budget has room for now, beside one reconnect."""
        for account in [n for n in self._polls if self._may_serve(n) and n not in self._wishes]:
            cost, now = COST[self._polls[account].depth], self._clock.now_ns()
            share = self._share_for_poll(cost, now)
            if share is None:
                return
            self._busy.add(account)
            group.create_task(self._serve_poll(account, self._polls.pop(account), share))

    async def _serve_poll(self, account: int, wish: Wish, share: str) -> None:
        try:
            stable = await self._once(account, wish, share)
            if stable is False:
                self._polls.setdefault(account, wish)
            elif stable is None and not self.is_polling:  # else its next turn comes by itself
                again = asyncio.get_running_loop().call_later
                again(FAILED_S_MAX[False], self._polls.setdefault, account, wish)
        finally:
            self._leave(account)

    def _leave(self, account: int) -> None:
        self._busy.discard(account)
        if account in self._wishes:
            self._wanted.set()

    async def _once(self, account: int, wish: Wish, share: str) -> bool | None:
        """Read once; True for a stable read, False for an unstable one, None for a failure."""
        cost = COST[wish.depth]
        arrivals, began_at = self._arrivals(account), self._clock.now_ns()
        throttled = False
        try:
            rows = await self._broker.read(account, self._since(account, began_at), wish.depth)
        except (BrokerUnavailable, Malformed) as error:
            throttled = type(error).__name__ == "Throttled"
            self._on_failure(account, error)
            return None
        finally:
            now = self._clock.now_ns()
            rationing.answer(self._budget, share, now, cost, throttled=throttled)
        # A fill that the stream is late with may lie between the positions and the trades.
        is_torn = any(trade.traded_at >= began_at for trade in rows.trades)
        stable = self._arrivals(account) == arrivals and not is_torn
        reading = self._reading(account, rows, began_at, stable, wish)
        self._on_reading(reading)
        if stable and wish.depth != POSITIONS:
            self.last[account], self.last_read_at[account] = reading, began_at
            self._polls.pop(account, None)
            async with self._news:
                self._news.notify_all()
        return stable

    def _reading(
        self, account: int, rows: Rows, began_at: int, stable: bool, wish: Wish
    ) -> Reading:
        standing = self._standing(account)
        assert standing is not None
        balance, can_trade = standing
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
                why=wish.why,
                only_positions=wish.depth == POSITIONS,
            ),
        )

    async def _take(self, account: int, wish: Wish) -> str:
        """Wait until the budget lets the whole read out; return the share that pays for it.

        An urgent read may also use what polling leaves; polling never uses the share of
        verification. What enforcement has may be used by the reads it waits for: the first
        one of an account, those that look for what happened while nobody could see, and those
        without which views that differ let nothing be reduced; half of it by what was asked for.
        """
        cost = COST[wish.depth]
        rationing.wait(self._budget, rationing.VERIFICATION, cost)
        self._waiting += 1
        try:
            while True:
                if self._takes_over(account, wish):
                    rationing.wait(self._budget, rationing.VERIFICATION, COST[wish.depth] - cost)
                    cost = COST[wish.depth]
                now = self._clock.now_ns()
                if rationing.take(self._budget, rationing.VERIFICATION, now, cost):
                    return rationing.VERIFICATION
                if self._take_rest(cost, now):
                    return rationing.REST
                enforcing = self._is_first(account) or wish.depth == RECENT
                if enforcing and rationing.take(self._budget, rationing.ENFORCEMENT, now, cost):
                    return rationing.ENFORCEMENT
                if wish.why == ASKED and self._take_asked(cost, now):
                    return rationing.ENFORCEMENT
                until = rationing.free_at(self._budget, now)
                await asyncio.sleep(min(max(until - now, 0) / 1e9, BUDGET_LOOK_S))
        finally:
            self._waiting -= 1
            rationing.wait(self._budget, rationing.VERIFICATION, -cost)

    def _takes_over(self, account: int, wish: Wish) -> bool:
        """Take over a deeper wish, or one that somebody waits for.

        Behind a read that waits for the budget it could wait a minute; and that read has not
        begun, so it shows what was wanted meanwhile just as well.
        """
        more = self._wishes.get(account)
        if more is None:
            return False
        is_deeper = COST[more.depth] > COST[wish.depth]
        if not is_deeper and (more.why != ASKED or wish.why == ASKED):
            return False
        del self._wishes[account]
        wish.depth = max(wish.depth, more.depth, key=lambda name: COST[name])
        wish.why = more.why
        return True

    def _take_asked(self, cost: int, now: int) -> bool:
        return self._take_beside(rationing.ENFORCEMENT, ASKED_KEEPS, cost, now)

    def _take_rest(self, cost: int, now: int) -> bool:
        return rationing.take(self._budget, rationing.REST, now, cost)

    def _is_first(self, account: int) -> bool:
        return account not in self.last_read_at

    def _share_for_poll(self, cost: int, now: int) -> str | None:
        """Return the share that pays for a regular read now, None for none.

        While another client has the streams regular reads are all that verifies.
        """
        keeps = KEEPS_OF_REST if self.is_polling else RECONNECT_KEEPS
        if self._take_beside(rationing.REST, keeps, cost, now):
            return rationing.REST
        share = rationing.VERIFICATION
        if self.is_polling and self._take_beside(share, KEEPS_OF_VERIFICATION, cost, now):
            return share
        return None

    def _take_beside(self, share: str, keeps: int, cost: int, now: int) -> bool:
        room = rationing.left(self._budget, share, now) - keeps
        return room >= cost and rationing.take(self._budget, share, now, cost)


async def forever(period_s: Callable[[], float], turn: Callable[[], Awaitable[None]]) -> None:
    """Take a turn again and again, each a period after the last one ended."""
    while True:
        await asyncio.sleep(period_s())
        await turn()

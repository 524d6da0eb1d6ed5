"""Which contracts' prices the link follows, and how far their marks may be believed.

Followed is what is held, worked in or just traded; the rest costs a stream and
decides nothing. When a contract is followed no more its mark is withdrawn (a
mark without any price): an hour later it would value a new position wrongly.
"""

from __future__ import annotations

from collections.abc import Callable

from risk_daemon.broker import fence
from risk_daemon.broker.port import Broker, Intake
from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import Fact, MarkChanged, QuoteAged
from risk_daemon.errors import BrokerUnavailable, Malformed
from risk_daemon.link import ages
from risk_daemon.link.session import Session


class Prices:
    """Follows contracts, notes what is heard of them, looks at those that went silent."""

    def __init__(
        self,
        broker: Broker,
        session: Session,
        clock: Timekeeper,
        gate: fence.Gate,
        *,
        intake: Intake,
        put: Callable[[Fact], None],
        spawn: Callable[[object], None],
        in_session: Callable[[], bool],
    ) -> None:
        self._broker, self._session, self._clock, self._gate = broker, session, clock, gate
        self._put, self._spawn, self._in_session = put, spawn, in_session
        self._intake = intake
        self._ages = ages.Ages()

    def see(self, fact: Fact) -> None:
        """Follow the contract of a fact that shows something alive."""
        if fence.calls_for_watching(fact):
            self._follow(getattr(fact, "contract", ""))

    def hear(self, contract: str) -> None:
        """Note a quote or a print."""
        if ages.hear(self._ages, contract, self._clock.steady_ns()):
            self._put(QuoteAged(contract=contract, state=ages.FRESH))

    def begin_anew(self) -> None:
        """The market stream broke: what is told next leaves out what changed meanwhile."""
        for contract in self._session.contracts:
            self._intake.forget_mark(contract)

    async def turn(self) -> None:
        """Follow what matters now, let go of the rest, look at one that is silent."""
        wanted = fence.watched(self._gate, self._clock.now_ns())
        for contract in sorted(wanted):
            self._follow(contract)
        for contract in sorted(self._session.contracts - wanted):
            await self._let_go(contract)
        now = self._clock.steady_ns()
        if not self._in_session():
            self._say_of_all(ages.QUIET, "the exchange is closed", now)
        elif not self._session.is_open:
            self._say_of_all(ages.STALE, "the market stream is not open", now)
        elif contract := ages.next_look(self._ages, now):
            await self._look(contract, now)

    def _follow(self, contract: str) -> None:
        if contract not in self._session.contracts:
            ages.begin(self._ages, contract, self._clock.steady_ns())
            self._spawn(self._session.follow(contract))

    async def _let_go(self, contract: str) -> None:
        await self._session.unfollow(contract)
        if contract not in self._session.contracts:
            ages.end(self._ages, contract)
            self._intake.forget_mark(contract)
            self._put(MarkChanged(contract=contract))

    def _say_of_all(self, state: str, why: str, now: int) -> None:
        for contract in ages.old(self._ages, now):
            self._judge(contract, state, why, now)

    async def _look(self, contract: str, now: int) -> None:
        """Ask over REST for the last trade's price, and compare it with the mark's."""
        try:
            price = await self._broker.last_price(contract, self._clock.now_ns())
        except (BrokerUnavailable, Malformed) as error:
            self._judge(contract, ages.STALE, f"its last trade cannot be read: {error}", now)
            return
        mark = self._intake.mark(contract)
        if price is None or (mark is not None and price == mark.last):
            self._judge(contract, ages.QUIET, "nothing was traded since its last quote", now)
        elif self._judge(contract, ages.STALE, "it trades, and no quote comes", now):
            await self._session.follow_anew(contract)

    def _judge(self, contract: str, state: str, why: str, now: int) -> bool:
        is_news = ages.judge(self._ages, contract, state, now)
        if is_news:
            self._put(QuoteAged(contract=contract, state=state, why=why[:300]))
        return is_news

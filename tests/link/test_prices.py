"""Prices: of what matters, no longer than it matters, and never believed beyond what is known."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from risk_daemon.broker import fence
from risk_daemon.broker.port import Broker, Intake
from risk_daemon.clock import FakeClock
from risk_daemon.core.events import Fact, FeedChanged, MarkChanged, PrintSeen, QuoteAged
from risk_daemon.link.ages import OLD_AFTER, QUIET, STALE
from risk_daemon.link.prices import Prices
from risk_daemon.link.session import Session
from tests.build import position
from tests.link.at_work import MNQ, AtWork
from tests.link.conftest import Play

MES = "CON.F.US.MES.Z26"


async def topics(work: AtWork) -> set[tuple[str, str]]:
    """What this login's market hub is subscribed to, as the gateway has it."""
    found = await asyncio.to_thread(work.gateway.get, "/connections")
    hubs = found["logins"][work.login]["hubs"]
    told = {one for hub in hubs if hub["hub"] == "market" for one in hub["subscriptions"]}
    return {(kind, about) for kind, _, about in (one.partition(":") for one in told)}


def states(work: AtWork, after: int) -> list[str]:
    return [one.state for one in work.stream.of(QuoteAged, after) if one.contract == MNQ]


def test_quotes_and_prints_are_followed_of_what_is_held_and_of_what_orders_work_in(
    play: Play,
) -> None:
    async def story(work: AtWork) -> None:
        assert await topics(work) == set()
        await work.trade(1)
        await work.until(lambda: work.stream.of(MarkChanged), "a quote")
        await work.until(lambda: work.stream.of(PrintSeen), "a print")
        assert await topics(work) == {("quote", MNQ), ("print", MNQ)}
        order = await work.rest(1, "100.00", contract="MES")
        await work.until_so(lambda: followed(work, MES), "the order's contract to be followed")
        await work.tell("/cancel", account=work.account, order=order)
        await work.until_so(lambda: let_go(work, MES), "it to be let go")
        withdrawn = MarkChanged(contract=MES)
        await work.until(
            lambda: (
                [m for m in work.stream.of(MarkChanged) if m.contract == MES][-1:] == [withdrawn]
            ),
            "its mark to be withdrawn",
        )
        assert await topics(work) == {("quote", MNQ), ("print", MNQ)}

    play(story)


async def followed(work: AtWork, contract: str) -> bool:
    return {("quote", contract), ("print", contract)} <= await topics(work)


async def let_go(work: AtWork, contract: str) -> bool:
    return not {about for _, about in await topics(work)} & {contract}


def test_a_market_hub_that_is_open_and_silent_is_named_stale_and_not_reconnected(
    play: Play,
) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(1)
        await work.until(lambda: work.stream.of(MarkChanged), "a quote")
        before, opened = work.stream.last_seq, work.link.session.opened_at
        await work.fault("market_silence", seconds=16.0)
        await work.until(lambda: STALE in states(work, before), "the contract to be stale")
        assert work.link.session.opened_at == opened
        await work.until(lambda: states(work, before)[-1] == "fresh", "it to be fresh", 20.0)
        assert work.stream.of(FeedChanged, before) == []
        assert await followed(work, MNQ)

    play(story)


class Silent:
    """A market of which nothing is heard, and a link that follows one contract in it."""

    def __init__(self, *, in_session: bool) -> None:
        self.clock, self.told, self.looks = FakeClock(), list[Fact](), 0
        self.gate = fence.Gate(session="s")
        self.clock.advance(OLD_AFTER)
        fence.step(self.gate, fence.Arrived(position(1)), self.clock.now_ns())
        broker, intake = cast("Broker", self), cast("Intake", self)
        session = Session(
            broker,
            self.clock,
            accounts=(),
            handlers={},
            market_handlers={},
            on_state=lambda _, __: None,
            on_open=self.nothing,
        )
        self.prices = Prices(
            broker,
            session,
            self.clock,
            self.gate,
            intake=intake,
            put=self.told.append,
            spawn=lambda what: asyncio.get_running_loop().create_task(what),  # type: ignore[arg-type]
            in_session=lambda: in_session,
        )

    async def nothing(self) -> None:
        """Nothing is opened here."""

    async def last_price(self, contract: str, now: int) -> int | None:
        del contract, now
        self.looks += 1
        return None

    async def turns(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.prices.turn()
            await asyncio.sleep(0)
            self.clock.advance(1_000_000_000)


@pytest.mark.parametrize(("in_session", "state"), [(False, QUIET), (True, STALE)])
def test_silence_is_quiet_in_the_daily_break_and_stale_without_a_stream(
    in_session: bool,  # noqa: FBT001
    state: str,
) -> None:
    market = Silent(in_session=in_session)

    asyncio.run(market.turns(20))

    told = [fact.state for fact in market.told if isinstance(fact, QuoteAged)]
    assert told == [state]
    assert market.looks == 0

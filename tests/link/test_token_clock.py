"""The token: renewed in time, and one login for however many refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from risk_daemon.broker.port import Broker
from risk_daemon.clock import SECOND_NS, FakeClock
from risk_daemon.errors import BrokerUnavailable
from risk_daemon.link.session import Session
from risk_daemon.link.token_clock import LOGIN_AGAIN, LOGIN_EVERY, RENEW_BEFORE, TokenClock
from tests.link.at_work import AtWork
from tests.link.conftest import Play


class Desk:
    """A broker with a token, a clock that tests move, and what came of it."""

    def __init__(self, *, renews: bool = True, logs_in: bool = True) -> None:
        self.clock, self.renews, self.logs_in = FakeClock(RENEW_BEFORE), renews, logs_in
        self.token_expires_at = 0
        self.asked: list[str] = []
        self.renewed = 0
        self.refusals: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        broker = cast("Broker", self)
        session = Session(
            broker,
            self.clock,
            accounts=(),
            handlers={},
            market_handlers={},
            on_state=lambda _, __: None,
            on_open=self._nothing,
        )
        self.token = TokenClock(
            broker,
            session,
            self.clock,
            spawn=self._spawn,
            on_renewed=self._count,
            on_refused=self.refusals.append,
        )

    async def renew(self) -> None:
        self.asked.append("renew")
        if not self.renews:
            raise BrokerUnavailable("no token of ours")

    async def login(self) -> None:
        self.asked.append("login")
        if not self.logs_in:
            raise BrokerUnavailable("a wrong key")

    def run(self, *steps: Callable[[], Awaitable[None]]) -> None:
        async def story() -> None:
            for step in steps:
                await step()
                await asyncio.gather(*self._tasks)

        asyncio.run(story())

    async def is_refused(self) -> None:
        for _ in range(5):
            self.token.refused()

    async def time_passes(self) -> None:
        self.clock.advance(LOGIN_EVERY)

    async def _nothing(self) -> None:
        """Nothing is opened here."""

    def _spawn(self, what: object) -> None:
        self._tasks.append(asyncio.ensure_future(cast("Awaitable[None]", what)))

    def _count(self) -> None:
        self.renewed += 1


def test_a_token_is_renewed_two_hours_before_its_end_and_not_sooner() -> None:
    desk = Desk()
    desk.token_expires_at = desk.clock.now_ns() + 12 * RENEW_BEFORE
    desk.run(desk.token.keep)
    desk.clock.advance(11 * RENEW_BEFORE)
    desk.run(desk.token.keep)
    assert desk.asked == []

    desk.clock.advance(1)
    desk.run(desk.token.keep, desk.token.keep)
    assert desk.asked == ["renew"]


def test_a_token_that_lives_shorter_is_renewed_at_half_of_its_life() -> None:
    desk = Desk()
    desk.token_expires_at = desk.clock.now_ns() + 2 * SECOND_NS
    desk.run(desk.token.keep)
    desk.clock.advance(SECOND_NS)
    desk.run(desk.token.keep)
    assert desk.asked == []

    desk.clock.advance(1)
    desk.run(desk.token.keep)
    assert desk.asked == ["renew"]


def test_a_token_that_does_not_say_its_end_is_left_alone() -> None:
    desk = Desk()

    desk.run(desk.token.keep)

    assert desk.asked == []


def test_one_that_cannot_be_renewed_is_replaced_by_a_login_and_everything_is_read() -> None:
    desk = Desk(renews=False)
    desk.token_expires_at = desk.clock.now_ns() + RENEW_BEFORE
    desk.run(desk.token.keep)
    desk.clock.advance(RENEW_BEFORE)

    desk.run(desk.token.keep)

    assert (desk.asked, desk.renewed) == (["renew", "login"], 1)


def test_many_refusals_at_once_are_one_login() -> None:
    desk = Desk()

    desk.run(desk.is_refused, desk.is_refused)

    assert (desk.asked, desk.renewed) == (["login"], 1)


def test_a_token_that_is_refused_a_second_after_its_login_is_replaced_again() -> None:
    desk = Desk()

    async def a_second_passes() -> None:
        desk.clock.advance(LOGIN_AGAIN)

    desk.run(desk.is_refused, a_second_passes, desk.is_refused)

    assert (desk.asked, desk.renewed) == (["login"] * 2, 2)


def test_a_login_that_is_refused_is_told_and_tried_again_later_not_at_once() -> None:
    desk = Desk(logs_in=False)

    desk.run(desk.is_refused, desk.is_refused, desk.time_passes, desk.is_refused)

    assert desk.asked == ["login"] * 2
    assert (desk.refusals, desk.renewed) == (["a wrong key"] * 2, 0)


def test_the_gateway_renews_a_token_without_a_login(play: Play) -> None:
    async def story(work: AtWork) -> None:
        logins = len(await work.requests("/Auth/loginKey"))
        began = work.clock.now_ns()
        await work.link.broker.renew()
        work.link.reader.want(work.account, why="a test")
        work.link.reader.want(work.accounts[1], why="a test")
        await work.was_read(began)
        assert len(await work.requests("/Auth/loginKey")) == logins
        assert work.feed == "trusted"

    play(story)

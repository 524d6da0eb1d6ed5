"""Supervision of the broker session: both hubs, probed, rebuilt, subscribed anew.

States a person sees: `trusted` (hubs open, subscribed, every account read
since), `suspect` (a probe is late, the reads are not done, or somebody doubts
what was passed on), `polling` (another client took the hubs; accounts are read
in turn), `blind` (neither). Quiet is not dead: only the probe tells.
The SDK's own reconnecting is not used, because a connection without our
subscriptions is deaf and says so to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from risk_daemon.broker.port import Broker, HubLike
from risk_daemon.clock import Timekeeper
from risk_daemon.errors import BrokerRefused, BrokerUnavailable

PROBE_EVERY_S: Final = 0.5
PROBE_WITHIN_S: Final = 0.75
SUBSCRIBE_WITHIN_S: Final = 3.0
BACK_OFF_S: Final = (0.05, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: The first wait is short: most logouts are a token's end. Whoever is logged out again has met
#: another client, and to come back soon would only throw that one out.
LOGOUT_BACK_OFF_S: Final = (5.0, 30.0, 60.0, 120.0, 300.0)
#: The session is ours again when it was served for so long.
OURS_AFTER_NS: Final = 60_000_000_000
BLIND: Final = "blind"
POLLING: Final = "polling"
#: A run of good service after which the next drop begins with the shortest wait again.
GOOD_AFTER_NS: Final = 10_000_000_000


class Session:
    """Keeps one login's hubs alive; tells what state the feed is in."""

    def __init__(
        self,
        broker: Broker,
        clock: Timekeeper,
        *,
        accounts: tuple[int, ...],
        handlers: dict[str, Callable[..., None]],
        market_handlers: dict[str, Callable[..., None]],
        on_state: Callable[[str, str], None],
        on_open: Callable[[], Awaitable[None]],
        on_login: Callable[[], None] = lambda: None,
    ) -> None:
        self._broker, self._clock, self._accounts = broker, clock, accounts
        self._handlers, self._market_handlers = handlers, market_handlers
        self._on_state, self._on_open, self._on_login = on_state, on_open, on_login
        self._user: HubLike | None = None
        self._market: HubLike | None = None
        self._contracts: set[str] = set()
        self._failures = 0
        self._logouts = 0
        self._is_taken = False
        self._was_logged_out = False
        self._needs_login = True
        self.state = BLIND
        self._why = ""
        self._doubt = ""
        self.probe_ns: dict[str, int] = {}
        self.opened_at = 0

    @property
    def contracts(self) -> frozenset[str]:
        """Contracts whose quotes are subscribed."""
        return frozenset(self._contracts)

    @property
    def is_taken(self) -> bool:
        """Another client took the session, and it has not been served since."""
        return self._is_taken

    @property
    def is_open(self) -> bool:
        """Both hubs are open and subscribed, as far as is known."""
        return self._market is not None and self.state not in (BLIND, POLLING)

    def need_login(self) -> None:
        """Take the token for revoked: log in before the next connection."""
        self._needs_login = True

    def doubt(self, why: str) -> None:
        """Be suspect until `believe`: not all that was shown has been passed on."""
        self._doubt = why
        if self.state not in (BLIND, POLLING):
            self.state = "suspect"
            self._on_state("suspect", why)

    def believe(self) -> None:
        """Every account was read since the doubt began; the next probe may say trusted."""
        self._doubt = ""

    def poll(self, *, works: bool, why: str) -> None:
        """Take it that reading in turn works, or that it does not and nothing is seen."""
        if self._is_taken and self._market is None:
            self._tell(POLLING if works else BLIND, why)

    async def refresh_login(self) -> None:
        """Log in again now; the hubs keep the old token until they are rebuilt."""
        await self._broker.login()
        self._needs_login = False

    async def run(self) -> None:
        """Open, watch, throw away, again, for ever; the hubs are closed when this is ended."""
        try:
            while True:
                why = await self._serve()
                self._lose(why)
                await self._drop()
                await asyncio.sleep(self._pause())
        finally:
            await self._drop()

    def _pause(self) -> float:
        served = self._clock.steady_ns() - self.opened_at if self.opened_at else 0
        self.opened_at = 0  # attempts that never opened are no good service
        if self._is_taken:
            self._was_logged_out = False
            if served > OURS_AFTER_NS:
                self._logouts = 0
            wait = LOGOUT_BACK_OFF_S[min(self._logouts, len(LOGOUT_BACK_OFF_S) - 1)]
            self._logouts += 1
            return wait
        if served > GOOD_AFTER_NS:
            self._failures = 0
        wait = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
        self._failures += 1
        return wait

    async def _serve(self) -> str:
        """Serve one pair of hubs until it is lost; return why."""
        try:
            await self._open()
            if self.state != POLLING:  # until every account is read, polling is the better word
                self._set("suspect", "reading the accounts")
            await self._unless_lost(self._on_open())
            self._trust()
            return await self._watch()
        except (BrokerUnavailable, BrokerRefused) as error:
            if type(error).__name__ == "Unauthorized":
                self._needs_login = True
            return str(error)

    async def _unless_lost(self, opened: Awaitable[None]) -> None:
        """Wait for the first reads; a hub that closes meanwhile ends them."""
        hubs = [hub for hub in (self._user, self._market) if hub is not None]
        reads = asyncio.ensure_future(opened)
        deaths = [asyncio.ensure_future(hub.wait_dead()) for hub in hubs]
        try:
            await asyncio.wait([reads, *deaths], return_when=asyncio.FIRST_COMPLETED)
            if not reads.done():
                raise BrokerUnavailable("a hub closed while the accounts were read")
            await reads
        finally:
            for one in (reads, *deaths):
                one.cancel()

    async def _open(self) -> None:
        if self._needs_login:
            await self._broker.login()
            self._needs_login = False
            self._on_login()
        await self._broker.warm()
        user, market = self._broker.hubs()
        self._user, self._market = user, market
        for event, handler in self._handlers.items():
            user.on(event, handler)
        for event, handler in self._market_handlers.items():
            market.on(event, handler)
        for hub in (user, market):
            hub.on("GatewayLogout", self._logged_out)
        try:
            await self._together(user.open(), market.open())
        except BrokerUnavailable:
            # A stale token answers 401 in a way the hub cannot tell from any other failure.
            self._needs_login = True
            raise
        await self._subscribe(user, market)
        self.opened_at = self._clock.steady_ns()

    async def _subscribe(self, user: HubLike, market: HubLike) -> None:
        calls = [user.invoke("SubscribeAccounts", [], SUBSCRIBE_WITHIN_S)]
        for account in self._accounts:
            calls += [
                user.invoke(f"Subscribe{what}", [account], SUBSCRIBE_WITHIN_S)
                for what in ("Orders", "Positions", "Trades")
            ]
        calls += [self._prices(market, contract) for contract in sorted(self._contracts)]
        await self._together(*calls)

    @staticmethod
    async def _prices(market: HubLike, contract: str, verb: str = "Subscribe") -> None:
        for what in ("Quotes", "Trades"):
            await market.invoke(f"{verb}Contract{what}", [contract], SUBSCRIBE_WITHIN_S)

    @staticmethod
    async def _together(*calls: Awaitable[None]) -> None:
        results = await asyncio.gather(*calls, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def follow(self, contract: str) -> None:
        """Subscribe a contract's quotes and prints, now and after every reconnect."""
        if contract not in self._contracts:
            self._contracts.add(contract)
            await self._ask_for_prices(contract, "Subscribe")

    async def unfollow(self, contract: str) -> None:
        """Have no more of a contract's quotes and prints."""
        self._contracts.discard(contract)
        await self._ask_for_prices(contract, "Unsubscribe")
        if contract in self._contracts:  # wanted again meanwhile
            await self._ask_for_prices(contract, "Subscribe")

    async def follow_anew(self, contract: str) -> None:
        """Subscribe a contract once more: nothing is heard of it, and something should be."""
        if contract in self._contracts:
            await self._ask_for_prices(contract, "Unsubscribe")
            await self._ask_for_prices(contract, "Subscribe")

    async def _ask_for_prices(self, contract: str, verb: str) -> None:
        market = self._market
        if market is not None and not market.is_dead:
            # A dead hub is noticed by the watch, and the next one subscribes what is followed.
            with suppress(BrokerUnavailable, BrokerRefused):
                await self._prices(market, contract, verb)

    def _logged_out(self, *arguments: object) -> None:
        """The gateway ended the session (another device?): do not fight for it."""
        del arguments
        self._was_logged_out = self._is_taken = True
        self._needs_login = True

    async def _watch(self) -> str:
        """Return why the hubs are to be thrown away, once they are."""
        user, market = self._user, self._market
        assert user is not None
        assert market is not None
        while True:
            for name, hub, method, arguments in self._probes(user, market):
                lost = await self._probe(name, hub, method, arguments)
                if lost:
                    return lost
            if self._was_logged_out:
                return "the gateway ended the session (GatewayLogout)"
            self._trust()
            await self._wait_for_death(user, market)

    def _probes(self, user: HubLike, market: HubLike) -> list[tuple[str, HubLike, str, list[Any]]]:
        """Re-subscribing is idempotent and has a completion: the only active probe there is."""
        some = sorted(self._contracts)[:1] or ["none"]
        return [
            ("user", user, "SubscribeAccounts", []),
            ("market", market, "SubscribeContractQuotes", list(some)),
        ]

    async def _probe(self, name: str, hub: HubLike, method: str, arguments: list[Any]) -> str:
        if hub.is_dead:
            return f"the {name} hub closed"
        began = self._clock.steady_ns()
        for attempt in (1, 2):
            try:
                await hub.invoke(method, arguments, PROBE_WITHIN_S)
            except BrokerRefused:
                break  # it said no, so it lives
            except BrokerUnavailable:
                if attempt == 2:
                    return f"the {name} hub does not answer"
                self._set("suspect", f"the {name} hub is late to answer")
            else:
                break
        self.probe_ns[name] = self._clock.steady_ns() - began
        return ""

    @staticmethod
    async def _wait_for_death(user: HubLike, market: HubLike) -> None:
        deaths = [asyncio.ensure_future(hub.wait_dead()) for hub in (user, market)]
        await asyncio.wait(deaths, timeout=PROBE_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        for death in deaths:
            death.cancel()

    async def _drop(self) -> None:
        hubs = [hub for hub in (self._user, self._market) if hub is not None]
        self._user = self._market = None
        await asyncio.gather(*(hub.drop() for hub in hubs), return_exceptions=True)

    def _lose(self, why: str) -> None:
        """Be blind, or poll where the session was taken, and say why.

        Whether polling works the poller says: a retry that fails takes nothing away from it.
        """
        if self._is_taken:
            if self.state not in (BLIND, POLLING):
                self._tell(POLLING, why)
        else:
            self._tell(BLIND, why)

    def _tell(self, state: str, why: str) -> None:
        """Say a state and its reason; again only when one of them is another."""
        if (state, why) != (self.state, self._why):
            self.state, self._why = state, why
            self._on_state(state, why)

    def _trust(self) -> None:
        self._is_taken = False
        if not self._doubt:
            self._set("trusted", "")
        elif self.state == POLLING:
            self._set("suspect", self._doubt)

    def _set(self, state: str, why: str) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state, why)

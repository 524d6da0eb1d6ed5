"""A broker whose every request is in the budget, also those nobody rations.

Closes are counted by the desk and reads of accounts by the reader, where they
wait for their turn. The few a login needs to work at all (its token, its lists,
a warm connection) wait for nothing, but the broker counts them too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.port import Broker, HubLike, Outcome, Request, Rows
from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import AccountSeen, ContractSeen
from risk_daemon.errors import BrokerUnavailable

SHARE: Final = rationing.REST


class Counted:
    """One login's broker, with what it asks beside closes and reads put into the budget."""

    def __init__(self, broker: Broker, budget: rationing.Budget, clock: Timekeeper) -> None:
        self._broker, self._budget, self._clock = broker, budget, clock

    async def send(self, request: Request, leaving: Callable[[], None]) -> Outcome:
        """Send one mutating request; the desk has counted it."""
        return await self._broker.send(request, leaving)

    async def read(self, account: int, since: int, depth: str) -> Rows:
        """Read an account; the reader has counted it."""
        return await self._broker.read(account, since, depth)

    async def accounts(self) -> list[AccountSeen]:
        """List all accounts of the login."""
        return await self._count(self._broker.accounts())

    async def contracts(self) -> list[ContractSeen]:
        """List the contracts that can be traded."""
        return await self._count(self._broker.contracts())

    async def contract(self, contract: str) -> ContractSeen:
        """Read one contract."""
        return await self._count(self._broker.contract(contract))

    async def last_price(self, contract: str, now: int) -> int | None:
        """Read the price of the last trade; bars have a limit of their own."""
        return await self._broker.last_price(contract, now)

    @property
    def token_expires_at(self) -> int:
        """When the session's token ends."""
        return self._broker.token_expires_at

    async def login(self) -> None:
        """Log in anew."""
        await self._count(self._broker.login())

    async def renew(self) -> None:
        """Have the token renewed."""
        await self._count(self._broker.renew())

    async def rekey(self, key: str, accounts: Collection[int]) -> list[AccountSeen]:
        """Take another key; its login and its list are two requests."""
        rationing.charge(self._budget, SHARE)
        try:
            return await self._count(self._broker.rekey(key, accounts))
        finally:
            rationing.answer(self._budget, SHARE, self._clock.now_ns(), throttled=False)

    async def warm(self) -> None:
        """Open the enforcement connection."""
        await self._count(self._broker.warm())

    async def ping(self) -> None:
        """Ask for a sign of life."""
        await self._count(self._broker.ping())

    def hubs(self) -> tuple[HubLike, HubLike]:
        """Make a fresh pair of hubs; sockets are not requests."""
        return self._broker.hubs()

    async def close(self) -> None:
        """Close the connections."""
        await self._broker.close()

    async def _count[T](self, asked: Awaitable[T]) -> T:
        rationing.charge(self._budget, SHARE)
        throttled = False
        try:
            return await asked
        except BrokerUnavailable as error:
            throttled = type(error).__name__ == "Throttled"
            raise
        finally:
            now = self._clock.now_ns()
            rationing.answer(self._budget, SHARE, now, throttled=throttled)

"""The accounts of a login as the broker lists them; what the list lacks is told, never assumed.

A guarded account that is not listed goes on being read and closed, by what is
known of it. Missing is a state, and over with the account's next row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from risk_daemon.broker.port import Broker
from risk_daemon.core.events import AccountMissing, AccountSeen
from risk_daemon.errors import BrokerUnavailable, Malformed
from risk_daemon.settings import Login

THROTTLED_WAIT_S: Final = 1.0


class Listing:
    """Reads the list, hands its rows on, tells who is missing or hidden, each once."""

    def __init__(
        self,
        login: Login,
        broker: Broker,
        *,
        on_row: Callable[[AccountSeen], None],
        on_missing: Callable[[AccountMissing], None],
        on_failure: Callable[[int, Exception], None],
        alarm: Callable[[int, str, str, str], None],
    ) -> None:
        self._login, self._broker = login, broker
        self._on_row, self._on_missing, self._on_failure = on_row, on_missing, on_failure
        self._alarm = alarm
        self._missing: set[int] = set()
        self._hidden: set[int] = set()

    async def read(self) -> bool:
        """Read the list once; False where that failed."""
        try:
            self.take(await self._broker.accounts())
        except (BrokerUnavailable, Malformed) as error:
            self._on_failure(0, error)
            return False
        return True

    def take(self, rows: list[AccountSeen]) -> None:
        """Take the rows of the login."""
        for row in rows:
            self._on_row(row)
        guarded, name = set(self._login.accounts), self._login.name
        missing = guarded - {row.account for row in rows}
        for account in sorted(missing - self._missing):
            self._on_missing(AccountMissing(account=account, login=name))
            self._alarm(account, "page", "account missing", f"login {name} shows no {account}")
        hidden = guarded & {row.account for row in rows if not row.visible}
        for account in sorted(hidden - self._hidden):
            text = f"login {name} does not show {account} in its platform any more"
            self._alarm(account, "warn", "account hidden", text)
        self._missing, self._hidden = missing, hidden


async def unthrottled[T](ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the broker's own count lets it; new hubs would only cost more requests."""
    while True:
        try:
            return await ask()
        except BrokerUnavailable as error:
            if type(error).__name__ != "Throttled":
                raise
        await asyncio.sleep(THROTTLED_WAIT_S)

"""The broker port on ProjectX: one login, two REST clients, a fresh pair of hubs on request."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Collection
from typing import Any

from risk_daemon.broker.port import (
    POSITIONS,
    RECENT,
    REFUSED,
    THROTTLED,
    UNAUTHORIZED,
    UNKNOWN,
    Outcome,
    Request,
    Rows,
)
from risk_daemon.broker.projectx import wire
from risk_daemon.broker.projectx.connection import (
    Hub,
    Rest,
    Throttled,
    Unauthorized,
    require_sdk,
    unheard,
)
from risk_daemon.core.events import AccountSeen, ContractSeen
from risk_daemon.errors import BrokerUnavailable, Malformed, OutcomeUnknown
from risk_daemon.settings import Gateway


class ProjectXBroker:
    """One login. Enforcement and reads have connections of their own."""

    def __init__(self, gateway: Gateway, login: str, user: str, key: str) -> None:
        require_sdk()
        self.login_name = login
        self._gateway, self._user = gateway, user
        self._acts = Rest(gateway, user, key)
        self._reads = Rest(gateway, user, key)

    async def login(self) -> None:
        """Log in and let both clients use the token; Unauthorized if the broker says no."""
        token = await self._acts.login()
        self._reads.use(token)

    async def renew(self) -> None:
        """Have the token renewed; Unauthorized if it is not valid any more."""
        answer = await self._acts.post("/Auth/validate", {})
        token = answer.get("newToken") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise Unauthorized("the gateway renewed no token")
        self._acts.use(token)
        self._reads.use(token)

    async def rekey(self, key: str, accounts: Collection[int]) -> list[AccountSeen]:
        """Take another key, once a client of its own has logged in with it and sees the accounts.

        The present token is replaced then, not before; the hubs keep theirs until they are rebuilt.
        """
        trial = Rest(self._gateway, self._user, key)
        try:
            token = await trial.login()
            seen = await self._accounts(trial)
        finally:
            await trial.close()
        if set(accounts) <= {row.account for row in seen}:
            for client in (self._acts, self._reads):
                client.take(key, token)
        return seen

    @property
    def token_expires_at(self) -> int:
        """Return the token's `exp` in ns UTC, 0 if there is none. It says nothing of revocation."""
        parts = self._acts.token.split(".")
        if len(parts) != 3:
            return 0
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
            return int(claims["exp"]) * 1_000_000_000
        except (ValueError, KeyError, TypeError):
            return 0

    async def warm(self) -> None:
        """Open the enforcement connection, so that the first close pays for no handshake."""
        await self._acts.ping()

    async def send(self, request: Request, leaving: Callable[[], None] = unheard) -> Outcome:
        """Send one mutating request, once; as the port says."""
        path, body = wire.call_of(request)
        try:
            answer = await self._acts.mutate(path, body, leaving)
            return wire.outcome_of(request, answer)
        except Throttled as error:
            return Outcome(outcome=REFUSED, code=429, meaning=THROTTLED, text=str(error))
        except Unauthorized as error:
            return Outcome(outcome=REFUSED, code=401, meaning=UNAUTHORIZED, text=str(error))
        except (OutcomeUnknown, Malformed) as error:
            return Outcome(outcome=UNKNOWN, text=str(error))

    async def read(self, account: int, since: int, depth: str) -> Rows:
        """Read an account; all parts at once, all of them or BrokerUnavailable or Malformed."""
        start = {"startTimestamp": wire.show_time(since)}
        asked: dict[str, tuple[str, dict[str, str]]] = {"positions": ("/Position/searchOpen", {})}
        if depth != POSITIONS:
            asked["orders"] = ("/Order/searchOpen", {})
            asked["trades"] = ("/Trade/search", start)
        if depth == RECENT:
            asked["recent"] = ("/Order/search", start)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    name: group.create_task(self._reads.post(path, {"accountId": account, **extra}))
                    for name, (path, extra) in asked.items()
                }
        except* (BrokerUnavailable, Malformed) as errors:
            raise _first(errors) from None
        rows = {
            name: wire.rows_of(task.result(), "orders" if name == "recent" else name)
            for name, task in tasks.items()
        }
        recent = rows.get("recent")
        return Rows(
            positions=tuple(wire.position_from(row) for row in rows["positions"]),
            orders=tuple(wire.order_from(row) for row in rows.get("orders", [])),
            trades=tuple(wire.trade_from(row) for row in reversed(rows.get("trades", []))),
            recent=None if recent is None else tuple(wire.order_from(row) for row in recent),
        )

    async def accounts(self) -> list[AccountSeen]:
        """List all accounts of the login, also those that are closed to trading."""
        return await self._accounts(self._reads)

    async def _accounts(self, client: Rest) -> list[AccountSeen]:
        answer = await client.post("/Account/search", {"onlyActiveAccounts": False})
        rows = wire.rows_of(answer, "accounts")
        return [wire.account_from(row, self.login_name) for row in rows]

    async def contracts(self) -> list[ContractSeen]:
        """List the contracts that can be traded now; a row that cannot be read is left out.

        It is read again by its id when it is first seen, and complained of then.
        """
        answer = await self._reads.post("/Contract/available", {"live": False})
        found = []
        for row in wire.rows_of(answer, "contracts"):
            try:
                found.append(wire.contract_from(row))
            except Malformed:
                continue
        return found

    async def contract(self, contract: str) -> ContractSeen:
        """Read one contract."""
        answer = await self._reads.post("/Contract/searchById", {"contractId": contract})
        row: Any = answer.get("contract") if isinstance(answer, dict) else None
        if not isinstance(row, dict):
            raise Malformed(f"the gateway does not know the contract {contract!r}")
        return wire.contract_from(row)

    async def last_price(self, contract: str, now: int) -> int | None:
        """Read the close of the newest second bar, the unfinished one too."""
        body = wire.bar_call(contract, now)
        return wire.close_of(await self._reads.post("/History/retrieveBars", body))

    async def ping(self) -> None:
        """Ask REST for a sign of life."""
        await self._reads.ping()

    def hubs(self) -> tuple[Hub, Hub]:
        """Make a fresh, unopened user hub and market hub on the present token."""
        token = self._acts.token
        return (
            Hub(self._gateway.user_hub_url, token, "user"),
            Hub(self._gateway.market_hub_url, token, "market"),
        )

    async def close(self) -> None:
        """Close the REST connections."""
        await self._acts.close()
        await self._reads.close()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

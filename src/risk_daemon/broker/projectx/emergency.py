"""A REST session of its own, for when no link answers: read positions, close everything.

Used by a person's command with everything else dead. It holds no lock and
keeps no view: it asks, closes what the broker says is open, cancels what could
open more, and asks again. The broker sizes the closes; none is repeated before
the last one's position was read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from risk_daemon.broker.port import FULL, POSITIONS, Request, Rows
from risk_daemon.broker.projectx.adapter import ProjectXBroker
from risk_daemon.core.events import AccountSeen, PositionChanged
from risk_daemon.errors import BrokerRefused, BrokerUnavailable, Malformed, OperatorError
from risk_daemon.settings import Gateway, Login

FLATTEN_WITHIN_S: Final = 9.0
LOOK_AGAIN_S: Final = 0.4
SETTLED_AFTER_S: Final = 1.2


class Flattened(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one account; `left` names what is still open, or why nothing is known."""

    account: int
    flat: bool
    proven: bool
    left: tuple[str, ...] = ()


def accounts(gateway: Gateway, login: Login, key: str) -> tuple[AccountSeen, ...]:
    """Return every account the key may see; OperatorError where it can't be read."""
    return asyncio.run(_accounts(gateway, login, key))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A login's accounts as the broker shows them, and every open position of them."""

    accounts: tuple[AccountSeen, ...]
    positions: tuple[PositionChanged, ...]


def standing(gateway: Gateway, login: Login, key: str) -> Standing:
    """Return how a login's accounts stand; OperatorError where it can't be read."""
    return asyncio.run(_standing(gateway, login, key))


def flatten(
    gateway: Gateway, login: Login, key: str, accounts: Sequence[int]
) -> tuple[Flattened, ...]:
    """Close everything of these accounts, until a query proves them flat or time is over."""
    return asyncio.run(_flatten(gateway, login, key, accounts))


async def _session(gateway: Gateway, login: Login, key: str) -> ProjectXBroker:
    broker = ProjectXBroker(gateway, login.name, login.user, key)
    try:
        await broker.login()
    except (BrokerUnavailable, BrokerRefused) as error:
        await broker.close()
        raise OperatorError(f"login {login.name} could not log in: {error}") from error
    return broker


async def _accounts(gateway: Gateway, login: Login, key: str) -> tuple[AccountSeen, ...]:
    broker = await _session(gateway, login, key)
    try:
        return tuple(await broker.accounts())
    except (BrokerUnavailable, BrokerRefused, Malformed) as error:
        raise OperatorError(f"login {login.name} can't be read: {error}") from error
    finally:
        await broker.close()


async def _standing(gateway: Gateway, login: Login, key: str) -> Standing:
    broker = await _session(gateway, login, key)
    try:
        seen = await broker.accounts()
        rows = [await broker.read(account, 0, POSITIONS) for account in login.accounts]
    except (BrokerUnavailable, BrokerRefused, Malformed) as error:
        raise OperatorError(f"login {login.name} can't be read: {error}") from error
    finally:
        await broker.close()
    return Standing(
        accounts=tuple(one for one in seen if one.account in login.accounts),
        positions=tuple(row for one in rows for row in one.positions if row.quantity),
    )


async def _flatten(
    gateway: Gateway, login: Login, key: str, accounts: Sequence[int]
) -> tuple[Flattened, ...]:
    broker = await _session(gateway, login, key)
    try:
        return tuple(await asyncio.gather(*(_flatten_one(broker, n) for n in accounts)))
    finally:
        await broker.close()


async def _flatten_one(broker: ProjectXBroker, account: int) -> Flattened:
    deadline = asyncio.get_running_loop().time() + FLATTEN_WITHIN_S
    left: tuple[str, ...] = ("the account could not be read",)
    asked: dict[str, float] = {}
    while asyncio.get_running_loop().time() < deadline:
        try:
            rows = await broker.read(account, 0, FULL)
        except (BrokerUnavailable, Malformed) as error:
            left = (f"the account could not be read: {error}",)
            await asyncio.sleep(LOOK_AGAIN_S)
            continue
        left = _left(rows)
        if not left:
            return Flattened(account=account, flat=True, proven=True)
        await _close(broker, account, rows, asked)
        await asyncio.sleep(LOOK_AGAIN_S)
    return Flattened(account=account, flat=False, proven=False, left=left)


def _left(rows: Rows) -> tuple[str, ...]:
    open_ = [f"{row.contract}: {row.quantity}" for row in rows.positions if row.quantity]
    orders = [f"order {row.order} ({row.contract})" for row in rows.orders]
    return tuple(open_ + orders)


async def _close(broker: ProjectXBroker, account: int, rows: Rows, asked: dict[str, float]) -> None:
    """Ask for what is open now; a contract asked for is left alone until its close has settled."""
    now = asyncio.get_running_loop().time()
    held = {row.contract: row.quantity for row in rows.positions if row.quantity}
    requests = [
        Request(request=name, key=name, account=account, act="close", contract=name)
        for name in held
        if now - asked.get(name, 0.0) >= SETTLED_AFTER_S
    ]
    requests += [
        Request(
            request=str(row.order),
            key=str(row.order),
            account=account,
            act="cancel",
            contract=row.contract,
            order=row.order,
        )
        for row in rows.orders
        # What protects a position stays until that is flat.
        if row.side * held.get(row.contract, 0) >= 0
    ]
    asked.update({request.contract: now for request in requests if request.act == "close"})
    await asyncio.gather(*(broker.send(request) for request in requests))

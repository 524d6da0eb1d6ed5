"""A command's own way to the broker, for when no link lives: read positions, close them.

The broker keeps one session per user, so this is never used while a link
answers (decisions 4.11). The SDK is loaded only when it comes to that.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from risk_daemon.operations.configuration import credentials
from risk_daemon.operations.configuration.gateway import assert_gateway
from risk_daemon.operations.home import Home
from risk_daemon.settings import Login, Settings


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One open position as the broker says."""

    account: int
    contract: str
    quantity: int


class Flattened(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one account: `proven` by a query after the last request; else what is left."""

    account: int
    flat: bool
    proven: bool
    left: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A login's accounts as the broker shows them: their balances (1e-9 dollars), what is open."""

    balances: dict[int, int]
    held: tuple[Held, ...]


def accounts(home: Home, settings: Settings, login: Login) -> dict[int, str]:
    """The names of all accounts a login's key may see; OperatorError where it can't be read."""
    from risk_daemon.broker.projectx import emergency

    assert_gateway(settings.environment, settings.gateway)
    found = credentials.resolve(home, login)
    seen = emergency.accounts(settings.gateway, login, found.key.reveal())
    return {row.account: row.name for row in seen}


def seen_by(settings: Settings, login: Login, key: str) -> dict[int, str]:
    """The names of all accounts that another key of a login may see; OperatorError where none."""
    from risk_daemon.broker.projectx import emergency

    assert_gateway(settings.environment, settings.gateway)
    return {row.account: row.name for row in emergency.accounts(settings.gateway, login, key)}


def standing(home: Home, settings: Settings, login: Login) -> Standing:
    """How a login's accounts stand; raises OperatorError where it can't be read."""
    from risk_daemon.broker.projectx import emergency

    assert_gateway(settings.environment, settings.gateway)
    found = credentials.resolve(home, login)
    seen = emergency.standing(settings.gateway, login, found.key.reveal())
    return Standing(
        balances={row.account: row.balance for row in seen.accounts},
        held=tuple(
            Held(account=row.account, contract=row.contract, quantity=row.quantity)
            for row in seen.positions
        ),
    )


def flatten(
    home: Home, settings: Settings, login: Login, accounts: Sequence[int]
) -> tuple[Flattened, ...]:
    """Close everything of these accounts and cancel their orders, until proven or out of time."""
    from risk_daemon.broker.projectx import emergency

    assert_gateway(settings.environment, settings.gateway)
    found = credentials.resolve(home, login)
    rows = emergency.flatten(settings.gateway, login, found.key.reveal(), tuple(accounts))
    return tuple(
        Flattened(account=row.account, flat=row.flat, proven=row.proven, left=tuple(row.left))
        for row in rows
    )

"""The account view: what people see of an account, as its active worker knows it.

Published through the journal on change, at most four times a second, never
stored. Console and command line fold nothing themselves. Money and prices are
decimal text, times are ISO-8601 UTC, so that a view is JSON as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

VIEW_VERSION: Final = 1


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """One open position. `agreed` false: trades and positions differ at the moment."""

    contract: str
    root: str
    quantity: int
    average: str
    unrealized: str | None
    agreed: bool


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """One working order."""

    order: int
    contract: str
    side: str
    size: int
    filled: int
    type: str
    price: str | None


class LockView(msgspec.Struct, frozen=True, kw_only=True):
    """One lock in force; `until` null means until an admin ends it."""

    lock: str
    rule: str
    mode: str
    began_at: str
    until: str | None
    reason: str


class DistanceView(msgspec.Struct, frozen=True, kw_only=True):
    """How far one rule is from its limit; `used` is the share of it in use, where there is one."""

    rule: str
    mode: str
    observed: str
    limit: str
    state: str
    used: str | None = None


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """One account. `enforcing` is the worker's own claim; `connected` that its feed is trusted."""

    version: int
    account: int
    name: str
    login: str
    release: str
    holder: str
    epoch: int
    seq: int
    at: str
    enforcing: bool
    connected: bool
    feed: str
    last_fact_at: str | None
    balance: str | None
    can_trade: bool | None
    realized: str
    unrealized: str
    day_pnl: str
    trade_date: str
    pnl_known: bool
    mode: str
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    locks: tuple[LockView, ...]
    distances: tuple[DistanceView, ...]
    reasons: tuple[str, ...]
    unknown: tuple[str, ...]
    underway: tuple[str, ...]


#: Of what `projection` shows: a release compares only what it would say in the same words.
PROJECTION: Final = 1


def projection(view: AccountView) -> dict[str, str]:
    """Show of an account what two releases must see alike, whatever their states look like.

    Only what either of them would act on: not who holds it, no prices, no wording.
    """
    return {name: show(view) for name, show in _COMPARED.items()}


def differences(holder: AccountView, heir: AccountView) -> tuple[str, ...]:
    """Say what two releases see differently in one account at the same record."""
    return unlike(holder.release, projection(holder), projection(heir))


def unlike(holder: str, shown: Mapping[str, str], mine: Mapping[str, str]) -> tuple[str, ...]:
    """Say where two projections of one account differ; what only one of them shows does too."""
    return tuple(
        f"{name}: {holder} has {shown.get(name, 'nothing to say')}, the other"
        f" {mine.get(name, 'nothing to say')}"
        for name in sorted({*shown, *mine}, key=lambda name: (name not in _COMPARED, name))
        if shown.get(name) != mine.get(name)
    )


_COMPARED: Final[dict[str, Callable[[AccountView], str]]] = {
    "positions": lambda view: _listed(f"{one.quantity} {one.contract}" for one in view.positions),
    "orders": lambda view: _listed(
        f"{one.order} {one.side} {one.size - one.filled} {one.contract}" for one in view.orders
    ),
    "locks": lambda view: _listed(
        f"{one.mode} by {one.rule} until {one.until or 'unlocked'}" for one in view.locks
    ),
    "realized": lambda view: f"{view.realized}" if view.pnl_known else "unknown",
    "trade date": lambda view: view.trade_date,
    "may trade": lambda view: str(view.can_trade),
}


def _listed(rows: Iterable[str]) -> str:
    return ", ".join(sorted(rows)) or "none"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AccountView)


def encode_view(view: AccountView) -> bytes:
    """Write a view for publishing."""
    return _encoder.encode(view)


def decode_view(raw: bytes) -> AccountView:
    """Read a published view."""
    return _decoder.decode(raw)

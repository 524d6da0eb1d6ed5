"""What the link needs of any broker. Pure: shapes and guarantees, no mechanics."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from risk_daemon.core.events import (
    AccountSeen,
    ContractSeen,
    OrderChanged,
    PositionChanged,
    Reconciled,
    TradeSeen,
)

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
UNKNOWN: Final = "unknown"

# What a refusal means, beyond "no".
FLAT: Final = "flat"
PENDING: Final = "pending"
GONE: Final = "gone"
BARRED: Final = "barred"
CLOSED: Final = "closed"
THROTTLED: Final = "throttled"
UNAUTHORIZED: Final = "unauthorized"


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One mutating request: `close`, `partial`, `cancel` or `modify`; never an order of ours."""

    request: str
    key: str
    account: int
    act: str
    contract: str
    order: int = 0
    size: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of sending it. `unknown`: it may have happened, look before acting."""

    outcome: str
    code: int = 0
    meaning: str = ""
    text: str = ""


class Rows(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one look at an account answered. `recent` as in `Reading`."""

    positions: tuple[PositionChanged, ...]
    orders: tuple[OrderChanged, ...]
    trades: tuple[TradeSeen, ...]
    recent: tuple[OrderChanged, ...] | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One look at an account over REST; times in ns of the link's clock.

    `recent` are orders of any state since some minutes before the read; None
    when they were not asked for.
    """

    account: int
    began_at: int
    ended_at: int
    rows: Reconciled
    recent: tuple[OrderChanged, ...] | None = None


class Broker(Protocol):
    """One login at one broker.

    Reads raise `BrokerUnavailable` when nothing can be said; an empty answer
    means empty only because the broker said success. `send` never raises for
    the broker's sake and never repeats: every doubt is an `UNKNOWN` outcome.
    """

    async def send(self, request: Request) -> Outcome:
        """Send one mutating request, once."""
        ...

    async def read(self, account: int, since: int, *, recent: bool) -> Rows:
        """Read positions, working orders and trades since an instant."""
        ...

    async def accounts(self) -> list[AccountSeen]:
        """List all accounts of the login, closed ones too."""
        ...

    async def contracts(self) -> list[ContractSeen]:
        """List the contracts that can be traded, with tick size and tick value."""
        ...

    async def contract(self, contract: str) -> ContractSeen:
        """Read one contract's tick size and tick value."""
        ...

"""What the link needs of any broker. Pure: shapes and guarantees, no mechanics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

import msgspec

from risk_daemon.core.events import (
    AccountSeen,
    ContractSeen,
    Fact,
    MarkChanged,
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


# How deep a read goes, and how many requests it costs.
POSITIONS: Final = "positions"
FULL: Final = "full"
RECENT: Final = "recent"
COST: Final = {POSITIONS: 1, FULL: 3, RECENT: 4}


class Rows(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one look at an account answered. `recent` as in `Reading`."""

    positions: tuple[PositionChanged, ...]
    orders: tuple[OrderChanged, ...] = ()
    trades: tuple[TradeSeen, ...] = ()
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


class HubLike(Protocol):
    """One streaming connection: opened, subscribed, probed, thrown away."""

    @property
    def is_dead(self) -> bool:
        """The connection has ended, whatever its flags say."""
        ...

    def on(self, event: str, handler: Callable[..., None]) -> None:
        """Bind a handler; it must not block."""
        ...

    async def open(self) -> None:
        """Connect; BrokerUnavailable when it is not open in time."""
        ...

    async def wait_dead(self) -> None:
        """Return when it is dead."""
        ...

    async def invoke(self, method: str, arguments: list[object], timeout_s: float) -> None:
        """Invoke and wait for the completion; BrokerUnavailable, or BrokerRefused for a no."""
        ...

    async def drop(self) -> None:
        """Throw it away, whatever state it is in."""
        ...


class Intake(Protocol):
    """Payloads of the streams to facts; what cannot be believed is quarantined, aloud."""

    @property
    def standing(self) -> Mapping[int, AccountSeen]:
        """The last account row of each guarded account."""
        ...

    def handlers(self) -> dict[str, Callable[..., None]]:
        """Return the user stream's events and who takes them."""
        ...

    def market_handlers(self) -> dict[str, Callable[..., None]]:
        """Return the market stream's events and who takes them."""
        ...

    def account(self, row: AccountSeen) -> None:
        """Take an account row that came by a read."""
        ...

    def quarantine(self, source: str, payload: object, error: Exception) -> None:
        """Set something aside that cannot be believed."""
        ...

    def forget_contract(self, contract: str) -> None:
        """Have a contract announced again at its next sight."""
        ...

    def mark(self, contract: str) -> MarkChanged | None:
        """Return the last mark of a contract, None before its first quote."""
        ...

    def forget_mark(self, contract: str) -> None:
        """Begin a contract's mark anew: what was quoted before a gap may have changed in it."""
        ...

    def note_contracts(self, facts: tuple[Fact, ...]) -> None:
        """Announce the contracts of rows that came by a read."""
        ...


class IntakeMaker(Protocol):
    """Makes the intake of a login."""

    def __call__(
        self,
        login: str,
        accounts: tuple[int, ...],
        *,
        on_fact: Callable[[Fact], None],
        on_contract: Callable[[str], None],
        on_quarantine: Callable[[int], None],
        on_market: Callable[[str], None],
    ) -> Intake:
        """Return an intake that hands facts, new contracts, quarantines and signs of life on."""
        ...


class Broker(Protocol):
    """One login at one broker.

    Reads raise `BrokerUnavailable` when nothing can be said; an empty answer
    means empty only because the broker said success. `send` never raises for
    the broker's sake and never repeats: every doubt is an `UNKNOWN` outcome.
    """

    async def send(self, request: Request, leaving: Callable[[], None]) -> Outcome:
        """Send one mutating request, once.

        `leaving` is called before what the broker could act upon leaves this process, as late as
        can be; perhaps more than once.
        """
        ...

    async def read(self, account: int, since: int, depth: str) -> Rows:
        """Read an account as deep as asked; orders and trades since an instant."""
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

    async def last_price(self, contract: str, now: int) -> int | None:
        """Read the price of the last trade of the minutes before `now`; None if there was none."""
        ...

    @property
    def token_expires_at(self) -> int:
        """When the session's token ends, ns UTC; 0 when it does not say."""
        ...

    async def login(self) -> None:
        """Log in anew."""
        ...

    async def renew(self) -> None:
        """Have the present token renewed without logging in; BrokerUnavailable when it can't be."""
        ...

    async def rekey(self, key: str, accounts: Collection[int]) -> list[AccountSeen]:
        """Take another key, once it has logged in and sees these accounts; return all it sees.

        Where it does not nothing has changed: the present session is not touched before.
        """
        ...

    async def warm(self) -> None:
        """Open the enforcement connection before it is needed."""
        ...

    async def ping(self) -> None:
        """Ask for a sign of life."""
        ...

    def hubs(self) -> tuple[HubLike, HubLike]:
        """Make a fresh user stream and market stream, unopened."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...

"""A trading floor for tests: an exchange with two accounts and a market set by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from risk_daemon.sim.booking import Costs
from risk_daemon.sim.codes import OrderType, Side
from risk_daemon.sim.contracts import BY_ROOT
from risk_daemon.sim.model import Account, Message, Quote, Ticket
from risk_daemon.sim.moment import Moment
from risk_daemon.sim.profile import CALM, Profile
from risk_daemon.sim.venue import Venue

ONE, TWO = 9000000101, 9000000102
MNQ, ES = BY_ROOT["MNQ"].id, BY_ROOT["ES"].id
NOW = Moment(10**9, datetime(2026, 11, 18, 16, 0, tzinfo=UTC))
COSTS = {"default": (Decimal("0.37"), Decimal("0.25")), "ES": (Decimal("1.40"), Decimal("0.50"))}


def quote(bid: str, ask: str, last: str | None = None) -> Quote:
    return Quote(Decimal(bid), Decimal(ask), Decimal(last or bid))


def make(profile: Profile = CALM, *, auto_oco: bool = True, seed: int = 1) -> Venue:
    accounts = [Account(number, "A", "north", Decimal(50000)) for number in (ONE, TWO)]
    venue = Venue(accounts, Costs(COSTS), Random(seed), profile, auto_oco=auto_oco)
    venue.quote(MNQ, quote("20000", "20000.25"), NOW)
    venue.quote(ES, quote("6000", "6000.25"), NOW)
    return venue


def trade(venue: Venue, signed: int, contract: str = MNQ, **more: object) -> int:
    """A market order, filled."""
    side = Side.BUY if signed > 0 else Side.SELL
    ticket = Ticket(contract, side, abs(signed), **more)  # type: ignore[arg-type]
    answer = venue.place(ONE, ticket, NOW)
    venue.step(NOW)
    assert answer.order is not None, answer
    return answer.order


def rest(venue: Venue, signed: int, kind: OrderType, price: str, **more: object) -> int:
    side = Side.BUY if signed > 0 else Side.SELL
    named = "limit_price" if kind is OrderType.LIMIT else "stop_price"
    ticket = Ticket(MNQ, side, abs(signed), kind, **{named: Decimal(price)}, **more)  # type: ignore[arg-type]
    answer = venue.place(ONE, ticket, NOW)
    assert answer.order is not None, answer
    return answer.order


def told(messages: list[Message]) -> list[tuple[str, int, object]]:
    """Kind, action and the state each message tells."""
    names = {"order": "status", "trade": "profitAndLoss", "position": "size", "account": "balance"}
    return [(m.kind, int(m.action), m.row[names[m.kind]]) for m in messages]

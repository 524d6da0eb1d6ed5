"""Market rows, bars and hub records as text: the shapes the hubs speak."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from risk_daemon.sim.contracts import Contract
from risk_daemon.sim.market import Tick
from risk_daemon.sim.model import Message, Quote, Row
from risk_daemon.sim.moment import iso
from risk_daemon.sim.wire_json import nine, render

RECORD_END = "\x1e"
_TARGETS = {
    "account": "GatewayUserAccount",
    "order": "GatewayUserOrder",
    "position": "GatewayUserPosition",
    "trade": "GatewayUserTrade",
}
_BAR_SECONDS = {1: 1, 2: 60, 3: 3600, 4: 86400, 5: 604800, 6: 2592000}
BARS_MAX = 20_000


def record(body: dict[str, object]) -> str:
    """One SignalR record."""
    return render(body) + RECORD_END


def invocation(target: str, *arguments: object) -> str:
    """A server event."""
    return record({"type": 1, "target": target, "arguments": list(arguments)})


def user_record(message: Message, *, bare: bool = False) -> str:
    """A user event, wrapped as the live gateway does it, or bare as its manual shows it."""
    payload: Row = {"action": int(message.action), "data": message.row}
    return invocation(_TARGETS[message.kind], message.row if bare else payload)


def quote_record(tick: Tick, at: datetime, *, is_partial: bool) -> str:
    """A quote; a partial one leaves out what did not change, which clients must merge."""
    quote, contract = tick.quote, tick.contract
    change = quote.last - contract.start_price
    row: Row = {
        "symbol": contract.symbol_id,
        "symbolName": f"/{contract.root}",
        "lastPrice": nine(quote.last),
        "bestBid": nine(quote.bid),
        "bestAsk": nine(quote.ask),
    }
    if not is_partial:
        row |= {
            "change": nine(change),
            "changePercent": (change / contract.start_price * 100).quantize(Decimal("0.01")),
            "open": nine(contract.start_price),
            "high": nine(max(quote.last, contract.start_price)),
            "low": nine(min(quote.last, contract.start_price)),
            "volume": 12_000,
        }
    row |= {"lastUpdated": iso(at), "timestamp": iso(at)}
    return invocation("GatewayQuote", contract.id, row)


def print_record(tick: Tick, at: datetime) -> str:
    """A trade print, as a list of one."""
    row: Row = {
        "symbolId": tick.contract.symbol_id,
        "price": nine(tick.quote.last),
        "timestamp": iso(at),
        "type": int(tick.is_sell),
        "volume": tick.volume,
    }
    return invocation("GatewayTrade", tick.contract.id, [row])


def depth_record(tick: Tick, at: datetime) -> str:
    """A little depth: the two best prices."""
    rows: list[Row] = [
        {"timestamp": iso(at), "type": kind, "price": nine(price), "volume": 10, "currentVolume": 5}
        for kind, price in ((4, tick.quote.bid), (3, tick.quote.ask))
    ]
    return invocation("GatewayDepth", tick.contract.id, rows)


def bars(
    contract: Contract, quote: Quote, now: datetime, unit: int, unit_number: int, limit: int
) -> list[Row]:
    """Invented bars, newest first, that end at the market's present price."""
    rng = Random(f"bars {contract.id} {unit} {unit_number}")
    width = timedelta(seconds=_BAR_SECONDS[unit] * unit_number)
    start = datetime.fromtimestamp(
        now.timestamp() // width.total_seconds() * width.total_seconds(), now.tzinfo
    )
    close, out = quote.last, []
    for index in range(min(limit, BARS_MAX)):
        opened = close + rng.randint(-8, 8) * contract.tick_size
        top = max(opened, close) + rng.randint(0, 6) * contract.tick_size
        bottom = min(opened, close) - rng.randint(0, 6) * contract.tick_size
        row: Row = {
            "t": iso(start - index * width),
            "o": nine(opened),
            "h": nine(top),
            "l": nine(bottom),
            "c": nine(close),
            "v": rng.randint(10, 900),
        }
        out.append(row)
        close = opened
    return out

"""The hot path in one process: reading a payload, folding a record, a quote that trips nothing."""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from risk_daemon.broker.projectx import wire
from risk_daemon.clock import Clock
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    Entry,
    Fact,
    FeedChanged,
    LeaseGranted,
    MarkChanged,
    OrderChanged,
    PolicyAdopted,
    PositionChanged,
    Reconciled,
    TradeSeen,
)
from risk_daemon.core.instrument import parse as units
from risk_daemon.rules import CATALOG
from tests.bench.figures import Sample, sample
from tests.build import (
    ACCOUNT,
    LOGIN,
    MS,
    WEDNESDAY_TEN,
    contract,
    contract_seen,
    lease,
    order,
    policy,
    position,
    reading,
    rule,
    trade,
)

REPEATS: Final = 9
DECODES: Final = 3_000
RECORDS: Final = 4_000
ACCOUNTS: Final = 100
ROUND_TRIPS: Final = 500
MNQ: Final = contract("MNQ")
RULES: Final = (
    rule("daily-combined-loss", limit="20000.00"),
    rule("daily-realized-loss", limit="20000.00"),
    rule("end-of-day-flatten"),
    rule("kill-switch"),
    rule("max-contracts", limit=5),
    rule("max-contracts-per-instrument", limits={"MNQ": 5}),
    rule("no-stop-loss-grace"),
    rule("trailing-max-drawdown", drawdown="20000.00", start="50000.00", trail="intraday-realized"),
)

ORDER: Final = json.dumps(
    {
        "action": 1,
        "data": {
            "id": 3345169283,
            "accountId": ACCOUNT,
            "contractId": MNQ,
            "symbolId": "F.US.MNQ",
            "creationTimestamp": "2026-11-18T16:00:01.305838+00:00",
            "updateTimestamp": "2026-11-18T16:00:01.311302+00:00",
            "status": 2,
            "type": 2,
            "side": 1,
            "size": 3,
            "fillVolume": 3,
            "limitPrice": None,
            "stopPrice": None,
            "filledPrice": 28416.5,
            "customTag": None,
        },
    }
)
QUOTE: Final = json.dumps(
    {
        "symbol": "F.US.MNQ",
        "lastPrice": 28416.5,
        "bestBid": 28416.25,
        "bestAsk": 28416.5,
        "change": 12.5,
        "changePercent": 0.0004,
        "volume": 12000,
        "lastUpdated": "2026-11-18T16:00:01.305838+00:00",
        "timestamp": "2026-11-18T16:00:01.305838+00:00",
    }
)


def measure() -> dict[str, Sample]:
    """Return every figure of the hot path, in microseconds, and one ratio."""
    gc.collect()
    gc.freeze()
    one, many = quotes(1), quotes(ACCOUNTS)
    return {
        "decode an order": timed(decode_orders, DECODES),
        "decode a quote": timed(decode_quotes, DECODES),
        "step a record, eight rules": stepped(),
        "quote, 1 account": one,
        f"quote, {ACCOUNTS} accounts": many,
        f"quote, {ACCOUNTS} accounts / 1": Sample("x", [many.median / one.median]),
        "loopback round trip": loopback(),
    }


def loopback() -> Sample:
    """One byte there and back over TCP on this machine, in the same run: what any answer costs."""
    clock, found = Clock(), []
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        with client, peer:
            for end in (client, peer):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(ROUND_TRIPS):
                began = clock.steady_ns()
                client.sendall(b"x")
                peer.sendall(peer.recv(1))
                client.recv(1)
                found.append((clock.steady_ns() - began) / 1e3)
    return sample("us", found)


def timed(work: Callable[[], None], count: int) -> Sample:
    """Time the same work several times; microseconds for each of its `count` pieces."""
    clock, found = Clock(), []
    work()
    for _ in range(REPEATS):
        began = clock.steady_ns()
        work()
        found.append((clock.steady_ns() - began) / count / 1e3)
    return sample("us", found)


def decode_orders() -> None:
    for _ in range(DECODES):
        data, _ = wire.unwrap(json.loads(ORDER))
        wire.order_from(data)


def decode_quotes() -> None:
    before = None
    for _ in range(DECODES):
        before = wire.mark_from(MNQ, json.loads(QUOTE), before)


# --- the engine ----------------------------------------------------------------


def engine_of(count: int) -> tuple[Engine, int]:
    """An engine with so many accounts, each holding two MNQ behind a stop; and its seq."""
    engine, seq = Engine(CATALOG), 0
    facts: list[Fact] = [contract_seen("MNQ"), mark(0)]
    for number in range(count):
        mine = ACCOUNT + number
        facts += [
            for_account(policy(*RULES), mine),
            for_account(lease(1), mine),
            for_account(reading(), mine),
            for_account(order(1, -1, 4, type=4, stop_price=units("20000")), mine),
            for_account(trade(number + 1, 1, 2), mine),
            for_account(position(2), mine),
        ]
    facts.insert(0, FeedChanged(login=LOGIN, state="trusted"))
    for fact in facts:
        seq += 1
        engine.step(entry(seq, fact))
    return engine, seq


Own = PolicyAdopted | LeaseGranted | Reconciled | TradeSeen | PositionChanged | OrderChanged


def for_account(fact: Own, account: int) -> Fact:
    return msgspec.structs.replace(fact, account=account)


def entry(seq: int, fact: Fact) -> Entry:
    return Entry(seq, WEDNESDAY_TEN + seq * MS, getattr(fact, "account", 0), fact)


def mark(number: int) -> MarkChanged:
    bid = 21_000 + number % 8
    return MarkChanged(
        contract=MNQ, bid=units(str(bid)), ask=units(f"{bid}.25"), last=units(str(bid))
    )


def quotes(count: int) -> Sample:
    """Quotes of a contract that every account holds, and that trip nothing."""
    found: list[float] = []
    for _ in range(REPEATS):
        engine, seq = engine_of(count)
        engine.step(entry(seq + 1, mark(1)))  # hot: which prices are quiet is known
        found.append(fold(engine, [entry(seq + n, mark(n)) for n in range(2, RECORDS)]))
    return sample("us", found)


def stepped() -> Sample:
    """Orders that rest and go, fills in and out, and the positions they lead to; no quotes."""
    found: list[float] = []
    for _ in range(REPEATS):
        engine, seq = engine_of(1)
        found.append(fold(engine, [entry(seq + n, fact) for n, fact in enumerate(rounds(), 1)]))
    return sample("us", found)


def rounds() -> Sequence[Fact]:
    facts: list[Any] = []
    for number in range(RECORDS // 6):
        first = 10 + number * 2
        at = WEDNESDAY_TEN + (len(facts) + 100) * MS
        facts += [
            order(first, 1, 1, limit_price=units("20000")),
            trade(first, 1, 1, traded_at=at),
            position(3),
            order(first, 1, 1, status=3),
            trade(first + 1, -1, 1, traded_at=at, pnl=0),
            position(2),
        ]
    return facts


def fold(engine: Engine, entries: Sequence[Entry]) -> float:
    clock = Clock()
    began = clock.steady_ns()
    for one in entries:
        outputs = engine.step(one)
        assert not outputs, "nothing may trip here"
    return (clock.steady_ns() - began) / len(entries) / 1e3

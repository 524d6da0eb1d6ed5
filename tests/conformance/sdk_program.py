"""A program on the unmodified SDK, as a user would write it, against the simulated gateway.

    ./dev sdk                 one round, a few seconds
    ./dev sdk --minutes 5     round after round

Login, search of accounts and contracts, a `TradingSuite` by its constructor, both hubs; orders with
brackets in both bracket modes, modify, cancel, partial close, close. After each step the state of
the order, the position, its average price and the balance must be those of a table written by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project_x_py import ProjectX, ProjectXConfig, ProjectXRealtimeClient, TradingSuite
from project_x_py.exceptions import ProjectXError
from project_x_py.trading_suite import TradingSuiteConfig

from tests.sim.gateway_process import Gateway, running

ACCOUNT = 9000000101
MNQ = "CON.F.US.MNQ.Z26"
SCENARIO = f"""
offset_s: 0.0
profile: calm
traders: false
close_mode: auto_oco
logins:
  - user: north
    api_key: north-key-0001
    accounts:
      - {{id: {ACCOUNT}, name: N-1, balance: "50000.00", style: calm}}
limits:
  default: {{max_contracts: 50, daily_realized_loss: "40000.00"}}
"""
WITHIN_S = 5.0
#: The gateway allows 200 requests a minute and a round takes about 20.
ROUND_EVERY_S = 8.0
MARKET, LIMIT, STOP = 2, 1, 4
BUY = 0
OPEN, FILLED, CANCELLED, REJECTED = 1, 2, 3, 5
STOP_LOSS = {"ticks": -40, "type": STOP}
TAKE_PROFIT = {"ticks": 80, "type": LIMIT}
NEEDS_AUTO_OCO = "You must enable Auto OCO Brackets"


@dataclass(frozen=True)
class Line:
    """What must be seen after a step; money is what the round has made or lost so far, net."""

    step: str
    order: str
    status: int
    held: int
    average: float
    made: float


# MNQ pays 2.00 a point; a contract and side costs 0.37 + 0.25. Bought at 20000.25 and sold at
# 20010.00: 19.50 gross. In the end bought at 20010.25 and sold at 20010.00: 0.50 lost, gross.
TABLE = (
    Line("place with brackets, auto OCO", "entry", FILLED, 2, 20000.25, -1.24),
    Line("its stop is there", "stop", OPEN, 2, 20000.25, -1.24),
    Line("modify the stop", "stop", OPEN, 2, 20000.25, -1.24),
    Line("partial close", "entry", FILLED, 1, 20000.25, 17.64),
    Line("cancel the target", "target", CANCELLED, 1, 20000.25, 17.64),
    Line("cancel the stop", "stop", CANCELLED, 1, 20000.25, 17.64),
    Line("close", "entry", FILLED, 0, 0.0, 36.52),
    Line("place a resting order", "resting", OPEN, 0, 0.0, 36.52),
    Line("modify its price and size", "resting", OPEN, 0, 0.0, 36.52),
    Line("cancel it", "resting", CANCELLED, 0, 0.0, 36.52),
    Line("place with brackets, position brackets", "refused", REJECTED, 0, 0.0, 36.52),
    Line("place without", "plain", FILLED, 1, 20010.25, 35.90),
    Line("close again", "plain", FILLED, 0, 0.0, 34.78),
)


@dataclass
class Heard:
    """The last row of each thing the user hub told of, and how many quotes came."""

    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    position: dict[str, Any] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)
    quotes: int = 0

    def order(self, event: dict[str, Any]) -> None:
        """Note an order."""
        row = _row(event)
        self.orders[row["id"]] = dict(row)

    def take_position(self, event: dict[str, Any]) -> None:
        """Note the position."""
        self.position = dict(_row(event))

    def take_account(self, event: dict[str, Any]) -> None:
        """Note the account."""
        self.account = dict(_row(event))

    def quote(self, *_event: object) -> None:
        """Count a quote."""
        self.quotes += 1


def _row(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = event.get("data", event)
    return found


async def until(look: Callable[[], object], what: str) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + WITHIN_S
    while not look():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {WITHIN_S:g} s: {what}")
        await asyncio.sleep(0.01)


class Program:
    """One round of the table after the other."""

    def __init__(self, gateway: Gateway, suite: TradingSuite, heard: Heard) -> None:
        self._gateway, self._suite, self._heard = gateway, suite, heard
        self._client = suite.client
        self._orders: dict[str, int] = {}
        self._began_with = 0.0

    async def round(self) -> None:
        """Do every step and compare; AssertionError names the first that differs."""
        self._orders.clear()
        self._began_with = await self._balance()
        await self._brackets("auto_oco")
        for line, act in zip(TABLE, self._acts(), strict=True):
            await act()
            await self._compare(line)

    def _acts(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return (
            self._place_with_brackets,
            self._nothing,
            self._modify_stop,
            self._partial_close,
            lambda: self._cancel("target"),
            lambda: self._cancel("stop"),
            self._close,
            self._rest,
            self._modify_resting,
            lambda: self._cancel("resting"),
            self._place_and_be_refused,
            self._place_plain,
            self._close,
        )

    # --- the steps -------------------------------------------------------------

    async def _place_with_brackets(self) -> None:
        await self._price("20000.00")
        await self._place("entry", MARKET, 2, brackets=True)
        entry = self._orders["entry"]

        def legs() -> list[dict[str, Any]]:
            return [row for row in self._heard.orders.values() if row.get("parentOrderId") == entry]

        await until(lambda: len(legs()) == 2, "both legs of the bracket")
        self._orders |= {"stop" if row["type"] == STOP else "target": row["id"] for row in legs()}

    async def _nothing(self) -> None:
        """Look once more."""

    async def _modify_stop(self) -> None:
        assert await self._suite.orders.modify_order(self._orders["stop"], stop_price=19985.25)
        await until(lambda: self._seen("stop").get("stopPrice") == 19985.25, "the new stop")

    async def _partial_close(self) -> None:
        await self._price("20010.00")
        answer = await self._suite.positions.partially_close_position(MNQ, 1)
        assert answer["success"], answer

    async def _close(self) -> None:
        answer = await self._suite.positions.close_position_direct(MNQ)
        assert answer["success"], answer

    async def _rest(self) -> None:
        await self._place("resting", LIMIT, 1, limit_price=19900.0)

    async def _modify_resting(self) -> None:
        order = self._orders["resting"]
        assert await self._suite.orders.modify_order(order, limit_price=19910.0, size=2)
        await until(lambda: self._seen("resting").get("limitPrice") == 19910.0, "the new price")
        (row,) = [o for o in await self._suite.orders.search_open_orders() if o.id == order]
        assert (row.limitPrice, row.size) == (19910.0, 2)

    async def _place_and_be_refused(self) -> None:
        await self._brackets("position_brackets")
        before = set(self._heard.orders)
        why = ""
        try:
            await self._place("refused", MARKET, 1, brackets=True)
        except ProjectXError as error:
            why = str(error)
        assert NEEDS_AUTO_OCO in why, why or "an order with brackets was taken"
        await until(lambda: set(self._heard.orders) - before, "the rejected order")
        self._orders["refused"] = max(self._heard.orders)

    async def _place_plain(self) -> None:
        await self._place("plain", MARKET, 1)

    async def _cancel(self, name: str) -> None:
        assert await self._suite.orders.cancel_order(self._orders[name])

    async def _place(
        self, name: str, kind: int, size: int, *, brackets: bool = False, **prices: float
    ) -> None:
        more: dict[str, Any] = dict(prices)
        if brackets:
            more |= {"stop_loss_bracket": STOP_LOSS, "take_profit_bracket": TAKE_PROFIT}
        answer = await self._suite.orders.place_order(MNQ, kind, BUY, size, **more)
        self._orders[name] = answer.orderId
        await until(lambda: self._seen(name), f"a word of the {name} order")

    # --- the gateway's own levers ------------------------------------------------

    async def _price(self, bid: str) -> None:
        quote = {"contract": "MNQ", "bid": bid, "ask": str(float(bid) + 0.25), "last": bid}
        await asyncio.to_thread(self._gateway.control, "/quote", quote)

    async def _brackets(self, mode: str) -> None:
        fault = {"kind": "bracket_mode", "mode": mode, "flip_back": False}
        await asyncio.to_thread(self._gateway.control, "/fault", fault)

    # --- what is seen ------------------------------------------------------------

    def _seen(self, name: str) -> dict[str, Any]:
        return self._heard.orders.get(self._orders.get(name, 0), {})

    async def _balance(self) -> float:
        (account,) = await self._client.list_accounts()
        return float(account.balance)

    async def _compare(self, line: Line) -> None:
        """By the hub first, for it is the slower; then by REST."""
        balance = self._began_with + line.made
        await until(lambda: self._seen(line.order).get("status") == line.status, f"{line} (order)")
        await until(lambda: self._heard.position.get("size", 0) == line.held, f"{line} (hub)")
        await until(
            lambda: abs(self._heard.account.get("balance", balance) - balance) < 0.005,
            f"{line}: balance {balance:.2f}, the hub says {self._heard.account}",
        )
        held = await self._client.search_open_positions()
        found = [(one.size, one.averagePrice) for one in held]
        assert found == ([(line.held, line.average)] if line.held else []), (line, found)
        assert abs(await self._balance() - balance) < 0.005, line


@asynccontextmanager
async def opened(gateway: Gateway) -> AsyncIterator[tuple[TradingSuite, Heard]]:
    """A suite by its constructor, connected, with somebody who listens."""
    config = ProjectXConfig(
        api_url=gateway.api_url,
        user_hub_url=gateway.user_hub_url,
        market_hub_url=gateway.market_hub_url,
        requests_per_minute=190,
    )
    async with ProjectX("north", "north-key-0001", config=config) as client:
        await client.authenticate()
        assert [account.id for account in await client.list_accounts()] == [ACCOUNT]
        assert MNQ in [found.id for found in await client.search_instruments("MNQ")]
        realtime = ProjectXRealtimeClient(client.get_session_token(), str(ACCOUNT), config=config)
        wish = TradingSuiteConfig("MNQ", timeframes=["1min"], initial_days=1)
        suite, heard = TradingSuite(client, realtime, wish), Heard()
        await realtime.add_callback("order_update", heard.order)
        await realtime.add_callback("position_update", heard.take_position)
        await realtime.add_callback("account_update", heard.take_account)
        await realtime.add_callback("quote_update", heard.quote)
        try:
            await suite.connect()
            await until(lambda: heard.quotes, "a quote on the market hub")
            await asyncio.to_thread(gateway.control, "/market", {"moving": False})
            yield suite, heard
        finally:
            await suite.disconnect()


async def run(gateway: Gateway, seconds: float = 0.0) -> int:
    """Run rounds for so long, at least one; how many there were."""
    ends, rounds = time.monotonic() + seconds, 0
    async with opened(gateway) as (suite, heard):
        program = Program(gateway, suite, heard)
        while True:
            await program.round()
            rounds += 1
            if time.monotonic() + ROUND_EVERY_S > ends:
                return rounds
            await asyncio.sleep(ROUND_EVERY_S)


def main(argv: list[str]) -> int:
    """Run the command line; 0 when every line of every round was as the table says."""
    parser = argparse.ArgumentParser(prog="./dev sdk", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=0.0, help="how long; 0 is one round")
    minutes = parser.parse_args(argv).minutes
    logging.disable(logging.WARNING)  # the SDK tells every step of its own
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sdk.yaml"
        config.write_text(SCENARIO, encoding="utf-8")
        try:
            with running(config) as gateway:
                rounds = asyncio.run(run(gateway, minutes * 60))
        except AssertionError as difference:
            print(f"sdk: {difference}", file=sys.stderr)
            return 1
    print(f"sdk: {rounds} rounds of {len(TABLE)} steps, each as the table says")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

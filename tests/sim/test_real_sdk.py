"""The unmodified SDK against the real process: it must log in, see, hear and be able to close."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from project_x_py import ProjectX, ProjectXConfig, ProjectXRealtimeClient

from tests.sim.gateway_process import Gateway

ACCOUNT = 9000000101
MNQ = "CON.F.US.MNQ.Z26"


async def until(look: Callable[[], object], within_s: float = 5.0) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def config_of(gateway: Gateway) -> ProjectXConfig:
    """The SDK's configuration for this gateway."""
    return ProjectXConfig(
        api_url=gateway.api_url,
        user_hub_url=gateway.user_hub_url,
        market_hub_url=gateway.market_hub_url,
    )


def test_the_sdk_logs_in_hears_a_fill_and_sees_the_position(gateway: Gateway) -> None:
    heard: dict[str, list[Any]] = {"order": [], "position": [], "trade": [], "quote": []}

    def note(kind: str) -> Callable[..., None]:
        return lambda *arguments: heard[kind].append(arguments)

    async def scene() -> None:
        async with ProjectX("north", "north-key-0001", config=config_of(gateway)) as client:
            await client.authenticate()
            assert client.account_info is not None
            assert client.account_info.id == ACCOUNT
            assert await client.search_open_positions() == []
            hubs = ProjectXRealtimeClient(
                client.get_session_token(), str(ACCOUNT), config=config_of(gateway)
            )
            assert await hubs.connect()
            await hubs.add_callback("order_update", note("order"))
            await hubs.add_callback("position_update", note("position"))
            await hubs.add_callback("trade_execution", note("trade"))
            await hubs.add_callback("quote_update", note("quote"))
            assert await hubs.subscribe_user_updates()
            assert await hubs.subscribe_market_data([MNQ])
            order = {"account": ACCOUNT, "contract": "MNQ", "side": "buy", "size": 2}
            await asyncio.to_thread(gateway.control, "/order", order)
            await until(lambda: all(heard.values()))
            (position,) = await client.search_open_positions()
            assert (position.size, position.type, position.contractId) == (2, 1, MNQ)
            (instrument, *_) = await client.search_instruments("MNQ")
            assert instrument.tickSize == 0.25
            await hubs.disconnect()
            # The SDK goes on closing its sockets in tasks of its own.
            await until(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(scene())


def test_a_close_asked_through_the_sdk_fills_and_is_called_false_without_a_breach(
    gateway: Gateway,
) -> None:
    async def scene() -> None:
        async with ProjectX("north", "north-key-0001", config=config_of(gateway)) as client:
            await client.authenticate()
            order = {"account": ACCOUNT, "contract": "MNQ", "side": "sell", "size": 3}
            await asyncio.to_thread(gateway.control, "/order", order)
            body = {"accountId": ACCOUNT, "contractId": MNQ}
            answer: Any = await client._make_request("POST", "/Position/closeContract", data=body)
            assert answer["success"] is True

    asyncio.run(scene())
    deadline = time.monotonic() + 5
    while gateway.position(ACCOUNT) != 0:
        assert time.monotonic() < deadline
    assert gateway.control("/verdict")["false"] == 1

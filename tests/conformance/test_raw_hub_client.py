"""A raw hub client without negotiation sees each fill as a table written by hand says."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.sim.gateway_process import running
from tests.sim.hub_client import HubClient, hub, wish

ACCOUNT = 9000000101
MNQ = "CON.F.US.MNQ.Z26"
SCENARIO = """
offset_s: -691200.0
profile: calm
traders: false
close_mode: auto_oco
logins:
  - user: north
    api_key: north-key-0001
    accounts:
      - {id: 9000000101, name: N-1, balance: "50000.00", style: calm}
limits:
  default: {max_contracts: 5, daily_realized_loss: "400.00"}
"""
HERE = {"accountId": ACCOUNT, "contractId": MNQ}
# MNQ pays 2.00 a point; each contract and side costs 0.37 + 0.25. Request, body, bid;
# then side, size and price of the fill, position after it, balance after it.
TABLE: list[tuple[str, dict[str, Any], float, tuple[int, int, float], int, float]] = [
    ("/Order/place", {"type": 2, "side": 0, "size": 2}, 20000, (0, 2, 20000.25), 2, 49998.76),
    ("/Position/partialCloseContract", {"size": 1}, 20010, (1, 1, 20010), 1, 50017.64),
    ("/Position/closeContract", {}, 20010, (1, 1, 20010), 0, 50036.52),
]


def has_heard_accounts(ear: HubClient, times: int) -> bool:
    return len(ear.data("GatewayUserAccount")) == times


def test_a_raw_client_without_negotiation_sees_what_the_table_says(tmp_path: Path) -> None:
    config = tmp_path / "scenario.yaml"
    config.write_text(SCENARIO)

    async def scene() -> None:
        with running(config) as gateway:
            await wish(gateway, "/market", {"moving": False})
            token = await asyncio.to_thread(gateway.token)
            async with hub(gateway, token) as ear:
                await ear.ask("SubscribeAccounts")
                for kind in ("Orders", "Positions", "Trades"):
                    await ear.ask(f"Subscribe{kind}", ACCOUNT)
                for done, (path, body, bid, fill, held, balance) in enumerate(TABLE, start=1):
                    prices = {"contract": "MNQ", "bid": bid, "ask": bid + 0.25, "last": bid}
                    await wish(gateway, "/quote", prices)
                    _, answer = await asyncio.to_thread(gateway.api, path, HERE | body, token)
                    assert answer["success"], answer
                    await ear.until(partial(has_heard_accounts, ear, done))
                    order, trade = (
                        ear.data("GatewayUserOrder")[-1],
                        ear.data("GatewayUserTrade")[-1],
                    )
                    position = ear.data("GatewayUserPosition")[-1]
                    assert (order["status"], order["fillVolume"]) == (2, fill[1])
                    assert (trade["side"], trade["size"], trade["price"]) == fill
                    assert position["size"] == held
                    assert held == 0 or position["averagePrice"] == 20000.25
                    seen = ear.data("GatewayUserAccount")[-1]["balance"]
                    assert seen == pytest.approx(balance, abs=1e-9)

    asyncio.run(scene())

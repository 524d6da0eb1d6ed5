"""The hubs of the real process: doors, invocations, the life of an order, and broken sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import aiohttp
import pytest

from tests.sim.gateway_process import Gateway
from tests.sim.hub_client import END, HubClient, hub, wish

NORTH_1, NORTH_2, SOUTH_1 = 9000000101, 9000000102, 9000000201
MNQ = "CON.F.US.MNQ.Z26"
BUY = {"account": NORTH_1, "contract": "MNQ", "side": "buy", "size": 2}


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene, with a limit on its time."""
    asyncio.run(asyncio.wait_for(scene, 30))


async def subscribe_all(client: HubClient, *accounts: int) -> None:
    await client.ask("SubscribeAccounts")
    for account in accounts:
        for topic in ("Orders", "Positions", "Trades"):
            done = await client.ask(f"Subscribe{topic}", account)
            assert done == {"type": 3, "invocationId": done["invocationId"], "result": None}


def test_negotiation_gives_a_ticket_that_works_once(gateway: Gateway) -> None:
    async def scene() -> None:
        token = gateway.token()
        url = f"http://127.0.0.1:{gateway.port}/hubs/user/negotiate"
        bearer = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as session:
            async with session.post(url, headers=bearer) as answer:
                assert isinstance((await answer.json())["negotiateVersion"], int)
            async with session.post(f"{url}?negotiateVersion=1", headers=bearer) as answer:
                offer = await answer.json()
            async with session.post(url) as answer:
                assert answer.status == 401
        async with hub(gateway, token, ticket=offer["connectionId"]) as client:
            assert client.heard == [{}]
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with hub(gateway, token, ticket=offer["connectionId"]):
                pass
        assert caught.value.status == 404
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with hub(gateway, "no token"):
                pass
        assert caught.value.status == 401

    play(scene())


def test_another_protocol_is_refused_in_the_handshake(gateway: Gateway) -> None:
    async def scene() -> None:
        url = f"http://127.0.0.1:{gateway.port}/hubs/user?access_token={gateway.token()}"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.send_str(json.dumps({"protocol": "messagepack", "version": 1}) + END)
            assert "not supported" in (await socket.receive_str())

    play(scene())


def test_a_fill_says_order_then_trade_then_position_then_account(gateway: Gateway) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token()) as client:
            await subscribe_all(client, NORTH_1, NORTH_2)
            await wish(gateway, "/order", BUY)
            await client.until(lambda: client.events("GatewayUserAccount"))
            targets = [
                r["target"].removeprefix("GatewayUser") for r in client.heard if "target" in r
            ]
            assert targets == ["Order", "Order", "Trade", "Position", "Account"]
            assert [row["status"] for row in client.data("GatewayUserOrder")] == [6, 2]
            (trade,) = client.data("GatewayUserTrade")
            assert (trade["profitAndLoss"], trade["fees"], trade["commissions"]) == (
                None,
                0.74,
                0.5,
            )
            (position,) = client.events("GatewayUserPosition")
            assert position[0]["action"] == 0
            assert (position[0]["data"]["type"], position[0]["data"]["size"]) == (1, 2)

    play(scene())


def test_events_come_for_every_account_subscribed_and_for_no_other(gateway: Gateway) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token()) as client:
            await subscribe_all(client, NORTH_1, NORTH_2)
            done = await client.ask("SubscribeOrders", SOUTH_1)
            assert "error" in done
            await client.ask("UnsubscribeOrders", NORTH_2)
            for account in (SOUTH_1, NORTH_2, NORTH_1):
                await wish(gateway, "/order", BUY | {"account": account})
            await client.until(lambda: len(client.data("GatewayUserTrade")) == 2)
            assert {row["accountId"] for row in client.data("GatewayUserTrade")} == {
                NORTH_1,
                NORTH_2,
            }
            assert {row["accountId"] for row in client.data("GatewayUserOrder")} == {NORTH_1}

    play(scene())


def test_unknown_methods_and_broken_records_do_not_close_the_socket(gateway: Gateway) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token()) as client:
            await client.send({"type": 1, "target": "Heartbeat", "arguments": [{"timestamp": 1}]})
            await client.send({"type": 6})
            await client.socket.send_str("{broken" + END)
            assert "does not exist" in (await client.ask("Heartbeat", {}))["error"]
            assert "error" in await client.ask("SubscribeOrders")
            assert (await client.ask("SubscribeAccounts"))["result"] is None

    play(scene())


def test_the_market_hub_speaks_of_contracts_with_two_arguments(gateway: Gateway) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token(), "market") as client:
            for topic in ("Quotes", "Trades", "MarketDepth"):
                assert "error" not in await client.ask(f"SubscribeContract{topic}", MNQ)
            assert "error" in await client.ask("SubscribeContractQuotes", "CON.F.US.XYZ.Z26")
            assert "error" in await client.ask("SubscribeOrders", NORTH_1)
            await client.until(lambda: len(client.events("GatewayQuote")) >= 6)
            await client.until(lambda: client.events("GatewayTrade"))
            quotes = client.events("GatewayQuote")
            assert all(
                contract == MNQ and quote["bestBid"] < quote["bestAsk"]
                for contract, quote in quotes
            )
            assert any("volume" not in quote for _, quote in quotes)
            assert isinstance(client.events("GatewayTrade")[0][1], list)
            assert isinstance(client.events("GatewayDepth")[0][1], list)

    play(scene())


def test_bad_quotes_are_one_sided_crossed_or_wild_and_nothing_trades_on_them(
    gateway: Gateway,
) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token(), "market") as client:
            await client.ask("SubscribeContractQuotes", MNQ)
            fault = {"kind": "bad_quotes", "seconds": 10, "contract": "MNQ"}
            await wish(gateway, "/fault", fault)
            await client.until(
                lambda: [
                    q
                    for _, q in client.events("GatewayQuote")
                    if not 0 < q["bestBid"] < q["bestAsk"] or q["bestBid"] > 50_000
                ]
            )
            await wish(gateway, "/order", BUY)
            truth = gateway.truth(NORTH_1)
            assert all(20_000 < row["average"] < 40_000 for row in truth["positions"])

    play(scene())


def test_market_silence_leaves_the_user_hub_alone(gateway: Gateway) -> None:
    async def scene() -> None:
        token = gateway.token()
        async with hub(gateway, token, "market") as market, hub(gateway, token) as user:
            await market.ask("SubscribeContractQuotes", MNQ)
            await subscribe_all(user, NORTH_1)
            await wish(gateway, "/fault", {"kind": "market_silence", "seconds": 20})
            await asyncio.gather(market.ask("SubscribeContractQuotes", MNQ))
            before = len(market.heard)
            await wish(gateway, "/order", BUY)
            await user.until(lambda: user.data("GatewayUserTrade"))
            assert len(market.heard) == before

    play(scene())


@pytest.mark.parametrize("kind", ["hub_reset", "hub_close", "hub_close_error", "session_conflict"])
def test_a_socket_can_die_in_four_ways(gateway: Gateway, kind: str) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token()) as client:
            await subscribe_all(client, NORTH_1)
            await wish(gateway, "/fault", {"kind": kind, "login": "north", "hub": "user"})
            await client.until(lambda: client.is_over)
            last = client.heard[-1]
            assert (last.get("type") == 7) == (kind == "hub_close_error")
            assert (last.get("target") == "GatewayLogout") == (kind == "session_conflict")
            assert gateway.control("/connections")["logins"]["north"]["hubs"] == []

    play(scene())


def test_a_revoked_token_drops_the_hubs_and_the_old_token_stays_out(gateway: Gateway) -> None:
    async def scene() -> None:
        token = gateway.token()
        async with hub(gateway, token) as client:
            await wish(gateway, "/fault", {"kind": "token_revoked", "login": "north"})
            await client.until(lambda: client.is_over)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with hub(gateway, token):
                pass
        async with hub(gateway, gateway.token()) as client:
            assert client.heard == [{}]

    play(scene())


def test_a_refusing_hub_answers_503(gateway: Gateway) -> None:
    async def scene() -> None:
        token = gateway.token()
        wanted = {"kind": "hub_refuse", "login": "north", "seconds": 20, "hub": "user"}
        await wish(gateway, "/fault", wanted)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with hub(gateway, token):
                pass
        assert caught.value.status == 503
        async with hub(gateway, token, "market") as client:
            assert client.heard == [{}]

    play(scene())


def test_a_frozen_hub_accepts_everything_and_says_nothing_and_what_it_kept_back_is_lost(
    gateway: Gateway,
) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token()) as client:
            await subscribe_all(client, NORTH_1)
            await wish(gateway, "/fault", {"kind": "freeze", "login": "north", "seconds": 0.6})
            await wish(gateway, "/order", BUY)
            await client.send(
                {"type": 1, "target": "SubscribeAccounts", "arguments": [], "invocationId": "x"}
            )
            await client.until(lambda: "freeze is over" in str(gateway.control("/happenings")))
            await wish(gateway, "/order", BUY | {"side": "sell"})
            await client.until(lambda: len(client.data("GatewayUserTrade")) == 1)
            assert [row["side"] for row in client.data("GatewayUserTrade")] == [1]

    play(scene())


def test_messages_can_be_doubled_withheld_or_lost(gateway: Gateway) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token()) as client:
            await subscribe_all(client, NORTH_1)
            await wish(gateway, "/fault", {"kind": "duplicates", "login": "north", "seconds": 1})
            await wish(gateway, "/order", BUY)
            await client.until(lambda: len(client.data("GatewayUserTrade")) == 2)
            first, second = client.data("GatewayUserTrade")
            assert first == second
            await client.until(lambda: "duplicates is over" in str(gateway.control("/happenings")))
            late = {"kind": "withhold_trades", "login": "north", "seconds": 0.4}
            lost = {"kind": "withhold_positions", "login": "north", "seconds": 0.4}
            before = len(client.data("GatewayUserPosition"))
            await wish(gateway, "/fault", late)
            await wish(gateway, "/fault", lost | {"deliver": "never"})
            await wish(gateway, "/order", BUY)
            await client.until(lambda: len(client.data("GatewayUserTrade")) == 3)
            targets = [record.get("target") for record in client.heard]
            assert targets[-1] == "GatewayUserTrade"
            assert len(client.data("GatewayUserPosition")) == before

    play(scene())


def test_records_can_be_split_over_frames_and_payloads_can_be_bare(gateway: Gateway) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token()) as client:
            await subscribe_all(client, NORTH_1)
            for kind in ("split_records", "merged_records", "bare_payloads"):
                await wish(gateway, "/fault", {"kind": kind, "login": "north", "seconds": 20})
            await wish(gateway, "/order", BUY)
            await client.until(lambda: client.events("GatewayUserTrade"))
            assert any(not frame.endswith(END) for frame in client.frames)
            assert client.events("GatewayUserTrade")[0][0]["accountId"] == NORTH_1

    play(scene())


def test_a_login_is_whole_when_both_hubs_are_there_and_everything_is_subscribed(
    gateway: Gateway,
) -> None:
    async def scene() -> None:
        token = gateway.token()
        async with hub(gateway, token, "market"), hub(gateway, token) as client:
            await subscribe_all(client, NORTH_1)
            north = gateway.control("/connections")["logins"]["north"]
            assert not north["is_whole"]
            assert f"trade:{NORTH_1}" in str(north["hubs"])
            await subscribe_all(client, NORTH_2)
            assert gateway.control("/connections")["logins"]["north"]["is_whole"]

    play(scene())


def test_the_delivered_ledger_hears_only_of_subscribed_sockets(gateway: Gateway) -> None:
    async def scene() -> None:
        over = BUY | {"size": 6}
        await wish(gateway, "/order", over)
        async with hub(gateway, gateway.token()) as client:
            await subscribe_all(client, NORTH_2)
            assert "can be known" not in str(gateway.control("/happenings"))
            await wish(gateway, "/order", over | {"account": NORTH_2})
            await client.until(lambda: "can be known" in str(gateway.control("/happenings")))
            verdict = await wish(gateway, "/finish", {"settle_s": 0.1})
            assert (verdict["breaches"], verdict["answered"], verdict["ok"]) == (2, 0, False)

    play(scene())

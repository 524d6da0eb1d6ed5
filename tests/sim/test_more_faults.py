"""The faults of accounts, tokens, fills and prices: each is seen to happen at the real process."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.sim.faults import TABLE, FaultRefused, FaultWish, check
from tests.sim.gateway_process import Gateway, until
from tests.sim.hub_client import HubClient, hub, wish
from tests.sim.test_hub_doors import play, subscribe_all
from tests.sim.test_rest_faults import buy

ONE, TWO = 9000000101, 9000000102
MNQ, MES = "CON.F.US.MNQ.Z26", "CON.F.US.MES.Z26"
MANUAL = Path(__file__).parents[2] / "docs" / "brokers" / "simgate.md"
BRACKETS = {"stop_loss_ticks": -40, "take_profit_ticks": 40}


def listed(gateway: Gateway, token: str) -> dict[int, dict[str, Any]]:
    rows = gateway.api("/Account/search", {}, token)[1]["accounts"]
    return {row["id"]: row for row in rows}


def test_the_manual_has_a_row_for_every_fault_with_its_arguments() -> None:
    table = MANUAL.read_text().partition("| Kind | Arguments")[2].partition("\n\n")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    rows = {cells[0].strip(" `"): cells for cells in lines}

    assert set(rows) == set(TABLE)
    for kind, (_, arguments, what, _, live) in rows.items():
        assert all(f"`{name}`" in arguments for name in TABLE[kind].options), kind
        assert what.strip()
        assert live.strip()


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (FaultWish("hub_rest"), "did you mean hub_reset?"),
        (FaultWish("payout"), "payout needs an account"),
        (FaultWish("payout", account=ONE, options={"amount": "much"}), "amount is 'much'"),
        (FaultWish("duplicates", seconds=1, options={"ms": 1}), "an option of duplicates is 'ms'"),
        (FaultWish("hub_reset", options={"hub": "users"}), "hub is 'users'; allowed are user"),
        (
            FaultWish("rate_limit", seconds=1, options={"retry_after": "soon"}),
            "allowed are true, false, date",
        ),
    ],
)
def test_a_fault_that_cannot_be_is_refused(wanted: FaultWish, words: str) -> None:
    with pytest.raises(FaultRefused) as caught:
        check(wanted)

    assert words in str(caught.value)


def test_retry_after_may_be_a_date_of_the_exchange(gateway: Gateway) -> None:
    token = gateway.token()
    fault = {"kind": "rate_limit", "login": "north", "seconds": 30, "retry_after": "date"}
    gateway.control("/fault", fault)
    request = urllib.request.Request(
        f"{gateway.api_url}/Account/search", b"{}", {"Authorization": f"Bearer {token}"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    headers = caught.value.headers
    caught.value.close()
    wait = parsedate_to_datetime(headers["Retry-After"]) - parsedate_to_datetime(headers["Date"])

    assert 25 <= wait.total_seconds() <= 31


def test_a_half_open_socket_hears_and_says_nothing_and_a_new_one_is_sound(
    gateway: Gateway,
) -> None:
    async def scene() -> None:
        token = gateway.token()
        async with hub(gateway, token) as old:
            await subscribe_all(old, ONE)
            await wish(gateway, "/fault", {"kind": "half_open", "login": "north"})
            before = len(old.heard)
            await old.send(
                {"type": 1, "target": "SubscribeAccounts", "arguments": [], "invocationId": "x"}
            )
            async with hub(gateway, token) as new:
                await subscribe_all(new, ONE)
                await asyncio.to_thread(buy, gateway)
                await new.until(lambda: new.data("GatewayUserTrade"))
            assert len(old.heard) == before
            assert not old.is_over

    play(scene())


def test_one_contract_may_fall_silent_while_the_others_go_on(gateway: Gateway) -> None:
    async def scene() -> None:
        def quotes(client: HubClient, contract: str) -> int:
            return len([1 for name, _ in client.events("GatewayQuote") if name == contract])

        async with hub(gateway, gateway.token(), "market") as client:
            fault = {"kind": "market_silence", "login": "north", "seconds": 20, "contract": "MNQ"}
            await wish(gateway, "/fault", fault)
            for contract in (MNQ, MES):
                await client.ask("SubscribeContractQuotes", contract)
            await client.until(lambda: quotes(client, MES) > 5)
            assert quotes(client, MNQ) == 0

    play(scene())


def test_bad_prints_are_far_from_sound_quotes(gateway: Gateway) -> None:
    async def scene() -> None:
        async with hub(gateway, gateway.token(), "market") as client:
            fault = {"kind": "bad_prints", "login": "north", "seconds": 20, "contract": "MNQ"}
            await wish(gateway, "/fault", fault)
            for topic in ("Quotes", "Trades"):
                await client.ask(f"SubscribeContract{topic}", MNQ)
            await client.until(lambda: len(client.events("GatewayTrade")) > 3)
            prints = [row["price"] for _, rows in client.events("GatewayTrade") for row in rows]
            quotes = [q["bestBid"] for _, q in client.events("GatewayQuote") if "bestBid" in q]
            assert all(price < 1 or price > 40_000 for price in prints)
            assert all(20_000 < bid < 40_000 for bid in quotes)

    play(scene())


def test_a_new_account_is_told_of_and_can_be_traded_on(gateway: Gateway) -> None:
    async def scene() -> None:
        token = gateway.token()
        async with hub(gateway, token) as client:
            await client.ask("SubscribeAccounts")
            fault = {"kind": "new_account", "login": "north", "id": 77, "name": "FRESH"}
            await wish(gateway, "/fault", fault)
            await wish(gateway, "/fault", fault)
            await client.until(lambda: client.events("GatewayUserAccount"))
            (event,) = client.events("GatewayUserAccount")
            assert (event[0]["action"], event[0]["data"]["name"]) == (0, "FRESH")
            assert (await client.ask("SubscribeOrders", 77))["result"] is None
        assert 77 in await asyncio.to_thread(listed, gateway, token)
        order = {"account": 77, "contract": "MNQ", "side": "buy", "size": 9}
        await wish(gateway, "/order", order)
        assert (await wish(gateway, "/verdict"))["breaches"] == 0

    play(scene())


def test_an_account_may_be_hidden_for_a_while(gateway: Gateway) -> None:
    token = gateway.token()
    gateway.control("/fault", {"kind": "visible", "account": ONE, "seconds": 0.3})

    assert listed(gateway, token)[ONE]["isVisible"] is False
    until(lambda: listed(gateway, token)[ONE]["isVisible"])


def test_a_payout_takes_money_without_a_trade(gateway: Gateway) -> None:
    gateway.control("/fault", {"kind": "payout", "account": ONE, "amount": 1200.5})

    assert gateway.truth(ONE)["balance"] == 48_799.5


def test_short_lived_tokens_end_and_so_do_those_given_out_before(gateway: Gateway) -> None:
    before = gateway.token()
    fault = {"kind": "token_life", "login": "north", "seconds": 20, "life_s": 0.4}
    gateway.control("/fault", fault)
    meanwhile = gateway.token()

    assert gateway.api("/Account/search", {}, meanwhile)[0] == 200
    until(lambda: gateway.api("/Account/search", {}, before)[0] == 401)
    until(lambda: gateway.api("/Account/search", {}, meanwhile)[0] == 401)
    assert gateway.api("/Account/search", {}, gateway.token("south", "south-key-0002"))[0] == 200


def test_changes_alone_may_be_answered_401_until_a_new_login(gateway: Gateway) -> None:
    token = gateway.token()
    buy(gateway)
    close = "/Position/closeContract", {"accountId": ONE, "contractId": MNQ}
    gateway.control("/fault", {"kind": "unauthorized", "login": "north", "only": "changes"})

    assert gateway.api("/Account/search", {}, token)[0] == 200
    assert gateway.api(*close, token)[0] == 401
    assert gateway.api(*close, gateway.token())[1]["success"]


def test_fills_may_come_contract_by_contract(gateway: Gateway) -> None:
    token = gateway.token()
    gateway.control("/fault", {"kind": "fills_in_pieces", "account": ONE, "seconds": 20, "ms": 1})
    buy(gateway)
    trades = gateway.api("/Trade/search", {"accountId": ONE}, token)[1]["trades"]

    assert [trade["size"] for trade in trades] == [1, 1]


def test_a_stop_may_fill_just_before_its_cancel_arrives(gateway: Gateway) -> None:
    token = gateway.token()
    order = {"account": ONE, "contract": "MNQ", "side": "buy", "size": 2}
    stop = gateway.control("/order", order | BRACKETS)["children"][0]
    until(lambda: len(gateway.truth(ONE)["working"]) == 2 and gateway.position(ONE) == 2)
    gateway.control("/fault", {"kind": "stop_race", "account": ONE})
    answer = gateway.api("/Order/cancel", {"accountId": ONE, "orderId": stop}, token)[1]

    assert answer["errorCode"] == 2
    assert gateway.position(ONE) == 0
    assert gateway.truth(ONE)["working"] == []


def test_the_bracket_mode_may_change_and_change_back(gateway: Gateway) -> None:
    order = {"account": TWO, "contract": "MNQ", "side": "buy", "size": 1} | BRACKETS
    gateway.control("/fault", {"kind": "bracket_mode", "seconds": 0.4})

    assert "enable Auto OCO" in gateway.control("/order", order)["text"]
    until(lambda: gateway.control("/order", order)["code"] == 0)

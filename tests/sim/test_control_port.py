"""The control port of the real process: wishes, refusals, questions."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.sim.gateway_process import Gateway, until

ACCOUNT = 9000000101


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/announce", {"account": ACCOUNT, "act": "dance"}, "act is 'dance'; allowed are"),
        ("/announce", {"account": 1, "act": "unlock"}, "account is 1; allowed are"),
        ("/fault", {"kind": "comet"}, "kind is 'comet'; allowed are account_vanish"),
        ("/fault", {"kind": "freeze"}, "freeze needs seconds above 0"),
        ("/fault", {"kind": "freeze", "seconds": -1}, "seconds is -1"),
        ("/fault", {"kind": "freeze", "seconds": 1, "login": "east"}, "login is 'east'"),
        ("/order", {"account": ACCOUNT, "contract": "XX", "side": "buy"}, "contract is 'XX'"),
        ("/order", {"account": ACCOUNT, "contract": "ES", "side": "up"}, "side is 'up'"),
        (
            "/order",
            {"account": ACCOUNT, "contract": "ES", "side": "buy", "type": "fok"},
            "type is 'fok'",
        ),
        (
            "/order",
            {"account": ACCOUNT, "contract": "ES", "side": "buy", "type": "limit"},
            "price is None; allowed is a number",
        ),
        ("/quote", {"contract": "XX"}, "contract is 'XX'; it is not listed"),
        ("/market", {"moving": 1}, "moving is 1; allowed are true, false"),
        ("/balance", {"account": ACCOUNT, "delta": "much"}, "delta is 'much'"),
        ("/profile", {"name": "wild"}, "profile is 'wild'; allowed are calm, demo, slow"),
        ("/profile", {"speed": 1}, "speed is not known"),
        ("/profile", {"fill_ms": [3, 1]}, "fill_ms is [3.0, 1.0]"),
        ("/profile", {"pieces": 2}, "pieces is 2"),
        ("/hold", {"account": ACCOUNT, "closes": "all"}, "closes is 'all'"),
        ("/window", [], "allowed is a JSON object"),
    ],
)
def test_a_wrong_wish_is_refused_in_one_sentence(
    gateway: Gateway, path: str, body: object, words: str
) -> None:
    assert words in gateway.refused(path, body)


def test_a_text_that_is_no_json_is_refused_too(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.control_port}/announce"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, b"{"), timeout=10)
    caught.value.close()

    assert caught.value.code == 400


def test_a_balance_moves_without_a_trade(gateway: Gateway) -> None:
    answer = gateway.control("/balance", {"account": ACCOUNT, "delta": "-1000.50"})

    assert answer["balance"] == 48999.5
    assert gateway.truth(ACCOUNT)["realized"] == 0


def test_quotes_set_by_hand_reach_resting_orders(gateway: Gateway) -> None:
    gateway.control("/market", {"moving": False})
    wish = {"account": ACCOUNT, "contract": "ES", "side": "buy", "size": 1, "type": "limit"}
    order = gateway.control("/order", wish | {"price": "6000.25", "tag": "dip"})
    assert gateway.truth(ACCOUNT)["working"][0]["customTag"] == "dip"
    gateway.control("/quote", {"contract": "ES", "bid": 6000, "ask": 6000.25, "last": 6000})
    until(lambda: gateway.position(ACCOUNT) == 1)

    assert order["code"] == 0
    assert gateway.control("/truth")["quotes"]["ES"]["bid"] == 6000


def test_a_trader_takes_his_order_back(gateway: Gateway) -> None:
    wish = {"account": ACCOUNT, "contract": "ES", "side": "sell", "size": 1, "type": "stop"}
    order = gateway.control("/order", wish | {"price": "100"})["order"]

    assert gateway.control("/cancel", {"account": ACCOUNT, "order": order})["code"] == 0
    assert gateway.truth(ACCOUNT)["working"] == []


def test_brackets_of_a_trader_s_order_come_as_children(gateway: Gateway) -> None:
    wish = {"account": ACCOUNT, "contract": "MNQ", "side": "buy", "size": 1}
    answer = gateway.control("/order", wish | {"stop_loss_ticks": -40, "take_profit_ticks": 40})
    until(lambda: [row["status"] for row in gateway.truth(ACCOUNT)["working"]] == [1, 1])

    assert len(answer["children"]) == 2
    assert {row["parentOrderId"] for row in gateway.truth(ACCOUNT)["working"]} == {answer["order"]}


def test_profiles_change_while_it_runs(gateway: Gateway) -> None:
    assert gateway.control("/profile", {"name": "slow"})["fill_ms"] == [150, 400]
    changed = gateway.control("/profile", {"fill_ms": [1, 2.5], "duplicates": 0.5})

    assert (changed["fill_ms"], changed["duplicates"], changed["name"]) == ([1, 2.5], 0.5, "custom")


def test_traders_start_when_told_and_stop_at_the_finish(gateway: Gateway) -> None:
    gateway.control("/traders", {"on": True, "end_in_s": 30})
    until(lambda: "breach" in str(gateway.control("/happenings")), 15)
    verdict = gateway.control("/finish", {"settle_s": 0})

    assert verdict["breaches"] >= 1
    assert gateway.control("/verdict")["breaches"] == verdict["breaches"]


def test_an_announced_act_and_a_declared_window_are_happenings(gateway: Gateway) -> None:
    gateway.control("/announce", {"account": None, "act": "flatten-lock", "by": "ann"})
    gateway.control("/window", {"login": None, "seconds": 1, "why": "kill -9 of a worker"})
    happenings = gateway.control("/happenings")["happenings"]

    assert [line["kind"] for line in happenings] == ["act"] * 3 + ["fault"]
    assert gateway.control(f"/happenings?after={happenings[-1]['n']}")["happenings"] == []
    assert gateway.truth(ACCOUNT)["act"] == "flatten-lock"


def test_requests_are_listed_after_a_number(gateway: Gateway) -> None:
    token = gateway.token()
    gateway.api("/Position/searchOpen", {"accountId": ACCOUNT}, token)
    first, second = gateway.control("/requests")["requests"]

    assert (first["path"], first["code"], first["status"]) == ("/Auth/loginKey", 0, 200)
    assert (second["login"], second["account"]) == ("north", ACCOUNT)
    assert gateway.control(f"/requests?after={second['n']}")["requests"] == []

"""The REST doors of the real process: codes, numbers, times, tokens, limits."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection

import pytest

from tests.sim.gateway_process import Gateway, call, until

ACCOUNT, OTHERS = 9000000101, 9000000201
MNQ, MES = "CON.F.US.MNQ.Z26", "CON.F.US.MES.Z26"
EIGHT_DAYS = timedelta(days=8)


@pytest.fixture
def token(gateway: Gateway) -> str:
    return gateway.token()


def buy(gateway: Gateway) -> int:
    """A trader buys; the order's id, once it is filled."""
    wish = {"account": ACCOUNT, "contract": "MNQ", "side": "buy", "size": 2}
    order = int(gateway.control("/order", wish)["order"])
    until(lambda: order not in [row["id"] for row in gateway.truth(ACCOUNT)["working"]])
    return order


def close(gateway: Gateway, token: str | None, contract: str = MNQ) -> tuple[int, dict[str, int]]:
    body = {"accountId": ACCOUNT, "contractId": contract}
    return gateway.api("/Position/closeContract", body, token)


def partial_close(gateway: Gateway, token: str, size: int, contract: str = MNQ) -> int:
    body = {"accountId": ACCOUNT, "contractId": contract, "size": size}
    return int(gateway.api("/Position/partialCloseContract", body, token)[1]["errorCode"])


def raw(gateway: Gateway, path: str, body: object, token: str) -> str:
    """The text of an answer, before anybody parsed its numbers."""
    request = urllib.request.Request(
        gateway.api_url + path,
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def test_ping_needs_no_token(gateway: Gateway) -> None:
    with urllib.request.urlopen(f"{gateway.api_url}/Status/ping", timeout=10) as answer:
        assert answer.read() == b"pong"


def test_a_wrong_key_and_an_unknown_user_are_told_apart(gateway: Gateway) -> None:
    wrong = gateway.api("/Auth/loginKey", {"userName": "north", "apiKey": "no"})
    unknown = gateway.api("/Auth/loginKey", {"userName": "nobody", "apiKey": "no"})

    assert (wrong[0], wrong[1]["errorCode"]) == (200, 3)
    assert (unknown[0], unknown[1]["errorCode"]) == (200, 1)


def test_the_token_expires_in_real_time_although_the_exchange_lives_eight_days_ago(
    token: str,
) -> None:
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    assert claims["exp"] == pytest.approx(time.time() + 24 * 3600, abs=60)


def test_times_and_the_date_header_are_the_exchange_s(gateway: Gateway, token: str) -> None:
    buy(gateway)
    with urllib.request.urlopen(f"{gateway.api_url}/Status/ping", timeout=10) as answer:
        date = parsedate_to_datetime(answer.headers["Date"])
    (trade,) = gateway.api("/Trade/search", {"accountId": ACCOUNT}, token)[1]["trades"]
    there = datetime.now(UTC) - EIGHT_DAYS

    assert abs(date - there) < timedelta(seconds=10)
    assert abs(datetime.fromisoformat(trade["creationTimestamp"]) - there) < timedelta(seconds=10)
    assert trade["creationTimestamp"].endswith("+00:00")


def test_searches_look_at_windows_of_exchange_time(gateway: Gateway, token: str) -> None:
    buy(gateway)
    now = datetime.now(UTC)
    here = {"accountId": ACCOUNT, "startTimestamp": (now - timedelta(hours=1)).isoformat()}
    there = {
        "accountId": ACCOUNT,
        "startTimestamp": (now - EIGHT_DAYS - timedelta(hours=1)).isoformat(),
        "endTimestamp": (now - EIGHT_DAYS + timedelta(hours=1)).isoformat(),
    }

    for path, name in (("/Trade/search", "trades"), ("/Order/search", "orders")):
        assert gateway.api(path, here, token)[1][name] == []
        assert len(gateway.api(path, there, token)[1][name]) == 1


def test_prices_keep_their_trailing_zeros(gateway: Gateway, token: str) -> None:
    quote = {"contract": "MNQ", "bid": "28418.0", "ask": "28418.25"}
    gateway.control("/market", {"moving": False})
    gateway.control("/quote", quote)
    buy(gateway)

    assert '"price":28418.250000000' in raw(gateway, "/Trade/search", {"accountId": ACCOUNT}, token)
    text = raw(gateway, "/Position/searchOpen", {"accountId": ACCOUNT}, token)
    assert '"averagePrice":28418.250000000' in text
    assert '"balance":49998.76' in raw(gateway, "/Account/search", {}, token)


def test_no_token_is_401_with_an_empty_body(gateway: Gateway) -> None:
    assert gateway.api("/Account/search", {}) == (401, "")
    assert gateway.api("/Auth/validate", {}) == (401, "")
    assert gateway.api("/Auth/logout", {}) == (401, "")


def test_validate_gives_a_new_token_and_logout_ends_one(gateway: Gateway, token: str) -> None:
    new = gateway.api("/Auth/validate", {}, token)[1]["newToken"]

    assert new != token
    assert gateway.api("/Auth/logout", {}, token)[1]["success"]
    assert gateway.api("/Account/search", {}, token)[0] == 401
    assert gateway.api("/Account/search", {}, new)[0] == 200


def test_an_account_of_another_login_does_not_exist(gateway: Gateway, token: str) -> None:
    body = {"accountId": OTHERS, "contractId": MNQ}

    assert gateway.api("/Position/closeContract", body, token)[1]["errorCode"] == 1
    for path, name in (
        ("/Position/searchOpen", "positions"),
        ("/Order/searchOpen", "orders"),
        ("/Order/search", "orders"),
        ("/Trade/search", "trades"),
    ):
        answer = gateway.api(path, {"accountId": OTHERS}, token)[1]
        assert (answer["success"], answer["errorCode"], answer[name]) == (False, 1, None)


def test_a_body_that_is_no_object_or_lacks_a_field_is_400(gateway: Gateway, token: str) -> None:
    assert gateway.api("/Account/search", [1], token)[0] == 400
    assert gateway.api("/Order/cancel", {"accountId": ACCOUNT}, token)[0] == 400


def test_the_two_close_tables_part_ways_at_code_5(gateway: Gateway, token: str) -> None:
    assert close(gateway, token)[1]["errorCode"] == 2
    assert partial_close(gateway, token, 1) == 2
    assert close(gateway, token, "CON.F.US.XYZ.Z26")[1]["errorCode"] == 3

    buy(gateway)

    assert partial_close(gateway, token, 3) == 5
    assert partial_close(gateway, token, 0) == 5
    assert partial_close(gateway, token, 1) == 0
    until(lambda: gateway.position(ACCOUNT) == 1)
    assert close(gateway, token)[1]["errorCode"] == 0
    until(lambda: gateway.position(ACCOUNT) == 0)


def test_a_close_is_accepted_first_and_filled_later_and_leaves_other_orders_alone(
    gateway: Gateway, token: str
) -> None:
    buy(gateway)
    stop = {"account": ACCOUNT, "contract": "MNQ", "side": "sell", "size": 2, "type": "stop"}
    order = gateway.control("/order", stop | {"price": "20000"})["order"]
    gateway.control("/hold", {"account": ACCOUNT, "closes": 1})

    assert close(gateway, token)[1]["success"]
    assert gateway.position(ACCOUNT) == 2
    assert gateway.control("/unsettled")["n"] == 1
    assert gateway.control("/release", {"account": ACCOUNT}) == {"released": 1}
    until(lambda: gateway.position(ACCOUNT) == 0)
    assert gateway.control("/unsettled")["n"] == 0
    working = gateway.api("/Order/searchOpen", {"accountId": ACCOUNT}, token)[1]["orders"]
    assert [row["id"] for row in working] == [order]
    assert order > 2**31

    cancelled = gateway.api("/Order/cancel", {"accountId": ACCOUNT, "orderId": order}, token)
    again = gateway.api("/Order/cancel", {"accountId": ACCOUNT, "orderId": order}, token)
    assert (cancelled[1]["errorCode"], again[1]["errorCode"]) == (0, 2)


def test_orders_can_be_placed_found_modified_and_queried(gateway: Gateway, token: str) -> None:
    body = {
        "accountId": ACCOUNT, "contractId": MNQ, "type": 1, "side": 0, "size": 1,
        "limitPrice": 20000.25, "customTag": "mine",
        "stopLossBracket": {"ticks": -40, "type": 4}, "takeProfitBracket": {"ticks": 40, "type": 1},
    }  # fmt: skip
    order = gateway.api("/Order/place", body, token)[1]["orderId"]
    change = {"accountId": ACCOUNT, "orderId": order, "size": 2, "limitPrice": 20001.5}

    assert gateway.api("/Order/modify", change, token)[1]["success"]
    found = gateway.api("/Order/searchById", {"accountId": ACCOUNT, "orderId": order}, token)[1]
    assert (found["order"]["size"], found["order"]["limitPrice"]) == (2, 20001.5)
    missing = gateway.api("/Order/searchById", {"accountId": ACCOUNT, "orderId": 1}, token)[1]
    assert (missing["errorCode"], missing["order"]) == (1, None)
    wish = {"filter": {"accountId": ACCOUNT, "statuses": [1], "contractId": MNQ}}
    page = gateway.api("/Order/v2/query", wish | {"sortDirection": 1, "pageSize": 5}, token)[1]
    assert (page["totalCount"], [row["id"] for row in page["orders"]]) == (1, [order])
    assert gateway.api("/Order/v2/query", {}, token)[1]["errorCode"] == 1
    refused = gateway.api("/Order/place", body | {"size": 0}, token)[1]
    assert (refused["errorCode"], refused["errorMessage"]) == (2, "Invalid size")
    assert gateway.control("/verdict")["increased"] == 2  # a daemon may never place an order


def test_contracts_are_found_by_words_and_by_id(gateway: Gateway, token: str) -> None:
    found = gateway.api("/Contract/search", {"searchText": "nq", "live": False}, token)[1]
    one = gateway.api("/Contract/searchById", {"contractId": MES}, token)[1]["contract"]
    none = gateway.api("/Contract/searchById", {"contractId": "x"}, token)[1]

    assert {row["symbolId"] for row in found["contracts"]} == {"F.US.ENQ", "F.US.MNQ"}
    assert (one["tickSize"], one["tickValue"], one["name"]) == (0.25, 1.25, "MESZ6")
    assert none["contract"] is None
    assert len(gateway.api("/Contract/available", {"live": False}, token)[1]["contracts"]) == 10


def test_bars_come_newest_first_and_bad_wishes_have_their_codes(
    gateway: Gateway, token: str
) -> None:
    wish = {"contractId": MNQ, "unit": 2, "unitNumber": 5, "limit": 3}
    bars = gateway.api("/History/retrieveBars", wish, token)[1]["bars"]
    codes = [
        gateway.api("/History/retrieveBars", wish | change, token)[1]["errorCode"]
        for change in ({"contractId": "x"}, {"unit": 9}, {"unitNumber": 0}, {"limit": 0})
    ]

    assert [bar["t"] for bar in bars] == sorted((bar["t"] for bar in bars), reverse=True)
    assert codes == [1, 2, 3, 4]


def test_the_201st_request_in_a_minute_is_refused_with_429(gateway: Gateway, token: str) -> None:
    origin = HTTPConnection("127.0.0.1", gateway.port)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    statuses = []
    for _ in range(201):
        origin.request("POST", "/api/Account/search", "{}", headers)
        answer = origin.getresponse()
        answer.read()
        statuses.append(answer.status)
    origin.close()

    assert statuses == [200] * 200 + [429]
    assert gateway.control("/budget")["north"]["used"] == 200
    assert gateway.control("/budget")["south"]["used"] == 0


def test_call_reads_answers_that_are_no_json(gateway: Gateway) -> None:
    assert call(f"{gateway.api_url}/Nowhere", {})[0] == 404

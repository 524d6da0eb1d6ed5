"""Faults of the REST side of the real process."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from http.client import HTTPConnection, RemoteDisconnected

import pytest

from tests.sim.gateway_process import Gateway, until

ACCOUNT = 9000000101
MNQ = "CON.F.US.MNQ.Z26"


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


def test_a_rate_limit_fault_may_say_when_to_come_back(gateway: Gateway, token: str) -> None:
    wish = {"kind": "rate_limit", "login": "north", "seconds": 30, "retry_after": True}
    gateway.control("/fault", wish)
    request = urllib.request.Request(
        f"{gateway.api_url}/Account/search", b"{}", {"Authorization": f"Bearer {token}"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    caught.value.close()

    assert caught.value.code == 429
    assert 25 <= int(caught.value.headers["Retry-After"]) <= 30
    south = gateway.token("south", "south-key-0002")
    assert gateway.api("/Account/search", {}, south)[0] == 200


def test_a_lost_answer_means_accepted_but_never_told(gateway: Gateway, token: str) -> None:
    buy(gateway)
    gateway.control("/fault", {"kind": "lost_answer", "login": "north"})

    with pytest.raises((ConnectionError, urllib.error.URLError, RemoteDisconnected)):
        close(gateway, token)
    until(lambda: gateway.position(ACCOUNT) == 0)
    (request,) = [row for row in gateway.control("/requests")["requests"] if row["contract"]]
    assert (request["outcome"], request["code"]) == ("cut", 0)


def test_a_lost_request_was_never_accepted(gateway: Gateway, token: str) -> None:
    buy(gateway)
    gateway.control("/fault", {"kind": "lost_request", "login": "north"})

    with pytest.raises((ConnectionError, urllib.error.URLError, RemoteDisconnected)):
        close(gateway, token)
    assert gateway.position(ACCOUNT) == 2
    assert close(gateway, token)[0] == 200


@pytest.mark.parametrize(("kind", "left"), [("error_after_accept", 0), ("error_before_accept", 2)])
def test_a_503_may_come_before_or_after_the_acceptance(
    gateway: Gateway, token: str, kind: str, left: int
) -> None:
    buy(gateway)
    gateway.control("/fault", {"kind": kind, "account": ACCOUNT})

    assert close(gateway, token)[0] == 503
    until(lambda: gateway.position(ACCOUNT) == left)


def test_a_broken_rest_side_answers_503_to_everything(gateway: Gateway, token: str) -> None:
    gateway.control("/fault", {"kind": "rest_error", "login": "north", "seconds": 30})

    assert gateway.api("/Account/search", {}, token)[0] == 503


def test_a_frozen_rest_side_answers_when_it_thaws(gateway: Gateway, token: str) -> None:
    gateway.control("/fault", {"kind": "rest_freeze", "login": "north", "seconds": 0.4})
    began = time.monotonic()

    assert gateway.api("/Account/search", {}, token)[0] == 200
    assert time.monotonic() - began > 0.3


def test_a_request_whose_client_left_during_a_freeze_is_dropped(
    gateway: Gateway, token: str
) -> None:
    buy(gateway)
    gateway.control("/fault", {"kind": "rest_freeze", "login": "north", "seconds": 0.5})
    origin = HTTPConnection("127.0.0.1", gateway.port)
    body = json.dumps({"accountId": ACCOUNT, "contractId": MNQ})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    origin.request("POST", "/api/Position/closeContract", body, headers)
    until(lambda: gateway.control("/unsettled")["n"] == 1)
    origin.close()
    until(lambda: gateway.control("/unsettled")["n"] == 0)

    assert gateway.position(ACCOUNT) == 2


def test_slow_answers_are_slow_but_the_change_is_made_at_once(gateway: Gateway, token: str) -> None:
    buy(gateway)
    gateway.control("/fault", {"kind": "slow_answers", "login": "north", "seconds": 30, "ms": 700})
    caller = threading.Thread(target=close, args=(gateway, token))
    caller.start()
    until(lambda: gateway.position(ACCOUNT) == 0, 0.6)
    assert caller.is_alive()
    caller.join()


def test_a_revoked_token_is_401_until_a_new_login(gateway: Gateway, token: str) -> None:
    gateway.control("/fault", {"kind": "token_revoked", "login": "north"})

    assert gateway.api("/Account/search", {}, token)[0] == 401
    assert gateway.api("/Account/search", {}, gateway.token())[0] == 200


def test_a_vanished_account_is_missing_from_the_search(gateway: Gateway, token: str) -> None:
    gateway.control("/fault", {"kind": "account_vanish", "account": ACCOUNT, "seconds": 0.3})

    def ids() -> list[int]:
        accounts = gateway.api("/Account/search", {}, token)[1]["accounts"]
        return [row["id"] for row in accounts]

    assert ACCOUNT not in ids()
    until(lambda: ACCOUNT in ids())


def test_an_account_that_may_not_trade_refuses_orders_but_not_closes(
    gateway: Gateway, token: str
) -> None:
    buy(gateway)
    gateway.control("/fault", {"kind": "can_trade", "account": ACCOUNT, "flip_back": False})
    body = {"accountId": ACCOUNT, "contractId": MNQ, "type": 2, "side": 0, "size": 1}
    active = gateway.api("/Account/search", {"onlyActiveAccounts": True}, token)[1]["accounts"]

    assert gateway.api("/Order/place", body, token)[1]["errorCode"] == 4
    assert ACCOUNT not in [row["id"] for row in active]
    assert close(gateway, token)[1]["success"]


def test_a_rejected_close_ends_without_a_fill(gateway: Gateway, token: str) -> None:
    buy(gateway)
    gateway.control("/fault", {"kind": "reject_closes", "account": ACCOUNT, "times": 1})

    assert close(gateway, token)[1]["success"]
    orders = "/Order/search"
    until(
        lambda: [
            row["status"]
            for row in gateway.api(orders, {"accountId": ACCOUNT}, token)[1]["orders"]
            if row["status"] == 5
        ]
    )
    assert gateway.position(ACCOUNT) == 2


def test_a_voided_trade_takes_back_its_cash_and_its_quantity(gateway: Gateway, token: str) -> None:
    buy(gateway)
    gateway.control("/fault", {"kind": "void_trade", "account": ACCOUNT})
    (trade,) = gateway.api("/Trade/search", {"accountId": ACCOUNT}, token)[1]["trades"]

    assert trade["voided"] is True
    assert gateway.position(ACCOUNT) == 0
    assert gateway.truth(ACCOUNT)["balance"] == 50000

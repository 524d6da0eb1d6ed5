"""ProjectX payloads: both shapes are read, nothing is ever defaulted that a limit could hang on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.broker.port import ACCEPTED, BARRED, CLOSED, FLAT, GONE, PENDING, REFUSED, Request
from risk_daemon.broker.projectx import wire
from risk_daemon.broker.projectx.roots import root_of
from risk_daemon.core.events import MarkChanged
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.instrument import parse as units
from risk_daemon.errors import Malformed

AT = "2026-07-31T02:23:34.58+00:00"
AT_NS = 1_785_464_614_580_000_000

ORDER: dict[str, Any] = {
    "id": 3345169271,
    "accountId": 123,
    "contractId": "CON.F.US.MNQ.Z26",
    "symbolId": "F.US.MNQ",
    "creationTimestamp": AT,
    "updateTimestamp": None,
    "status": 2,
    "type": 2,
    "side": 1,
    "size": 1,
    "fillVolume": 1,
    "filledPrice": 28418.0,
    "customTag": "risk-1",
}
POSITION: dict[str, Any] = {
    "id": 6124,
    "accountId": 123,
    "contractId": "CON.F.US.MNQ.Z26",
    "creationTimestamp": AT,
    "type": 2,
    "size": 3,
    "averagePrice": 28418.333333333332,
}
TRADE: dict[str, Any] = {
    "id": 101112,
    "accountId": 123,
    "contractId": "CON.F.US.MNQ.Z26",
    "creationTimestamp": AT,
    "price": 28418.0,
    "profitAndLoss": None,
    "fees": 0.37,
    "commissions": 0.25,
    "side": 1,
    "size": 1,
    "voided": False,
    "orderId": 3345169271,
}
ACCOUNT: dict[str, Any] = {
    "id": 123,
    "name": "50KTC-V2",
    "balance": 50211.40,
    "canTrade": True,
    "isVisible": True,
    "simulated": True,
}
CONTRACT: dict[str, Any] = {
    "id": "CON.F.US.ENQ.Z26",
    "name": "NQZ6",
    "tickSize": 0.25,
    "tickValue": 5.0,
    "symbolId": "F.US.ENQ",
}


def test_wrapped_and_bare_payloads_are_the_same_fact() -> None:
    wrapped = {"action": 1, "data": ORDER}

    assert wire.unwrap(wrapped) == (ORDER, 1)
    assert wire.unwrap(ORDER) == (ORDER, None)
    assert wire.unwrap({"action": 1, "data": None}) == ({"action": 1, "data": None}, None)


@pytest.mark.parametrize("payload", [None, 7, "text", [ORDER]])
def test_what_is_no_object_is_malformed(payload: object) -> None:
    with pytest.raises(Malformed):
        wire.unwrap(payload)


def test_an_order_is_read_to_the_last_field() -> None:
    found = wire.order_from({**ORDER, "stopPrice": 0, "parentOrderId": 7, "linkedOrderId": 8})

    assert (found.order, found.status, found.type, found.side, found.size) == (
        3345169271,
        2,
        2,
        -1,
        1,
    )
    assert (found.filled, found.filled_price) == (1, units("28418"))
    assert (found.stop_price, found.limit_price) == (None, None)
    assert (found.parent, found.linked, found.tag) == (7, 8, "risk-1")
    assert (found.created, found.updated) == (AT_NS, None)
    assert wire.order_from({**ORDER, "updateTimestamp": AT}).updated == AT_NS
    assert wire.order_from({**ORDER, "customTag": 7}).tag is None


def test_an_unknown_status_is_kept_for_it_counts_as_working() -> None:
    assert wire.order_from({**ORDER, "status": 42}).status == 42


@pytest.mark.parametrize(("kind", "quantity"), [(1, 3), (2, -3)])
def test_the_sign_of_a_position_is_in_its_type(kind: int, quantity: int) -> None:
    found = wire.position_from({**POSITION, "type": kind})

    assert found.quantity == quantity
    assert found.average == units("28418.333333333")


def test_an_order_that_filled_nothing_may_leave_that_out_and_a_fill_its_commissions() -> None:
    assert wire.order_from({**ORDER, "fillVolume": None}).filled == 0
    assert wire.trade_from({**TRADE, "commissions": None}).commissions == 0


def test_a_closed_position_is_flat_by_type_or_by_action() -> None:
    assert wire.position_from({**POSITION, "type": 0, "size": 0}).quantity == 0
    assert wire.position_from(POSITION, action=2).quantity == 0
    assert wire.position_from({**POSITION, "creationTimestamp": None}).created == 0


def test_a_position_with_size_and_no_direction_is_malformed() -> None:
    with pytest.raises(Malformed, match="no direction"):
        wire.position_from({**POSITION, "type": 0})


def test_an_opening_fill_has_no_pnl_and_still_costs() -> None:
    found = wire.trade_from(TRADE)

    assert (found.pnl, found.fees, found.commissions) == (None, units("0.37"), units("0.25"))
    assert wire.trade_from({**TRADE, "profitAndLoss": -120.5}).pnl == units("-120.5")


@pytest.mark.parametrize("key", ["price", "fees", "id", "accountId", "contractId", "side", "size"])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "", [], 1e300, True])
def test_a_trade_with_a_field_missing_or_absurd_is_malformed(key: str, value: object) -> None:
    with pytest.raises(Malformed):
        wire.trade_from({**TRADE, key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("voided", "no"),
        ("creationTimestamp", "yesterday"),
        ("creationTimestamp", 7),
        ("price", -1),
        ("price", 0),
        ("size", 0),
        ("size", 1.5),
        ("size", 10**9),
        ("side", 2),
        ("fees", "cheap"),
        ("contractId", "x" * 201),
    ],
)
def test_and_so_is_one_that_nobody_could_mean(key: str, value: object) -> None:
    with pytest.raises(Malformed):
        wire.trade_from({**TRADE, key: value})


def test_whole_numbers_may_come_as_floats_and_times_without_a_zone() -> None:
    found = wire.trade_from({**TRADE, "size": 2.0, "creationTimestamp": AT.removesuffix("+00:00")})

    assert (found.size, found.traded_at) == (2, AT_NS)


@given(st.decimals(min_value=Decimal("0.0000001"), max_value=1_000_000, places=7))
def test_a_price_through_a_float_comes_out_exact(price: Decimal) -> None:
    found = wire.trade_from({**TRADE, "price": float(price)})

    assert found.price == int(price * UNIT)


def test_an_account_row_is_read() -> None:
    found = wire.account_from(ACCOUNT, "north")

    assert (found.account, found.login, found.balance, found.can_trade) == (
        123,
        "north",
        units("50211.4"),
        True,
    )
    assert wire.account_from({"id": 1, "name": "n", "balance": 0, "canTrade": False}, "l").visible


def test_can_trade_is_never_assumed() -> None:
    with pytest.raises(Malformed, match="canTrade"):
        wire.account_from({**ACCOUNT, "canTrade": None}, "north")


def test_a_contract_has_its_exchange_root_and_its_ticks() -> None:
    found = wire.contract_from(CONTRACT)

    assert (found.root, found.tick_size, found.tick_value) == ("NQ", units("0.25"), units("5"))
    assert root_of("F.US.XYZ") == "XYZ"
    with pytest.raises(Malformed, match="above zero"):
        wire.contract_from({**CONTRACT, "tickValue": 0})
    with pytest.raises(Malformed, match="above zero"):
        wire.contract_from({**CONTRACT, "tickSize": 0})


def test_a_quote_keeps_what_an_update_leaves_out() -> None:
    first = wire.mark_from("C", {"bestBid": 1.0, "bestAsk": 2.0, "lastPrice": 1.5}, None)
    then = wire.mark_from("C", {"bestBid": 1.25, "lastPrice": 0}, first)

    assert then == MarkChanged(contract="C", bid=units("1.25"), ask=units("2"), last=None)


@pytest.mark.parametrize(("contract", "data"), [(7, {}), ("C", [])])
def test_a_quote_of_another_shape_is_malformed(contract: object, data: object) -> None:
    with pytest.raises(Malformed):
        wire.mark_from(contract, data, None)


# --- requests and answers ------------------------------------------------------------


def request(act: str) -> Request:
    return Request(request="r", key="k", account=1, act=act, contract="C", order=7, size=2)


@pytest.mark.parametrize(
    ("act", "path", "body"),
    [
        ("close", "/Position/closeContract", {"accountId": 1, "contractId": "C"}),
        (
            "partial",
            "/Position/partialCloseContract",
            {"accountId": 1, "contractId": "C", "size": 2},
        ),
        ("cancel", "/Order/cancel", {"accountId": 1, "orderId": 7}),
        ("modify", "/Order/modify", {"accountId": 1, "orderId": 7, "size": 2}),
    ],
)
def test_each_act_has_its_call(act: str, path: str, body: dict[str, object]) -> None:
    assert wire.call_of(request(act)) == (path, body)


def test_there_is_no_call_that_places_an_order() -> None:
    with pytest.raises(ValueError, match="no request of ours"):
        wire.call_of(request("place"))


@pytest.mark.parametrize(
    ("act", "code", "meaning"),
    [
        ("close", 2, FLAT),
        ("close", 4, CLOSED),
        ("close", 5, ""),
        ("close", 6, PENDING),
        ("close", 7, ""),
        ("close", 8, BARRED),
        ("partial", 2, FLAT),
        ("partial", 5, ""),
        ("partial", 6, ""),
        ("partial", 7, PENDING),
        ("partial", 8, ""),
        ("partial", 9, BARRED),
        ("cancel", 2, GONE),
        ("cancel", 4, PENDING),
        ("modify", 2, GONE),
    ],
)
def test_the_tables_of_the_two_closes_part_at_five(act: str, code: int, meaning: str) -> None:
    found = wire.outcome_of(
        request(act), {"success": False, "errorCode": code, "errorMessage": None}
    )

    assert (found.outcome, found.code, found.meaning, found.text) == (REFUSED, code, meaning, "")


def test_success_is_acceptance_and_words_are_kept() -> None:
    assert wire.outcome_of(request("close"), {"success": True}).outcome == ACCEPTED
    refused = {"success": False, "errorCode": 5, "errorMessage": "no"}
    assert wire.outcome_of(request("close"), refused).text == "no"


@pytest.mark.parametrize("answer", [None, [], {}, {"success": "yes"}, {"success": False}])
def test_an_answer_that_says_neither_is_malformed(answer: object) -> None:
    with pytest.raises(Malformed):
        wire.outcome_of(request("close"), answer)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"success": False, "errorCode": 1, "orders": None},
        {"success": True},
        {"success": True, "orders": [7]},
    ],
)
def test_a_failed_read_is_never_an_empty_one(answer: object) -> None:
    with pytest.raises(Malformed):
        wire.rows_of(answer, "orders")


def test_an_empty_read_is_empty_because_the_broker_says_so() -> None:
    assert wire.rows_of({"success": True, "orders": []}, "orders") == []


@given(st.integers(0, 4_000_000_000_000_000).map(lambda us: us * 1_000))
def test_times_are_written_as_they_are_read(at: int) -> None:
    assert wire.trade_from({**TRADE, "creationTimestamp": wire.show_time(at)}).traded_at == at


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from([*ORDER, *TRADE, *POSITION, *ACCOUNT]), inner)
        ),
    )
)
def test_whatever_comes_is_a_fact_or_malformed(payload: object) -> None:
    for read in (wire.order_from, wire.trade_from, wire.position_from, wire.contract_from):
        try:
            data, _ = wire.unwrap(payload)
            read(data)
        except Malformed:
            continue


# --- prints and bars -------------------------------------------------------------


def test_the_last_price_is_the_close_of_the_newest_bar_which_comes_first() -> None:
    bars = [{"t": "2026-07-31T02:23:35+00:00", "c": 28418.25}, {"c": 1.0}]

    assert wire.close_of({"success": True, "bars": bars}) == units("28418.25")
    assert wire.close_of({"success": True, "bars": []}) is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"success": False, "errorCode": 1, "bars": None},
        {"success": True, "bars": [{"c": float("nan")}]},
        {"success": True, "bars": [{"c": -1}]},
    ],
)
def test_bars_that_cannot_be_believed_are_no_answer(answer: object) -> None:
    with pytest.raises(Malformed):
        wire.close_of(answer)


def test_the_newest_second_bar_is_asked_for_the_unfinished_one_too() -> None:
    body = wire.bar_call("C", wire.BARS_SINCE)

    assert (body["contractId"], body["limit"], body["includePartialBar"]) == ("C", 1, True)
    assert body["startTime"] == "1970-01-01T00:00:00+00:00"
    assert body["endTime"] == "1970-01-01T00:10:00+00:00"
    assert (body["unit"], body["unitNumber"]) == (1, 1)


def test_prints_are_read_one_by_one() -> None:
    found = wire.prints_from("C", [{"price": 1.25}, {"price": "1.5"}])

    assert [one.price for one in found] == [units("1.25"), units("1.5")]
    for contract, data in ((None, {}), ("", {}), ("C" * 201, {}), ("C", 7), ("C", {"price": 0})):
        with pytest.raises(Malformed):
            wire.prints_from(contract, data)

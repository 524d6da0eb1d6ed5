"""Hub messages: every one is folded or set aside, aloud; a bad one stops nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.broker.projectx.intake import Intake
from risk_daemon.core.events import (
    AccountSeen,
    AlarmRaised,
    Fact,
    MarkChanged,
    OrderChanged,
    PositionChanged,
    PrintSeen,
    RecordQuarantined,
    TradeSeen,
)
from risk_daemon.core.instrument import parse as units
from tests.broker.test_projectx_wire import ACCOUNT, ORDER, POSITION, TRADE


class Desk:
    """An intake of one login with one account, and what came of it."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.contracts: list[str] = []
        self.quarantined: list[int] = []
        self.heard: list[str] = []
        self.intake = Intake(
            "north",
            (123,),
            on_fact=self.facts.append,
            on_contract=self.contracts.append,
            on_quarantine=self.quarantined.append,
            on_market=self.heard.append,
        )

    def send(self, event: str, *arguments: object) -> list[Fact]:
        self.facts.clear()
        handlers = self.intake.handlers() | self.intake.market_handlers()
        handlers[event](*arguments)
        return list(self.facts)


@pytest.mark.parametrize(
    ("event", "payload", "kind"),
    [
        ("GatewayUserOrder", ORDER, OrderChanged),
        ("GatewayUserPosition", POSITION, PositionChanged),
        ("GatewayUserTrade", TRADE, TradeSeen),
        ("GatewayUserAccount", ACCOUNT, AccountSeen),
    ],
)
def test_each_event_becomes_its_fact_wrapped_bare_or_in_a_list(
    event: str, payload: dict[str, Any], kind: type[Fact]
) -> None:
    desk = Desk()

    for shape in (payload, {"action": 1, "data": payload}, [payload]):
        assert [type(fact) for fact in desk.send(event, shape)] == [kind]


@pytest.mark.parametrize("event", ["GatewayUserOrder", "GatewayUserPosition", "GatewayUserTrade"])
def test_accounts_that_are_not_guarded_here_are_left_alone(event: str) -> None:
    payload = {"GatewayUserOrder": ORDER, "GatewayUserPosition": POSITION}.get(event, TRADE)

    assert Desk().send(event, {**payload, "accountId": 999}) == []


def test_an_account_nobody_guards_is_told_of_once() -> None:
    desk = Desk()

    (alarm,) = desk.send("GatewayUserAccount", {**ACCOUNT, "id": 999})
    assert isinstance(alarm, AlarmRaised)
    assert alarm.what == "unguarded account"
    assert desk.send("GatewayUserAccount", {**ACCOUNT, "id": 999}) == []


@pytest.mark.parametrize("size", [None, float("nan"), "three", -1, 10**12])
def test_a_message_that_cannot_be_believed_is_kept_as_text_and_the_account_is_read(
    size: object,
) -> None:
    desk = Desk()

    (fact,) = desk.send("GatewayUserOrder", {"action": 1, "data": {**ORDER, "size": size}})

    assert isinstance(fact, RecordQuarantined)
    assert (fact.account, fact.source) == (123, "order")
    assert "size" in fact.why
    assert "3345169271" in fact.raw
    assert desk.quarantined == [123]


def test_one_that_names_no_account_is_told_of_and_every_account_is_read() -> None:
    desk = Desk()

    facts = desk.send("GatewayUserTrade", "garbage", {**TRADE, "accountId": None})

    assert [type(fact) for fact in facts] == [RecordQuarantined, AlarmRaised] * 2
    assert desk.quarantined == [0, 0]


def test_a_bad_message_stops_no_other() -> None:
    facts = Desk().send("GatewayUserTrade", [{**TRADE, "price": None}, TRADE])

    assert [type(fact) for fact in facts] == [RecordQuarantined, TradeSeen]


def test_a_code_nobody_knows_counts_as_working_and_is_told_of_once() -> None:
    desk = Desk()

    first = desk.send("GatewayUserOrder", {**ORDER, "status": 42, "type": 17})
    again = desk.send("GatewayUserOrder", {**ORDER, "status": 42, "type": 17})

    assert [type(fact) for fact in first] == [AlarmRaised, AlarmRaised, OrderChanged]
    assert [type(fact) for fact in again] == [OrderChanged]


def test_quotes_are_merged_and_exact_repeats_dropped() -> None:
    desk = Desk()
    quote = {"bestBid": 1.0, "bestAsk": 2.0, "lastPrice": 1.5}

    assert [type(f) for f in desk.send("GatewayQuote", "C", quote)] == [MarkChanged]
    assert desk.send("GatewayQuote", "C", quote) == []
    assert desk.send("GatewayQuote", "C", {"volume": 7}) == []
    assert len(desk.send("GatewayQuote", "C", {"bestBid": 1.25})) == 1


QUOTE = {"bestBid": 1.0, "bestAsk": 2.0, "lastPrice": 1.5}


def prints(*prices: float) -> list[dict[str, Any]]:
    return [{"symbolId": "F.US.MNQ", "price": price, "type": 0, "volume": 2} for price in prices]


def test_prints_come_as_a_list_or_as_one() -> None:
    desk = Desk()

    many = desk.send("GatewayTrade", "C", prints(1.5, 1.75))
    one = desk.send("GatewayTrade", "C", prints(2.0)[0])

    assert many == [PrintSeen(contract="C", price=units(p)) for p in ("1.5", "1.75")]
    assert one == [PrintSeen(contract="C", price=units("2"))]


def test_a_print_that_repeats_the_last_is_passed_only_after_a_quote_was() -> None:
    desk = Desk()
    desk.send("GatewayQuote", "C", QUOTE)
    assert len(desk.send("GatewayTrade", "C", prints(1.5, 1.5))) == 1
    assert desk.send("GatewayTrade", "C", prints(1.5)) == []

    assert desk.send("GatewayQuote", "C", QUOTE) == [], "a repeat is not passed"
    assert desk.send("GatewayTrade", "C", prints(1.5)) == []
    assert len(desk.send("GatewayQuote", "C", {"bestBid": 1.25})) == 1
    assert len(desk.send("GatewayTrade", "C", prints(1.5))) == 1


def test_prints_and_quotes_of_another_contract_change_nothing_for_this_one() -> None:
    desk = Desk()
    desk.send("GatewayTrade", "C", prints(1.5))
    desk.send("GatewayTrade", "D", prints(1.75))
    desk.send("GatewayQuote", "D", QUOTE)

    assert desk.send("GatewayTrade", "C", prints(1.5)) == []


def test_a_mark_that_begins_anew_takes_nothing_from_the_one_before() -> None:
    desk = Desk()
    desk.send("GatewayQuote", "C", QUOTE)
    desk.send("GatewayTrade", "C", prints(1.5))

    desk.intake.forget_mark("C")

    assert desk.intake.mark("C") is None
    (mark,) = desk.send("GatewayQuote", "C", {"bestBid": 1.25})
    assert mark == MarkChanged(contract="C", bid=units("1.25"))
    assert desk.intake.mark("C") == mark


def test_whatever_is_believed_of_a_contract_is_a_sign_of_life_also_a_repeat() -> None:
    desk = Desk()
    for _ in range(2):
        desk.send("GatewayQuote", "C", QUOTE)
        desk.send("GatewayTrade", "C", prints(1.5))
    desk.send("GatewayTrade", "C", prints(float("nan")))

    assert desk.heard == ["C"] * 4


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("C",),
        (7, prints(1.5)),
        ("", prints(1.5)),
        ("C", "garbage"),
        ("C", ["garbage"]),
        ("C", [{"volume": 2}]),
        ("C", [{"price": None}]),
        ("C", prints(0.0)),
        ("C", prints(-1.0)),
        ("C", prints(float("nan"))),
        ("C", prints(float("inf"))),
        ("C", prints(1e30)),
    ],
)
def test_a_print_that_cannot_be_believed_is_set_aside(arguments: tuple[object, ...]) -> None:
    facts = Desk().send("GatewayTrade", *arguments)

    assert [type(fact) for fact in facts] == [RecordQuarantined, AlarmRaised]


@pytest.mark.parametrize("arguments", [(), ("C",), ("C", {"bestBid": -1}), (7, {})])
def test_a_quote_that_cannot_be_believed_is_set_aside(arguments: tuple[object, ...]) -> None:
    facts = Desk().send("GatewayQuote", *arguments)

    assert [type(fact) for fact in facts] == [RecordQuarantined, AlarmRaised]


def test_a_contract_is_announced_before_the_first_fact_that_names_it_and_once() -> None:
    desk = Desk()
    desk.send("GatewayUserTrade", TRADE)
    desk.send("GatewayUserOrder", ORDER)
    assert desk.contracts == ["CON.F.US.MNQ.Z26"]

    desk.intake.forget_contract("CON.F.US.MNQ.Z26")
    desk.send("GatewayUserPosition", POSITION)
    assert desk.contracts == ["CON.F.US.MNQ.Z26"] * 2


def test_rows_of_a_read_announce_their_contracts_but_ended_orders_do_not() -> None:
    from risk_daemon.broker.projectx import wire

    desk = Desk()
    desk.intake.note_contracts((wire.order_from({**ORDER, "contractId": "A", "status": 3}),))
    desk.intake.note_contracts((wire.order_from({**ORDER, "contractId": "B", "status": 1}),))

    assert desk.contracts == ["B"]


def test_the_last_row_of_a_guarded_account_is_kept() -> None:
    desk = Desk()
    desk.send("GatewayUserAccount", ACCOUNT)

    assert desk.intake.standing[123].can_trade

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
    RecordQuarantined,
    TradeSeen,
)
from tests.broker.test_projectx_wire import ACCOUNT, ORDER, POSITION, TRADE


class Desk:
    """An intake of one login with one account, and what came of it."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.contracts: list[str] = []
        self.quarantined: list[int] = []
        self.intake = Intake(
            "north",
            (123,),
            on_fact=self.facts.append,
            on_contract=self.contracts.append,
            on_quarantine=self.quarantined.append,
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

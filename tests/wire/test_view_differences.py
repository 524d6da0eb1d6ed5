"""What two releases see differently in one account, said so that a person can decide."""

from __future__ import annotations

import msgspec
import pytest

from risk_daemon.wire.view import AccountView, LockView, OrderView, PositionView, differences
from tests.console.build import view

HELD = PositionView(
    contract="MNQ", root="MNQ", quantity=2, average="20000", unrealized="1", agreed=True
)
WORKING = OrderView(order=5, contract="MNQ", side="buy", size=3, filled=1, type="limit", price="1")
LOCK = LockView(
    lock="a", rule="kill-switch", mode="full", began_at="t", until=None, reason="because"
)


def seen(**changes: object) -> AccountView:
    full = {"positions": (HELD,), "orders": (WORKING,), "locks": (LOCK,)}
    return msgspec.structs.replace(view(), **full | changes)


def of(one: object, **changes: object) -> tuple[object, ...]:
    return (msgspec.structs.replace(one, **changes),)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("positions", {"positions": of(HELD, quantity=-2)}),
        ("positions", {"positions": ()}),
        ("orders", {"orders": of(WORKING, side="sell")}),
        ("orders", {"orders": of(WORKING, filled=0)}),
        ("locks", {"locks": of(LOCK, until="2026-11-18T23:00:00Z")}),
        ("locks", {"locks": of(LOCK, mode="reduce-only")}),
        ("realized", {"realized": "-1"}),
        ("realized", {"pnl_known": False}),
        ("trade date", {"trade_date": "1999-01-01"}),
        ("may trade", {"can_trade": False}),
    ],
)
def test_what_either_would_act_on_is_compared(name: str, changes: dict[str, object]) -> None:
    (found,) = differences(seen(), seen(**changes))

    assert found.startswith(f"{name}: {seen().release} has ")
    assert ", the other " in found


def test_holders_prices_and_wording_are_not() -> None:
    other = seen(
        holder="worker-9@v9",
        epoch=99,
        release="v9",
        unrealized="5",
        positions=of(HELD, unrealized="2"),
        locks=of(LOCK, reason="in other words"),
    )

    assert differences(seen(), other) == ()


def test_a_working_order_counts_with_what_is_left_of_it() -> None:
    assert differences(seen(), seen(orders=of(WORKING, size=4, filled=2))) == ()


def test_an_empty_list_is_called_none() -> None:
    (found,) = differences(seen(), seen(locks=()))

    assert found.endswith("the other none")

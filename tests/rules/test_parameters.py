"""Parameters: what cannot be meant is refused, with the key, the value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.core.instrument import UNIT
from risk_daemon.rules import CATALOG, ParameterError, parse
from risk_daemon.rules.daily_realized_loss import DailyRealizedLoss
from risk_daemon.rules.max_contracts import MaxContracts


def test_defaults_are_those_of_the_rules_page() -> None:
    assert parse("max-contracts", {"limit": 5}) == MaxContracts(
        limit=5 * UNIT,
        basis="gross",
        unit="contracts",
        include_working="cancel",
        action="reduce",
        reduce_order="lifo",
    )
    assert parse("daily-realized-loss", {"limit": "500.00"}) == DailyRealizedLoss(
        limit=500 * UNIT, buffer=0, pnl_basis="net"
    )
    assert parse("kill-switch", {}).priority == 0


@pytest.mark.parametrize(
    ("rule", "params", "path"),
    [
        ("max-contracts", {}, "limit"),
        ("max-contracts", {"limit": -1}, "limit"),
        ("max-contracts", {"limit": True}, "limit"),
        ("max-contracts", {"limit": 2.5}, "limit"),
        ("max-contracts", {"limit": "many"}, "limit"),
        ("max-contracts", {"limit": 5, "basis": "grosss"}, "basis"),
        ("max-contracts", {"limit": 5, "lock": "15m"}, "lock"),
        ("max-contracts", {"limit": 5, "lock": {"trips": 0, "lock": "15m"}}, "lock.trips"),
        ("max-contracts", {"limit": 5, "lock": {"trips": True, "lock": "15m"}}, "lock.trips"),
        ("max-contracts", {"limit": 5, "lock": {"trips": 1, "lock": "0m"}}, "lock.lock"),
        ("max-contracts", {"limit": 5, "lock": {"trips": 1, "lock": "soon"}}, "lock.lock"),
        ("daily-realized-loss", {"limit": "0"}, "limit"),
        ("daily-realized-loss", {"limit": 500.5}, "limit"),
        ("daily-realized-loss", {"limit": "500", "buffer": "500"}, "buffer"),
        ("daily-realized-loss", {"limit": "500", "reset": "midnight"}, "reset"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(
    rule: str, params: dict[str, Any], path: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        parse(rule, params)

    assert caught.value.path == path
    assert "allowed" in str(caught.value)


def test_an_unknown_key_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ParameterError, match="did you mean 'limit'"):
        parse("max-contracts", {"limt": 5})
    with pytest.raises(ParameterError) as caught:
        parse("kill-switch", {"colour": "red"})
    assert "did you mean" not in str(caught.value)
    with pytest.raises(ParameterError) as caught:
        parse("max-contracts", {"limit": 5, "lock": {"trip": 1}})
    assert caught.value.path == "trip"


@pytest.mark.parametrize("span", ["30s", "15m", "2h", "1d"])
def test_durations_are_read_in_the_usual_units(span: str) -> None:
    found = parse("max-contracts", {"limit": 5, "lock": {"trips": 1, "lock": span}})

    assert isinstance(found, MaxContracts)
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}[span[-1]] * int(span[:-1])
    assert found.lock_for == seconds * 1_000_000_000


def test_the_catalogue_names_each_rule_by_itself() -> None:
    assert {name: kind.name for name, kind in CATALOG.items()} == {
        name: name for name in ("kill-switch", "daily-realized-loss", "max-contracts")
    }
    assert all(kind.summary for kind in CATALOG.values())

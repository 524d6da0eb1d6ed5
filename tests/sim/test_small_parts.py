"""Configuration, profiles, numbers, tokens, budgets, quantiles, bars."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.programs.simgate import DEMO
from risk_daemon.sim.codes import Side
from risk_daemon.sim.config import ConfigRefused, parse, read
from risk_daemon.sim.contracts import BY_ROOT
from risk_daemon.sim.model import Quote
from risk_daemon.sim.moment import NS_PER_S
from risk_daemon.sim.profile import CALM, ProfileRefused, changed
from risk_daemon.sim.rows import bars
from risk_daemon.sim.tokens import Budget, TokenDesk
from risk_daemon.sim.verdict import quantile, spread
from risk_daemon.sim.wire_json import nine, render


def good() -> dict[str, Any]:
    account = {"id": 1, "balance": "100.00"}
    return {"logins": [{"user": "a", "api_key": "a-key-000001", "accounts": [account]}]}


def test_the_smallest_file_has_defaults_for_the_rest() -> None:
    config = parse(good())

    assert (config.seed, config.offset_s, config.profile, config.traders) == (7, 0.0, "demo", True)
    assert (config.close_mode, config.answer_within_ms) == ("auto_oco", 1000)
    assert config.logins[0].accounts[0].name == "SIM-1"
    assert config.limits[1].max_contracts == 5


def test_the_demo_has_three_logins_and_ten_accounts() -> None:
    config = read(DEMO)

    assert [len(login.accounts) for login in config.logins] == [4, 3, 3]
    assert config.limits[9000000102].max_contracts == 6
    assert config.limits[9000000101].daily_realized_loss == 1000


def test_an_account_replaces_the_limits_by_root_or_ends_them() -> None:
    data = good()
    data["logins"][0]["accounts"] += [{"id": 2}, {"id": 3}]
    data["limits"] = {
        "default": {"max_contracts_per_instrument": {"MNQ": 2, "ES": 1}},
        "accounts": {
            2: {"max_contracts_per_instrument": {"MES": 4}},
            3: {"max_contracts_per_instrument": {}},
        },
    }

    limits = parse(data).limits

    assert limits[1].max_contracts_per_instrument == {"MNQ": 2, "ES": 1}
    assert limits[2].max_contracts_per_instrument == {"MES": 4}
    assert limits[3].max_contracts_per_instrument == {}


@pytest.mark.parametrize(
    "said",
    [
        {"max_contracts": 4, "daily_realized_loss": "220.50"},
        {
            "max_contracts": 4,
            "daily_realized_loss": "220.50",
            "max_contracts_per_instrument": {"MNQ": 2, "ES": 0},
        },
    ],
)
def test_limits_are_told_as_the_file_said_them(said: dict[str, Any]) -> None:
    data = good()
    data["limits"] = {"accounts": {1: said}}

    assert parse(data).limits[1].plain() == said


RULES_WITH_A_TABLE: dict[str, Any] = {
    "daily_combined_loss": {"limit": "100.00", "buffer": "10", "est_exit_fees": "0.62"},
    "trailing_max_drawdown": {
        "drawdown": "200.00",
        "start": "50000.00",
        "lock_at": "50100.00",
        "trail": "intraday-equity",
        "buffer": "60.00",
    },
    "no_stop_loss_grace": {"grace": "5s", "replace_grace": "180s"},
    "end_of_day_flatten": {
        "flatten": "10:00:55",
        "entries_lead": "10s",
        "product_lead": "600s",
    },
}


@pytest.mark.parametrize("rule", RULES_WITH_A_TABLE)
def test_a_rule_with_a_table_is_told_as_the_file_said_it_and_an_empty_one_ends_it(
    rule: str,
) -> None:
    data = good()
    data["logins"][0]["accounts"] += [{"id": 2}, {"id": 3}]
    other = {**RULES_WITH_A_TABLE[rule]}
    data["limits"] = {"default": {rule: other}, "accounts": {2: {rule: {}}, 3: {}}}

    limits = parse(data).limits

    assert limits[1].plain()[rule] == limits[3].plain()[rule] == other
    assert rule not in limits[2].plain()


def test_a_drawdown_begins_at_the_balance_and_has_the_usual_buffer() -> None:
    data = good()
    data["limits"] = {"default": {"trailing_max_drawdown": {"drawdown": "4000.00"}}}

    found = parse(data).limits[1].trailing_max_drawdown

    assert found is not None
    assert found.start == found.lock_at == 100
    assert (found.trail, found.buffer) == ("eod", Decimal(200))


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("logins"), "logins is None; allowed is a list"),
        (lambda d: d.update(logins=[5]), "logins[0] is 5; allowed is a mapping"),
        (
            lambda d: d["logins"][0].update(user=" "),
            "logins[0].user is ' '; allowed is a non-empty",
        ),
        (lambda d: d["logins"][0].update(api_key="short"), "at least 11 characters"),
        (
            lambda d: d["logins"][0].update(colour="red"),
            "logins[0].colour is 'red'; allowed is only",
        ),
        (lambda d: d["logins"][0]["accounts"][0].update(id="x"), "accounts[0].id is 'x'"),
        (lambda d: d["logins"][0]["accounts"][0].update(balance="much"), "balance is 'much'"),
        (lambda d: d["logins"][0]["accounts"][0].update(style="mad"), "style is 'mad'"),
        (lambda d: d["logins"].append(d["logins"][0]), "account id 1 is there twice"),
        (lambda d: d.update(seed=-1), "seed is -1; allowed is a whole number of at least 0"),
        (lambda d: d.update(offset_s="soon"), "offset_s is 'soon'; allowed is a number"),
        (lambda d: d.update(traders="yes"), "traders is 'yes'; allowed is true or false"),
        (lambda d: d.update(profile="fast"), "profile is 'fast'; allowed is calm or demo or slow"),
        (lambda d: d.update(fees=[]), "fees is []; allowed is a mapping"),
        (lambda d: d.update(fees={"XX": {}}), "fees.XX is {}; allowed is default, ES"),
        (lambda d: d.update(fees={"ES": {"fee": "1"}}), "fees.ES.commission is None"),
        (lambda d: d.update(swings=["XX"]), "swings is ['XX']; allowed is a list of roots"),
        (
            lambda d: d.update(
                limits={"default": {"daily_combined_loss": {"limit": "5", "buffer": "5"}}}
            ),
            "daily_combined_loss.buffer is Decimal('5'); allowed is an amount below the limit",
        ),
        (
            lambda d: d.update(limits={"default": {"no_stop_loss_grace": {"grace": "0s"}}}),
            "no_stop_loss_grace.grace is '0s'; allowed is a duration",
        ),
        (
            lambda d: d.update(limits={"default": {"end_of_day_flatten": {"flatten": 15}}}),
            "end_of_day_flatten.flatten is 15; allowed is a wall time in quotes",
        ),
        (lambda d: d.update(limits={"accounts": {2: {}}}), "limits.accounts.2 is {}; allowed is"),
        (lambda d: d.update(limits={"accounts": {1: 3}}), "limits.accounts.1 is 3; allowed is a"),
        (
            lambda d: d.update(limits={"default": {"daily_realized_loss": "0"}}),
            "limits.default.daily_realized_loss is '0'; allowed is an amount in quotes of at least",
        ),
        (
            lambda d: d.update(limits={"default": {"max_contracts_per_instrument": {"EP": 2}}}),
            "limits.default.max_contracts_per_instrument.EP is 2; allowed is one of the roots ES",
        ),
        (
            lambda d: d.update(limits={"default": {"max_contracts_per_instrument": {"ES": -1}}}),
            "max_contracts_per_instrument.ES is -1; allowed is a whole number of at least 0",
        ),
        (
            lambda d: d.update(limits={"default": {"max_contracts_per_instrument": 3}}),
            "max_contracts_per_instrument is 3; allowed is a mapping",
        ),
        (lambda d: d.update(limits={"other": {}}), "limits.other is {}; allowed is only"),
    ],
)
def test_a_wrong_file_is_refused_with_place_value_and_what_is_allowed(
    change: Change, words: str
) -> None:
    data = good()
    change(data)

    with pytest.raises(ConfigRefused) as caught:
        parse(data)
    assert words in str(caught.value)


def test_a_file_that_is_missing_or_no_yaml_or_no_mapping_is_named(tmp_path: Path) -> None:
    broken, plain = tmp_path / "broken.yaml", tmp_path / "plain.yaml"
    broken.write_text("a: [")
    plain.write_text("just words")

    with pytest.raises(ConfigRefused, match=r"none\.yaml: can't be read"):
        read(tmp_path / "none.yaml")
    with pytest.raises(ConfigRefused, match=r"broken\.yaml: is not YAML"):
        read(broken)
    with pytest.raises(ConfigRefused, match=r"plain\.yaml: the file holds no mapping"):
        read(plain)


def test_a_profile_changes_by_name_and_by_value() -> None:
    assert changed(CALM, {"name": "slow"}).fill_ms == (150, 400)
    assert changed(CALM, {"name": "slow", "fill_ms": [1, 2]}).fill_ms == (1, 2)
    wishes: list[tuple[dict[str, object], str]] = [
        ({"gap_ms": 5}, "gap_ms is 5"),
        ({"name": "wild"}, "profile is 'wild'"),
        ({"speed": 1}, "speed is not known"),
        ({"duplicates": 2}, "duplicates is 2"),
    ]
    for wish, words in wishes:
        with pytest.raises(ProfileRefused, match=words):
            changed(CALM, wish)


def test_numbers_keep_their_zeros_and_enums_are_their_numbers() -> None:
    told = render(
        {"p": nine(Decimal("6065.25")), "s": Side.SELL, "t": [True, None, "ä\n"], "f": 0.5}
    )

    assert told == '{"p":6065.250000000,"s":1,"t":[true,null,"\\u00e4\\n"],"f":0.5}'
    with pytest.raises(TypeError, match="object has no JSON form"):
        render(object())


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_what_is_rendered_reads_back_the_same(value: object) -> None:
    assert json.loads(render(value)) == value


def test_tokens_are_good_until_they_expire_are_revoked_or_forgotten() -> None:
    desk = TokenDesk(1)
    north, again, south = desk.issue("north", 0), desk.issue("north", 0), desk.issue("south", 0)

    assert len({north, again, south}) == 3
    assert desk.login_of(north, 24 * 3600 - 1) == "north"
    assert desk.login_of(north, 24 * 3600) is None
    assert desk.login_of(None, 0) is None
    desk.forget(again)
    assert desk.login_of(again, 0) is None
    desk.revoke("north")
    assert (desk.login_of(north, 0), desk.login_of(south, 0)) == (None, "south")
    desk.revoke(None)
    assert desk.login_of(south, 0) is None


def test_a_budget_is_a_sliding_window_and_refusals_do_not_count() -> None:
    budget = Budget()
    assert all(budget.take("all", n) for n in range(200))
    assert not budget.take("all", NS_PER_S)
    assert budget.used("all", NS_PER_S) == 200
    assert budget.take("bars", 0)
    assert budget.used("bars", 31 * NS_PER_S) == 0

    assert budget.take("all", 60 * NS_PER_S)


def test_quantiles_go_by_nearest_rank() -> None:
    ordered = [float(n) for n in range(1, 101)]

    assert [quantile(ordered, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert spread([3.0, 1.0, 2.0]) == {"n": 3, "p50": 2.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
    assert spread([])["p99"] is None


def test_bars_hold_together() -> None:
    mnq = BY_ROOT["MNQ"]
    quote = Quote(mnq.start_price, mnq.start_price + mnq.tick_size, mnq.start_price)
    rows = bars(mnq, quote, datetime(2026, 11, 18, 16, 3, tzinfo=UTC), 2, 5, 10)

    assert rows[0]["t"] == "2026-11-18T16:00:00.000000+00:00"
    assert rows[0]["c"] == quote.last
    for newer, older in pairwise(rows):
        assert newer["o"] == older["c"]
    assert all(row["l"] <= row["o"] <= row["h"] for row in rows)  # type: ignore[operator]

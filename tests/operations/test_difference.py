"""What changes, which way, and what of it may take effect at once."""

from typing import Any

import pytest

from risk_daemon.core.events import PolicyAdopted, RuleSetting
from risk_daemon.operations.changing.difference import Own, changes, split, way_of

LIMIT: Own = frozenset({("max-contracts", "limit")})


def policy(
    mode: str = "enforce", *rules: RuleSetting, name: str = "ONE", **params: Any
) -> PolicyAdopted:
    return PolicyAdopted(
        account=1,
        login="alpha",
        name=name,
        calendar="cme_equity",
        day_roll="cme_trade_date",
        rules=(RuleSetting(rule="max-contracts", mode=mode, params=params), *rules),
        digest="",
    )


def loss(mode: str = "enforce", **params: Any) -> RuleSetting:
    return RuleSetting(rule="daily-realized-loss", mode=mode, params=params)


def ways(before: PolicyAdopted, after: PolicyAdopted, own: Own = LIMIT) -> list[tuple[str, str]]:
    return [(change.key, change.way) for change in changes(before, after, own)]


@pytest.mark.parametrize(
    ("tighter", "before", "after", "way"),
    [
        ("lower", 5, 4, "tighter"),
        ("lower", 4, 5, "looser"),
        ("lower", "2.5", 3, "looser"),
        ("lower", "500", "500.00", "other"),
        ("lower", "many", 3, "other"),
        ("lower", 3, "NaN", "other"),
        ("higher", "0", "50", "tighter"),
        ("higher", "50", "0", "looser"),
        ("lower", "15m", "30s", "tighter"),
        ("lower", "1h", "1d", "looser"),
        ("lower", "15:08", "14:59", "tighter"),
        ("lower", None, 3, "tighter"),
        ("lower", 3, None, "looser"),
        (("reduce", "flatten-all"), "reduce", "flatten-all", "tighter"),
        (("reduce", "flatten-all"), "flatten-all", "reduce", "looser"),
        (("reduce", "flatten-all"), "flatten-all", "sing", "other"),
        (None, 5, 4, "other"),
        ("lower", {"ES": 5}, {"ES": 4, "NQ": 1}, "tighter"),
        ("lower", {"ES": 5, "NQ": 1}, {"ES": 5}, "looser"),
        ("lower", {"ES": 5, "NQ": 1}, {"ES": 4}, "other"),
        ("lower", None, {"ES": 4}, "tighter"),
        ("lower", {"ES": 4}, None, "looser"),
    ],
)
def test_a_value_goes_one_way(tighter: Any, before: object, after: object, way: str) -> None:
    assert way_of(tighter, before, after) == way


def test_a_default_written_out_is_no_change() -> None:
    assert changes(policy(limit=5), policy(limit=5, basis="gross"), LIMIT) == []


def test_a_rule_that_begins_to_act_is_tighter_and_one_that_ends_is_looser() -> None:
    assert ways(policy("alert", limit=5), policy("enforce", limit=5)) == [("mode", "tighter")]
    assert ways(policy("enforce", limit=5), policy("alert", limit=5)) == [("mode", "looser")]
    assert ways(policy("alert", limit=5), policy("shadow", limit=5)) == [("mode", "other")]
    assert ways(policy("enforce", limit=5), policy("shadow", limit=5)) == [("mode", "looser")]
    assert ways(policy("shadow", limit=5), policy("enforce", limit=5)) == [("mode", "tighter")]
    assert ways(policy(limit=5), policy("enforce", loss(limit="1"), limit=5)) == [
        ("mode", "tighter")
    ]
    assert ways(policy("enforce", loss(limit="1"), limit=5), policy(limit=5)) == [
        ("mode", "looser")
    ]
    assert ways(policy(limit=5), policy("enforce", loss("alert", limit="1"), limit=5)) == [
        ("mode", "other")
    ]


def test_what_an_account_tightens_for_itself_applies_now_and_wholly() -> None:
    after = policy(limit=3)

    assert split(policy(limit=5), after, LIMIT) == (after, [])


def test_what_tightens_all_accounts_waits() -> None:
    part, later = split(policy(limit=5), policy(limit=3), frozenset())

    assert part.rules == policy(limit=5).rules
    assert [change.words() for change in later] == [
        "max-contracts limit from 5 to 3: tighter, for all accounts"
    ]


def test_what_loosens_waits_and_the_tighter_keys_beside_it_do_not() -> None:
    own: Own = frozenset({("max-contracts", "limit"), ("max-contracts", "action")})
    before, after = policy(limit=5), policy(limit=8, action="flatten-all")

    part, later = split(before, after, own)

    assert part.rules == policy(limit=5, action="flatten-all").rules
    assert [change.key for change in later] == ["limit"]


def test_tighter_keys_that_make_no_valid_rule_alone_wait_with_the_others() -> None:
    own: Own = frozenset({("daily-realized-loss", "limit"), ("daily-realized-loss", "buffer")})
    before = policy("enforce", loss(limit="500", buffer="100"), limit=5)
    after = policy("enforce", loss(limit="80", buffer="10"), limit=5)

    part, later = split(before, after, own)

    # A limit of 80 with a buffer of 100 would be refused.
    assert {one.rule: one for one in part.rules} == {one.rule: one for one in before.rules}
    assert sorted(change.key for change in later) == ["buffer", "limit"]


def test_a_mode_that_acts_applies_now_a_new_rule_too_and_a_name_waits() -> None:
    own: Own = frozenset({("max-contracts", "mode"), ("daily-realized-loss", "mode")})
    before = policy("alert", limit=5)
    after = policy("enforce", loss(limit="1"), limit=5, name="TWO")

    part, later = split(before, after, own)

    assert {one.rule: one for one in part.rules} == {one.rule: one for one in after.rules}
    assert (part.name, [change.key for change in later]) == ("ONE", ["name"])


def test_a_rule_taken_away_stays_until_the_next_trade_day() -> None:
    before = policy("enforce", loss(limit="1"), limit=5)

    part, later = split(before, policy(limit=5), LIMIT)

    assert {one.rule for one in part.rules} == {"max-contracts", "daily-realized-loss"}
    assert [(change.rule, change.way) for change in later] == [("daily-realized-loss", "looser")]


def test_a_key_taken_out_falls_back_to_its_default_at_once_where_that_is_tighter() -> None:
    own: Own = frozenset({("max-contracts", "basis")})
    before = policy("enforce", loss(limit="1"), limit=5, basis="net")

    part, later = split(before, policy(limit=5), own)

    assert [one.params for one in part.rules if one.rule == "max-contracts"] == [{"limit": 5}]
    assert [change.rule for change in later] == ["daily-realized-loss"]

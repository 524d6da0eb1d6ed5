"""Flags: which mode a rule has on which account and trade date, and whom a percentage names."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core.events import PolicyAdopted, RuleSetting
from risk_daemon.core.session import next_reset
from risk_daemon.operations.configuration import flags
from risk_daemon.operations.configuration.flags import Flag

NOON = 1_796_140_800_000_000_000  # 2026-12-01 16:00 UTC, a Tuesday: trade date 2026-12-01
DAY = "2026-12-01"
CALENDAR = ("cme_equity", "cme_trade_date")
MIDNIGHT = next_reset(*CALENDAR, NOON)


def policy(account: int = 1, mode: str = "alert") -> PolicyAdopted:
    return PolicyAdopted(
        account=account,
        login="alpha",
        name="ONE",
        calendar=CALENDAR[0],
        day_roll=CALENDAR[1],
        rules=(
            RuleSetting(rule="kill-switch", mode="enforce", params={}),
            RuleSetting(rule="max-contracts", mode=mode, params={"limit": 5}),
        ),
        digest="",
    )


def flag(mode: str = "enforce", *accounts: int, percent: int = 0, until: str = DAY) -> Flag:
    return Flag(
        rule="max-contracts",
        mode=mode,
        accounts=accounts or (1,),
        percent=percent,
        owner="anna",
        until=until,
    )


def cleared(one: Flag) -> Flag:
    return msgspec.structs.replace(one, cleared=True)


def modes(one: PolicyAdopted) -> list[str]:
    return [rule.mode for rule in one.rules]


def test_a_flag_changes_the_mode_of_its_rule_on_its_accounts_and_nothing_else() -> None:
    assert flags.day_of(policy(), NOON) == DAY
    assert modes(flags.laid(policy(), [flag()], NOON)) == ["enforce", "enforce"]
    assert flags.laid(policy(2), [flag()], NOON) == policy(2)
    assert flags.laid(policy(), [cleared(flag())], NOON) == policy()


def test_a_flag_holds_to_the_last_instant_of_its_trade_date_and_not_one_longer() -> None:
    assert modes(flags.laid(policy(), [flag()], MIDNIGHT - 1)) == ["enforce", "enforce"]
    assert modes(flags.laid(policy(), [flag()], MIDNIGHT)) == ["enforce", "alert"]


def test_an_accounts_own_flag_goes_before_that_of_a_percentage_in_any_order() -> None:
    both = [flag("shadow", 1, 2, percent=50), flag("enforce")]

    for order in (both, both[::-1]):
        assert modes(flags.laid(policy(1), order, NOON))[1] == "enforce"
        assert modes(flags.laid(policy(2), order, NOON))[1] == "shadow"


def test_a_flag_of_some_accounts_is_their_own_wish_and_one_of_all_is_not() -> None:
    mine = frozenset({("max-contracts", "mode")})

    assert flags.own_keys(1, [flag()], 1) == mine
    assert flags.own_keys(1, [cleared(flag())], 1) == mine
    assert flags.own_keys(1, [flag("enforce", 1, percent=50)], 2) == mine
    assert flags.own_keys(1, [flag("enforce", 1, 2, percent=100)], 2) == frozenset()
    assert flags.own_keys(3, [flag()], 3) == frozenset()


def test_the_end_of_a_flag_is_agreed_beforehand_and_nothing_else_is() -> None:
    in_force = policy(mode="enforce")

    assert modes(flags.ended(in_force, policy(), [flag()], MIDNIGHT))[1] == "alert"
    assert flags.ended(in_force, policy(), [flag()], MIDNIGHT - 1) == in_force
    assert flags.ended(in_force, policy(), [], MIDNIGHT) == in_force
    assert flags.ended(in_force, policy(), [flag("enforce", 2)], MIDNIGHT) == in_force


def test_a_percentage_is_rounded_up_and_names_at_least_one_account() -> None:
    known = list(range(1, 21))

    assert len(flags.drawn("max-contracts", 10, known, ())) == 2
    assert len(flags.drawn("max-contracts", 11, known, ())) == 3
    assert len(flags.drawn("max-contracts", 1, [7], ())) == 1
    assert sorted(flags.drawn("max-contracts", 100, known, ())) == known
    assert flags.drawn("max-contracts", 50, known, ()) != flags.drawn("kill-switch", 50, known, ())


@given(
    st.sets(st.integers(1, 500), min_size=1, max_size=40),
    st.sets(st.integers(501, 600), max_size=10),
    st.integers(1, 100),
    st.integers(1, 100),
)
def test_a_percentage_that_grows_keeps_its_accounts_whoever_joins(
    known: set[int], joined: set[int], percent: int, more: int
) -> None:
    before = flags.drawn("max-contracts", min(percent, more), sorted(known), ())
    after = flags.drawn("max-contracts", max(percent, more), sorted(known | joined), before)

    assert after[: len(before)] == before
    assert len(set(after)) == len(after)


def test_who_is_gone_leaves_the_percentage_and_it_shrinks_from_its_end() -> None:
    before = flags.drawn("max-contracts", 50, range(1, 11), ())
    gone = before[0]
    left = [number for number in range(1, 11) if number != gone]

    assert flags.drawn("max-contracts", 50, left, before)[:4] == before[1:]
    assert flags.drawn("max-contracts", 20, range(1, 11), before) == before[:2]


def test_it_is_looked_again_at_the_next_reset_while_a_flag_lives() -> None:
    policies = {1: policy()}
    mine, strange = flag(), flag("enforce", 9)

    assert flags.living([mine, cleared(mine), strange], policies, NOON) == (mine,)
    assert flags.living([mine], policies, MIDNIGHT) == ()
    assert flags.due([mine, strange], policies, NOON) == MIDNIGHT
    assert flags.due([], policies, NOON) == 0


def test_a_flag_is_announced_on_its_last_day_and_told_when_it_has_ended() -> None:
    policies = {1: policy()}
    later = flag(until="2026-12-02")

    ((name, text),) = flags.news([flag()], [flag()], policies, NOON)
    assert name == "flag-ends:max-contracts:1:enforce:2026-12-01"
    assert text == (
        "the flag max-contracts: enforce on account 1 (owner anna) ends at the end of trade date "
        "2026-12-01; then the policy's own mode holds"
    )
    ((name, text),) = flags.news([flag()], [flag()], policies, MIDNIGHT)
    assert name == "flag-ended:max-contracts:1:enforce:2026-12-01"
    assert "ended at the end of trade date 2026-12-01" in text
    assert flags.news([later], [later], policies, NOON) == []
    assert flags.news([cleared(flag())], [], policies, NOON) == []
    assert flags.news([flag("enforce", 9)], [flag("enforce", 9)], policies, NOON) == []


@pytest.mark.parametrize(
    ("one", "name", "scope"),
    [
        (flag("alert", 7), "max-contracts:7", "account 7"),
        (flag("alert", 7, 8, percent=10), "max-contracts:10%", "10 % of the accounts"),
    ],
)
def test_a_flag_says_whom_it_is_for(one: Flag, name: str, scope: str) -> None:
    assert (one.name, one.scope) == (name, scope)


# --- overrides ----------------------------------------------------------------------


HOUR = 3_600 * 1_000_000_000


def override(ends: int = NOON + HOUR, *accounts: int, until: str = DAY) -> Flag:
    return Flag(
        rule="max-contracts",
        mode=flags.OFF,
        accounts=accounts or (1,),
        owner="anna",
        until=until,
        since=NOON,
        ends=ends,
    )


def test_an_override_holds_until_its_instant_and_not_one_longer() -> None:
    enforced = policy(mode="enforce")

    assert modes(flags.laid(enforced, [override()], NOON + HOUR - 1)) == ["enforce", "shadow"]
    assert flags.laid(enforced, [override()], NOON + HOUR) == enforced
    assert flags.laid(enforced, [cleared(override())], NOON) == enforced
    assert override().name == "override:max-contracts:1"


def test_an_override_goes_before_every_flag_of_its_account_in_any_order() -> None:
    both = [flag("enforce"), override()]

    for order in (both, both[::-1]):
        assert modes(flags.laid(policy(), order, NOON))[1] == "shadow"


def test_it_is_looked_again_at_the_instant_at_which_an_override_ends() -> None:
    policies = {1: policy()}

    assert flags.living([override()], policies, NOON) == (override(),)
    assert flags.living([override()], policies, NOON + HOUR) == ()
    assert flags.due([override(), flag()], policies, NOON) == NOON + HOUR


def test_what_was_overridden_enforces_again_whatever_else_was_changed_meanwhile() -> None:
    off, looser = policy(mode="shadow"), policy(mode="alert")

    ended = flags.ended(off, looser, [override()], NOON + HOUR)

    assert modes(ended) == ["enforce", "enforce"]
    assert flags.ended(off, looser, [override()], NOON) == off
    assert flags.news([override()], [override()], {1: policy()}, NOON + HOUR) == []
    assert flags.ended_overrides([override(), flag()], NOON + HOUR) == (override(),)
    assert flags.ended_overrides([override()], NOON + HOUR - 1) == ()


def test_without_the_files_only_what_is_off_acts_again() -> None:
    assert modes(flags.back_on(policy(mode="shadow"), [override()])) == ["enforce", "enforce"]
    assert flags.back_on(policy(mode="alert"), [override()]) == policy(mode="alert")
    assert flags.back_on(policy(2, mode="shadow"), [override()]) == policy(2, mode="shadow")

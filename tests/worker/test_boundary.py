"""Boundary cases: one release makes them, two decide them."""

from __future__ import annotations

import pytest

from risk_daemon.core.engine import Engine
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import state_hash
from risk_daemon.rules import CATALOG
from risk_daemon.worker.boundary import NEAR, OVER, Decided, cases, decide
from tests.build import ACCOUNT, MS, rule
from tests.worker.two import Two, changed, limit

RULES = (
    rule("kill-switch"),
    rule("trailing-max-drawdown", drawdown="2000", start="50000"),
    rule("daily-combined-loss", limit="1000"),
    rule("daily-realized-loss", limit="500"),
    rule("end-of-day-flatten"),
    rule("max-contracts", limit=3),
    rule("max-contracts-per-instrument", limits={"MNQ": 2}),
    rule("no-stop-loss-grace"),
)


def decided(engine: Engine, of: Engine) -> dict[tuple[str, str], Decided]:
    return {(case.rule, case.case): decide(engine, case) for case in cases(of, ACCOUNT)}


def test_two_of_the_same_code_decide_every_case_alike() -> None:
    both = Two().open(*RULES)
    both.fill(1, 1)

    mine, other = decided(both.sides[0].engine, both.holder), decided(both.holder, both.holder)

    assert mine == other
    assert set(mine) == {(one.rule, case) for one in RULES for case in (NEAR, OVER)}


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_each_rule_finds_its_breach_and_not_its_near_miss(name: str) -> None:
    both = Two().open(*RULES)

    found = decided(both.holder, both.holder)

    def fires(case: str) -> bool:
        return any(one.name.startswith(f"breach:{name}|") for one in found[name, case].decisions)

    assert (fires(NEAR), fires(OVER)) == (False, True)


def test_a_limit_turned_round_shows_at_the_near_miss() -> None:
    both = Two(changed("max-contracts", limit(-UNIT))).open(rule("max-contracts", limit=3))

    mine = decided(both.sides[0].engine, both.holder)["max-contracts", NEAR]
    other = decided(both.holder, both.holder)["max-contracts", NEAR]

    assert other.decisions == ()
    assert [one.field for one in mine.decisions] == ["breach", "goal"]
    assert (mine.sees, other.sees) == ("breach: 3 against 2", "clear: 3 against 3")


def test_nothing_of_it_is_left_in_the_account() -> None:
    both = Two().open(*RULES)
    both.fill(1, 4)
    before = state_hash(both.holder.world.accounts[ACCOUNT])

    decided(both.holder, both.holder)

    assert state_hash(both.holder.world.accounts[ACCOUNT]) == before


def test_what_is_held_back_in_a_shadow_is_not_held_back_in_a_case() -> None:
    both = Two(changed("max-contracts", limit(-UNIT))).open(rule("max-contracts", limit=3))
    both.fill(1, 3)
    both.pulse(12)
    assert both.overruled == ["max-contracts|"]

    mine = decided(both.sides[0].engine, both.holder)["max-contracts", OVER]

    assert [one.field for one in mine.decisions] == ["breach", "goal"]


def test_two_releases_that_have_heard_the_same_say_so() -> None:
    both = Two().open(*RULES)
    both.fill(1, 1)
    made = cases(both.holder, ACCOUNT)

    both.fill(1, 1)
    later = decide(both.sides[0].engine, made[0])

    assert {case.facts_at for case in made} == {both.facts_at - 2 * MS}
    assert later.facts_at == both.facts_at

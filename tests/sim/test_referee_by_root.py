"""The referee judges sizes by root: every month of a product counts, other products do not."""

from __future__ import annotations

import pytest

from tests.sim.bench import MES, Bench

MNQ_MARCH = "CON.F.US.MNQ.H27"
NQ = "CON.F.US.ENQ.Z26"
RULE = "max-contracts-per-instrument"
ANSWERED = {"breaches": 1, "answered": 1}
NOT_ANSWERED = {"breaches": 1, "answered": 0}


@pytest.fixture
def bench() -> Bench:
    return Bench(limit=50, by_root={"MNQ": 3, "NQ": 1})


@pytest.mark.parametrize("sign", [1, -1])
def test_one_more_than_the_limit_of_its_root_is_a_breach_until_one_is_closed(
    bench: Bench, sign: int
) -> None:
    bench.fill(3 * sign)
    bench.wait(1500)
    assert bench.verdict.by_rule[RULE]["breaches"] == 0

    bench.fill(sign)
    bench.wait(3)
    bench.close(1)
    bench.wait(1500)

    assert bench.verdict.by_rule[RULE] == ANSWERED
    assert bench.verdict.ok


def test_all_months_of_a_root_count_together_even_against_each_other(bench: Bench) -> None:
    bench.fill(2)
    bench.fill(-2, contract=MNQ_MARCH)
    bench.wait(1500)

    verdict = bench.verdict

    assert verdict.by_rule[RULE] == NOT_ANSWERED
    assert (verdict.late, verdict.ok) == (1, False)
    assert f"too much held in {MNQ_MARCH}, CON.F.US.MNQ.Z26" in verdict.problems[0]


def test_the_vendor_root_of_a_contract_is_the_root_of_the_limit(bench: Bench) -> None:
    bench.fill(2, contract=NQ)

    assert bench.verdict.by_rule[RULE] == NOT_ANSWERED


def test_a_root_without_a_limit_may_hold_any_size(bench: Bench) -> None:
    bench.fill(20, contract=MES)
    bench.wait(1500)

    assert bench.verdict.by_rule[RULE]["breaches"] == 0
    assert bench.verdict.ok


def test_a_close_while_every_root_is_inside_its_limit_is_false(bench: Bench) -> None:
    bench.fill(2, contract=MES)
    bench.close(1, contract=MES)

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_resting_orders_that_could_crowd_a_root_are_a_breach_until_cancelled(
    bench: Bench,
) -> None:
    bench.fill(2)
    allowed = bench.rest(1, 1)
    assert bench.verdict.by_rule[RULE]["breaches"] == 0

    too_much = bench.rest(1, 1)
    assert bench.verdict.by_rule[RULE] == NOT_ANSWERED

    bench.cancel(too_much)
    bench.wait(1500)

    assert allowed != too_much
    assert bench.verdict.by_rule[RULE] == ANSWERED
    assert bench.verdict.ok


def test_a_rule_that_is_on_for_nobody_is_not_in_the_verdict() -> None:
    assert RULE not in Bench().verdict.by_rule

"""The referee is fair: what could not be known, or not be answered, is nobody's fault."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from risk_daemon.sim.codes import Action
from risk_daemon.sim.model import Message
from tests.sim.bench import ACCOUNT, MES, Bench

BEFORE_RESET = datetime(2026, 11, 18, 22, 59, 50, tzinfo=UTC)  # 16:59:50 in Chicago


@pytest.fixture
def bench() -> Bench:
    return Bench()


def trip(bench: Bench) -> None:
    """Lose more than the limit while still holding one contract."""
    bench.fill(3)
    bench.wait(2000)
    bench.fill(-2, gross="-450.00")


def _rejected(bench: Bench, order: int) -> Message:
    row = bench.order_row(order, -1, 1, status=5, type=2)
    return Message("order", ACCOUNT, Action.UPDATE, row, order, True)


def test_a_limit_reached_while_flat_is_unseen_but_locks(bench: Bench) -> None:
    bench.fill(1)
    bench.fill(-1, gross="-500")

    assert (bench.verdict.breaches, bench.verdict.unseen, bench.verdict.ok) == (0, 1, True)

    bench.wait(3000)
    bench.fill(1)

    assert bench.verdict.by_rule["daily-realized-loss"]["breaches"] == 1


def test_a_breach_over_before_it_could_be_known_is_listed_not_counted(bench: Bench) -> None:
    bench.fill(6, deliver=False)
    bench.fill(-2, gross="0", deliver=False)
    bench.wait(2000)

    assert (bench.verdict.breaches, bench.verdict.unseen, bench.verdict.ok) == (0, 1, True)


def test_a_breach_that_is_never_delivered_is_missed_but_not_late(bench: Bench) -> None:
    bench.fill(6, deliver=False)
    bench.wait(3000)

    verdict = bench.verdict

    assert (verdict.breaches, verdict.answered, verdict.late) == (1, 0, 0)
    assert "was never visible" in verdict.problems[-1]


def test_exposure_is_visible_only_when_both_views_agree(bench: Bench) -> None:
    order, trade, position = bench.fill(6, deliver=False)
    bench.deliver([order, trade])
    bench.wait(3000)

    assert bench.verdict.late == 0

    bench.deliver([position])
    bench.wait(1100)

    assert bench.verdict.late == 1


def test_a_rest_answer_makes_a_breach_visible_but_gives_no_latency(bench: Bench) -> None:
    _, trade, position = bench.fill(6, deliver=False)
    bench.referee.read("trade", ACCOUNT, [trade.row], bench.now)
    bench.referee.read("position", ACCOUNT, [position.row], bench.now)
    bench.wait(30)
    bench.close(1)

    assert bench.verdict.ok
    assert bench.verdict.samples["latency_ms"] == []


def test_resting_orders_that_could_exceed_the_limit_ask_for_a_cancel_only(bench: Bench) -> None:
    bench.fill(3)
    order = bench.rest(1, 3)
    bench.wait(50)
    bench.cancel(order)
    bench.wait(2000)

    assert bench.verdict.ok
    assert bench.verdict.by_rule["max-contracts"] == {"breaches": 1, "answered": 1}


def test_closing_a_position_because_of_resting_orders_is_false(bench: Bench) -> None:
    bench.fill(3)
    bench.rest(1, 3)
    bench.close(1)

    assert bench.verdict.counts.false == 1


def test_a_breach_with_something_to_cancel_first_is_timed_from_the_cancel(bench: Bench) -> None:
    bench.fill(5)
    order = bench.rest(1, 1)
    bench.fill(1)
    bench.wait(10)
    bench.cancel(order)
    bench.wait(4)
    bench.close(1)

    assert bench.verdict.samples["latency_ms"] == []
    assert bench.verdict.samples["after_cancel_ms"] == [pytest.approx(5)]


def test_an_unsettled_close_excuses_the_same_contract(bench: Bench) -> None:
    bench.fill(6)
    order = bench.close(1, fills=False)
    bench.fill(3)
    bench.wait(4000)

    assert bench.verdict.late == 0

    bench.fill(-1, gross="0", order=order)
    bench.wait(1200)

    assert bench.verdict.late == 1


def test_an_unsettled_close_on_another_contract_does_not_excuse_a_flatten(bench: Bench) -> None:
    bench.fill(1, contract=MES)
    trip(bench)
    bench.close(contract=MES, fills=False)
    bench.wait(1500)

    assert bench.verdict.late == 1


def test_a_blocked_login_is_excused_until_the_fault_is_over(bench: Bench) -> None:
    bench.referee.fault_started(1, "north", "rate_limit", bench.now, excuses=True)
    bench.fill(6)
    bench.wait(3000)
    bench.referee.fault_over(1, "rate_limit", bench.now)
    bench.wait(900)

    assert bench.verdict.late == 0

    bench.close(1)
    verdict = bench.verdict

    assert (verdict.ok, verdict.breaches_in_faults) == (True, 1)
    assert verdict.samples["latency_ms"] == []


def test_a_fault_of_another_login_excuses_nothing(bench: Bench) -> None:
    bench.referee.fault_started(1, "south", "rate_limit", bench.now, excuses=True)
    bench.fill(6)
    bench.wait(1200)

    assert bench.verdict.late == 1


def test_a_killed_process_is_excused_for_five_seconds_only(bench: Bench) -> None:
    bench.referee.declared("north", 30, "kill -9 of a worker", bench.now)
    bench.fill(6)
    bench.wait(5500)

    assert bench.verdict.late == 0

    bench.wait(1000)

    assert (bench.verdict.late, bench.verdict.breaches_in_faults) == (1, 1)


def test_a_lost_answer_is_excused_while_its_outcome_is_unknown(bench: Bench) -> None:
    bench.fill(6)
    bench.close(1, code=-1, known=False)
    bench.wait(4900)

    assert bench.verdict.late == 0

    bench.wait(1200)

    assert bench.verdict.late == 1


def test_a_close_the_exchange_rejected_is_settled_by_its_order(bench: Bench) -> None:
    bench.fill(6)
    order = bench.close(1, fills=False)
    bench.happen([_rejected(bench, order)])
    bench.wait(10)
    bench.close(1)

    assert bench.verdict.ok

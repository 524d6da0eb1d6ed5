"""The referee must be able to say no: one bad daemon per way of being bad, and a good one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.sim.bench import Bench

BEFORE_RESET = datetime(2026, 11, 18, 22, 59, 50, tzinfo=UTC)  # 16:59:50 in Chicago


@pytest.fixture
def bench() -> Bench:
    return Bench()


def trip(bench: Bench) -> None:
    """Lose more than the limit while still holding one contract."""
    bench.fill(3)
    bench.wait(2000)
    bench.fill(-2, gross="-450.00")


def test_a_daemon_that_answers_at_once_is_ok(bench: Bench) -> None:
    bench.fill(5)
    bench.fill(2)
    bench.wait(3)
    bench.close(2)
    bench.wait(3000)
    bench.fill(-4, gross="-420")
    bench.wait(2)
    bench.close()
    bench.wait(3000)

    verdict = bench.verdict

    assert verdict.problems == []
    assert verdict.ok
    assert (verdict.breaches, verdict.answered) == (2, 2)
    assert verdict.samples["latency_ms"] == [pytest.approx(3), pytest.approx(2)]


def test_a_breach_that_nobody_answers_is_missed_and_late(bench: Bench) -> None:
    bench.fill(6)
    bench.wait(1500)

    verdict = bench.verdict

    assert not verdict.ok
    assert (verdict.breaches, verdict.answered, verdict.late) == (1, 0, 1)
    assert "6 contracts held, limit 5" in verdict.problems[0]


def test_an_answer_after_the_bound_is_late(bench: Bench) -> None:
    bench.fill(6)
    bench.wait(1100)
    bench.close(1)
    bench.wait(100)

    assert (bench.verdict.answered, bench.verdict.late, bench.verdict.ok) == (1, 1, False)


def test_an_answer_just_within_the_bound_is_not_late(bench: Bench) -> None:
    bench.fill(6)
    bench.wait(980)
    bench.close(1)

    assert bench.verdict.ok


def test_a_second_close_while_the_first_is_in_flight_is_a_duplicate(bench: Bench) -> None:
    bench.fill(6)
    bench.close(1, fills=False)
    bench.close(1, fills=False)

    assert (bench.verdict.counts.duplicate, bench.verdict.ok) == (1, False)


def test_a_second_close_for_a_target_already_reached_is_a_duplicate(bench: Bench) -> None:
    bench.fill(6)
    bench.close(1)
    bench.wait(20)
    bench.close(1)

    assert (bench.verdict.counts.duplicate, bench.verdict.ok) == (1, False)


def test_two_closes_that_both_fill_reverse_the_position_by_our_requests_alone(
    bench: Bench,
) -> None:
    trip(bench)
    first = bench.close(fills=False)
    second = bench.close(fills=False)
    bench.fill(-1, gross="0", order=first)
    bench.fill(-1, order=second)

    verdict = bench.verdict

    assert (verdict.counts.reversed, verdict.counts.reversed_by_race) == (1, 0)
    assert not verdict.ok


def test_a_reversal_with_another_fill_between_is_called_a_race(bench: Bench) -> None:
    trip(bench)
    order = bench.close(fills=False)
    bench.fill(-1, gross="0")
    bench.fill(-1, order=order)

    verdict = bench.verdict

    assert (verdict.counts.reversed, verdict.counts.reversed_by_race) == (0, 1)
    assert not verdict.ok


def test_a_close_that_raises_a_position_somebody_else_turned_is_increasing(bench: Bench) -> None:
    trip(bench)
    order = bench.close(fills=False)
    bench.fill(-3, gross="0")
    bench.fill(-1, order=order, is_last=False)
    bench.fill(-1, order=order)

    assert bench.verdict.counts.increased == 1
    assert not bench.verdict.ok


def test_an_order_placed_by_the_daemon_is_increasing(bench: Bench) -> None:
    bench.place()

    assert (bench.verdict.counts.increased, bench.verdict.ok) == (1, False)


def test_a_stop_left_behind_by_a_closed_position_is_an_orphan(bench: Bench) -> None:
    bench.fill(3)
    bench.rest(-1, 3, type=4)
    bench.wait(2000)
    bench.fill(-2, gross="-450.00")
    bench.close()
    bench.wait(20)

    assert (bench.verdict.orphan_orders, bench.verdict.ok) == (1, False)


def test_an_orphan_that_is_swept_is_forgiven(bench: Bench) -> None:
    bench.fill(3)
    stop = bench.rest(-1, 3, type=4)
    bench.wait(2000)
    bench.fill(-2, gross="-450.00")
    bench.close()
    bench.wait(20)
    bench.cancel(stop)
    bench.wait(1000)

    assert bench.verdict.ok


def test_an_orphan_of_a_close_outside_a_lock_may_be_swept_for_ten_seconds(bench: Bench) -> None:
    bench.fill(6)
    stop = bench.rest(-1, 6, type=4)
    bench.close()
    bench.wait(5000)
    bench.cancel(stop)

    assert bench.verdict.counts.false == 0


def test_an_order_the_trader_made_after_the_close_is_no_orphan_to_sweep(bench: Bench) -> None:
    bench.fill(6)
    bench.close()
    bench.wait(2000)
    bench.cancel(bench.rest(-1, 2))

    assert bench.verdict.counts.false == 1


def test_a_close_without_any_breach_is_false(bench: Bench) -> None:
    bench.fill(5)
    bench.close(1)

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)
    assert "without reason" in bench.verdict.problems[0]


def test_a_cancel_without_any_breach_is_false(bench: Bench) -> None:
    bench.fill(2)
    bench.cancel(bench.rest(1, 2))

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_a_close_within_a_second_of_its_reason_is_not_false(bench: Bench) -> None:
    bench.fill(6)
    bench.fill(-1, gross="0")
    bench.wait(900)
    bench.close(1, code=2)

    assert bench.verdict.counts.false == 0


def test_a_daemon_that_forgets_costs_trips_too_late(bench: Bench) -> None:
    bench.fill(5)
    bench.fill(-4, gross="-395.00")  # 9 contracts cost 5.58: net is -400.58
    bench.wait(2000)

    verdict = bench.verdict

    assert (verdict.late, verdict.ok) == (1, False)
    assert verdict.by_rule["daily-realized-loss"] == {"breaches": 1, "answered": 0}


def test_equality_with_the_loss_limit_trips(bench: Bench) -> None:
    bench.fill(5)
    bench.fill(-4, gross="-394.42")

    assert bench.verdict.by_rule["daily-realized-loss"]["breaches"] == 1


def test_a_daemon_that_counts_costs_twice_trips_too_early(bench: Bench) -> None:
    bench.fill(5)
    bench.fill(-4, gross="-390.00")
    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_a_daemon_that_counts_yesterday_trips_falsely() -> None:
    bench = Bench(at=BEFORE_RESET)
    bench.fill(3)
    bench.fill(-1, gross="-390.00")
    bench.wait(11_000)
    bench.fill(-1, gross="-20.00")
    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_a_daemon_that_keeps_its_lock_after_the_reset_trips_falsely() -> None:
    bench = Bench(at=BEFORE_RESET)
    trip(bench)
    bench.close()
    bench.wait(11_000)
    bench.fill(1)
    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_a_daemon_that_does_not_look_while_locked_misses_the_entry(bench: Bench) -> None:
    trip(bench)
    bench.close()
    bench.wait(5000)
    bench.fill(1)
    bench.wait(1500)

    verdict = bench.verdict

    assert verdict.by_rule["daily-realized-loss"] == {"breaches": 2, "answered": 1}
    assert (verdict.late, verdict.ok) == (1, False)


def test_a_resting_entry_under_a_lock_must_be_cancelled(bench: Bench) -> None:
    trip(bench)
    bench.close()
    bench.wait(5000)
    order = bench.rest(1, 1)
    bench.wait(1500)

    assert bench.verdict.late == 1

    bench.cancel(order)

    assert bench.verdict.answered == 2


def test_at_most_three_entries_under_a_lock_are_counted(bench: Bench) -> None:
    trip(bench)
    bench.close()
    for _ in range(5):
        bench.wait(4000)
        bench.fill(1)
        bench.close()

    verdict = bench.verdict

    assert verdict.by_rule["daily-realized-loss"] == {"breaches": 4, "answered": 4}
    assert verdict.ok


def test_a_winning_close_or_a_void_does_not_lift_the_lock(bench: Bench) -> None:
    trip(bench)
    bench.close()
    loss = bench.fill(1, gross="900.00")
    bench.close()
    bench.wait(3000)
    bench.fill(1)

    assert loss[1].kind == "trade"
    assert bench.verdict.by_rule["daily-realized-loss"]["breaches"] == 3

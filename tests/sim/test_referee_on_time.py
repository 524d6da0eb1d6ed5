"""The referee and the clock: stops that are missing for too long, and the end of the day."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.sim.scenario import DayEnd, StopGrace
from tests.sim.bench import ACCOUNT, MES, MNQ, Bench

GRACE, DAY_END = "no-stop-loss-grace", "end-of-day-flatten"
STOP = 4
ANSWERED = {"breaches": 1, "answered": 1}
NONE = {"breaches": 0, "answered": 0}
BEFORE_RESET = datetime(2026, 11, 18, 22, 59, 50, tzinfo=UTC)  # 16:59:50 in Chicago


def careless() -> Bench:
    """Five seconds for a position without a stop, three for one whose stop was taken away."""
    bench = Bench(no_stop_loss_grace=StopGrace(5, 3))
    bench.quote("20000.00")
    return bench


def evening(lead: int = 10) -> Bench:
    """The day ends thirty seconds after ten o'clock, entries so many seconds before it."""
    return Bench(end_of_day_flatten=DayEnd(time(10, 0, 30), lead, 600))


def until(bench: Bench, second: float) -> None:
    """Let time pass until so long after ten o'clock."""
    begun = datetime(2026, 11, 18, 16, 0, tzinfo=UTC)
    bench.wait(second * 1000 - (bench.now.at - begun).total_seconds() * 1000)


def stop_at(bench: Bench, price: str, sign: int = -1, size: int = 1, **more: Any) -> int:
    """A stop rests there."""
    return bench.rest(sign, size, type=STOP, limitPrice=None, stopPrice=Decimal(price), **more)


# --- a position without a stop ---------------------------------------------------------


def test_a_position_closed_as_its_grace_ends_is_answered_and_timed_from_there() -> None:
    bench = careless()
    bench.fill(2)
    bench.wait(5004)
    bench.close()
    bench.wait(1500)

    verdict = bench.verdict

    assert verdict.problems == []
    assert verdict.by_rule[GRACE] == ANSWERED
    assert verdict.samples["timer_ms"] == [pytest.approx(5, abs=2)]


def test_a_position_that_nobody_closes_after_its_grace_is_missed_and_late() -> None:
    bench = careless()
    bench.fill(1)
    bench.wait(7100)

    assert (bench.verdict.answered, bench.verdict.late, bench.verdict.ok) == (0, 1, False)


def test_a_guard_may_try_to_read_the_account_for_a_second_before_it_closes() -> None:
    bench = careless()
    bench.fill(1)
    bench.wait(6900)
    bench.close()

    assert bench.verdict.ok


def test_a_guard_that_has_read_the_account_must_not_wait_any_longer() -> None:
    bench = careless()
    bench.fill(1)
    bench.wait(5020)
    bench.referee.read("order", 9000000101, [], bench.now)
    bench.wait(1100)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_a_close_one_second_before_the_grace_ends_is_false() -> None:
    bench = careless()
    bench.fill(1)
    bench.wait(4000)
    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


@pytest.mark.parametrize(("sign", "price"), [(1, "19990.00"), (-1, "20010.00")])
def test_a_living_stop_on_the_loss_side_of_the_market_protects(sign: int, price: str) -> None:
    bench = careless()
    bench.fill(sign)
    stop_at(bench, price, -sign)
    bench.wait(9000)
    assert bench.verdict.by_rule[GRACE] == NONE

    bench.close()

    assert bench.verdict.counts.false == 1


@pytest.mark.parametrize("why", ["wrong side of the market", "waits for its parent", "is a limit"])
def test_what_does_not_protect_does_not_count(why: str) -> None:
    bench = careless()
    bench.fill(1)
    if why == "wrong side of the market":
        stop_at(bench, "20010.00")
    elif why == "waits for its parent":
        stop_at(bench, "19990.00", status=8)
    else:
        bench.rest(-1, 1)
    bench.wait(5500)
    bench.close()

    assert bench.verdict.by_rule[GRACE]["breaches"] == 1
    assert bench.verdict.counts.false == 0


def test_a_stop_for_a_part_leaves_the_rest_uncovered() -> None:
    bench = careless()
    bench.fill(3)
    stop_at(bench, "19990.00", size=2)
    bench.wait(5100)
    bench.close()

    assert bench.verdict.by_rule[GRACE] == ANSWERED
    assert bench.verdict.counts.false == 0


def test_a_stop_that_is_taken_away_has_the_shorter_grace() -> None:
    bench = careless()
    bench.fill(1)
    stop = stop_at(bench, "19990.00")
    bench.wait(8000)
    bench.gone(stop)
    bench.wait(2500)
    assert bench.verdict.by_rule[GRACE] == NONE

    bench.wait(600)
    bench.close()

    assert bench.verdict.by_rule[GRACE] == ANSWERED


def test_a_scale_in_has_a_grace_of_its_own() -> None:
    bench = careless()
    bench.fill(1)
    stop_at(bench, "19990.00")
    bench.wait(4000)
    bench.fill(1)
    bench.wait(4500)
    assert bench.verdict.by_rule[GRACE] == NONE

    bench.wait(600)

    assert bench.verdict.by_rule[GRACE]["breaches"] == 1


def test_a_stop_placed_in_the_last_moment_may_be_seen_or_not() -> None:
    seen, unseen = careless(), careless()
    for bench in (seen, unseen):
        bench.fill(1)
        bench.wait(4999)
        stop_at(bench, "19990.00")
    seen.wait(3000)
    unseen.close()

    assert seen.verdict.ok
    assert unseen.verdict.counts.false == 0


def test_without_a_delivered_quote_nobody_can_judge_a_stop() -> None:
    bench = careless()
    bench.fill(2, contract=MES)
    stop_at(bench, "6000.00", contract=MES)
    bench.wait(9000)

    assert bench.verdict.late == 0


def test_a_trader_is_told_when_an_order_of_his_would_race_the_clock() -> None:
    bench = careless()
    bench.fill(1)
    bench.wait(4400)
    case = bench.referee.cases[ACCOUNT]
    assert not case.is_about_to_break()

    bench.wait(200)
    assert case.is_about_to_break()

    stop_at(bench, "19990.00")
    assert not case.is_about_to_break()


@pytest.mark.parametrize(("second", "is_soon"), [(29.4, False), (29.6, True), (30.2, False)])
def test_the_end_of_the_day_is_about_to_come_for_half_a_second(
    second: float, is_soon: bool
) -> None:
    bench = evening()
    until(bench, second)

    assert bench.referee.cases[ACCOUNT].is_about_to_break() == is_soon


# --- the end of the day ----------------------------------------------------------------


def test_what_is_held_at_the_end_of_the_day_must_be_flat_then() -> None:
    bench = evening()
    bench.fill(2)
    until(bench, 30.004)
    bench.close()
    bench.wait(1500)

    verdict = bench.verdict

    assert verdict.problems == []
    assert verdict.by_rule[DAY_END] == ANSWERED
    assert verdict.samples["timer_ms"] == [pytest.approx(4, abs=2)]


def test_a_guard_that_sleeps_through_the_end_of_the_day_is_late() -> None:
    bench = evening()
    bench.fill(2)
    until(bench, 31.1)

    assert (bench.verdict.answered, bench.verdict.late, bench.verdict.ok) == (0, 1, False)


def test_a_guard_that_ends_the_day_one_second_early_trips_falsely() -> None:
    bench = evening()
    bench.fill(2)
    until(bench, 29)
    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_a_guard_whose_clock_is_a_few_milliseconds_ahead_is_forgiven() -> None:
    bench = evening()
    bench.fill(2)
    until(bench, 29.97)
    bench.close()

    assert bench.verdict.counts.false == 0


def test_before_the_end_an_entry_is_a_breach_until_it_is_taken_back() -> None:
    bench = evening()
    bench.fill(2)
    until(bench, 22)
    bench.fill(1)
    bench.wait(3)
    bench.close(1)
    bench.wait(1500)

    assert bench.verdict.by_rule[DAY_END] == ANSWERED
    assert bench.verdict.ok


def test_a_guard_that_lets_entries_pass_before_the_end_is_late() -> None:
    bench = evening()
    until(bench, 22)
    bench.fill(1)
    bench.wait(1500)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_an_entry_one_second_before_entries_stop_is_nobodys_business() -> None:
    bench = evening()
    until(bench, 19)
    bench.fill(2)
    bench.close(1)

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


@pytest.mark.parametrize("is_taken_back", [True, False])
def test_an_entry_filled_as_entries_stop_is_on_either_side(is_taken_back: bool) -> None:
    bench = evening()
    bench.fill(1)
    until(bench, 19.95)
    bench.fill(1)
    bench.wait(60)
    if is_taken_back:
        bench.close(1)
    bench.wait(3000)

    assert bench.verdict.ok


def test_what_was_reduced_may_not_come_back_before_the_end() -> None:
    bench = evening()
    bench.fill(3)
    until(bench, 21)
    bench.fill(-2, gross="0")
    until(bench, 23)
    bench.fill(1)

    assert bench.verdict.by_rule[DAY_END]["breaches"] == 1


def test_a_resting_entry_must_be_cancelled_before_the_end() -> None:
    bench = evening()
    until(bench, 22)
    order = bench.rest(1, 1)
    bench.wait(20)
    bench.cancel(order)
    bench.wait(1500)

    assert bench.verdict.ok
    assert bench.verdict.by_rule[DAY_END] == ANSWERED


def test_an_entry_after_the_end_is_a_further_breach() -> None:
    bench = evening()
    until(bench, 33)
    bench.fill(1)
    bench.wait(1500)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_the_next_session_ends_it() -> None:
    bench = Bench(at=BEFORE_RESET, end_of_day_flatten=DayEnd(time(15, 8), 180, 600))
    bench.wait(10_500)
    bench.fill(1)
    bench.wait(1500)
    assert bench.verdict.ok

    bench.close()

    assert bench.verdict.counts.false == 1


def test_the_products_own_close_may_end_the_day_earlier() -> None:
    at = datetime(2026, 11, 18, 21, 49, 55, tzinfo=UTC)  # 15:49:55, ten minutes before F + 5 s
    bench = Bench(at=at, end_of_day_flatten=DayEnd(time(15, 59), 180, 600))
    bench.fill(1)
    bench.wait(7000)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_other_contracts_end_with_the_account() -> None:
    bench = evening()
    bench.fill(1)
    bench.fill(1, contract=MES)
    until(bench, 30.004)
    bench.close(contract=MNQ)
    bench.wait(1500)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)

"""The referee and open money: it condemns who misses a limit, is late or acts too early."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from risk_daemon.sim.model import Quote
from risk_daemon.sim.scenario import CombinedLoss, Drawdown
from tests.sim.bench import MNQ, Bench

COMBINED, DRAWDOWN = "daily-combined-loss", "trailing-max-drawdown"
BEFORE_RESET = datetime(2026, 11, 18, 22, 59, 50, tzinfo=UTC)  # 16:59:50 in Chicago


def combined(limit: str = "100.00", **more: str) -> Bench:
    """Two MNQ bought at 20000.25, a tick worth 1.00, 2.48 to open and to leave."""
    amounts = {name: Decimal(value) for name, value in more.items()}
    bench = Bench(daily_combined_loss=CombinedLoss(Decimal(limit), **amounts))
    bench.quote("20000.00")
    bench.fill(2)
    bench.wait(2000)
    return bench


def drawn(trail: str = "intraday-equity", buffer: str = "30") -> Bench:
    """The same position, under a drawdown of 100."""
    limit = Drawdown(Decimal(100), Decimal(50000), Decimal(50000), trail, Decimal(buffer))
    bench = Bench(trailing_max_drawdown=limit)
    bench.quote("20000.00")
    bench.fill(2)
    bench.wait(2000)
    return bench


def falls_to_just_above_the_limit(bench: Bench) -> None:
    # 97 ticks and 2.48: 99.48 with the cost of leaving.
    bench.quote("19976.00")
    bench.wait(300)


def test_a_price_that_takes_the_day_to_its_limit_is_a_breach_until_the_account_is_flat() -> None:
    bench = combined("99.48")
    bench.quote("19976.00")
    bench.wait(3)
    bench.close()
    bench.wait(1500)

    verdict = bench.verdict

    assert verdict.by_rule[COMBINED] == {"breaches": 1, "answered": 1}
    assert verdict.problems == []
    assert verdict.samples["latency_ms"] == [pytest.approx(3)]


def test_a_guard_that_trips_a_cent_before_the_combined_limit_trips_falsely() -> None:
    bench = combined("99.49")
    falls_to_just_above_the_limit(bench)
    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_a_guard_that_forgets_the_cost_of_leaving_misses_the_limit() -> None:
    bench = combined("99.48")
    bench.quote("19976.00")
    bench.wait(1200)

    assert bench.verdict.by_rule[COMBINED] == {"breaches": 1, "answered": 0}
    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_a_guard_that_answers_a_price_after_the_bound_is_late() -> None:
    bench = combined()
    bench.quote("19970.00")
    bench.wait(1100)
    bench.close()
    bench.wait(100)

    assert (bench.verdict.answered, bench.verdict.late, bench.verdict.ok) == (1, 1, False)


def test_a_buffer_is_acted_on_that_much_earlier() -> None:
    bench = combined("119.48", buffer="20.00")
    bench.quote("19976.00")
    bench.wait(3)
    bench.close()
    bench.wait(1500)

    assert bench.verdict.by_rule[COMBINED] == {"breaches": 1, "answered": 1}
    assert bench.verdict.ok


@pytest.mark.parametrize("sign", [1, -1])
def test_a_long_leaves_at_the_bid_and_a_short_at_the_ask(sign: int) -> None:
    bench = Bench(daily_combined_loss=CombinedLoss(Decimal("43.48")))
    bench.quote("20000.00")
    bench.fill(2 * sign)
    bench.wait(2000)
    bench.quote("19990.25" if sign > 0 else "20009.75")
    bench.wait(1500)
    assert bench.verdict.by_rule[COMBINED]["breaches"] == 0

    bench.quote("19990.00" if sign > 0 else "20010.00")
    bench.wait(3)
    bench.close()

    assert bench.verdict.by_rule[COMBINED] == {"breaches": 1, "answered": 1}


def test_a_price_that_only_touched_the_limit_locks_for_the_day_all_the_same() -> None:
    bench = combined()
    bench.quote("19970.00")
    bench.wait(100)
    bench.quote("19990.00")
    bench.wait(1200)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_an_entry_after_the_trip_is_a_further_breach_until_the_reset() -> None:
    bench = Bench(at=BEFORE_RESET, daily_combined_loss=CombinedLoss(Decimal(100)))
    bench.quote("20000.00")
    bench.fill(2)
    bench.quote("19970.00")
    bench.close()
    bench.wait(4000)
    bench.fill(1)
    bench.close()
    assert bench.verdict.by_rule[COMBINED] == {"breaches": 2, "answered": 2}

    bench.wait(8000)
    bench.fill(1)
    bench.wait(1500)

    assert bench.verdict.ok
    assert bench.verdict.by_rule[COMBINED] == {"breaches": 2, "answered": 2}


def test_a_touch_shorter_than_the_way_to_the_daemon_is_neither_missed_nor_false() -> None:
    ignored, acted = combined(), combined()
    for bench in (ignored, acted):
        bench.quote("19970.00")
        bench.wait(20)
        bench.quote("19990.00")
    ignored.wait(3000)
    acted.wait(30)
    acted.close()
    acted.wait(3000)

    assert (ignored.verdict.ok, ignored.verdict.breaches, ignored.verdict.unseen) == (True, 0, 1)
    assert acted.verdict.ok


def test_who_acted_on_a_short_touch_is_held_to_his_lock() -> None:
    bench = combined()
    bench.quote("19970.00")
    bench.wait(20)
    bench.quote("19990.00")
    bench.wait(30)
    bench.close()
    bench.wait(4000)
    bench.fill(1)
    bench.wait(1500)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_a_price_that_was_not_delivered_makes_nobody_late() -> None:
    bench = combined()
    bench.quote("19970.00", deliver=False)
    bench.wait(3000)

    assert bench.verdict.late == 0
    assert "was never visible" in bench.verdict.problems[-1]

    bench.quote("19990.00", deliver=False)
    bench.wait(100)

    assert (bench.verdict.ok, bench.verdict.unseen) == (True, 1)


def test_a_position_closed_as_the_price_arrives_may_be_seen_in_either_order() -> None:
    bench = combined()
    bench.fill(-2, gross="-2.00")
    bench.quote("19970.00")
    bench.wait(200)
    bench.fill(1)
    bench.close()

    assert bench.verdict.counts.false == 0


def test_a_quote_that_one_side_jumps_alone_is_not_believed_at_once() -> None:
    bench = combined()
    quote = bench.market[MNQ]
    wild = type(quote)(Decimal("19900.00"), quote.ask, quote.last)
    bench.referee.quoted("north", MNQ, wild, bench.now)
    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_equity_at_the_floor_and_its_buffer_is_a_breach_and_locks_for_good() -> None:
    bench = drawn()
    bench.quote("19983.25")  # 68.00 and 1.24 to open: 69.24 of 70.00
    bench.wait(1500)
    assert bench.verdict.by_rule[DRAWDOWN]["breaches"] == 0

    bench.quote("19983.00")
    bench.wait(3)
    bench.close()
    bench.wait(4000)
    bench.fill(1)
    bench.close()

    assert bench.verdict.by_rule[DRAWDOWN] == {"breaches": 2, "answered": 2}
    assert bench.verdict.ok


def test_a_peak_raises_the_floor_under_a_winner() -> None:
    bench = drawn()
    bench.quote("20010.00")
    bench.wait(500)
    bench.quote("19999.75")
    bench.wait(1500)
    assert bench.verdict.by_rule[DRAWDOWN]["breaches"] == 0

    bench.quote("19990.00")
    bench.wait(3)
    bench.close()

    assert bench.verdict.by_rule[DRAWDOWN] == {"breaches": 1, "answered": 1}
    assert bench.verdict.ok


def test_a_guard_that_forgets_the_peak_misses_the_drawdown() -> None:
    bench = drawn()
    bench.quote("20010.00")
    bench.wait(500)
    bench.quote("19990.00")
    bench.wait(1500)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_with_the_balance_at_the_end_of_the_day_a_peak_raises_nothing() -> None:
    bench = drawn("eod")
    bench.quote("20010.00")
    bench.wait(500)
    bench.quote("19990.00")
    bench.wait(1500)
    assert bench.verdict.by_rule[DRAWDOWN]["breaches"] == 0

    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_a_guard_that_trips_a_tick_above_the_floor_trips_falsely() -> None:
    bench = drawn()
    bench.quote("19983.25")
    bench.wait(300)
    bench.close()

    assert (bench.verdict.counts.false, bench.verdict.ok) == (1, False)


def test_in_the_last_fifth_only_reductions_are_allowed() -> None:
    bench = drawn(buffer="0")
    bench.quote("19980.00")  # 82 of 100 are gone
    bench.wait(500)
    bench.fill(1)
    bench.wait(3)
    bench.close(1)
    bench.wait(1500)

    assert bench.verdict.by_rule[DRAWDOWN] == {"breaches": 1, "answered": 1}
    assert bench.verdict.ok

    bench.close()

    assert bench.verdict.counts.false == 1


def doubted(bench: Bench) -> Quote:
    """Show a bid that fell more than forty ticks alone, on both books: who would believe it?"""
    alone = Quote(Decimal("19970.00"), Decimal("20000.25"), Decimal("20000.00"))
    bench.referee.moved(MNQ, alone, bench.now)
    bench.referee.quoted("north", MNQ, alone, bench.now)
    assert bench.verdict.breaches == 0
    return alone


def test_a_price_nobody_believes_is_one_when_a_trade_printed_there() -> None:
    bench = combined()
    alone = doubted(bench)
    printed = Quote(alone.bid, alone.ask, Decimal("19970.00"))

    bench.referee.printed("north", MNQ, printed, bench.now)
    bench.wait(1)
    bench.close()

    assert bench.verdict.by_rule[COMBINED] == {"breaches": 1, "answered": 1}


def test_a_trade_on_the_near_side_proves_no_doubted_price() -> None:
    bench = combined()
    alone = doubted(bench)

    bench.referee.printed("north", MNQ, Quote(alone.bid, alone.ask, Decimal("20000.00")), bench.now)

    assert bench.verdict.breaches == 0


def test_a_quote_nobody_of_the_login_follows_any_more_values_nothing() -> None:
    bench = combined()
    assert bench.referee.board.believed("north", MNQ) is not None

    bench.referee.unfollowed("north", MNQ)

    assert bench.referee.board.believed("north", MNQ) is None


def test_or_when_nothing_took_it_back_for_a_quarter_of_a_second() -> None:
    bench = combined()
    doubted(bench)
    bench.wait(249)
    assert bench.verdict.breaches == 0

    bench.wait(3)
    bench.close()

    assert bench.verdict.by_rule[COMBINED] == {"breaches": 1, "answered": 1}

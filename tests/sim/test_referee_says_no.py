"""The referee must be able to say no: one bad daemon per way of being bad, and a good one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from risk_daemon.sim.breach import Sent
from risk_daemon.sim.codes import Action
from risk_daemon.sim.model import Message
from tests.sim.bench import ACCOUNT, MES, MNQ, Bench

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


def _rejected(bench: Bench, order: int) -> Message:
    row = bench.order_row(order, -1, 1, status=5, type=2)
    return Message("order", ACCOUNT, Action.UPDATE, row, order, True)


def test_an_operator_act_asks_for_flat_and_is_timed_from_the_announcement(bench: Bench) -> None:
    bench.fill(2)
    bench.wait(1000)
    bench.referee.announced(None, "flatten-lock", "ann", bench.now)
    bench.wait(7)
    bench.close()
    bench.wait(5000)
    bench.fill(1)
    bench.close()

    verdict = bench.verdict

    assert verdict.ok
    assert verdict.by_rule["kill-switch"] == {"breaches": 2, "answered": 2}
    assert verdict.samples["timer_ms"] == [pytest.approx(7)]


def test_an_ignored_operator_act_is_missed(bench: Bench) -> None:
    bench.fill(2)
    bench.referee.announced(ACCOUNT, "flatten-all", "ann", bench.now)
    bench.wait(1500)

    assert (bench.verdict.late, bench.verdict.ok) == (1, False)


def test_the_grace_of_an_announcement_delays_its_clock(bench: Bench) -> None:
    bench.fill(2)
    bench.referee.announced(ACCOUNT, "flatten-all", "ann", bench.now, grace_ms=2000)
    bench.wait(2900)

    assert bench.verdict.late == 0

    bench.wait(300)

    assert bench.verdict.late == 1


def test_an_unlock_ends_the_act(bench: Bench) -> None:
    bench.referee.announced(ACCOUNT, "flatten-lock", "ann", bench.now)
    bench.referee.announced(ACCOUNT, "unlock", "ann", bench.now)
    bench.wait(2000)
    bench.fill(2)
    bench.wait(2000)

    assert (bench.verdict.breaches, bench.verdict.ok) == (0, True)


def test_an_act_for_another_account_touches_nobody_here(bench: Bench) -> None:
    bench.fill(2)
    bench.referee.announced(ACCOUNT + 1, "flatten-lock", "ann", bench.now)

    assert bench.verdict.breaches == 0


def test_requests_for_unknown_accounts_are_nobodys(bench: Bench) -> None:
    sent = Sent(1, "close", 5, MNQ)
    bench.referee.requested(sent, bench.now)
    bench.referee.answered(sent, 1, None, bench.now)

    assert bench.verdict.ok


def test_it_is_settled_when_nothing_is_open_and_nothing_in_flight(bench: Bench) -> None:
    assert bench.referee.is_settled()

    bench.fill(6)

    assert not bench.referee.is_settled()

    order = bench.close(1, fills=False)
    bench.fill(-1, gross="0", order=order, deliver=False)

    assert not bench.referee.is_settled()


def test_the_verdict_as_json_holds_every_field_people_were_promised(bench: Bench) -> None:
    bench.fill(6)
    bench.close(1)

    told = bench.verdict.json()

    assert set(told) >= {
        "ok", "seed", "events", "breaches", "breaches_in_faults", "answered", "late", "unseen",
        "reversed", "reversed_by_race", "increased", "duplicate", "false", "orphan_orders",
        "by_rule", "by_account", "latency_ms", "after_cancel_ms", "timer_ms", "samples", "problems",
    }  # fmt: skip
    assert told["by_account"] == {str(ACCOUNT): {"breaches": 1, "answered": 1}}


def test_a_modification_is_no_offence(bench: Bench) -> None:
    bench.referee.requested(Sent(1, "modify", ACCOUNT, order=5), bench.now)

    assert bench.verdict.ok


def test_an_answer_to_a_request_nobody_sent_is_ignored(bench: Bench) -> None:
    bench.referee.answered(Sent(1, "close", ACCOUNT, MNQ), 0, 5, bench.now)

    assert bench.referee.is_settled()


def test_cancelling_an_order_that_is_gone_is_fine_soon_after_a_close_and_false_later(
    bench: Bench,
) -> None:
    bench.fill(6)
    bench.close(1)
    bench.wait(5000)
    bench.cancel(12345, works=False)
    assert bench.verdict.counts.false == 0

    bench.wait(6000)
    bench.cancel(12345, works=False)

    assert bench.verdict.counts.false == 1


def test_a_read_settles_a_close_whose_messages_were_lost(bench: Bench) -> None:
    bench.fill(6)
    order = bench.close(1, fills=False)
    bench.fill(-1, gross="0", order=order, deliver=False)
    bench.referee.read("order", ACCOUNT, [], bench.now)
    assert not bench.referee.is_settled()

    bench.referee.read("position", ACCOUNT, [], bench.now)

    assert bench.referee.is_settled()


def test_a_close_in_pieces_is_settled_by_its_last_one(bench: Bench) -> None:
    bench.fill(9)
    order = bench.close(4, fills=False)
    bench.fill(-1, gross="0", order=order, is_last=False)
    assert not bench.referee.is_settled()
    bench.fill(-3, gross="0", order=order)

    assert bench.referee.is_settled()
    assert bench.verdict.ok


def test_trades_alone_settle_a_close_and_pieces_of_trades_do_not(bench: Bench) -> None:
    bench.fill(9)
    order = bench.close(4, fills=False)
    first = bench.fill(-1, gross="0", order=order, is_last=False, deliver=False)
    second = bench.fill(-3, gross="0", order=order, deliver=False)
    bench.deliver([second[1]])
    assert not bench.referee.is_settled()

    bench.deliver([first[1]])

    assert bench.referee.is_settled()


def test_a_voided_close_is_somebody_else_s_doing(bench: Bench) -> None:
    bench.fill(6)
    order = bench.close(1, fills=False)
    _, trade, _ = bench.fill(-1, gross="0", order=order)
    voided = Message("trade", ACCOUNT, Action.UPDATE, {**trade.row, "voided": True}, order)
    bench.happen([voided])

    assert bench.verdict.counts.reversed == 0


def test_orders_the_trader_leaves_behind_himself_are_no_orphans(bench: Bench) -> None:
    bench.fill(6)
    bench.rest(-1, 5, type=4)
    bench.close(1)
    bench.wait(3000)
    bench.fill(-5, gross="0")

    assert bench.verdict.orphan_orders == 0
    assert bench.verdict.ok

"""The referee on operator acts, the settling of closes, and the verdict itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from risk_daemon.sim.breach import Sent
from risk_daemon.sim.codes import Action
from risk_daemon.sim.model import Message
from tests.sim.bench import ACCOUNT, MNQ, Bench

BEFORE_RESET = datetime(2026, 11, 18, 22, 59, 50, tzinfo=UTC)  # 16:59:50 in Chicago


@pytest.fixture
def bench() -> Bench:
    return Bench()


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

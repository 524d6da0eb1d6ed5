"""The board of faults, fault windows, the outbox, and what faults do to the exchange."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from risk_daemon.programs.simgate import DEMO
from risk_daemon.sim.codes import Action, Side
from risk_daemon.sim.config import read
from risk_daemon.sim.contracts import BY_ROOT
from risk_daemon.sim.faults import FaultBoard, FaultRefused, FaultWish
from risk_daemon.sim.model import Message, Ticket
from risk_daemon.sim.moment import NS_PER_MS, NS_PER_S
from risk_daemon.sim.outbox import Outbox
from risk_daemon.sim.profile import CALM
from risk_daemon.sim.profile import DEMO as UNTIDY
from risk_daemon.sim.windows import Windows
from risk_daemon.sim.world import World
from tests.sim.toy_guard import START, live

ONE = 9000000101
S = NS_PER_S


def message(kind: str = "order", account: int = ONE) -> Message:
    return Message(kind, account, Action.UPDATE, {"id": 1})


@pytest.fixture
def board() -> FaultBoard:
    return FaultBoard()


def test_a_lasting_fault_is_on_until_its_seconds_are_over(board: FaultBoard) -> None:
    fault = board.start(FaultWish("freeze", "north", seconds=2), 0)

    assert board.find("freeze", S, "north") is fault
    assert board.find("freeze", S) is fault
    assert board.find("freeze", S, "south") is None
    assert board.find("rate_limit", S, "north") is None
    assert board.find("freeze", 2 * S, "north") is None
    assert board.take_ended(S) == []
    assert board.take_ended(2 * S) == [fault]
    assert board.take_ended(2 * S) == []


def test_a_counted_fault_is_over_when_it_is_used_up_or_nobody_came(board: FaultBoard) -> None:
    board.start(FaultWish("lost_answer", times=2), 0)

    assert board.use("lost_answer", 1, "north", ONE)
    assert board.use("lost_answer", 1, "south", None)
    assert board.use("lost_answer", 1, "north", ONE) is None
    assert len(board.take_ended(1)) == 1

    board.start(FaultWish("lost_answer"), 0)

    assert board.find("lost_answer", 9 * S) is not None
    assert board.find("lost_answer", 10 * S) is None


def test_a_fault_may_be_meant_for_one_account(board: FaultBoard) -> None:
    board.start(FaultWish("withhold_trades", account=ONE, seconds=1), 0)

    assert board.find("withhold_trades", 0, "north", ONE)
    assert board.find("withhold_trades", 0, "north", ONE + 1) is None
    assert board.find("withhold_trades", 0, "north") is not None


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (FaultWish("comet"), "kind is 'comet'"),
        (FaultWish("freeze"), "freeze needs seconds above 0"),
        (FaultWish("freeze", seconds=9999), "allowed is 0 to 3600"),
    ],
)
def test_what_is_no_fault_is_refused(board: FaultBoard, wish: FaultWish, words: str) -> None:
    with pytest.raises(FaultRefused, match=words):
        board.start(wish, 0)


def test_a_window_of_a_fault_ends_half_a_second_after_the_login_is_whole_again() -> None:
    windows = Windows()
    windows.open_for_fault(1, "north", "freeze", 0, excuses=False)
    windows.tick(S, {"north": True, "south": False})
    windows.fault_over(1, 2 * S)
    assert windows.tick(2 * S, {"north": False}) == []
    assert windows.tick(3 * S, {"north": True}) == []
    assert windows.tick(3 * S + 1, {"north": False}) == []
    assert windows.tick(4 * S, {"north": True}) == []
    assert windows.is_open("north", 4 * S)
    assert not windows.is_open("south", 4 * S)
    assert not windows.excuses("north", S)

    (closed,) = windows.tick(4 * S + 500 * NS_PER_MS, {"north": True, "south": False})

    assert closed.why == "freeze"
    assert not windows.is_open("north", 5 * S)
    assert windows.tick(9 * S, {}) == []


def test_a_window_ends_five_seconds_after_its_fault_at_the_latest() -> None:
    windows = Windows()
    windows.open_for_fault(1, None, "hub_reset", 0, excuses=True)
    assert windows.excuses("south", S)
    windows.fault_over(1, S)
    windows.fault_over(1, 3 * S)
    windows.fault_over(0, 3 * S)

    assert not windows.excuses("south", S)
    assert windows.tick(5 * S, {"south": False}) == []
    assert len(windows.tick(6 * S, {"south": False})) == 1


def test_a_declared_window_lasts_as_said_but_excuses_for_five_seconds_at_most() -> None:
    windows = Windows()
    windows.declare("north", 8, "kill -9", 0)

    assert windows.excuses("north", 4 * S)
    assert not windows.excuses("north", 5 * S)
    assert windows.is_open("north", 7 * S)
    assert not windows.is_open("north", 8 * S)


def box(board: FaultBoard) -> Outbox:
    return Outbox(Random(1), UNTIDY, board)


def test_the_outbox_keeps_the_order_of_a_login_and_tears_it_apart(board: FaultBoard) -> None:
    outbox = box(board)
    kinds = ["order", "trade", "position", "account"] * 20
    outbox.profile = CALM
    outbox.post("north", [message(kind) for kind in kinds], 0)
    assert outbox.next_due_ns() == 0
    assert [m.kind for _, m in outbox.take_due(0)] == kinds

    outbox.profile = UNTIDY
    outbox.post("north", [message(kind) for kind in kinds], 0)

    assert len(outbox.take_due(0)) < len(kinds)
    rest = outbox.take_due(S)
    assert rest
    assert outbox.next_due_ns() is None


def test_about_one_message_in_a_hundred_comes_twice(board: FaultBoard) -> None:
    outbox = box(board)
    outbox.post("north", [message() for _ in range(2000)], 0)

    assert 2005 <= len(outbox.take_due(100 * S)) <= 2045


def test_a_withheld_message_comes_late_or_never(board: FaultBoard) -> None:
    outbox = box(board)
    outbox.profile = CALM
    board.start(FaultWish("withhold_trades", "north", seconds=1), 0)
    board.start(FaultWish("withhold_positions", seconds=1, options={"deliver": "never"}), 0)
    outbox.post("north", map(message, ("order", "trade", "position")), 0)
    outbox.post("south", [message("trade")], 0)

    assert [(login, m.kind) for login, m in outbox.take_due(0)] == [
        ("north", "order"),
        ("south", "trade"),
    ]
    assert [m.kind for _, m in outbox.take_due(S)] == ["trade"]


def test_reordered_messages_overtake_each_other(board: FaultBoard) -> None:
    outbox = box(board)
    board.start(FaultWish("reorder", seconds=1), 0)
    numbered = [Message("order", ONE, Action.UPDATE, {"id": n}) for n in range(30)]
    outbox.post("north", numbered, 0)
    ids = [m.row["id"] for _, m in outbox.take_due(S)]

    assert ids != sorted(ids, key=str)
    assert sorted(map(int, map(str, ids))) == list(range(30))


@pytest.fixture
def world(scenario: Path) -> World:
    return World(read(scenario), START)


def test_a_fault_for_an_account_is_a_fault_of_its_login(world: World) -> None:
    fault = world.start_fault(FaultWish("reject_closes", account=ONE, times=2), START)

    assert fault.login == "north"
    assert world.venue.reject_closes == {ONE: 2}
    assert world.referee.in_fault(ONE, START.ns)
    assert not world.referee.in_fault(9000000201, START.ns)


def test_the_right_to_trade_flips_back_unless_told_not_to(world: World) -> None:
    world.start_fault(FaultWish("can_trade", account=ONE, seconds=1), START)
    assert not world.venue.accounts[ONE].can_trade
    world.step(START.after(1.1))
    assert world.venue.accounts[ONE].can_trade

    options = {"flip_back": False, "value": False}
    world.start_fault(FaultWish("can_trade", account=ONE, options=options), START)
    world.step(START.after(2))

    assert not world.venue.accounts[ONE].can_trade


def test_a_fault_for_nobody_s_account_does_nothing(world: World) -> None:
    world.start_fault(FaultWish("void_trade", account=5), START)
    world.start_fault(FaultWish("void_trade", account=ONE, options={"trade": 5}), START)
    world.start_fault(FaultWish("account_vanish", seconds=1), START)
    world.step(START.after(2))

    assert world.venue.trades == []


def test_a_minute_of_doubled_shuffled_and_withheld_messages_ends_well_for_an_honest_daemon() -> (
    None
):
    faults = {
        5.0: FaultWish("duplicates", seconds=5),
        12.0: FaultWish("reorder", seconds=6),
        25.0: FaultWish("withhold_trades", seconds=2),
        30.0: FaultWish("withhold_positions", seconds=2),
        38.0: FaultWish("reject_closes", account=ONE, times=1),
        50.0: FaultWish("void_trade", account=9000000102),
    }
    world, _ = live(read(DEMO), 60, kills={20.0: 9000000104, 35.0: 9000000103}, faults=faults)
    verdict = world.referee.verdict()

    assert verdict.problems == []
    assert verdict.breaches_in_faults > 5


def test_an_act_waits_until_no_trader_s_order_is_on_its_way(scenario: Path) -> None:
    world = World(replace(read(scenario), profile="slow"), START)
    world.trade(ONE, Ticket(BY_ROOT["MNQ"].id, Side.BUY, 2), START)

    assert not world.announce(None, "flatten-lock", "ann", START)
    assert world.announce(9000000201, "flatten-lock", "ann", START)
    world.step(START.after(1))

    assert world.announce(None, "flatten-lock", "ann", START.after(1))
    assert [b.rule for b in world.referee.cases[ONE].open_breaches()] == ["kill-switch"]

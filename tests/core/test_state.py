"""The state of an account as it begins, as it is named, and what small facts do to it."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from risk_daemon.core import account as fold
from risk_daemon.core import decision, events, executor, lockout, marks, position, quiet, world
from risk_daemon.core.account import Account, is_closing, is_increasing, remaining
from risk_daemon.core.decision import CLOCK, Clear
from risk_daemon.core.events import LockEnded, Pulse
from risk_daemon.core.instrument import UNIT, parse, show
from risk_daemon.core.world import seal, state_hash
from tests.build import (
    ACCOUNT,
    MS,
    SECOND,
    WEDNESDAY_RESET,
    WEDNESDAY_TEN,
    Stream,
    contract,
    contract_seen,
    loud_defaults,
    order,
    policy,
    reading,
    rule,
    trade,
)
from tests.build import (
    position as held,
)

MNQ = contract("MNQ")


# --- what is left out ------------------------------------------------------------


def test_a_fact_that_leaves_something_out_says_nothing_of_it_but_that_an_account_is_visible() -> (
    None
):
    assert loud_defaults(events) == {"AccountSeen.visible": True}


def test_a_new_account_may_trade_and_its_feed_is_blind_and_nothing_else_is_known() -> None:
    assert loud_defaults(fold) == {"Account.can_trade": True, "Account.feed": "blind"}
    for module in (position, marks, world, lockout, executor):
        assert loud_defaults(module) == {}


def test_a_finding_demands_nothing_it_does_not_name() -> None:
    assert loud_defaults(decision) == {"Clear.places": 2}
    assert loud_defaults(quiet) == {"Span.bid": quiet.WIDEST, "Span.ask": quiet.WIDEST}


# --- what is remembered of ended orders --------------------------------------------


@pytest.mark.parametrize("cut", [0, 300, fold.ENDED_MAX, 600], ids=lambda cut: f"cut at {cut}")
def test_the_orders_that_ended_last_are_remembered_whenever_the_state_is_read_back(
    cut: int,
) -> None:
    account, when = Account(account=ACCOUNT), {}
    for number in range(700):
        # Numbers fall and rise, and three orders at a time end in one instant.
        mixed, at = number * 389 % 701, WEDNESDAY_TEN + number // 3
        when[mixed] = at
        fold.fold_order(account, order(mixed, 1, 1, status=fold.CANCELLED), at)
        if number == cut:
            account = world.decode_account(world.encode_account(account))

    kept = sorted(when, key=lambda one: (when[one], one))[-fold.ENDED_MAX :]
    assert sorted(account.ended) == sorted(kept)
    assert account.ended == {number: when[number] for number in kept}


# --- names of states and decisions -------------------------------------------------


def test_a_state_is_named_by_thirty_two_characters_that_change_with_it() -> None:
    one, other = Account(account=1), Account(account=1, epoch=1)

    assert len(state_hash(one)) == 32
    assert state_hash(one) != state_hash(other)
    assert state_hash(one) == state_hash(Account(account=1))


def test_decisions_are_counted_and_chained_in_their_order() -> None:
    facts = [LockEnded(account=1, lock="a", why="over"), LockEnded(account=1, lock="b", why="o")]
    account = Account(account=1)

    assert seal(account, list(facts)) == facts

    digest = b""
    for fact in facts:
        raw = b"LockEnded" + msgspec.msgpack.Encoder(order="deterministic").encode(fact)
        digest = hashlib.blake2b(digest + raw, digest_size=16).digest()
    assert (account.decided, account.digest) == (2, digest)


def test_a_figure_is_shown_with_cents_and_an_instant_as_a_time() -> None:
    assert Clear(figure=5 * UNIT, bound=-7 * UNIT).observed == "5.00"
    assert Clear(figure=5 * UNIT, bound=-7 * UNIT).limit == "-7.00"
    at = Clear(figure=WEDNESDAY_TEN, places=CLOCK)
    assert (at.observed, at.limit) == ("Wed 18 Nov 10:00:00 Chicago", "")


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_thousand_milliards_can_be_read_and_a_unit_more_can_not(sign: str) -> None:
    assert parse(f"{sign}1000000000000") == int(f"{sign}1") * 10**21
    with pytest.raises(ValueError, match="beyond"):
        parse(f"{sign}1000000000000.000000001")


def test_what_is_shown_keeps_its_sign_and_its_last_unit() -> None:
    assert [show(n) for n in (0, 1, -1, UNIT, -UNIT // 4)] == [
        "0.00",
        "0.000000001",
        "-0.000000001",
        "1.00",
        "-0.25",
    ]
    assert [show(n, 0) for n in (0, UNIT // 2, -3 * UNIT)] == ["0", "0.5", "-3"]


def test_the_brokers_codes_are_those_of_its_page() -> None:
    assert {
        "working": fold.WORKING,
        "filled": fold.FILLED,
        "cancelled": fold.CANCELLED,
        "expired": fold.EXPIRED,
        "rejected": fold.REJECTED,
        "pending": fold.PENDING,
        "pending cancellation": fold.PENDING_CANCELLATION,
        "suspended": fold.SUSPENDED,
    } == {
        "working": 1,
        "filled": 2,
        "cancelled": 3,
        "expired": 4,
        "rejected": 5,
        "pending": 6,
        "pending cancellation": 7,
        "suspended": 8,
    }
    types = (fold.LIMIT, fold.MARKET, fold.STOP_LIMIT, fold.STOP, fold.TRAILING_STOP)
    assert types == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("status", [2, 3, 4, 5])
def test_an_order_in_an_ended_state_is_no_longer_working(status: int) -> None:
    stream = Stream().open()
    stream.feed(order(11, 1, 1))

    stream.feed(order(11, 1, 1, status=status))

    assert fold.working(stream.account) == []
    assert stream.account.ended == {11: stream.at}


# --- orders -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "size", "filled", "quantity", "increasing", "closing"),
    [
        (1, 1, 0, 0, True, False),
        (-1, 1, 0, 0, True, False),
        (1, 1, 0, 5, True, False),
        (-1, 1, 0, -5, True, False),
        (-1, 5, 0, 5, False, True),
        (-1, 6, 0, 5, True, True),
        (-1, 6, 1, 5, False, True),
        (1, 5, 0, -5, False, True),
        (1, 6, 0, -5, True, True),
    ],
)
def test_an_order_increases_or_closes_by_its_side_and_what_it_may_still_fill(
    side: int, size: int, filled: int, quantity: int, *, increasing: bool, closing: bool
) -> None:
    found = order(11, side, size, filled=filled)

    assert is_increasing(found, quantity) is increasing
    assert is_closing(found, quantity) is closing
    assert remaining(found) == size - filled


def test_an_order_that_filled_beyond_its_size_has_nothing_left() -> None:
    assert remaining(order(11, 1, 2, filled=3)) == 0


def test_an_order_without_an_update_time_is_taken_as_it_comes_and_an_older_one_is_not() -> None:
    stream = Stream().open()

    def shown(size: int, updated: int | None) -> int:
        stream.feed(order(11, 1, size, updated=updated))
        return stream.account.orders[11].size

    assert [shown(2, None), shown(3, None)] == [2, 3]
    assert [shown(4, 10), shown(5, 10), shown(6, 9), shown(7, 11)] == [4, 5, 5, 7]
    assert shown(8, None) == 7


def test_a_fill_counts_more_than_the_time_of_its_message() -> None:
    stream = Stream().open()
    stream.feed(order(11, 1, 5, filled=2, updated=10))

    stream.feed(order(11, 1, 5, filled=3, updated=9))
    assert stream.account.orders[11].filled == 3
    stream.feed(order(11, 1, 5, filled=1, updated=99))
    assert stream.account.orders[11].filled == 3


def test_the_latest_five_hundred_and_twelve_ended_orders_are_remembered() -> None:
    stream = Stream().open()
    for number in range(1, 515):
        stream.feed(order(number, 1, 1, status=3))

    assert set(stream.account.ended) == set(range(3, 515))
    assert stream.account.ended[514] == stream.at


def test_of_orders_that_ended_together_the_lowest_number_is_forgotten_first() -> None:
    account = Account(account=ACCOUNT)
    for number in range(600, 87, -1):
        fold.fold_order(account, order(number, 1, 1, status=3), at=5)

    assert set(account.ended) == set(range(89, 601))


# --- positions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trades", "shown", "exposure", "enforceable"),
    [
        (2, 5, 5, 2),
        (5, 2, 5, 2),
        (-2, -5, -5, -2),
        (-5, -2, -5, -2),
        (2, -2, 2, 0),
        (-2, 2, -2, 0),
        (2, -3, -3, 0),
        (0, 3, 3, 0),
        (3, 0, 3, 0),
        (0, 0, 0, 0),
        (1, 1, 1, 1),
    ],
)
def test_limits_hold_the_larger_view_and_actions_the_smaller_that_both_agree_on(
    trades: int, shown: int, exposure: int, enforceable: int
) -> None:
    found = position.Holding(contract=MNQ, by_trades=trades, by_position=shown)

    assert (found.exposure, found.enforceable) == (exposure, enforceable)
    assert found.agreed == (trades == shown)
    assert found.is_flat == (trades == shown == 0)


def test_a_round_trip_counts_an_epoch_and_keeps_when_it_was_opened() -> None:
    stream = Stream().open()
    found = stream.account.holding(MNQ)
    steps = []
    for number, (side, size) in enumerate([(1, 2), (1, 1), (-1, 1), (-1, 2), (-1, 2), (1, 5)]):
        stream.feed(trade(number + 1, side, size, traded_at=WEDNESDAY_TEN + number * SECOND))
        steps.append((found.by_trades, found.epoch, (found.opened_at - WEDNESDAY_TEN) // SECOND))

    assert steps == [(2, 0, 0), (3, 0, 0), (2, 0, 0), (0, 1, 3), (-2, 1, 4), (3, 2, 5)]
    assert found.cost == found.entry == 3 * 21_000 * UNIT


def test_what_is_left_of_a_position_keeps_its_share_of_cost_and_of_entry() -> None:
    stream = Stream().open()
    stream.feed(trade(1, 1, 3, "21000"), trade(2, -1, 2, "21050"))

    found = stream.account.holding(MNQ)

    assert found.cost == found.entry == 21_000 * UNIT


def test_a_read_that_shows_another_quantity_of_the_same_side_begins_no_epoch() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2)
    found = stream.account.holding(MNQ)

    for quantity, epoch in ((3, 0), (0, 1), (2, 2), (-1, 3)):
        stream.feed(reading(held(quantity, average="20500"), began_at=stream.at))
        assert (found.by_trades, found.by_position, found.epoch) == (quantity, quantity, epoch)
        assert found.cost == found.entry == quantity * 20_500 * UNIT
    assert found.trades == []


def test_a_position_counts_as_increased_by_the_record_that_raised_it() -> None:
    stream = Stream().open()
    found = stream.account.holding(MNQ)
    stream.feed(trade(1, 1, 2))
    raised = stream.seq
    assert found.last_increase == raised

    stream.feed(held(2), trade(2, -1, 1), held(1))
    assert found.last_increase == raised
    stream.feed(held(4))
    assert found.last_increase == stream.seq
    stream.feed(reading(held(5), began_at=stream.at))
    assert found.last_increase == stream.seq


def test_the_version_of_a_contract_only_rises() -> None:
    stream = Stream().open()
    found = stream.account.holding(MNQ)

    versions = []
    for fact in (
        held(2, version=7),
        held(2, version=5),
        trade(1, 1, 2, version=9),
        reading(held(2, version=8), began_at=stream.at),
        reading(held(2, version=12), began_at=stream.at + MS),
        reading(began_at=stream.at + 2 * MS),
        order(11, -1, 2, version=13),
        order(11, -1, 2, version=13, status=3),
        order(11, -1, 2, version=14),
        order(12, 1, 2, version=6),
    ):
        stream.feed(fact)
        versions.append(found.version)

    assert versions == [7, 7, 9, 9, 12, 12, 13, 13, 14, 14]


def test_views_that_differ_are_known_to_since_the_first_moment_until_they_agree() -> None:
    stream = Stream().open()
    found = stream.account.holding(MNQ)
    stream.feed(held(2))
    first = stream.at

    stream.feed(held(3))
    assert (found.differs_since, found.lacks_trade) == (first, True)
    stream.feed(trade(1, 1, 3))
    assert (found.differs_since, found.lacks_trade) == (0, False)


# --- money -----------------------------------------------------------------------------


def test_a_fill_moves_the_balance_by_its_profit_less_its_costs_and_its_void_moves_it_back() -> None:
    stream = Stream().open()
    fill = trade(1, -1, 2, pnl=100 * UNIT, fees=2 * UNIT, commissions=UNIT)

    stream.feed(fill)
    assert stream.account.ledger == 50_097 * UNIT
    assert (stream.account.realized_net, stream.account.realized_gross) == (97 * UNIT, 100 * UNIT)

    stream.feed(msgspec.structs.replace(fill, voided=True))
    assert stream.account.ledger == 50_000 * UNIT
    assert (stream.account.realized_net, stream.account.realized_gross) == (0, 0)
    assert fold.cash(msgspec.structs.replace(fill, voided=True)) == 0


def test_a_balance_differs_since_the_row_that_first_showed_it_and_no_longer_than_it_does() -> None:
    stream = Stream().open()
    row = events.AccountSeen(
        account=ACCOUNT, login="north", name="N", balance=50_097 * UNIT, can_trade=True
    )
    stream.feed(row)
    first = stream.at
    stream.feed(row)
    assert stream.account.differs_since == first

    stream.feed(trade(1, -1, 2, pnl=97 * UNIT))
    assert stream.account.differs_since == 0


@pytest.mark.parametrize(("apart", "differs"), [(UNIT // 100, False), (UNIT // 100 + 1, True)])
def test_a_fill_explains_a_balance_to_the_cent(apart: int, *, differs: bool) -> None:
    for sign in (1, -1):
        stream = Stream().open()
        stream.feed(
            events.AccountSeen(
                account=ACCOUNT,
                login="north",
                name="N",
                balance=50_097 * UNIT + sign * apart,
                can_trade=True,
            )
        )
        since = stream.at

        stream.feed(trade(1, -1, 2, pnl=97 * UNIT))

        assert stream.account.differs_since == (since if differs else 0)


@pytest.mark.parametrize(("apart", "follows"), [(UNIT // 200, False), (UNIT // 200 + 1, True)])
def test_our_balance_follows_the_brokers_where_it_is_more_than_half_a_cent_away(
    apart: int, *, follows: bool
) -> None:
    for sign in (1, -1):
        stream = Stream().open()
        shown = 50_000 * UNIT + sign * apart
        stream.feed(
            events.AccountSeen(
                account=ACCOUNT, login="north", name="N", balance=shown, can_trade=True
            )
        )

        assert stream.account.ledger == (shown if follows else 50_000 * UNIT)
        assert stream.account.differs_since == 0


def test_before_the_first_read_no_balance_differs() -> None:
    stream = Stream()
    stream.feed(
        events.AccountSeen(account=ACCOUNT, login="north", name="N", balance=7, can_trade=True)
    )

    assert (stream.account.ledger, stream.account.differs_since) == (None, 0)
    assert (stream.account.login, stream.account.name) == ("north", "N")


def test_what_leaving_costs_is_a_fill_of_fees_divided_by_its_size() -> None:
    stream = Stream().open()

    stream.feed(trade(1, 1, 4, fees=3 * UNIT, commissions=UNIT, traded_at=WEDNESDAY_TEN))
    fee = stream.account.exit_fees["MNQ"]
    assert (fee.per_contract, fee.trade, fee.traded_at) == (UNIT, 1, WEDNESDAY_TEN)

    stream.feed(trade(2, 1, 1, fees=9 * UNIT, traded_at=WEDNESDAY_TEN - 1))
    assert stream.account.exit_fees["MNQ"] == fee
    stream.feed(trade(3, 1, 1, fees=9 * UNIT, traded_at=WEDNESDAY_TEN))
    assert stream.account.exit_fees["MNQ"].per_contract == 9 * UNIT
    stream.feed(trade(1, 1, 4, fees=3 * UNIT, voided=True, traded_at=WEDNESDAY_TEN))
    assert stream.account.exit_fees["MNQ"].trade == 3


@pytest.mark.parametrize(
    ("bid", "ask", "last", "price"),
    [(None, None, None, None), (4, None, None, None), (None, 4, None, None), (4, 7, None, 5)],
)
def test_a_settlement_needs_a_last_price_or_both_sides(
    bid: int | None, ask: int | None, last: int | None, price: int | None
) -> None:
    mark = events.MarkChanged(contract=MNQ, bid=bid, ask=ask, last=last)

    assert fold.settlement(mark) == price


def test_open_profit_adds_up_over_contracts_and_those_that_are_flat_need_no_mark() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2)
    stream.fill(2, -1, 1, "ES", price="6000")
    stream.fill(3, 1, 1, "CL", price="60")
    stream.fill(4, -1, 1, "CL", price="60")
    stream.mark("MNQ", "21010", "21010.25")
    stream.mark("ES", "6009.75", "6010")
    state = stream.engine.world

    assert fold.open_pnl(stream.account, state.marks, state.instruments) == -460 * UNIT
    assert fold.equity(stream.account, state.marks, state.instruments) == 49_540 * UNIT


def test_what_a_read_mended_is_said_in_words() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2)

    found = fold.fold_reconciled(
        stream.account,
        reading(held(3), began_at=stream.at),
        stream.engine.world.instruments,
        stream.seq,
        stream.at,
    )

    assert found == [f"{MNQ}: the broker shows 3, we had 2 by trades and 2 by positions"]


def test_an_adjustment_is_said_with_its_amount() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(reading(began_at=stream.at, balance=49_000 * UNIT))
    first = stream.account.differs_since
    stream.feed(Pulse(), after=2 * SECOND)

    found = fold.fold_reconciled(
        stream.account,
        reading(began_at=first + SECOND, balance=49_000 * UNIT),
        {},
        stream.seq,
        stream.at,
    )

    assert found == ["the balance moved by -1000.00 without a trade: counted as an adjustment"]
    assert (stream.account.ledger, stream.account.differs_since) == (49_000 * UNIT, 0)
    assert stream.account.read_began == first + SECOND


def test_a_read_says_when_the_platform_stopped_the_account() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(reading(began_at=stream.at, can_trade=False))
    assert (stream.account.can_trade, stream.account.can_trade_since) == (False, stream.at)

    stopped_at = stream.at
    stream.feed(reading(began_at=stream.at, can_trade=False), after=5 * MS)
    assert stream.account.can_trade_since == stopped_at


def test_the_first_read_of_an_account_mends_nothing() -> None:
    stream = Stream()
    stream.feed(contract_seen("MNQ"), policy())

    found = fold.fold_reconciled(stream.account, reading(held(3)), {}, stream.seq, stream.at)

    assert found == []
    assert stream.account.holding(MNQ).by_trades == 3


def test_a_balance_that_came_back_by_itself_is_no_adjustment() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(reading(began_at=stream.at, balance=49_000 * UNIT))
    stream.feed(Pulse(), after=2 * SECOND)

    found = fold.fold_reconciled(
        stream.account, reading(began_at=stream.at), {}, stream.seq, stream.at
    )

    assert found == []
    assert stream.account.differs_since == 0


def test_what_was_taken_back_counts_nothing_however_often_the_rest_is_counted_again() -> None:
    stream = Stream().open()
    fills = [trade(n, 1, 1, fees=n * UNIT, pnl=-UNIT) for n in (1, 2, 3)]
    stream.feed(*fills)
    for fill in fills[:2]:
        stream.feed(msgspec.structs.replace(fill, voided=True))
    stream.feed(msgspec.structs.replace(fills[2], fees=9 * UNIT))

    assert stream.account.realized_net == -10 * UNIT
    assert stream.account.realized_gross == -UNIT
    assert stream.account.holding(MNQ).by_trades == 1


def test_what_was_taken_back_from_before_a_read_counts_nothing_either() -> None:
    stream = Stream().open()
    fills = [trade(n, 1, 1, fees=n * UNIT, pnl=-UNIT) for n in (1, 2, 3)]
    stream.feed(*fills, reading(held(3), began_at=stream.at))
    for fill in fills[:2]:
        stream.feed(msgspec.structs.replace(fill, voided=True))
    stream.feed(trade(4, 1, 1, fees=UNIT), trade(4, 1, 1, fees=2 * UNIT))

    assert stream.account.realized_net == -6 * UNIT
    assert stream.account.realized_gross == -UNIT
    assert stream.account.holding(MNQ).by_trades == 4


def test_what_yesterdays_fills_turn_out_to_have_cost_is_no_loss_of_today() -> None:
    stream = Stream().open()
    fill = trade(1, 1, 1, fees=UNIT)
    stream.feed(fill, held(1))
    stream.feed(Pulse(), after=WEDNESDAY_RESET - stream.at)
    assert stream.account.closing == 49_999 * UNIT

    stream.feed(msgspec.structs.replace(fill, commissions=UNIT))

    assert (stream.account.realized_net, stream.account.realized_gross) == (0, 0)
    assert (stream.account.ledger, stream.account.closing) == (49_998 * UNIT, 49_998 * UNIT)


def test_a_fill_that_is_shown_twice_before_its_position_lacks_nothing() -> None:
    stream = Stream().open(rule("kill-switch"))

    stream.feed(trade(1, 1, 1, version=1), trade(1, 1, 1, version=2))

    assert stream.account.pnl_is_known
    assert stream.account.holding(MNQ).version == 2

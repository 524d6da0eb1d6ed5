"""The engine: unknown is not passed, no change of limits closes by itself, replay is exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.core.account import Account
from risk_daemon.core.decision import ANY_PRICE, Clear, Finding, Quiet, Undecided
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    AccountMissing,
    AccountSeen,
    AlarmRaised,
    BreachFound,
    Entry,
    Fact,
    FeedChanged,
    HashTaken,
    LockEnded,
    LockPlaced,
    MarkChanged,
    OperatorActed,
    PrintSeen,
    Probed,
    Pulse,
    QuoteAged,
    RecordQuarantined,
    SettingsAdopted,
    Unknown,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import (
    Aspect,
    World,
    decode_account,
    decode_surroundings,
    encode_account,
    encode_surroundings,
    state_hash,
)
from risk_daemon.rules import CATALOG
from tests.build import (
    ACCOUNT,
    LOGIN,
    MS,
    SECOND,
    WEDNESDAY_RESET,
    Stream,
    contract,
    contract_seen,
    goals,
    intents,
    lease,
    of_kind,
    order,
    policy,
    position,
    reading,
    rule,
    trade,
)

LIMIT = rule("max-contracts", limit=1)
LOSS = rule("daily-realized-loss", limit="500")
BUTTON = rule("kill-switch")


# --- unknown is not passed ---------------------------------------------------


class Odd:
    """A rule that does what the test says."""

    name = "odd"
    priority = 50
    reads: frozenset[Aspect] = frozenset()

    def __init__(self, params: Mapping[str, object]) -> None:
        self.does = params["does"]

    def check(self, world: World, account: Account) -> Finding:
        del world, account
        if self.does == "raise":
            raise KeyError("figure")
        return Undecided(why="a figure is missing") if self.does == "wonder" else Clear()

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        if self.does == "stumble":
            raise KeyError("figure")
        del world, account
        return ANY_PRICE


def odd(does: str) -> Stream:
    stream = Stream({**CATALOG, "odd": Odd})
    return stream.open(rule("odd", does=does), LIMIT)


@pytest.mark.parametrize("does", ["raise", "wonder"])
def test_a_rule_that_cannot_tell_alarms_within_a_second_and_the_others_go_on(does: str) -> None:
    stream = odd(does)

    outputs = stream.pulse(SECOND)
    alarms = of_kind(outputs, AlarmRaised)
    stream.fill(1, 1, 2)

    assert any("figure" in alarm.text for alarm in alarms)
    assert [goal.act for goal in goals(stream.outputs)] == ["reduce"]


def test_unknown_for_fifteen_seconds_with_exposure_is_reduce_only_until_known() -> None:
    stream = odd("wonder")
    stream.fill(1, 1, 1)

    assert of_kind(stream.pulse(14 * SECOND), LockPlaced) == []
    (lock,) = of_kind(stream.pulse(2 * SECOND), LockPlaced)

    assert lock.mode == "reduce-only"
    assert goals(stream.outputs) == []


def test_unknown_never_closes_what_is_held() -> None:
    stream = odd("raise")
    stream.fill(1, 1, 1)

    stream.pulse(60 * SECOND)

    assert [goal.act for goal in goals(stream.outputs)] == []


def test_an_account_that_opens_while_long_unknown_is_reduce_only_at_once() -> None:
    stream = odd("wonder")
    stream.pulse(20 * SECOND)

    found = stream.fill(1, 1, 1)

    assert [lock.mode for lock in of_kind(found, LockPlaced)] == ["reduce-only"]


def test_known_again_ends_the_lock_of_the_unknown() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 1)
    stream.feed(FeedChanged(login=LOGIN, state="blind", why="cable"))
    stream.pulse(16 * SECOND)
    assert [lock.placed.mode for lock in stream.account.locks.values()] == ["reduce-only"]

    ended = stream.feed(FeedChanged(login=LOGIN, state="trusted"))

    assert [end.why for end in of_kind(ended, LockEnded)] == ["known again"]


def test_while_the_feed_is_blind_no_lock_ends() -> None:
    stream = Stream().open(LOSS)
    stream.feed(trade(1, 1, 1, pnl=-500 * UNIT), position(1), trade(2, -1, 1), position(0))
    stream.feed(FeedChanged(login=LOGIN, state="blind"))

    stream.pulse(WEDNESDAY_RESET + SECOND - stream.at)
    assert stream.account.locks

    stream.feed(FeedChanged(login=LOGIN, state="trusted"))
    assert not stream.account.locks


def test_a_quarantined_message_is_told_of_at_once_and_unknown_until_a_read() -> None:
    stream = Stream().open(LIMIT)

    outputs = stream.feed(
        RecordQuarantined(account=ACCOUNT, source="order", why="size is NaN", raw="{}")
    )
    assert [alarm.what for alarm in of_kind(outputs, AlarmRaised)] == ["message quarantined"]
    assert "quarantine" in stream.account.doubts

    stream.feed(reading(began_at=stream.at))
    assert "quarantine" not in stream.account.doubts


def test_an_account_that_has_not_been_read_says_so() -> None:
    stream = Stream()
    stream.feed(policy(LIMIT), lease(1))

    texts = [alarm.text for alarm in of_kind(stream.pulse(SECOND), AlarmRaised)]

    assert any("not been read" in text for text in texts)


# --- no change of limits closes by itself ----------------------------------------


def adopted_over_the_limit() -> Stream:
    """A first start on an account that holds three, with a limit of one."""
    stream = Stream()
    stream.feed(contract_seen("MNQ"), policy(LIMIT))
    stream.feed(FeedChanged(login=LOGIN, state="trusted"), lease(1), reading(position(3)))
    return stream


def test_a_first_start_over_the_limit_reduces_nothing_and_locks_reduce_only() -> None:
    stream = adopted_over_the_limit()

    assert goals(stream.outputs) == []
    assert [lock.mode for lock in of_kind(stream.outputs, LockPlaced)] == ["reduce-only"]
    assert any(
        "adopted" in alarm.what + alarm.text for alarm in of_kind(stream.outputs, AlarmRaised)
    )


def test_what_is_added_then_is_trimmed() -> None:
    stream = adopted_over_the_limit()

    stream.fill(1, 1, 1)

    assert [(goal.act, goal.allowed) for goal in goals(stream.outputs)] == [("reduce", 3)]


def test_once_the_limit_was_met_the_rule_acts_as_usual() -> None:
    stream = adopted_over_the_limit()

    ended = stream.feed(trade(1, -1, 2), position(1))
    assert [end.why for end in of_kind(ended, LockEnded)] == ["the condition is false"]

    stream.fill(2, 1, 1)
    assert [goal.act for goal in goals(stream.outputs)] == ["reduce"]


def test_an_admin_may_confirm_and_the_rule_acts_at_once() -> None:
    stream = adopted_over_the_limit()

    outputs = stream.feed(
        OperatorActed(account=ACCOUNT, act="confirm", by="anna", reason="meant so", act_id="c")
    )

    assert [goal.act for goal in goals(outputs)] == ["reduce"]
    assert len(of_kind(outputs, LockEnded)) == 1


def test_the_same_policy_again_changes_nothing() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 2)
    stream.outputs.clear()

    stream.feed(policy(LIMIT))

    assert stream.account.unarmed == []


def test_a_tighter_policy_holds_back_until_its_condition_was_false_once() -> None:
    stream = Stream().open(rule("max-contracts", limit=5))
    stream.fill(1, 1, 3)

    outputs = stream.feed(policy(LIMIT, digest="d2"))

    assert goals(outputs) == []
    assert [lock.mode for lock in of_kind(outputs, LockPlaced)] == ["reduce-only"]


def test_a_rule_in_alert_mode_holds_nothing_back() -> None:
    stream = Stream()
    stream.feed(contract_seen("MNQ"), policy(rule("max-contracts", mode="alert", limit=1)))
    stream.feed(FeedChanged(login=LOGIN, state="trusted"), lease(1))

    assert of_kind(stream.feed(reading(position(3))), LockPlaced) == []


# --- incidents ---------------------------------------------------------------------


def test_a_breach_is_found_once_however_often_it_is_seen() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 2)
    stream.feed(position(2), position(2))

    assert len(of_kind(stream.outputs, BreachFound)) == 1


@pytest.mark.parametrize(("mode", "count"), [("alert", 1), ("shadow", 0), ("enforce", 0)])
def test_only_a_rule_that_alerts_tells_by_an_alarm(mode: str, count: int) -> None:
    stream = Stream().open(rule("max-contracts", mode, limit=1))
    stream.fill(1, 1, 2)

    assert len(of_kind(stream.outputs, AlarmRaised)) == count
    assert len(of_kind(stream.outputs, BreachFound)) == 1


def test_and_again_after_it_was_over() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 2)
    stream.fill(2, -1, 1)
    stream.fill(3, 1, 1)

    assert len(of_kind(stream.outputs, BreachFound)) == 2


def test_a_condition_that_outlives_its_lock_is_locked_anew() -> None:
    stream = Stream().open(BUTTON, rule("max-contracts", limit=1, lock={"trips": 1, "lock": "1m"}))
    stream.fill(1, 1, 2)

    stream.pulse(61 * SECOND)

    assert len(of_kind(stream.outputs, LockPlaced)) == 2


def test_the_strictest_reason_names_the_goal() -> None:
    stream = Stream().open(LOSS, LIMIT, BUTTON)
    stream.feed(trade(1, 1, 2, pnl=-500 * UNIT), position(2))

    assert {intended.key.split(":")[1] for intended in intents(stream.outputs)} == {
        "daily-realized-loss"
    }


def test_the_last_reasons_are_kept_for_people() -> None:
    stream = Stream().open(LIMIT)
    for number in range(20):
        stream.fill(2 * number + 1, 1, 2)
        stream.fill(2 * number + 2, -1, 2)

    assert len(stream.account.reasons) == 12
    assert "max-contracts (enforce): holds 2 contracts" in stream.account.reasons[-1]


# --- other inputs --------------------------------------------------------------------


def test_an_order_to_all_accounts_reaches_each() -> None:
    stream = Stream().open(BUTTON)
    stream.fill(1, 1, 1)

    outputs = stream.feed(
        OperatorActed(account=0, act="flatten-lock", by="anna", reason="all", act_id="a")
    )

    assert [goal.act for goal in goals(outputs)] == ["close"]


def test_an_unlock_ends_what_a_person_locked_and_nothing_else() -> None:
    stream = Stream().open(BUTTON, LOSS)
    stream.feed(trade(1, 1, 1, pnl=-500 * UNIT), position(1))
    stream.feed(
        OperatorActed(account=ACCOUNT, act="flatten-lock", by="anna", reason="x", act_id="a")
    )

    stream.feed(OperatorActed(account=ACCOUNT, act="unlock", by="anna", reason="x", act_id="b"))

    assert [lock.placed.rule for lock in stream.account.locks.values()] == ["daily-realized-loss"]


def test_an_unlock_ends_a_rules_lock_that_waits_for_an_admin() -> None:
    drawdown = rule("trailing-max-drawdown", drawdown="1000", start="50000", buffer="0")
    stream = Stream().open(drawdown)
    stream.mark("MNQ", "21000", "21000")
    stream.feed(trade(1, 1, 1, pnl=-1000 * UNIT, fees=UNIT), position(1))
    assert [lock.placed.until for lock in stream.account.locks.values()] == [None]
    stream.feed(trade(2, -1, 1, pnl=900 * UNIT), position(0))

    stream.feed(OperatorActed(account=ACCOUNT, act="unlock", by="anna", reason="x", act_id="b"))

    assert stream.account.locks == {}


def test_an_unlock_leaves_what_platform_doubt_and_adoption_locked() -> None:
    stream = adopted_over_the_limit()
    stopped = AccountSeen(
        account=ACCOUNT, login=LOGIN, name="N", balance=50_000 * UNIT, can_trade=False
    )
    stream.feed(stopped, FeedChanged(login=LOGIN, state="blind"))
    stream.pulse(20 * SECOND)
    standing = sorted(stream.account.locks)
    assert standing == ["platform", "unarmed:max-contracts", "unknown-feed"]

    stream.feed(OperatorActed(account=ACCOUNT, act="unlock", by="anna", reason="x", act_id="b"))

    assert sorted(stream.account.locks) == standing


def test_an_act_that_ended_while_another_stood_is_forgotten() -> None:
    stream = Stream().open(BUTTON)
    for name, until in (("a", None), ("b", stream.at + SECOND)):
        stream.feed(
            OperatorActed(
                account=ACCOUNT, act="flatten-lock", by="anna", reason="x", act_id=name, until=until
            )
        )

    stream.pulse(2 * SECOND)

    assert list(stream.account.acts) == ["a"]


def test_a_lock_of_a_newer_release_is_the_strictest() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 1)

    outputs = stream.engine.step(Entry(99, stream.at, ACCOUNT, Unknown(kind="lock-hibernated")))

    assert [goal.act for goal in goals(outputs)] == ["close"]


def test_the_journals_probe_changes_nothing() -> None:
    stream = Stream().open(LIMIT)
    before = state_hash(stream.account)

    assert stream.feed(Probed()) == []
    assert state_hash(stream.account) == before


def test_who_holds_a_contract_is_told_when_its_quotes_are_stale() -> None:
    stream = Stream().open(LIMIT)
    assert stream.feed(QuoteAged(contract=contract("MNQ"), state="stale")) == []

    stream.fill(1, 1, 1)
    (told,) = stream.feed(QuoteAged(contract=contract("MNQ"), state="stale", why="probe failed"))
    assert isinstance(told, AlarmRaised)
    assert "probe failed" in told.text
    assert stream.feed(QuoteAged(contract=contract("MNQ"), state="fresh")) == []
    assert stream.engine.world.aged == {contract("MNQ"): "fresh"}


@pytest.mark.parametrize("gone", ["missing", "invisible"])
def test_an_account_the_broker_lists_no_more_is_locked_until_it_is_back(gone: str) -> None:
    stream = Stream().open(LIMIT)
    row = AccountSeen(
        account=ACCOUNT, login=LOGIN, name="NORTH-1", balance=50_000 * UNIT, can_trade=True
    )
    hidden = msgspec.structs.replace(row, visible=False)
    stream.feed(AccountMissing(account=ACCOUNT, login=LOGIN) if gone == "missing" else hidden)
    assert list(stream.account.locks) == ["platform"]

    stream.feed(row)
    stream.pulse(30 * SECOND)
    assert stream.account.locks == {}


def test_read_in_turn_beside_another_client_is_seen_and_reads_are_its_news() -> None:
    stream = Stream().open(LIMIT)
    stream.feed(FeedChanged(login=LOGIN, state="polling"))
    stream.pulse(20 * SECOND)
    told = stream.feed(reading(position(1), began_at=stream.at))

    assert stream.account.doubts == {}
    assert of_kind(told, AlarmRaised) == []
    assert stream.account.holding(contract("MNQ")).exposure == 1


def test_a_withdrawn_mark_values_nothing_until_the_next_quote() -> None:
    stream = Stream().open(rule("daily-combined-loss", limit="500"))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 1)
    stream.mark("MNQ", "20999.75", "21000")

    assert stream.feed(MarkChanged(contract=contract("MNQ"))) == []
    assert contract("MNQ") not in stream.engine.world.marks
    assert "lock full" not in str(stream.mark("MNQ", "20800", "20800.25"))
    found = stream.mark("MNQ", "20750", "20750.25")
    assert [lock.mode for lock in of_kind(found, LockPlaced)] == ["full"]


def test_other_kinds_of_a_newer_release_are_counted() -> None:
    stream = Stream().open(LIMIT)

    stream.engine.step(Entry(99, stream.at, 0, Unknown(kind="weather-changed")))
    stream.engine.step(Entry(99, stream.at, 7, Unknown(kind="lock-hibernated")))

    assert stream.engine.world.unknown_kinds == {"weather-changed": 1, "lock-hibernated": 1}


def test_a_lock_placed_by_another_release_stands_here_too() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 1)
    placed = LockPlaced(
        account=ACCOUNT,
        lock="theirs",
        rule="future-rule",
        mode="full",
        began_at=stream.at,
        until=None,
        reason="theirs",
    )

    assert [goal.act for goal in goals(stream.feed(placed))] == ["close"]
    assert stream.feed(placed) == []


def test_records_that_decide_nothing_change_nothing() -> None:
    stream = Stream().open(LIMIT)
    before = state_hash(stream.account)

    taken = HashTaken(account=ACCOUNT, release="v", holder="w", seq=1, count=1, digest="x")
    ended = LockEnded(account=ACCOUNT, lock="x", why="y")
    stream.feed(taken, ended, SettingsAdopted(text="{}", digest="d"))

    assert state_hash(stream.account) == before


def test_the_platform_lock_ends_half_a_minute_after_it_may_trade_again() -> None:
    stream = Stream().open(LIMIT)
    row: dict[str, Any] = {"account": ACCOUNT, "login": LOGIN, "name": "N", "balance": 1}
    stream.feed(AccountSeen(**row, can_trade=False))
    stream.feed(reading(can_trade=False, began_at=stream.at))
    stream.pulse(5 * SECOND)
    stream.feed(AccountSeen(**row, can_trade=True))

    assert of_kind(stream.pulse(29 * SECOND), LockEnded) == []
    assert len(of_kind(stream.pulse(2 * SECOND), LockEnded)) == 1


def test_the_end_of_the_calendar_is_told() -> None:
    stream = Stream().open(LIMIT)
    stream.at = 1_862_400_000 * SECOND

    outputs = stream.fill(1, 1, 1)

    assert "calendar ended" in [alarm.what for alarm in of_kind(outputs, AlarmRaised)]


def test_without_a_policy_nothing_is_decided() -> None:
    stream = Stream(CATALOG)

    stream.feed(trade(1, 1, 9), position(9))

    assert stream.outputs == []
    assert stream.engine.rules_of(stream.account) == []


def test_an_account_row_that_says_nothing_new_changes_only_the_balance() -> None:
    stream = Stream().open(LIMIT)

    stream.feed(AccountSeen(account=ACCOUNT, login=LOGIN, name="N", balance=7, can_trade=True))

    assert (stream.account.balance, stream.account.can_trade_since) == (7, 0)


def test_the_feed_of_another_login_concerns_nobody_here() -> None:
    stream = Stream().open(LIMIT)

    stream.feed(FeedChanged(login="south", state="blind"))

    assert stream.account.feed == "trusted"


def test_names_of_ended_locks_are_kept_within_a_bound() -> None:
    stream = Stream().open(BUTTON)
    for number in range(200):
        until = stream.at + 5 * MS
        stream.feed(
            OperatorActed(
                account=ACCOUNT,
                act="cancel-only",
                by="a",
                reason="x",
                act_id=f"{number:03d}",
                until=until,
            )
        )
        stream.pulse(10 * MS)

    assert len(stream.account.lock_names) == 128
    assert "kill-switch:199" in stream.account.lock_names


# --- orders --------------------------------------------------------------------------


def test_an_echo_of_an_older_state_of_an_order_is_not_taken() -> None:
    stream = Stream().open(LIMIT)
    stream.feed(order(11, 1, 3, filled=1, updated=5))

    stream.feed(order(11, 1, 3, filled=0, updated=9), order(11, 1, 3, filled=1, updated=4))

    assert stream.account.orders[11].updated == 5


def test_an_ended_order_stays_ended() -> None:
    stream = Stream().open(rule("max-contracts", limit=9))
    stream.feed(order(11, 1, 3), order(11, 1, 3, status=3), order(11, 1, 3))

    assert stream.account.orders == {}


def test_ended_orders_are_remembered_within_a_bound() -> None:
    stream = Stream().open(LIMIT)
    for number in range(600):
        stream.feed(order(number + 1, 1, 1, status=3))

    assert len(stream.account.ended) == 512
    assert min(stream.account.ended) == 89


# --- reads ----------------------------------------------------------------------------


def test_a_read_mends_the_view_and_says_what_differed() -> None:
    stream = Stream().open(rule("max-contracts", limit=9))
    stream.fill(1, 1, 2)

    outputs = stream.feed(reading(position(3, version=7), began_at=stream.at))

    assert [alarm.what for alarm in of_kind(outputs, AlarmRaised)] == ["view repaired"]
    held = stream.account.holding(contract("MNQ"))
    assert (held.by_trades, held.by_position, held.version) == (3, 3, 7)


def test_what_a_link_says_again_after_the_journal_died_undoes_no_fill_that_came_since() -> None:
    """The batches that were stored and not answered for come a second time, in their order."""
    stream = Stream().open(rule("max-contracts", limit=9))
    stream.fill(1, -1, 5)
    said = [
        reading(position(-5), trade(1, -1, 5), began_at=stream.at),
        trade(2, 1, 5, traded_at=stream.at),
        position(0),
        trade(3, 1, 4, traded_at=stream.at),
        position(4),
        reading(position(4), began_at=stream.at + MS),
        trade(4, 1, 1, traded_at=stream.at),
        position(5),
    ]

    stream.feed(*said)
    stream.feed(*said)

    held = stream.account.holding(contract("MNQ"))
    assert (held.by_trades, held.by_position) == (5, 5)
    assert stream.account.pnl_is_known


def test_a_read_may_be_the_first_to_show_that_the_platform_locked() -> None:
    stream = Stream().open(LIMIT)

    stream.feed(reading(can_trade=False, began_at=stream.at))
    stream.pulse(MS)

    assert list(stream.account.locks) == ["platform"]


def test_the_cheap_read_confirms_quantities_and_mends_no_pnl() -> None:
    stream = Stream().open(rule("max-contracts", limit=9))
    stream.fill(1, 1, 2)
    known = []
    for cheap in (
        position(3),
        reading(position(2), only_positions=True),
        reading(only_positions=True),
        reading(position(2), only_positions=True, stable=False),
    ):
        stream.feed(cheap)
        known.append(stream.account.pnl_is_known)

    assert known == [False, True, False, False]
    assert stream.account.holding(contract("MNQ")).by_trades == 2


def test_a_rule_that_needs_contract_data_cannot_tell_without_it() -> None:
    stream = Stream().open(rule("max-contracts", limit=1, unit="mini-equivalents"), roots=("ES",))

    stream.fill(1, 1, 9, "MNQ")
    assert any("no contract data" in doubt.why for doubt in stream.account.doubts.values())

    stream.fill(2, -1, 9, "MNQ")
    assert "rule:max-contracts" not in stream.account.doubts


def test_a_root_that_is_not_known_leaves_its_limit_undecided() -> None:
    limits = rule("max-contracts-per-instrument", limits={"MNQ": 1})
    stream = Stream().open(limits, roots=("ES",))

    stream.fill(1, 1, 9, "MNQ")
    assert any("its root is unknown" in doubt.why for doubt in stream.account.doubts.values())

    stream.fill(2, -1, 9, "MNQ")
    assert "rule:max-contracts-per-instrument" not in stream.account.doubts


def test_an_unstable_read_adds_what_it_shows_and_takes_nothing_away() -> None:
    stream = Stream().open(rule("max-contracts", limit=9))
    stream.fill(1, 1, 2)

    stream.feed(reading(order(11, 1, 1), trade(2, 1, 1), stable=False, began_at=stream.at))

    held = stream.account.holding(contract("MNQ"))
    assert (held.by_trades, held.by_position) == (3, 2)
    assert list(stream.account.orders) == [11]


def test_orders_a_read_does_not_show_are_gone_but_those_only_the_stream_shows_stay() -> None:
    stream = Stream().open(rule("max-contracts", limit=9))
    stream.feed(
        order(11, 1, 1),
        order(12, -1, 1, status=8, parent=11),
        order(13, 1, 1),
        order(14, 1, 1, status=6),
        order(15, 1, 1, status=7),
    )

    stream.feed(reading(order(13, 1, 1), began_at=stream.at))

    assert list(stream.account.orders) == [12, 13, 14, 15]


def test_a_position_that_a_read_shows_flipped_begins_a_new_epoch() -> None:
    stream = Stream().open(rule("max-contracts", limit=9))
    stream.fill(1, 1, 2)

    stream.feed(reading(position(-1), began_at=stream.at))
    assert stream.account.holding(contract("MNQ")).epoch == 1


# --- determinism -------------------------------------------------------------------------


facts = st.one_of(
    st.builds(
        lambda number, side, size, price, pnl: trade(
            number, side, size, str(price), pnl=None if pnl is None else pnl * UNIT
        ),
        st.integers(1, 30),
        st.sampled_from([1, -1]),
        st.integers(1, 4),
        st.integers(20_990, 21_010),
        st.none() | st.integers(-300, 100),
    ),
    st.integers(-4, 4).map(position),
    st.builds(
        lambda number, side, size, status: order(
            number, side, size, status=status, limit_price=21_000 * UNIT
        ),
        st.integers(1, 9),
        st.sampled_from([1, -1]),
        st.integers(1, 4),
        st.sampled_from([1, 1, 2, 3]),
    ),
    st.just(FeedChanged(login=LOGIN, state="blind")),
    st.just(FeedChanged(login=LOGIN, state="trusted")),
    st.integers(-2, 2).map(lambda quantity: reading(position(quantity))),
    st.builds(
        lambda bid, spread: MarkChanged(
            contract=contract("MNQ"), bid=bid * UNIT, ask=(bid + spread) * UNIT, last=bid * UNIT
        ),
        st.sampled_from([20_900, 20_980, 20_990, 21_000, 21_100]),
        st.sampled_from([0, 1, 50]),
    ),
    st.integers(20_900, 21_100).map(
        lambda price: PrintSeen(contract=contract("MNQ"), price=price * UNIT)
    ),
)

ALL_EIGHT = (
    BUTTON,
    LOSS,
    rule("daily-combined-loss", limit="300", est_exit_fees="0.62"),
    rule(
        "trailing-max-drawdown",
        drawdown="400",
        start="50000",
        lock_at="60000",
        trail="intraday-equity",
        buffer="10",
    ),
    rule("end-of-day-flatten", flatten="10:00:00", entries_lead="1s"),
    rule("max-contracts", limit=2),
    rule("max-contracts-per-instrument", limits={"MNQ": 3}),
    rule("no-stop-loss-grace", grace="1s", replace_grace="1s", action="close-uncovered"),
)


def played(found: list[Fact]) -> Stream:
    stream = Stream().open(*ALL_EIGHT)
    for fact in found:
        outputs = stream.feed(fact)
        for intended in intents(outputs):
            if intended.goal.contract in stream.account.slots:
                stream.send(intended, intended.key)
                stream.settle(intended, "void", intended.key)
                break
    return stream


@given(st.lists(facts, max_size=25))
@settings(max_examples=60)
def test_the_same_stream_gives_the_same_decisions_and_hash(found: list[Fact]) -> None:
    stream = played(found)

    again = Engine(CATALOG)
    outputs = [output for entry in stream.entries for output in again.step(entry)]

    assert outputs[-len(stream.outputs) :] == stream.outputs or not stream.outputs
    assert state_hash(again.world.accounts[ACCOUNT]) == state_hash(stream.account)


@given(st.lists(facts, max_size=25), st.data())
@settings(max_examples=60)
def test_a_snapshot_anywhere_goes_on_as_if_nothing_had_happened(
    found: list[Fact], data: st.DataObject
) -> None:
    stream = played(found)
    cut = data.draw(st.integers(0, len(stream.entries)))

    first = Engine(CATALOG)
    for entry in stream.entries[:cut]:
        first.step(entry)
    world = decode_surroundings(encode_surroundings(first.world))
    for number, account in first.world.accounts.items():
        world.accounts[number] = decode_account(encode_account(account))
    second = Engine(CATALOG, world)
    for entry in stream.entries[cut:]:
        second.step(entry)

    assert state_hash(second.world.accounts[ACCOUNT]) == state_hash(stream.account)


@given(st.lists(facts, max_size=20), st.data())
@settings(max_examples=60)
def test_an_inserted_pulse_changes_no_decision_but_those_already_due(
    found: list[Fact], data: st.DataObject
) -> None:
    stream = played(found)
    cut = data.draw(st.integers(1, len(stream.entries)))
    before = stream.entries[cut - 1]

    plain, pulsed = Engine(CATALOG), Engine(CATALOG)
    one = [msgspec.structs.replace(e) for e in stream.entries]
    for entry in one[:cut]:
        plain.step(entry)
        pulsed.step(entry)
    due = pulsed.wake_at()
    outputs = pulsed.step(Entry(before.seq, before.at, 0, Pulse()))
    assert outputs == [] or due <= before.at
    if due and due <= before.at:
        return
    assert [plain.step(e) for e in one[cut:]] == [pulsed.step(e) for e in one[cut:]]


@given(st.lists(facts, max_size=25))
@settings(max_examples=60)
def test_enforcement_never_asks_for_more_than_is_held(found: list[Fact]) -> None:
    stream = played(found)

    for goal in goals(stream.outputs):
        assert goal.act in ("close", "reduce", "cancel", "resize", "look")
        assert goal.allowed >= 0


def test_of_several_instants_that_are_waited_for_the_earliest_is_asked_for() -> None:
    stream = Stream().open(rule("no-stop-loss-grace", grace="2s"))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 1)
    grace_ends_at = stream.account.wake_at
    assert stream.engine.wake_at() == grace_ends_at

    stream.feed(MarkChanged(contract=contract("MNQ"), bid=20_000 * UNIT, ask=21_001 * UNIT))
    assert stream.engine.wake_at() == stream.at + 250 * MS < grace_ends_at

    stream.feed(Pulse(), after=grace_ends_at - 200 * MS - stream.at)
    stream.feed(MarkChanged(contract=contract("MNQ"), bid=19_000 * UNIT, ask=21_001 * UNIT))
    assert stream.engine.wake_at() == grace_ends_at < stream.at + 250 * MS


# --- a record that cannot be folded ----------------------------------------------------


class Cursed(Engine):
    """An engine with a fault: it stumbles over every fill of thirteen."""

    def _take(self, entry: Entry, number: int) -> list[Fact]:
        if getattr(entry.fact, "size", 0) == 13:
            raise ArithmeticError("thirteen")
        return super()._take(entry, number)


def test_a_record_that_cannot_be_folded_costs_its_account_and_no_other() -> None:
    stream = Stream()
    stream.engine = Cursed(CATALOG)
    stream.open(LIMIT)
    other = msgspec.structs.replace(policy(LIMIT), account=8)
    stream.feed(other)
    stream.fill(1, 1, 1)
    stream.mark("MNQ", "21000", "21000.25")

    assert stream.feed(trade(2, 1, 13)) == []

    engine = stream.engine
    assert engine.poisoned == {ACCOUNT: (stream.seq, "ArithmeticError: thirteen")}
    assert (engine.holders(contract("MNQ")), stream.account.wake_at) == (set(), 0)
    before, records = state_hash(stream.account), engine.world.accounts[8].records
    assert stream.feed(trade(3, 1, 5)) == []
    stream.mark("MNQ", "20000", "20000.25")
    stream.feed(msgspec.structs.replace(other, digest="d2"))
    stream.pulse()
    assert state_hash(stream.account) == before
    assert engine.world.accounts[8].records == records + 1


def test_a_record_before_anything_is_known_of_its_account_costs_nothing_either() -> None:
    stream = Stream()
    stream.engine = Cursed(CATALOG)

    stream.feed(trade(1, 1, 13))

    assert list(stream.engine.poisoned) == [ACCOUNT]


def test_a_state_that_is_restored_has_no_poison_yet() -> None:
    stream = Stream()
    stream.engine = Cursed(CATALOG)
    stream.feed(trade(1, 1, 13))

    stream.engine.adopt(World())

    assert stream.engine.poisoned == {}

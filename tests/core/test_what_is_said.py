"""What the engine tells, field by field and word by word: breaches, locks, alarms, goals, ends."""

from __future__ import annotations

import pytest

from risk_daemon.core.decision import FULL, REDUCE_ONLY
from risk_daemon.core.engine import _waits_for_a_person
from risk_daemon.core.events import (
    AccountSeen,
    AlarmRaised,
    BreachFound,
    Entry,
    FeedChanged,
    Goal,
    Intended,
    LockEnded,
    LockPlaced,
    OperatorActed,
    QuoteAged,
    RecordQuarantined,
    RequestSettled,
    Unknown,
)
from risk_daemon.core.instrument import UNIT
from tests.build import (
    ACCOUNT,
    LOGIN,
    MS,
    SECOND,
    WEDNESDAY_RESET,
    Stream,
    contract,
    goals,
    of_kind,
    order,
    position,
    rule,
    trade,
)
from tests.core.test_engine import adopted_over_the_limit

MNQ, ES = contract("MNQ"), contract("ES")
LIMIT, LOSS = rule("max-contracts", limit=1), rule("daily-realized-loss", limit="500")


def lost(stream: Stream) -> int:
    """Realize 500 of loss with one contract still held; return the seq of the trade."""
    stream.feed(trade(1, 1, 1), position(1))
    stream.feed(trade(2, -1, 2, pnl=-500 * UNIT))
    return stream.seq


def alarm(level: str, what: str, text: str) -> AlarmRaised:
    return AlarmRaised(account=ACCOUNT, level=level, what=what, text=text, source="worker")


# --- breaches and their locks ------------------------------------------------------


def test_a_breach_its_lock_and_its_goal_name_each_other() -> None:
    stream = Stream().open(LOSS)
    seq = lost(stream)

    incident = f"{ACCOUNT}:daily-realized-loss:{seq}"
    text = "realized -500.00 today (net), the limit is -500.00"
    assert of_kind(stream.outputs, BreachFound) == [
        BreachFound(
            account=ACCOUNT,
            rule="daily-realized-loss",
            mode="enforce",
            incident=incident,
            observed="-500.00",
            limit="-500.00",
            text=text,
        )
    ]
    assert of_kind(stream.outputs, LockPlaced) == [
        LockPlaced(
            account=ACCOUNT,
            lock=f"daily-realized-loss:{seq}",
            rule="daily-realized-loss",
            mode=FULL,
            began_at=stream.at,
            until=WEDNESDAY_RESET,
            reason=text,
            incident=incident,
        )
    ]
    assert stream.account.trips == {"daily-realized-loss": 1}
    assert stream.account.reasons == [
        f"Wed 18 Nov 10:00:00 Chicago: daily-realized-loss (enforce): {text}"
    ]


def test_a_reduction_is_a_goal_with_its_cause_its_epoch_and_its_reason() -> None:
    stream = Stream().open(LIMIT)
    stream.feed(trade(1, 1, 3), position(3, version=9))

    (found,) = of_kind(stream.outputs, Intended)

    assert found == Intended(
        account=ACCOUNT,
        epoch=1,
        cause_seq=stream.seq,
        key=f"{ACCOUNT}:max-contracts:{stream.seq}:reduce-{MNQ}",
        goal=Goal(
            act="reduce",
            account=ACCOUNT,
            contract=MNQ,
            allowed=1,
            version=9,
            rule="max-contracts",
            reason="Wed 18 Nov 10:00:00 Chicago: max-contracts (enforce):"
            " holds 3 contracts (gross), the limit is 1",
        ),
    )


def test_incidents_of_a_rule_are_numbered_and_a_day_counts_its_trips() -> None:
    stream = Stream().open(LIMIT)
    for number in (1, 3, 5):
        stream.fill(number, 1, 2)
        stream.fill(number + 1, -1, 2)

    assert stream.account.incidents["max-contracts|"].number == 3
    assert stream.account.trips == {"max-contracts": 3}
    assert not stream.account.incidents["max-contracts|"].is_open


def test_the_twelve_latest_reasons_are_kept() -> None:
    stream = Stream().open(LIMIT)
    for number in range(13):
        stream.fill(2 * number + 1, 1, 2 + number)
        stream.fill(2 * number + 2, -1, 2 + number)

    sizes = [line.partition("holds ")[2].split()[0] for line in stream.account.reasons]
    assert sizes == [str(size) for size in range(3, 15)]


def test_a_rule_that_alerts_says_what_it_found_and_locks_nothing() -> None:
    stream = Stream().open(rule("max-contracts", "alert", limit=1))
    stream.fill(1, 1, 2)

    text = "holds 2 contracts (gross), the limit is 1"
    assert of_kind(stream.outputs, AlarmRaised) == [alarm("warn", "max-contracts", text)]
    assert goals(stream.outputs) == []
    assert stream.account.trips == {}


def test_a_limit_broken_at_its_adoption_locks_reduce_only_and_says_until_when() -> None:
    stream = adopted_over_the_limit()
    placed = stream.account.locks["unarmed:max-contracts"]

    text = (
        "max-contracts was already broken when it was adopted"
        " (holds 3 contracts (gross), the limit is 1);"
        " reduce-only until an admin confirms, or until it has been met once"
    )
    assert placed.placed == LockPlaced(
        account=ACCOUNT,
        lock="unarmed:max-contracts",
        rule="max-contracts",
        mode=REDUCE_ONLY,
        began_at=stream.at,
        until=None,
        reason=text,
        scope="configuration",
    )
    assert placed.allowance == {MNQ: 3}
    assert alarm("urgent", "limit broken at adoption", text) in stream.outputs


# --- ends ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "scope", "until", "may"),
    [
        ("kill-switch", "", None, True),
        ("kill-switch", "", 5, True),
        ("trailing-max-drawdown", "", None, True),
        ("daily-realized-loss", "", 5, False),
        ("platform", "", None, False),
        ("unknown", "", None, False),
        ("max-contracts", "configuration", None, False),
        ("max-contracts", "roots:ZC", None, True),
    ],
)
def test_a_person_ends_their_own_lock_and_a_rules_that_has_no_end(
    name: str, scope: str, until: int | None, *, may: bool
) -> None:
    placed = LockPlaced(
        account=1, lock="l", rule=name, mode=FULL, began_at=0, until=until, reason="", scope=scope
    )

    assert _waits_for_a_person(placed) is may


@pytest.mark.parametrize(
    ("act", "why"), [("confirm", "confirmed by anna: x"), ("unlock", "ended by anna: x")]
)
def test_who_ended_a_lock_is_said(act: str, why: str) -> None:
    stream = adopted_over_the_limit()
    if act == "unlock":
        stream = Stream().open(rule("kill-switch"))
        stream.feed(operator("flatten-lock", "a"))
    (name,) = stream.account.locks

    outputs = stream.feed(operator(act, "b"))

    assert of_kind(outputs, LockEnded) == [LockEnded(account=ACCOUNT, lock=name, why=why)]
    assert stream.account.acts == {}


def operator(act: str, name: str, until: int | None = None) -> OperatorActed:
    return OperatorActed(account=ACCOUNT, act=act, by="anna", reason="x", act_id=name, until=until)


def test_a_timed_lock_and_the_act_it_stands_for_end_at_their_instant_and_it_is_waited_for() -> None:
    stream = Stream().open(rule("kill-switch"))
    until = stream.at + SECOND
    stream.feed(operator("reduce-only", "a", until))
    assert stream.engine.wake_at() == until

    assert of_kind(stream.feed(operator("look", "z"), after=until - stream.at - 1), LockEnded) == []
    stream.account.acts.pop("z")
    outputs = stream.pulse(1)

    assert of_kind(outputs, LockEnded) == [
        LockEnded(account=ACCOUNT, lock="kill-switch:a", why="its time is over")
    ]
    assert stream.account.acts == {}


@pytest.mark.parametrize(("scope", "is_over"), [("roots:ES", True), ("roots:MNQ", False)])
def test_a_lock_ends_at_its_time_where_what_it_covers_is_flat(scope: str, *, is_over: bool) -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 1)
    placed = LockPlaced(
        account=ACCOUNT,
        lock="end",
        rule="end-of-day-flatten",
        mode=FULL,
        began_at=stream.at,
        until=stream.at + SECOND,
        reason="",
        scope=scope,
    )
    stream.feed(placed)

    stream.pulse(2 * SECOND)

    assert ("end" not in stream.account.locks) is is_over


def test_the_record_of_a_lock_that_stands_changes_nothing_when_it_comes_back() -> None:
    stream = Stream().open(LOSS)
    lost(stream)
    (placed,) = of_kind(stream.outputs, LockPlaced)
    before = stream.account.records

    assert stream.feed(placed) == []
    assert stream.account.records == before


# --- what is unknown -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("trade", "a position moved by a fill that has not been shown"),
        ("feed", "the broker session is blind"),
        ("balance", "the balance moved and no trade has explained it yet"),
    ],
)
def test_what_is_unknown_is_told_once_and_locks_with_what_is_held(name: str, why: str) -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 2)
    stream.outputs.clear()
    stream.feed(
        {
            "trade": position(3),
            "feed": FeedChanged(login=LOGIN, state="blind"),
            "balance": AccountSeen(
                account=ACCOUNT, login=LOGIN, name="N", balance=UNIT, can_trade=True
            ),
        }[name]
    )
    since = stream.at + (SECOND if name == "balance" else 0)
    stream.pulse(30 * SECOND)

    assert of_kind(stream.outputs, AlarmRaised) == [alarm("warn", "unknown", why)]
    assert of_kind(stream.outputs, LockPlaced) == [
        LockPlaced(
            account=ACCOUNT,
            lock=f"unknown-{name}",
            rule="unknown",
            mode=REDUCE_ONLY,
            began_at=since + 15 * SECOND,
            until=None,
            reason=f"unknown for 15 s: {why}",
        )
    ]
    held = 3 if name == "trade" else 2
    assert stream.account.locks[f"unknown-{name}"].allowance == {MNQ: held}


def test_known_again_is_said_as_such() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 2)
    stream.feed(FeedChanged(login=LOGIN, state="blind"))
    stream.pulse(20 * SECOND)

    outputs = stream.feed(FeedChanged(login=LOGIN, state="trusted"))

    assert of_kind(outputs, LockEnded) == [
        LockEnded(account=ACCOUNT, lock="unknown-feed", why="known again")
    ]


def test_a_quarantined_message_is_told_once_and_is_unknown_with_its_reason() -> None:
    stream = Stream().open(rule("kill-switch"))

    outputs = stream.feed(
        RecordQuarantined(account=ACCOUNT, source="trades", why="no side", raw="{}")
    )
    stream.pulse(5 * SECOND)

    told = alarm("urgent", "message quarantined", "a message of trades was set aside: no side")
    assert of_kind(outputs, AlarmRaised) == [told]
    assert of_kind(stream.outputs, AlarmRaised) == [told]
    assert stream.account.doubts["quarantine"].why == "no side"


def test_the_platforms_lock_is_said_and_ends_by_the_platforms_word() -> None:
    stream = Stream().open(rule("kill-switch"))
    row = AccountSeen(account=ACCOUNT, login=LOGIN, name="N", balance=50_000 * UNIT, can_trade=True)
    stopped = AccountSeen(
        account=ACCOUNT, login=LOGIN, name="N", balance=50_000 * UNIT, can_trade=False
    )

    outputs = stream.feed(stopped)

    reason = "the platform stopped this account from trading"
    assert outputs[:2] == [
        LockPlaced(
            account=ACCOUNT,
            lock="platform",
            rule="platform",
            mode=FULL,
            began_at=stream.at,
            until=None,
            reason=reason,
        ),
        alarm("urgent", "platform lock", reason),
    ]
    assert stream.account.platform_since == stream.at
    stream.feed(row)
    outputs = stream.pulse(31 * SECOND)
    assert of_kind(outputs, LockEnded) == [
        LockEnded(account=ACCOUNT, lock="platform", why="the platform lets the account trade again")
    ]
    assert stream.account.platform_since == 0


def test_while_the_platform_stops_an_account_nothing_is_waited_for_but_the_platform() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(
        AccountSeen(account=ACCOUNT, login=LOGIN, name="N", balance=50_000 * UNIT, can_trade=False)
    )

    stream.pulse(2 * SECOND)

    assert stream.account.wake_at == WEDNESDAY_RESET


def test_a_stale_quote_is_told_to_who_holds_the_contract() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 1)

    outputs = stream.feed(
        QuoteAged(contract=MNQ, state="stale"), QuoteAged(contract=ES, state="stale")
    )

    assert outputs == [
        alarm("warn", "stale quote", f"{MNQ} has no quote that can be relied on: silent")
    ]


def test_a_lock_of_a_newer_release_stands_as_the_strictest_and_says_so() -> None:
    stream = Stream().open(LIMIT)

    stream.engine.step(Entry(99, stream.at, ACCOUNT, Unknown(kind="lock-hibernated")))

    assert stream.account.locks["unknown:99"].placed == LockPlaced(
        account=ACCOUNT,
        lock="unknown:99",
        rule="lock-hibernated",
        mode="lock-hibernated",
        began_at=stream.at,
        until=None,
        reason="a newer release placed 'lock-hibernated', which this one does not know",
    )
    assert stream.engine.world.unknown_kinds == {"lock-hibernated": 1}


def test_a_position_carried_without_a_mark_is_told_with_its_day() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 1)

    outputs = stream.pulse(WEDNESDAY_RESET - stream.at)

    assert alarm(
        "warn",
        "no settlement mark",
        f"{MNQ} is carried into 2026-11-19 without a settlement mark",
    ) in of_kind(outputs, AlarmRaised)


# --- waiting ------------------------------------------------------------------------------


def test_an_account_wakes_at_its_reset_where_nothing_else_is_waited_for() -> None:
    stream = Stream().open(rule("kill-switch"))

    assert stream.account.wake_at == WEDNESDAY_RESET
    assert stream.engine.wake_at() == WEDNESDAY_RESET
    assert Stream().engine.wake_at() == 0


def test_the_reset_comes_with_its_instant_and_not_before() -> None:
    stream = Stream().open(rule("kill-switch"))

    stream.pulse(WEDNESDAY_RESET - stream.at - 1)
    assert stream.account.trade_date == "2026-11-18"
    stream.pulse(1)
    assert stream.account.trade_date == "2026-11-19"


def test_only_a_rejected_close_is_waited_for_and_only_a_settled_one_is_free() -> None:
    stream = Stream().open(LIMIT)
    stream.fill(1, 1, 3)
    (found,) = of_kind(stream.outputs, Intended)
    stream.send(found)

    other = RequestSettled(
        account=ACCOUNT,
        key="k",
        request="another",
        act="reduce",
        contract=MNQ,
        order=0,
        how="rejected",
    )
    stream.feed(other)
    assert MNQ in stream.account.slots
    assert stream.account.plans[MNQ].retry_at == 0


def test_orders_of_flat_accounts_wait_for_nothing() -> None:
    stream = Stream().open(LIMIT)
    stream.feed(order(11, 1, 1), order(12, 1, 1, type=2, created=stream.at + 5 * MS))

    assert stream.account.wake_at == WEDNESDAY_RESET

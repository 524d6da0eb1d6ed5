"""The account view: what people see, in text, with what is unknown said aloud."""

from collections.abc import Mapping

from risk_daemon.core.account import Account
from risk_daemon.core.decision import NO_PRICE, Finding, Quiet
from risk_daemon.core.events import OperatorActed
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import Aspect, World
from risk_daemon.rules import CATALOG
from risk_daemon.wire.view import decode_view, encode_view
from risk_daemon.worker.loop import why_lines
from risk_daemon.worker.speech import once_of
from risk_daemon.worker.view import view_of
from tests.build import ACCOUNT, Stream, contract, intents, of_kind, order, position, rule


def test_a_view_is_read_as_it_was_written() -> None:
    stream = Stream().open(rule("max-contracts", limit=5))
    stream.mark("MNQ", "20990", "20990.25")
    stream.fill(1, 1, 2, fees=UNIT // 2)
    stream.feed(
        order(11, 1, 1, limit_price=20_000 * UNIT), order(12, -1, 2, type=4, stop_price=UNIT)
    )

    view = view_of(stream.engine, stream.account, "worker-1")

    assert decode_view(encode_view(view)) == view
    assert (view.realized, view.unrealized, view.day_pnl) == ("-0.50", "-40.00", "-40.50")
    assert [(p.root, p.quantity, p.average, p.agreed) for p in view.positions] == [
        ("MNQ", 2, "21000.00", True)
    ]
    assert [(o.side, o.type, o.price) for o in view.orders] == [
        ("buy", "limit", "20000.00"),
        ("sell", "stop", "1.00"),
    ]
    assert [(d.rule, d.observed, d.limit, d.state) for d in view.distances] == [
        ("max-contracts", "2", "5", "clear")
    ]
    assert (view.enforcing, view.connected, view.mode) == (True, True, "")


def test_another_worker_does_not_claim_to_enforce() -> None:
    stream = Stream().open(rule("max-contracts", limit=5))

    assert not view_of(stream.engine, stream.account, "worker-2").enforcing


def test_what_is_broken_locked_underway_and_unknown_is_said() -> None:
    stream = Stream().open(rule("kill-switch"), rule("max-contracts", limit=5))
    stream.fill(1, 1, 2)
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT), order(13, 1, 1, type=9))
    (cancel, *_) = intents(
        stream.feed(
            OperatorActed(account=ACCOUNT, act="flatten-lock", by="anna", reason="x", act_id="a")
        )
    )
    stream.pulse(300_000_000)
    stream.feed(position(3))

    view = view_of(stream.engine, stream.account, "worker-1")

    assert view.mode == "full"
    assert [(lock.rule, lock.until) for lock in view.locks] == [("kill-switch", None)]
    assert view.distances[0].state == "breach"
    assert any("cancel order 11: asked" in line for line in view.underway)
    assert any("close" in line and "decided" in line for line in view.underway)
    assert not view.pnl_known
    assert [o.type for o in view.orders] == ["limit", "type 9"]
    lines = why_lines(view.locks, stream.account)
    assert "until an admin ends it" in lines[0]
    del cancel


def test_of_several_findings_of_one_rule_the_first_is_shown() -> None:
    stream = Stream().open(rule("max-contracts-per-instrument", limits={"MNQ": 1, "ES": 1}))
    stream.fill(1, 1, 2, "MNQ")
    stream.fill(2, 1, 3, "ES")

    view = view_of(stream.engine, stream.account, "worker-1")

    assert [(d.observed, d.limit, d.state) for d in view.distances] == [("3", "1", "breach")]


def test_a_locked_account_hears_until_when_and_an_open_one_that_it_may_trade() -> None:
    stream = Stream().open(rule("daily-realized-loss", limit="500"))
    view = view_of(stream.engine, stream.account, "worker-1")
    assert why_lines(view.locks, stream.account) == [
        "no lock: the account may trade within its limits"
    ]

    stream.fill(1, 1, 1)
    stream.fill(2, -1, 1, pnl=-500 * UNIT)
    view = view_of(stream.engine, stream.account, "worker-1")
    assert "until 2026-11-18T23:00:00.000Z" in why_lines(view.locks, stream.account)[0]


class Broken:
    """A rule that cannot even be asked."""

    name = "broken"
    priority = 50
    reads: frozenset[Aspect] = frozenset()

    def __init__(self, params: object) -> None:
        del params

    def check(self, world: World, account: Account) -> Finding:
        raise RuntimeError(f"{account.account} at {world.seq}")

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        del world, account
        return NO_PRICE


def test_a_rule_that_fails_or_is_not_armed_is_shown_so() -> None:
    stream = Stream({**CATALOG, "broken": Broken})
    stream.open(rule("broken"), rule("max-contracts", limit=5))
    stream.account.unarmed = ["max-contracts"]

    states = {d.rule: d.state for d in view_of(stream.engine, stream.account, "w").distances}

    assert states == {"broken": "unknown", "max-contracts": "clear, not armed yet"}


def test_what_two_workers_may_say_is_stored_once_by_its_name() -> None:
    from risk_daemon.core.events import AlarmRaised, BreachFound, LockPlaced

    stream = Stream().open(rule("daily-realized-loss", limit="500"))
    stream.fill(1, 1, 1)
    stream.fill(2, -1, 1, pnl=-500 * UNIT)
    (lock,) = of_kind(stream.outputs, LockPlaced)
    (breach,) = of_kind(stream.outputs, BreachFound)

    assert once_of(lock) == f"{ACCOUNT}:{lock.lock}:{lock.began_at}"
    assert once_of(breach) == breach.incident
    alarm = AlarmRaised(account=ACCOUNT, level="warn", what="w", text="t")
    assert once_of(alarm) == ""
    assert contract("MNQ") in stream.account.holdings

"""What a trader reads of an account: whether he may trade, why not, until when, what he can do."""

import pytest

from risk_daemon.operations.accounts import plainly
from risk_daemon.wire.view import AccountView, DistanceView, LockView, PositionView

END = "2026-12-01T23:00:00.000Z"
HOUR_MS = 3_600_000.0


def lock(mode: str = "full", rule: str = "kill-switch", until: str | None = END) -> LockView:
    return LockView(
        lock=f"{rule}:{mode}:{until}", rule=rule, mode=mode, began_at=END, until=until, reason="why"
    )


def view(*positions: PositionView, pnl_known: bool = True) -> AccountView:
    return AccountView(
        version=1,
        account=1,
        name="ONE",
        login="alpha",
        release="v1",
        holder="worker-1",
        epoch=1,
        seq=1,
        at=END,
        enforcing=True,
        connected=True,
        feed="trusted",
        last_fact_at=None,
        balance=None,
        can_trade=True,
        realized="0",
        unrealized="0",
        day_pnl="-12.345",
        trade_date="2026-12-01",
        pnl_known=pnl_known,
        mode="",
        positions=positions,
        orders=(),
        locks=(),
        distances=(),
        reasons=(),
        unknown=(),
        underway=(),
    )


def held(quantity: int) -> PositionView:
    return PositionView(
        contract="CON.F.US.MNQ.Z26",
        root="MNQ",
        quantity=quantity,
        average="1",
        unrealized=None,
        agreed=True,
    )


def test_without_a_lock_one_may_trade_and_of_several_the_strictest_counts() -> None:
    assert plainly.may([]) == "you may trade"
    assert plainly.may([lock("no-new-entry")]).startswith("you may open nothing new")
    assert plainly.may([lock("no-new-entry"), lock("reduce-only")]).startswith("you may only make")
    assert plainly.may([lock("reduce-only"), lock("full")]).startswith("you can't trade")


def test_a_mode_of_a_newer_release_is_said_as_the_strictest() -> None:
    assert plainly.may([lock("sealed"), lock("reduce-only")]).startswith("you can't trade")


def test_of_locks_as_strict_the_one_that_ends_last_comes_first() -> None:
    sooner, never = lock(until="2026-12-01T01:00:00.000Z"), lock(until=None)

    assert plainly.strictest_first([sooner, lock(), never]) == [never, lock(), sooner]


def test_an_end_is_said_with_how_long_it_is_until_then() -> None:
    assert plainly.end(END, 3 * HOUR_MS).startswith("until Tue 17:00:00 Chicago")
    assert plainly.end(END, 3 * HOUR_MS).endswith(", in 3 h")
    assert "has come: it ends as soon as the account is flat" in plainly.end(END, -1.0)
    assert plainly.end(None, 0.0) == "it has no end of its own: an admin ends it"


@pytest.mark.parametrize(
    ("rule", "name", "sentence"),
    [
        ("daily-combined-loss", "", "nobody ends it earlier"),
        ("trailing-max-drawdown", "", "only an admin can end it"),
        ("end-of-day-flatten", "", "wait for the next session"),
        ("kill-switch", "", "only an admin can end it"),
        ("max-contracts", "unarmed:", "get below the limit once"),
        ("of-a-newer-release", "", "wait for its end, or ask an admin"),
    ],
)
def test_each_rule_leaves_something_to_do(rule: str, name: str, sentence: str) -> None:
    found = LockView(lock=f"{name}x", rule=rule, mode="full", began_at=END, until=END, reason="why")

    assert sentence in plainly.advice(found)
    why, until, you = plainly.lock_lines(found, HOUR_MS)
    assert why == f"  why:    why ({rule})"
    assert until.startswith("  until:  Tue 17:00:00 Chicago")
    assert sentence in you


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0.1, "1 min"),
        (119.4, "119 min"),
        (119.98, "2 h"),
        (121, "2 h 1 min"),
        (2_879, "47 h 59 min"),
        (2_880, "2 days"),
        (10_000, "7 days"),
    ],
)
def test_how_long_it_is_is_said_to_the_minute(minutes: float, said: str) -> None:
    assert plainly.span(minutes * 60_000) == said


def test_positions_and_money_are_said_as_the_market_says_them() -> None:
    assert plainly.positions(view()) == "flat"
    assert plainly.positions(view(held(2), held(-3))) == "long 2 MNQ, short 3 MNQ"
    assert plainly.money(view()) == "day P&L -12.34"
    assert plainly.money(view(pnl_known=False)) == "day P&L unknown at the moment"


def test_the_room_left_is_that_of_rules_that_have_measured_something() -> None:
    def row(mode: str, observed: str) -> DistanceView:
        return DistanceView(
            rule="max-contracts", mode=mode, observed=observed, limit="5", state="clear"
        )

    assert plainly.room([row("enforce", "3"), row("alert", "4"), row("enforce", "")]) == (
        "  limit:  max-contracts: 3 of 5",
        "  limit:  max-contracts: 4 of 5 (alert only: nothing is closed for it)",
    )
    assert plainly.earlier(["a", "b", "c", "d"]) == ("  before: b", "  before: c", "  before: d")


def test_a_lock_covers_what_is_as_strict_or_milder() -> None:
    milder, same, never = lock("no-new-entry"), lock("reduce-only"), lock("full", until=None)

    assert plainly.covering([never, milder, same], "reduce-only") == [same, never]

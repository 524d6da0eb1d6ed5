"""What the demo's live picture says of an account: a stranger reads it without a manual."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from risk_daemon.stage.screen import Screen, accounts_table


def account(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "account": 101,
        "name": "NORTH-1",
        "day_pnl": "0",
        "positions": [],
        "distances": [],
        "unknown": [],
        "connected": True,
        "feed": "trusted",
        "locks": [],
        "mode": "",
        "holder": "worker-1",
    }
    return found | more


def drawn(*accounts: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(accounts_table(accounts))
    return out.getvalue()


def distance(rule: str, used: str | None, state: str = "clear") -> dict[str, Any]:
    return {"rule": rule, "used": used, "state": state, "observed": "", "limit": ""}


def test_an_account_shows_what_it_holds_what_it_made_and_who_guards_it() -> None:
    held = [{"quantity": 2, "root": "ES"}, {"quantity": -1, "root": "MNQ"}]
    text = drawn(account(positions=held, day_pnl="-1234.5"))

    assert "+2 ES, -1 MNQ" in text
    assert "-1,234.50" in text
    assert "guarded by worker-1" in text


def test_the_nearest_limit_is_the_one_most_used_and_never_a_persons_order() -> None:
    rows = [
        distance("max-contracts", "0.40"),
        distance("daily-combined-loss", "0.85"),
        distance("kill-switch", "1.00", "breach"),
        distance("end-of-day-flatten", None),
    ]

    text = drawn(account(distances=rows))

    assert "████████░░  85 % daily-combined-loss" in text


def test_what_binds_an_account_is_said_the_worst_first() -> None:
    lock = {"reason": "the limit is -500.00"}

    assert "locked (full): the limit is -500.00" in drawn(account(locks=[lock], mode="full"))
    assert "feed blind" in drawn(account(locks=[lock], mode="full", connected=False, feed="blind"))
    assert "not known: no mark" in drawn(account(unknown=["no mark"], connected=False))


def test_it_is_drawn_before_anything_is_known_and_names_accounts_when_they_are() -> None:
    out = io.StringIO()
    screen = Screen(out, 60)
    with screen.shown():
        screen.say("breach", "account 101: 6 contracts held, limit 5")
        screen.say("visible", "account 101: can be known now")

    assert "the daemon is starting" in out.getvalue()
    assert "6 contracts held, limit 5" in out.getvalue()
    assert "can be known now" not in out.getvalue()

"""The status page: states as words, both times, and nothing that a name could inject."""

from zoneinfo import ZoneInfo

import pytest

from risk_daemon.console.page import page
from risk_daemon.console.seen import Seen
from risk_daemon.core.events import Entry, LockPlaced
from risk_daemon.wire.view import AccountView, DistanceView, LockView, PositionView
from tests.console.build import NOW, row, seen, view

UTC_NS = 1_795_622_400_000_000_000
BERLIN = ZoneInfo("Europe/Berlin")


def shown(memory: Seen) -> str:
    return page(memory, NOW, UTC_NS, BERLIN)


def of(account: AccountView) -> str:
    return shown(seen(account))


def test_a_healthy_daemon_says_so_in_words() -> None:
    html = shown(seen(view(1), view(2)))

    assert "Healthy: all 2 accounts are guarded and connected." in html
    assert "Healthy: the one account is guarded and connected." in of(view(1))
    assert "<title>Risk daemon: healthy</title>" in html
    assert "Wed 10:00:00 Chicago (Wed 17:00:00 CET)" in html
    assert html.count("<script") == 1
    assert 'type="module" src="/web/page.js"' in html
    assert "https://" not in html


def test_an_account_that_is_not_guarded_is_named_with_the_reason() -> None:
    html = shown(seen(view(1), rows=[row(1), row(7, enforcing=False, holder="")]))

    assert "Degraded: 1 of 2 accounts are not guarded." in html
    assert "not guarded<small>no worker enforces it</small>" in html


def test_nothing_seen_yet_is_a_page_too() -> None:
    html = shown(Seen())

    assert "Down: the supervisor has not answered yet." in html
    assert "The supervisor has not named any account yet." in html
    assert "Nothing has happened yet." in html


def test_a_lock_says_why_and_until_when_in_both_times() -> None:
    timed = LockView(
        lock="l",
        rule="daily-realized-loss",
        mode="full",
        began_at="2026-11-25T16:00:00+00:00",
        until="2026-11-25T23:00:00+00:00",
        reason="the day's loss is at its limit",
    )
    forever = LockView(
        lock="m", rule="kill-switch", mode="full", began_at="", until=None, reason=""
    )

    html = of(view(1, mode="full", locks=(timed, forever)))

    assert "locked<small>the day&#x27;s loss is at its limit" in html
    assert "until Wed 17:00:00 Chicago (Thu 00:00:00 CET)" in html
    assert "kill-switch<br>until an admin ends it" in html


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("", ">yes<"),
        ("reduce-only", "only to reduce"),
        ("no-new-entry", "no new entries"),
        ("of-tomorrow", "of-"),
    ],
)
def test_what_an_account_may_do_is_a_word(mode: str, text: str) -> None:
    assert text in of(view(1, mode=mode))


def test_the_platforms_own_lock_is_told() -> None:
    assert "no: the platform says so" in of(view(1, can_trade=False))


def test_positions_money_and_limits_are_readable() -> None:
    positions = (
        PositionView(
            contract="C", root="MNQ", quantity=3, average="21000.25", unrealized="1", agreed=True
        ),
        PositionView(
            contract="D", root="EP", quantity=-1, average="6000.5", unrealized=None, agreed=False
        ),
    )
    distances = (
        DistanceView(rule="max-contracts", mode="enforce", observed="4", limit="5", state="ok"),
        DistanceView(rule="kill-switch", mode="enforce", observed="", limit="", state="ok"),
        DistanceView(rule="daily-loss", mode="alert", observed="-10", limit="-500", state="ok"),
    )

    html = of(view(1, positions=positions, distances=distances))

    assert "long 3 MNQ at 21000.25" in html
    assert "short 1 EP at 6000.5 <small>being verified</small>" in html
    assert "-10.00<small>-10.00 realized, 0.00 open</small>" in html
    assert "max-contracts: 4 of 5</div>" in html
    assert "kill-switch" not in html
    assert "daily-loss: -10 of -500 <small>alert only</small>" in html


def test_money_that_is_not_known_is_not_shown_as_known() -> None:
    assert "unknown<small>last known -10.00</small>" in of(view(1, pnl_known=False))


def test_names_from_outside_are_text_and_nothing_else() -> None:
    memory = seen(view(1, name="<script>alert(1)</script>", login='"><b>'))
    lock = LockPlaced(
        account=1, lock="l", rule="r", mode="full", began_at=0, until=None, reason="<img src=x>"
    )
    memory.take_entry("lock-placed", Entry(11, UTC_NS, 1, lock), NOW)

    html = shown(memory)

    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "lock placed" in html


def test_processes_are_shown_with_state_age_and_memory() -> None:
    html = shown(seen(view(1)))

    assert ">running<" in html
    assert ">backoff<" in html
    assert "2 min" in html
    assert "50 MB" in html

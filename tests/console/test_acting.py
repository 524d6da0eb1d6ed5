"""Logging in and acting over HTTP: what is refused, and what is written of all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from risk_daemon.clock import SECOND_NS, FakeClock
from risk_daemon.console.acting import BODY_MAX
from risk_daemon.console.app import make_app
from risk_daemon.console.asking import accounts_key
from risk_daemon.console.desk import Desk
from risk_daemon.console.feeding import Feed
from risk_daemon.console.history import Store
from risk_daemon.core.events import ConsoleUsed
from risk_daemon.operations import daemon
from risk_daemon.operations.configuration import passwords
from risk_daemon.operations.home import Home
from risk_daemon.wire.record import decode
from tests.console.build import NOW, seen, view

SITE = "http://localhost:8080"
PASSWORD = "correct horse battery"
MEMORY = seen(view(1))
FLATTEN = {
    "action": "flatten-all",
    "reason": "it burns",
    "seen": accounts_key(MEMORY.status),
    "typed": "flatten all",
}


@dataclass
class Tab:
    """A browser's tab on the page of a home, whose journal may run or not."""

    home: Home
    client: httpx.AsyncClient
    clock: FakeClock
    csrf: str = ""
    origin: str = SITE

    async def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Origin": self.origin, "X-CSRF-Token": self.csrf}
        raw = {} if body is None else {"json": body}
        return await self.client.request(method, f"/api/v1/{path}", headers=headers, **raw)

    async def login(self, password: str = PASSWORD, user: str = "anna") -> httpx.Response:
        answer = await self.send("POST", "session", {"user": user, "password": password})
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf"]
        return answer

    async def act(self, **fields: Any) -> httpx.Response:
        return await self.send("POST", "actions", {**FLATTEN, **fields})

    def audit(self) -> list[tuple[str, str]]:
        """Who did what, as the journal has it."""
        facts = [decode(one).fact for one in daemon.tail(self.home, 100, ["console-used"])]
        return [(one.by, one.what) for one in facts if isinstance(one, ConsoleUsed)]


def play(home: Home, story: Callable[[Tab], Awaitable[None]]) -> None:
    """Have a story played by one tab, in a home where anna has a password."""
    passwords.set_password(home, "anna", PASSWORD)
    clock = FakeClock(1_795_622_400_000_000_000)
    clock.advance(NOW)
    desk = Desk(home, MEMORY, clock)
    app = make_app(MEMORY, clock, Feed(MEMORY, clock, "boot"), Store(Path("nowhere")), desk)

    async def run() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
            await story(Tab(home, client, clock))

    asyncio.run(run())


# --- logging in ---


def test_who_logs_in_is_known_until_logging_out_and_both_are_written(journal: Home) -> None:
    async def story(tab: Tab) -> None:
        before = (await tab.send("GET", "session")).json()
        assert before == {"user": None, "csrf": None, "people": True}

        answer = await tab.login()
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await tab.send("GET", "session")).json()["user"] == "anna"

        assert (await tab.send("DELETE", "session")).status_code == 200
        assert (await tab.send("GET", "session")).json()["user"] is None
        assert await asyncio.to_thread(tab.audit) == [("anna", "login"), ("anna", "logout")]

    play(journal, story)


def test_a_wrong_password_is_written_and_slows_the_next_try(journal: Home) -> None:
    async def story(tab: Tab) -> None:
        wrong = await tab.login("not the one")
        assert (wrong.status_code, wrong.json()["error"]) == (
            401,
            "the name or the password is wrong; it was noted.",
        )

        soon = await tab.login()
        assert (soon.status_code, soon.headers["retry-after"]) == (429, "1")
        assert "try again in 1 s" in soon.json()["error"]

        tab.clock.advance(SECOND_NS)
        assert (await tab.login()).status_code == 200
        stranger = await tab.login(PASSWORD, "hunter2")
        assert stranger.status_code == 401
        assert await asyncio.to_thread(tab.audit) == [
            ("anna", "wrong password"),
            ("anna", "login"),
            ("nobody known", "wrong password"),
        ]

    play(journal, story)


def test_where_nobody_has_a_password_one_is_told_how_to_set_it(home: Home) -> None:
    async def story(tab: Tab) -> None:
        passwords.remove(home, "anna")
        assert (await tab.send("GET", "session")).json()["people"] is False
        answer = await tab.login()
        assert answer.status_code == 401
        assert "risk-daemon-admin dashboard password --user NAME" in answer.json()["error"]

        passwords.file_of(home).write_text("{")
        assert (await tab.send("GET", "session")).json()["people"] is False

    play(home, story)


def test_who_is_removed_is_logged_out_at_once(home: Home) -> None:
    async def story(tab: Tab) -> None:
        await tab.login()
        passwords.remove(home, "anna")
        assert (await tab.send("GET", "session")).json()["user"] is None
        answer = await tab.act()
        assert (answer.status_code, "not logged in any more" in answer.json()["error"]) == (
            401,
            True,
        )

    play(home, story)


def test_a_password_file_that_was_damaged_meanwhile_lets_nobody_act(home: Home) -> None:
    async def story(tab: Tab) -> None:
        await tab.login()
        passwords.file_of(home).write_text("{")
        assert (await tab.act()).status_code == 401

    play(home, story)


# --- asking ---


def test_without_a_login_nothing_is_done(home: Home) -> None:
    async def story(tab: Tab) -> None:
        answer = await tab.act()
        assert (answer.status_code, "nothing was done" in answer.json()["error"]) == (401, True)

    play(home, story)


def test_a_session_that_is_over_does_nothing(home: Home) -> None:
    async def story(tab: Tab) -> None:
        await tab.login()
        tab.clock.advance(3_600 * SECOND_NS)
        assert (await tab.act()).status_code == 401

    play(home, story)


def test_who_does_not_know_the_word_of_the_session_is_not_our_page(home: Home) -> None:
    async def story(tab: Tab) -> None:
        await tab.login()
        tab.csrf = "guessed"
        answer = await tab.act()
        assert (answer.status_code, "page of this session" in answer.json()["error"]) == (401, True)
        assert (await tab.send("DELETE", "session")).status_code == 401

    play(home, story)


def test_another_page_can_ask_for_nothing(home: Home) -> None:
    async def story(tab: Tab) -> None:
        await tab.login()
        for origin in ("http://evil.example", "http://localhost:3000", ""):
            tab.origin = origin
            assert (await tab.act()).status_code == 403
            assert (await tab.login()).status_code == 403

    play(home, story)


@pytest.mark.parametrize(
    ("fields", "code", "why"),
    [
        ({"typed": "flatten"}, 422, "type 'flatten all'"),
        ({"reason": ""}, 422, "a reason is needed"),
        ({"action": "shutdown"}, 422, "can't be asked for here"),
        ({"more": 1}, 422, "can't be read"),
        ({"reason": "x" * BODY_MAX}, 413, "more than 16384 bytes"),
        ({"seen": "yesterday"}, 409, "it is not as this page showed it any more"),
        ({"action": "hold", "seen": "none"}, 503, "supervisor"),
    ],
)
def test_what_is_not_meant_or_not_possible_is_refused_with_why(
    home: Home, fields: dict[str, Any], code: int, why: str
) -> None:
    async def story(tab: Tab) -> None:
        await tab.login()
        answer = await tab.act(**fields)
        assert (answer.status_code, why in answer.json()["error"]) == (code, True), answer.text

    play(home, story)


def test_what_is_not_json_is_refused(home: Home) -> None:
    async def story(tab: Tab) -> None:
        answer = await tab.client.post("/api/v1/actions", content=b"\xff", headers={"Origin": SITE})
        assert answer.status_code == 422

    play(home, story)


def test_an_emergency_is_tried_with_everything_dead_and_told_account_by_account(
    home: Home,
) -> None:
    async def story(tab: Tab) -> None:
        await tab.login()
        answer = await tab.act()
        assert (answer.status_code, answer.json()["ok"]) == (200, False)
        assert any("NOT FLAT" in line for line in answer.json()["lines"])

    play(home, story)


def test_what_was_asked_and_what_came_of_it_is_written(journal: Home) -> None:
    async def story(tab: Tab) -> None:
        await tab.login()
        await tab.act()
        await tab.act(seen="yesterday")
        assert await asyncio.to_thread(tab.audit) == [
            ("anna", "login"),
            ("anna", "asked flatten-all"),
            ("anna", "failed flatten-all"),
            ("anna", "refused flatten-all"),
        ]

    play(journal, story)

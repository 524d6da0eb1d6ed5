"""A session that nobody uses ends after half an hour: a real console, a client and a browser at it.

The daemon is down: an emergency has to work all the same, and what it did the exchange says.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.console.asking import accounts_key
from risk_daemon.core.events import ConsoleUsed
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.configuration import passwords
from risk_daemon.operations.home import Home
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.waiting import until
from risk_daemon.wire.record import decode
from tests.console.browser import ENTER, browser
from tests.operations import lived
from tests.operations.conftest import wait_for
from tests.untraced import leave_children_untraced

leave_children_untraced()
CROWD = Crowd(1, 1)
ACCOUNT = CROWD.accounts()[0]
PASSWORD = "correct horse battery"
PROGRAM = Path(__file__).with_name("at_a_clock.py")
SENTENCE = "you are not logged in any more; nothing was done."
IDLE_S = 30 * 60
#: What the page shows of a daemon that is down.
FLATTEN = {
    "action": "flatten-all",
    "reason": "asked after a long lunch",
    "seen": accounts_key({}),
    "typed": "flatten all",
}


@dataclass(frozen=True)
class Scene:
    """A position at the exchange, a console, and the clock on its wall."""

    gateway: Gateway
    home: Home
    port: int
    clock: Path

    def waits(self, seconds: float) -> None:
        """Let so much time go by at the console."""
        later = self.clock.with_name("later")
        later.write_text(str(float(self.clock.read_text()) + seconds))
        later.replace(self.clock)

    def send(self, path: str, body: Any, **session: str) -> tuple[int, str, dict[str, Any]]:
        """Ask as a page does; return the status, the cookie and the answer."""
        origin = {"Origin": f"http://127.0.0.1:{self.port}"}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as line:
            line.request("POST", f"/api/v1/{path}", json.dumps(body), origin | session)
            answer = line.getresponse()
            cookie = answer.headers.get("set-cookie", "").partition(";")[0]
            return answer.status, cookie, json.loads(answer.read())

    def login(self) -> dict[str, str]:
        """Let anna in; return what her page sends along."""
        code, cookie, told = self.send("session", {"user": "anna", "password": PASSWORD})
        assert code == 200, told
        return {"Cookie": cookie, "X-CSRF-Token": told["csrf"]}

    def has_one_open(self) -> None:
        """Have the account hold one contract."""
        if self.held():
            return
        order = {"account": ACCOUNT, "contract": "MNQ", "side": "buy", "size": 1, "type": "market"}
        self.gateway.post("/order", **order)
        until(lambda: self.held() == 1, 20, "the fill")

    def held(self) -> int:
        """Contracts that the account really holds, by the exchange's own word."""
        rows = self.gateway.get("/truth")["accounts"]
        return sum(abs(int(one["q"])) for row in rows for one in row["positions"])

    def audit(self) -> list[str]:
        """What was asked for and done, as the journal has it."""
        facts = [decode(one).fact for one in asked.tail(self.home, 100, ["console-used"])]
        used = [one.what for one in facts if isinstance(one, ConsoleUsed)]
        return [what for what in used if what not in ("login", "logout")]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "idle", CROWD, 5, None)
        home = Home(daemon.home)
        passwords.set_password(home, "anna", PASSWORD)
        stack.callback(_end, lived.begin(home))
        clock = home.path / "clock"
        clock.write_text("0")
        console = subprocess.Popen([sys.executable, str(PROGRAM), str(home.path), str(clock)])
        stack.callback(_end, console)
        ready = home.run / "console.json"
        wait_for(ready, console)
        yield Scene(gateway, home, int(json.loads(ready.read_text())["port"]), clock)


def _end(running: subprocess.Popen[bytes]) -> None:
    running.terminate()
    assert running.wait(20) == 0


def test_a_second_past_half_an_hour_a_session_does_nothing_and_says_so(scene: Scene) -> None:
    scene.has_one_open()
    session, before = scene.login(), scene.audit()
    scene.waits(IDLE_S + 1)

    code, _, told = scene.send("actions", FLATTEN, **session)

    assert (code, told["error"]) == (401, SENTENCE)
    assert (scene.held(), scene.audit()) == (1, before)


def test_a_second_short_of_half_an_hour_a_session_acts_and_has_another_half_hour(
    scene: Scene,
) -> None:
    scene.has_one_open()
    session = scene.login()
    scene.waits(IDLE_S - 1)

    code, _, told = scene.send("actions", FLATTEN, **session)

    assert (code, told.get("ok")) == (200, True), told
    until(lambda: scene.held() == 0, 20, "the account to be flat")
    assert scene.audit()[-2:] == ["asked flatten-all", "done flatten-all"]

    scene.waits(IDLE_S - 1)
    assert scene.send("actions", FLATTEN, **session)[0] == 200
    scene.waits(IDLE_S + 1)
    assert scene.send("actions", FLATTEN, **session)[0] == 401


def test_a_page_that_was_left_open_for_half_an_hour_does_nothing_and_says_so(scene: Scene) -> None:
    scene.has_one_open()
    with browser() as window:
        window.size(1440, 1000)
        window.go(f"http://127.0.0.1:{scene.port}/")
        until(lambda: window.text("#login") != "", 20, "the page")
        window.click("#login")
        window.type("#user", "anna")
        window.type("#password", PASSWORD + ENTER)
        until(lambda: window.text("#logout") != "", 20, "anna to be in")
        window.click("#flatten")
        window.type("#reason", "asked after a long lunch")
        window.type("#typed", "flatten all")
        before = scene.audit()
        scene.waits(IDLE_S + 1)

        window.click("#do")

        window.until_text("#said", SENTENCE)
        assert "Close this and log in again." in window.text("#said")
        assert (scene.held(), scene.audit()) == (1, before)

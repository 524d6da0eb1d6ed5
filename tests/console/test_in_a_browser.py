"""The page in a real browser, over a real daemon at the simulated gateway."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from risk_daemon.core.events import ConsoleUsed
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.configuration import passwords
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from risk_daemon.wire.record import decode
from tests.console.browser import ENTER, LEFT, Browser, Replaced, browser
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, NEW = release(), "v9.0.0"
CROWD = Crowd(1, 3)
ACCOUNTS = CROWD.accounts()
FIRST = ACCOUNTS[0]
PASSWORD = "correct horse battery"
PLAN = """\
production: false
minute: 1s
gates: []
phases:
  - {name: shadow, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: canary, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: 100, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: [errors]}
  - {name: soak, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
"""
WEB = ("http", "https", "ws", "wss")
#: What axe calls worse than a matter of taste.
WORSE = ("serious", "critical")


@dataclass(frozen=True)
class Scene:
    """A daemon of three accounts and who looks at it."""

    gateway: Gateway
    daemon: Daemon
    port: int
    window: Browser

    @property
    def home(self) -> Home:
        return Home(self.daemon.home)

    def open(self) -> Browser:
        """Open the page, and wait until it is alive."""
        self.window.size(1440, 1000)
        self.window.go(f"http://127.0.0.1:{self.port}/")
        self.window.ask("DELETE", "/cookie")  # whoever was logged in before is not any more
        self.window.go(f"http://127.0.0.1:{self.port}/")
        self.window.until_text("#link", "Live")
        self.window.until_text("#verdict", "Healthy: all 3 accounts are guarded and connected.")
        return self.window

    def buy(self, account: int, size: int = 1) -> None:
        self.gateway.post(
            "/order", account=account, contract="MNQ", side="buy", size=size, type="market"
        )

    def on(self) -> dict[int, str]:
        """Which release enforces each account, by the supervisor's word."""
        rows = asked.status(self.home)["accounts"]
        return {row["account"]: row["release"] for row in rows if row["enforcing"]}

    def run(self, *words: str) -> None:
        self.daemon.run(*words).ok()

    def audit(self) -> list[str]:
        """What was done on the page, as the journal has it."""
        facts = [decode(one).fact for one in asked.tail(self.home, 100, ["console-used"])]
        return [f"{one.by}: {one.what}" for one in facts if isinstance(one, ConsoleUsed)]

    def held(self) -> dict[int, int]:
        """Contracts that each account really holds, by the exchange's own word."""
        rows = self.gateway.get("/truth")["accounts"]
        return {row["account"]: sum(abs(int(one["q"])) for one in row["positions"]) for row in rows}


def free_port() -> int:
    """A port that stays the same when the console is restarted."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "page", CROWD, 5, None)
        install(daemon.home, NEW)
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        settings = daemon.home / "config" / "daemon.yaml"
        port = free_port()
        settings.write_text(settings.read_text().replace("port: 0 ", f"port: {port} "))
        passwords.set_password(Home(daemon.home), "anna", PASSWORD)
        daemon.start()
        yield Scene(gateway, daemon, port, stack.enter_context(browser()))


def lines(window: Browser) -> str:
    """All lines of all graphs, as they are drawn now."""
    drawn = (
        "return [...document.querySelectorAll('.graph .line')]"
        ".map((one) => one.getAttribute('d')).join()"
    )
    return str(window.run(drawn))


def row(window: Browser, account: int) -> str:
    """What is to be read in the row of an account."""
    found = (
        "return document.getElementById('account-' + arguments[0])?.closest('tr').innerText ?? ''"
    )
    return str(window.run(found, account))


def axe(window: Browser) -> list[str]:
    """What axe finds wrong with the page as it is now."""
    spec = importlib.util.find_spec("axe_core_python")
    assert spec is not None
    assert spec.origin is not None
    window.run((Path(spec.origin).parent / "axe.min.js").read_text() + "\nreturn 0")
    found = window.wait(
        "const done = arguments[0]; axe.run().then((told) => done(told.violations))"
    )
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in WORSE]


def hosts(window: Browser) -> set[str]:
    """Which hosts were asked since this was asked for last; the browser's own pages are none."""
    told = [json.loads(row["message"])["message"] for row in window.log("performance")]
    asked = [
        urlsplit(one["params"]["request"]["url"])
        for one in told
        if one["method"] == "Network.requestWillBeSent"
    ]
    return {one.netloc for one in asked if one.scheme in WEB}


# --- looking ---


def test_the_page_is_there_at_once_and_asks_nobody_else(scene: Scene) -> None:
    hosts(scene.window)
    window = scene.open()

    paint = window.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    weight = window.run(
        "return performance.getEntries().reduce((sum, one) => sum + (one.initiatorType === "
        "'fetch' || one.name.includes('/api/') ? 0 : one.encodedBodySize || 0), 0)"
    )
    assert paint < 1_000
    assert 10_000 < weight < 150_000
    assert hosts(window) == {f"127.0.0.1:{scene.port}"}
    assert window.errors() == []


def test_graphs_move_and_an_order_is_seen_in_its_row(scene: Scene) -> None:
    window = scene.open()
    until(lambda: lines(window) != "", 20, "a line to be drawn")
    before = lines(window)

    scene.buy(FIRST)

    until(lambda: "long 1 MNQ" in row(window, FIRST), 20, "the position to be shown")
    until(lambda: lines(window) != before, 20, "the lines to have moved")
    window.until_text("section[aria-label='Event latency'] .value", "P95")
    assert "max-contracts: 1 of 2" in row(window, FIRST)
    assert window.errors() == []


def test_a_day_can_be_looked_back_on(scene: Scene) -> None:
    window = scene.open()
    window.click("#span-1440")
    pressed = "return document.getElementById('span-1440').getAttribute('aria-pressed')"
    assert window.run(pressed) == "true"
    shown = "return document.querySelector('section[aria-label=\"Event rate\"] svg').ariaLabel"
    until(lambda: "Event rate, " in str(window.run(shown)), 10, "the graph to say what it shows")
    window.run("document.querySelector('section[aria-label=\"Event rate\"] svg').focus()")
    window.press(LEFT)
    window.until_text("section[aria-label='Event rate'] .keys", "Chicago")
    assert window.errors() == []


def test_by_the_keyboard_alone_an_account_tells_everything_of_itself(scene: Scene) -> None:
    window = scene.open()
    window.run("document.getElementById('account-' + arguments[0]).focus()", FIRST)

    window.press(ENTER)

    window.until_text("tr.detail", "Working orders")
    window.until_text("tr.detail", "latency P50")
    focused = window.run("return [document.activeElement.id, document.activeElement.ariaExpanded]")
    assert focused == [f"account-{FIRST}", "true"]
    window.press(ENTER)
    until(lambda: window.text("tr.detail") == "", 5, "the details to be closed")


def test_a_search_leaves_the_accounts_that_are_meant(scene: Scene) -> None:
    window = scene.open()
    window.type("#filter", str(ACCOUNTS[1]))
    window.until_text("#accounts-title + span", "1 of 3 accounts")
    assert (row(window, FIRST), row(window, ACCOUNTS[1]) != "") == ("", True)


@pytest.mark.parametrize(("width", "is_dark"), [(1440, False), (1440, True), (390, False)])
def test_nothing_serious_is_wrong_for_who_sees_or_hears_it_otherwise(
    scene: Scene, width: int, is_dark: bool
) -> None:
    window = scene.open()
    window.size(width, 900)
    window.dark(is_dark)
    try:
        assert axe(window) == []
        assert window.run("return document.documentElement.scrollWidth") <= width
    finally:
        window.dark(False)


def test_without_script_the_same_address_tells_the_same(scene: Scene) -> None:
    scene.window.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        scene.window.go(f"http://127.0.0.1:{scene.port}/")
        html = scene.window.ask("GET", "/source")
    finally:
        scene.window.devtools("Emulation.setScriptExecutionDisabled", value=False)
    assert "Healthy: all 3 accounts are guarded and connected." in html
    assert f"HAND-{FIRST}" in html
    assert 'http-equiv="refresh"' in html


def test_a_tab_outlives_a_restart_of_the_console_and_says_what_it_missed(scene: Scene) -> None:
    window = scene.open()
    ready = scene.home.run / "console.json"
    pid = json.loads(ready.read_text())["pid"]

    psutil.Process(pid).kill()

    window.until_text("#verdict", "Not known since")
    assert "Other processes guard the accounts" in window.text("#lost")
    window.until_text("#missed", "The console was restarted.", 40)
    assert "This page was without data for" in window.text("#missed")
    assert "Everything below is up to date again" in window.text("#missed")
    window.until_text("#link", "Live")
    window.until_text("#verdict", "Healthy")
    window.click("#dismiss")
    until(lambda: window.text("#missed") == "", 5, "the note to be gone")
    window.errors()  # that it was away for a second is one
    assert json.loads(ready.read_text())["pid"] != pid


def told(window: Browser) -> list[Any]:
    """The samples that the page has."""
    found: list[Any] = window.wait(
        "const done = arguments[0];"
        "fetch('/api/v1/history?minutes=15').then((it) => it.json()).then((it) => done(it.samples))"
    )
    return found


def test_what_was_drawn_is_there_after_a_restart(scene: Scene) -> None:
    window = scene.open()
    until(lambda: len(told(window)) > 1, 30, "two samples to be kept")
    assert {"console", "journal"} <= set(told(window)[0]["processes"])


# --- acting ---


def login(window: Browser) -> None:
    """Log in as anna."""
    window.until_text("#login", "Log in")
    window.click("#login")
    window.type("#user", "anna")
    window.type("#password", PASSWORD)
    window.press(ENTER)
    window.until_text("#logout", "Log out anna")


def do(window: Browser, button: str, reason: str, typed: str = "") -> None:
    """Ask for something: its dialog, a reason, and what has to be typed."""
    until(lambda: window.text(button) != "", 20, f"{button} to be there")
    window.click(button)
    window.type("#reason", reason)
    if typed:
        window.type("#typed", typed)
    window.click("#do")


def done(window: Browser) -> str:
    """What came of it, once it is told."""
    until(lambda: window.text("#outcome") != "", 40, "what came of it")
    text = window.text("#outcome")
    window.click("#cancel")
    return text


def test_what_the_page_drew_anew_is_known_as_replaced_and_can_be_clicked(scene: Scene) -> None:
    window = scene.open()
    window.until_text("#login", "Log in")
    before = window.find("#link")
    window.run("const one = document.querySelector('#link'); one.replaceWith(one.cloneNode(true))")

    with pytest.raises(Replaced):
        window.ask("POST", f"/element/{before}/click", {})

    window.click("#link")


def test_a_wrong_password_is_told_and_the_next_try_has_to_wait(scene: Scene) -> None:
    window = scene.open()
    window.until_text("#login", "Log in")
    window.click("#login")
    window.type("#user", "anna")
    window.type("#password", "not the one\ue007")
    window.until_text("#said", "the name or the password is wrong; it was noted.")

    window.type("#password", PASSWORD + "\ue007")
    window.until_text("#said", "try again in")
    assert axe(window) == []
    assert "anna: wrong password" in scene.audit()

    def is_in() -> bool:
        window.run("document.getElementById('password').value = ''")
        window.type("#password", PASSWORD + "\ue007")
        until(lambda: window.text("#logout") + window.text("#said.bad") != "", 10, "an answer")
        return window.text("#logout") == "Log out anna"

    until(is_in, 10, "the wait to be over", every_s=0.5)
    window.click("#logout")
    window.until_text("#login", "Log in")
    window.errors()  # that it was refused twice


def test_a_rollout_is_started_promoted_and_aborted_from_the_page(scene: Scene) -> None:
    window = scene.open()
    login(window)
    scene.run("deploy", "plan", NEW, "--account", str(FIRST))

    do(window, "#approve", "agreed on the phone")
    assert NEW in done(window)
    do(window, "#start", "a calm day")
    assert f"{NEW} over {OLD}" in done(window)

    # The canary was what was asked for: it is entered once its shadow is judged.
    until(lambda: scene.on().get(FIRST) == NEW, 60, "the canary to be on the new release")
    until(lambda: list(scene.on().values()).count(OLD) == 2, 10, "the others to be as they were")
    window.until_text(".tree .now", "Canary")
    window.until_text(".dwell", " of 60 s")  # a second is a minute of this plan
    until(lambda: "first canary" in row(window, FIRST), 10, "its cohort to be shown")
    window.until_text(".cohorts", "Newly switched")
    window.until_text(".marks", "entered canary")

    window.until_text("#promote", "Promote to 100")
    until(lambda: promoted(window, "the canary is clean"), 60, "the rest to follow")
    until(lambda: set(scene.on().values()) == {NEW}, 40, "every account to be on it")
    until(lambda: "newly switched" in row(window, ACCOUNTS[1]), 10, "its cohort to be shown")

    do(window, "#abort", "limits look wrong")
    done(window)
    until(lambda: set(scene.on().values()) == {OLD}, 60, "every account to be back")
    window.until_text("#rollout-title + span", "aborted")
    window.until_text(".marks", "limits look wrong")
    assert {"anna: asked promote", "anna: done promote", "anna: done abort"} <= set(scene.audit())
    assert window.errors() == []


def test_accounts_are_rolled_back_from_the_page_after_a_rollout_is_over(scene: Scene) -> None:
    scene.run("deploy", "plan", NEW, "--account", str(FIRST))
    scene.run("rollout", "abort", "--reason", "all at once instead")
    scene.run("promote", "--all", "--to-version", NEW)
    until(lambda: set(scene.on().values()) == {NEW}, 30, "every account to be on the new release")
    window = scene.open()
    login(window)

    do(window, "#rollback", "it is slower than before")

    assert done(window).count(f"held by {OLD}") == len(ACCOUNTS) + 1
    until(lambda: set(scene.on().values()) == {OLD}, 20, "every account to be back")
    until(lambda: window.text("#rollback") == "", 20, "nothing to be left to roll back")
    assert scene.audit()[-2:] == ["anna: asked rollback", "anna: done rollback"]
    assert window.errors() == []


def promoted(window: Browser, reason: str) -> bool:
    """Ask to promote; what is missing is said in the dialog, and asked for again."""
    do(window, "#promote", reason)
    until(lambda: window.text("#outcome") + window.text("#said.bad") != "", 20, "an answer")
    is_done = window.text("#outcome") != ""
    window.click("#cancel")
    window.errors()
    return is_done


def test_a_tab_that_shows_an_old_state_does_nothing_and_shows_the_new_one(scene: Scene) -> None:
    window = scene.open()
    login(window)
    scene.run("deploy", "plan", NEW, "--account", str(FIRST))
    until(lambda: window.text("#approve") != "", 20, "the plan to be shown")
    window.click("#approve")
    window.type("#reason", "agreed")
    scene.run("rollout", "abort", "--reason", "another one comes first")

    window.click("#do")

    window.until_text("#said", "it is not as this page showed it any more; nothing was done.")
    window.click("#cancel")
    window.until_text("#rollout-title + span", "aborted")
    assert "anna: refused approve" in scene.audit()
    window.errors()


def test_after_a_restart_of_the_console_one_has_to_log_in_again(scene: Scene) -> None:
    window = scene.open()
    login(window)
    psutil.Process(json.loads((scene.home.run / "console.json").read_text())["pid"]).kill()
    window.until_text("#missed", "The console was restarted.", 40)
    window.until_text("#login", "Log in")
    window.errors()


def test_a_button_pressed_after_the_session_has_ended_does_nothing_and_says_so(
    scene: Scene,
) -> None:
    window = scene.open()
    login(window)
    asked_for = scene.audit().count("anna: asked flatten-all")
    ready_to_flatten(window)
    window.ask("DELETE", "/cookie")  # as the end of a session leaves a tab: it is nobody's

    window.click("#do")

    window.until_text("#said", "you are not logged in any more; nothing was done.")
    assert "Close this and log in again." in window.text("#said")
    window.click("#cancel")
    window.until_text("#login", "Log in")
    assert scene.audit().count("anna: asked flatten-all") == asked_for
    window.errors()  # that it was refused


def test_a_button_pressed_after_the_console_was_replaced_does_nothing_and_says_so(
    scene: Scene,
) -> None:
    window = scene.open()
    login(window)
    asked_for = scene.audit().count("anna: asked flatten-all")
    ready_to_flatten(window)
    psutil.Process(json.loads((scene.home.run / "console.json").read_text())["pid"]).kill()
    window.until_text("#missed", "The console was restarted.", 40)

    window.click("#do")

    window.until_text("#said", "you are not logged in any more; nothing was done.")
    window.click("#cancel")
    window.until_text("#login", "Log in")
    assert scene.audit().count("anna: asked flatten-all") == asked_for
    login(window)
    window.errors()  # that it was away, and refused


def ready_to_flatten(window: Browser) -> None:
    """Fill in the dialog of what is worst, up to the button that does it."""
    until(lambda: window.text("#flatten") != "", 20, "the button to be there")
    window.click("#flatten")
    window.type("#reason", "asked too late")
    window.type("#typed", "flatten all")


def test_flatten_all_is_typed_out_and_really_done(scene: Scene) -> None:
    for account in ACCOUNTS:
        scene.buy(account)
    until(lambda: all(scene.held()[one] for one in ACCOUNTS), 20, "all to hold something")
    window = scene.open()
    login(window)
    until(lambda: "long" in row(window, ACCOUNTS[2]), 20, "the positions to be shown")

    do(window, "#flatten", "the exchange is on fire", typed="flatten")
    window.until_text("#said", "type 'flatten all' to have it done")
    assert "3 accounts now hold positions" in window.text("dialog")
    assert axe(window) == []
    assert all(scene.held()[one] for one in ACCOUNTS)
    window.errors()

    window.type("#typed", " all")
    window.click("#do")

    told = done(window)
    assert told.count("flat, proven by query") == 3
    assert not any(scene.held()[one] for one in ACCOUNTS)
    until(lambda: "locked" in row(window, FIRST), 20, "the lock to be shown")
    assert "the exchange is on fire" in row(window, FIRST)
    assert scene.audit()[-2:] == ["anna: asked flatten-all", "anna: done flatten-all"]
    assert window.errors() == []

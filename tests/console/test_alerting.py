"""A running daemon watches itself: past a limit one alarm, short of it none; somebody is called."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from risk_daemon.core.events import RecordQuarantined
from risk_daemon.operations import daemon as running
from risk_daemon.operations.home import Home
from risk_daemon.stage.crowd import Crowd, hold
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.waiting import until
from tests.listening import Hook
from tests.untraced import leave_children_untraced

leave_children_untraced()
CROWD = Crowd(1, 1)
LOGIN = CROWD.login(0)
EVERYBODY = "traders, admins, management"
#: As quick as a test is, and past no limit on any machine.
QUIET: dict[str, float] = {
    "calm_s": 1,
    "memory_s": 1,
    "memory_mb": 1_000_000,
    "latency_ms": 600_000,
    "latency_events": 4,
    "error_percent": 100,
    "error_events": 20,
    "blind_s": 3_000,
    "disconnected_s": 3_000,
    "disconnects": 1_000,
    "disk_free_gb": 0,
}


class Scene:
    """A daemon of one account, and a chat that gets everything."""

    def __init__(self, gateway: Gateway, daemon: Daemon) -> None:
        self.gateway, self.daemon = gateway, daemon
        self.chat, self.watch = Hook(), Hook()
        (daemon.home / "credentials" / "chat.url").write_text(self.chat.url)
        (daemon.home / "credentials" / "watch.url").write_text(self.watch.url)

    def configure(self, beside: str = "", **limits: float) -> None:
        """Have these limits in force, and the rest of the file."""
        told = ", ".join(f"{key}: {value}" for key, value in {**QUIET, **limits}.items())
        (self.daemon.home / "config" / "alerts.yaml").write_text(
            "channels:\n"
            f"  - {{name: chat, kind: discord, audiences: [{EVERYBODY}], least: info,"
            " address: file:credentials/chat.url}\n"
            f"thresholds: {{{told}}}\n{beside}"
        )

    def lines(self, *words: str) -> list[str]:
        """What the chat got that has all these words, a line each."""
        got = [line for one in self.chat.got for line in one["content"].splitlines()]
        return [line for line in got if all(word in line for word in words)]

    def gets(self, *words: str, times: int = 1) -> str:
        """Wait until the chat got so many lines with these words; return the last."""
        until(lambda: len(self.lines(*words)) >= times, 30, f"the chat to get {words}")
        return self.lines(*words)[-1]

    def send(self, text: str, *words: str) -> int:
        """Send a message, wait for it, and return its number."""
        self.daemon.run("alert", "send", text, "--to", "traders", *words).ok()
        return int(self.gets(text).rpartition(", ")[2].rstrip("]"))

    def turns(self, name: str) -> None:
        """Let the daemon look at itself: it does every second, by the journal's own pulse."""
        begin = self.pulses()
        until(lambda: self.pulses() >= begin + 3, 20, "three pulses")
        self.send(name, "--level", "info")

    def pulses(self) -> int:
        """Whole seconds of the journal's time."""
        at = running.tail(Home(self.daemon.home), 1, ("pulse",))[-1].at
        return at // 1_000_000_000

    def escalates(self) -> bool:
        kept = json.loads((self.daemon.home / "state" / "alerting.json").read_bytes())
        return bool(kept["escalates_since"])

    def listed(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.daemon.run("alert", "list", "--json").out)["data"]
        return data

    def cut_off(self, seconds: int) -> None:
        """Have the login lose its streams, and refused for so long."""
        self.gateway.fault("hub_refuse", login=LOGIN, seconds=seconds)
        self.gateway.fault("hub_close", login=LOGIN)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "alerting", CROWD, 5, None)
        daemon.start()
        found = Scene(gateway, daemon)
        stack.callback(found.chat.close)
        stack.callback(found.watch.close)
        found.configure()
        until((daemon.home / "state" / "channel-chat.json").is_file, 20, "the channel")
        yield found


# --- the brief's table ---


def test_memory_is_told_past_its_limit_once_also_after_a_kill_and_told_when_over(
    scene: Scene,
) -> None:
    scene.turns("short of it")
    assert scene.lines("memory:") == []

    scene.configure(memory_mb=1)
    told = scene.gets("memory:")
    assert told.startswith("WARN memory: the daemon's processes hold ")
    assert "MB, at most 1 MB is usual" in told
    scene.daemon.kill("console")
    scene.send("after the kill")
    scene.turns("still past it")
    assert len(scene.lines("memory:")) == 1

    scene.configure()
    assert "INFO memory: over: the daemon's processes hold" in scene.gets("INFO memory")
    assert len(scene.lines("memory:")) == 2


def test_latency_is_told_past_its_limit_once(scene: Scene) -> None:
    hold(scene.gateway, CROWD.accounts(), 1)
    scene.turns("quick enough")
    assert scene.lines("latency:") == []

    scene.configure(latency_ms=0)
    scene.turns("with another limit")
    hold(scene.gateway, CROWD.accounts(), 1)

    told = scene.gets("WARN latency: event processing latency: P95 over 0 ms")
    assert "records within 5 min took longer" in told
    scene.turns("after latency")
    assert len(scene.lines("WARN latency:")) == 1
    scene.configure()


def test_an_error_rate_is_told_past_its_limit_once(scene: Scene) -> None:
    odd = RecordQuarantined(account=0, source="a test", why="it is odd", raw="{}")
    for _ in range(25):
        running.append(Home(scene.daemon.home), odd)
    scene.turns("as many as may be")
    assert scene.lines("error rate") == []

    scene.configure(error_percent=1)

    told = scene.gets("PAGE error rate: error rate over 1 %: 25 in")
    assert "consider a rollback" in told
    scene.turns("after the errors")
    assert len(scene.lines("PAGE error rate:")) == 1
    scene.configure()
    scene.gets("INFO error rate: over:")


def test_a_disconnected_login_is_told_when_it_lasts_and_not_when_it_comes_back(
    scene: Scene,
) -> None:
    scene.configure(disconnected_s=20)
    scene.gateway.fault("hub_close", login=LOGIN)
    scene.turns("a moment")
    scene.daemon.wait_healthy()
    assert scene.lines("disconnected") == []

    scene.configure(disconnected_s=3)
    scene.cut_off(8)

    told = scene.gets(f"PAGE disconnected: login {LOGIN} is disconnected for more than 3 s")
    assert "flatten at the broker" in told
    assert "over" in scene.gets("INFO disconnected: over:")
    assert len(scene.lines("PAGE disconnected:")) == 1
    scene.daemon.wait_healthy()


def test_repeated_disconnects_are_told_once(scene: Scene) -> None:
    scene.configure(disconnects=1)

    told = scene.gets("WARN repeated disconnects:")

    assert f"login {LOGIN} was disconnected" in told
    scene.turns("after the disconnects")
    assert len(scene.lines("WARN repeated disconnects:")) == 1
    scene.configure()


def test_a_login_that_sees_nothing_is_told_sooner_than_that_it_is_lost(scene: Scene) -> None:
    scene.configure(blind_s=20)
    scene.gateway.fault("hub_close", login=LOGIN)
    scene.turns("blind for a moment")
    scene.daemon.wait_healthy()
    assert scene.lines("blind:") == []

    scene.configure(blind_s=2)
    scene.cut_off(8)

    assert "is not connected for more than 2 s" in scene.gets(f"WARN blind: login {LOGIN}")
    scene.gets("INFO blind: over:")
    assert len(scene.lines("WARN blind:")) == 1
    scene.daemon.wait_healthy()
    scene.configure()


def test_a_held_contract_without_a_price_is_told_when_it_lasts_and_not_before(
    scene: Scene,
) -> None:
    hold(scene.gateway, CROWD.accounts(), 1)
    scene.configure(stale_s=3_000)
    scene.gateway.fault("market_silence", seconds=30)
    until(lambda: "stale" in scene.daemon.run("status").out, 30, "the price to be old")
    scene.turns("old for a moment")
    assert scene.lines("stale:") == []

    scene.configure(stale_s=1)

    assert "is held, and its price is old and proven by nothing" in scene.gets("WARN stale:")
    scene.gets("INFO stale: over:", "is held")
    assert len(scene.lines("WARN stale:")) == 1
    scene.configure()


@pytest.mark.parametrize(
    ("what", "key", "limit", "says"),
    [
        ("disk", "disk_free_gb", 1_000_000, "GB are free on the disk of the journal, less than"),
        ("calendar", "calendar_days", 1_000_000, "the calendar of trading days ends in"),
        ("backup age", "backup_age_h", 0, "the newest verified backup is 0 h old, more than"),
    ],
)
def test_what_a_house_keeps_is_told_once_past_its_limit_and_told_when_over(
    scene: Scene, what: str, key: str, limit: float, says: str
) -> None:
    if what == "backup age":
        scene.daemon.run("backup", "create").ok()
        scene.daemon.kill("console")  # what is in the house is looked at every minute, and at first
    scene.turns(f"short of {what}")
    assert scene.lines(f"{what}:") == []

    scene.configure("", **{key: limit})

    assert says in scene.gets(f"WARN {what}:")
    scene.turns(f"past {what}")
    assert len(scene.lines(f"WARN {what}:")) == 1
    scene.configure()
    assert "over:" in scene.gets(f"INFO {what}:")


def test_a_home_without_a_verified_backup_is_told_once_until_it_has_one(scene: Scene) -> None:
    shutil.rmtree(scene.daemon.home / "backups", ignore_errors=True)
    scene.daemon.kill("console")  # what is in the house is looked at every minute, and at first
    scene.turns("young enough to have none")
    assert scene.lines("no verified backup:") == []

    scene.configure(backup_age_h=0)

    told = scene.gets("WARN no verified backup: there is no verified backup of this home")
    assert "h old, more than 0 h: `risk-daemon-admin backup create` makes one" in told
    scene.turns("still without one")
    assert len(scene.lines("WARN no verified backup:")) == 1
    scene.daemon.run("backup", "create").ok()
    scene.daemon.kill("console")
    assert "over: there is no" in scene.gets("INFO no verified backup:")
    scene.configure()


# --- who looks after it ---

ESCALATION = "escalation: {after_minutes: 0.1, to: [admins, management]}\n"


def test_what_nobody_acknowledges_goes_to_the_next_and_what_somebody_does_goes_nowhere(
    scene: Scene,
) -> None:
    before = scene.send("raised before there was an escalation")
    scene.configure(ESCALATION)
    until(scene.escalates, 20, "the escalation to be in force")

    taken = scene.send("the router smokes")
    listed = scene.daemon.run("alert", "list").out
    assert f"not acknowledged: {taken} urgent message: the router smokes" in listed
    assert ", goes to admins at " in listed
    would = scene.daemon.run("alert", "ack", str(taken), "--by", "kim", "--dry-run").ok()
    assert "would be acknowledged by kim" in would.out
    done = scene.daemon.run("alert", "ack", str(taken), "--by", "kim").ok()
    assert done.out == f"{taken} urgent message: acknowledged by kim; stored\n"
    again = scene.daemon.run("alert", "ack", str(taken), "--by", "lee").ok()
    assert "kim has it since" in again.out
    assert f"{taken} (message) is looked after by kim" in scene.gets("acknowledged:")

    left = scene.send("the cellar is wet")
    scene.daemon.kill("console")
    first = scene.gets("PAGE not acknowledged: not acknowledged by traders for 0.1 min", "cellar")
    assert f"(risk-daemon-admin alert ack {left})" in first
    scene.gets("not acknowledged by traders for 0.2 min", "cellar")
    scene.send("all were called", "--level", "info")

    assert len(scene.lines("not acknowledged by", "cellar")) == 2
    assert scene.lines("not acknowledged by", "router") == []
    assert scene.lines("not acknowledged by", f"ack {before})") == []
    scene.configure()


def test_acknowledging_what_is_no_alarm_is_refused(scene: Scene) -> None:
    refused = scene.daemon.run("alert", "ack", "1")

    assert refused.code == 5
    assert "there is no alarm 1; nothing was acknowledged" in refused.err


def test_a_silence_hides_until_it_ends_and_never_a_page(scene: Scene) -> None:
    run = scene.daemon.run
    assert "a silence has a reason" in run("alert", "silence", "message", "--for", "1h").err
    assert "a silence has an end" in run("alert", "silence", "message", "--reason", "x").err
    long = run("alert", "silence", "message", "--for", "8d", "--reason", "x")
    assert (long.code, "too long, at most 7 d" in long.err) == (2, True)

    run("alert", "silence", "message", "--for", "1h", "--by", "kim", "--reason", "a drill").ok()
    assert "message is silent until" in scene.gets("silenced:", "says kim: a drill")
    assert "silent: message until" in run("alert", "list").out
    run("alert", "send", "nobody hears this").ok()
    scene.send("and everybody this", "--level", "page")
    assert scene.lines("nobody hears this") == []
    alarms = scene.daemon.api("/api/v1/alarms?limit=20")["alarms"]
    assert any("nobody hears this" in one["text"] for one in alarms)

    run("alert", "silence", "message", "--end").ok()
    scene.send("heard again")
    assert run("alert", "silence", "message", "--end").code == 5


# --- the dead man ---


def test_a_heartbeat_goes_out_while_all_is_guarded_and_only_then(scene: Scene) -> None:
    scene.configure("heartbeat: {address: file:credentials/watch.url, every_s: 1}\n")
    until(lambda: scene.watch.calls >= 3, 30, "three heartbeats")
    assert scene.listed()["heartbeat"]["heard_at"]

    scene.cut_off(8)
    until(lambda: bool(scene.listed()["heartbeat"]["withheld"]), 20, "it to be withheld")
    assert "accounts are not guarded" in scene.listed()["heartbeat"]["withheld"]
    assert (
        "heartbeat: withheld, 1 of 1 accounts are not guarded"
        in scene.daemon.run("alert", "list").out
    )
    silent = scene.watch.calls
    until(lambda: scene.daemon.run("health").code == 0, 60, "all to be guarded again")
    until(lambda: scene.watch.calls > silent, 30, "heartbeats again")

    scene.watch.code = 500
    until(lambda: "500" in scene.listed()["heartbeat"]["failed"], 20, "the failure to be told")
    assert scene.daemon.run("alert", "list").code == 1
    scene.watch.code = 204
    until(lambda: not scene.listed()["heartbeat"]["failed"], 20, "it to be heard again")

    scene.daemon.stop()
    ended = scene.watch.calls
    assert scene.listed()["heartbeat"]["heard_at"]
    assert scene.watch.calls == ended

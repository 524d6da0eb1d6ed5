"""A rollout from one account to all and back, by its commands, on a real daemon."""

from __future__ import annotations

import contextlib
import json
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from risk_daemon.clock import Clock
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases.gating import judge
from risk_daemon.operations.releases.under_way import now_of
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Daemon, Done
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, NEW = release(), "v9.0.0"
CROWD = Crowd(2, 3)
FIRST = CROWD.accounts()[0]
#: Minutes of 20 ms, and no gate: who goes when, and the way back, are what is shown here.
PLAN = """\
production: false
minute: 20ms
gates: []
phases:
  - {name: shadow, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: canary, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: [], risk_cap: 100}
  - {name: 50, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: [], risk_cap: 100}
  - {name: 100, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: soak, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
"""


class Scene:
    """A daemon of six accounts with positions, and a second release."""

    def __init__(self, gateway: Gateway, daemon: Daemon) -> None:
        self.gateway, self.daemon = gateway, daemon
        self.home = Home(daemon.home)

    def run(self, *words: str) -> Done:
        return self.daemon.run(*words)

    def on(self) -> dict[int, str]:
        """Which release enforces each account, by its worker's own word, once all have given it."""
        until(lambda: all(row["enforcing"] for row in self.rows()), 10, "every account enforced")
        return {int(row["account"]): row["release"] for row in self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """Who holds each account."""
        found: list[dict[str, Any]] = asked.status(self.home)["accounts"]
        return found

    def rollout(self) -> dict[str, Any]:
        found: dict[str, Any] = self.run("rollout", "status", "--json").data["data"]
        return found

    @contextlib.contextmanager
    def watching(self) -> Iterator[Iterator[dict[str, Any]]]:
        """Watch the rollout, look after look; who watches ends it with Ctrl-C, and that is ok."""
        with self.daemon.begin("rollout", "watch", "--json") as running:
            assert running.stdout is not None
            try:
                yield (json.loads(line)["data"] for line in running.stdout)
                running.send_signal(signal.SIGINT)
                assert running.wait(20) == 0
            finally:
                running.kill()

    def items(self, which: str) -> dict[str, dict[str, Any]]:
        """The open list of a checklist, item by item."""
        done = self.run("checklist", which, "--json")
        assert done.code == 3
        return {one["item"]: one for one in done.data["data"]["items"]}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "rollout", CROWD, 5, None)
        install(daemon.home, NEW)
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        yield Scene(gateway, daemon)


def test_without_a_rollout_there_is_nothing_to_stop_to_go_on_with_or_to_show(scene: Scene) -> None:
    assert "no rollout was begun here" in scene.run("rollout", "status").ok().out
    assert "nothing was being switched" in scene.run("deploy", "stop").ok().out
    assert "every account is where it was" in scene.run("rollout", "abort").ok().out
    further = scene.run("deploy", "percentage", "--percent", "10")
    assert (further.code, "there is no rollout here to go on with" in further.err) == (5, True)
    pause = scene.run("rollout", "pause", "--dry-run")
    assert (pause.code, "there is no rollout here" in pause.err) == (5, True)
    with scene.watching() as seen:
        assert "phases" not in next(seen)
    start = scene.run("rollout", "start")
    assert (start.code, "there is no rollout here; begin one" in start.err) == (3, True)
    for which in ("during", "post"):
        checked = scene.run("checklist", which)
        assert (checked.code, "no rollout was begun here" in checked.err) == (5, True)


def test_a_dry_plan_says_what_is_foreseen_and_stores_nothing(scene: Scene) -> None:
    told = scene.run("deploy", "plan", NEW, "--account", str(FIRST), "--dry-run").ok()

    assert "canary: 1 account" in told.out
    assert "50: 3 accounts" in told.out
    assert "with 6 accounts a percentage is no sample" in told.err
    assert "no rollout was begun here" in scene.run("rollout", "status").ok().out


def test_a_release_goes_from_one_account_to_all_and_back(scene: Scene) -> None:
    scene.run("deploy", "plan", NEW, "--account", str(FIRST)).ok()
    early = scene.run("rollout", "start")
    assert (early.code, "1 more to approve start" in early.err) == (3, True)
    scene.run("rollout", "approve", "start", "--by", "anna").ok()

    canary = scene.run("deploy", "canary", "--account", str(FIRST)).ok()

    assert scene.on() == {number: NEW if number == FIRST else OLD for number in CROWD.accounts()}
    assert f"{FIRST}: {NEW}" in canary.out
    assert "smoke pass, reconcile pass" in canary.out
    during = scene.items("during")
    assert during["canary-deployed"]["told"] == f"1 of 1 account on {NEW}"
    assert during["canary-smoke"]["ticked"]
    assert during["canary-metrics"]["told"] == "the plan has no gate for this phase"
    assert during["50-deployed"]["told"] == f"1 of 3 accounts on {NEW}"
    decided = ["--sign", "canary-decision", "--by", "anna", "--note", "proceed"]
    scene.run("checklist", "during", *decided).ok()
    assert scene.items("during")["canary-decision"]["told"] == "signed by anna: proceed"
    later = scene.run("checklist", "during", "--version", "v8.0.0")
    assert (later.code, f"the last rollout here is of {NEW}" in later.err) == (5, True)

    scene.run("deploy", "percentage", "--percent", "50").ok()
    assert sorted(scene.on().values()) == sorted([NEW] * 3 + [OLD] * 3)
    scene.run("deploy", "percentage", "--percent", "100").ok()
    assert set(scene.on().values()) == {NEW}
    assert {name for name, one in scene.items("post").items() if one["ticked"]} == {
        "everywhere",
        "never-back",
    }
    scene.run("checklist", "post", "--sign", "retrospective", "--by", "anna").ok()
    assert scene.items("post")["retrospective"]["ticked"]

    back = scene.run("rollout", "abort", "--reason", "the demonstration is over").ok()

    assert set(scene.on().values()) == {OLD}
    assert "aborted" in back.out
    assert scene.rollout()["stage"] == "aborted"
    assert scene.rollout()["why"] == "the demonstration is over"
    after = scene.items("post")
    assert after["everywhere"]["told"] == f"0 of 6 accounts on {NEW}"
    assert "went back: the demonstration is over" in after["never-back"]["told"]
    assert after["metrics"]["told"] == "the rollout is aborted"
    scene.run("rollout", "report", NEW)
    assert scene.items("post")["logs-archived"]["ticked"]
    assert not scene.items("during")["canary-deployed"]["ticked"]


def test_a_way_back_that_was_gone_is_the_measured_drill_for_the_next_release(scene: Scene) -> None:
    now = now_of(scene.home, Clock())
    [drill] = [one for one in judge(scene.home, NEW, now) if one.gate == "rollback drill"]

    assert drill.says == "pass"
    assert re.fullmatch(r"the last rollback took \d+\.\d s", drill.sentence)


def test_nothing_is_switched_while_it_is_held_and_a_stop_is_repeatable(scene: Scene) -> None:
    scene.run("deploy", "plan", NEW, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.run("deploy", "canary", "--account", str(FIRST)).ok()

    for _ in range(2):
        stopped = scene.run("deploy", "stop", "--reason", "look first").ok()
        assert f"to go back: scripts/rollback_daemon.sh --to-version {OLD}" in stopped.out
    held = scene.run("deploy", "percentage", "--percent", "50")

    assert held.code == 3
    assert "on hold since" in held.err
    assert list(scene.on().values()).count(NEW) == 1
    scene.run("rollout", "resume", "--reason", "understood").ok()
    scene.run("deploy", "percentage", "--percent", "50").ok()
    assert list(scene.on().values()).count(NEW) == 3


def test_whoever_watches_sees_a_pause_come_and_go(scene: Scene) -> None:
    with scene.watching() as seen:
        assert next(seen)["holds"] == []
        would = scene.run("rollout", "pause", "--dry-run").ok()
        assert "nobody would be moved" in would.out
        assert scene.rollout()["holds"] == []

        scene.run("rollout", "pause", "--reason", "look").ok()
        assert any(one["holds"] for one in seen)
        assert "every hold would be ended" in scene.run("rollout", "resume", "--dry-run").out
        assert len(scene.rollout()["holds"]) == 1

        scene.run("rollout", "resume", "--reason", "seen").ok()
        assert any(not one["holds"] for one in seen)


def test_a_new_supervisor_goes_on_where_the_row_was_written(scene: Scene) -> None:
    before = scene.rollout()
    scene.daemon.processes()["supervisor"].kill()
    scene.run("start").ok()

    until(lambda: scene.rollout().get("stage") == before["stage"], 10, "the rollout to be known")
    scene.run("deploy", "percentage", "--percent", "100").ok()

    assert set(scene.on().values()) == {NEW}


def test_a_rollback_of_all_ends_the_rollout_that_moved_them(scene: Scene) -> None:
    back = scene.run("rollback", "--all", "--to-version", OLD, "--reason", "look again").ok()

    assert "aborted" in back.out
    assert set(scene.on().values()) == {OLD}
    assert "0 accounts" not in scene.run("rollback", "--all", "--to-version", OLD).ok().out

    scene.run("deploy", "plan", NEW, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.run("deploy", "canary", "--account", str(FIRST)).ok()


def test_what_was_done_is_written_with_who_and_why(scene: Scene) -> None:
    told = scene.run("rollout", "history").ok().out

    assert "approved start, anna: none given" in told
    assert "look again" in told
    rows = scene.run("rollout", "history", "--limit", "3", "--json").data["data"]["entries"]
    assert len(rows) == 3
    assert all(row["evidence"] for row in rows)


def test_an_incident_brings_every_account_back_and_says_what_to_rotate(scene: Scene) -> None:
    would = scene.run("rollout", "incident", "--reason", "a key", "--dry-run").ok()
    assert "every account would go back" in would.out
    assert NEW in scene.on().values()

    told = scene.run("rollout", "incident", "--reason", "a key was seen", "--by", "anna").ok()

    assert set(scene.on().values()) == {OLD}
    assert "why: security incident: anna: a key was seen" in told.out
    assert f"rotate: the key of login {CROWD.login(0)}" in told.out
    again = scene.run("rollout", "incident", "--reason", "a key").ok()
    assert "every account is where it was" in again.out
    scene.run("deploy", "plan", NEW, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.run("deploy", "canary", "--account", str(FIRST)).ok()


def test_a_crash_of_the_candidate_brings_every_account_back_by_itself(scene: Scene) -> None:
    rows = asked.status(scene.home)["accounts"]
    scene.daemon.processes()[rows[0]["holder"]].kill()

    until(lambda: set(scene.on().values()) == {OLD}, 20, "every account to be back")

    assert "crash" in scene.rollout()["why"]
    # It ends once each account was read; reads wait for room in the broker's window of a minute.
    until(lambda: scene.rollout()["stage"] == "aborted", 90, "the rollout to be aborted")

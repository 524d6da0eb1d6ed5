"""A small home's recorded past counts in the shadow of a rollout: for a release and against it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.releases.under_way import standing
from risk_daemon.operations.rollouts import differences
from risk_daemon.operations.stored import entries
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import LIMIT, Crowd
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from risk_daemon.worker.differing import AT_REST
from tests.depot import build
from tests.supervisor.test_rollout import Scene
from tests.untraced import leave_children_untraced

leave_children_untraced()
pytestmark = pytest.mark.timeout(300)

OLD, SAME, LOOSER = release(), "v9.0.0", "v9.1.0"
CROWD = Crowd(1, 4)
ACCOUNTS = CROWD.accounts()
RULE = "rules/max_contracts.py"
OVER = "        if exposure > self.limit:\n"
PLAN = """\
production: false
minute: 1s
gates: []
phases:
  - {name: shadow, wall: 600s, open_minutes: 0, events: 0, situations: [], gates: [decisions]}
  - {name: canary, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: 100, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: soak, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
"""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "recorded", CROWD, 5, None)
        install(daemon.home, SAME)
        # Looser by what only the past has: two contracts more than the limit.
        install(daemon.home, LOOSER, (RULE, OVER, OVER.replace("limit:", "limit + 2 * UNIT:")))
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        daemon.start()
        yield Scene(gateway, daemon)


def breaches(scene: Scene) -> int:
    return len(list(entries(scene.home.state / "journal.db", ("breach-found",))))


def live(scene: Scene, times: int) -> None:
    """Have every account break its limit so often, each time answered."""
    for _ in range(times):
        wanted = breaches(scene) + len(ACCOUNTS)
        trade(scene, "buy", LIMIT + 1)
        until(lambda wanted=wanted: breaches(scene) >= wanted, 30, "every breach")  # type: ignore[misc]
        until(lambda: held(scene) == {LIMIT}, 30, "every account to be at its limit")
        trade(scene, "sell", LIMIT)
        until(lambda: held(scene) == {0}, 30, "every account to be flat")


def rest(scene: Scene) -> None:
    """Let so much of the stream go by that a release that went astray is counted again."""
    done_at = asked.tail(scene.home, 1)[0].at
    until(lambda: asked.tail(scene.home, 1)[0].at > done_at + 2 * AT_REST, 60, "the accounts' rest")


def trade(scene: Scene, side: str, size: int) -> None:
    for account in ACCOUNTS:
        scene.gateway.post(
            "/order", account=account, contract="MNQ", side=side, size=size, type="market"
        )


def held(scene: Scene) -> set[int]:
    rows = scene.gateway.get("/truth")["accounts"]
    return {sum(abs(one["q"]) for one in row["positions"]) for row in rows}


def begin(scene: Scene, version: str) -> None:
    scene.run("deploy", "plan", version, "--account", str(ACCOUNTS[0])).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.run("rollout", "start").ok()


def counted(scene: Scene) -> int:
    """How many recorded firings the verdict on decisions has counted in this phase."""
    found = standing(scene.home)["judged"]["verdicts"]
    return next(
        (int(one["counts"]["from recorded"]) for one in found if one["gate"] == "decisions"), 0
    )


def test_what_was_recorded_before_is_counted_in_the_shadow(scene: Scene) -> None:
    live(scene, 2)

    begin(scene, SAME)

    until(lambda: counted(scene) == breaches(scene), 100, "the recorded days to be counted")
    assert breaches(scene) == 2 * len(ACCOUNTS)
    scene.run("rollout", "abort").ok()


def test_a_second_rollout_has_the_same_past_and_each_finding_is_told_once(scene: Scene) -> None:
    rest(scene)
    live(scene, 1)
    begin(scene, SAME)

    until(lambda: counted(scene) == breaches(scene), 100, "the recorded days to be counted again")

    scene.run("rollout", "abort").ok()
    coverage = scene.run("rollout", "diff").ok().out
    (line,) = [one for one in coverage.splitlines() if one.startswith(f"{SAME}: max-contracts:")]
    # Whoever was still warm decided the last ones live too; they are told once all the same.
    told = re.search(r" (\d+) live, (\d+) recorded", line)
    assert told is not None
    assert sum(map(int, told.groups())) == breaches(scene)


def test_a_release_that_would_have_let_it_pass_is_looser_in_what_was_recorded(
    scene: Scene,
) -> None:
    found = asyncio.run(differences.recorded_of_pair(scene.home, LOOSER, OLD, 1 << 60))

    assert {(one.verdict, one.source) for one in found} == {("looser", "recorded")}
    assert {one.account for one in found} == set(ACCOUNTS)
    assert len(found) >= 2 * len(ACCOUNTS)  # of what came within a difference nobody can tell
    assert asyncio.run(differences.recorded_of_pair(scene.home, LOOSER, OLD, 1)) == []


def test_a_release_of_the_depot_is_unpacked_by_the_canary_itself(
    scene: Scene, tmp_path: Path
) -> None:
    made = build.release(tmp_path / "made", build.Recipe(version="v8.0.0"))
    scene.home.trusted_keys.write_text(f"{build.KEY.trusted.text}\n")
    depot = str(tmp_path / "depot")
    scene.daemon.run("release", "add", str(made), RISK_DAEMON_DEPOT=depot).ok()
    (scene.home.config / "rollout.yaml").write_text("phases: 7\n")

    words = ("deploy", "canary", "--account", str(ACCOUNTS[0]), "--version", "v8.0.0")
    said = scene.daemon.run(*words, RISK_DAEMON_DEPOT=depot)

    assert (said.code, "rolling out v8.0.0" in said.err) == (2, True)  # the plan is no plan
    assert (scene.home.releases / "v8.0.0" / "staged.json").is_file()
    assert set(scene.on().values()) == {OLD}

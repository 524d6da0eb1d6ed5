"""An emergency: fewer phases and less evidence, two persons and a reason; no look is left out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Done
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from tests.supervisor.test_gates import Scene, suite
from tests.untraced import leave_children_untraced

leave_children_untraced()

ROOT: Final = Path(__file__).resolve().parents[2]
OLD, NEW = release(), "v9.0.0"
CROWD: Final = Crowd(1, 2)
FIRST: Final = str(CROWD.accounts()[0])
WITHIN_S: Final = 120.0
WHY: Final = "v1.2.0 closes too late"
PLAN: Final = """\
production: false
minute: 20ms
phases:
  - {name: shadow, wall: 10ms, gates: []}
  - {name: canary, wall: 10ms, risk_cap: 100}
  - {name: 100}
  - {name: soak, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
"""
HEAD: Final = f"EMERGENCY by anna: {WHY}"


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "emergency", CROWD, 5, None)
        install(daemon.home, NEW)
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        yield Scene(daemon)


def script(scene: Scene, *words: str) -> Done:
    """Run the brief's line for a canary, by its script."""
    line = (str(ROOT / "scripts" / "deploy_canary.sh"), "--account", FIRST, "--version", NEW)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", *line, *words],
        env=scene.daemon.environment | {"RISK_DAEMON_HOME": str(scene.home.path), "PATH": path},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    return Done(line, done.returncode, done.stdout, done.stderr)


def on(scene: Scene) -> list[str]:
    """Which release has each account, in the order of the accounts."""
    return [str(row["release"]) for row in asked.status(scene.home)["accounts"]]


def refused(scene: Scene, code: int, done: Done) -> str:
    """Take what a line said that moved nobody."""
    assert done.code == code, done.err
    assert on(scene) == [OLD, OLD]
    assert "Traceback" not in done.err
    return done.err


def test_without_a_reason_it_is_none(scene: Scene) -> None:
    said = refused(scene, 2, script(scene, "--emergency"))

    assert "reason: an emergency leaves evidence out, so it says why; add --reason" in said
    assert "no rollout was begun here" in scene.run("rollout", "status").ok().out


def test_a_dry_one_says_what_would_be_left_out_and_stores_nothing(scene: Scene) -> None:
    told = script(scene, "--emergency", "--reason", WHY, "--dry-run").ok()

    assert "EMERGENCY: not asked before the start: tests, live tests, coverage" in told.err
    assert "EMERGENCY: no phase of 10 % and 50 %" in told.err
    assert "no rollout was begun here" in scene.run("rollout", "status").ok().out


def test_what_was_begun_as_a_release_does_not_become_an_emergency(scene: Scene) -> None:
    scene.run("deploy", "plan", NEW, "--account", FIRST).ok()

    said = refused(scene, 3, script(scene, "--emergency", "--reason", WHY))

    assert "was not planned as an emergency; nothing was changed" in said
    assert "EMERGENCY" not in scene.run("rollout", "status").out
    scene.run("rollout", "abort").ok()


def test_it_asks_for_a_signature_and_for_two_persons(scene: Scene) -> None:
    said = refused(scene, 3, script(scene, "--emergency", "--reason", WHY, "--by", "anna"))
    assert "signature says fail" in said
    assert "2 more to approve start" in said
    assert HEAD in scene.run("rollout", "status").out

    scene.sign(suite(skipped=1))
    scene.run("rollout", "approve", "start", "--by", "anna", "--reason", WHY).ok()
    scene.run("rollout", "approve", "start", "--by", "anna", "--reason", WHY).ok()

    said = refused(scene, 3, script(scene))
    assert "signature" not in said
    assert "1 more to approve start" in said


def test_then_the_canary_has_it_looked_at_like_any_other(scene: Scene) -> None:
    scene.run("rollout", "approve", "start", "--by", "ben", "--reason", "I saw it too").ok()

    told = script(scene).ok()

    assert on(scene) == [NEW, OLD]
    assert HEAD in told.out
    assert "smoke pass, reconcile pass" in told.out


def test_it_has_no_percentages_between(scene: Scene) -> None:
    further = scene.run("deploy", "percentage", "--percent", "10")

    assert further.code == 2
    assert "percent: 10 is no phase of this plan; its percentages: 100" in further.err
    assert on(scene) == [NEW, OLD]


def test_what_can_be_skipped_is_no_look_and_no_way_back(scene: Scene) -> None:
    for gate in ("fence", "smoke", "reconcile", "standby"):
        words = ("rollout", "override", gate, "--reason", WHY, "--by", "anna", "--break-glass")
        said = scene.run(*words)

        assert (said.code, f"'{gate}' can't be overridden" in said.err) == (3, True)


def test_it_is_shown_as_an_emergency_to_its_end_and_to_be_reviewed_afterwards(
    scene: Scene,
) -> None:
    everywhere = scene.run("deploy", "percentage", "--percent", "100").ok()
    assert on(scene) == [NEW, NEW]
    assert HEAD in everywhere.out
    assert everywhere.out.count("smoke pass, reconcile pass") == 2
    assert HEAD in scene.run("rollout", "promote", "soak").ok().out

    done = scene.run("rollout", "complete").ok()

    assert "marked complete" in done.out
    assert HEAD in scene.run("rollout", "status").ok().out
    report = (scene.home.path / "rollouts" / f"{NEW}.md").read_text()
    review = report.partition("To be reviewed afterwards:")[2].partition("\n\n|")[2]
    assert f"| it is an emergency | anna | {WHY} |" in review.partition("\n\n")[0]
    told = asked.ask(scene.home, asked.SUPERVISOR, "rollout", {}, 10.0)
    assert (told["kind"], told["plan"]["by"], told["plan"]["reason"]) == ("emergency", "anna", WHY)

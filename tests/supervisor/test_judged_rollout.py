"""Rollouts that are judged: what a release decides otherwise stops it before it may act."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.supervisor.test_rollout import Scene
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, SAME, LOOSER, STRICTER = release(), "v9.0.0", "v9.1.0", "v9.2.0"
#: A trader's own: the scripts of the rules are most of the firings that are asked for.
CROWD = Crowd(1, 2)
FIRST = CROWD.accounts()[0]
RULE = "rules/max_contracts.py"
OVER = "        if exposure > self.limit:\n"
PLAN = """\
production: false
minute: 1s
gates: []
phases:
  - {name: shadow, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: [decisions]}
  - {name: canary, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: [errors, latency]}
  - {name: 100, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: soak, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
"""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "judged", CROWD, 5, None)
        install(daemon.home, SAME)
        install(daemon.home, LOOSER, (RULE, OVER, OVER.replace("limit:", "limit + UNIT:")))
        install(daemon.home, STRICTER, (RULE, OVER, OVER.replace(">", ">=")))
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        yield Scene(gateway, daemon)


def begin(scene: Scene, version: str) -> None:
    scene.run("deploy", "plan", version, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.run("rollout", "start").ok()


def said(scene: Scene) -> list[str]:
    """What each gate of the present phase says."""
    (now,) = [one for one in scene.rollout()["phases"] if one["state"] == "now"]
    return [row["says"] for row in now["gates"]]


def test_a_looser_release_is_stopped_in_shadow_before_anyone_is_switched(scene: Scene) -> None:
    begin(scene, LOOSER)

    until(lambda: scene.rollout()["stage"] == "aborted", 40, "the looser release to be stopped")

    assert "looser" in scene.rollout()["why"]
    assert set(scene.on().values()) == {OLD}
    assert all(row["epoch"] == 2 for row in scene.rollout()["accounts"])  # raised, and never moved
    assert "looser: " in scene.run("rollout", "diff").out


def test_a_stricter_release_is_held_for_a_person_to_classify(scene: Scene) -> None:
    begin(scene, STRICTER)

    until(lambda: bool(scene.rollout()["holds"]), 40, "the stricter release to be held")

    assert "stricter" in scene.rollout()["holds"][0]["reason"]
    further = scene.run("rollout", "promote", "canary")
    assert (further.code, "on hold since decisions said" in further.err) == (3, True)
    scene.run("rollout", "abort", "--reason", "it is not meant").ok()
    assert set(scene.on().values()) == {OLD}


def test_a_release_that_decides_alike_passes_its_shadow_and_is_judged_in_the_canary(
    scene: Scene,
) -> None:
    scene.run("deploy", "plan", SAME, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()

    scene.run("deploy", "canary", "--account", str(FIRST)).ok()

    until(lambda: "nothing yet" not in said(scene), 20, "both gates to say something")

    [pair] = scene.run("rollout", "diff", "--json").data["data"]["pairs"][:1]
    scripted = {row["rule"]: row["generated"] for row in pair["rules"]}
    assert (pair["release"], scripted["no-stop-loss-grace"] > 20) == (SAME, True)
    early = scene.run("deploy", "percentage", "--percent", "100")
    assert early.code == 3
    assert "errors says " in early.err
    told = scene.run("rollout", "explain", "errors").ok().out
    assert told.startswith("errors: ")
    assert "samples stored since" in told
    assert "the 3. episode of a class fails if it comes within 32 records" in told
    assert "fact records: " in told
    unknown = scene.run("rollout", "explain", "weather")
    assert (unknown.code, "there is no gate 'weather'" in unknown.err) == (2, True)
    judged = scene.rollout()["judged"]
    assert [row["cohort"] for row in judged["cohorts"]] == ["first", "new", "incumbent"]
    scene.run("rollout", "abort").ok()
    over = scene.run("rollout", "explain", "errors")
    assert (over.code, "nothing is judged now: the rollout is aborted" in over.err) == (3, True)


def test_a_release_that_is_tried_again_is_judged_by_what_it_decides_again(scene: Scene) -> None:
    scene.run("deploy", "plan", SAME, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()

    scene.run("deploy", "canary", "--account", str(FIRST)).ok()

    assert scene.on()[FIRST] == SAME
    scene.run("rollout", "abort").ok()


def test_a_report_has_the_audit_and_keeps_what_people_wrote(scene: Scene) -> None:
    first = scene.run("rollout", "report", SAME)
    assert (first.code, "still to be written in it by people" in first.err) == (1, True)
    file = scene.home.path / "rollouts" / f"{SAME}.md"
    text = file.read_text()
    assert f"# Rollout of {SAME}" in text
    assert "| started | " in text
    assert "handed over: median" in text

    file.write_text(text.replace("Lessons learned: (to be written)", "Lessons learned: none"))
    scene.run("rollout", "report", SAME).ok()
    assert "Lessons learned: none" in file.read_text()

    absent = scene.run("rollout", "report", "v0.0.9")
    assert (absent.code, "nothing was written of a rollout of v0.0.9" in absent.err) == (5, True)

"""A deployment that is over: it is written down, kept, and what nobody needs is let go."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Iterator

import pytest

from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from tests.supervisor.test_rollout import Scene
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, NEW = release(), "v9.0.0"
OLDER = ("v8.0.0", "v8.1.0", "v8.2.0")
CROWD = Crowd(1, 2)
FIRST = CROWD.accounts()[0]
PLAN = """\
production: false
minute: 20ms
gates: []
phases:
  - {name: shadow, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: canary, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: 100, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: soak, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "completed", CROWD, 5, None)
        daemon.environment["RISK_DAEMON_DEPOT"] = str(tmp_path_factory.mktemp("depot"))
        for version in (*OLDER, NEW):
            install(daemon.home, version)
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        daemon.start()
        yield Scene(gateway, daemon)


def test_without_a_rollout_there_is_nothing_to_complete(scene: Scene) -> None:
    done = scene.run("rollout", "complete")

    assert (done.code, "there is no rollout here" in done.err) == (3, True)


def test_a_rollout_that_is_not_at_its_end_is_not_complete(scene: Scene) -> None:
    scene.run("deploy", "plan", NEW, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.run("deploy", "canary", "--account", str(FIRST)).ok()

    done = scene.run("rollout", "complete")

    assert done.code == 3
    assert not (scene.home.path / "rollouts").exists()
    assert (scene.home.releases / OLDER[0]).is_dir()


def test_at_its_end_it_is_written_down_kept_and_cleaned_up(scene: Scene) -> None:
    scene.run("deploy", "percentage", "--percent", "100").ok()
    scene.run("rollout", "promote", "soak").ok()
    told = scene.run("rollout", "complete", "--dry-run")
    assert (told.code, scene.rollout()["stage"]) == (0, "soak")

    done = scene.run("rollout", "complete", "--reason", "a quiet week").ok()

    assert scene.rollout()["stage"] == "done"
    kept = scene.home.path / "rollouts"
    assert f"# Rollout of {NEW}" in (kept / f"{NEW}.md").read_text()
    assert json.loads((kept / f"{NEW}.json").read_text())["stage"] == "done"
    with tarfile.open(kept / f"{NEW}.tar.gz") as archive:
        names = archive.getnames()
    assert any(f"worker-1@{NEW}" in name for name in names)
    assert f"{OLDER[0]}: removed from" in done.out
    assert not (scene.home.releases / OLDER[0]).exists()
    assert (scene.home.releases / NEW).is_dir()
    assert "still to be written in it by people" in done.err
    assert set(scene.on().values()) == {NEW}


def test_the_cleaning_up_can_be_repeated(scene: Scene) -> None:
    assert "nothing was done" in scene.run("rollout", "complete", "--dry-run").ok().err

    again = scene.run("rollout", "complete").ok()

    assert "releases: nothing to remove" in again.out

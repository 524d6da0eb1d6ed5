"""A daemon whose releases fail one after the other: who guards its account, at every moment.

In order: each test goes on with the daemon that the one before left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from risk_daemon.supervisor.lasting import GOOD
from risk_daemon.wire.record import decode
from tests.supervisor.test_failover import ACCOUNT, Scene
from tests.supervisor.test_moves import of_release
from tests.untraced import leave_children_untraced

leave_children_untraced()

OWN, LAST = release(), "v9.0.0"
#: A release whose workers end as soon as they are started.
BROKEN = (
    "programs/worker.py",
    "    stop, lost = asyncio.Event(), asyncio.Event()\n",
    "    return 9\n",
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Scene(tmp_path_factory.mktemp("resorts"))
    install(found.daemon.home, LAST)
    found.daemon.kill("supervisor")
    good = found.daemon.home / "state" / GOOD
    good.write_text(json.dumps({"format": 1, "releases": [LAST]}))
    found.daemon.start()
    try:
        yield found
    finally:
        found.close()


def alarms(scene: Scene, what: str) -> list[str]:
    found = asked.tail(Home(scene.daemon.home), 200, ("alarm-raised",))
    facts = [decode(one).fact for one in found]
    return [getattr(one, "text", "") for one in facts if getattr(one, "what", "") == what]


def break_release(scene: Scene, version: str) -> None:
    """From now on no worker of it can be started; those that run are killed."""
    shutil.rmtree(scene.daemon.home / "releases" / version, ignore_errors=True)
    install(scene.daemon.home, version, BROKEN)
    for name in [one for one in scene.pids() if one.endswith(f"@{version}")]:
        scene.daemon.kill(name)


def events(scene: Scene) -> list[dict[str, object]]:
    lines = (scene.daemon.home / "logs" / "protector.out").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_release_that_cannot_be_started_is_followed_by_the_last_good_one(scene: Scene) -> None:
    break_release(scene, OWN)

    until(lambda: of_release(scene) == LAST, 40, "the last good release to enforce")

    scene.breach_is_answered()
    (text,) = alarms(scene, "last good release")
    assert text.startswith(f"{OWN} did not stay up 3 times within ten minutes")


def test_where_that_fails_too_the_minimal_protector_closes_what_a_lock_forbids(
    scene: Scene,
) -> None:
    lock = ("lockout", "set", "--account", str(ACCOUNT), "--mode", "flatten-lock", "--reason", "x")
    scene.daemon.run(*lock).ok()
    plans = list((scene.daemon.home / "state").glob(f"plan-{ACCOUNT}-*.txt"))
    until(lambda: any(b'"full"' in path.read_bytes() for path in plans), 10, "the lock in the plan")
    break_release(scene, LAST)

    until(lambda: "protector" in scene.pids(), 40, "the protector")
    scene.buy(1)
    until(lambda: scene.held() > 0, 5, "the order to fill")
    until(lambda: scene.held() == 0, 20, "the protector to close it")

    until(lambda: any(one["event"] == "closed" for one in events(scene)), 10, "its word for it")
    (closed, *_) = [one for one in events(scene) if one["event"] == "closed"]
    assert (closed["by"], closed["why"]) == ("link-north", "the account is locked")
    assert len(alarms(scene, "minimal protector")) == 1


def test_a_new_supervisor_finds_the_protector_and_keeps_it(scene: Scene) -> None:
    pid = scene.pids()["protector"]
    scene.daemon.kill("supervisor")

    scene.daemon.run("start")

    until(lambda: "supervisor" in scene.pids(), 10, "the new supervisor")
    assert scene.pids()["protector"] == pid


def test_once_a_release_enforces_again_the_protector_is_relieved(scene: Scene) -> None:
    shutil.rmtree(scene.daemon.home / "releases" / OWN)

    until(lambda: of_release(scene) == OWN, 30, "the own release to enforce")
    until(lambda: "protector" not in scene.pids(), 30, "the protector to be relieved")

    assert alarms(scene, "minimal protector")[-1] == "relieved: all is enforced again"
    rows = asked.status(Home(scene.daemon.home))["processes"]
    assert "protector" not in [row["name"] for row in rows]
    scene.daemon.wait_healthy()

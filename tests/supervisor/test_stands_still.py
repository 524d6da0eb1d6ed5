"""What nobody foresaw ends the rollout's host: it is told, and the daemon protects as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.second_release import copy, install
from risk_daemon.stage.waiting import until
from tests.supervisor.test_failover import ACCOUNT, Scene
from tests.untraced import leave_children_untraced

leave_children_untraced()

NEW = "v9.0.0"
HOSTING = "operations/rollouts/hosting.py"
JUDGES = "            await asyncio.sleep(JUDGE_EVERY_S)\n"
#: The task that judges ends with what no code expects, once a file says so.
ENDS = """\
            await asyncio.sleep(LOOK_EVERY_S)
            if (self._daemon.home / "unforeseen").exists():
                raise KeyError("nobody thought of it")
"""


class Ending(Scene):
    """A daemon whose rollout host can be ended."""

    def made(self, folder: Path) -> Daemon:
        copy(folder / "tree", (HOSTING, JUDGES, ENDS))
        return Daemon(folder / "home", folder / "tree")

    def prepare(self) -> None:
        install(self.daemon.home, NEW)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Ending(tmp_path_factory.mktemp("still"))
    try:
        yield found
    finally:
        found.close()


def test_it_stands_still_says_so_and_every_account_stays_protected(scene: Scene) -> None:
    lease = scene.lease()
    (scene.daemon.home / "unforeseen").touch()

    def pages() -> list[bytes]:
        alarms = asked.tail(Home(scene.daemon.home), 20, ("alarm-raised",))
        return [one.payload for one in alarms if b"the rollout stands still" in one.payload]

    until(lambda: len(pages()) > 0, 10, "people to be told")
    (page,) = pages()
    assert b"every account stays with whom it has" in page
    assert scene.lease() == lease
    scene.breach_is_answered()


def test_a_wish_is_refused_with_what_works_without_it(scene: Scene) -> None:
    done = scene.daemon.run("deploy", "plan", NEW, "--account", str(ACCOUNT))

    assert done.code == 1
    assert "the rollout stands still: " in done.err
    assert "`risk-daemon-admin rollback --all --to-version` works without it" in done.err
    scene.breach_is_answered()

"""A release that holds nothing keeps snapshots too: it is warm again soon after any restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from risk_daemon.core.world import STATE_SCHEMA
from risk_daemon.journal.reader import Reader
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.which_release import release
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from risk_daemon.worker.recovery import SURROUNDINGS
from tests.supervisor.test_failover import ACCOUNT, Scene
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, NEW = release(), "v9.0.0"
EVERY = 20
WARM_WITHIN_S = 30.0


class Eager(Scene):
    """Its workers keep a snapshot every few records."""

    def prepare(self) -> None:
        config = Home(self.daemon.home).config / "daemon.yaml"
        config.write_text(f"{config.read_text()}\nsnapshot_every: {EVERY}\n")
        install(self.daemon.home, NEW)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Eager(tmp_path_factory.mktemp("waiting"))
    try:
        yield found
    finally:
        found.close()


def last_seq(scene: Scene) -> int:
    return int(asked.journal_status(Home(scene.daemon.home))["last_seq"])


def kept(scene: Scene, version: str) -> int:
    """The record at which a release's newest complete snapshots were taken; 0 if there are none."""
    with closing(Reader(Home(scene.daemon.home).state / FILE)) as reader:
        found = reader.snapshots(version, STATE_SCHEMA, -1, 9)
    whole = {one.account for one in found} == {SURROUNDINGS, ACCOUNT}
    return min(one.seq for one in found) if whole else 0


def both_are_kept_after(scene: Scene, seq: int) -> None:
    until(lambda: kept(scene, NEW) > seq, 10, f"snapshots of {NEW}")
    until(lambda: kept(scene, OLD) > seq, 10, f"snapshots of {OLD}")


def test_a_release_that_never_held_an_account_keeps_snapshots_beside_its_holder(
    scene: Scene,
) -> None:
    asked.ask(Home(scene.daemon.home), asked.SUPERVISOR, "warm", {"release": NEW}, WARM_WITHIN_S)
    before = last_seq(scene)
    scene.breach_is_answered()

    both_are_kept_after(scene, before)


def test_and_so_does_the_one_that_is_there_for_the_way_back(scene: Scene) -> None:
    scene.daemon.run("promote", "--to-version", NEW, "--all").ok()
    before = last_seq(scene)
    scene.breach_is_answered()

    both_are_kept_after(scene, before)

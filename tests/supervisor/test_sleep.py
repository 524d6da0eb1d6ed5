"""A machine that slept: nobody is killed for it, everything is read anew, and people are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from risk_daemon.clock import ABSENT_NS, SECOND_NS, Clock
from risk_daemon.core.events import FeedChanged
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.stage.waiting import until
from risk_daemon.wire.record import decode
from tests.supervisor.test_failover import Scene
from tests.supervisor.test_last_resorts import alarms
from tests.untraced import leave_children_untraced

leave_children_untraced()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Scene(tmp_path_factory.mktemp("sleep"))
    try:
        yield found
    finally:
        found.close()


def test_after_a_sleep_the_same_processes_read_everything_and_enforce(scene: Scene) -> None:
    until(lambda: len(scene.pids()) == 6, 10, "the standby to be there")
    pids, lease, clock = scene.pids(), scene.lease(), Clock()
    processes = list(scene.daemon.processes().values())
    fell_asleep = clock.steady_ns()

    for process in processes:
        process.suspend()
    scene.buy(5)
    until(lambda: clock.steady_ns() > fell_asleep + ABSENT_NS + SECOND_NS, 20, "a long nap")
    for process in processes:
        process.resume()

    until(lambda: scene.held() == 2, 20, "what was bought meanwhile to be reduced to the limit")
    until(lambda: bool(alarms(scene, "asleep")), 10, "people to be told")
    (text,) = alarms(scene, "asleep")
    assert text.startswith("was asleep, or its clock was set, from ")
    scene.daemon.wait_healthy()
    assert (scene.pids(), scene.lease()) == (pids, lease)
    feeds = [decode(one).fact for one in asked.tail(Home(scene.daemon.home), 50, ("feed-changed",))]
    shown = [(one.state, one.why) for one in feeds if isinstance(one, FeedChanged)]
    assert shown[-1] == ("trusted", "")
    assert any(state != "trusted" for state, _ in shown[-3:])

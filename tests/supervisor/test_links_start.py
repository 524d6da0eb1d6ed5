"""Links that start together: what they all need is loaded once and lies in memory once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.supervisor.spare import DIVIDES, WORD

CROWD = Crowd(logins=3, each=1)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    config = tmp_path / "referee.yaml"
    config.write_text(CROWD.scenario())
    gateway = Gateway(tmp_path, config=config)
    daemon = Daemon(tmp_path / "home")
    daemon.found(gateway)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
        gateway.stop()


def test_every_link_is_a_part_of_the_one_that_has_loaded(daemon: Daemon) -> None:
    links = {
        name: process.cmdline()
        for name, process in daemon.processes().items()
        if name.startswith("link-")
    }

    assert sorted(links) == [f"link-{CROWD.login(number)}" for number in range(CROWD.logins)]
    parts = [name for name, words in links.items() if WORD in words]
    assert (len(parts) == CROWD.logins) is DIVIDES

"""The five smoke lines, each failing when its cause is broken: a line that cannot fail is none."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.defects import Defect, Patch, plant
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.waiting import until

REFEREE = """\
seed: 11
traders: false
profile: calm
logins:
  - user: north
    api_key: a-long-north-key
    accounts: [{id: 101, name: NORTH-1}]
limits:
  default: {max_contracts: 2, daily_realized_loss: "500.00"}
"""


OVER, UNDER = "        if exposure > self.limit:\n", "        if exposure < self.limit:\n"
INVERTED = Defect(
    name="inverted",
    sentence="max-contracts trips below its limit",
    patches=(Patch("rules", OVER, UNDER),),
    told_by="test-rule",
    tells=lambda _: True,
)


class Scene:
    """A daemon whose `max-contracts` is the wrong way round from the start."""

    def __init__(self, folder: Path) -> None:
        config = folder / "referee.yaml"
        config.write_text(REFEREE)
        self.gateway = Gateway(folder, config=config)
        plant(INVERTED, folder / "tree")
        self.daemon = Daemon(folder / "home", folder / "tree")
        self.daemon.found(self.gateway)
        self.daemon.start()

    def close(self) -> None:
        self.daemon.stop()
        self.gateway.stop()

    @contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        running = self.daemon.processes()
        for name in names:
            running[name].suspend()
        try:
            yield
        finally:
            for name in reversed(names):
                running[name].resume()
            self.daemon.wait_healthy()

    def curl_health(self) -> int:
        port = json.loads((self.daemon.home / "run" / "console.json").read_text())["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Scene(tmp_path_factory.mktemp("smoke"))
    try:
        yield found
    finally:
        found.close()


def test_health_says_no_while_a_login_is_blind(scene: Scene) -> None:
    until(lambda: scene.curl_health() == 200, 10, "health to say yes")

    scene.gateway.fault("hub_refuse", seconds=4)
    scene.gateway.fault("hub_reset")

    until(lambda: scene.curl_health() == 503, 10, "health to say no")
    until(lambda: scene.curl_health() == 200, 20, "health to say yes again")


def test_connection_says_no_while_the_hubs_refuse(scene: Scene) -> None:
    scene.gateway.fault("hub_refuse", seconds=6)
    scene.gateway.fault("hub_reset")

    until(lambda: scene.daemon.run("test-connection").code == 1, 10, "test-connection to say no")
    until(lambda: scene.daemon.run("test-connection").code == 0, 20, "test-connection to say yes")


def test_status_says_no_when_the_stream_does_not_advance(scene: Scene) -> None:
    until(lambda: scene.daemon.run("status", "--show-events").code == 0, 10, "status to say yes")

    # The supervisor would kill a journal that stands still and start another one.
    with scene.frozen("supervisor", "journal"):
        assert scene.daemon.run("status", "--show-events").code != 0


def test_persistence_says_no_when_the_journal_does_not_write(scene: Scene) -> None:
    assert scene.daemon.run("test-persistence").code == 0

    with scene.frozen("supervisor", "journal"):
        said = scene.daemon.run("test-persistence")

    assert said.code != 0
    assert "journal" in said.err + said.out


def test_a_rule_that_is_the_wrong_way_round_fails(scene: Scene) -> None:
    said = scene.daemon.run("test-rule", "max-contracts")

    assert said.code == 1
    assert "fail" in said.out
    assert scene.daemon.run("test-rule", "kill-switch").code == 0

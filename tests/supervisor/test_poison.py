"""A record that a release cannot fold: its account is guarded otherwise, all others as ever.

In order: each test goes on with the daemon that the one before left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.supervisor import test_failover
from tests.supervisor.test_failover import Scene
from tests.supervisor.test_last_resorts import alarms
from tests.untraced import leave_children_untraced

leave_children_untraced()

OWN, HEALTHY = release(), "v9.0.0"
WELL, ILL = 101, 102
#: A release that stumbles over every fill of three contracts of one account.
STUMBLES = (
    "core/account.py",
    "    known = account.booked.get(fact.trade)\n    holding = account.holding(fact.contract)\n",
    "    if (fact.account, fact.size) == (102, 3):\n        raise ArithmeticError('three')\n"
    "    known = account.booked.get(fact.trade)\n    holding = account.holding(fact.contract)\n",
)
REFEREE = test_failover.REFEREE.replace(
    "accounts: [", "accounts: [{id: 102, name: NORTH-2}, "
).replace("max_contracts: 2", "max_contracts: 9")


class Ill(Scene):
    """Two accounts; the daemon's own release is the one that stumbles."""

    referee = REFEREE

    def prepare(self) -> None:
        install(self.daemon.home, OWN, STUMBLES)
        install(self.daemon.home, HEALTHY)

    def rows(self) -> dict[int, dict[str, Any]]:
        found: list[dict[str, Any]] = asked.status(Home(self.daemon.home))["accounts"]
        return {row["account"]: row for row in found}

    def trade(self, account: int, side: str, size: int) -> None:
        before = self.held_by(account)
        order = {"account": account, "contract": "MNQ", "side": side, "size": size}
        self.gateway.post("/order", **order, type="market")
        until(lambda: self.held_by(account) != before, 10, "the order to fill")

    def held_by(self, account: int) -> int:
        rows = self.gateway.get("/truth")["accounts"]
        (mine,) = [row["positions"] for row in rows if row["account"] == account]
        return sum(int(one["q"]) for one in mine)

    def guarded_by_the_protector(self) -> list[int]:
        if "protector" not in self.pids():
            return []
        told = json.loads((self.daemon.home / "state" / "protector.json").read_text())
        return [account for login in told["logins"] for account in login["accounts"]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ill]:
    folder: Path = tmp_path_factory.mktemp("poison")
    found = Ill(folder)
    try:
        yield found
    finally:
        found.close()


def test_without_another_release_the_account_is_left_to_the_protector(scene: Ill) -> None:
    before, pids = scene.rows(), scene.pids()

    scene.trade(ILL, "buy", 3)

    until(lambda: scene.guarded_by_the_protector() == [ILL], 20, "the protector for the account")
    until(lambda: not scene.rows()[ILL]["enforcing"], 5, "nobody to say that he enforces it")
    assert scene.rows()[WELL] == before[WELL]
    assert {name: pid for name, pid in scene.pids().items() if name != "protector"} == pids
    texts = alarms(scene, "poison record")
    assert len(texts) == 2
    assert all("cannot be folded: ArithmeticError: three" in text for text in texts)


def test_the_other_account_is_enforced_as_ever(scene: Ill) -> None:
    sent = len(scene.gateway.get("/requests?after=0")["requests"])

    scene.trade(WELL, "buy", 12)

    until(lambda: scene.held_by(WELL) == 9, 10, "the breach to be answered")
    assert len(scene.gateway.get("/requests?after=0")["requests"]) > sent
    assert scene.held_by(ILL) == 3


def test_a_release_that_can_fold_it_gets_it_and_the_protector_is_relieved(scene: Ill) -> None:
    scene.daemon.run("promote", "--to-version", HEALTHY, "--account", str(WELL)).ok()

    until(lambda: scene.rows()[ILL]["release"] == HEALTHY, 20, "the other release to get it")
    until(lambda: scene.rows()[ILL]["enforcing"], 10, "the other release to enforce it")
    until(lambda: "protector" not in scene.pids(), 20, "the protector to be relieved")
    scene.trade(ILL, "buy", 9)
    until(lambda: scene.held_by(ILL) == 9, 10, "the breach to be answered")

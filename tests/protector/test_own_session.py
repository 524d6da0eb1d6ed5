"""The protector alone with the broker: no link, no journal, no worker; a plan and a key."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.journal.plans import Plans
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.waiting import until

REFEREE = """\
seed: 11
traders: false
profile: calm
logins:
  - user: north
    api_key: a-long-north-key
    accounts: [{id: 101, name: NORTH-1}, {id: 102, name: NORTH-2}, {id: 103, name: NORTH-3}]
"""
LIMITED, FREE, PLANLESS = 101, 102, 103


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    config = tmp_path / "referee.yaml"
    config.write_text(REFEREE)
    found = Gateway(tmp_path, config=config)
    yield found
    found.stop()


def home_of(folder: Path, gateway: Gateway, key: str = "a-long-north-key") -> Path:
    home = folder / "home"
    (home / "state").mkdir(parents=True)
    (home / "key").write_text(f"{key}\n")
    login = {
        "name": "north",
        "user": "north",
        "credentials": "file:key",
        "accounts": [LIMITED, FREE, PLANLESS],
    }
    orders = {"format": 1, "api_url": f"{gateway.url}/api", "offset_s": 0, "logins": [login]}
    (home / "state" / "protector.json").write_text(json.dumps(orders))
    plans = Plans(home / "state")
    for account, floor in ((LIMITED, "9999999.00"), (FREE, "1.00")):
        body = {"format": 1, "account": account, "login": "north", "floor": floor}
        plans.keep(account, json.dumps(body | {"locks": [], "contracts": {}}).encode())
    return home


class Running:
    """A protector's process."""

    def __init__(self, home: Path) -> None:
        self.out = home / "protector.out"
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "risk_daemon.programs.protector", "--home", str(home)],
                stdout=out,
                stderr=out,
            )

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.out.read_text().splitlines()
        return [found for line in lines if (found := json.loads(line))["event"] == name]

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


def held(gateway: Gateway) -> dict[int, int]:
    rows = gateway.get("/truth")["accounts"]
    return {row["account"]: sum(int(one["q"]) for one in row["positions"]) for row in rows}


def order(gateway: Gateway, account: int, **more: Any) -> None:
    body = {"account": account, "contract": "MNQ", "side": "buy", "size": 2, "type": "market"}
    gateway.post("/order", **(body | more))


def test_at_its_limit_an_account_is_closed_and_no_other_one(
    tmp_path: Path, gateway: Gateway
) -> None:
    for account in (LIMITED, FREE, PLANLESS):
        order(gateway, account)
    until(lambda: all(held(gateway).values()), 10, "every account to hold something")

    protector = Running(home_of(tmp_path, gateway))
    try:
        until(lambda: held(gateway)[LIMITED] == 0, 20, "the protector to close it")
        until(lambda: bool(protector.events("closed")), 5, "its word for it")
        until(lambda: bool(protector.events("no plan")), 5, "its word for the account without")
    finally:
        code = protector.end()

    (closed, *_) = protector.events("closed")
    assert (code, closed["account"], closed["by"]) == (0, LIMITED, "own session")
    assert closed["why"].endswith("is at the limit of 9999999.00")
    assert [one["account"] for one in protector.events("no plan")] == [PLANLESS]
    assert (held(gateway)[FREE], held(gateway)[PLANLESS]) == (2, 2)
    paths = [row["path"] for row in gateway.get("/requests?after=0")["requests"]]
    assert "/Order/place" not in paths


def test_a_key_that_is_refused_is_told_and_never_shown(tmp_path: Path, gateway: Gateway) -> None:
    protector = Running(home_of(tmp_path, gateway, key="a-wrong-key"))
    try:
        until(lambda: bool(protector.events("blind")), 10, "its word for it")
    finally:
        protector.end()

    assert "/Auth/loginKey: code" in protector.events("blind")[0]["why"]
    assert "a-wrong-key" not in protector.out.read_text()


def test_without_knowing_whom_to_guard_it_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "protector.json").write_text("{}")

    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon.programs.protector", "--home", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "protector.json can't be read" in done.stderr

"""`init` writes five rules that act; a daemon runs on them; what is open is previewed."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from risk_daemon.clock import Clock
from risk_daemon.core.instrument import parse
from risk_daemon.core.session import chicago_instant
from risk_daemon.operations.accounts.own_session import Held, Standing
from risk_daemon.operations.configuration import founding
from risk_daemon.operations.configuration.loading import load
from risk_daemon.operations.home import Home
from risk_daemon.operations.running import preview
from risk_daemon.stage.gateway import Gateway, wednesday_offset_s
from tests.cli.conftest import REFEREE, Admin, wait_until_gone

FIVE = {
    "max-contracts",
    "daily-combined-loss",
    "trailing-max-drawdown",
    "end-of-day-flatten",
    "kill-switch",
}
WEDNESDAY = date(2026, 11, 18)


def modes(home: Home, account: int) -> dict[str, str]:
    return {one.rule: one.mode for one in load(home.config).policy(account).rules}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose clock says Wednesday, ten in Chicago: no day ends during a test."""
    folder = tmp_path_factory.mktemp("gateway")
    config = folder / "referee.yaml"
    config.write_text(REFEREE)
    running = Gateway(folder, config=config, offset_s=wednesday_offset_s(Clock()))
    try:
        yield running
    finally:
        running.stop()


def test_a_daemon_of_the_first_configuration_guards_by_five_rules(
    gateway: Gateway, tmp_path: Path
) -> None:
    key = tmp_path / "north.key"
    key.write_text("a-long-north-key\n")
    key.chmod(0o600)
    admin = Admin(Home(tmp_path / "home"), {})
    login = f"north:north:file:{key}:101,102"
    words = ["--environment", "demo", "--gateway", gateway.url, "--login", login]
    said = admin.told(0, "init", *words, "--start-balance", "50000.00", "--drawdown", "2000.00")
    assert "no position is open" in said.out
    settings = admin.home.config / "daemon.yaml"
    offset = wednesday_offset_s(Clock())
    text = settings.read_text().replace("port: 8080", "port: 0")
    settings.write_text(f"{text}\nclock:\n  offset_s: {offset}\n")
    try:
        admin.told(0, "start", "--timeout", "40")

        tried = admin.told(0, "test-rule", "--all", "--json").data()["accounts"]
        status = admin.told(0, "status").out
    finally:
        admin("stop", "--yes")
        wait_until_gone(admin.home)

    passed = {(row["account"], row["rule"]) for row in tried if row["result"] == "pass"}
    assert passed >= {(account, rule) for account in (101, 102) for rule in FIVE}
    assert {rule for rule, mode in modes(admin.home, 101).items() if mode == "enforce"} == FIVE
    assert not re.search(r"reduce-only|full \(", status)


def test_amounts_that_are_none_make_no_home(tmp_path: Path) -> None:
    admin = Admin(Home(tmp_path / "home"), {})
    words = ["--environment", "demo", "--gateway", "http://127.0.0.1:9", "--login", "a:me:env:1"]

    said = admin.told(2, "init", *words, "--drawdown", "much")

    assert re.search(r"trailing-max-drawdown.drawdown is .much.; allowed: an amount", said.err)
    assert not admin.home.path.exists()


def test_what_a_start_would_make_of_an_account_is_said(tmp_path: Path) -> None:
    plan = founding.plan_from_logins("staging", None, ["alpha:me:env:1,2,3"])
    home = Home(tmp_path / "home")
    configuration = founding.found(home, plan, "2026-11-18T00:00:00+00:00", "tester")
    balances = {1: parse("50500.00"), 2: parse("25000.00"), 3: parse("150000.00")}
    found = Standing(balances=balances, held=(Held(account=1, contract="MNQ", quantity=2),))
    morning, evening = (chicago_instant(WEDNESDAY, hour * 60) for hour in (10, 16))

    assert list(preview.effects(found, configuration, morning)) == [
        "1: +2 MNQ: within its size, stays as it is",
        "2: balance 25000.00, the drawdown's floor is 48000.00: reduce-only until confirmed,"
        " nothing is closed; `risk-daemon-admin config set-rule 2 trailing-max-drawdown"
        " start=... drawdown=...` says what it began with",
        "3: balance 150000.00 is far above a start of 50000.00: its floor protects too little;"
        " `risk-daemon-admin config set-rule 3 trailing-max-drawdown start=... drawdown=...`"
        " says what it began with",
    ]
    (line, *_) = preview.effects(found, configuration, evening)
    assert line == (
        "1: +2 MNQ: the day has ended for new entries: reduce-only until confirmed,"
        " nothing is closed"
    )

"""What needs a person, and what needs a second one, waits for them and says who it was."""

import json
import re

import pytest
from msgspec.structs import asdict

from risk_daemon.operations import state_file
from risk_daemon.operations.configuration import postponed
from risk_daemon.operations.configuration.loading import load
from risk_daemon.operations.configuration.postponed import Postponed
from tests.cli.conftest import Admin, Gateway
from tests.cli.test_config import limits
from tests.cli.test_with_a_daemon import buy, eventually, positions, sell
from tests.operations import build

CONFIRM = ["lockout", "confirm", "--account", "NORTH-1", "--reason", "it is meant"]


def alarms(admin: Admin) -> list[str]:
    entries = state_file.latest(admin.home, ("alarm-raised",), 50)
    return [str(getattr(entry.fact, "text", "")) for entry in entries]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("lockout confirm --account 1", 2, "Missing option '--reason'"),
        ("lockout confirm --account 9 --reason x", 5, "there is no account '9' here"),
        ("lockout confirm --account 1 --reason x", 0, "1 ONE: no limit waits to be confirmed"),
        ("config approve 1", 2, "Missing option '--reason'"),
        ("config approve 9 --reason x", 5, "there is no account '9' here"),
        ("config approve 1 --reason x", 0, "nothing waits for the next trade day of 1"),
        ("config approve all --reason x", 0, "nothing waits for the next trade day"),
    ],
)
def test_where_nothing_waits_nothing_is_done(
    admin: Admin, words: str, code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(code, *words.split())

    assert sentence in said.out + said.err
    assert build.contents(admin.home.path) == before


def test_without_a_daemon_nothing_is_approved(admin: Admin) -> None:
    policy = load(admin.home.config).policy(1)
    one = Postponed(account=1, digest=policy.digest, since=1, due=2, words=("x",), by="bert")
    postponed.write(admin.home, {1: one})
    before = build.contents(admin.home.path)

    said = admin.told(8, "config", "approve", "ONE", "--by", "anna", "--reason", "agreed")

    assert "supervisor is not reachable" in said.err
    assert build.contents(admin.home.path) == before
    alone = admin.told(3, "config", "approve", "ONE", "--by", "bert", "--reason", "agreed")
    assert "needs a second person: bert has asked for it" in alone.err
    postponed.write(admin.home, {1: Postponed(**{**asdict(one), "by": ""})})
    unknown = admin.told(3, "config", "approve", "ONE", "--by", "anna", "--reason", "agreed")
    assert "it is not known who asked for it" in unknown.err


# --- a limit that was broken when it was adopted ------------------------------------------


def test_a_limit_broken_at_its_adoption_closes_nothing_until_a_person_confirms(
    daemon: Admin, gateway: Gateway
) -> None:
    buy(gateway, 101, 3)
    daemon.told(0, "config", "set-rule", "NORTH-1", "max-contracts", "limit=2")
    eventually(lambda: "was already broken" in daemon("status").out, "the account is reduce-only")
    assert positions(gateway)[101] == 3

    tried = daemon.told(0, *CONFIRM, "--dry-run")
    assert tried.out.startswith("101 NORTH-1: max-contracts would act: max-contracts was already")
    asked = daemon.told(2, *CONFIRM)
    assert "let max-contracts act? It may close positions at once." in asked.err
    assert "add --yes" in asked.err
    assert positions(gateway)[101] == 3

    gateway.wish("/announce", {"account": 101, "act": "unlock", "by": "anna"})
    said = daemon.told(0, *CONFIRM, "--by", "anna", "--yes")

    assert said.out == "101 NORTH-1: max-contracts acts now: confirmed by anna: it is meant\n"
    eventually(lambda: positions(gateway)[101] == 2, "the position is at its limit")
    assert "no limit waits to be confirmed" in daemon.told(0, *CONFIRM).out
    sell(gateway, 101, 2)


# --- a change that waits for the next trade day -------------------------------------------


def test_a_second_person_puts_a_looser_limit_into_force_now(daemon: Admin) -> None:
    daemon.told(0, "config", "set-rule", "SOUTH-1", "max-contracts", "limit=7")
    assert limits(daemon)[201] == 5
    approve = ["config", "approve", "SOUTH-1", "--reason", "agreed"]

    alone = daemon.told(3, *approve)
    assert "needs a second person" in alone.err
    assert "has asked for it" in alone.err
    tried = daemon.told(0, *approve, "--by", "anna", "--dry-run")
    assert "201: would be in force now: max-contracts limit from 5 to 7: looser" in tried.out
    assert limits(daemon)[201] == 5
    assert list(postponed.read(daemon.home)) == [201]

    said = daemon.told(0, *approve, "--by", "anna")

    assert re.search(
        r"^201: in force now: .* looser \(asked for by \w+, approved by anna\)", said.out
    )
    assert "no lock has ended by it" in said.err
    assert limits(daemon)[201] == 7
    assert postponed.read(daemon.home) == {}
    assert any("approved by anna: agreed" in text for text in alarms(daemon))
    assert daemon.told(0, "config", "diff").out == "the files say what is in force\n"


def test_what_was_edited_since_is_not_approved(daemon: Admin) -> None:
    daemon.told(0, "config", "set-rule", "102", "max-contracts", "limit=8")
    path = daemon.home.config / "accounts" / "102.yaml"
    text = path.read_text()
    path.write_text(text.replace("limit: 8", "limit: 80"))

    said = daemon.told(3, "config", "approve", "all", "--by", "anna", "--reason", "agreed")

    assert "the files say something else of account 102 than what waits" in said.err
    assert limits(daemon)[102] == 5
    path.write_text(text)
    assert json.loads((daemon.home.state / postponed.FILE).read_text())[0]["account"] == 102

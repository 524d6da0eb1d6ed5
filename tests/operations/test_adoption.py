"""The configuration becomes records of the journal: what differs, once, and never half."""

import json
import subprocess
import sys

import pytest

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.errors import Refused
from risk_daemon.operations import home as homes
from risk_daemon.operations import orders, pending, state_file
from risk_daemon.operations.changing import adoption
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.configuration.problems import InvalidConfiguration
from risk_daemon.operations.home import About, Home
from risk_daemon.operations.orders import Who
from tests.operations.build import CREATED
from tests.operations.conftest import process


def adopt(home: Home, *args: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "risk_daemon.programs.adopt", "--home", str(home.path), *args]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def changed(home: Home) -> list[str]:
    done = adopt(home)
    assert (done.returncode, done.stderr) == (0, "")
    names: list[str] = json.loads(done.stdout)["changed"]
    return names


def limit_of(policy: PolicyAdopted) -> object:
    return next(one.params["limit"] for one in policy.rules if one.rule == "max-contracts")


def write_limit(home: Home, limit: object) -> None:
    path = home.config / "policy.yaml"
    lines = path.read_text().splitlines()
    at = lines.index("  max-contracts:") + 2
    lines[at] = f"    limit: {limit}"
    path.write_text("\n".join(lines) + "\n")


def test_only_what_differs_is_adopted_and_going_back_is_a_change_too(journal: Home) -> None:
    assert changed(journal) == ["settings", "policy of 1", "policy of 2"]
    assert changed(journal) == []

    write_limit(journal, 3)
    assert changed(journal) == ["policy of 1", "policy of 2"]
    write_limit(journal, 5)
    assert changed(journal) == ["policy of 1", "policy of 2"]

    standing = state_file.standing(journal)
    assert {limit_of(p) for p in standing.policies.values()} == {5}


def test_an_invalid_file_is_refused_where_nothing_was_adopted_before(journal: Home) -> None:
    write_limit(journal, "many")

    done = adopt(journal)

    assert done.returncode == 2
    assert 'rules.max-contracts.limit is "many"' in done.stderr
    assert state_file.standing(journal).policies == {}
    with pytest.raises(InvalidConfiguration):
        adoption.for_start(journal)


def test_later_an_invalid_file_raises_an_alarm_and_the_last_policy_stays(journal: Home) -> None:
    changed(journal)
    write_limit(journal, "many")

    done = adopt(journal)

    assert done.returncode == 0
    assert "the last one stays in force" in done.stderr
    assert json.loads(done.stdout)["changed"] == []
    (alarm,) = state_file.story(journal, 0, 10)
    assert getattr(alarm.fact, "level", "") == "urgent"
    settings, note = adoption.for_start(journal)
    assert settings.accounts() == (1, 2)
    assert "the last settings stay in force" in note


def test_show_prints_the_settings_and_adopts_nothing(home: Home) -> None:
    done = adopt(home, "--show")

    assert done.returncode == 0
    assert json.loads(done.stdout)["logins"][0]["name"] == "alpha"
    assert [one.name for one in home.state.iterdir()] == ["home.json"]  # what the home is


def test_orders_that_waited_are_adopted_once(home: Home) -> None:
    act = orders.make(in_force(home), 1, "flatten-lock", Who("tester", "trial"))
    pending.keep(home, act)

    with process("journal", home, "journal.ready"):
        assert json.loads(adopt(home).stdout)["acts"] == 1
        pending.keep(home, act)
        assert json.loads(adopt(home).stdout)["acts"] == 1

    assert [entry.fact for entry in state_file.story(home, 1, 10)] == [act]


def test_a_copied_home_adopts_nothing_even_with_a_last_policy(journal: Home) -> None:
    changed(journal)
    homes.write(journal, About("demo", CREATED, "another-machine", "files"))

    done = adopt(journal)

    assert done.returncode == 3
    assert "was made on another machine" in done.stderr
    with pytest.raises(Refused):
        adoption.for_start(journal)


def test_without_a_journal_adoption_says_that_it_is_not_reachable(home: Home) -> None:
    (home.run / "journal.addr").write_text('{"tcp": 9, "token": "x"}')

    done = adopt(home)

    assert done.returncode == 8
    assert "journal is not reachable" in done.stderr


def test_settings_go_by_the_files_until_something_was_adopted(home: Home) -> None:
    assert in_force(home).accounts() == (1, 2)
    assert adoption.for_start(home) == (in_force(home), "")

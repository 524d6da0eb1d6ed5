"""`override disable | list | clear`: a rule off for a moment, agreed to by two, back by itself."""

import json
import re

import pytest

from risk_daemon.operations import state_file
from risk_daemon.operations.configuration import flags_kept, postponed
from tests.cli.conftest import Admin
from tests.cli.test_config import log
from tests.cli.test_confirm import alarms
from tests.cli.test_flags import in_days, modes
from tests.cli.test_trader import trader
from tests.cli.test_with_a_daemon import eventually
from tests.operations import build

DISABLE = ["override", "disable"]


# --- nobody runs it ---------------------------------------------------------------


def test_an_override_is_a_commit_with_its_end_and_says_that_it_makes_looser(admin: Admin) -> None:
    said = admin.told(0, *DISABLE, "ONE", "max-contracts", "--duration", "30m", "--reason", "roll")

    assert re.match(
        r"override of max-contracts on account 1 until \S+ \(\w+\)\n"
        r'1 max-contracts mode from "enforce" to "shadow": looser: at the next `start`\n$',
        said.out,
    )
    assert "it comes back by itself: " in said.err
    assert log(admin)[0][1].endswith(": roll")
    listed = admin.told(0, "override", "list").out
    assert re.match(r"1: max-contracts is to be off until .* Chicago.*: roll\); it acts", listed)
    assert admin.told(0, "flag", "list").out.startswith("no flag is set")
    row = admin.told(0, "override", "list", "--json").data()["overrides"][0]
    assert row["ends"] - row["since"] == 1_800 * 10**9


def test_a_dry_run_says_what_would_be_and_changes_nothing(admin: Admin) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(
        0, *DISABLE, "1", "max-contracts", "--duration", "1d", "--reason", "x", "--dry-run"
    )

    assert said.out.startswith("would be done: override of max-contracts on account 1 until ")
    assert build.contents(admin.home.path) == before


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("1 kill-switch --duration 30m --reason x", 3, "the kill switch can't be overridden"),
        ("1 max-contracts --duration 25h --reason x", 2, "allowed: at most 1d"),
        ("1 max-contracts --duration 2d --reason x", 2, "allowed: at most 1d"),
        ("1 max-contracts --duration soon --reason x", 2, "--duration 'soon' is not a duration"),
        ("1 max-contract --duration 30m --reason x", 5, "Did you mean 'max-contracts'?"),
        ("9 max-contracts --duration 30m --reason x", 5, "there is no account '9' here"),
        ("1 no-stop-loss-grace --duration 30m --reason x", 5, "its policy has no no-stop-loss"),
        ("1 max-contracts --duration 30m", 2, "Missing option '--reason'"),
        ("1 max-contracts --reason x", 2, "Missing option '--duration'"),
    ],
)
def test_what_can_t_be_is_refused_and_nothing_is_changed(
    admin: Admin, words: str, code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(code, *DISABLE, *words.split())

    assert sentence in said.err
    assert build.contents(admin.home.path) == before


def test_what_does_not_act_is_not_disabled_and_what_is_off_not_made_longer(admin: Admin) -> None:
    words = [*DISABLE, "1", "max-contracts", "--duration", "30m", "--reason", "roll"]
    admin.told(0, *words)

    twice = admin.told(3, *words)
    assert "It is not made longer: `risk-daemon-admin override clear 1 max-contracts` ends" in (
        twice.err
    )
    admin.told(0, "override", "clear", "1", "max-contracts")
    assert admin.told(0, "override", "list").out == "nothing is overridden\n"
    assert "1 ONE max-contracts: enforce" in admin.told(0, "config", "show").out
    assert "has no override" in admin.told(5, "override", "clear", "1", "max-contracts").err
    admin.told(0, "config", "disable-rule", "1", "max-contracts")
    assert "it does not act; nothing to disable" in admin.told(3, *words).err


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rule: max-contracts", "rule: kill-switch", "any but the kill switch"),
        ("rule: max-contracts", "rule: max-contract", "a rule that the account's policy has"),
        ("account: 1", "account: 9", "an account of config/daemon.yaml"),
        ("owner:", "ownr:", "Did you mean 'owner'?"),
        ("since:", 'since: "soon" #', "a time with its offset"),
        ("ends:", 'ends: "2099-01-01T00:00:00+00:00" #', "after `since` by a day at most"),
        ("ends:", 'ends: "2026-01-01T00:00:00" #', "after `since` by a day at most"),
    ],
)
def test_an_error_in_the_file_is_named_with_its_place(
    admin: Admin, old: str, new: str, sentence: str
) -> None:
    admin.told(0, *DISABLE, "1", "max-contracts", "--duration", "30m", "--reason", "x")
    path = admin.home.config / "overrides.yaml"
    path.write_text(path.read_text().replace(old, new))

    said = admin.told(2, "config", "validate")

    assert "config/overrides.yaml:" in said.err
    assert sentence in said.err


def test_the_same_override_twice_in_the_file_is_an_error(admin: Admin) -> None:
    admin.told(0, *DISABLE, "1", "max-contracts", "--duration", "30m", "--reason", "x")
    path = admin.home.config / "overrides.yaml"
    text = path.read_text()
    path.write_text(text + text.replace("overrides:\n", ""))

    assert "one that is not there yet" in admin.told(2, "config", "validate").err
    path.write_text("- nothing\n")
    assert "config/overrides.yaml" in admin.told(2, "config", "validate").err


# --- with a daemon ----------------------------------------------------------------


def in_force(daemon: Admin, account: str, number: int, duration: str = "30m") -> None:
    """Have an override agreed to by two."""
    words = [*DISABLE, account, "max-contracts", "--duration", duration, "--reason", "roll"]
    said = daemon.told(0, *words)
    assert f"{number}: waits until" in said.out
    assert "it makes looser: it needs a second person" in said.err
    assert modes(daemon)[number] == "enforce"
    daemon.told(0, "config", "approve", account, "--by", "bert", "--reason", "agreed")
    assert modes(daemon)[number] == "shadow"


def test_it_is_off_once_a_second_person_agrees_and_whoever_asks_reads_it(daemon: Admin) -> None:
    words = [*DISABLE, "SOUTH-1", "max-contracts", "--duration", "30m", "--reason", "roll"]
    daemon.told(0, *words)
    assert "override: 201: max-contracts is to be off until" in daemon.told(0, "status").out
    daemon.told(0, "override", "clear", "SOUTH-1", "max-contracts")
    assert postponed.read(daemon.home) == {}

    in_force(daemon, "SOUTH-1", 201)

    assert "override: 201: max-contracts is OFF until " in daemon.told(0, "status").out
    assert "override: max-contracts is OFF until " in daemon.told(0, "why", "201").out
    assert "override" not in daemon.told(0, "why", "101").out
    assert "  off:    max-contracts is OFF until " in trader(daemon.home, 0, "why", "201").out
    listed = daemon.told(0, "override", "list").out
    assert re.match(r"201: max-contracts is OFF until .*; it comes back by itself\n", listed)

    cleared = daemon.told(0, "override", "clear", "SOUTH-1", "max-contracts", "--reason", "done")

    assert "201: in force now" in cleared.out
    assert modes(daemon)[201] == "enforce"
    assert "override" not in daemon.told(0, "why", "201").out


def test_it_comes_back_by_itself_and_someone_is_told(daemon: Admin) -> None:
    in_force(daemon, "NORTH-2", 102, "6s")

    eventually(lambda: modes(daemon)[102] == "enforce", "the rule acts again")

    eventually(
        lambda: any("override of max-contracts by" in text for text in alarms(daemon)), "it is told"
    )
    assert daemon.told(0, "override", "list").out == "nothing is overridden\n"
    assert flags_kept.read(daemon.home).flags == ()
    assert postponed.read(daemon.home) == {}


def test_it_comes_back_also_where_the_files_can_t_be_read_any_more(daemon: Admin) -> None:
    in_force(daemon, "NORTH-1", 101, "8s")
    path = daemon.home.config / "policy.yaml"
    text = path.read_text()
    path.write_text(text + "a typing error: 1\n")

    eventually(lambda: modes(daemon)[101] == "enforce", "the rule acts again")

    path.write_text(text)
    eventually(lambda: flags_kept.read(daemon.home).flags == (), "the override to be forgotten")
    reload = daemon.told(0, "config", "reload")
    assert "nothing differs from what is in force" in reload.out


def test_one_that_nobody_agreed_to_is_over_without_ever_having_been(daemon: Admin) -> None:
    words = [*DISABLE, "SOUTH-1", "max-contracts", "--duration", "3s", "--reason", "roll"]
    daemon.told(0, *words)
    seq = state_file.standing(daemon.home).policy_seqs[201]

    eventually(lambda: postponed.read(daemon.home) == {}, "nothing waits any more")

    late = daemon("config", "approve", "SOUTH-1", "--by", "bert", "--reason", "agreed")
    assert "nothing waits for the next trade day of SOUTH-1" in late.out
    assert state_file.standing(daemon.home).policy_seqs[201] == seq


def test_a_start_after_its_end_finds_it_over(daemon: Admin) -> None:
    in_force(daemon, "SOUTH-1", 201)
    daemon.told(0, "stop", "--reason", "night")
    path = daemon.home.config / "overrides.yaml"
    kept = json.loads((daemon.home.state / flags_kept.FILE).read_text())
    assert kept["due"] <= kept["flags"][0]["ends"]
    yesterday, before = in_days(-1), in_days(-2)
    path.write_text(
        re.sub(
            r'ends: "[^"]*"',
            f'ends: "{yesterday}T10:00:00+00:00"',
            re.sub(r'since: "[^"]*"', f'since: "{before}T12:00:00+00:00"', path.read_text()),
        )
    )

    daemon.told(0, "start", "--timeout", "40")

    assert modes(daemon)[201] == "enforce"
    assert daemon.told(0, "override", "list").out == "nothing is overridden\n"

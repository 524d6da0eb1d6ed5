"""`flag list | set | clear`, and a change that would trip too many, as people run them."""

from __future__ import annotations

import json
import time

import pytest

from risk_daemon.operations import state_file
from risk_daemon.operations.configuration import flags_kept, postponed
from tests.cli.conftest import Admin, Gateway
from tests.cli.test_config import limits, log
from tests.cli.test_confirm import alarms
from tests.cli.test_with_a_daemon import buy, eventually, positions, sell
from tests.operations import build

SET = ["flag", "set", "max-contracts", "--owner", "anna"]


def in_days(days: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 86_400))


LATER = in_days(30)


def modes(admin: Admin, rule: str = "max-contracts") -> dict[int, str]:
    """The mode of a rule that is in force, by account."""
    return {
        number: one.mode
        for number, policy in state_file.standing(admin.home).policies.items()
        for one in policy.rules
        if one.rule == rule
    }


# --- nobody runs it ---------------------------------------------------------------


def test_a_flag_is_a_commit_with_its_owner_and_end_and_says_what_gets_looser(admin: Admin) -> None:
    words = [*SET, "--mode", "alert", "--account", "ONE", "--until", LATER, "--reason", "trial"]

    said = admin.told(0, *words)

    assert said.out == (
        f"flag max-contracts: alert on account 1 until {LATER} (anna)\n"
        '1 max-contracts mode from "enforce" to "alert": looser: at the next `start`\n'
    )
    assert log(admin)[0][1] == f"flag max-contracts: alert on account 1 until {LATER} (anna): trial"
    assert admin.told(0, "flag", "list").out == (
        f"max-contracts: alert on account 1 until {LATER}, owner anna: trial; "
        "not yet in force on 1\n"
    )
    assert "1 ONE max-contracts: alert" in admin.told(0, "config", "show").out


def test_a_percentage_names_its_accounts_and_they_stay_when_it_grows(admin: Admin) -> None:
    half = [*SET, "--mode", "shadow", "--percent", "50", "--until", LATER]
    (first,) = admin.told(0, *half, "--json").data()["flag"]["accounts"]

    grown = admin.told(0, *half[:-3], "100", "--until", LATER)

    assert f"drawn: {first}, {3 - first}\n" in grown.out
    rows = admin.told(0, "flag", "list", "--json").data()["flags"]
    assert [(row["percent"], row["accounts"]) for row in rows] == [(100, [first, 3 - first])]


def test_a_cleared_flag_holds_nowhere_and_one_set_again_takes_its_place(admin: Admin) -> None:
    words = [*SET, "--mode", "alert", "--account", "1", "--until", LATER]
    admin.told(0, *words)

    said = admin.told(0, "flag", "clear", "max-contracts", "--account", "ONE")

    assert said.out == (
        "flag max-contracts: alert on account 1 cleared\n"
        '1 max-contracts mode from "alert" to "enforce": tighter: at the next `start`\n'
    )
    assert admin.told(0, "flag", "list").out.startswith("no flag is set")
    assert "1 ONE max-contracts: enforce" in admin.told(0, "config", "show").out
    admin.told(0, *words)
    assert (admin.home.config / "flags.yaml").read_text().count("rule:") == 1


def test_a_dry_run_says_what_would_be_and_changes_nothing(admin: Admin) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(0, *SET, "--mode", "shadow", "--percent", "50", "--until", LATER, "--dry-run")

    assert said.out.startswith("would be done: flag max-contracts: shadow on 50 % of the accounts")
    assert "looser: at the next `start`" in said.out
    assert build.contents(admin.home.path) == before


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (f"max-contracts --mode alert --until {LATER}", 2, "either --account A or --percent P"),
        (
            f"max-contracts --mode alert --account 1 --percent 5 --until {LATER}",
            2,
            "either --account A or --percent P",
        ),
        (f"max-contracts --mode alert --account 9 --until {LATER}", 5, "there is no account '9'"),
        (
            f"max-contracts --mode alert --percent 0 --until {LATER}",
            2,
            "0 is not in the range 1<=x<=100",
        ),
        (
            f"max-contracts --mode alert --percent 101 --until {LATER}",
            2,
            "101 is not in the range 1<=x<=100",
        ),
        (f"max-contracts --mode off --account 1 --until {LATER}", 2, "'off' is not one of"),
        (f"max-contract --mode alert --account 1 --until {LATER}", 5, "Did you mean"),
        (f"no-stop-loss-grace --mode alert --percent 9 --until {LATER}", 3, "brings no limit"),
        (f"no-stop-loss-grace --mode alert --account 1 --until {LATER}", 2, "brings no limit"),
        (f"kill-switch --mode alert --account 1 --until {LATER}", 3, "can't be disabled"),
        (
            "max-contracts --mode alert --account 1 --until 2020-01-01",
            2,
            "is '2020-01-01'; allowed",
        ),
        (
            "max-contracts --mode alert --account 1 --until 2099-01-01",
            2,
            "is '2099-01-01'; allowed",
        ),
        ("max-contracts --mode alert --account 1 --until tomorrow", 2, "is 'tomorrow'; allowed"),
        ("max-contracts --mode alert --account 1 --until 20261231", 2, "is '20261231'; allowed"),
        ("max-contracts --mode alert --account 1", 2, "Missing option '--until'"),
    ],
)
def test_a_flag_that_can_t_be_is_refused_and_nothing_is_changed(
    admin: Admin, words: str, code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(code, "flag", "set", *words.split(), "--owner", "anna")

    assert sentence in said.err
    assert build.contents(admin.home.path) == before


def test_an_empty_owner_and_a_flag_that_is_not_there_are_refused(admin: Admin) -> None:
    words = ["flag", "set", "max-contracts", "--mode", "alert", "--account", "1"]
    before = build.contents(admin.home.path)

    said = admin.told(2, *words, "--until", LATER, "--owner", " ")
    assert "--owner is empty" in said.err
    assert "max-contracts has no flag" in admin.told(5, "flag", "clear", "max-contracts").err
    assert build.contents(admin.home.path) == before

    admin.told(0, *words, "--until", LATER, "--owner", "anna")
    assert "has a flag on account 1" in admin.told(5, "flag", "clear", "max-contracts").err


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rule: max-contracts", "rule: max-contract", "Did you mean 'max-contracts'?"),
        ("mode: alert", "mode: of", 'config/flags.yaml:3: flags[0].mode is "of"'),
        ("account: 1", "account: 7", "flags[0].account is 7; allowed: an account of config/daemon"),
        ("account: 1", "percent: 5", "flags[0].accounts is missing; allowed: the accounts of"),
        ("account: 1", "account: 1\n    percent: 5", "either `account` or `percent`"),
        ("account: 1", "account: 1\n    accounts: [1]", "nothing beside `account`"),
        ("owner:", "ownr:", "Did you mean 'owner'?"),
        (LATER, "2026-02-30", 'flags[0].until is "2026-02-30"; allowed: a date of the calendar'),
        ("rule: max-contracts", "rule: no-stop-loss-grace", "a flag brings no limit"),
        ("rule: max-contracts", "rule: kill-switch", "without the kill switch"),
    ],
)
def test_an_error_in_the_file_of_flags_is_named_with_its_place(
    admin: Admin, old: str, new: str, sentence: str
) -> None:
    admin.told(0, *SET, "--mode", "alert", "--account", "1", "--until", LATER)
    path = admin.home.config / "flags.yaml"
    path.write_text(path.read_text().replace(old, new))

    assert sentence in admin.told(2, "config", "validate").err
    path.write_text("- nothing\n")
    assert "config/flags.yaml" in admin.told(2, "config", "validate").err


def test_the_same_flag_twice_in_the_file_is_an_error(admin: Admin) -> None:
    admin.told(0, *SET, "--mode", "alert", "--account", "1", "--until", LATER)
    path = admin.home.config / "flags.yaml"
    text = path.read_text()
    path.write_text(text + text.replace("flags:\n", ""))

    assert "a flag that is not there yet" in admin.told(2, "config", "validate").err


# --- with a daemon ----------------------------------------------------------------


def test_a_looser_flag_waits_a_second_person_hastens_it_and_its_clearing_is_at_once(
    daemon: Admin,
) -> None:
    words = [*SET, "--mode", "alert", "--account", "SOUTH-1", "--until", LATER]

    said = daemon.told(0, *words)

    assert '201 max-contracts mode from "enforce" to "alert": looser' in said.out
    assert "201: waits until" in said.out
    assert modes(daemon)[201] == "enforce"
    assert f"until {LATER} (anna); waits on 201" in daemon.told(0, "status").out
    assert "not yet in force on 201" in daemon.told(0, "flag", "list").out

    daemon.told(0, "config", "approve", "SOUTH-1", "--by", "bert", "--reason", "agreed")
    assert modes(daemon)[201] == "alert"
    assert "in force on 201" in daemon.told(0, "flag", "list").out
    status = daemon.told(0, "status", "--json").data()
    assert [(one["rule"], one["accounts"]) for one in status["flags"]] == [("max-contracts", [201])]

    cleared = daemon.told(0, "flag", "clear", "max-contracts", "--account", "SOUTH-1")
    assert "201: in force now" in cleared.out
    assert modes(daemon)[201] == "enforce"
    assert flags_kept.read(daemon.home).flags == ()


def test_a_flag_that_has_ended_falls_back_by_itself_and_someone_is_told(daemon: Admin) -> None:
    daemon.told(0, *SET, "--mode", "alert", "--account", "NORTH-2", "--until", LATER)
    daemon.told(0, "config", "approve", "NORTH-2", "--by", "bert", "--reason", "agreed")
    assert modes(daemon)[102] == "alert"

    # Its trade date is over.
    ended = in_days(-5)
    path = daemon.home.config / "flags.yaml"
    path.write_text(path.read_text().replace(LATER, ended))
    kept = json.loads((daemon.home.state / flags_kept.FILE).read_text())
    assert kept["due"] > 0
    kept["due"], kept["flags"][0]["until"] = 1, ended
    (daemon.home.state / flags_kept.FILE).write_text(json.dumps(kept))

    eventually(lambda: modes(daemon)[102] == "enforce", "the policy's own mode is in force")
    eventually(
        lambda: any(f"ended at the end of trade date {ended}" in text for text in alarms(daemon)),
        "someone is told",
    )
    assert daemon.told(0, "flag", "list").out.startswith("no flag is set")
    assert postponed.read(daemon.home) == {}


def test_a_flag_on_its_last_day_is_announced(daemon: Admin) -> None:
    refused = daemon.told(2, *SET, "--mode", "enforce", "--account", "201", "--until", "x")
    today = refused.err.split("a date from ")[1].split(" ")[0]

    daemon.told(0, *SET, "--mode", "enforce", "--account", "201", "--until", today)

    assert any(f"ends at the end of trade date {today}" in text for text in alarms(daemon))
    daemon.told(0, "flag", "clear", "max-contracts", "--account", "201")


def test_a_change_that_would_trip_too_many_accounts_is_held_until_a_person_says_how_many(
    daemon: Admin, gateway: Gateway
) -> None:
    held = (101, 102)
    for number in held:
        buy(gateway, number, 3)
        eventually(lambda n=number: "+3 MNQ" in _line(daemon, n), "the daemon has seen it")
        path = daemon.home.config / "accounts" / f"{number}.yaml"
        path.write_text(path.read_text() + "rules:\n  max-contracts: {limit: 2}\n")

    said = daemon.told(3, "config", "reload", "--reason", "a typo")

    assert "held: it would at once trip rules on 2 of 3 accounts, more than 1" in said.err
    for number in held:
        assert f"\n  {number}: max-contracts: " in said.err
    assert {number: limits(daemon)[number] for number in held} == {101: 5, 102: 5}
    assert daemon.told(3, "config", "reload", "--accept-trips", "1").code == 3

    daemon.told(0, "config", "reload", "--accept-trips", "2", "--reason", "it is meant")

    assert {number: limits(daemon)[number] for number in held} == {101: 2, 102: 2}
    assert {number: positions(gateway)[number] for number in held} == {101: 3, 102: 3}
    for number in held:
        sell(gateway, number, 3)


def _line(admin: Admin, number: int) -> str:
    lines = admin("status").out.splitlines()
    return next((line for line in lines if line.startswith(f"{number} ")), "")

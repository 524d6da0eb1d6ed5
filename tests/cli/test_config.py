"""`config`: files are judged, compared, edited and reloaded; nothing is half done."""

import json
import subprocess
import sys
from typing import Any

import pytest

from risk_daemon.operations import state_file
from risk_daemon.operations.configuration import postponed
from tests.cli.conftest import Admin
from tests.cli.test_with_a_daemon import eventually
from tests.operations import build

COMMENT = "# mode: enforce (act), shadow (decide and record), alert (tell someone)."


def write(admin: Admin, name: str, old: str, new: str) -> None:
    path = admin.home.config / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def log(admin: Admin) -> list[tuple[str, str]]:
    """The commits of the configuration, newest first: author and message."""
    from dulwich.repo import Repo

    with Repo(str(admin.home.config)) as repo:
        return [
            (entry.commit.author.decode().split(" ")[0], entry.commit.message.decode())
            for entry in repo.get_walker()
        ]


# --- nobody runs it ---------------------------------------------------------------


def test_a_valid_configuration_is_said_to_be_so_account_by_account(admin: Admin) -> None:
    said = admin.told(0, "config", "validate")

    assert said.out == "1 ONE: valid, 5 rules\n2 TWO: valid, 5 rules\n"
    assert said.err == "next: risk-daemon-admin config diff\n"


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        (
            "policy.yaml",
            "limit: 5",
            "limit: -5",
            "config/policy.yaml:10: rules.max-contracts.limit is -5; allowed: contracts, 0 or more",
        ),
        ("policy.yaml", "max-contracts", "max-contract", "Did you mean 'max-contracts'?"),
        ("policy.yaml", "calendar", "calender", "Did you mean 'calendar'?"),
        ("daemon.yaml", "accounts: [1, 2]", "accounts: [1, 1, 2]", "logins[0].accounts[1] is 1"),
        ("daemon.yaml", "accounts: [1, 2]", "accounts: [2]", "accounts/1.yaml"),
        ("accounts/1.yaml", "login: alpha", "login: alphq", "Did you mean 'alpha'?"),
        ("accounts/1.yaml", "name:", "nam:", "Did you mean 'name'?"),
    ],
)
def test_every_error_is_named_with_its_place_and_nothing_is_changed(
    admin: Admin, name: str, old: str, new: str, sentence: str
) -> None:
    write(admin, name, old, new)
    before = build.contents(admin.home.path)

    for command in (["validate"], ["diff"], ["reload"], ["show"]):
        assert sentence in admin.told(2, "config", *command).err
    assert build.contents(admin.home.path) == before


def test_an_account_under_two_logins_is_refused(admin: Admin) -> None:
    second = (
        "    accounts: [1, 2]\n"
        '  - name: beta\n    user: other\n    credentials: "file:b"\n    accounts: [2]'
    )
    write(admin, "daemon.yaml", "    accounts: [1, 2]", second)

    said = admin.told(2, "config", "validate")

    assert (
        "logins[1].accounts[0] is 2; allowed: an account no login has yet (alpha has it)"
        in said.err
    )


def test_show_has_every_default_when_it_says_what_is_in_force(admin: Admin) -> None:
    plain = admin.told(0, "config", "show").out
    effective = admin.told(0, "config", "show", "--effective")

    assert "1 ONE max-contracts: enforce: limit=5\n" in plain
    assert "(default)" not in plain
    for default in ('basis="gross"', 'include_working="cancel"', "lock=none", 'buffer="0"'):
        assert f"{default} (default)" in effective.out
    assert "nothing is in force yet" in effective.err


def test_a_rule_is_set_in_its_account_s_file_with_comments_kept_and_a_commit(admin: Admin) -> None:
    write(admin, "policy.yaml", "    limit: 5", "    limit: 6    # by hand")

    said = admin.told(
        0, "config", "set-rule", "ONE", "max-contracts", "limit=3", "--reason", "news"
    )

    assert said.out == "1 ONE max-contracts: limit=3\n"
    assert "the daemon is not running: `start` adopts it" in said.err
    assert "limit: 3" in (admin.home.config / "accounts" / "1.yaml").read_text()
    text = (admin.home.config / "policy.yaml").read_text()
    assert COMMENT in text
    assert "limit: 6    # by hand" in text
    messages = [message for _, message in log(admin)]
    assert messages[:2] == ["1 ONE max-contracts: limit=3: news", "Edited by hand: news"]
    assert all(author for author, _ in log(admin))


def test_all_accounts_are_set_in_the_policy_and_a_rule_goes_on_and_off(admin: Admin) -> None:
    admin.told(
        0,
        "config",
        "set-rule",
        "all",
        "daily-realized-loss",
        "mode=alert",
        "limit=750.00",
        "buffer=50",
    )
    admin.told(0, "config", "enable-rule", "2", "daily-realized-loss")
    admin.told(0, "config", "disable-rule", "1", "max-contracts", "--mode", "shadow")

    shown = admin.told(0, "config", "show").out
    assert '2 TWO daily-realized-loss: enforce: limit="750.00", buffer=50' in shown
    assert "1 ONE max-contracts: shadow: limit=5" in shown
    assert COMMENT in (admin.home.config / "policy.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("set-rule 1 max-contracts limit=many", 2, 'limit is "many"; allowed: contracts'),
        ("set-rule 1 max-contracts limt=3", 2, "Did you mean 'limit'?"),
        ("set-rule 1 max-contracts limit", 2, "is not KEY=VALUE"),
        ("set-rule 1 max-contract limit=3", 5, "Did you mean 'max-contracts'?"),
        ("set-rule 9 max-contracts limit=3", 5, "there is no account '9' here"),
        ("disable-rule 1 kill-switch", 3, "the kill switch can't be disabled"),
        ("set-rule 1 max-contracts", 2, "Missing argument"),
        ("enable-rule 1 max-contracts --dry-run", 0, "nothing was done"),
        ("set-rule 1 max-contracts limit=3 --dry-run", 0, "nothing was done"),
    ],
)
def test_what_is_refused_or_only_tried_changes_nothing(
    admin: Admin, words: str, code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)

    assert sentence in admin.told(code, "config", *words.split()).err
    assert build.contents(admin.home.path) == before


def test_without_a_daemon_a_reload_is_not_done(admin: Admin) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(8, "config", "reload")

    assert "supervisor is not reachable" in said.err
    assert build.contents(admin.home.path) == before
    assert "`start` adopts the files as they are" in admin.told(0, "config", "diff").out


# --- it runs ---------------------------------------------------------------------


def limits(admin: Admin) -> dict[int, Any]:
    """The limit of `max-contracts` that is in force, by account."""
    return {
        number: one.params["limit"]
        for number, policy in state_file.standing(admin.home).policies.items()
        for one in policy.rules
        if one.rule == "max-contracts"
    }


def test_tightening_one_account_applies_now(daemon: Admin) -> None:
    said = daemon.told(0, "config", "set-rule", "NORTH-1", "max-contracts", "limit=4")

    assert said.out == "101 NORTH-1 max-contracts: limit=4\n101: in force now\n"
    assert limits(daemon) == {101: 4, 102: 5, 201: 5}
    eventually(lambda: daemon("health").code == 0, "healthy")


def test_loosening_waits_for_the_next_trade_day_is_shown_and_then_applies(daemon: Admin) -> None:
    said = daemon.told(0, "config", "set-rule", "101", "max-contracts", "limit=9")

    assert "101: waits until" in said.out
    assert "max-contracts limit from 4 to 9: looser" in said.out
    assert limits(daemon)[101] == 4
    assert "101: waits until" in daemon.told(0, "status").out
    assert "waits until" in daemon.told(0, "config", "diff").out
    assert daemon.told(0, "status", "--json").data()["waiting"][0]["account"] == 101

    # The trade day begins.
    waiting = postponed.read(daemon.home)
    raw = json.loads((daemon.home.state / postponed.FILE).read_text())
    assert raw[0]["due"] > raw[0]["since"]
    raw[0]["due"] = 1
    (daemon.home.state / postponed.FILE).write_text(json.dumps(raw))
    eventually(lambda: limits(daemon)[101] == 9, "what was due is in force")
    eventually(lambda: postponed.read(daemon.home) == {}, "nothing waits")
    assert list(waiting) == [101]


def test_a_change_of_all_accounts_waits_even_when_it_tightens(daemon: Admin) -> None:
    said = daemon.told(0, "config", "set-rule", "all", "max-contracts", "limit=2")

    assert "102: waits until" in said.out
    assert "tighter, for all accounts" in said.out
    assert limits(daemon) == {101: 9, 102: 5, 201: 5}
    undone = daemon.told(0, "config", "set-rule", "all", "max-contracts", "limit=5")
    assert "waits" not in undone.out
    assert postponed.read(daemon.home) == {}


def test_what_waits_survives_a_start_of_the_supervisor(daemon: Admin) -> None:
    daemon.told(0, "config", "set-rule", "102", "max-contracts", "limit=8")
    words = [sys.executable, "-m", "risk_daemon.programs.adopt", "--home", str(daemon.home.path)]

    subprocess.run(words, capture_output=True, check=True)

    assert limits(daemon)[102] == 5
    assert list(postponed.read(daemon.home)) == [102]
    daemon.told(0, "config", "set-rule", "102", "max-contracts", "limit=5")


def test_a_reload_of_an_invalid_file_changes_nothing_and_says_so(daemon: Admin) -> None:
    before, text = limits(daemon), (daemon.home.config / "policy.yaml").read_text()
    write(daemon, "policy.yaml", "mode: enforce", "mode: enforced")

    said = daemon.told(2, "config", "reload")

    assert 'mode is "enforced"; allowed: enforce, shadow or alert' in said.err
    assert limits(daemon) == before
    assert daemon.told(0, "health").code == 0
    (daemon.home.config / "policy.yaml").write_text(text)
    assert "nothing differs" in daemon.told(0, "config", "reload").out


def test_settings_wait_for_the_next_start_and_are_named(daemon: Admin) -> None:
    path = daemon.home.config / "daemon.yaml"
    text = path.read_text()
    path.write_text(text + "hash_every: 500\n")

    said = daemon.told(0, "config", "diff")

    assert "settings: hash_every changes: takes effect at the next `stop` and `start`" in said.out
    path.write_text(text)

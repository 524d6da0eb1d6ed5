"""`accounts`, `logins`, `credentials`, `logs`: looked at and extended, never half."""

import json
import re
from pathlib import Path

import pytest

from risk_daemon.operations.home import Home
from tests.cli.conftest import Admin, Gateway
from tests.operations import build


def test_accounts_and_logins_are_listed(admin: Admin) -> None:
    accounts = admin.told(0, "accounts", "list")
    logins = admin.told(0, "logins", "list")

    assert accounts.out.startswith("1 ONE: login alpha, 5 rules\n")
    assert logins.out == (
        "alpha: user someone, credentials file:credentials/alpha.key, 2 accounts: 1, 2\n"
    )


def test_an_account_is_added_to_its_login_with_a_file_of_its_own(admin: Admin) -> None:
    said = admin.told(0, "accounts", "add", "3", "--login", "alpha", "--name", "THREE")

    assert said.out == "account 3 is added to login alpha\n"
    assert "3 THREE: login alpha, 5 rules" in admin.told(0, "accounts", "list").out
    text = (admin.home.config / "daemon.yaml").read_text()
    assert "accounts: [1, 2, 3]" in text
    assert "# One entry per user of the broker." in text


def test_an_account_is_marked_for_tests_and_no_longer(admin: Admin) -> None:
    admin.told(0, "accounts", "mark-test", "ONE")
    assert "1 ONE: login alpha, 5 rules, for tests\n" in admin.told(0, "accounts", "list").out

    admin.told(0, "accounts", "mark-test", "1", "--undo")
    assert "for tests" not in admin.told(0, "accounts", "list").out


def test_a_login_is_added_with_its_accounts(admin: Admin) -> None:
    said = admin.told(0, "logins", "add", "beta:other:file:credentials/beta.key:7,8")

    assert said.out == "login beta is added\n"
    listed = admin.told(0, "logins", "list").out
    assert "beta: user other, credentials file:credentials/beta.key, 2 accounts: 7, 8" in listed


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("accounts add 1 --login alpha", 3, "account 1 is guarded already, through login alpha."),
        ("accounts add 3 --login alhpa", 5, "Did you mean 'alpha'?"),
        (
            "accounts add three --login alpha",
            2,
            "Invalid value for 'number': 'three' is not a valid int",
        ),
        ("accounts add 3", 2, "Missing option '--login'"),
        ("accounts add 3 --login alpha --dry-run", 0, "nothing was done"),
        ("accounts mark-test 9", 5, "there is no account '9' here"),
        ("logins add beta", 2, "is not NAME:USER:CREDENTIALS"),
        ("logins add alpha:x:env:7", 2, "there is a login 'alpha' already"),
        ("logins add beta:x:env:2", 2, "an account no login has yet (alpha has it)"),
        ("logins add beta:x:keychain:7", 2, "allowed: env, or file:PATH"),
        ("logins add beta:x:env:7 --dry-run", 0, "nothing was done"),
    ],
)
def test_what_is_refused_or_only_tried_changes_nothing(
    admin: Admin, words: str, code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)

    assert sentence in admin.told(code, *words.split()).err
    assert build.contents(admin.home.path) == before


def test_a_key_that_is_missing_or_readable_by_others_or_logs_in_nowhere_is_named(
    admin: Admin,
) -> None:
    key = admin.home.path / "credentials" / "alpha.key"
    assert "alpha: NOT LOGGED IN: login alpha" in admin.told(4, "credentials", "check").out

    key.chmod(0o644)
    assert "others can read" in admin.told(4, "credentials", "check").out
    key.unlink()
    said = admin.told(4, "credentials", "check")
    assert "does not exist. Write the API key into it and make it 0600." in said.out
    assert "a-key-of-a-demo" not in said.out + said.err


def test_a_key_says_which_accounts_it_sees_and_which_it_lacks(
    gateway: Gateway, tmp_path: Path
) -> None:
    key = tmp_path / "north.key"
    key.write_text("a-long-north-key\n")
    key.chmod(0o600)
    words = ["--environment", "demo", "--gateway", gateway.url, "--login"]
    right, wrong = (Admin(Home(tmp_path / name), {}) for name in ("right", "wrong"))
    right.told(0, "init", *words, f"north:north:file:{key}:101")
    wrong.told(0, "init", *words, f"north:north:file:{key}:101,999")

    seen = right.told(0, "credentials", "check").out
    lacking = wrong.told(4, "credentials", "check").out

    told = "north: user north logs in (by a session of its own, sees 101 NORTH-1, 102 NORTH-2)\n"
    assert seen == told
    assert "north: WRONG ACCOUNTS: its key logs in, but does not see 999; it sees: 101" in lacking


def test_keys_of_a_running_daemon_are_proven_by_its_links(daemon: Admin) -> None:
    said = daemon.told(0, "credentials", "check")

    assert said.out == (
        "north: user north logs in (through its link)\n"
        "south: user south logs in (through its link)\n"
    )


def test_logs_are_readable_lines_with_the_exchanges_time(daemon: Admin) -> None:
    said = daemon.told(0, "logs", "tail", "--lines", "200")

    assert re.search(
        r"^\w{3} [\d:]{8} Chicago \(.*\) supervisor info: started child=", said.out, re.MULTILINE
    )
    assert len(daemon.told(0, "logs", "tail", "--lines", "3").out.splitlines()) == 3


def test_what_was_enforced_comes_from_the_journal(daemon: Admin) -> None:
    words = "lockout set --account 101 --mode reduce-only --for 30m --reason news"
    daemon.told(0, *words.split())

    said = daemon.told(0, "logs", "enforcement")

    assert re.search(r"Chicago.* 101 operator acted: .*reduce-only.*news", said.out)
    rows = daemon.told(0, "logs", "enforcement", "--json").data()["records"]
    assert "operator-acted" in [row["kind"] for row in rows]


def test_only_warnings_and_errors_are_errors(admin: Admin) -> None:
    lines = [
        {"at": "2026-01-02T00:00:00.000Z", "level": "info", "event": "started"},
        {"at": "2026-01-02T00:00:01.000Z", "level": "warning", "event": "refused", "why": "no"},
    ]
    broken = ['{"at": "half', '{"level": "error"}', "[]"]
    text = "\n".join([*map(json.dumps, lines), *broken])
    (admin.home.logs / "link-alpha.log").write_text(text)

    assert admin.told(0, "logs", "errors").out.endswith("link-alpha warning: refused why=no\n")
    assert len(admin.told(0, "logs", "tail").out.splitlines()) == 2
    assert "nothing was enforced yet" in admin.told(0, "logs", "enforcement").out
    assert (
        "'--lines': 0 is not in the range 1<=x<=1000"
        in admin.told(2, "logs", "tail", "--lines", "0").err
    )

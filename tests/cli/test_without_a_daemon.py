"""Nothing runs: every command says what is so, with its exit code, and changes nothing."""

import json
import os
import socket
from pathlib import Path

import pytest

from risk_daemon.operations import home as homes
from risk_daemon.operations import pending
from risk_daemon.operations.home import About
from tests.cli.conftest import Admin
from tests.operations import build

EVERY = [
    "start",
    "status",
    "health",
    "why 1",
    "test-connection",
    "test-rule max-contracts",
    "test-persistence",
    "reconcile-state",
    "verify-state",
    "verify-db",
    "rollout diff",
    "doctor",
]


@pytest.mark.parametrize("command", EVERY)
def test_where_no_home_is_the_way_to_one_is_named(nobody: Admin, command: str) -> None:
    said = nobody(*command.split())

    assert said.code == 5, said.err
    assert f"there is no home at {nobody.home.path}: run `risk-daemon-admin init" in said.err
    assert not nobody.home.path.exists()


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        ("status", 1, "down: the daemon is not running and has never run here"),
        ("health", 1, "down: the daemon is not running"),
        ("why 1", 8, "no worker answers"),
        ("why TWO", 8, "2 TWO: from the state file"),
        ("why ONE-TOO-MANY", 5, "there is no account 'ONE-TOO-MANY' here; there are: ONE, TWO"),
        ("test-connection", 8, "alpha: BLIND: link-alpha is not reachable"),
        ("test-rule max-contracts", 8, "supervisor is not reachable"),
        ("test-rule max-contract", 5, "Did you mean 'max-contracts'?"),
        ("test-rule", 2, "name one RULE, or give --all"),
        ("test-rule max-contracts --all", 2, "name one RULE, or give --all"),
        ("test-persistence", 8, "is not running"),
        ("reconcile-state", 8, "1: NOT READ: link-alpha is not reachable"),
        ("verify-state", 5, "this home has never run"),
        ("rollout diff", 5, "this home has never run"),
        ("rollout diff --account 9", 5, "there is no account '9' here"),
        ("restart", 8, "supervisor is not reachable"),
        ("stop", 2, "There is no terminal to ask on: add --reason or --yes"),
        ("stop --yes", 0, "nothing was running: no daemon ever started here"),
        ("emergency shutdown", 0, "nothing was running: no daemon ever started here"),
        ("lockout set --account 9 --mode reduce-only", 5, "there is no account '9' here"),
        ("lockout set --account 1 --mode sleep", 2, "'sleep' is not one of"),
        ("lockout set --mode reduce-only", 2, "Missing option '--account'"),
        ("lockout set --account 1 --mode reduce-only --for x", 2, "is not a duration such as 30m"),
        ("init", 3, "is a home already (demo); nothing was changed"),
        ("init --environment test", 2, "--environment 'test' is none of production"),
    ],
)
def test_each_command_says_what_is_so_and_changes_nothing(
    admin: Admin, command: str, code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)
    words = command.split()
    if words == ["init"]:
        words += ["--environment", "demo", "--gateway", build.GATEWAY]
        words += ["--login", "alpha:someone:env:1"]

    said = admin.told(code, *words)

    assert sentence in said.out + said.err
    assert build.contents(admin.home.path) == before


def test_dry_runs_say_what_would_be_done_and_do_nothing(admin: Admin) -> None:
    before = build.contents(admin.home.path)

    assert "1: would be guarded" in admin.told(0, "start", "--dry-run").out
    assert "would be switched off" in admin.told(0, "stop", "--dry-run").out
    flatten = admin.told(0, "emergency", "flatten-all", "--dry-run")
    assert "2: would be flattened and locked" in flatten.out
    assert "nothing was done" in flatten.err
    lock = "lockout set --account TWO --mode reduce-only --for 1h --dry-run"
    locked = admin.told(0, *lock.split()).out
    assert "2 TWO: may only reduce its positions until" in locked
    assert build.contents(admin.home.path) == before


def test_a_lock_without_a_daemon_is_written_down_and_says_that_nobody_enforces_it(
    admin: Admin,
) -> None:
    said = admin.told(
        8, "lockout", "set", "--account", "1", "--mode", "flatten-lock", "--reason", "news"
    )

    assert "1 ONE: flat and fully locked until an admin ends it: news" in said.out
    assert "nobody enforces this lock until `start`" in said.err
    (act,) = pending.kept(admin.home)
    assert (act.account, act.act, act.reason) == (1, "flatten-lock", "news")


def test_clearing_a_lock_needs_a_reason_and_a_lock_of_a_person(admin: Admin) -> None:
    before = build.contents(admin.home.path)

    assert "Missing option '--reason'" in admin.told(2, "lockout", "clear", "--account", "1").err
    unknown = admin.told(5, "lockout", "clear", "--account", "9", "--reason", "x").err
    assert "there is no account '9' here" in unknown
    said = admin.told(0, "lockout", "clear", "--account", "ONE", "--reason", "x")
    assert said.out == "1 ONE: no person has locked it\n"
    assert build.contents(admin.home.path) == before


def test_an_emergency_of_one_account_leaves_the_others_alone(admin: Admin) -> None:
    tried = admin.told(0, "emergency", "lockout", "--account", "TWO", "--dry-run")
    assert tried.out == "2 TWO: would be flattened and locked\n"
    assert not pending.kept(admin.home)

    said = admin.told(1, "emergency", "lockout", "--account", "TWO", "--reason", "trial")

    assert said.out.startswith("2: NOT FLAT: ")
    assert "nobody enforces the lock until `risk-daemon-admin start`" in said.err
    assert [(act.account, act.act) for act in pending.kept(admin.home)] == [(2, "flatten-lock")]


def test_flatten_all_tries_a_session_of_its_own_and_names_what_it_could_not_do(
    admin: Admin,
) -> None:
    said = admin.told(1, "emergency", "flatten-all", "--reason", "trial", "--json")

    data = said.data()
    assert [row["account"] for row in data["accounts"]] == [1, 2]
    assert all(not row["flat"] and row["left"] for row in data["accounts"])
    assert data["enforced"] is False
    assert {act.account for act in pending.kept(admin.home)} == {1, 2}


def test_json_is_one_object_of_four_keys_also_for_errors(admin: Admin, nobody: Admin) -> None:
    answered = json.loads(admin.told(1, "status", "--json").out)
    refused = json.loads(nobody.told(5, "status", "--json").out)

    assert sorted(answered) == sorted(refused) == ["data", "error", "ok", "schema_version"]
    assert (answered["ok"], answered["error"]) == (False, None)
    assert refused["error"]["code"] == 5


def test_a_home_named_before_the_command_is_not_lost(admin: Admin, nobody: Admin) -> None:
    said = nobody.told(1, "--home", str(admin.home.path), "status")
    nested = nobody.told(0, "--home", str(admin.home.path), "emergency", "flatten-all", "--dry-run")

    assert "has never run here" in said.out
    assert "1: would be flattened" in nested.out


# --- starting what must not start -------------------------------------------------


def edit(admin: Admin, name: str, old: str, new: str) -> None:
    path = admin.home.config / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "sentence"),
    [
        ("policy.yaml", "limit: 5", "limit: five", 2, 'rules.max-contracts.limit is "five"'),
        ("policy.yaml", "max-contracts", "max-contract", 2, "Did you mean 'max-contracts'?"),
        ("daemon.yaml", 'http://127.0.0.1:9"', 'https://api.topstepx.com"', 2, "real broker"),
        ("daemon.yaml", "environment: demo", "environment: staging", 3, "is a demo home, but"),
    ],
)
def test_a_configuration_that_cannot_be_meant_starts_nothing(
    admin: Admin, name: str, old: str, new: str, code: int, sentence: str
) -> None:
    edit(admin, name, old, new)
    before = build.contents(admin.home.path)

    said = admin.told(code, "start")

    assert sentence in said.err
    assert build.contents(admin.home.path) == before


def test_a_missing_credential_starts_nothing(admin: Admin) -> None:
    (admin.home.path / "credentials" / "alpha.key").unlink()
    before = build.contents(admin.home.path)

    said = admin.told(4, "start")

    assert "login alpha: the credentials file" in said.err
    assert build.contents(admin.home.path) == before


def test_a_home_of_another_machine_starts_nothing_until_it_is_taken_over(admin: Admin) -> None:
    homes.write(admin.home, About("demo", build.CREATED, "another-machine", "files"))

    said = admin.told(3, "start")
    assert "two daemons on the same accounts would both enforce" in said.err

    assert "belongs to this machine now" in admin.told(0, "init", "--moved").out
    assert admin.told(0, "start", "--dry-run").code == 0


# --- init ---------------------------------------------------------------------


def test_init_makes_a_home_and_says_what_it_could_not_look_at(nobody: Admin) -> None:
    (nobody.home.path.parent / "k").write_text("a-key-of-a-demo\n")
    (nobody.home.path.parent / "k").chmod(0o600)
    login = f"alpha:someone:file:{nobody.home.path.parent / 'k'}:1,2"

    said = nobody.told(
        0, "init", "--environment", "demo", "--gateway", build.GATEWAY, "--login", login
    )

    assert "2 accounts over 1 login" in said.out
    assert "alpha: positions could not be read: " in said.out
    assert f"next: risk-daemon-admin start --home {nobody.home.path}" in said.err
    assert (nobody.home.config / ".git").is_dir()


def test_init_shows_what_it_would_write(nobody: Admin) -> None:
    words = ["--environment", "demo", "--gateway", build.GATEWAY, "--login", "alpha:me:env:1"]

    said = nobody.told(0, "init", *words, "--dry-run")

    assert "# config/policy.yaml" in said.out
    assert "limit: 5" in said.out
    assert not nobody.home.path.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "which environment? There is no terminal to ask on: add --environment"),
        (["--environment", "demo"], "which login? There is no terminal to ask on: add --login"),
        (["--environment", "demo", "--login", "alpha"], "is not NAME:USER:CREDENTIALS"),
        (["--environment", "demo", "--login", "a:me:env:1"], "this is the real broker"),
        (["--from-referee", "x.yaml"], "--from-referee needs --gateway"),
    ],
)
def test_init_without_what_it_needs_makes_nothing(
    nobody: Admin, words: list[str], sentence: str
) -> None:
    said = nobody.told(2, "init", *words)

    assert sentence in said.err
    assert not nobody.home.path.exists()


def test_a_console_whose_port_is_taken_says_so(admin: Admin) -> None:
    import subprocess
    import sys

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["--home", str(admin.home.path), "--port", str(port)]
        done = subprocess.run(
            [sys.executable, "-m", "risk_daemon.programs.console", *words],
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 can't be taken" in done.stderr
    assert not (admin.home.run / "console.json").exists()


def test_the_restart_script_calls_the_command(admin: Admin, tmp_path: Path) -> None:
    import subprocess
    import sys

    script = Path(__file__).resolve().parents[2] / "scripts" / "restart_daemon.sh"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        [str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "RISK_DAEMON_HOME": str(admin.home.path)},
    )

    assert done.returncode == 8
    assert "supervisor is not reachable" in done.stderr


def test_in_production_accounts_go_to_a_release_by_a_rollout_only(admin: Admin) -> None:
    about = admin.home.path / "home.json"
    about.write_text(about.read_text().replace("demo", "production"))

    said = admin.told(3, "promote", "--all", "--to-version", "v9.0.0")

    assert "in a production home accounts go to a release by a rollout" in said.err
    assert "nothing was moved. `risk-daemon-admin rollback` is always allowed." in said.err
    back = admin.told(8, "rollback", "--all", "--to-version", "v9.0.0")
    assert "supervisor is not reachable" in back.err

"""Every command explains itself with examples, quickly, and loads nothing it doesn't need."""

import re
import subprocess
import sys

import pytest
import typer

from risk_daemon.cli.app import ROOMS
from tests.cli.conftest import Admin

COMMANDS = [
    "init",
    "start",
    "stop",
    "restart",
    "status",
    "health",
    "why",
    "test-connection",
    "test-rule",
    "test-persistence",
    "reconcile-state",
    "verify-state",
    "verify-db",
    "doctor",
    "service install",
    "service uninstall",
    "service status",
    "drill",
    "emergency flatten-all",
    "emergency shutdown",
    "emergency lockout",
    "emergency contacts show",
    "emergency contacts set",
    "lockout set",
    "lockout clear",
    "lockout confirm",
    "config validate",
    "config show",
    "config diff",
    "config reload",
    "config approve",
    "config set-rule",
    "config enable-rule",
    "config disable-rule",
    "accounts list",
    "accounts add",
    "accounts mark-test",
    "logins list",
    "logins add",
    "credentials check",
    "credentials rotate",
    "release add",
    "release list",
    "release show",
    "release verify",
    "release stage",
    "release tag",
    "release prune",
    "deploy plan",
    "deploy gates",
    "deploy staging",
    "deploy canary",
    "deploy percentage",
    "deploy stop",
    "checklist pre",
    "checklist during",
    "checklist post",
    "rollout diff",
    "rollout status",
    "rollout watch",
    "rollout start",
    "rollout pause",
    "rollout resume",
    "rollout complete",
    "rollout promote",
    "rollout approve",
    "rollout override",
    "rollout abort",
    "rollout incident",
    "rollout history",
    "rollout explain",
    "rollout report",
    "config history",
    "config apply",
    "config rollback",
    "flag list",
    "flag set",
    "flag clear",
    "override disable",
    "override list",
    "override clear",
    "alert send",
    "alert list",
    "alert outbox",
    "alert test",
    "alert ack",
    "alert silence",
    "db rollback",
    "dashboard password",
    "dashboard remove",
    "logs tail",
    "logs errors",
    "logs enforcement",
]
CHANGING = {
    "dashboard password",
    "dashboard remove",
    "init",
    "start",
    "stop",
    "restart",
    "service install",
    "service uninstall",
    "emergency flatten-all",
    "emergency shutdown",
    "emergency lockout",
    "emergency contacts set",
    "lockout set",
    "lockout clear",
    "lockout confirm",
    "config reload",
    "config approve",
    "config set-rule",
    "config enable-rule",
    "config disable-rule",
    "accounts add",
    "accounts mark-test",
    "logins add",
    "credentials rotate",
    "release add",
    "release stage",
    "release tag",
    "release prune",
    "deploy plan",
    "deploy staging",
    "deploy canary",
    "deploy percentage",
    "deploy stop",
    "checklist pre",
    "checklist during",
    "checklist post",
    "rollout start",
    "rollout pause",
    "rollout resume",
    "rollout complete",
    "rollout promote",
    "rollout approve",
    "rollout override",
    "rollout abort",
    "rollout incident",
    "config apply",
    "config rollback",
    "flag set",
    "flag clear",
    "override disable",
    "override clear",
    "alert send",
    "alert ack",
    "alert silence",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_has_examples_and_the_options_all_have(nobody: Admin, command: str) -> None:
    said = nobody.told(0, *command.split(), "--help")

    assert f"Examples:\n    risk-daemon-admin {command}" in said.out.replace("./scripts", "")
    assert "--home" in said.out
    assert "--json" in said.out
    assert ("--dry-run" in said.out) == (command in CHANGING)


def test_the_list_of_commands_is_complete_and_nothing_is_cut_short(nobody: Admin) -> None:
    said = nobody.told(0, "--help")

    listed = set(re.findall(r"^  ([a-z-]+) {2,}\S", said.out, re.MULTILINE))
    assert {command.split()[0] for command in COMMANDS} <= listed
    assert "..." not in said.out.split("Commands:")[1]
    assert "Exit codes: 0 done" in said.out


def test_without_a_command_the_help_is_shown_as_a_usage_error(nobody: Admin) -> None:
    assert "Usage: risk-daemon-admin" in nobody.told(2).out + nobody.told(2).err
    assert "flatten-all" in nobody.told(2, "emergency").out + nobody.told(2, "emergency").err


def test_a_mistyped_command_is_answered_with_the_nearest(nobody: Admin) -> None:
    said = nobody.told(2, "statsu")

    assert "Did you mean 'status'" in said.err


def test_each_first_word_leads_to_where_its_command_is() -> None:
    for names, enter in ROOMS.items():
        made = typer.Typer()
        enter(made)

        commands = {command.name for command in made.registered_commands}
        groups = {group.name for group in made.registered_groups}

        assert commands | groups == set(names)


def test_a_command_loads_no_others() -> None:
    code = (
        "import sys; sys.argv = ['x', 'status', '--help']\n"
        "from risk_daemon.programs.admin import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('risk_daemon.cli.')))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = {"app", "looking", "options", "show"}
    assert done.stdout.splitlines()[-1] == str(
        [f"risk_daemon.cli.{name}" for name in sorted(loaded)]
    )


def test_the_version_is_the_first_line(nobody: Admin) -> None:
    said = nobody.told(0, "--version")

    assert re.fullmatch(r"v\d+\.\d+\.\d+\n", said.out)
    assert said.err == "daemon not running\n"


def test_the_version_loads_neither_sdk_nor_web_framework_nor_yaml() -> None:
    code = (
        "import sys; sys.argv = ['x', '--version']\n"
        "from risk_daemon.programs.admin import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'project_x_py', 'polars', 'fastapi', 'uvicorn', 'aiohttp', 'dulwich', 'ruamel'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_the_other_programs_are_listed_and_a_wrong_one_is_refused() -> None:
    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "risk_daemon.programs.daemon", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    assert run("--help")[0] == 0
    code, text = run()
    assert code == 2
    assert all(name in text for name in ("journal", "link", "worker", "supervisor", "console"))
    assert run("jurnal") == (2, f"risk-daemon: there is no program 'jurnal'.\n\n{text}")
    assert run("adopt", "--help")[0] == 0


@pytest.mark.parametrize("module", ["admin", "daemon", "trader"])
def test_no_program_runs_without_its_assertions(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-m", f"risk_daemon.programs.{module}", "status"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "does not run under -O" in done.stderr

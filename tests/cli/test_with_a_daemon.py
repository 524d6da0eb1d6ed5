"""The whole daemon runs: the smoke lines pass, people's orders are carried out and proven."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from risk_daemon.depot.store import Depot
from risk_daemon.operations.daemon import ask
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.rules import CATALOG
from risk_daemon.stage.waiting import until
from risk_daemon.supervisor.release import workers_of
from tests.cli.conftest import Admin, Gateway
from tests.depot import build as releases

PROCESSES = [
    "console",
    "journal",
    "link-north",
    "link-south",
    *workers_of(release()),
]


def console(daemon: Admin, path: str) -> tuple[int, str]:
    """GET from the console: status and body."""
    port = json.loads((daemon.home.run / "console.json").read_text())["port"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def eventually(holds: Any, what: str, within_s: float = 20.0) -> None:
    until(holds, within_s, what)


def positions(gateway: Gateway) -> dict[int, int]:
    """Contracts each account really holds."""
    accounts = gateway.ask("/truth")["accounts"]
    return {
        int(number): sum(abs(int(one["q"])) for one in row["positions"])
        for number, row in (
            accounts.items()
            if isinstance(accounts, dict)
            else ((one["account"], one) for one in accounts)
        )
    }


def buy(gateway: Gateway, account: int, size: int = 1) -> None:
    """Open a position, and wait until the exchange has it."""
    _order(gateway, account, "buy", size)
    eventually(lambda: positions(gateway)[account] >= size, "the position is open")


def sell(gateway: Gateway, account: int, size: int) -> None:
    """Close a position by hand."""
    _order(gateway, account, "sell", size)
    eventually(lambda: positions(gateway)[account] == 0, "the position is closed")


def _order(gateway: Gateway, account: int, side: str, size: int) -> None:
    gateway.wish("/order", {"account": account, "contract": "MNQ", "side": side, "size": size})


# --- before the daemon -------------------------------------------------------------


def test_init_previews_what_a_start_would_do_to_open_positions(
    gateway: Gateway, tmp_path: Path
) -> None:
    buy(gateway, 101, 6)
    buy(gateway, 102, 1)

    said = Admin(Home(tmp_path / "home"), {}).told(
        0, "init", "--from-referee", str(gateway.config), "--gateway", gateway.url
    )

    assert re.search(
        r"^101: \+6 CON\S+: 6 contracts, limit 5: reduce-only until confirmed, nothing is closed$",
        said.out,
        re.MULTILINE,
    )
    assert re.search(r"^102: \+1 CON\S+: within its size, stays as it is$", said.out, re.MULTILINE)
    assert positions(gateway) == {101: 6, 102: 1, 201: 0}
    for number in (101, 102):
        sell(gateway, number, positions(gateway)[number])


# --- looking ------------------------------------------------------------------


def test_starting_twice_is_harmless(daemon: Admin) -> None:
    said = daemon.told(0, "start")

    assert said.out == "every account is guarded: 3 accounts\n"
    assert "running already" in said.err
    assert "next: risk-daemon-admin test-connection" in said.err


def test_a_second_supervisor_of_the_home_is_refused(daemon: Admin) -> None:
    words = ["-m", "risk_daemon.programs.supervisor", "--home", str(daemon.home.path)]

    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)

    assert done.returncode == 3
    assert re.search(r"a daemon runs on the home .* already \(process \d+", done.stderr)
    assert daemon("health").code == 0


def test_status_shows_accounts_processes_and_a_stream_that_advances(daemon: Admin) -> None:
    said = daemon.told(0, "status", "--show-events")

    assert said.out.startswith("healthy: 3 of 3 accounts guarded\n")
    assert "101 NORTH-1: guarded by worker-" in said.out
    assert all(f"\n{name}: running" in said.out for name in PROCESSES)
    assert re.search(r"stream: seq \d+, \d+ records/s, last broker fact .* ago", said.out)
    assert "policy-adopted" in said.out or "lease-granted" in said.out or "feed" in said.out
    data = daemon.told(0, "status", "--json").data()
    assert data["advancing"] is True
    assert [row["account"] for row in data["accounts"]] == [101, 102, 201]


def test_every_process_says_how_many_tasks_it_runs(daemon: Admin) -> None:
    told = {name: ask(daemon.home, name, "tasks")["tasks"] for name in PROCESSES}

    assert all(0 < tasks < 100 for tasks in told.values()), told


def test_health_is_the_same_by_command_and_by_http(daemon: Admin) -> None:
    said = daemon.told(0, "health")
    status, body = console(daemon, "/health")

    assert said.out.startswith("healthy: every account is guarded and connected\n")
    assert (status, json.loads(body)["ok"]) == (200, True)
    assert "Healthy: all 3 accounts are guarded" in console(daemon, "/")[1]
    assert 'risk_daemon_account_enforcing{account="101"} 1.0' in console(daemon, "/metrics")[1]
    assert json.loads(console(daemon, "/api/v1/accounts/101")[1])["name"] == "NORTH-1"


def test_the_version_is_the_running_one(daemon: Admin) -> None:
    said = daemon.told(0, "--version")

    assert re.fullmatch(r"v\d+\.\d+\.\d+\n", said.out)
    assert said.err == ""
    data = daemon.told(0, "--version", "--json").data()
    assert data["running"] == [said.out.strip()]


# --- the smoke lines --------------------------------------------------------------


def test_the_connection_of_every_login_is_probed(daemon: Admin) -> None:
    said = daemon.told(0, "test-connection")

    for login in ("north", "south"):
        assert re.search(
            rf"^{login}: connected: REST .* user hub probed in .* market hub probed in .*"
            r"login valid until .* Chicago.*, reconciles every [\d.]+ s, does not poll$",
            said.out,
            re.MULTILINE,
        )


def test_rules_pass_on_every_account(daemon: Admin) -> None:
    said = daemon.told(0, "test-rule", "max-contracts")
    every = daemon.told(0, "test-rule", "--all", "--json").data()

    assert [line.split(":")[0] for line in said.out.splitlines()] == [
        "101 max-contracts",
        "102 max-contracts",
        "201 max-contracts",
    ]
    tried = [row["result"] for row in every["accounts"] if row["result"] != "not configured"]
    assert tried == ["pass"] * 9
    assert {row["rule"] for row in every["accounts"]} == set(CATALOG)


def test_state_is_written_and_read_back(daemon: Admin) -> None:
    said = daemon.told(0, "test-persistence")

    assert re.search(r"promise \d+: durable in", said.out)
    assert "reader process: read back" in said.out
    assert "chain: holds over the last" in said.out


def test_state_is_true_against_the_broker_and_against_the_journal(daemon: Admin) -> None:
    reconciled = daemon.told(0, "reconcile-state")
    verified = daemon.told(0, "verify-state")

    assert [line.split(":")[0] for line in reconciled.out.splitlines()] == ["101", "102", "201"]
    assert verified.out.count(": equal, ") == 3


def test_nothing_restricts_an_account_that_did_nothing(daemon: Admin) -> None:
    assert "no lock" in daemon.told(0, "why", "SOUTH-1").out


def test_an_alarm_is_logged_shown_by_status_and_by_http(daemon: Admin) -> None:
    daemon.told(0, "config", "set-rule", "SOUTH-1", "max-contracts", "limit=50")

    # What waits for the next trade day is told to people.
    eventually(lambda: "(info) " in daemon("status").out, "status says that it was delivered")
    status = daemon.told(0, "status").out
    assert re.search(r"alarm \d+ \(info\) .* 201: change of policy: waits until", status)
    shown = json.loads(console(daemon, "/api/v1/alarms")[1])["alarms"][-1]
    assert (shown["account"], shown["what"]) == (201, "change of policy")
    rows = daemon.told(0, "status", "--json").data()["alarms"]
    assert (rows[-1]["seq"], rows[-1]["delivered"]) == (shown["seq"], True)
    assert f'"seq": {shown["seq"]},' in (daemon.home.logs / "alarms.log").read_text()
    daemon.told(0, "config", "set-rule", "SOUTH-1", "max-contracts", "limit=5")


# --- acting --------------------------------------------------------------------


def test_a_persons_lock_is_kept_enforced_and_explained(daemon: Admin) -> None:
    words = "lockout set --account NORTH-2 --mode reduce-only --for 30m --reason news"

    said = daemon.told(0, *words.split())

    assert "102 NORTH-2: may only reduce its positions until" in said.out
    assert said.err == "next: risk-daemon-admin why 102\n"
    eventually(lambda: "news" in daemon("why", "102").out, "the lock is explained")
    eventually(lambda: "reduce-only" in daemon("status").out, "the lock is shown")


def test_a_person_ends_a_persons_lock(daemon: Admin) -> None:
    words = ["lockout", "clear", "--account", "NORTH-2", "--reason", "over"]
    tried = daemon.told(0, *words, "--dry-run")
    assert "102 NORTH-2: would be ended: reduce-only by kill-switch until" in tried.out
    assert "reduce-only" in daemon.told(0, "status").out

    said = daemon.told(0, *words)

    assert re.search(r"^102 NORTH-2: ended: reduce-only by kill-switch until .*news", said.out)
    eventually(lambda: "reduce-only" not in daemon("status").out, "the lock is gone")
    assert "no person has locked it" in daemon.told(0, *words).out


def test_one_account_is_flattened_and_locked_and_no_other(daemon: Admin, gateway: Gateway) -> None:
    buy(gateway, 101, 1)
    buy(gateway, 102, 1)
    gateway.wish("/announce", {"account": 102, "act": "flatten-lock", "by": "tester"})

    said = daemon.told(0, "emergency", "lockout", "--account", "NORTH-2", "--reason", "trial")

    assert said.out == "102: flat, proven by query (through the link)\n"
    assert positions(gateway) == {101: 1, 102: 0, 201: 0}
    eventually(lambda: daemon("status").out.count("full (") == 1, "one account is locked")
    gateway.wish("/announce", {"account": 102, "act": "unlock", "by": "tester"})
    assert (
        "ended: full by"
        in daemon.told(0, "lockout", "clear", "--account", "102", "--reason", "x").out
    )


def test_flatten_all_closes_what_is_open_and_proves_it(daemon: Admin, gateway: Gateway) -> None:
    buy(gateway, 101, 2)
    buy(gateway, 201, 1)
    gateway.wish("/announce", {"account": None, "act": "flatten-all", "by": "tester"})

    said = daemon.told(0, "emergency", "flatten-all", "--reason", "trial")

    assert said.out.count("flat, proven by query (through the link)") == 3
    assert set(positions(gateway).values()) == {0}
    eventually(lambda: daemon("status").out.count("full (") == 3, "every account is locked")
    again = daemon.told(0, "emergency", "flatten-all", "--reason", "twice")
    assert again.out.count("flat, proven by query") == 3


def test_a_restart_is_protected_and_says_each_gap(daemon: Admin) -> None:
    said = daemon.told(0, "restart", "--reason", "trial")

    names = [line.split(":")[0] for line in said.out.splitlines()]
    assert sorted(names) == PROCESSES
    assert all(": restarted, gap " in line for line in said.out.splitlines())
    eventually(lambda: daemon("health").code == 0, "healthy again")


def test_a_blind_login_is_named(daemon: Admin, gateway: Gateway) -> None:
    gateway.wish("/fault", {"kind": "session_conflict", "login": "north", "seconds": 10})
    eventually(lambda: daemon("health").code == 3, "health is degraded")

    said = daemon.told(1, "test-connection")

    assert re.search(r"^north: BLIND: ", said.out, re.MULTILINE)
    assert re.search(r"^south: connected: ", said.out, re.MULTILINE)
    eventually(lambda: "POLLS, as its session is taken" in daemon("test-connection").out, "polls")
    assert console(daemon, "/health")[0] == 503
    assert "101 NORTH-1: NOT GUARDED: its feed is" in daemon.told(3, "status").out
    late = daemon.told(7, "start", "--timeout", "0.5").out
    assert re.search(r"^102: NOT GUARDED: its feed is ", late, re.MULTILINE)
    assert late.splitlines()[-1] == (
        "waited 0.5 s for 3 accounts, 2 not guarded; what was started goes on by itself: "
        f"`risk-daemon-admin start --home {daemon.home.path}` waits on"
    )
    eventually(lambda: daemon("health").code == 0, "healthy again", 40)


def test_shutdown_is_durable_shown_everywhere_and_ended_by_start(daemon: Admin) -> None:
    said = daemon.told(0, "emergency", "shutdown", "--reason", "manual intervention")

    assert said.out.startswith("protection is off: manual intervention (")
    status = daemon.told(1, "status")
    assert "PROTECTION IS OFF since" in status.out
    assert "manual intervention" in status.out
    assert re.search(r"\d+ .* protection-disabled manual", daemon("status", "--show-events").out)
    assert daemon.told(1, "health").out.startswith("down: ")
    assert "protection was off already" in daemon.told(0, "emergency", "shutdown").out
    assert "full" in daemon.told(8, "why", "101").out

    assert daemon.told(0, "start").out == "every account is guarded: 3 accounts\n"
    assert "PROTECTION IS OFF" not in daemon.told(0, "status").out


def test_of_two_who_start_at_once_both_see_every_account_guarded(daemon: Admin) -> None:
    daemon.told(0, "stop", "--reason", "twice as good")
    words = [sys.executable, "-m", "risk_daemon.programs.admin", "start", "--timeout", "40"]
    home = ["--home", str(daemon.home.path)]

    both = [subprocess.Popen([*words, *home], stdout=subprocess.PIPE, text=True) for _ in range(2)]

    assert [one.communicate()[0] for one in both] == ["every account is guarded: 3 accounts\n"] * 2
    assert [one.returncode for one in both] == [0, 0]


def test_with_everything_dead_flatten_all_still_works(daemon: Admin, gateway: Gateway) -> None:
    kill_everything(daemon)
    buy(gateway, 102, 1)
    for command in ("test-connection", "test-rule max-contracts", "test-persistence"):
        assert daemon(*command.split()).code == 8, command
    gateway.wish("/announce", {"account": None, "act": "flatten-all", "by": "tester"})

    said = daemon.told(0, "emergency", "flatten-all", "--reason", "everything is dead")

    assert said.out.count("flat, proven by query (own session, link ") == 3
    assert "nobody enforces the lock until `risk-daemon-admin start`" in said.err
    assert set(positions(gateway).values()) == {0}

    daemon.told(0, "start", "--timeout", "40")
    eventually(lambda: "everything is dead" in daemon("why", "102").out, "the lock is adopted")


def kill_everything(daemon: Admin) -> None:
    """Kill -9 of the supervisor first, then of all it started, each by its own id."""
    supervisor = int((daemon.home.run / "daemon.lock").read_text()[1:].split()[0])
    rows = daemon("status", "--json").data()["processes"]
    for pid in (supervisor, *(row["pid"] for row in rows)):
        psutil.Process(pid).kill()
    eventually(lambda: not any(_is_alive(row["pid"]) for row in rows), "all are dead")


def _is_alive(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    try:
        return path.read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", ["policy.yaml"])
def test_an_unreadable_file_never_stops_protection(daemon: Admin, name: str) -> None:
    path = daemon.home.config / name
    text = path.read_text()
    daemon.told(0, "stop", "--reason", "edit")
    path.write_text(text + "consol: 1\n")

    said = daemon.told(0, "start", "--timeout", "40")

    assert "the last settings stay in force" in said.err
    assert "consol is not a key here" in said.err
    assert "every account is guarded" in said.out
    path.write_text(text)


def test_the_release_that_runs_is_never_let_go(daemon: Admin, tmp_path: Path) -> None:
    depot = Depot(tmp_path / "depot")
    for number, version in enumerate((release(), "v7.0.0", "v7.1.0", "v7.2.0")):
        made = releases.release(tmp_path / version, releases.Recipe(version))
        depot.add(made, [releases.KEY.trusted], number, "tester", lambda _: None)
    admin = Admin(daemon.home, {"RISK_DAEMON_DEPOT": str(depot.path)})

    said = admin.told(3, "release", "prune", release())
    whole = admin.told(0, "release", "prune", "--json")

    assert f"{release()} is not removed: it holds 3 accounts" in said.err
    assert whole.data()["depot"] == []
    assert depot.versions()[0] == release()

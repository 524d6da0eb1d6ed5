"""`deploy staging`: a release runs beside production, or one sentence says why not."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from risk_daemon.journal.sqlite import connect
from risk_daemon.operations.configuration import founding
from risk_daemon.operations.configuration.founding import AccountPlan, Plan
from risk_daemon.operations.home import Home
from risk_daemon.operations.staging import staging_gateway
from risk_daemon.settings import Gateway, Login
from risk_daemon.sim.config import read as read_config
from risk_daemon.sim.day import read as read_day
from risk_daemon.stage.gateway import Gateway as Simulated
from tests.cli.conftest import Said
from tests.depot import build
from tests.operations import build as homes
from tests.untraced import untraced_children

#: Whole deployments: a release is made, unpacked, started and looked at.
pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 600.0
GUARDED = (1001, 1002, 1003, 1004, 1005)
VERSION = "v0.2.0"
SMOKE = ["health", "test-connection", "status --show-events", "test-rule max-contracts"]
OWN = {"PROJECT_X_API_KEY": "a-key-of-their-own", "PROJECT_X_USERNAME": "east"}
REFEREE = """\
traders: false
logins:
  - {user: east, api_key: a-key-of-their-own, accounts: [{id: 1001}, {id: 7001}]}
  - {user: west, api_key: a-key-of-their-own, accounts: [{id: 1002}]}
"""


@dataclass(frozen=True)
class Beside:
    """A production home with its depot, and the place beside it."""

    folder: Path
    standing_in: Path

    @property
    def production(self) -> Home:
        return Home(self.folder / "prod")

    @property
    def staging(self) -> Home:
        return Home(self.folder / "staging")

    @property
    def depot(self) -> Path:
        return self.folder / "depot"

    def run(self, *words: str, **more: str) -> Said:
        """Run a command as a person would, standing in a folder."""
        usual = {k: v for k, v in os.environ.items() if not k.startswith("PROJECT_X")}
        env = {
            **usual,
            "RISK_DAEMON_HOME": str(self.production.path),
            "RISK_DAEMON_DEPOT": str(self.depot),
            "RISK_DAEMON_STAGING_HOME": str(self.staging.path),
            "RISK_DAEMON_RELEASE_KEY": str(self.folder / "release.key"),
            **more,
        }
        done = subprocess.run(
            [sys.executable, "-m", "risk_daemon.programs.admin", *words],
            cwd=self.standing_in,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=env,
            timeout=WITHIN_S,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def told(self, code: int, *words: str, **more: str) -> Said:
        said = self.run("deploy", "staging", *words, **more)
        assert said.code == code, f"exit {said.code}\n{said.out}\n{said.err}"
        return said

    def refused(self, code: int, *words: str, **more: str) -> str:
        """Run it; it must change nothing, and say why in one sentence."""
        before = homes.contents(self.folder)

        said = self.told(code, *words, **more)

        assert homes.contents(self.folder) == before
        assert said.out == ""
        (line,) = [one for one in said.err.splitlines() if one.startswith("risk-daemon-admin:")]
        return line

    def copied(self, *edits: tuple[str, str]) -> None:
        """Start staging from a copy of production's configuration, as the brief has it."""
        shutil.copytree(self.production.config, self.staging.config)
        file = self.staging.config / "daemon.yaml"
        text = file.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)

    def added(self, recipe: build.Recipe) -> None:
        made = build.release(self.folder / "made", recipe)
        shutil.rmtree(self.depot, ignore_errors=True)
        self.production.trusted_keys.write_text(recipe.key.trusted.text + "\n")
        assert self.run("release", "add", str(made)).code == 0
        self.production.trusted_keys.write_text(build.KEY.trusted.text + "\n")


def beside(folder: Path, standing_in: Path | None = None) -> Beside:
    login = Login(name="me", user="trader", credentials="env", accounts=GUARDED)
    accounts = tuple(AccountPlan(number, f"NO-{number}") for number in GUARDED)
    plan = Plan("production", Gateway(), (login,), accounts, console_port=0)
    founding.found(Home(folder / "prod"), plan, homes.CREATED, "tester")
    (folder / "prod" / "trusted.keys").write_text(build.KEY.trusted.text + "\n")
    key = folder / "release.key"
    key.write_bytes(build.KEY.secret)
    key.chmod(0o600)
    return Beside(folder, standing_in or folder)


@pytest.fixture
def place(tmp_path: Path) -> Beside:
    return beside(tmp_path)


# --- what is refused ---


def test_without_a_production_home_there_is_nothing_to_be_beside(place: Beside) -> None:
    said = place.refused(5, RISK_DAEMON_HOME=str(place.folder / "nowhere"))

    assert "there is no home at" in said


def test_a_demo_home_is_no_production(place: Beside) -> None:
    demo = homes.home(place.folder / "demo")

    said = place.refused(3, RISK_DAEMON_HOME=str(demo.path))

    assert "is a demo home; staging is made beside a production home" in said


def test_staging_is_not_production(place: Beside) -> None:
    said = place.refused(2, RISK_DAEMON_STAGING_HOME=str(place.production.path))

    assert "is the production home: name another place in RISK_DAEMON_STAGING_HOME" in said


def test_a_home_of_another_kind_stays_what_it_is(place: Beside) -> None:
    demo = homes.home(place.folder / "demo")

    said = place.refused(3, RISK_DAEMON_STAGING_HOME=str(demo.path))

    assert "is a demo home, not a staging home" in said


def test_a_copy_inside_a_copy_is_named(place: Beside) -> None:
    place.copied()
    shutil.copytree(place.production.config, place.staging.config / "config")

    assert "holds a copy inside the copy" in place.refused(3)


def test_a_copy_that_cannot_be_read_is_named_with_its_line(place: Beside) -> None:
    place.copied(("[1001, 1002, 1003, 1004, 1005]", "[many]"))

    said = place.told(2)

    assert "many" in said.err
    assert "daemon.yaml" in said.err
    assert not place.staging.about.exists()


def test_a_port_that_another_program_has_is_named(place: Beside) -> None:
    place.added(build.Recipe())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        place.copied(("port: 0 ", f"port: {port} "))

        said = place.refused(3)

    assert f"port {port} of 127.0.0.1 can't be taken: another program has it" in said


def test_without_a_release_or_a_checkout_there_is_nothing_to_deploy(place: Beside) -> None:
    said = place.refused(5)

    assert "there is no release in the depot" in said
    assert "is no checkout to make one of" in said


def test_a_version_that_is_not_there_is_named(place: Beside) -> None:
    place.added(build.Recipe())

    assert "there is no release v9.9.9 in the depot" in place.refused(5, "--version", "v9.9.9")


def test_a_release_that_production_does_not_trust_stays_out(place: Beside) -> None:
    place.added(build.Recipe(key=build.STRANGER))

    said = place.refused(3)

    assert "v1.0.0" in said
    assert "sign" in said


def test_a_checkout_needs_a_key_to_sign_with(place: Beside) -> None:
    checkout = build.checkout(place.folder / "checkout")
    place = Beside(place.folder, checkout)

    said = place.refused(5, RISK_DAEMON_RELEASE_KEY=str(place.folder / "lost.key"))

    assert "there is no key" in said
    assert "release keygen --out" in said


def test_an_account_of_production_is_not_acted_on_at_the_broker(place: Beside) -> None:
    place.added(build.Recipe())
    place.copied(
        ("environment: production", "environment: staging"), ('user: "trader"', 'user: "east"')
    )

    said = place.refused(3, **OWN)

    assert (
        "would act at the broker on 1001, 1002, 1003, 1004, 1005, which production guards" in said
    )


# --- whose session it is ---


def test_productions_own_user_is_left_alone(place: Beside) -> None:
    place.added(build.Recipe())

    said = place.told(0, "--dry-run", PROJECT_X_API_KEY="k", PROJECT_X_USERNAME="trader")

    assert "the simulated gateway, as trader is production's own user" in said.err
    assert "5 accounts would be guarded: 1001, 1002, 1003, 1004, 1005" in said.out
    assert "nothing was done" in said.err
    assert not place.staging.path.exists()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    folder = tmp_path_factory.mktemp("broker")
    config = folder / "referee.yaml"
    config.write_text(REFEREE)
    with untraced_children():
        found = Simulated(folder, config=config)
    try:
        yield found
    finally:
        found.stop()


def test_a_user_of_its_own_gets_its_accounts_but_for_productions(
    place: Beside, broker: Simulated
) -> None:
    place.added(build.Recipe())

    said = place.told(0, "--dry-run", "--json", "--gateway", broker.url, **OWN)

    assert "the test broker: user east is staging's own" in said.err
    assert said.data()["accounts"] == [7001]
    assert said.data()["simulated"] is False


def test_a_user_that_sees_only_productions_accounts_is_refused(
    place: Beside, broker: Simulated
) -> None:
    place.added(build.Recipe())

    said = place.refused(3, "--gateway", broker.url, **{**OWN, "PROJECT_X_USERNAME": "west"})

    assert "user west sees no account that production does not guard (it sees: 1002)" in said


def test_a_key_that_does_not_log_in_is_said_before_anything_is_made(
    place: Beside, broker: Simulated
) -> None:
    place.added(build.Recipe())

    said = place.told(4, "--gateway", broker.url, **{**OWN, "PROJECT_X_API_KEY": "another-key-0"})

    assert not place.staging.path.exists()
    assert "another-key-0" not in said.err


# --- the whole of it ---


class Deployed(Beside):
    """What became of it, and how it is ended."""

    def close(self) -> None:
        self.run("stop", "--yes", "--reason", "over", "--home", str(self.staging.path))
        found = staging_gateway.running(self.staging)
        if found is not None:
            psutil.Process(found.pid).kill()

    def daemon(self) -> dict[str, Any]:
        said = self.run("status", "--json", "--home", str(self.staging.path))
        return said.data()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployed, Said]]:
    folder = tmp_path_factory.mktemp("deployed")
    checkout = build.program(folder / "checkout", "0.2.0")
    made = beside(folder, checkout)
    place = Deployed(made.folder, made.standing_in)
    with untraced_children():
        place.copied()
        said = place.told(0, "--json", "--reason", "a rehearsal")
        try:
            yield place, said
        finally:
            place.close()


def test_a_release_of_the_checkout_runs_in_staging_and_every_smoke_line_passes(
    deployed: tuple[Deployed, Said],
) -> None:
    place, said = deployed
    data = said.data()

    assert data["version"] == VERSION
    assert [one["line"] for one in data["smoke"]] == [*SMOKE, "test-persistence"]
    assert {one["exit"] for one in data["smoke"]} == {0}
    assert data["history"]["fills"] == 10
    rows = place.daemon()["accounts"]
    assert {row["account"]: row["release"] for row in rows} == dict.fromkeys(GUARDED, VERSION)


def test_it_is_like_production_in_all_that_is_compared(deployed: tuple[Deployed, Said]) -> None:
    _, said = deployed

    compared = {one["what"]: one["same"] for one in said.data()["parity"]}

    assert compared == {"system": True, "Python": True, "lock": True, "configuration": True}


def test_the_gates_that_are_red_say_what_would_measure_them(
    deployed: tuple[Deployed, Said],
) -> None:
    _, said = deployed
    gates = {one["gate"]: one for one in said.data()["gates"]}

    assert {"tests", "live tests", "backup"} <= set(said.data()["red"])
    assert "signature" not in said.data()["red"]
    assert gates["backup"]["measure"] == "`risk-daemon-admin backup create`"


def test_nothing_of_production_moved_and_no_key_was_written(
    deployed: tuple[Deployed, Said],
) -> None:
    place, _ = deployed

    assert not (place.production.state / "journal.db").exists()
    assert not place.production.releases.exists()
    text = (place.staging.config / "daemon.yaml").read_text()
    assert "environment: staging" in text
    assert "trader" not in text
    assert (place.staging.config / "policy.yaml").read_text() == (
        place.production.config / "policy.yaml"
    ).read_text()


def test_said_again_it_restarts_nothing(deployed: tuple[Deployed, Said]) -> None:
    place, _ = deployed
    before = {row["name"]: row["pid"] for row in place.daemon()["processes"]}

    said = place.told(0, "--version", VERSION)

    assert {row["name"]: row["pid"] for row in place.daemon()["processes"]} == before
    assert "v0.2.0 runs in staging" in said.out
    assert "broker: the simulated gateway" in said.out
    assert "of 11 gates are red" in said.out


def test_production_recorded_days_are_decided_again_by_the_release(
    deployed: tuple[Deployed, Said],
) -> None:
    place, _ = deployed
    lived(place.staging, place.production)

    said = place.told(0, "--json", "--version", VERSION)

    recorded = said.data()["history"]["recorded"]
    assert recorded["why"] == ""
    assert recorded["differing"] == 0


def test_its_day_can_be_recorded_and_is_played_by_the_simulated_gateway(
    deployed: tuple[Deployed, Said], tmp_path: Path
) -> None:
    place, _ = deployed
    out = tmp_path / "a.day"
    gate = [sys.executable, "-m", "risk_daemon.programs.simgate"]

    words = ["record", "--home", str(place.staging.path), "--out", str(out)]
    said = subprocess.run([*gate, *words], capture_output=True, text=True, check=False)

    assert said.returncode == 0, said.stderr
    assert re.search(r"a\.day: \d+ steps of \d accounts, \d+ s", said.stdout)
    config = place.staging.path / "simgate" / "config.yaml"
    scenario, left_out = read_day(out, read_config(config))
    assert left_out == 0
    assert {"order", "quote"} <= {one.verb for one in scenario.steps}
    again = subprocess.run([*gate, *words], capture_output=True, text=True, check=False)
    assert (again.returncode, "exists already; nothing was written" in again.stderr) == (3, True)


def lived(source: Home, target: Home) -> None:
    """Give a home the days that another one has recorded."""
    with closing(connect(str(source.state / "journal.db"))) as here:
        here.execute("VACUUM INTO ?", (str(target.state / "journal.db"),))


def test_a_supervisor_that_ends_ends_the_wait_and_its_last_words_are_told(
    deployed: tuple[Deployed, Said],
) -> None:
    place, _ = deployed
    assert place.run("stop", "--yes", "--home", str(place.staging.path)).code == 0
    lock = place.staging.run / "daemon.lock"
    lock.unlink()
    lock.mkdir()
    try:
        said = place.told(1, "--version", VERSION)
    finally:
        lock.rmdir()

    (line,) = [one for one in said.err.splitlines() if one.startswith("risk-daemon-admin:")]
    assert f"`start` of {VERSION} failed in {place.staging.path} (exit 1): " in line
    assert "the supervisor ended with exit 1; nothing is running" in line
    assert f"Is a directory: '{lock}'" in line
    assert f"`risk-daemon-admin status --home {place.staging.path}`" in line
    assert line.endswith("it is safe to deploy again.")
    assert place.told(0, "--version", VERSION).out.startswith(f"{VERSION} runs in staging")


def test_another_release_takes_every_account_over(deployed: tuple[Deployed, Said]) -> None:
    place, _ = deployed
    checkout = build.program(place.folder / "next", "0.3.0")
    place = Deployed(place.folder, checkout)

    told = place.told(0, "--json")

    assert told.data()["version"] == "v0.3.0"
    found = place.daemon()
    assert {row["release"] for row in found["accounts"]} == {"v0.3.0"}
    assert {row["name"]: row["release"] for row in found["processes"]} == dict.fromkeys(
        (row["name"] for row in found["processes"]), "v0.3.0"
    ), told.err

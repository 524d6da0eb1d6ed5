"""`doctor` says of each thing ok, warn or fail; its bundle never holds a secret."""

import json
import re
import shutil
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.operations import home as homes
from risk_daemon.operations.home import About
from risk_daemon.operations.running.finding import FAIL, OK, WARN
from risk_daemon.operations.running.machine import judged, python, sqlite
from tests.cli.conftest import Admin
from tests.cli.old_sqlite import old_sqlite
from tests.operations import build
from tests.operations.conftest import process

SECOND = 1_000_000_000
KEY = "a-key-of-a-demo"


def checks(admin: Admin, code: int = 0) -> dict[str, dict[str, str]]:
    """Each check by its name."""
    rows = admin.told(code, "doctor", "--json").data()["checks"]
    return {row["check"]: row for row in rows}


def edit(admin: Admin, old: str, new: str) -> None:
    path = admin.home.config / "daemon.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- a home that is well --------------------------------------------------------------


def test_a_fresh_home_has_no_failure_and_every_warning_names_the_next_command(
    admin: Admin,
) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(0, "doctor")

    lines = said.out.splitlines()
    assert all(re.match(r"(ok  |warn) [a-z]+( of [a-z]+)?: ", line) for line in lines[:-1])
    assert all("; next: " in line for line in lines if line.startswith("warn"))
    assert lines[-1] == "12 ok, 2 warn, 0 fail"
    assert build.contents(admin.home.path) == before


def test_of_a_running_daemon_all_is_well(daemon: Admin) -> None:
    rows = checks(daemon)

    assert {row["state"] for row in rows.values()} == {"ok"}, rows
    assert "agrees with the gateway's" in rows["clock"]["text"]
    assert rows["processes"]["text"] == "all of them run: 6"
    assert "the chain holds over the last" in rows["journal"]["text"]
    assert {"credentials of north", "credentials of south"} <= rows.keys()


# --- what is not well -----------------------------------------------------------------


def others_may_read(admin: Admin) -> None:
    admin.home.config.chmod(0o755)


def key_is_gone(admin: Admin) -> None:
    (admin.home.path / "credentials" / "alpha.key").unlink()


def wrong_limit(admin: Admin) -> None:
    path = admin.home.config / "policy.yaml"
    path.write_text(path.read_text().replace("limit: 5", "limit: five"))


def another_machine(admin: Admin) -> None:
    homes.write(admin.home, About("demo", build.CREATED, "another-machine", "files"))


def state_is_no_folder(admin: Admin) -> None:
    shutil.rmtree(admin.home.state)
    admin.home.state.touch()


def ran_and_died(admin: Admin) -> None:
    with process("journal", admin.home, "journal.ready"):
        pass


def a_damaged_journal(admin: Admin) -> None:
    ran_and_died(admin)
    path = admin.home.state / "journal.db"
    path.write_bytes(b"X" + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("harm", "check", "sentence"),
    [
        (others_may_read, "private", "config (mode 0755)"),
        (key_is_gone, "credentials of alpha", "does not exist"),
        (wrong_limit, "configuration", 'rules.max-contracts.limit is "five"'),
        (another_machine, "home", "was made on another machine"),
        (state_is_no_folder, "disk", "can't be written: Not a directory"),
        (ran_and_died, "processes", "the daemon is not running: nobody protects the accounts"),
        (a_damaged_journal, "journal", "not a database"),
    ],
)
def test_what_is_not_well_fails_with_the_next_command(
    admin: Admin, harm: Any, check: str, sentence: str
) -> None:
    harm(admin)

    found = checks(admin, 1)[check]

    assert found["state"] == "fail"
    assert sentence in found["text"]
    assert found["next"] or check == "home"


def test_a_port_that_another_program_has_is_named(admin: Admin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        edit(admin, "port: 0", f"port: {port}")

        found = checks(admin, 1)["port"]

    assert found["text"] == f"port {port} of 127.0.0.1 can't be taken: another program has it"
    assert "console.port in config/daemon.yaml" in found["next"]


def test_an_sqlite_that_is_too_old_fails(admin: Admin, tmp_path: Path) -> None:
    aged = Admin(admin.home, old_sqlite(tmp_path))

    found = checks(aged, 1)["sqlite"]

    assert re.search(r"SQLite 3\.\S+ can corrupt WAL files; 3\.51\.3 or newer", found["text"])


def test_versions_are_judged_by_their_minimum() -> None:
    assert sqlite((3, 51, 2)).state == FAIL
    assert sqlite((3, 51, 3)).state == OK
    assert python((3, 11, 9)).state == FAIL
    assert python((3, 12, 0)).state == OK


@pytest.mark.parametrize(
    ("ours_s", "took_s", "state", "words"),
    [
        (0.0, 0.0, OK, "agrees"),
        (0.999, 0.0, OK, "agrees"),
        (2.9, 0.0, OK, "agrees"),
        (3.2, 0.0, WARN, "2.7 s ahead of"),
        (-2.2, 0.0, WARN, "2.7 s behind"),
        (3.2, 1.0, OK, "agrees"),
        (300.5, 0.0, FAIL, "5 min ahead of the gateway's: locks would end"),
        (-299.5, 0.0, FAIL, "5 min behind the gateway's"),
    ],
)
def test_a_clock_is_judged_within_what_its_witness_can_tell(
    ours_s: float, took_s: float, state: str, words: str
) -> None:
    found = judged(1_000 * SECOND + int(ours_s * SECOND), 1_000 * SECOND, int(took_s * SECOND))

    assert found.state == state
    assert words in found.text


# --- the bundle ------------------------------------------------------------------------


def test_a_bundle_has_what_a_supporter_needs_and_no_secret(admin: Admin, tmp_path: Path) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
    edit(admin, "environment: demo", f"environment: demo    # never write {KEY} here")
    log = admin.home.logs / "link-alpha.log"
    line = {"at": "2026-01-01T00:00:00.000Z", "level": "error", "event": f"login {KEY} failed"}
    log.write_text(json.dumps(line) + f'\nbearer {token}\n{{"apiKey": "unknown-elsewhere"}}\n')
    (admin.home.run / "journal.addr").write_text('{"token": "token-of-a-socket"}')
    (admin.home.logs / "supervisor.out").write_text("token-of-a-socket, from-the-environment\n")
    file = tmp_path / "bundle.zip"
    asked = Admin(admin.home, {"PROJECT_X_API_KEY": "from-the-environment"})

    said = asked.told(0, "doctor", "--bundle", str(file))

    assert f"bundle: {file}, " in said.err
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as bundle:
        texts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    whole = "\n".join(texts.values())
    for secret in (KEY, token, "unknown-elsewhere", "token-of-a-socket", "from-the-environment"):
        assert secret not in whole
    assert "never write ******** here" in texts["config/daemon.yaml"]
    assert "login ******** failed" in texts["logs/link-alpha.log"]
    assert json.loads(texts["versions.json"])["packages"]["msgspec"]
    assert {"doctor.json", "status.json", "events.txt", "home.json", "config/policy.yaml"} <= set(
        texts
    )
    assert not any("credentials" in name or name.startswith("run/") for name in texts)


def test_a_bundle_never_overwrites_and_is_never_half_there(admin: Admin, tmp_path: Path) -> None:
    file = tmp_path / "there.zip"
    file.write_text("mine")

    assert (
        "exists already; nothing was written" in admin.told(3, "doctor", "--bundle", str(file)).err
    )
    nowhere = tmp_path / "nowhere" / "b.zip"
    assert "can't be written" in admin.told(2, "doctor", "--bundle", str(nowhere)).err
    assert file.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir() if one.suffix in (".zip", ".new")] == [
        "there.zip"
    ]


def test_a_bundle_of_a_running_daemon_holds_no_key_of_it(daemon: Admin, tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"

    daemon.told(0, "doctor", "--bundle", str(file))

    with zipfile.ZipFile(file) as bundle:
        texts = [bundle.read(name).decode() for name in bundle.namelist()]
    assert len(texts) > 10
    assert not any("a-long-north-key" in text or "a-long-south-key" in text for text in texts)
    assert any('"last_seq"' in text for text in texts)

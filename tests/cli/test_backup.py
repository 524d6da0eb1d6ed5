"""`backup` and `restore` as people run them: beside a journal, without one, on a wrong file."""

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from risk_daemon.cli.keeping import KEEP
from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.backup import backup_file, scheduled
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE
from risk_daemon.stage.waiting import until
from tests.cli.conftest import Admin
from tests.operations import lived
from tests.untraced import untraced_children


@pytest.fixture
def running(admin: Admin) -> Iterator[Admin]:
    """A home that has lived, and whose journal goes on."""
    journal = lived.begin(admin.home)
    try:
        lived.live(admin.home)
        yield admin
    finally:
        journal.terminate()
        journal.wait(20)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that has lived and was stopped; every test has a copy of its own."""
    return lived.made(tmp_path_factory.mktemp("once") / "home", killed=False)


@pytest.fixture
def stopped(once: Home, tmp_path: Path) -> Admin:
    """A home that has lived and was stopped."""
    return Admin(lived.copied(once, tmp_path / "home"), {})


def stop(journal: "subprocess.Popen[bytes]") -> None:
    journal.terminate()
    assert journal.wait(20) == 0


def backed_up(admin: Admin) -> Path:
    return Path(admin.told(0, "backup", "create", "--json").data()["file"])


def test_a_backup_beside_a_running_journal_is_verified_and_disturbs_nobody(running: Admin) -> None:
    data = running.told(0, "backup", "create", "--json").data()

    assert data["verified"] is True
    assert data["decisions"] == len(lived.LOCKS) + 2
    assert running.told(0, "verify-db", "--json").data()["backup_age_s"] >= 0
    until(
        lambda: asked.journal_status(running.home)["last_seq"] > data["seq"], 10, "the next record"
    )
    names = zipfile.ZipFile(data["file"]).namelist()
    assert {"manifest.json", "home.json", "config/daemon.yaml", "state/locks-0.txt"} <= {*names}
    assert not [name for name in names if name.startswith(("credentials", "run", "logs"))]
    assert Path(data["file"]).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (running.home.path / "backups").glob(".*")] == []


def test_a_restore_brings_back_state_and_configuration_and_keeps_what_stood_there(
    stopped: Admin,
) -> None:
    home = stopped.home
    file = backed_up(stopped)
    incarnation = lived.incarnation(home)
    journal = lived.begin(home)
    lived.place(home, lived.lock(2, "later", None))
    lived.lease(home, 2, 1)
    stop(journal)
    policy = home.config / "policy.yaml"
    text = policy.read_text()
    policy.write_text("rules: {}\n")

    data = stopped.told(0, "restore", "--backup-file", str(file), "--json").data()

    assert policy.read_text() == text
    assert lived.lacks(home) == []
    assert ["later" in one.lock for one in lived.standing(home) if one.account == 2] == [
        False,
        True,
    ]
    assert lived.kept(home) == lived.standing(home)
    assert lived.epochs(home) == {1: 1_000_002, 2: 1_000_002}
    assert lived.incarnation(home) not in (incarnation, 0)
    aside = Path(data["set_aside"])
    assert (aside / "config" / "policy.yaml").read_text() == "rules: {}\n"
    assert (aside / "state" / FILE).is_file()
    assert stopped.told(0, "verify-state", "--json").data()["ok"] is True
    assert stopped.told(0, "verify-db", "--json").data()["ok"] is True
    again = stopped.told(0, "restore", "--backup-file", str(file), "--json").data()
    assert again["locks"] == data["locks"]
    stop(lived.begin(home))


def test_a_dry_run_of_a_restore_says_what_it_would_do_and_does_nothing(stopped: Admin) -> None:
    file = backed_up(stopped)
    before = (stopped.home.state / FILE).read_bytes()

    said = stopped.told(0, "restore", "--backup-file", str(file), "--dry-run")

    assert f"would restore {file}: up to record " in said.out
    assert "\nverified " in said.out
    assert "and unchanged since" in said.out
    assert (stopped.home.state / FILE).read_bytes() == before
    assert not (stopped.home.path / "set-aside").exists()
    assert not (stopped.home.path / "restoring").exists()


def test_a_backup_without_a_verdict_of_its_own_is_replayed_before_it_is_restored(
    stopped: Admin, tmp_path: Path
) -> None:
    file = backed_up(stopped)
    elsewhere = Path(shutil.copy(file, tmp_path / "taken-along.zip"))

    said = stopped.told(0, "restore", "--backup-file", str(elsewhere), "--dry-run")

    assert "verified: restored into a throw-away home and replayed" in said.out


def test_nothing_is_restored_while_a_journal_runs(running: Admin) -> None:
    file = backed_up(running)

    said = running.told(3, "restore", "--backup-file", str(file))
    rebuild = running.told(3, "restore", "--rebuild")

    for one in (said, rebuild):
        assert "is already running" in one.err
        assert "Run `risk-daemon-admin stop` first; nothing was changed." in one.err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ((), 2, "give one of --backup-file FILE, --rebuild and --config"),
        (("--rebuild", "--config"), 2, "give one of"),
        (("--backup-file", "none.zip"), 5, "there is no backup none.zip; `risk-daemon-admin"),
    ],
)
def test_a_restore_that_cannot_be_meant_is_refused(
    admin: Admin, words: tuple[str, ...], code: int, sentence: str
) -> None:
    assert sentence in admin.told(code, "restore", *words).err


def test_a_home_without_state_has_nothing_to_back_up(admin: Admin) -> None:
    assert "there is nothing to back up" in admin.told(5, "backup", "create").err
    assert "there is no backup yet" in admin.told(0, "backup", "list").out
    assert "run `risk-daemon-admin backup create`" in admin.told(5, "backup", "verify").err


# --- which backups are believed ---------------------------------------------------------


def rewritten(file: Path, **fields: object) -> Path:
    """The same backup with another manifest."""
    target = file.with_name("backup-other.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                content = json.dumps(json.loads(content) | fields).encode()
            new.writestr(name, content)
    return target


def alter(file: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The same backup with another file in it."""
    target = file.with_name("backup-altered.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for each in old.namelist():
            content = old.read(each)
            new.writestr(each, change(content) if each == name else content)
    return target


def test_a_backup_of_something_else_is_refused_unless_it_is_said_so(stopped: Admin) -> None:
    file = backed_up(stopped)
    before = (stopped.home.state / FILE).read_bytes()

    for fields, code, sentence in (
        ({"environment": "production"}, 3, "is of a production home on host "),
        ({"host": "other"}, 3, "on host other, this is a demo home"),
        ({"schema": 9}, 3, "has schema 9, this release knows 1"),
        ({"format": 2}, 3, "has format 2, this release knows 1"),
        ({"seq": 1}, 1, "its manifest says 1"),
        ({"files": {}}, 1, "is damaged: it has no state/journal.db"),
        ({"crc": "x"}, 1, "is damaged: Expected `int`"),
    ):
        other = rewritten(file, **fields)
        said = stopped.told(code, "restore", "--backup-file", str(other))
        assert sentence in said.err
        assert "Nothing was changed" in said.err or "nothing was changed" in said.err or code == 3
    assert (stopped.home.state / FILE).read_bytes() == before
    other = rewritten(file, host="other")
    stopped.told(0, "restore", "--backup-file", str(other), "--from-elsewhere")


def test_a_backup_that_leads_out_of_itself_is_refused(stopped: Admin) -> None:
    file = backed_up(stopped)
    files = json.loads(zipfile.ZipFile(file).read("manifest.json"))["files"]
    other = rewritten(file, files=files | {"../../out": files["home.json"]})

    said = stopped.told(1, "restore", "--backup-file", str(other))

    assert "names a file outside of itself" in said.err
    assert not (stopped.home.path.parent / "out").exists()


def test_a_damaged_backup_is_named_and_changes_nothing(stopped: Admin, tmp_path: Path) -> None:
    file = backed_up(stopped)
    content = file.read_bytes()
    before = (stopped.home.state / FILE).read_bytes()
    damaged = tmp_path / "damaged.zip"

    for cut in (0, len(content) // 2, len(content) - 3):
        damaged.write_bytes(content[:cut])
        said = stopped.told(1, "restore", "--backup-file", str(damaged))
        assert "is damaged: " in said.err
    assert (stopped.home.state / FILE).read_bytes() == before


def test_a_backup_whose_state_does_not_replay_does_not_count(stopped: Admin) -> None:
    journal = lived.begin(stopped.home)
    lived.place(stopped.home, lived.lock(1, "nobody decided this"))
    stop(journal)

    said = stopped.told(1, "backup", "create")

    assert "DOES NOT RESTORE: replayed otherwise" in said.out
    assert "DOES NOT RESTORE" in stopped.told(0, "backup", "list").out
    assert stopped.told(0, "verify-db", "--json").data()["backup_age_s"] is None


def test_a_verdict_counts_for_the_file_it_was_made_of(stopped: Admin) -> None:
    file = backed_up(stopped)
    shutil.copy(alter(file, "home.json", lambda content: content + b" "), file)

    assert "NOT VERIFIED" in stopped.told(0, "backup", "list").out
    said = stopped.told(1, "backup", "verify", str(file))
    assert "home.json is not what the manifest names" in said.out
    (file.with_name("backup-0.zip")).write_bytes(b"no zip")
    assert "backup-0.zip: UNREADABLE: " in stopped.told(0, "backup", "list").out


def test_pruning_keeps_the_newest_and_always_one_that_restores(stopped: Admin) -> None:
    files = [backed_up(stopped) for _ in range(3)]
    for file in files[1:]:
        file.with_name(file.name + ".verified").unlink()

    assert (
        "--keep must be at least 1"
        in stopped.told(2, "backup", "prune", "--keep", "0", "--yes").err
    )
    assert "add --yes" in stopped.told(2, "backup", "prune").err
    dry = stopped.told(0, "backup", "prune", "--keep", "1", "--dry-run")
    assert dry.out == f"{files[1].name}: would be removed\n"
    assert all(file.exists() for file in files)
    stopped.told(0, "backup", "prune", "--keep", "1", "--yes")

    assert [file.exists() for file in files] == [True, False, True]
    assert "nothing to remove" in stopped.told(0, "backup", "prune", "--keep", "2", "--yes").out


# --- the configuration ---------------------------------------------------------------------


def test_a_broken_configuration_is_written_back_as_it_was_adopted(stopped: Admin) -> None:
    config = stopped.home.config
    text = (config / "policy.yaml").read_text()
    assert "the files say what is in force" in stopped.told(0, "restore", "--config").out
    (config / "policy.yaml").write_text("rules: [")
    (config / "accounts" / "1.yaml").unlink()

    dry = stopped.told(0, "restore", "--config", "--dry-run")
    assert "would write back commit " in dry.out
    assert (config / "policy.yaml").read_text() == "rules: ["
    data = stopped.told(0, "restore", "--config", "--json").data()

    assert (config / "policy.yaml").read_text() == text
    assert (Path(data["set_aside"]) / "policy.yaml").read_text() == "rules: ["
    stopped.told(0, "config", "validate")


def test_a_history_that_cannot_be_read_is_said(stopped: Admin) -> None:
    shutil.rmtree(stopped.home.config / ".git" / "objects")
    (stopped.home.config / "policy.yaml").write_text("rules: [")

    said = stopped.told(1, "restore", "--config")

    assert "can't be read" in said.err
    assert "a backup has the configuration too" in said.err


def test_what_no_commit_says_is_not_written_back(stopped: Admin) -> None:
    policy = stopped.home.config / "policy.yaml"
    policy.write_text(policy.read_text().replace("limit: 5", "limit: 4"))
    with untraced_children():
        stop(lived.begin(stopped.home))
    policy.write_text("rules: [")

    said = stopped.told(3, "restore", "--config")

    assert "says what was adopted last; nothing was changed" in said.err


def test_a_home_that_never_adopted_anything_has_nothing_to_write_back(admin: Admin) -> None:
    assert admin.told(5, "restore", "--config").out == ""


def test_a_backup_is_made_by_itself_and_old_ones_go(running: Admin) -> None:
    at = running.home
    assert scheduled.newest(at) == 0

    made = Path(scheduled.make(at))

    assert made.exists()
    assert scheduled.newest(at) == backup_file.manifest_of(made).made_at
    for number in range(KEEP):
        shutil.copy(made, made.with_name(f"backup-2020010{number:02}T000000000Z.zip"))
    scheduled.make(at)
    assert len([*made.parent.glob("backup-*.zip")]) == KEEP
    assert made.exists()


def test_a_backup_that_can_not_be_made_by_itself_says_why(stopped: Admin) -> None:
    (stopped.home.state / FILE).write_bytes(b"no database")

    with pytest.raises(OperatorError, match=r"journal\.db"):
        scheduled.make(stopped.home)


@pytest.mark.parametrize(
    ("newest", "started", "every_h", "due"),
    [
        pytest.param(0, 50, 0, 0, id="by hand only"),
        pytest.param(7, 10**15, 1, 10**15 + scheduled.CALM_AFTER_NS, id="once it is calm"),
        pytest.param(10**15, 50, 1, 10**15 + scheduled.HOUR_NS, id="after the last one"),
    ],
)
def test_when_a_backup_is_due(newest: int, started: int, every_h: int, due: int) -> None:
    assert scheduled.due_at(newest, started, every_h) == due

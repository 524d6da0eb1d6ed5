"""A backup as a file: what comes out of it is what went in, or nothing does."""

from pathlib import Path

import pytest

from risk_daemon.clock import Clock
from risk_daemon.errors import OperatorError
from risk_daemon.operations.backup import backup_file, backups
from risk_daemon.operations.backup.backup_list import FOLDER
from risk_daemon.operations.home import Home
from tests.operations import build, lived

STEP = 61


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return lived.made(tmp_path_factory.mktemp("home") / "home", killed=True)


@pytest.fixture(scope="module")
def file(home: Home) -> Path:
    return Path(backups.create(home, Clock()).data["file"])


def test_what_was_packed_comes_out_byte_for_byte(home: Home, file: Path, tmp_path: Path) -> None:
    manifest = backup_file.unpack(file, tmp_path)

    assert build.contents(tmp_path / "config") == build.contents(home.config)
    assert {*build.contents(tmp_path)} == {*manifest.files}
    assert lived.standing(Home(tmp_path)) == lived.kept(Home(tmp_path)) == lived.standing(home)


def test_no_bit_of_it_changes_what_comes_out(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    whole = backup_file.unpack(file, tmp_path / "whole")
    expected = build.contents(tmp_path / "whole")
    damaged = tmp_path / "damaged.zip"
    refused = 0
    for number, place in enumerate(range(0, len(content), STEP)):
        altered = bytes([content[place] ^ 1 << number % 8])
        damaged.write_bytes(content[:place] + altered + content[place + 1 :])
        out = tmp_path / str(number)
        try:
            manifest = backup_file.unpack(damaged, out)
        except OperatorError:
            refused += 1
        else:
            assert (manifest, build.contents(out)) == (whole, expected)
    assert refused > len(content) // STEP // 2


def test_a_backup_is_taken_by_one_command_at_a_time(home: Home) -> None:
    with backups.alone(home), pytest.raises(OperatorError) as said, backups.alone(home):
        pass

    assert "another backup or restore of " in said.value.sentence
    assert "safe to repeat" in said.value.sentence


def test_what_a_killed_command_left_is_removed_by_the_next(home: Home) -> None:
    folder = home.path / FOLDER
    for name in (".backup-1.new", ".scratch-1"):
        (folder / name).mkdir()
    (folder / ".backup-1.zip.new").write_bytes(b"half")

    with backups.alone(home):
        assert [path.name for path in folder.glob(".*")] == []

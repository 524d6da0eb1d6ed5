"""`release stage`: a release that runs, offline and compiled, or nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from risk_daemon.depot import staging
from tests.depot import build
from tests.depot.build import Recipe
from tests.depot.conftest import Releases
from tests.operations.conftest import process

#: A file larger than this can't be written by a command that runs under the limit.
FILE_MAX = 3_000_000
LARGE = {"large": b"#" * (FILE_MAX + 1)}


def runs(folder: Path, code: str) -> str:
    """What a program says that runs in a staged release, and only in it."""
    done = subprocess.run(
        [staging.python_of(folder), "-I", "-B", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_staged_release_runs_is_compiled_and_names_no_passing_place(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe())

    said = releases.told(0, "stage", "v1.0.0")

    folder = releases.home.releases / "v1.0.0"
    assert said.out.startswith(f"v1.0.0 is staged in {folder}")
    assert "unpacked 2 of 2 wheels" in said.err
    found = runs(folder, "import other, risk_daemon as r; print(other.HERE, r.__file__)")
    assert found == f"True {staging.packages_of(folder) / 'risk_daemon' / '__init__.py'}"
    assert list((staging.packages_of(folder) / "risk_daemon").rglob("schemas.*.pyc"))
    assert [path.name for path in releases.home.releases.iterdir()] == ["v1.0.0"]
    named = [path for path in folder.rglob("*.cfg") if ".part" in path.read_text()]
    compiled = [path for path in folder.rglob("*.pyc") if b".part" in path.read_bytes()]
    assert named + compiled == []


def test_what_is_staged_says_which_triple_it_is(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe())
    releases.told(0, "stage", "v1.0.0")

    told = releases.told(0, "show", "v1.0.0", "--json").data()
    staged = json.loads((releases.home.releases / "v1.0.0" / "staged.json").read_text())

    assert told["staged"] is True
    assert staged["release"] == told["digest"]
    assert staged["configuration"] == told["configuration"]
    assert len(told["configuration"]) == 40
    releases.told(0, "verify", "v1.0.0")


def test_staging_again_is_no_change(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe())
    releases.told(0, "stage", "v1.0.0")
    before = releases.contents()

    again = releases.told(0, "stage", "v1.0.0")

    assert "is staged in" in again.out
    assert again.out.endswith("already\n")
    assert releases.contents() == before


@pytest.mark.parametrize("what", ["schemas.py", "more.py"])
def test_a_staged_release_that_was_edited_is_told_and_not_staged_over(
    releases: Releases, tmp_path: Path, what: str
) -> None:
    releases.added(tmp_path / "made", Recipe())
    releases.told(0, "stage", "v1.0.0")
    folder = releases.home.releases / "v1.0.0"
    edited = staging.packages_of(folder) / "risk_daemon" / what
    edited.write_text("RECORDS = (1, 9)\n")

    told = releases.told(1, "verify", "v1.0.0")
    said = releases.refused(3, "stage", "v1.0.0")

    assert "is not the one of v1.0.0" in told.out
    assert "is not the one of v1.0.0" in said


def test_an_edited_package_of_others_is_told(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe())
    releases.told(0, "stage", "v1.0.0")
    folder = releases.home.releases / "v1.0.0"
    (staging.packages_of(folder) / "other.py").write_text("HERE = False\n")

    assert "is not as it was when it was staged" in releases.told(1, "verify", "v1.0.0").out


def test_an_unknown_version_is_refused_with_those_that_are_there(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe())

    said = releases.refused(5, "stage", "v9.0.0")

    assert "there is no release v9.0.0 in the depot" in said
    assert "(there: v1.0.0)" in said
    assert "is no version" in releases.refused(2, "stage", "../v1.0.0")


def test_a_release_that_can_not_live_with_the_state_file_is_refused(
    releases: Releases, tmp_path: Path
) -> None:
    with process("journal", releases.home, "journal.ready"):
        pass
    releases.added(tmp_path / "made", Recipe(state_file=(2, 3)))

    said = releases.refused(3, "stage", "v1.0.0")
    verified = releases.told(1, "verify", "v1.0.0").out

    assert "the home has state file 1, the release can live with 2 to 3" in said
    assert "the home has state file 1, the release can live with 2 to 3" in verified


def test_a_release_for_another_python_is_refused(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe(python="cp299"))

    assert "v1.0.0 is for cp299 on" in releases.refused(3, "stage", "v1.0.0")


def test_a_program_that_says_otherwise_than_its_manifest_is_refused(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe(program_state_file=(1, 2)))

    said = releases.refused(3, "stage", "v1.0.0")

    assert "says 'v1.0.0 1 1 3 3 1 2' of itself" in said
    assert "should say 'v1.0.0 1 1 3 3 1 1'" in said
    assert not list(releases.home.releases.iterdir())


def test_a_program_with_files_that_were_not_signed_is_refused(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe(unsigned={"more.py": b"MORE = 1\n"}))

    assert "is not the one that was signed" in releases.refused(3, "stage", "v1.0.0")


def test_two_wheels_with_the_same_file_are_refused(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe())
    wheel = made / "wheels" / "other-1.0-py3-none-any.whl"
    build.wheel(wheel, "other", "1.0", {"risk_daemon/schemas.py": b"RECORDS = (1, 9)\n"})
    build.sign_anew(made)
    releases.told(0, "add", str(made))

    said = releases.refused(1, "stage", "v1.0.0")

    assert "File already exists" in said


@pytest.mark.skipif(sys.platform == "win32", reason="there an environment has a copy of it")
def test_a_staged_release_whose_python_is_gone_is_told(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe())
    releases.told(0, "stage", "v1.0.0")
    python = staging.python_of(releases.home.releases / "v1.0.0")
    python.unlink()
    python.symlink_to(tmp_path / "gone")

    assert "is gone" in releases.told(1, "verify", "v1.0.0").out


def test_a_release_whose_key_is_no_longer_trusted_is_refused(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe())
    releases.home.trusted_keys.write_text("# nobody\n")

    assert "trusts no key" in releases.refused(3, "stage", "v1.0.0")


def test_a_release_that_is_damaged_in_the_depot_is_refused(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe())
    part = max((releases.depot / "parts").iterdir(), key=lambda path: path.stat().st_size)
    part.chmod(0o600)
    part.write_bytes(part.read_bytes() + b"x")

    assert "is damaged in the depot" in releases.refused(3, "stage", "v1.0.0")


def test_a_half_copied_folder_is_no_release_and_staging_does_it_anew(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe())
    folder = releases.home.releases / "v1.0.0"
    (folder / "bin").mkdir(parents=True)

    told = releases.told(1, "verify", "v1.0.0")
    releases.told(0, "stage", "v1.0.0")

    assert "is not whole" in told.out
    assert runs(folder, "import other; print(other.HERE)") == "True"


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX's")
def test_a_full_disk_while_staging_leaves_nothing_and_the_next_try_works(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe(others=LARGE))
    before = releases.contents()
    limited = (
        "import resource, runpy, sys;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_MAX}, {FILE_MAX}));"
        "sys.argv[0] = 'risk-daemon-admin';"
        "runpy.run_module('risk_daemon.programs.admin', run_name='__main__')"
    )

    done = subprocess.run(
        [sys.executable, "-c", limited, "release", "stage", "v1.0.0"],
        env={**os.environ, **releases.admin.env, "RISK_DAEMON_HOME": str(releases.home.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert "staging v1.0.0 failed: File too large" in done.stderr
    assert "make room and run it again" in done.stderr
    assert "Traceback" not in done.stderr
    assert releases.contents() == before
    assert not list(releases.home.releases.iterdir())
    releases.told(0, "stage", "v1.0.0")
    releases.told(0, "verify", "v1.0.0")


def test_a_place_that_can_not_be_written_is_named(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe())
    releases.home.releases.write_text("a file where a folder should be")

    said = releases.refused(1, "stage", "v1.0.0")

    assert "failed" in said
    assert str(releases.home.releases) in said


def test_killed_while_unpacking_nothing_is_there_and_the_next_try_works(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe())
    running = subprocess.Popen(
        [sys.executable, "-m", "risk_daemon.programs.admin", "release", "stage", "v1.0.0"],
        env={**os.environ, **releases.admin.env, "RISK_DAEMON_HOME": str(releases.home.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "unpacked 2 of 2" in line:
            break
    running.kill()
    running.communicate()

    assert "not staged here" in releases.told(0, "list").out
    releases.told(0, "stage", "v1.0.0")
    releases.told(0, "verify", "v1.0.0")
    assert [path.name for path in releases.home.releases.iterdir()] == ["v1.0.0"]


def test_a_dry_run_stages_nothing(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe())
    before = releases.contents()

    said = releases.told(0, "stage", "v1.0.0", "--dry-run")

    assert said.out.startswith("v1.0.0 would be staged in")
    assert releases.contents() == before
    assert not releases.home.releases.exists()

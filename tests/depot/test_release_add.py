"""`release add`: verified first, whole or not at all."""

import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from risk_daemon.depot.manifest import MANIFEST_MAX
from tests.depot import build
from tests.depot.build import Recipe
from tests.depot.conftest import Releases


def test_a_release_is_added_once_and_adding_it_again_is_no_change(
    releases: Releases, tmp_path: Path
) -> None:
    made = build.release(tmp_path / "made", Recipe())

    said = releases.told(0, "add", str(made))
    before = releases.contents()
    again = releases.told(0, "add", str(made))

    assert said.out.startswith("v1.0.0 added to the depot")
    assert again.out.startswith("v1.0.0 is already in the depot")
    assert releases.contents() == before
    assert releases.told(0, "list").out.startswith("v1.0.0")


def test_a_release_is_added_from_one_file(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe())
    with tarfile.open(tmp_path / "v1.0.0.tar", "w") as tar:
        for path in sorted(made.rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(made).as_posix())

    releases.told(0, "add", str(tmp_path / "v1.0.0.tar"))

    assert releases.told(0, "verify", "v1.0.0").out.endswith("are as signed\n")


def test_what_two_releases_share_is_kept_once(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "one", Recipe("v1.0.0"))
    parts = len(list((releases.depot / "parts").iterdir()))

    releases.added(tmp_path / "two", Recipe("v1.1.0"))

    assert parts == 3
    assert len(list((releases.depot / "parts").iterdir())) == parts + 1


def test_show_tells_the_triple_the_signer_the_parts_and_the_accounts(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "made", Recipe())

    told = releases.told(0, "show", "v1.0.0", "--json").data()
    said = releases.told(0, "show", "v1.0.0").out

    assert told["signer"] == build.KEY.trusted.name
    assert told["schemas"] == {"records": [1, 1], "snapshots": [3, 3], "state file": [1, 1]}
    assert set(told["parts"]) >= {"requirements.lock", "wheels/other-1.0-py3-none-any.whl"}
    assert told["accounts"] == []
    assert "accounts       nobody" in said
    assert (told["gap_ms"]["n"], told["gap_ms"]["max"]) == (0, None)
    assert "gap            no account was handed to it in this home yet" in said
    assert f"commit         {build.COMMIT}" in said


def test_a_release_signed_by_another_key_is_refused(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe(key=build.STRANGER))

    said = releases.refused(3, "add", str(made))

    assert f"signed by key {build.STRANGER.trusted.name}, which the home does not trust" in said


def test_a_home_that_trusts_nobody_accepts_nothing(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe())
    releases.home.trusted_keys.unlink()

    said = releases.refused(3, "add", str(made))

    assert "trusts no key" in said


def test_an_edited_wheel_is_refused(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe())
    wheel = made / "wheels" / "other-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes().replace(b"True", b"Fals"))

    said = releases.refused(3, "add", str(made))

    assert "wheels/other-1.0-py3-none-any.whl is not what the signed manifest says" in said
    assert not list((releases.depot / "parts").iterdir())


def test_a_wheel_with_something_behind_its_end_is_refused(
    releases: Releases, tmp_path: Path
) -> None:
    made = build.release(tmp_path / "made", Recipe())
    with (made / "requirements.lock").open("ab") as lock:
        lock.write(b"more")

    assert "requirements.lock is not what" in releases.refused(3, "add", str(made))


def test_an_edited_manifest_is_refused(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe())
    manifest = made / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"v1.0.0", b"v1.0.1"))

    said = releases.refused(3, "add", str(made))

    assert f"its manifest is not what key {build.KEY.trusted.name} signed" in said


def test_a_signed_manifest_that_claims_what_cannot_be_is_refused(
    releases: Releases, tmp_path: Path
) -> None:
    made = build.release(tmp_path / "made", Recipe())
    text = (made / "manifest.json").read_bytes()
    build.sign(made, text.replace(b'"wheels/other', b'"../wheels/other'), build.KEY)

    assert "its parts are not in order" in releases.refused(3, "add", str(made))


def test_a_missing_signature_is_refused(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe())
    (made / "manifest.json.minisig").unlink()

    assert "it has no manifest.json.minisig" in releases.refused(3, "add", str(made))


def test_a_release_that_was_copied_by_half_is_refused(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe())
    (made / "wheels" / "risk_daemon-1.0.0-py3-none-any.whl").unlink()

    assert "is not whole: it has no wheels/risk_daemon" in releases.refused(3, "add", str(made))


def test_a_version_is_never_given_twice(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "one", Recipe())
    other = build.release(tmp_path / "two", Recipe(says="something else"))

    said = releases.refused(3, "add", str(other))

    assert "v1.0.0 is in the depot already, and is another release" in said


def test_what_is_no_release_is_named(releases: Releases, tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("hello")
    (tmp_path / "empty").mkdir()

    assert "there is no release at" in releases.refused(5, "add", str(tmp_path / "nowhere"))
    assert "neither a folder nor a .tar" in releases.refused(2, "add", str(tmp_path / "text.tar"))
    assert "it has no manifest.json" in releases.refused(3, "add", str(tmp_path / "empty"))


def test_a_damaged_part_is_told_and_mended_by_adding_again(
    releases: Releases, tmp_path: Path
) -> None:
    made = releases.added(tmp_path / "made", Recipe())
    part = next((releases.depot / "parts").iterdir())
    part.chmod(0o600)
    part.write_bytes(part.read_bytes() + b"x")

    told = releases.told(1, "verify", "v1.0.0")
    releases.told(0, "add", str(made))

    assert "has other content than its manifest says" in told.out
    releases.told(0, "verify", "v1.0.0")


def test_half_an_entry_of_the_depot_is_no_release(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe())
    (releases.depot / "releases" / "v1.0.0" / "manifest.json.minisig").unlink()

    assert "is not whole" in releases.refused(1, "show", "v1.0.0")


def test_killed_while_copying_nothing_is_there_and_the_next_try_works(
    releases: Releases, tmp_path: Path
) -> None:
    if sys.platform == "win32":
        pytest.skip("there is no named pipe that stands still where it must")
    made = build.release(tmp_path / "made", Recipe())
    # Whoever copies it waits here for ever: the first parts are copied by then.
    last = made / "wheels" / "risk_daemon-1.0.0-py3-none-any.whl"
    shutil.move(last, tmp_path / "kept.whl")
    os.mkfifo(last)
    running = subprocess.Popen(
        [sys.executable, "-m", "risk_daemon.programs.admin", "release", "add", str(made)],
        env={**os.environ, **releases.admin.env, "RISK_DAEMON_HOME": str(releases.home.path)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while len(list((releases.depot / "incoming").glob("*"))) < 2:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    other = build.release(tmp_path / "other", Recipe("v2.0.0"))
    busy = releases.told(3, "add", str(other))
    running.kill()
    running.wait(20)

    assert "somebody else changes the depot" in busy.err
    assert releases.told(0, "list").out.startswith("no release is in the depot")
    last.unlink()
    shutil.move(tmp_path / "kept.whl", last)
    releases.told(0, "add", str(made))
    releases.told(0, "verify", "v1.0.0")
    assert not list((releases.depot / "incoming").iterdir())


def test_a_dry_run_verifies_everything_and_changes_nothing(
    releases: Releases, tmp_path: Path
) -> None:
    made = build.release(tmp_path / "made", Recipe())
    before = releases.contents()

    said = releases.told(0, "add", str(made), "--dry-run")
    (made / "requirements.lock").write_text("edited")
    refused = releases.told(3, "add", str(made), "--dry-run")

    assert said.out.startswith("v1.0.0 would be added to the depot")
    assert "requirements.lock is not what" in refused.err
    assert releases.contents() == before
    assert not releases.depot.exists()


def test_a_manifest_without_end_is_not_read(releases: Releases, tmp_path: Path) -> None:
    made = build.release(tmp_path / "made", Recipe())
    (made / "manifest.json").write_bytes(b" " * (MANIFEST_MAX + 1))

    assert f"has more than {MANIFEST_MAX} bytes" in releases.refused(3, "add", str(made))

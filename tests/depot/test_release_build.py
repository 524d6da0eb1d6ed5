"""`release build` and `release keygen`: a commit, and nothing else, decides what is made."""

import ast
import json
import shutil
import stat
import sys
from pathlib import Path

import pytest

from risk_daemon import schemas
from risk_daemon.core.world import STATE_SCHEMA
from risk_daemon.depot import making
from risk_daemon.depot.manifest import Schemas, decode, encode
from risk_daemon.errors import UsageError
from risk_daemon.journal.schema import SCHEMA
from risk_daemon.wire.record import FORMAT_VERSION
from tests.cli.conftest import Admin
from tests.depot import build
from tests.depot.conftest import Releases
from tests.operations import build as homes


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    path.write_bytes(build.KEY.secret)
    path.chmod(0o600)
    return path


def made_by(admin: Admin, checkout: Path, key: Path, out: Path) -> str:
    """Make a release; its digest."""
    words = ["--from", str(checkout), "--key", str(key), "--out", str(out), "--json"]
    return str(admin.told(0, "release", "build", *words).data()["digest"])


def test_the_same_commit_gives_the_same_bytes_in_another_place(
    nobody: Admin, tmp_path: Path, key: Path
) -> None:
    one = made_by(nobody, build.checkout(tmp_path / "a"), key, tmp_path / "one")
    two = made_by(nobody, build.checkout(tmp_path / "b" / "deep"), key, tmp_path / "two")

    assert one == two
    assert homes.contents(tmp_path / "one") == homes.contents(tmp_path / "two")


def test_what_is_made_can_be_added_staged_and_verified(
    releases: Releases, tmp_path: Path, key: Path
) -> None:
    checkout = build.checkout(tmp_path / "checkout", version="1.2.0")
    made_by(releases.admin, checkout, key, tmp_path / "v1.2.0.tar")

    releases.told(0, "add", str(tmp_path / "v1.2.0.tar"))
    releases.told(0, "stage", "v1.2.0")

    releases.told(0, "verify", "v1.2.0")
    told = releases.told(0, "show", "v1.2.0", "--json").data()
    assert told["schemas"]["snapshots"] == list(schemas.SNAPSHOTS)
    assert any("tzdata" in name for name in told["parts"])


def test_another_commit_of_the_same_version_is_another_release(
    nobody: Admin, tmp_path: Path, key: Path
) -> None:
    one = made_by(nobody, build.checkout(tmp_path / "a"), key, tmp_path / "one")
    other = build.checkout(tmp_path / "b", says="And more.")

    assert made_by(nobody, other, key, tmp_path / "two") != one


def refused(admin: Admin, code: int, checkout: Path, key: Path, *words: str) -> str:
    said = admin.told(code, "release", "build", "--from", str(checkout), "--key", str(key), *words)
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def test_what_is_not_committed_is_not_made(nobody: Admin, tmp_path: Path, key: Path) -> None:
    checkout = build.checkout(tmp_path / "checkout")
    package = checkout / "src" / "risk_daemon"

    (package / "new.py").write_text("")
    assert "src/risk_daemon/new.py differ from commit" in refused(nobody, 3, checkout, key)
    (package / "new.py").unlink()
    (package / "__init__.py").write_text("edited")
    assert "src/risk_daemon/__init__.py differ from" in refused(nobody, 3, checkout, key)
    (package / "__init__.py").unlink()
    assert "src/risk_daemon/__init__.py differ from" in refused(nobody, 3, checkout, key)


def test_what_is_no_checkout_is_named(nobody: Admin, tmp_path: Path, key: Path) -> None:
    (tmp_path / "empty").mkdir()
    bare = build.checkout(tmp_path / "bare")
    shutil.rmtree(bare / "src" / "risk_daemon")

    assert "is no checkout of this program" in refused(nobody, 5, tmp_path / "empty", key)
    assert "differ from commit" in refused(nobody, 3, bare, key)


def test_a_key_that_is_missing_or_open_to_others_signs_nothing(
    nobody: Admin, tmp_path: Path, key: Path
) -> None:
    checkout = build.checkout(tmp_path / "checkout")

    assert "there is no key" in refused(nobody, 5, checkout, tmp_path / "none.key")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    assert "is not a secret key" in refused(nobody, 2, checkout, tmp_path / "text")
    if sys.platform != "win32":
        key.chmod(0o644)
        assert "may be used by others (mode 0644)" in refused(nobody, 3, checkout, key)


def test_nothing_is_written_over(nobody: Admin, tmp_path: Path, key: Path) -> None:
    checkout = build.checkout(tmp_path / "checkout")
    (tmp_path / "out").mkdir()

    said = refused(nobody, 3, checkout, key, "--out", str(tmp_path / "out"))

    assert "exists already" in said
    assert not list((tmp_path / "out").iterdir())


def test_a_key_is_made_for_its_owner_only_is_never_shown_and_never_written_over(
    nobody: Admin, tmp_path: Path
) -> None:
    out = tmp_path / "keys" / "release.key"

    said = nobody.told(0, "release", "keygen", "--out", str(out))
    again = nobody.told(3, "release", "keygen", "--out", str(out))

    secret = out.read_text().splitlines()[1]
    assert secret not in said.out + said.err
    assert (tmp_path / "keys" / "release.key.pub").read_text().splitlines()[1] in said.out
    assert "exists already" in again.err
    assert out.read_text().splitlines()[1] == secret
    if sys.platform != "win32":
        assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_init_fixes_whose_releases_a_home_accepts(nobody: Admin, tmp_path: Path) -> None:
    public = tmp_path / "release.key.pub"
    public.write_bytes(build.KEY.public)
    login = "alpha:me:file:credentials/a.key:1"
    words = ["init", "--environment", "demo", "--gateway", "http://127.0.0.1:9", "--login", login]

    wrong = nobody.told(2, *words, "--trust", "nonsense")
    assert not nobody.home.about.exists()
    nobody.told(0, *words, "--trust", str(public), "--trust", build.STRANGER.trusted.text)

    assert "'nonsense' is not a public key" in wrong.err
    lines = nobody.home.trusted_keys.read_text().splitlines()[1:]
    assert [line.split()[0] for line in lines] == [
        build.KEY.trusted.text,
        build.STRANGER.trusted.text,
    ]


# --- the schemas -------------------------------------------------------------------------


def test_the_ranges_are_those_of_the_code() -> None:
    text = (build.ROOT / "src" / "risk_daemon" / "schemas.py").read_text()

    assert making.schemas_of(text) == Schemas(
        schemas.RECORDS, schemas.SNAPSHOTS, schemas.STATE_FILE
    )
    assert schemas.STATE_FILE == (1, SCHEMA)
    assert schemas.RECORDS[1] == FORMAT_VERSION
    assert schemas.SNAPSHOTS[1] == STATE_SCHEMA
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


def test_ranges_that_are_not_said_are_missed() -> None:
    with pytest.raises(UsageError, match="does not say SNAPSHOTS, STATE_FILE"):
        making.schemas_of("RECORDS: Final = (1, 1)\n")


def test_the_digest_of_the_code_is_that_of_its_files(tmp_path: Path) -> None:
    build.wheel(tmp_path / "x.whl", "risk_daemon", "1.0.0", {"risk_daemon/a/b.py": b"1"})

    assert list(making.code_of(tmp_path / "x.whl")) == ["a/b.py"]


def test_a_manifest_on_disk_is_the_canonical_one(tmp_path: Path) -> None:
    text = (build.release(tmp_path / "made") / "manifest.json").read_bytes()

    assert encode(decode(text)) == text
    assert json.loads(text)["format"] == 1

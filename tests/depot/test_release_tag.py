"""`release tag` as people run it: a release's name in the history it was made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from dulwich.objects import Tag
from dulwich.refs import local_tag_name
from dulwich.repo import Repo

from risk_daemon.depot import tags
from tests.depot import build
from tests.depot.conftest import Releases

VERSION = "v1.1.0"
PAGE = f"docs/releases/{VERSION}.md"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of v1.1.0 with its notes."""
    made = build.checkout(tmp_path / "checkout", VERSION[1:])
    (made / PAGE).parent.mkdir(parents=True)
    (made / PAGE).write_text(f"# {VERSION}\n")
    build.commit(made, PAGE)
    return made


def brought_in(releases: Releases, checkout: Path, folder: Path) -> str:
    """Build a checkout's commit and add it to the depot; return its digest."""
    key, out = folder / "release.key", folder / "made.tar"
    key.write_bytes(build.KEY.secret)
    key.chmod(0o600)
    words = ("--from", str(checkout), "--key", str(key), "--out", str(out), "--json")
    digest = str(releases.told(0, "build", *words).data()["digest"])
    releases.told(0, "add", str(out))
    return digest


def tag(checkout: Path, *words: str) -> tuple[str, ...]:
    return ("tag", VERSION, "--from", str(checkout), *words)


def head(checkout: Path) -> str:
    with Repo(str(checkout)) as repo:
        return repo.head().decode()


def test_a_tag_names_the_commit_and_the_digest_that_was_signed(
    releases: Releases, tmp_path: Path, checkout: Path
) -> None:
    made, digest = head(checkout), brought_in(releases, checkout, tmp_path)
    build.commit(checkout)  # history goes on: the tag is the release's, not the newest commit's

    said = releases.told(0, *tag(checkout, "--json")).data()

    assert said == {"version": VERSION, "commit": made, "digest": digest, "tagged": True}
    assert tags.commit_of(checkout, VERSION) == made != head(checkout)
    with Repo(str(checkout)) as repo:
        written = repo[repo.refs[local_tag_name(VERSION.encode())]]
        assert isinstance(written, Tag)
        assert digest in written.message.decode()


def test_a_second_tag_changes_nothing_and_a_dry_one_writes_nothing(
    releases: Releases, tmp_path: Path, checkout: Path
) -> None:
    brought_in(releases, checkout, tmp_path)

    releases.told(0, *tag(checkout, "--dry-run"))
    assert tags.commit_of(checkout, VERSION) == ""

    assert releases.told(0, *tag(checkout, "--json")).data()["tagged"] is True
    assert releases.told(0, *tag(checkout, "--json")).data()["tagged"] is False


def test_a_version_that_names_another_commit_stays_where_it_is(
    releases: Releases, tmp_path: Path, checkout: Path
) -> None:
    tags.write(checkout, VERSION, head(checkout), "somebody", "by hand", 1)
    earlier = head(checkout)
    build.commit(checkout)
    brought_in(releases, checkout, tmp_path)

    said = releases.refused(3, *tag(checkout))

    assert f"{VERSION} is a tag at {earlier[:12]}" in said
    assert tags.commit_of(checkout, VERSION) == earlier


def test_without_notes_nothing_is_tagged(releases: Releases, tmp_path: Path) -> None:
    checkout = build.checkout(tmp_path / "checkout", VERSION[1:])
    brought_in(releases, checkout, tmp_path)

    assert f"has no {PAGE}" in releases.refused(3, *tag(checkout))
    assert tags.commit_of(checkout, VERSION) == ""


def test_a_release_nobody_brought_in_and_a_checkout_without_its_commit_are_named(
    releases: Releases, tmp_path: Path, checkout: Path
) -> None:
    assert VERSION in releases.refused(5, *tag(checkout))

    made = head(checkout)
    brought_in(releases, checkout, tmp_path)
    elsewhere = build.checkout(tmp_path / "elsewhere", VERSION[1:])
    assert f"has no commit {made[:12]}" in releases.refused(5, *tag(elsewhere))

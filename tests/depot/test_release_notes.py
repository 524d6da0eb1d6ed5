"""`release notes` as people run it, and the gate that asks for what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.depot import build
from tests.depot.conftest import Releases
from tests.operations import build as homes


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of v1.1.0, with two sentences of people."""
    made = build.checkout(tmp_path / "checkout", "1.1.0")
    folder = made / "docs" / "changes"
    folder.mkdir(parents=True)
    (folder / "port.breaking.md").write_text("The console's port\nmust be given.\n")
    (folder / "speed.other.md").write_text("Faster.\n")
    return made


def notes(checkout: Path, *words: str) -> list[str]:
    return ["notes", *words, "--from", str(checkout)]


def test_a_draft_has_what_breaks_first_and_what_differs_from_the_release_before(
    releases: Releases, tmp_path: Path, checkout: Path
) -> None:
    releases.added(tmp_path / "made", build.Recipe(version="v1.0.0"))
    schemas = checkout / "src" / "risk_daemon" / "schemas.py"
    schemas.write_text(
        schemas.read_text().replace("STATE_FILE: Final = (1, 1)", "STATE_FILE: Final = (1, 2)")
    )

    said = releases.told(0, *notes(checkout, "v1.1.0"))

    lines = said.out.splitlines()
    assert lines[:3] == ["# v1.1.0", "", "Since v1.0.0."]
    assert lines.index("## Breaking changes") < lines.index("## Other changes")
    assert "* The console's port must be given." in lines
    assert "* Faster." in lines
    assert any(line.startswith("* the schema of the state file") for line in lines)
    data = releases.told(0, *notes(checkout, "v1.1.0", "--json")).data()
    assert data["before"] == "v1.0.0"
    assert data["fragments"] == ["port.breaking.md", "speed.other.md"]
    assert "The console's port must be given." in data["changes"]["breaking"]
    assert data["written"] == []


def test_it_writes_the_page_and_the_changelog_and_takes_the_fragments(
    releases: Releases, checkout: Path
) -> None:
    said = releases.told(0, *notes(checkout, "v1.1.0", "--write"))

    assert "docs/releases/v1.1.0.md: written" in said.out
    assert "2 fragments went into it" in said.out
    page = (checkout / "docs" / "releases" / "v1.1.0.md").read_text()
    assert "## Breaking changes\n\n* The console's port must be given." in page
    log = (checkout / "CHANGELOG.md").read_text()
    assert log.startswith("# Changelog\n\n## v1.1.0\n")
    assert list((checkout / "docs" / "changes").iterdir()) == []


def test_a_sentence_of_no_kind_stops_it_before_anything_is_written(
    releases: Releases, checkout: Path
) -> None:
    (checkout / "docs" / "changes" / "odd.weather.md").write_text("Rain.\n")
    before = homes.contents(checkout / "docs")

    said = releases.refused(2, *notes(checkout, "v1.1.0", "--write"))

    assert "odd.weather.md is no fragment" in said
    assert "breaking, decisions, configuration" in said
    assert homes.contents(checkout / "docs") == before


def test_a_version_that_is_nowhere_is_named(releases: Releases, checkout: Path) -> None:
    said = releases.refused(5, *notes(checkout, "v9.9.9"))

    assert "v9.9.9 is neither in the depot" in said
    assert "is no version" in releases.refused(2, *notes(checkout, "1.1"))


def test_of_a_release_of_the_depot_they_are_shown_and_not_written(
    releases: Releases, tmp_path: Path
) -> None:
    releases.added(tmp_path / "one", build.Recipe(version="v1.0.0"))
    releases.added(tmp_path / "two", build.Recipe(version="v1.1.0", says="other"))

    said = releases.told(0, *notes(tmp_path, "v1.1.0"))

    assert "Since v1.0.0." in said.out
    assert "None known." in said.out
    refused = releases.refused(3, *notes(tmp_path, "v1.1.0", "--write"))
    assert "before the release is made" in refused

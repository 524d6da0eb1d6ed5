"""`deploy gates`: what a staged release brings with it, read anew at each asking."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Any

import msgspec
import pytest

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.depot import making
from risk_daemon.operations.home import Home
from risk_daemon.rollout import evidence
from risk_daemon.rollout.evidence import Audit, Benchmarks, Count, Figure, Suite
from risk_daemon.rollout.reading import BEFORE
from tests.cli.conftest import Admin
from tests.depot import build
from tests.depot.conftest import Releases
from tests.operations import build as homes

VERSION = "v1.0.0"
LISTING = b"{}\n"
#: What the home itself shows, and a home that was just made does not.
OF_THE_HOME = {"rollback drill", "backup", "parity", "checklist"}


def suite(**more: Any) -> bytes:
    good = Suite(
        commit=build.COMMIT,
        at=1,
        system=making.system_name(),
        python=platform.python_version(),
        lock=hashlib.sha256(b"# nothing\n").hexdigest(),
        simulated=Count(passed=900),
        live=Count(passed=4),
        documents=Count(passed=30),
        covered=90,
        coverable=100,
    )
    return evidence.encode(msgspec.structs.replace(good, **more))


def measured(**more: bytes) -> dict[str, bytes]:
    """Evidence that is all green; a part of it may be given anew."""
    figure = Figure(name="step", unit="us", measured=1, budget=2)
    audit = Audit(
        commit=build.COMMIT,
        at=Clock().now_ns() // SECOND_NS,
        packages=1,
        known=1,
        unknown="",
        vulnerable=(),
        files=1,
        secrets=(),
        sbom=hashlib.sha256(LISTING).hexdigest(),
    )
    return {
        evidence.TESTS: more.get("tests", suite()),
        evidence.BENCHMARKS: evidence.encode(
            Benchmarks(commit=build.COMMIT, at=1, figures=(figure,))
        ),
        evidence.AUDIT: evidence.encode(audit),
        evidence.SBOM: LISTING,
        evidence.NOTES: b"# v1.0.0\n\n## Breaking changes\n\nNone.\n",
    }


def staged(releases: Releases, tmp_path: Path, brings: dict[str, bytes]) -> Path:
    """Bring a release in with its evidence, and stage it; where it lies then."""
    releases.added(tmp_path / "made", build.Recipe(evidence=brings, says="gates"))
    releases.told(0, "stage", VERSION)
    return releases.home.releases / VERSION


def red(admin: Admin) -> dict[str, str]:
    """Ask for the gates; each that is red, and what it says with its command."""
    data = admin.told(3, "deploy", "gates", VERSION, "--json").data()
    found = {one["gate"]: one for one in data["gates"]}
    assert list(found) == list(BEFORE)
    return {gate: f"{found[gate]['sentence']} | {found[gate]['measure']}" for gate in data["red"]}


def test_a_release_without_evidence_is_red_and_the_commands_are_named(
    releases: Releases, tmp_path: Path
) -> None:
    staged(releases, tmp_path, {})

    found = red(releases.admin)

    assert set(found) == set(BEFORE) - {"signature"}
    assert "made without evidence" in found["tests"]
    assert "`./dev test`" in found["tests"]
    assert "`./dev audit`" in found["audit"]
    assert "docs/releases/v1.0.0.md" in found["release notes"]
    told = releases.admin.told(3, "deploy", "gates", VERSION)
    assert "benchmarks: UNMEASURABLE: " in told.out
    assert "11 of 12 gates are red: tests, live tests, coverage" in told.out


def test_what_was_measured_goes_with_the_release_and_an_edited_file_is_noticed(
    releases: Releases, tmp_path: Path
) -> None:
    brings = measured(tests=suite(simulated=Count(passed=900, skipped=1)))
    folder = staged(releases, tmp_path, brings)
    releases.told(0, "verify", VERSION)

    found = red(releases.admin)
    assert set(found) == {"tests", *OF_THE_HOME}
    assert "1 simulated tests skipped" in found["tests"]

    (folder / "evidence" / "tests.json").write_bytes(suite())

    edited = red(releases.admin)
    assert set(edited) == {"tests", "live tests", "coverage", "documents", *OF_THE_HOME}
    assert "is not what was signed: it was edited, or is damaged" in edited["tests"]


def test_a_release_that_is_not_staged_has_no_gates(releases: Releases) -> None:
    said = releases.admin.told(5, "deploy", "gates", VERSION)

    assert "v1.0.0 is not staged in this home" in said.err


def test_of_another_key_or_of_no_key_it_is_not_signed(releases: Releases, tmp_path: Path) -> None:
    folder = staged(releases, tmp_path, measured())
    assert set(red(releases.admin)) == OF_THE_HOME

    releases.home.trusted_keys.write_text(f"{build.STRANGER.trusted.text}\n")
    assert set(red(releases.admin)) == {"signature", *OF_THE_HOME}
    (folder / "manifest.json").write_text("{}")

    assert "can't be believed" in red(releases.admin)["signature"]


def test_a_staging_home_with_the_same_policy_is_parity(releases: Releases, tmp_path: Path) -> None:
    staged(releases, tmp_path, measured())
    other = rehearsed(releases, tmp_path / "staging")

    assert set(red(releases.admin)) == OF_THE_HOME - {"parity"}

    (other.config / "policy.yaml").write_text("rules: {}\n")
    assert "staging has another configuration" in red(releases.admin)["parity"]


def rehearsed(releases: Releases, place: Path) -> Home:
    """Make a staging home of the same configuration, with the same release."""
    other = homes.home(place)
    other.trusted_keys.write_text(releases.home.trusted_keys.read_text())
    other.about.write_text(other.about.read_text().replace('"demo"', '"staging"'))
    other.about_again.write_text(other.about.read_text())
    Admin(other, {"RISK_DAEMON_DEPOT": str(releases.depot)}).told(0, "release", "stage", VERSION)
    return other


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    path.write_bytes(build.KEY.secret)
    path.chmod(0o600)
    return path


def test_a_release_takes_the_evidence_of_its_own_commit_and_of_no_other(
    nobody: Admin, tmp_path: Path, key: Path
) -> None:
    checkout = build.checkout(tmp_path / "checkout")
    notes = checkout / "docs" / "releases" / "v1.0.0.md"
    notes.parent.mkdir(parents=True)
    notes.write_text("# v1.0.0\n\n## Breaking changes\n\nNone.\n")
    commit = build.commit(checkout, "docs/releases/v1.0.0.md")
    # The folder of what was measured; `.dev/releases` is a link to the tests' own cache.
    folder = checkout / ".dev" / "evidence"
    folder.mkdir()
    (folder / "tests.json").write_bytes(suite(commit=commit))
    (folder / "audit.json").write_bytes(measured()[evidence.AUDIT])
    (folder / "odd.json").write_text("[1]")
    listing = {"metadata": {"properties": [{"name": making.COMMIT_PROPERTY, "value": commit}]}}
    (folder / "sbom.json").write_bytes(msgspec.json.encode(listing))

    words = ["--from", str(checkout), "--key", str(key), "--out", str(tmp_path / "out")]
    said = nobody.told(0, "release", "build", *words)

    assert "evidence of this commit: sbom.json, tests.json, notes.md" in said.err
    made = {path.name for path in (tmp_path / "out" / "evidence").iterdir()}
    assert made == {"tests.json", "sbom.json", "notes.md"}

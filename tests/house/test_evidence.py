"""What is written down of a measuring: of one commit only, and never better than it was."""

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from risk_daemon.rollout import evidence as shapes
from risk_daemon.rollout.evidence import Audit, Benchmarks, Count, Suite
from tests.depot import build

ROOT = Path(__file__).resolve().parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evidence", ROOT / "scripts" / "evidence.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["evidence"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


evidence = load()

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest">
<testcase classname="tests.core.test_a" name="one" time="0.1" />
<testcase classname="tests.core.test_a" name="two"><system-out>talk</system-out></testcase>
<testcase classname="tests.core.test_a" name="three"><failure message="no">x</failure></testcase>
<testcase classname="tests.core.test_a" name="four"><error message="no">x</error></testcase>
<testcase classname="tests.core.test_a" name="five"><skipped message="no" /></testcase>
<testcase classname="tests.house.test_docs" name="six" />
<testcase classname="tests.live.test_orders" name="seven" />
<testcase classname="tests.live.test_orders" name="eight"><skipped message="no" /></testcase>
</testsuite></testsuites>
"""
COVERAGE = (
    '<coverage lines-valid="90" lines-covered="80" branches-valid="10" branches-covered="5"/>'
)
PINS = [("One", "1.0"), ("two-three", "2.0")]


@pytest.fixture
def place(tmp_path: Path) -> Any:
    """A checkout that is exactly its commit."""
    checkout = build.checkout(tmp_path / "checkout")
    (checkout / ".gitignore").write_text(".dev\n")
    build.commit(checkout, ".gitignore")
    return evidence.Place(checkout)


def test_tests_are_counted_by_how_they_ended_and_a_missing_report_is_a_failure(
    place: Any,
) -> None:
    evidence.begin(place)
    (place.work / "one.xml").write_text(REPORT)
    coverage = place.root / ".dev" / "coverage" / "all.xml"
    coverage.parent.mkdir()
    coverage.write_text(COVERAGE)

    evidence.tests(place, 2)

    found = shapes.decode((place.evidence / shapes.TESTS).read_bytes(), Suite)
    assert found.simulated == Count(passed=3, failed=3, skipped=1)
    assert found.live == Count(passed=1, skipped=1)
    assert found.documents == Count(passed=1)
    assert (found.covered, found.coverable) == (85, 100)
    assert len(found.commit) == 40


def test_without_a_report_of_coverage_nothing_was_to_cover(place: Any) -> None:
    evidence.begin(place)
    (place.work / "one.xml").write_text(REPORT)

    evidence.tests(place, 1)

    found = shapes.decode((place.evidence / shapes.TESTS).read_bytes(), Suite)
    assert (found.simulated.failed, found.covered, found.coverable) == (2, 0, 0)


def test_of_a_folder_that_differs_from_its_commit_nothing_is_written(
    place: Any,
) -> None:
    (place.root / "README.md").write_text("edited\n")
    with pytest.raises(evidence.NotWritten, match=r"README\.md and 0 more differ from commit"):
        evidence.begin(place)
    build.commit(place.root)  # clean again, and too late
    with pytest.raises(evidence.NotWritten, match="when the measuring began"):
        evidence.tests(place, 0)

    evidence.begin(place)
    (place.root / "new.py").write_text("")
    with pytest.raises(evidence.NotWritten, match=r"new\.py"):
        evidence.tests(place, 0)
    build.commit(place.root, "new.py")
    with pytest.raises(evidence.NotWritten, match="the commit was"):
        evidence.tests(place, 0)

    assert [path.name for path in place.evidence.glob("*.json")] == []


def test_a_figure_is_kept_with_its_budget_and_one_that_is_only_shown_is_not(
    place: Any,
) -> None:
    evidence.begin(place)
    figures = {
        "step": {"unit": "us", "median": 1.5, "budget": 4.5, "judged": True},
        "new": {"unit": "us", "median": 1, "budget": None, "judged": True},
        "flush": {"unit": "us", "median": 9, "budget": None, "judged": False},
    }
    (place.work / evidence.FIGURES).write_text(json.dumps(figures))

    evidence.bench(place)

    found = shapes.decode((place.evidence / shapes.BENCHMARKS).read_bytes(), Benchmarks)
    assert [(one.name, one.measured, one.budget) for one in found.figures] == [
        ("step", 1_500_000, 4_500_000),
        ("new", 1_000_000, 0),
    ]


def advisories(*rows: Mapping[str, object]) -> bytes:
    return json.dumps({"dependencies": rows, "fixes": []}).encode()


def test_a_package_that_the_scanner_skipped_is_not_one_without_advisories() -> None:
    good = {"name": "one", "version": "1.0", "vulns": []}
    bad = {"name": "two_three", "version": "2.0", "vulns": [{"id": "CVE-1"}]}
    skipped = {"name": "two-three", "skip_reason": "not found"}

    assert evidence.advised(advisories(good, bad), PINS) == (2, ["two_three 2.0: CVE-1"], "")
    known, against, why = evidence.advised(advisories(good, skipped), PINS)
    assert (known, against) == (1, [])
    assert why == "advisories are known of 1 of 2 packages, not of two-three"
    assert evidence.advised(advisories(good), PINS)[0] == 1


@pytest.mark.parametrize("text", [None, b"", b"{}", b"[]", b"no json", b'{"dependencies": [1]}'])
def test_a_scanner_that_says_nothing_has_found_nothing_out(text: bytes | None) -> None:
    assert evidence.advised(text, PINS) == (0, [], "no advisory service answered")


SECRETS = [
    b"-----BEGIN RSA " + b"PRIVATE KEY-----",
    b"untrusted comment: rsign encrypted secret key\n" + b"RWRTY0Iy" * 6,
    b"AKIA" + b"ABCDEFGHIJKLMNOP",
    b"ghp_" + b"a1" * 18,
    b"xoxb-" + b"1" * 24,
    b'api_key = "' + b"a1" * 16 + b'"',
    b"my own key of today",
]


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_a_secret_is_told_by_its_place_and_not_shown(secret: bytes) -> None:
    [told] = evidence.secrets_in({"a.py": b"first\n" + secret}, ["my own key of today"])

    assert told.startswith("a.py:")
    assert secret.decode() not in told
    assert evidence.secrets_in({"a.py": secret[:-12]}, ["my own key of today"]) == []


def test_an_audit_looks_at_commit_and_wheel_and_says_what_it_could_not(
    place: Any,
) -> None:
    evidence.begin(place)
    assert (place.work / evidence.PINS).read_text().startswith("tzdata==")

    assert evidence.audit(place) == 3

    found = shapes.decode((place.evidence / shapes.AUDIT).read_bytes(), Audit)
    assert (found.packages, found.known, found.unknown) == (1, 0, "no advisory service answered")
    assert found.secrets == ()
    listing = (place.evidence / shapes.SBOM).read_bytes()
    assert evidence.files.digest_of_bytes(listing) == found.sbom
    assert json.loads(listing)["components"][0]["purl"].startswith("pkg:pypi/tzdata@")


def test_what_is_found_fails_the_audit(place: Any) -> None:
    (place.root / "src" / "risk_daemon" / "key.py").write_bytes(SECRETS[2])
    build.commit(place.root, "src/risk_daemon/key.py")
    evidence.begin(place)

    assert evidence.audit(place) == 1

    found = shapes.decode((place.evidence / shapes.AUDIT).read_bytes(), Audit)
    places = [line.rpartition("/")[2] for line in found.secrets]
    assert places == ["key.py:1: a cloud's access key"] * 2, "in the commit, and in the wheel"

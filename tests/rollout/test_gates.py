"""Each gate before the start is made red in turn; what is missing is never green."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from risk_daemon.errors import Malformed
from risk_daemon.rollout import evidence, gates
from risk_daemon.rollout.evidence import Audit, Benchmarks, Count, Figure, Suite
from risk_daemon.rollout.gates import Backup, Case, Drill, Machine, Part, judge
from risk_daemon.rollout.reading import OF_RELEASE
from risk_daemon.rollout.row import FAIL, PASS, UNMEASURABLE

COMMIT = "c" * 40
NOW_S = 1_795_000_000
NOW = NOW_S * gates.SECOND_NS
GOOD_TESTS = Suite(
    commit=COMMIT,
    at=NOW_S - 3_600,
    system="debian 12 x86_64",
    python="3.12.1",
    lock="a" * 64,
    simulated=Count(passed=900),
    live=Count(passed=4),
    documents=Count(passed=30),
    covered=850,
    coverable=1_000,
)
GOOD_BENCHMARKS = Benchmarks(
    commit=COMMIT,
    at=NOW_S,
    figures=(
        Figure(name="step", unit="us", measured=300, budget=300),
        Figure(name="flush", unit="us", measured=1, budget=900),
    ),
)
GOOD_AUDIT = Audit(
    commit=COMMIT,
    at=NOW_S - 7 * 86_400,
    packages=80,
    known=80,
    unknown="",
    vulnerable=(),
    files=400,
    secrets=(),
    sbom="5" * 64,
)
GOOD = Case(
    now=NOW,
    version="v1.2.0",
    commit=COMMIT,
    unsigned="",
    tests=Part(GOOD_TESTS, "1" * 64),
    benchmarks=Part(GOOD_BENCHMARKS, "2" * 64),
    audit=Part(GOOD_AUDIT, "3" * 64),
    sbom="5" * 64,
    notes=Part(b"# v1.2.0\n\n## Breaking changes\n\nNone.\n", "4" * 64),
    here=Machine(system="debian 12 x86_64", python="3.12.1", lock="a" * 64, configuration="f" * 64),
    rehearsed="f" * 64,
    drill=Drill(NOW - 30 * gates.DAY_NS, 300 * gates.SECOND_NS),
    backup=Backup(made_at=NOW - gates.DAY_NS, tried=True),
)


def with_tests(**more: Any) -> Case:
    return changed(tests=Part(msgspec.structs.replace(GOOD_TESTS, **more), "1" * 64))


def with_audit(**more: Any) -> Case:
    return changed(audit=Part(msgspec.structs.replace(GOOD_AUDIT, **more), "3" * 64))


def with_here(**more: Any) -> Case:
    return changed(here=msgspec.structs.replace(GOOD.here, **more))


def with_figure(measured: int, budget: int) -> Case:
    one = Figure(name="step", unit="us", measured=measured, budget=budget)
    return changed(benchmarks=Part(msgspec.structs.replace(GOOD_BENCHMARKS, figures=(one,))))


def changed(**more: Any) -> Case:
    return msgspec.structs.replace(GOOD, **more)


def red(case: Case) -> dict[str, str]:
    return {one.gate: one.says for one in judge(case) if one.says != PASS}


def test_where_everything_was_measured_at_its_limit_every_gate_is_green() -> None:
    found = judge(GOOD)

    assert [one.gate for one in found] == list(OF_RELEASE) == list(gates.GATES)
    assert red(GOOD) == {}
    assert all(one.told == one.sentence and not one.measure for one in found)


def test_a_gate_names_the_evidence_it_goes_by() -> None:
    by = {one.gate: one.evidence[:1] for one in judge(GOOD)}

    assert {gate for gate, digest in by.items() if digest == "1"} == {
        "tests",
        "live tests",
        "coverage",
        "documents",
        "parity",
    }
    assert (by["benchmarks"], by["audit"], by["release notes"]) == ("2", "3", "4")
    assert by["signature"] == by["backup"] == by["rollback drill"] == ""


RED = {
    "one test skipped": (with_tests(simulated=Count(passed=900, skipped=1)), "tests", FAIL),
    "one test failed": (with_tests(simulated=Count(passed=900, failed=1)), "tests", FAIL),
    "no test ran": (with_tests(simulated=Count()), "tests", UNMEASURABLE),
    "no live test ran": (with_tests(live=Count()), "live tests", UNMEASURABLE),
    "a live test skipped": (
        with_tests(live=Count(passed=3, skipped=1)),
        "live tests",
        UNMEASURABLE,
    ),
    "a live test failed": (
        with_tests(live=Count(passed=3, failed=1, skipped=1)),
        "live tests",
        FAIL,
    ),
    "84.9 % covered": (with_tests(covered=849), "coverage", FAIL),
    "84.999 % covered": (with_tests(covered=84_999, coverable=100_000), "coverage", FAIL),
    "nothing to cover": (with_tests(covered=0, coverable=0), "coverage", UNMEASURABLE),
    "a slower benchmark": (with_figure(301, 300), "benchmarks", FAIL),
    "a benchmark without a budget": (with_figure(1, 0), "benchmarks", FAIL),
    "no benchmark": (
        changed(benchmarks=Part(msgspec.structs.replace(GOOD_BENCHMARKS, figures=()))),
        "benchmarks",
        UNMEASURABLE,
    ),
    "a vulnerable pin": (with_audit(vulnerable=("x 1.0: CVE",)), "audit", FAIL),
    "a secret": (with_audit(secrets=("a.py:3: a private key",)), "audit", FAIL),
    "another list of parts": (changed(sbom="6" * 64), "audit", FAIL),
    "no list of parts": (
        changed(audit=Part(msgspec.structs.replace(GOOD_AUDIT, sbom="")), sbom=""),
        "audit",
        FAIL,
    ),
    "no advisories": (with_audit(unknown="no service answered"), "audit", UNMEASURABLE),
    "a package nobody knows": (with_audit(known=79), "audit", UNMEASURABLE),
    "no package": (with_audit(packages=0, known=0), "audit", UNMEASURABLE),
    "no file looked at": (with_audit(files=0), "audit", UNMEASURABLE),
    "an audit of eight days ago": (
        with_audit(at=NOW_S - 7 * 86_400 - 1),
        "audit",
        UNMEASURABLE,
    ),
    "an audit of tomorrow": (with_audit(at=NOW_S + 301), "audit", UNMEASURABLE),
    "unsigned": (changed(unsigned="it has no signature"), "signature", FAIL),
    "a stale document": (with_tests(documents=Count(passed=29, failed=1)), "documents", FAIL),
    "no document looked at": (with_tests(documents=Count()), "documents", UNMEASURABLE),
    "no notes": (changed(notes=Part(None)), "release notes", UNMEASURABLE),
    "notes that were edited": (
        changed(notes=Part(None, "", "it was edited")),
        "release notes",
        FAIL,
    ),
    "notes silent on what breaks": (
        changed(notes=Part(b"# v1.2.0\nNo breaking changes.\n")),
        "release notes",
        FAIL,
    ),
    "no drill": (changed(drill=None), "rollback drill", UNMEASURABLE),
    "a slow drill": (
        changed(drill=Drill(NOW, 300 * gates.SECOND_NS + 1)),
        "rollback drill",
        FAIL,
    ),
    "an old drill": (
        changed(drill=Drill(NOW - 30 * gates.DAY_NS - 1, 1)),
        "rollback drill",
        UNMEASURABLE,
    ),
    "no backup": (changed(backup=None), "backup", UNMEASURABLE),
    "a backup nobody tried": (
        changed(backup=Backup(made_at=NOW, tried=False)),
        "backup",
        UNMEASURABLE,
    ),
    "a failed restore": (
        changed(backup=Backup(made_at=NOW, tried=True, why="a page is torn")),
        "backup",
        FAIL,
    ),
    "an old backup": (
        changed(backup=Backup(made_at=NOW - gates.DAY_NS - 1, tried=True)),
        "backup",
        FAIL,
    ),
    "another system": (with_here(system="debian 13 x86_64"), "parity", FAIL),
    "another Python": (with_here(python="3.12.2"), "parity", FAIL),
    "another lock": (with_here(lock="b" * 64), "parity", FAIL),
    "another configuration": (with_here(configuration="e" * 64), "parity", FAIL),
    "no rehearsal": (changed(rehearsed=""), "parity", UNMEASURABLE),
}


@pytest.mark.parametrize("name", RED)
def test_each_gate_is_made_red_alone_and_says_what_would_measure_it(name: str) -> None:
    case, gate, says = RED[name]

    assert red(case) == {gate: says}
    [told] = [one for one in judge(case) if one.gate == gate]
    assert told.measure
    assert told.told == f"{told.sentence} ({told.measure})"


def test_every_gate_is_among_those_that_were_made_red() -> None:
    assert {gate for _, gate, _ in RED.values()} == set(OF_RELEASE)


def test_what_is_unknown_on_both_sides_is_not_the_same() -> None:
    both = changed(
        tests=Part(msgspec.structs.replace(GOOD_TESTS, system="")),
        here=msgspec.structs.replace(GOOD.here, system=""),
    )

    assert red(both) == {"parity": FAIL}


OF = {
    "tests": ("tests", "live tests", "coverage", "documents", "parity"),
    "benchmarks": ("benchmarks",),
    "audit": ("audit",),
}


@pytest.mark.parametrize("part", OF)
def test_no_evidence_is_red_and_names_the_command(part: str) -> None:
    case = changed(**{part: Part(None)})

    assert red(case) == dict.fromkeys(OF[part], UNMEASURABLE)
    command = {"tests": "./dev test", "benchmarks": "./dev bench", "audit": "./dev audit"}[part]
    assert all(command in one.measure for one in judge(case) if one.says != PASS)


@pytest.mark.parametrize("part", OF)
def test_edited_evidence_and_evidence_of_another_commit_fail(part: str) -> None:
    edited = changed(**{part: Part(None, "9" * 64, "it was edited")})
    other = msgspec.structs.replace(getattr(GOOD, part).content, commit="d" * 40)

    assert red(edited) == dict.fromkeys(OF[part], FAIL)
    assert red(changed(**{part: Part(other)})) == dict.fromkeys(OF[part], FAIL)


def test_figures_are_cut_and_long_lists_are_shortened() -> None:
    told = {one.gate: one.sentence for one in judge(with_tests(covered=8_499_9, coverable=100_000))}
    assert told["coverage"].startswith("84.9 %")

    many = tuple(f"package {n}" for n in range(5))
    [audit] = [one for one in judge(with_audit(vulnerable=many)) if one.gate == "audit"]
    assert audit.sentence.endswith("package 0, package 1, package 2 and 2 more")
    [audit] = [one for one in judge(with_audit(vulnerable=many[:3])) if one.gate == "audit"]
    assert audit.sentence.endswith("package 0, package 1, package 2")


def test_a_clock_a_little_ahead_is_believed() -> None:
    assert red(with_audit(at=NOW_S + 300)) == {}


def test_where_nothing_could_be_looked_at_every_gate_is_unmeasurable() -> None:
    found = gates.blind("v1.2.0", "the disk is gone")

    assert [(one.gate, one.says) for one in found] == [(gate, UNMEASURABLE) for gate in OF_RELEASE]
    assert all("release verify v1.2.0" in one.told for one in found)


@pytest.mark.parametrize("what", [GOOD_TESTS, GOOD_BENCHMARKS, GOOD_AUDIT])
def test_evidence_is_read_as_it_was_written_and_nothing_else_is(
    what: Suite | Benchmarks | Audit,
) -> None:
    text = evidence.encode(what)

    assert evidence.decode(text, type(what)) == what
    for wrong in (text[:-3], text.replace(b'"format": 1', b'"format": 2'), b"\xff", b"[]"):
        with pytest.raises(Malformed, match="can't be read"):
            evidence.decode(wrong, type(what))

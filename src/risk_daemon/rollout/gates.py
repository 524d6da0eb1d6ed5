"""What is asked before anything moves: a verdict of each gate, with what would measure it. Pure.

No evidence is no pass. Sentences say nothing that changes by the second: hearing the same verdict
twice must be hearing it once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from risk_daemon.rollout.evidence import Audit, Benchmarks, Count, Measured, Suite
from risk_daemon.rollout.reading import OF_RELEASE
from risk_daemon.rollout.row import FAIL, PASS, UNMEASURABLE

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
#: Clocks of two machines may differ by so much; what is later is not believed.
AHEAD_NS: Final = 300 * SECOND_NS
#: Source: the brief's gates.
COVERED_PERCENT: Final = 85
#: Advisories are published every day.
AUDIT_DAYS: Final = 7
BACKUP_DAYS: Final = 1
DRILL_DAYS: Final = 30
#: Source: the brief, a rollback takes five minutes at most.
DRILL_S: Final = 300
_SHOWN: Final = 3
_BREAKING: Final = re.compile(rb"^#+ breaking changes", re.IGNORECASE | re.MULTILINE)

ANEW: Final = "and make the release anew with `./dev run release build`"


class Part[T](msgspec.Struct, frozen=True):
    """One piece of evidence as it lies in a release; `spoilt` says why it can't be believed."""

    content: T | None
    digest: str = ""
    spoilt: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a release runs on; `configuration` is the digest of what decides about accounts."""

    system: str
    python: str
    lock: str
    configuration: str


class Drill(msgspec.Struct, frozen=True):
    """A rollback that was seen: when it ended (UTC ns), and how long it took (ns)."""

    at: int
    took_ns: int


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """The newest backup: made at (UTC ns), restored once, and why that failed."""

    made_at: int
    tried: bool
    why: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A release with its evidence, and a home, at an instant `now` (UTC ns).

    `unsigned` says why its signature is not accepted, empty if it is. `rehearsed` is the digest of
    the configuration with which a staging home runs this release; empty where none does.
    """

    now: int
    version: str
    commit: str
    unsigned: str
    tests: Part[Suite] = Part(None)
    benchmarks: Part[Benchmarks] = Part(None)
    audit: Part[Audit] = Part(None)
    sbom: str = ""
    notes: Part[bytes] = Part(None)
    here: Machine
    rehearsed: str = ""
    drill: Drill | None = None
    backup: Backup | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says; `measure` is what would make it say something else.

    `evidence` is the digest of the part it goes by, empty for what the home itself shows.
    """

    gate: str
    says: str
    sentence: str
    measure: str = ""
    evidence: str = ""

    @property
    def told(self) -> str:
        """The sentence, and for one that is red what would measure it."""
        return self.sentence if self.says == PASS else f"{self.sentence} ({self.measure})"


type Verdict = tuple[str, str, str]


def judge(case: Case) -> tuple[Said, ...]:
    """Return what each gate says, in the order in which they are always shown."""
    return tuple(_said(case, gate) for gate in OF_RELEASE)


def blind(version: str, why: str) -> tuple[Said, ...]:
    """Return what each gate says where nothing could be looked at."""
    how = f"`risk-daemon-admin release verify {version}`"
    return tuple(
        Said(gate=gate, says=UNMEASURABLE, sentence=why, measure=how) for gate in OF_RELEASE
    )


def _said(case: Case, gate: str) -> Said:
    decide, part_of = GATES[gate]
    says, sentence, measure = decide(case)
    evidence = part_of(case).digest if part_of is not None else ""
    return Said(gate=gate, says=says, sentence=sentence, measure=measure, evidence=evidence)


# --- what comes with a release ---


def _belief[T: Measured](case: Case, part: Part[T], command: str) -> T | Verdict:
    """Return what evidence says, or the verdict of a gate that has none to go by."""
    if part.spoilt:
        return FAIL, part.spoilt, f"`{command}`, {ANEW}"
    if part.content is None:
        why = f"{case.version} was made without evidence of it"
        return UNMEASURABLE, why, f"`{command}`, {ANEW}"
    if part.content.commit != case.commit:
        why = (
            f"its evidence is of commit {part.content.commit[:12]}, "
            f"{case.version} is of {case.commit[:12]}"
        )
        return FAIL, why, f"`{command}`, {ANEW}"
    return part.content


def _counted(count: Count, what: str, command: str) -> Verdict:
    if count.failed:
        return FAIL, f"{count.failed} {what} failed", f"`{command}`, {ANEW}"
    if count.skipped:
        return FAIL, f"{count.skipped} {what} skipped", f"`{command}`, {ANEW}"
    if not count.passed:
        return UNMEASURABLE, f"no {what} ran", f"`{command}`, {ANEW}"
    return PASS, f"{count.passed} {what} passed, none skipped", ""


def _tests(case: Case) -> Verdict:
    found = _belief(case, case.tests, "./dev test")
    if not isinstance(found, Suite):
        return found
    return _counted(found.simulated, "simulated tests", "./dev test")


def _live_tests(case: Case) -> Verdict:
    """Ask for the tests against the broker itself: skipped ones have measured nothing."""
    how = "./dev test` with the test account's credentials in PROJECT_X_API_KEY and `_USERNAME"
    found = _belief(case, case.tests, how)
    if not isinstance(found, Suite):
        return found
    says, sentence, measure = _counted(found.live, "live tests", how)
    if says == FAIL and not found.live.failed:
        says = UNMEASURABLE
    return says, sentence, measure


def _documents(case: Case) -> Verdict:
    found = _belief(case, case.tests, "./dev test")
    if not isinstance(found, Suite):
        return found
    return _counted(found.documents, "tests of documents", "./dev test")


def _coverage(case: Case) -> Verdict:
    found = _belief(case, case.tests, "./dev test")
    if not isinstance(found, Suite):
        return found
    if found.coverable <= 0:
        return UNMEASURABLE, "nothing was covered or to cover", f"`./dev test`, {ANEW}"
    # Cut, not rounded: 84.96 % is not 85.0 %.
    tenths = found.covered * 1000 // found.coverable
    told = f"{tenths // 10}.{tenths % 10} % of lines and branches are covered"
    if found.covered * 100 < COVERED_PERCENT * found.coverable:
        return FAIL, f"{told}, {COVERED_PERCENT}.0 % are asked for", f"`./dev test`, {ANEW}"
    return PASS, told, ""


def _benchmarks(case: Case) -> Verdict:
    found = _belief(case, case.benchmarks, "./dev bench")
    if not isinstance(found, Benchmarks):
        return found
    if not found.figures:
        return UNMEASURABLE, "no figure was measured", f"`./dev bench`, {ANEW}"
    over = [one.name for one in found.figures if one.measured > one.budget]
    if over:
        return FAIL, f"over the stored budget: {_some(over)}", f"`./dev bench`, {ANEW}"
    return PASS, f"{len(found.figures)} figures are within their stored budgets", ""


def _audit(case: Case) -> Verdict:
    found = _belief(case, case.audit, "./dev audit")
    if not isinstance(found, Audit):
        return found
    again = f"`./dev audit`, {ANEW}"
    if found.secrets:
        return FAIL, f"what looks like a secret: {_some(found.secrets)}", again
    if found.vulnerable:
        return FAIL, f"known against the lock: {_some(found.vulnerable)}", again
    if not case.sbom or found.sbom != case.sbom:
        return FAIL, "the list of what it is made of is not the one that was audited", again
    if found.unknown:
        return UNMEASURABLE, found.unknown, again
    if found.known < found.packages or not found.packages or not found.files:
        told = f"{found.known} of {found.packages} packages and {found.files} files were looked at"
        return UNMEASURABLE, told, again
    if not _is_recent(case.now, found.at * SECOND_NS, AUDIT_DAYS):
        return UNMEASURABLE, f"the audit is not of the last {AUDIT_DAYS} days", again
    return PASS, f"nothing is known against {found.packages} packages; no secret is in it", ""


def _signature(case: Case) -> Verdict:
    if case.unsigned:
        return FAIL, case.unsigned, f"`risk-daemon-admin release verify {case.version}`"
    return PASS, f"{case.version} is signed by a key that this home trusts", ""


def _notes(case: Case) -> Verdict:
    page = f"docs/releases/{case.version}.md"
    write = f"`risk-daemon-admin release notes {case.version} --write`, commit {page}, {ANEW}"
    if case.notes.spoilt:
        return FAIL, case.notes.spoilt, write
    if case.notes.content is None:
        return UNMEASURABLE, f"{case.version} was made without release notes", write
    if not _BREAKING.search(case.notes.content):
        return FAIL, 'the release notes have no heading "Breaking changes"', write
    return PASS, "release notes say what breaks", ""


# --- what the home shows ---


def _drill(case: Case) -> Verdict:
    again = "`risk-daemon-admin rollout abort` of a rollout in staging"
    if case.drill is None or not _is_recent(case.now, case.drill.at, DRILL_DAYS):
        return UNMEASURABLE, f"no rollback was seen in the last {DRILL_DAYS} days", again
    told = f"the last rollback took {case.drill.took_ns / SECOND_NS:.1f} s"
    if case.drill.took_ns > DRILL_S * SECOND_NS:
        return FAIL, f"{told}, {DRILL_S} s are allowed", again
    return PASS, told, ""


def _backup(case: Case) -> Verdict:
    again = "`risk-daemon-admin backup create`"
    if case.backup is None:
        return UNMEASURABLE, "there is no backup of this home", again
    if case.backup.why:
        return FAIL, f"the newest backup does not restore: {case.backup.why}", again
    if not case.backup.tried:
        again = "`risk-daemon-admin backup verify`"
        return UNMEASURABLE, "the newest backup was never restored", again
    if not _is_recent(case.now, case.backup.made_at, BACKUP_DAYS):
        return FAIL, "the newest backup is older than a day", again
    return PASS, "a backup of the last day was restored once", ""


def _parity(case: Case) -> Verdict:
    found = _belief(case, case.tests, "./dev test")
    if not isinstance(found, Suite):
        return found
    pairs = (
        ("operating system", found.system, case.here.system),
        ("Python", found.python, case.here.python),
        ("lock", found.lock, case.here.lock),
    )
    other = [
        f"{name} {there[:40] or 'unknown'}, here {here[:40] or 'unknown'}"
        for name, there, here in pairs
        if there != here or not here
    ]
    if other:
        how = f"`./dev test` on a machine like this one, {ANEW}"
        return FAIL, f"it was tested on another: {'; '.join(other)}", how
    if not case.rehearsed:
        why = f"no staging home of this depot has {case.version}"
        return UNMEASURABLE, why, "`scripts/deploy_staging.sh`"
    if case.rehearsed != case.here.configuration:
        why = "staging has another configuration than this home"
        return FAIL, why, "copy config/ to staging, then `scripts/deploy_staging.sh`"
    return PASS, "tests, staging and this home have the same system, Python, lock and policy", ""


def _is_recent(now: int, at: int, days: int) -> bool:
    return -AHEAD_NS <= now - at <= days * DAY_NS


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


type Decide = Callable[[Case], Verdict]
type PartOf = Callable[[Case], Part[Suite] | Part[Benchmarks] | Part[Audit] | Part[bytes]]


def _of_tests(case: Case) -> Part[Suite]:
    return case.tests


#: Every gate of `OF_RELEASE`: how it decides, and the evidence it goes by.
GATES: Final[dict[str, tuple[Decide, PartOf | None]]] = {
    "tests": (_tests, _of_tests),
    "live tests": (_live_tests, _of_tests),
    "coverage": (_coverage, _of_tests),
    "benchmarks": (_benchmarks, lambda case: case.benchmarks),
    "audit": (_audit, lambda case: case.audit),
    "signature": (_signature, None),
    "documents": (_documents, _of_tests),
    "release notes": (_notes, lambda case: case.notes),
    "rollback drill": (_drill, None),
    "backup": (_backup, None),
    "parity": (_parity, _of_tests),
}

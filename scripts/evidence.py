"""Write down what was measured of the commit, for the release that will be made of it.

    python scripts/evidence.py begin      note the commit, and the pins of its lock
    python scripts/evidence.py tests      from pytest's and coverage's reports
    python scripts/evidence.py bench      from the figures of the benchmarks
    python scripts/evidence.py audit      from the advisories; looks for secrets itself

Called by `./dev test`, `bench` and `audit`. What is written is of one commit: with a folder that
differs from it, before or after, nothing is written, and that is said. The files lie in
`.dev/evidence`; docs/formats/evidence.md has their format.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as Xml
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.depot import files, making
from risk_daemon.depot.manifest import LOCK
from risk_daemon.errors import OperatorError
from risk_daemon.rollout import evidence
from risk_daemon.rollout.evidence import Audit, Benchmarks, Count, Figure, Measured, Suite

#: What the reports are kept in until evidence is made of them.
WORK: Final = "work"
BEGUN: Final = "commit"
PINS: Final = "pins.txt"
ADVISORIES: Final = "advisories.json"
FIGURES: Final = "figures.json"
#: Tests below it run against the broker itself.
LIVE: Final = "tests.live."
DOCUMENTS: Final = "tests.house.test_docs"
_PIN: Final = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)
SECRETS: Final = {
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a signing key": re.compile(rb"comment: [a-z]+ encrypted secret key\s+[A-Za-z0-9+/=]{40}"),
    "a cloud's access key": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a code host's token": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40})"),
    "a chat's token": re.compile(rb"\bxox[abprs]-[A-Za-z0-9-]{20}"),
    "a signed web token": re.compile(rb"\beyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}"),
    "a literal secret": re.compile(
        rb"""(?i)(?:api_?key|secret|passw(?:or)?d|token)['"]?\s*[:=]\s*['"][A-Za-z0-9+/_=-]{32,}['"]"""
    ),
}
#: The credentials of whoever runs this, should they have got into a file.
OWN: Final = ("PROJECT_X_API_KEY",)


class NotWritten(Exception):
    """Why there is no evidence; its text is for people."""


@dataclass(frozen=True)
class Place:
    """A checkout, and where its evidence lies."""

    root: Path

    @property
    def evidence(self) -> Path:
        """What `release build` takes from."""
        return self.root / making.MEASURED

    @property
    def work(self) -> Path:
        """Reports of the run that goes on."""
        return self.evidence / WORK


def clean_commit(root: Path) -> str:
    """Return the commit that the folder is exactly. Raises NotWritten where it is none."""
    from dulwich import porcelain
    from dulwich.errors import NotGitRepository
    from dulwich.repo import Repo

    try:
        with Repo(str(root)) as repo:
            found = porcelain.status(repo, untracked_files="all")
            names = [name for kind in found.staged.values() for name in kind]
            names += [*found.unstaged, *found.untracked]
            head = repo.head().decode()
    except (NotGitRepository, KeyError):
        raise NotWritten(f"{root} is no checkout with a commit") from None
    if names:
        told = sorted(os.fsdecode(name) for name in names)
        raise NotWritten(
            f"{told[0]} and {len(told) - 1} more differ from commit {head[:12]}: what was measured "
            "is of no commit. Commit, and measure again"
        )
    return head


def begin(place: Place) -> None:
    """Note what is measured now; whatever an earlier run has left is gone."""
    shutil.rmtree(place.work, ignore_errors=True)
    place.work.mkdir(parents=True)
    pins = [f"{name}=={version}\n" for name, version in pins_of(place.root)]
    (place.work / PINS).write_text("".join(pins))
    (place.work / BEGUN).write_text(clean_commit(place.root))


def measured_commit(place: Place) -> str:
    """Return the commit that was measured from beginning to end. Raises NotWritten."""
    try:
        begun = (place.work / BEGUN).read_text()
    except FileNotFoundError:
        raise NotWritten("the folder differed from its commit when the measuring began") from None
    now = clean_commit(place.root)
    if now != begun:
        raise NotWritten(f"the commit was {begun[:12]} at the beginning and is {now[:12]} now")
    return now


def keep(place: Place, name: str, what: Measured) -> None:
    """Write evidence, whole or not at all."""
    keep_text(place, name, evidence.encode(what))


def keep_text(place: Place, name: str, text: bytes) -> None:
    """Write one file of evidence."""
    partial = place.evidence / f".{name}.part"
    partial.write_bytes(text)
    partial.replace(place.evidence / name)
    told(f"{place.evidence / name} is of this commit")


def told(text: str) -> None:
    """Say it on stderr, as `./dev` does."""
    print(f"evidence: {text}", file=sys.stderr, flush=True)


def now_s() -> int:
    """Return seconds since 1970 UTC."""
    return Clock().now_ns() // SECOND_NS


# --- tests ----------------------------------------------------------------------


def counted(reports: Iterable[Path], unreported: int = 0) -> tuple[Count, Count, Count]:
    """Count simulated tests, live ones and those of documents from pytest's JUnit reports.

    `unreported` shares of the suite left no report: each counts as one that failed.
    """
    found = {"simulated": [0, unreported, 0], "live": [0, 0, 0], "documents": [0, 0, 0]}
    for report in reports:
        # Source: https://docs.pytest.org/en/stable/how-to/output.html#creating-junitxml-format-files
        for case in Xml.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
            name = case.get("classname", "")
            ended = 0 if not len(case) or _is_talk(case) else 2 if _has(case, "skipped") else 1
            found["live" if name.startswith(LIVE) else "simulated"][ended] += 1
            if name.startswith(DOCUMENTS):
                found["documents"][ended] += 1
    simulated, live, documents = (
        Count(passed=passed, failed=failed, skipped=skipped)
        for passed, failed, skipped in found.values()
    )
    return simulated, live, documents


def _has(case: Xml.Element, *names: str) -> bool:
    return any(case.find(name) is not None for name in names)


def _is_talk(case: Xml.Element) -> bool:
    return not _has(case, "failure", "error", "skipped")


def covered(report: Path) -> tuple[int, int]:
    """Return how many lines and branches are covered, of how many; nothing of no report."""
    if not report.exists():
        return 0, 0
    about = Xml.parse(report).getroot()  # noqa: S314 - coverage wrote it
    return (
        int(about.get("lines-covered", 0)) + int(about.get("branches-covered", 0)),
        int(about.get("lines-valid", 0)) + int(about.get("branches-valid", 0)),
    )


def tests(place: Place, shares: int) -> None:
    """Write what came of the suite, which ran in so many shares."""
    commit = measured_commit(place)
    reports = sorted(place.work.glob("*.xml"))
    simulated, live, documents = counted(reports, max(shares - len(reports), 0))
    hit, coverable = covered(place.root / ".dev" / "coverage" / "all.xml")
    found = Suite(
        commit=commit,
        at=now_s(),
        system=making.system_name(),
        python=platform.python_version(),
        lock=files.digest_of_bytes(lock_of(place.root)),
        simulated=simulated,
        live=live,
        documents=documents,
        covered=hit,
        coverable=coverable,
    )
    keep(place, evidence.TESTS, found)


def lock_of(root: Path) -> bytes:
    """Return the lock as git stores it."""
    return (root / LOCK).read_bytes().replace(b"\r\n", b"\n")


# --- benchmarks -----------------------------------------------------------------


def bench(place: Place) -> None:
    """Write the figures beside their stored budgets; one that is only shown has none to keep."""
    commit = measured_commit(place)
    raw = json.loads((place.work / FIGURES).read_bytes())
    figures = tuple(
        Figure(
            name=name,
            unit=one["unit"],
            measured=round(one["median"] * evidence.MILLIONTHS),
            budget=round((one["budget"] or 0) * evidence.MILLIONTHS),
        )
        for name, one in raw.items()
        if one["judged"]
    )
    keep(place, evidence.BENCHMARKS, Benchmarks(commit=commit, at=now_s(), figures=figures))


# --- audit ----------------------------------------------------------------------


def pins_of(root: Path) -> list[tuple[str, str]]:
    """Return every package of the lock with its version, whatever machine it is for."""
    return [(one["name"], one["version"]) for one in _PIN.finditer(lock_of(root).decode())]


def advised(text: bytes | None, pins: Sequence[tuple[str, str]]) -> tuple[int, list[str], str]:
    """Return of how many pins advisories are known, what is known against them, and why not all.

    `text` is pip-audit's JSON. A package it skipped is not one without advisories: where nobody
    answers it skips all, finds nothing, and ends with 0.
    """
    try:
        rows = json.loads(text or b"")["dependencies"]
        by = {_plain(row["name"]): row for row in rows}
        known = [by[_plain(name)] for name, _ in pins if "vulns" in by.get(_plain(name), {})]
        against = [
            f"{row['name']} {row['version']}: {one['id']}" for row in known for one in row["vulns"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, [], "no advisory service answered"
    if len(known) < len(pins):
        missing = next(name for name, _ in pins if "vulns" not in by.get(_plain(name), {}))
        why = f"advisories are known of {len(known)} of {len(pins)} packages, not of {missing}"
        return len(known), against, why
    return len(known), against, ""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def secrets_in(contents: Mapping[str, bytes], own: Sequence[str] = ()) -> list[str]:
    """Say where something looks like a secret, never what it is."""
    found = []
    for name, content in contents.items():
        for what, pattern in SECRETS.items():
            for hit in pattern.finditer(content):
                line = content.count(b"\n", 0, hit.start()) + 1
                found.append(f"{name}:{line}: {what}")
        found += [
            f"{name}: the credentials of whoever ran this" for one in own if one.encode() in content
        ]
    return found


def tree_of(root: Path) -> dict[str, bytes]:
    """Return every file of the commit, and of the wheel that is made of it."""
    from dulwich.repo import Repo

    with Repo(str(root)) as repo:
        tree = repo[repo.head()].tree  # type: ignore[attr-defined]
        found = {
            entry.path.decode(): repo[entry.sha].as_raw_string()
            for entry in repo.object_store.iter_tree_contents(tree)
        }
    with tempfile.TemporaryDirectory(prefix="risk-daemon-audit-") as scratch:
        wheel = making.own_wheel(making.read_commit(root), Path(scratch))
        with zipfile.ZipFile(wheel) as opened:
            found |= {f"{wheel.name}/{name}": opened.read(name) for name in opened.namelist()}
    return found


def sbom(commit: str, version: str, pins: Sequence[tuple[str, str]]) -> bytes:
    """List what a release is made of, as CycloneDX.

    Source: https://cyclonedx.org/docs/1.5/json/
    """
    plain: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": "risk-daemon", "version": version},
            "properties": [{"name": making.COMMIT_PROPERTY, "value": commit}],
        },
        "components": [
            {
                "type": "library",
                "name": name,
                "version": number,
                "purl": f"pkg:pypi/{_plain(name)}@{number}",
            }
            for name, number in pins
        ],
    }
    return (json.dumps(plain, sort_keys=True, indent=2) + "\n").encode()


def audit(place: Place) -> int:
    """Write the audit; 1 where something is found, 3 where it could not be looked at."""
    pins = pins_of(place.root)
    advisories = place.work / ADVISORIES
    known, against, why = advised(advisories.read_bytes() if advisories.exists() else None, pins)
    contents = tree_of(place.root)
    own = [value for name in OWN if len(value := os.environ.get(name, "")) >= 8]  # noqa: TID251 - to look for it
    secrets = secrets_in(contents, own)
    for line in (*against, *secrets):
        told(line)
    if why:
        told(f"unmeasurable: {why}")
    told(f"{known} of {len(pins)} packages and {len(contents)} files were looked at")
    commit = measured_commit(place)
    project = (place.root / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.*)"$', project, re.MULTILINE)
    listing = sbom(commit, version[1] if version else "", pins)
    found = Audit(
        commit=commit,
        at=now_s(),
        packages=len(pins),
        known=known,
        unknown=why,
        vulnerable=tuple(against),
        files=len(contents),
        secrets=tuple(secrets),
        sbom=hashlib.sha256(listing).hexdigest(),
    )
    keep_text(place, evidence.SBOM, listing)
    keep(place, evidence.AUDIT, found)
    return 1 if against or secrets else 3 if why else 0


def main(argv: Sequence[str]) -> int:
    """Do one step; what keeps evidence from being written is said, and is no failure of a test."""
    place = Place(Path(__file__).resolve().parents[1])
    try:
        match list(argv):
            case ["begin"]:
                begin(place)
            case ["tests", shares]:
                tests(place, int(shares))
            case ["bench"]:
                bench(place)
            case ["audit"]:
                return audit(place)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (
        NotWritten,
        OperatorError,
        OSError,
        ValueError,
        Xml.ParseError,
        msgspec.MsgspecError,
    ) as why:
        told(f"not written: {str(why).rstrip('.')}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Each gate before the start made red in turn: the brief's script names it, and nothing moves.

One daemon, one staging home, one release. What a gate goes by is written by the code that
`./dev test`, `bench` and `audit` write it with, of a checkout's own commit; the release is signed
anew by a key of this test. At the end nothing is red, and the same script moves the account.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from risk_daemon import schemas
from risk_daemon.depot import making, signing
from risk_daemon.depot.manifest import EVIDENCE, LOCK, Manifest, Part, Schemas, encode
from risk_daemon.depot.store import Depot
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.backup import backup_list
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE as STATE
from risk_daemon.operations.which_release import release
from risk_daemon.rollout import evidence as shapes
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Daemon, Done
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.depot import build
from tests.house.test_evidence import advisories, evidence
from tests.untraced import leave_children_untraced

leave_children_untraced()

ROOT: Final = Path(__file__).resolve().parents[2]
OLD, NEW = release(), "v9.0.0"
CROWD: Final = Crowd(1, 2)
FIRST: Final = str(CROWD.accounts()[0])
KEY, STRANGER = signing.fresh_pair(), signing.fresh_pair()
WITHIN_S: Final = 120.0
#: In the local header of a zip's file: how long its name and what follows the name are.
LENGTHS_AT: Final = 26
PLAN: Final = """\
production: false
minute: 20ms
phases:
  - {name: shadow, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: canary, wall: 10ms, risk_cap: 100, open_minutes: 0, events: 0, situations: []}
  - {name: 100, wall: 10ms, open_minutes: 0, events: 0, situations: []}
  - {name: soak, wall: 10ms, open_minutes: 0, events: 0, situations: []}
"""
NOTES: Final = b"# v9.0.0\n\n## Breaking changes\n\nNone.\n"
SILENT: Final = b"# v9.0.0\n\nNothing of note.\n"

# --- what was measured ------------------------------------------------------------------

PASSED: Final = ("tests.core.test_a", "tests.live.test_orders", "tests.house.test_docs")


def report(*ended: tuple[str, str], leaves_out: str = "") -> str:
    """Write pytest's report: one test of each kind passed, and these ended in another way."""
    passed = "".join(
        f'<testcase classname="{one}" name="passes"/>' for one in PASSED if one != leaves_out
    )
    others = "".join(
        f'<testcase classname="{name}" name="other"><{how} message="x"/></testcase>'
        for name, how in ended
    )
    return f'<testsuites><testsuite name="pytest">{passed}{others}</testsuite></testsuites>'


def coverage(tenths: int) -> str:
    """Write coverage's report of so many tenths of a percent."""
    return f'<coverage lines-valid="1000" lines-covered="{tenths}"/>'


def figures(median: float) -> str:
    """Write the benchmarks' figures: one, whose stored budget is 4.5 us."""
    return json.dumps({"step": {"unit": "us", "median": median, "budget": 4.5, "judged": True}})


def advised(*known: str) -> bytes:
    """Write the scanner's answer about the only pin of the lock."""
    vulnerable = [{"id": one} for one in known]
    return advisories({"name": "tzdata", "version": "1", "vulns": vulnerable})


@dataclass(frozen=True)
class Measured:
    """What was measured of a commit, and how the release was made of it; all of it is green.

    `elsewhere`: the suite ran on a machine of which this is to be believed instead.
    """

    report: str = field(default_factory=report)
    coverage: str = field(default_factory=lambda: coverage(850))
    figures: str = field(default_factory=lambda: figures(1.5))
    advisories: bytes = field(default_factory=advised)
    notes: bytes = NOTES
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    key: signing.Pair = KEY


def written(place: Any, what: Measured) -> dict[str, bytes]:
    """Have evidence written of the reports, by what `./dev` writes it with; by their names."""
    evidence.begin(place)
    (place.work / "one.xml").write_text(what.report)
    covered = place.root / ".dev" / "coverage" / "all.xml"
    covered.parent.mkdir(exist_ok=True)
    covered.write_text(what.coverage)
    (place.work / evidence.FIGURES).write_text(what.figures)
    (place.work / evidence.ADVISORIES).write_bytes(what.advisories)
    evidence.tests(place, 1)
    evidence.bench(place)
    evidence.audit(place)
    found = {path.name: path.read_bytes() for path in place.evidence.glob("*.json")}
    suite = shapes.decode(found[shapes.TESTS], shapes.Suite)
    found[shapes.TESTS] = shapes.encode(msgspec.structs.replace(suite, **what.elsewhere))
    return {**found, shapes.NOTES: what.notes}


# --- the scene --------------------------------------------------------------------------


class Scene:
    """A daemon of two accounts, a staging home beside it, and a release that brings evidence."""

    def __init__(self, daemon: Daemon, place: Any) -> None:
        self.daemon, self.home, self.place = daemon, Home(daemon.home), place
        self.staging = Home(daemon.home.with_name("staging"))
        self.folder = self.home.releases / NEW

    def run(self, *words: str) -> Done:
        return self.daemon.run(*words, within_s=WITHIN_S)

    def make(self, what: Measured = Measured()) -> None:
        """Make the release of what was measured, and stage it here and in staging."""
        brings = {f"{EVIDENCE}{name}": text for name, text in written(self.place, what).items()}
        self.sign(NEW, {LOCK: evidence.lock_of(self.place.root), **brings}, what.key)
        there = self.staging.releases / NEW
        there.mkdir(parents=True, exist_ok=True)
        for name in ("manifest.json", "manifest.json.minisig"):
            shutil.copy(self.folder / name, there)

    def sign(self, version: str, parts: Mapping[str, bytes], key: signing.Pair) -> None:
        """Sign an unpacked release for what it is, and put beside it what it brings."""
        folder = self.home.releases / version
        wheel = f"wheels/risk_daemon-{version[1:]}-py3-none-any.whl"
        made = Manifest(
            version=version,
            commit=evidence.clean_commit(self.place.root),
            made_at=1,
            python=making.python_tag(),
            platform=making.platform_tag(),
            wheel=wheel,
            code=json.loads((folder / "manifest.json").read_bytes())["code"],
            schemas=Schemas(schemas.RECORDS, schemas.SNAPSHOTS, schemas.STATE_FILE),
            parts=tuple(
                Part(name, hashlib.sha256(text).hexdigest(), len(text))
                for name, text in sorted({LOCK: b"", wheel: b"", **parts}.items())
            ),
        )
        (folder / "evidence").mkdir(exist_ok=True)
        for name, text in parts.items():
            (folder / name).write_bytes(text)
        signature = signing.sign(encode(made), key.secret, "made by a test")
        (folder / "manifest.json").write_bytes(encode(made))
        (folder / "manifest.json.minisig").write_bytes(signature)

    def rehearse(self) -> None:
        """Have a staging home of the same depot and configuration."""
        shutil.copytree(self.home.config, self.staging.config)
        self.staging.state.mkdir()
        text = self.home.about.read_text().replace('"demo"', '"staging"')
        for path in (self.staging.about, self.staging.about_again):
            path.write_text(text)
        depot = Depot(Path(self.daemon.environment["RISK_DAEMON_DEPOT"]))
        with depot.changing():
            depot.remember(self.home.path)
            depot.remember(self.staging.path)

    def plan(self) -> None:
        """Plan the rollout and agree to its start: nothing but a gate is in its way."""
        self.run("deploy", "plan", NEW, "--account", FIRST).ok()
        self.run("rollout", "approve", "start", "--by", "anna").ok()

    def script(self) -> Done:
        """Run the brief's line, by its script."""
        words = (str(ROOT / "scripts" / "deploy_canary.sh"), "--account", FIRST, "--version", NEW)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", *words],
            env=self.daemon.environment | {"RISK_DAEMON_HOME": str(self.home.path), "PATH": path},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return Done(words, done.returncode, done.stdout, done.stderr)

    def stands(self) -> tuple[object, ...]:
        """Say who enforces each account by which epoch, and which releases are there."""
        rows = asked.status(self.home)["accounts"]
        held = {
            int(one["account"]): (one["release"], one["epoch"], one["holder"], one["enforcing"])
            for one in rows
        }
        return held, sorted(path.name for path in self.home.releases.iterdir())

    def on(self) -> set[str]:
        """The releases that hold an account."""
        return {str(one["release"]) for one in asked.status(self.home)["accounts"]}

    def red(self) -> set[str]:
        """The gates that are not green, by the controller's own word."""
        found = self.run("rollout", "status", "--json").data["data"]
        return {one["gate"] for one in found["gates"] if one["says"] != "pass"}

    def everybody_signs(self) -> None:
        """Have every item of the checklist signed that is a person's."""
        listed = self.run("checklist", "pre", "--version", NEW, "--json").data["data"]["items"]
        for one in listed:
            if one["who"] == "person" and not one["ticked"]:
                words = ("--version", NEW, "--sign", one["item"], "--by", "anna")
                self.run("checklist", "pre", *words).ok()

    def everybody_can_be_called(self) -> None:
        """Fill in the emergency contacts."""
        for role in ("on-call", "sdk-support", "escalation"):
            words = ("--phone", "+1 555 0100", "--email", f"{role}@example.com")
            self.run("emergency", "contacts", "set", role, *words).ok()


def refused(scene: Scene, *gates: str) -> str:
    """Run the script, which must move nothing: these gates and no other are red; what it says."""
    before = scene.stands()

    said = scene.script()

    assert said.code == 3, said.err
    assert scene.stands() == before
    assert scene.on() == {OLD}
    assert scene.red() == set(gates)
    for gate in gates:
        assert f"{gate} says " in said.err
    return said.err


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        checkout = build.checkout(tmp_path_factory.mktemp("made") / "checkout")
        (checkout / ".gitignore").write_text(".dev\n")
        build.commit(checkout, ".gitignore")
        gateway, daemon = open_all(stack, "each-gate", CROWD, 5, None)
        daemon.environment["RISK_DAEMON_DEPOT"] = str(tmp_path_factory.mktemp("depot"))
        for version in (OLD, NEW):
            install(daemon.home, version)
        found = Scene(daemon, evidence.Place(checkout))
        found.home.trusted_keys.write_text(f"{KEY.trusted.text}\n")
        (found.home.config / "rollout.yaml").write_text(PLAN)
        found.sign(OLD, {}, KEY)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        found.everybody_can_be_called()
        found.rehearse()
        found.make()
        found.run("backup", "create").ok()
        found.everybody_signs()
        found.plan()
        yield found


def test_without_a_rollback_that_was_seen_it_is_named_and_nothing_moves(scene: Scene) -> None:
    said = refused(scene, "rollback drill")

    assert "rollback drill says unmeasurable: no rollback was seen in the last 30 days" in said


def test_a_rollback_that_was_practised_is_a_drill(scene: Scene) -> None:
    """The rollout of the drill is accepted by name; what it shows turns the gate green."""
    words = ("rollout", "override", "rollback drill", "--reason", "it is the drill")
    scene.run(*words, "--by", "anna").ok()
    assert scene.script().code == 0
    assert scene.on() == {OLD, NEW}

    scene.run("rollout", "abort", "--reason", "the drill is over").ok()

    until(lambda: scene.on() == {OLD}, 20, "the account to be back")
    scene.plan()


class Case(NamedTuple):
    """What was measured, which gates are red by it, and in which words."""

    name: str
    what: Measured
    red: tuple[str, ...]
    says: str


CASES: Final = (
    Case(
        "one skipped test",
        Measured(report=report((PASSED[0], "skipped"))),
        ("tests",),
        "tests says fail: 1 simulated tests skipped",
    ),
    Case(
        "live tests that did not run",
        Measured(report=report(leaves_out=PASSED[1])),
        ("live tests",),
        "live tests says unmeasurable: no live tests ran",
    ),
    Case(
        "coverage of 84.9 %",
        Measured(coverage=coverage(849)),
        ("coverage",),
        "coverage says fail: 84.9 % of lines and branches are covered, 85.0 % are asked for",
    ),
    Case(
        "a slower bench",
        Measured(figures=figures(4.6)),
        ("benchmarks",),
        "benchmarks says fail: over the stored budget: step",
    ),
    Case(
        "a vulnerable pin",
        Measured(advisories=advised("CVE-2026-1")),
        ("audit",),
        "audit says fail: known against the lock: tzdata 1: CVE-2026-1",
    ),
    Case(
        "a scanner that says nothing",
        Measured(advisories=b""),
        ("audit",),
        "audit says unmeasurable: no advisory service answered",
    ),
    Case(
        "signed by somebody else",
        Measured(key=STRANGER),
        ("signature",),
        "signature says fail: ",
    ),
    Case(
        "a stale document",
        Measured(report=report((PASSED[2], "failure"))),
        # A test of a document is a test too.
        ("tests", "documents"),
        "documents says fail: 1 tests of documents failed",
    ),
    Case(
        "notes that do not say what breaks",
        Measured(notes=SILENT),
        ("release notes",),
        'release notes says fail: the release notes have no heading "Breaking changes"',
    ),
    Case(
        "tested by another Python",
        Measured(elsewhere={"python": "3.11.0"}),
        ("parity",),
        "parity says fail: it was tested on another: Python 3.11.0, here ",
    ),
    Case(
        "tested with another lock",
        Measured(elsewhere={"lock": "0" * 64}),
        ("parity",),
        "parity says fail: it was tested on another: lock 0000",
    ),
    Case(
        "tested on another operating system",
        Measured(elsewhere={"system": "Another 1.0"}),
        ("parity",),
        "parity says fail: it was tested on another: operating system Another 1.0, here ",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda one: one.name)
def test_what_was_measured_is_red_and_named_and_nothing_moves(scene: Scene, case: Case) -> None:
    scene.make(case.what)

    assert case.says in refused(scene, *case.red)


def test_evidence_of_another_commit_is_of_another_release(scene: Scene) -> None:
    scene.make(Measured(elsewhere={"commit": "d" * 40}))

    said = refused(scene, "tests", "live tests", "coverage", "documents", "parity")

    assert "tests says fail: its evidence is of commit dddddddddddd, v9.0.0 is of " in said


def test_a_gate_file_that_was_edited_by_hand_is_named_and_nothing_moves(scene: Scene) -> None:
    scene.make(Measured(report=report((PASSED[0], "skipped"))))
    file = scene.folder / EVIDENCE / shapes.TESTS
    file.write_text(file.read_text().replace('"skipped": 1', '"skipped": 0'))

    said = refused(scene, "tests", "live tests", "coverage", "documents", "parity")

    assert f"tests says fail: {file} is not what was signed: it was edited, or is damaged" in said
    scene.make()


@contextlib.contextmanager
def spoilt(file: Path, by: bytes) -> Iterator[None]:
    """Have a file say something else for a while."""
    sound = file.read_bytes()
    file.write_bytes(by)
    try:
        yield
    finally:
        file.write_bytes(sound)


def in_the_state_of(backup: Path) -> int:
    """Return where the packed state file is half over: not every byte of a zip is of a file."""
    with zipfile.ZipFile(backup) as bundle:
        packed = bundle.getinfo(f"state/{STATE}")
    with backup.open("rb") as raw:
        raw.seek(packed.header_offset + LENGTHS_AT)
        lengths: tuple[int, int] = struct.unpack("<HH", raw.read(4))
    return packed.header_offset + LENGTHS_AT + 4 + sum(lengths) + packed.compress_size // 2


def test_a_backup_that_does_not_restore_is_named_and_nothing_moves(scene: Scene) -> None:
    newest = backup_list.known(scene.home)[0].file
    content, state = newest.read_bytes(), in_the_state_of(newest)
    with spoilt(newest, content[:state] + b"spoilt" + content[state + 6 :]):
        assert scene.run("backup", "verify", str(newest)).code == 1

        said = refused(scene, "backup")

    assert "backup says fail: the newest backup does not restore: " in said
    scene.run("backup", "verify", str(newest)).ok()


def test_staging_with_another_policy_is_named_and_nothing_moves(scene: Scene) -> None:
    policy = scene.staging.config / "policy.yaml"
    with spoilt(policy, policy.read_bytes() + b"# looser\n"):
        said = refused(scene, "parity")

    assert "parity says fail: staging has another configuration than this home" in said


def test_a_checklist_that_nobody_signed_is_named_and_nothing_moves(scene: Scene) -> None:
    with spoilt(scene.home.state / "checklist.json", b'{"format": 1, "signatures": []}'):
        said = refused(scene, "checklist")

    assert "checklist says fail: 7 of 12 items are open: configuration-reviewed, " in said


def test_with_every_gate_green_the_same_script_gives_the_account(scene: Scene) -> None:
    said = scene.script()

    assert said.code == 0, said.err
    assert scene.red() == set()
    assert scene.on() == {OLD, NEW}

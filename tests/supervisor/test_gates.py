"""Nothing moves while a gate before the start is red: by command, on a real daemon."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator

import pytest

from risk_daemon import schemas
from risk_daemon.depot import making, signing
from risk_daemon.depot.manifest import Manifest, Part, Schemas, encode
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.rollout import evidence
from risk_daemon.rollout.evidence import Count, Suite
from risk_daemon.rollout.reading import BEFORE
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Daemon, Done
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, NEW = release(), "v9.0.0"
COMMIT = "c" * 40
CROWD = Crowd(1, 2)
FIRST = CROWD.accounts()[0]
KEY = signing.fresh_pair()
PLAN = """\
production: false
minute: 20ms
"""
NOTHING = hashlib.sha256(b"").hexdigest()


def suite(skipped: int) -> bytes:
    """Return evidence of tests; all passed, but for those that were skipped."""
    found = Suite(
        commit=COMMIT,
        at=1,
        system="",
        python="",
        lock=NOTHING,
        simulated=Count(passed=900, skipped=skipped),
        live=Count(passed=1),
        documents=Count(passed=1),
        covered=1,
        coverable=1,
    )
    return evidence.encode(found)


class Scene:
    """A daemon of two accounts, and a second release that brings evidence or none."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon, self.home = daemon, Home(daemon.home)
        self.folder = self.home.releases / NEW

    def run(self, *words: str) -> Done:
        return self.daemon.run(*words)

    def holders(self) -> dict[int, tuple[str, int]]:
        """Which release enforces each account, and by which epoch."""
        rows = asked.status(self.home)["accounts"]
        return {
            int(row["account"]): (row["release"], row["epoch"]) for row in rows if row["enforcing"]
        }

    def enforced_since(self, epoch: int) -> bool:
        """Tell whether each account is enforced by a later epoch than this."""
        found = self.holders()
        return len(found) == 2 and all(one > epoch for _, one in found.values())

    def sign(self, brings: bytes) -> None:
        """Have the manifest of the second release name this evidence of tests, signed."""
        wheel = f"wheels/risk_daemon-{NEW[1:]}-py3-none-any.whl"
        made = Manifest(
            version=NEW,
            commit=COMMIT,
            made_at=1,
            python=making.python_tag(),
            platform=making.platform_tag(),
            wheel=wheel,
            code=json.loads((self.folder / "manifest.json").read_bytes())["code"],
            schemas=Schemas(schemas.RECORDS, schemas.SNAPSHOTS, schemas.STATE_FILE),
            parts=(
                Part("evidence/tests.json", hashlib.sha256(brings).hexdigest(), len(brings)),
                Part("requirements.lock", NOTHING, 0),
                Part(wheel, NOTHING, 0),
            ),
        )
        (self.folder / "evidence").mkdir(exist_ok=True)
        (self.folder / "evidence" / "tests.json").write_bytes(brings)
        signature = signing.sign(encode(made), KEY.secret, "made by a test")
        (self.folder / "manifest.json").write_bytes(encode(made))
        (self.folder / "manifest.json.minisig").write_bytes(signature)
        self.home.trusted_keys.write_text(f"{KEY.trusted.text}\n")

    def says(self) -> dict[str, str]:
        """What each gate says of the rollout that is planned, by the controller's own word."""
        found = self.run("rollout", "status", "--json").data["data"]
        assert found["stage"] == "draft"
        return {one["gate"]: f"{one['says']}: {one['sentence']}" for one in found["gates"]}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "gates", CROWD, 5, None)
        install(daemon.home, NEW)
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        yield Scene(daemon)


def refused(scene: Scene, *words: str) -> str:
    """Run what must move nothing; the sentence that says why."""
    before = scene.holders()

    said = scene.run(*words)

    assert said.code == 3, said.err
    assert scene.holders() == before
    assert {name for name, _ in before.values()} == {OLD}
    return said.err


def test_a_canary_without_evidence_names_each_red_gate_and_its_command(scene: Scene) -> None:
    said = refused(scene, "deploy", "canary", "--account", str(FIRST), "--version", NEW)

    for gate in BEFORE:
        assert f"{gate} says unmeasurable" in said or f"{gate} says fail" in said
    assert "`./dev test`" in said
    assert "`./dev bench`" in said
    assert "`risk-daemon-admin backup create`" in said
    assert scene.says().keys() == set(BEFORE)


def test_a_skipped_test_is_red_at_the_start(scene: Scene) -> None:
    scene.sign(suite(skipped=1))

    said = refused(scene, "rollout", "start")

    assert "tests says fail: 1 simulated tests skipped" in said
    assert scene.says()["coverage"].startswith("pass: 100.0 %")
    assert scene.says()["signature"].startswith("pass")


def test_a_file_that_was_edited_after_signing_is_noticed_at_the_start(scene: Scene) -> None:
    scene.sign(suite(skipped=1))
    (scene.folder / "evidence" / "tests.json").write_bytes(suite(skipped=0))

    said = refused(scene, "deploy", "canary", "--account", str(FIRST))

    assert "is not what was signed: it was edited" in said


def test_a_gate_that_turned_green_is_seen_and_an_override_is_of_one_gate(scene: Scene) -> None:
    scene.sign(suite(skipped=0))

    said = refused(scene, "rollout", "start")
    assert "tests says" not in said.replace("live tests says", "")
    assert "benchmarks says unmeasurable" in said

    scene.run("rollout", "override", "benchmarks", "--reason", "no idle machine", "--by", "a").ok()
    said = refused(scene, "rollout", "start")
    assert "benchmarks says" not in said
    assert "audit says unmeasurable" in said


def test_a_checklist_with_an_open_item_is_red_until_somebody_has_signed_it(scene: Scene) -> None:
    said = refused(scene, "rollout", "start")
    assert "checklist says fail" in said
    assert "deployment-team" in said

    listed = scene.run("checklist", "pre", "--version", NEW, "--json").data["data"]["items"]
    for one in listed:
        if one["who"] == "person" and not one["ticked"]:
            words = ("--version", NEW, "--sign", one["item"], "--by", "anna")
            scene.run("checklist", "pre", *words).ok()

    refused(scene, "rollout", "start")
    # The release that runs here was made by nobody, and nobody is to be called.
    assert scene.says()["checklist"].startswith("fail: 2 of 12 items are open: tagged, contacts (")


def test_a_backup_turns_its_gate_green_and_giving_up_before_anyone_moved_is_no_drill(
    scene: Scene,
) -> None:
    scene.run("backup", "create").ok()
    refused(scene, "rollout", "start")
    assert scene.says()["backup"].startswith("pass")

    before = max(epoch for _, epoch in scene.holders().values())
    scene.run("rollout", "abort", "--reason", "not this one").ok()
    raised = "every epoch to be raised, as each way back does"
    until(lambda: scene.enforced_since(before), 10, raised)
    said = refused(scene, "deploy", "canary", "--account", str(FIRST), "--version", NEW)

    assert "rollback drill says unmeasurable: no rollback was seen" in said
    assert "backup says" not in said

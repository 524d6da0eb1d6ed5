"""Releases that may not hold an account: one sentence, an exit code, and nobody's account moved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.depot import staging
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.depot import build
from tests.supervisor.test_failover import ACCOUNT, Scene

GOOD, OTHER, BAD = "v9.0.0", "v9.1.0", "v9.2.0"
MAIN = '    parser = service.arguments("worker", "Decides.")\n'
CRASHES = ("programs/worker.py", MAIN, f'    sys.exit("a fault of its own")\n{MAIN}')
FIRST_LINE = '"""Whether a worker runs the code its release was signed for. Pure.\n'


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Scene(tmp_path_factory.mktemp("refused"))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def bad(scene: Scene) -> Iterator[Path]:
    """A staged release that a test spoils; gone afterwards."""
    install(scene.daemon.home, BAD)
    folder = scene.daemon.home / "releases" / BAD
    yield folder
    shutil.rmtree(folder)


def is_refused(scene: Scene, code: int, verb: str = "promote", version: str = BAD) -> str:
    """Try to give the account to a release: what is said, while all stays as it was."""
    lease, pids = scene.lease(), scene.pids()

    done = scene.daemon.run(verb, "--all", "--to-version", version)

    assert (done.code, done.out) == (code, ""), done.err
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("risk-daemon-admin:")]
    assert "Traceback" not in done.err
    assert (scene.lease(), scene.pids()) == (lease, pids)
    (row,) = asked.status(Home(scene.daemon.home))["accounts"]
    assert row["enforcing"]
    return sentence


def manifest(folder: Path, **changed: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def test_one_whose_workers_end_at_once_is_let_go_again(scene: Scene) -> None:
    install(scene.daemon.home, "v9.3.0", CRASHES)

    said = is_refused(scene, 1, version="v9.3.0")

    assert "the workers of v9.3.0 do not stay up (worker-" in said
    assert "@v9.3.0 ended 2 times" in said
    assert "a fault of its own" in said
    assert "nothing was moved" in said
    scene.breach_is_answered()


def test_one_that_runs_other_code_than_was_signed(scene: Scene, bad: Path) -> None:
    file = bad / "code" / "risk_daemon" / "wire" / "attest.py"
    text = file.read_text()
    assert text.startswith(FIRST_LINE)
    file.write_text(text.replace(FIRST_LINE, FIRST_LINE.replace("Pure.", "Sure.")))

    said = is_refused(scene, 1)

    assert f"the workers of {BAD} do not stay up" in said
    alarms = asked.tail(Home(scene.daemon.home), 20, ("alarm-raised",))
    assert any(f"a worker of {BAD} runs code".encode() in alarm.payload for alarm in alarms)
    scene.breach_is_answered()


def test_one_that_was_copied_by_half(scene: Scene, bad: Path) -> None:
    (bad / staging.STAGED).unlink()

    assert f"release {BAD} is not staged here" in is_refused(scene, 5)


@pytest.mark.parametrize("verb", ["promote", "rollback"])
def test_one_that_can_not_live_with_the_state_file(scene: Scene, bad: Path, verb: str) -> None:
    ranges = {"records": [1, 1], "snapshots": [3, 3], "state_file": [7, 9]}
    manifest(bad, schemas=ranges)

    said = is_refused(scene, 3, verb)

    assert "the home has state file 1, the release can live with 7 to 9; nothing was moved" in said


def test_one_that_needs_tables_which_are_not_there(scene: Scene, bad: Path) -> None:
    file = staging.packages_of(bad) / "risk_daemon" / "journal" / "footprint.txt"
    file.parent.mkdir(parents=True)
    file.write_text("read lease whim\n")
    manifest(bad, schemas={"records": [1, 1], "snapshots": [3, 3], "state_file": [1, 1]})

    said = is_refused(scene, 3)

    assert "there is no column lease.whim, which the release reads; nothing was moved" in said


def test_one_whose_manifest_can_not_be_read(scene: Scene, bad: Path) -> None:
    (bad / "manifest.json").write_text("{")

    assert f"what {BAD} was signed for can't be read" in is_refused(scene, 3)


def test_one_that_nobody_trusted_has_signed(scene: Scene, bad: Path) -> None:
    keys = scene.daemon.home / "trusted.keys"
    before = keys.read_text()
    keys.write_text(f"{build.KEY.trusted.text}\n")
    try:
        assert "without a signature; nothing was moved" in is_refused(scene, 3)

        build.sign(bad, (bad / "manifest.json").read_bytes(), build.STRANGER)
        assert f"{BAD} is not accepted" in is_refused(scene, 3)
    finally:
        keys.write_text(before)


def test_one_that_was_pruned(scene: Scene) -> None:
    install(scene.daemon.home, "v8.0.0")
    scene.daemon.run("promote", "--all", "--to-version", "v8.0.0").ok()
    scene.daemon.run("rollback", "--all", "--to-version", release()).ok()
    scene.daemon.run("retire", "v8.0.0").ok()
    shutil.rmtree(scene.daemon.home / "releases" / "v8.0.0")

    said = is_refused(scene, 5, "rollback", "v8.0.0")

    assert "release v8.0.0 is not staged here" in said
    scene.breach_is_answered()


def test_two_promotions_at_once_end_with_one_holder(scene: Scene) -> None:
    """Last: it leaves the account with either."""
    for version in (GOOD, OTHER):
        install(scene.daemon.home, version)
    words = ("promote", "--all", "--json", "--to-version")

    both = [scene.daemon.begin(*words, version) for version in (GOOD, OTHER)]
    told = [command.communicate(timeout=60) for command in both]

    for command, (out, _) in zip(both, told, strict=True):
        (row,) = json.loads(out)["data"]["accounts"]
        if command.returncode:
            assert (command.returncode, row["moved"]) == (1, False)
            assert "another move is under way" in row["why"]
    assert 0 in [command.returncode for command in both]
    (row,) = asked.status(Home(scene.daemon.home))["accounts"]
    assert row["account"] == ACCOUNT
    until(lambda: scene.lease()[0].endswith((GOOD, OTHER)), 5, "one of both to hold it")
    scene.breach_is_answered()

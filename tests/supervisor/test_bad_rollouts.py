"""What nobody may ask of a rollout: each is refused in one sentence that says what would work.

Typed as people type it, by the scripts where there is one; after each the accounts are with whom
they were, by the same epochs, and the rollout stands where it stood.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import Crowd, hold
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.supervisor.typed import Typed
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, NEW, OTHER = release(), "v9.0.0", "v9.1.0"
CROWD: Final = Crowd(1, 3)
FIRST, LOCKED, SILENT, UNKNOWN = *map(str, CROWD.accounts()), "42"
CUT_OFF_S: Final = 15.0
STEP: Final = "wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []"


def plan(*names: str, more: str = "") -> str:
    """Write a plan of these phases."""
    steps = "".join(f"  - {{name: {name}, risk_cap: 100, {STEP}}}\n" for name in names)
    return f"production: false\nminute: 20ms\ngates: []\nphases:\n{steps}{more}"


USUAL: Final = plan("shadow", "canary", "50", "100", "soak")
FROZEN: Final = """\
freezes:
  - {begin: "2020-01-01T00:00:00Z", end: "2040-01-01T00:00:00Z", reason: the holidays}
"""


class Scene(Typed):
    """A daemon of three accounts, and two more releases beside its own."""

    def planned(self, text: str) -> None:
        """Have the home's own plan say this."""
        (self.home.config / "rollout.yaml").write_text(text)

    def stands(self) -> Mapping[str, Any]:
        """Say who has each account by which epoch, and where the rollout is."""
        rows = asked.status(self.home)["accounts"]
        held = {one["account"]: (one["release"], one["epoch"], one["holder"]) for one in rows}
        told = asked.ask(self.home, asked.SUPERVISOR, "rollout", {}, 10.0)
        return {"held": held, "stage": told.get("stage"), "rollout": told.get("rollout")}

    def refused(self, code: int, line: str) -> str:
        """Type what must move nobody; the one sentence that it says."""
        before = self.stands()

        said = self.type(line)

        assert said.code == code, said.err + said.out
        assert self.stands() == before
        assert "Traceback" not in said.err
        heads = ("risk-daemon-admin: ", "Error: ")
        (sentence,) = (one for one in said.err.splitlines() if one.startswith(heads))
        return sentence


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "bad-rollouts", CROWD, 5, None)
        for version in (NEW, OTHER):
            install(daemon.home, version)
        found = Scene(gateway, daemon)
        found.planned(USUAL)
        daemon.start()
        yield found


CANARY: Final = f"./scripts/deploy_canary.sh --account {FIRST} --version {NEW}"


# --- before anything was begun ---


def test_without_a_rollout_nothing_is_stopped_and_no_percentage_is_entered(scene: Scene) -> None:
    before = scene.stands()
    for _ in range(2):
        stopped = scene.type("./scripts/stop_deployment.sh")
        assert (stopped.code, "nothing was being switched" in stopped.out) == (0, True)
    assert scene.stands() == before

    said = scene.refused(5, "./scripts/deploy_percentage.sh --percent 10")

    assert "there is no rollout here to go on with; begin one: `scripts/deploy_canary.sh" in said


def test_an_account_that_nobody_guards_is_no_canary(scene: Scene) -> None:
    said = scene.refused(5, f"./scripts/deploy_canary.sh --account {UNKNOWN} --version {NEW}")

    assert UNKNOWN in said


def test_a_release_that_is_not_there_is_rolled_out_nowhere_and_nobody_goes_back_to_it(
    scene: Scene,
) -> None:
    said = scene.refused(5, f"./scripts/deploy_canary.sh --account {FIRST} --version v7.7.7")
    assert "v7.7.7" in said

    said = scene.refused(5, "./scripts/rollback_daemon.sh --to-version v7.7.7")
    assert "v7.7.7" in said
    assert "`risk-daemon-admin release list` shows what is" in said


@pytest.mark.parametrize(
    ("named", "code", "says"),
    [
        ("0000000", 5, "has the tag '0000000' or an id that begins so"),
        ("not-a-commit", 2, "'not-a-commit' names no commit"),
    ],
)
def test_a_commit_that_is_none_becomes_no_policy(
    scene: Scene, named: str, code: int, says: str
) -> None:
    said = scene.refused(code, f"./scripts/rollback_config.sh --to-commit {named}")

    assert says in said
    assert "`risk-daemon-admin config history` lists them" in said


@pytest.mark.parametrize(
    ("number", "says"),
    [("0", "--to-version 0: a schema is a whole number from 1"), ("five", "'five' is not a valid")],
)
def test_a_schema_that_is_none_leads_nowhere(scene: Scene, number: str, says: str) -> None:
    assert says in scene.refused(2, f"./scripts/db_rollback.sh --to-version {number}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            plan("shadow", "50", "canary", "100", "soak"),
            "phases: 'shadow, 50, canary, 100, soak' is not allowed; allowed: shadow, canary, "
            "growing percentages, 100, soak, in this order",
        ),
        (
            plan("shadow", "canary", "50", "10", "100", "soak"),
            "allowed: shadow, canary, growing percentages, 100, soak, in this order",
        ),
        (
            plan("shadow", "canary", "101", "100", "soak"),
            "101 is not allowed; allowed: a whole number from 1 to 100",
        ),
        (
            plan("shadow", "canary", "0", "100", "soak"),
            "0 is not allowed; allowed: a whole number from 1 to 100",
        ),
        (
            plan("shadow", "canary", "7.5", "100", "soak"),
            "7.5 is not allowed; allowed: a whole number from 1 to 100",
        ),
        (
            USUAL + FROZEN,
            "the freezes forbid every switch from now until the plan would end; "
            "end a freeze or plan for later",
        ),
    ],
    ids=["order", "shrinking", "101", "0", "7.5", "frozen"],
)
def test_a_plan_that_cannot_be_is_not_begun(scene: Scene, text: str, says: str) -> None:
    scene.planned(text)

    said = scene.refused(2, CANARY)

    assert says in said
    scene.planned(USUAL)


def test_a_release_that_enforces_already_is_not_rolled_out(scene: Scene) -> None:
    said = scene.refused(2, f"./scripts/deploy_canary.sh --account {FIRST} --version {OLD}")

    assert f"release: {OLD} (" in said
    assert "is what enforces already; name another one" in said


def test_a_locked_account_is_no_canary(scene: Scene) -> None:
    words = ("--account", LOCKED, "--mode", "reduce-only", "--reason", "a look at him")
    scene.run("lockout", "set", *words).ok()
    until(lambda: "a look at him" in scene.run("status").out, 10, "the lock to be shown")

    said = scene.refused(2, f"./scripts/deploy_canary.sh --account {LOCKED} --version {NEW}")

    assert f"test_accounts: {LOCKED} is locked; name another one" in said


def test_an_account_of_which_the_broker_told_nothing_is_no_canary(scene: Scene) -> None:
    scene.planned(USUAL.replace("gates: []}", "gates: [errors]}"))
    canary = f"./scripts/deploy_canary.sh --account {SILENT} --version {NEW}"
    scene.run("stop", "--yes", "--reason", "all of it is read again, and nothing is told").ok()
    scene.daemon.start()

    said = scene.refused(2, canary)

    assert f"test_accounts: {SILENT} has no events (no order, position or fill of it was" in said
    assert "; name an account that trades, or have a trade made on this one" in said
    assert said == scene.refused(2, f"{canary} --dry-run")
    hold(scene.gateway, [int(SILENT)], 1)
    until(lambda: scene.type(f"{canary} --dry-run").code == 0, 20, "its fill to be an event")
    assert scene.stands()["rollout"] is None
    scene.planned(USUAL)


def test_an_account_whose_feed_is_lost_is_no_canary(scene: Scene) -> None:
    for kind in ("hub_refuse", "rest_error"):
        scene.gateway.fault(kind, seconds=CUT_OFF_S)
    scene.gateway.fault("hub_reset")
    until(lambda: scene.run("health").code != 0, CUT_OFF_S, "the feed to be missed", every_s=0.2)

    said = scene.refused(2, CANARY)

    assert f"test_accounts: {FIRST} is not connected; name another one" in said
    scene.daemon.wait_healthy(60.0)


# --- while one is under way ---


@pytest.fixture(scope="module")
def half(scene: Scene) -> Scene:
    """A rollout that has reached half of the accounts."""
    scene.planned(USUAL)
    scene.run("deploy", "plan", NEW, "--account", FIRST).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.type(CANARY).ok()
    scene.type("./scripts/deploy_percentage.sh --percent 50").ok()
    return scene


@pytest.mark.parametrize(
    ("percent", "says"),
    [
        ("0", "percent: 0 is not allowed; allowed: a whole number from 1 to 100"),
        ("101", "percent: 101 is not allowed; allowed: a whole number from 1 to 100"),
        ("10", "percent: 10 is less than the 50 % already switched; percentages never shrink: to "),
        ("60", "percent: 60 is no phase of this plan; its percentages: 50, 100"),
        ("7.5", "'7.5' is not a valid int"),
    ],
)
def test_a_percentage_that_is_none_is_not_entered(half: Scene, percent: str, says: str) -> None:
    assert says in half.refused(2, f"./scripts/deploy_percentage.sh --percent {percent}")


@pytest.mark.parametrize(
    "line",
    [
        f"./scripts/deploy_canary.sh --account {FIRST} --version {OTHER}",
        f"./scripts/deploy_canary.sh --account {CROWD.accounts()[2]} --version {NEW}",
    ],
    ids=["another release", "another account"],
)
def test_a_second_rollout_over_the_same_accounts_is_not_begun(half: Scene, line: str) -> None:
    said = half.refused(3, line)

    assert f"of {NEW} is under way, with the canary {FIRST}; nothing was changed" in said
    assert "end it with `risk-daemon-admin rollout abort`" in said


def test_nor_is_one_planned(half: Scene) -> None:
    said = half.refused(2, f"risk-daemon-admin deploy plan {OTHER} --account {FIRST}")

    assert "end that one, or supersede it" in said


def test_what_is_said_twice_is_done_once(half: Scene) -> None:
    before = half.stands()

    half.type("./scripts/deploy_percentage.sh --percent 50").ok()
    half.type(CANARY).ok()

    assert half.stands() == before


def test_a_rollback_to_the_present_version_moves_nobody(half: Scene) -> None:
    back = half.type(f"./scripts/rollback_daemon.sh --to-version {OLD}").ok()
    assert "aborted" in back.out
    before = half.stands()

    again = half.type(f"./scripts/rollback_daemon.sh --to-version {OLD}").ok()

    assert half.stands()["stage"] == before["stage"]
    assert {one[0] for one in half.stands()["held"].values()} == {OLD}
    assert half.stands()["held"] == before["held"], again.out

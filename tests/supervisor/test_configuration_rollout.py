"""A configuration alone goes from one account to all, and back: release and workers stay."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import pytest

from risk_daemon.core.events import LeaseGranted, PolicyAdopted
from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon as asked
from risk_daemon.operations import state_file
from risk_daemon.operations.changing import commits
from risk_daemon.operations.orders import Who
from risk_daemon.operations.rollouts import completing
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Done
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.proof import tag
from risk_daemon.stage.waiting import until
from tests.supervisor.typed import Typed
from tests.untraced import leave_children_untraced

leave_children_untraced()

CROWD: Final = Crowd(1, 4)
FIRST: Final = CROWD.accounts()[0]
STEP: Final = "wall: 10ms, open_minutes: 0, situations: []"
PLAN: Final = f"""\
production: false
minute: 20ms
gates: []
phases:
  - {{name: shadow, wall: 10ms, situations: []}}
  - {{name: canary, risk_cap: 100, {STEP}}}
  - {{name: 50, risk_cap: 100, {STEP}}}
  - {{name: 100, {STEP}}}
  - {{name: soak, {STEP}}}
"""
LOOSER: Final = LIMIT + 1


class Scene(Typed):
    """A daemon of four accounts, and a commit of its configuration with a looser limit."""

    def limits(self) -> dict[int, int]:
        """The limit that stands for each account, by the journal's word."""
        return {
            number: int(
                str(next(r for r in one.rules if r.rule == "max-contracts").params["limit"])
            )
            for number, one in state_file.standing(self.home).policies.items()
        }

    def looser(self) -> set[int]:
        """The accounts that have the looser limit."""
        return {number for number, limit in self.limits().items() if limit == LOOSER}

    def rollout(self) -> dict[str, Any]:
        found: dict[str, Any] = asked.ask(self.home, asked.SUPERVISOR, "rollout", {}, 10.0)
        return found

    def held(self) -> dict[int, tuple[str, str]]:
        """Which worker of which release has each account."""
        rows = asked.status(self.home)["accounts"]
        return {int(one["account"]): (one["release"], one["holder"]) for one in rows}

    def quantity(self, account: int) -> int:
        rows = self.gateway.get("/truth")["accounts"]
        return sum(p["q"] for row in rows for p in row["positions"] if row["account"] == account)

    def buys(self, account: int, size: int, ends_with: int) -> None:
        """Have a trader buy; the account ends with so many."""
        self.gateway.post(
            "/order", account=account, contract="MNQ", side="buy", size=size, type="market"
        )
        until(lambda: self.quantity(account) == ends_with, 20, f"{account} to have {ends_with}")

    def planned(self, *words: str) -> Done:
        return self.run("deploy", "plan", "--to-commit", "looser", "--account", str(FIRST), *words)

    def cut_off(self) -> None:
        """Leave what a `rollout complete` leaves that was killed before it asked the controller."""
        commits.write_files(self.home, "looser", Who("anna", "it is good"), "Rolled out")

    def begun(self) -> None:
        """Plan it, have two persons agree, and give it to the first account."""
        self.planned().ok()
        for person in ("anna", "ben"):
            self.run("rollout", "approve", "start", "--by", person).ok()
        self.type(f"./scripts/deploy_canary.sh --account {FIRST}").ok()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "configuration", CROWD, 5, None)
        config = daemon.home / "config"
        (config / "rollout.yaml").write_text(PLAN)
        tight = ("config", "set-rule", "all", "max-contracts")
        daemon.run(*tight, f"limit={LIMIT}").ok()
        tag(config, "tight")
        daemon.run(*tight, f"limit={LOOSER}").ok()
        tag(config, "looser")
        daemon.run("config", "apply", "--to-commit", "tight").ok()
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        yield Scene(gateway, daemon)


def test_what_would_change_for_whom_is_said_and_a_dry_one_stores_nothing(scene: Scene) -> None:
    told = scene.planned("--dry-run").ok()

    assert f"{FIRST} max-contracts limit from {LIMIT} to {LOOSER}: looser, for all acc" in told.out
    assert "canary: 1 account" in told.out
    assert scene.rollout().get("rollout") is None
    assert scene.looser() == set()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--to-commit", "tight"), 2, "commit tight says what is in force already"),
        (("--to-commit", "0000000"), 5, "no commit of "),
        ((), 2, "say what is rolled out: a release"),
        (("v9.9.9", "--to-commit", "looser"), 2, "one of them"),
    ],
)
def test_what_is_no_change_of_the_configuration_is_not_planned(
    scene: Scene, words: tuple[str, ...], code: int, says: str
) -> None:
    said = scene.run("deploy", "plan", *words)

    assert (said.code, says in said.err) == (code, True), said.err
    assert scene.rollout().get("rollout") is None


def test_a_plan_that_waits_for_what_a_second_release_shows_is_refused(scene: Scene) -> None:
    plan = scene.home.path / "of-a-release.yaml"
    plan.write_text(PLAN.replace("situations: []}", "situations: [], gates: [decisions]}", 1))

    said = scene.planned("--file", str(plan))

    assert said.code == 2
    assert "phases[0].gates: 'decisions' is not allowed; allowed: none where" in said.err
    assert scene.rollout().get("rollout") is None


def test_it_goes_to_one_account_then_to_more_and_no_worker_changes(scene: Scene) -> None:
    before = scene.held()
    pids = {name: one.pid for name, one in scene.daemon.processes().items()}
    scene.planned().ok()
    early = scene.type(f"./scripts/deploy_canary.sh --account {FIRST}")
    assert (early.code, "2 more to approve start" in early.err) == (3, True)
    for person in ("anna", "ben"):
        scene.run("rollout", "approve", "start", "--by", person).ok()

    canary = scene.type(f"./scripts/deploy_canary.sh --account {FIRST}").ok()

    assert scene.looser() == {FIRST}
    assert "smoke pass, reconcile pass" in canary.out
    assert "configuration " in canary.out
    scene.type("./scripts/deploy_percentage.sh --percent 50").ok()
    assert len(scene.looser()) == 2
    assert scene.held() == before
    assert {name: one.pid for name, one in scene.daemon.processes().items()} == pids


def test_each_account_is_held_to_the_limit_that_it_has(scene: Scene) -> None:
    tight = next(one for one in CROWD.accounts() if one not in scene.looser())

    scene.buys(FIRST, 1, LOOSER)
    scene.buys(tight, 1, LIMIT)

    assert scene.quantity(FIRST) == LOOSER
    scene.gateway.post("/order", account=FIRST, contract="MNQ", side="sell", size=1, type="market")
    until(lambda: scene.quantity(FIRST) == LIMIT, 20, "the first one to have what it had")


@pytest.mark.parametrize(
    "words",
    [
        ("config", "set-rule", "all", "max-contracts", "limit=9"),
        ("config", "reload"),
        ("config", "apply", "--to-commit", "tight"),
    ],
    ids=lambda words: words[1],
)
def test_meanwhile_nobody_changes_it_otherwise(scene: Scene, words: tuple[str, ...]) -> None:
    before = scene.limits()

    said = scene.run(*words)

    assert said.code == 6, said.err
    assert "is being rolled out, account by account; nothing was changed" in said.err
    assert scene.limits() == before


def test_a_start_of_everything_takes_nothing_away(scene: Scene) -> None:
    before = scene.limits()

    scene.run("stop", "--yes", "--reason", "a look").ok()
    scene.daemon.start()

    assert scene.limits() == before
    assert scene.rollout()["stage"] == "50"
    accounts = {row["account"]: row["has"] for row in scene.rollout()["accounts"]}
    assert {n for n, has in accounts.items() if has == accounts[FIRST]} == scene.looser()


def test_an_abort_brings_every_account_back_and_the_files_say_so(scene: Scene) -> None:
    told = scene.run("rollout", "abort", "--reason", "too loose").ok()

    assert scene.looser() == set()
    assert scene.rollout()["stage"] == "aborted"
    assert "smoke pass, reconcile pass" in told.out
    assert "nothing differs from what is in force" in scene.run("config", "reload").ok().out
    scene.buys(FIRST, 1, LIMIT)


def test_an_abort_after_its_end_was_cut_off_leaves_nothing_to_be_adopted(scene: Scene) -> None:
    scene.begun()
    scene.cut_off()

    scene.run("rollout", "abort", "--reason", "better not").ok()

    assert "nothing differs from what is in force" in scene.run("config", "reload").ok().out
    assert scene.looser() == set()


def test_an_end_that_is_asked_for_too_late_leaves_nothing_to_be_adopted(scene: Scene) -> None:
    """It was looked at, went back, and was called done then."""
    scene.begun()
    looked_at = scene.rollout() | {"missing": []}
    scene.run("rollout", "abort", "--reason", "better not").ok()

    with pytest.raises(OperatorError) as refused:
        completing.call_done(scene.home, looked_at, Who("anna", "it is good"))

    assert refused.value.exit_code == 3
    assert "nothing differs from what is in force" in scene.run("config", "reload").ok().out
    assert scene.looser() == set()


def test_a_rollback_of_the_configuration_ends_it_and_wins(scene: Scene) -> None:
    scene.begun()
    assert scene.looser() == {FIRST}

    scene.type("./scripts/rollback_config.sh --to-commit tight").ok()

    assert scene.looser() == set()
    assert scene.rollout()["stage"] == "aborted"


def test_at_its_end_all_have_it_and_the_files_say_so(scene: Scene) -> None:
    scene.begun()
    for percent in ("50", "100"):
        scene.type(f"./scripts/deploy_percentage.sh --percent {percent}").ok()
    scene.run("rollout", "promote", "soak").ok()
    scene.cut_off()  # and asked again

    scene.run("rollout", "complete").ok()

    assert scene.looser() == set(CROWD.accounts())
    assert scene.rollout()["stage"] == "done"
    assert "nothing differs from what is in force" in scene.run("config", "reload").ok().out


def test_each_account_changed_with_an_epoch_of_its_own(scene: Scene) -> None:
    """Of each policy that was rolled out, the epoch was raised in the same transaction."""
    granted: dict[int, int] = {}
    raised = []
    for entry in entries(scene.home.state / FILE, ("policy-adopted", "lease-granted")):
        if isinstance(entry.fact, LeaseGranted):
            granted[entry.fact.account] = entry.seq
        elif isinstance(entry.fact, PolicyAdopted) and entry.fact.account in granted:
            raised.append(entry.seq - granted[entry.fact.account])

    # Four rollouts that went back, with five accounts between them, and one that came to its end.
    assert len([one for one in raised if one <= len(CROWD.accounts())]) >= 5 + 5 + 4
    assert {row["release"] for row in asked.status(scene.home)["accounts"]} == {release()}

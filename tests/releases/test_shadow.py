"""Candidates beside the release that holds the account: each difference is told, nobody moves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from risk_daemon.core.events import DecisionCompared, ShadowReseeded
from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.rollouts import differences
from risk_daemon.operations.stored import entries
from risk_daemon.rollout import difference
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.releases.conftest import in_release
from tests.supervisor.test_failover import ACCOUNT, Scene
from tests.untraced import leave_children_untraced

leave_children_untraced()

SAME, STRICTER, LOOSER = "v8.0.0", "v8.1.0", "v8.2.0"
ABSENT, DECLARES = "v8.3.0", "v8.4.0"
VERIFY = ("-m", "risk_daemon.programs.worker", "--verify", "--release", STRICTER)
RULE = "rules/max_contracts.py"
OVER = "        if exposure > self.limit:\n"

MEANT = (
    "rules/declared.py",
    "DECLARED: Final[tuple[Declared, ...]] = ()",
    """DECLARED: Final[tuple[Declared, ...]] = tuple(
    Declared(
        name=name, rule="max-contracts", direction=STRICTER, field=field, cap_ppm=20_000,
        until=1 << 62, why="the limit itself is too much",
    )
    for name, field in (("at-limit", "breach"), ("at-limit-goal", "goal"))
)""",
)


class Shadows(Scene):
    """A daemon with candidates of the same code, and of one comparison turned round."""

    def prepare(self) -> None:
        install(self.daemon.home, SAME)
        install(self.daemon.home, STRICTER, (RULE, OVER, OVER.replace(">", ">=")))
        install(self.daemon.home, LOOSER, (RULE, OVER, OVER.replace("limit:", "limit + UNIT:")))

    def warm(self, *releases: str) -> None:
        for release in releases:
            asked.ask(Home(self.daemon.home), asked.SUPERVISOR, "warm", {"release": release}, 60.0)

    def found(self, release: str) -> list[DecisionCompared]:
        file = self.daemon.home / "state" / "journal.db"
        facts = [entry.fact for entry in entries(file, ("decision-compared",))]
        return [
            one for one in facts if isinstance(one, DecisionCompared) and one.release == release
        ]

    def reseeds(self, release: str) -> list[ShadowReseeded]:
        file = self.daemon.home / "state" / "journal.db"
        facts = [entry.fact for entry in entries(file, ("shadow-reseeded",))]
        return [one for one in facts if isinstance(one, ShadowReseeded) and one.release == release]

    def waits_for(self, release: str, verdict: str, within_s: float = 5) -> DecisionCompared:
        def differs() -> bool:
            return any(one.verdict == verdict for one in self.found(release))

        until(differs, within_s, f"{release} to be told {verdict}")
        return next(one for one in self.found(release) if one.verdict == verdict)

    def sell(self, size: int) -> None:
        self.gateway.post(
            "/order", account=ACCOUNT, contract="MNQ", side="sell", size=size, type="market"
        )
        until(lambda: self.held() == 0, 5, "the trader to close")


@pytest.fixture(scope="module")
def shadows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shadows]:
    found = Shadows(tmp_path_factory.mktemp("shadows"))
    try:
        found.warm(SAME, STRICTER, LOOSER)
        yield found
    finally:
        found.close()


def test_a_comparison_turned_round_is_told_on_the_account_that_is_at_its_limit(
    shadows: Shadows,
) -> None:
    lease = shadows.lease()
    shadows.buy(2)
    until(lambda: shadows.held() == 2, 5, "the order to fill")

    found = shadows.waits_for(STRICTER, "stricter")

    assert (found.account, found.rule, found.source) == (ACCOUNT, "max-contracts", "live")
    assert found.saw == "holds 2 contracts (gross), the limit is 2"
    assert found.why.endswith("does not")
    assert shadows.lease() == lease
    assert shadows.held() == 2, "a candidate closed something"
    shadows.sell(2)


def test_what_the_candidate_lets_pass_is_told_when_the_holder_has_acted(shadows: Shadows) -> None:
    shadows.buy(3)
    until(lambda: shadows.held() == 2, 15, "the holder to reduce it")

    found = shadows.waits_for(LOOSER, "looser")

    assert found.saw.startswith("clear: 3 against 2") or found.saw.startswith("clear: 2 against 2")
    assert found.other_saw == "holds 3 contracts (gross), the limit is 2"
    assert found.other_wanted.startswith("reduce CON.")
    shadows.sell(2)


def test_the_same_code_agrees_and_differs_in_nothing(shadows: Shadows) -> None:
    shadows.waits_for(SAME, "agrees")

    assert {one.verdict for one in shadows.found(SAME)} == {"agrees"}
    assert shadows.reseeds(SAME) == []


def test_it_still_does_when_the_holder_fails_over_with_the_finding_half_said(
    shadows: Shadows,
) -> None:
    holder, epoch = shadows.lease()
    shadows.buy(3)
    shadows.daemon.kill(holder)
    until(lambda: shadows.lease()[1] > epoch, 10, "the peer to take over")
    until(lambda: shadows.held() == 2, 15, "the peer to reduce it")
    shadows.sell(2)
    shadows.daemon.wait_healthy()

    until(lambda: len(shadows.found(SAME)) == 2, 5, "the second finding to be compared")
    assert {one.verdict for one in shadows.found(SAME)} <= {"agrees", "unseen"}
    assert shadows.reseeds(SAME) == []


def test_what_differs_is_told_as_a_person_would(shadows: Shadows) -> None:
    done = shadows.daemon.run("rollout", "diff", "--account", "NORTH-1")

    assert done.code == 1
    holder = shadows.lease()[0].partition("@")[2]
    assert f"{STRICTER} against {holder}: " in done.out
    assert f"account {ACCOUNT}, record " in done.out
    assert (
        f"stricter: {holder} saw no breach and wanted nothing; {STRICTER} saw 'holds " in done.out
    )
    agreed = sum(one.verdict == "agrees" for one in shadows.found(SAME))
    assert f": {agreed} live, 0 recorded, 0 generated" in done.out


def test_cases_at_the_boundary_tell_without_any_trader(shadows: Shadows) -> None:
    home = Home(shadows.daemon.home)

    same, stricter = (differences.generated(home, release) for release in (SAME, STRICTER))

    assert {one.verdict for one in same} == {"agrees"}
    assert {one.rule for one in same} >= {"max-contracts", "daily-realized-loss", "kill-switch"}
    differs = {one.case: one for one in stricter if one.verdict != "agrees"}
    assert {(one.rule, one.verdict) for one in differs.values()} == {("max-contracts", "stricter")}
    found = differs["near miss of max-contracts"]
    assert found.other_saw == "clear: 2 against 2"
    assert differences.keep(home, same) == len(same)
    assert differences.keep(home, same) == 0
    assert len([one for one in differences.read(home) if one.source == "generated"]) == len(same)


def test_a_release_that_was_never_warm_decides_the_recorded_day_again(shadows: Shadows) -> None:
    home = Home(shadows.daemon.home)
    install(home.path, ABSENT)

    absent, stricter = (differences.recorded(home, release) for release in (ABSENT, STRICTER))

    assert {(one.release, one.source) for one in absent} == {(ABSENT, "recorded")}
    live = [one for one in shadows.found(SAME) if one.source == "live"]
    assert [(one.seq, one.verdict) for one in absent] == [(one.seq, one.verdict) for one in live]
    assert stricter[0].verdict == "stricter"
    assert differences.declared(home, ABSENT) == []
    assert differences.declared(home, "v0.0.0") == []


def test_what_a_release_declares_is_declared(shadows: Shadows) -> None:
    home = Home(shadows.daemon.home)
    install(home.path, DECLARES, (RULE, OVER, OVER.replace(">", ">=")), MEANT)

    found = differences.recorded(home, DECLARES)

    differing = [one for one in found if difference.differs(one)]
    assert {(one.verdict, one.direction) for one in differing} == {("declared", "stricter")}
    assert {one.declared for one in differing} <= {"at-limit", "at-limit, at-limit-goal"}
    names = [one.name for one in differences.declared(home, DECLARES)]
    assert names == ["at-limit", "at-limit-goal"]


def test_each_rebuilds_its_own_state_from_the_stream(shadows: Shadows) -> None:
    """What was re-seeded is in the stream, so whoever folds it comes to the same."""
    until(lambda: bool(shadows.reseeds(STRICTER)), 40, "a re-seed")

    done = in_release(shadows.daemon.home, STRICTER, *VERIFY, "--home", str(shadows.daemon.home))
    holder = shadows.daemon.replay()

    for said in (done.stdout, holder.out):
        found = json.loads(said)
        assert found["ok"], found["differences"]
        assert found["live"]
        assert found["decisions"] > 0


def test_a_state_file_that_is_not_there_is_named(shadows: Shadows) -> None:
    home = Home(shadows.daemon.home)

    with pytest.raises(OperatorError, match=r"could not be asked: .*there is no state file"):
        differences.recorded(home, SAME, home.path / "nothing.db")
    with pytest.raises(NotFound, match=r"release v0\.0\.0 is not staged here"):
        differences.recorded(home, "v0.0.0")


def test_after_the_re_seed_even_a_release_that_differed_gets_the_account(shadows: Shadows) -> None:
    for release in (STRICTER, LOOSER):
        until(lambda: bool(shadows.reseeds(release)), 40, f"{release} to be re-seeded")  # noqa: B023

    shadows.daemon.run("promote", "--all", "--to-version", STRICTER).ok()

    until(lambda: shadows.lease()[0].endswith(STRICTER), 5, "the candidate to hold it")

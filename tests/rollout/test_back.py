"""The way back: it asks nobody, takes the largest risk first, and ends for every account."""

from typing import Any

import pytest

from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.exposure import HOUR, MINUTE
from risk_daemon.rollout.plan import Freeze
from tests.rollout.world import DOLLAR, NEW, OLD, OLDER, T0, World, plan

LIVE = ["draft", "gated", "staged", "shadow", "canary", "10", "50", "100", "soak"]


def at(stage: str, **changes: Any) -> World:
    """A world in a stage."""
    world = World(plan(10, **changes))
    if stage in ("draft", "gated"):
        world.settle()
        if stage == "gated":
            world.green()
        return world
    if stage == "staged":
        world.settle()
        world.green()
        world.hear(said.Start(at=world.now, actor="ann"))
        world.take_away(said.Warm)
        return world
    return world.until(stage)


@pytest.mark.parametrize("stage", LIVE)
def test_every_account_is_back_from_wherever_the_rollout_was(stage: str) -> None:
    world = at(stage)

    assert world.please(said.Abort, reason="enough") == ()
    assert (world.stage, world.row.why) == ("aborted", "enough")
    assert world.on(OLD) == set(range(1, 11))
    assert {one.at for one in world.row.accounts.values()} == {rows.INCUMBENT}


@pytest.mark.parametrize("stage", LIVE)
def test_the_epoch_of_every_account_is_raised_also_of_those_that_never_moved(stage: str) -> None:
    world = at(stage)
    before = {number: epoch for number, (_, epoch) in world.leases.items()}
    world.please(said.Abort)

    assert all(world.leases[number][1] > epoch for number, epoch in before.items())


@pytest.mark.parametrize("stage", ["shadow", "canary", "10", "50", "100", "soak"])
def test_nothing_forbids_the_way_back(stage: str) -> None:
    world = at(stage)
    everything = Freeze(begin=0, end=2 * T0, forbids=("start", "promote", "switch"), reason="FOMC")
    world.hear(said.FreezesSet(at=world.now, freezes=(everything,)))
    world.hear(said.BudgetSeen(at=world.now, spent="spent"))
    world.hear(said.WorkerGone(at=world.now, version=OLD, why="gone", crashed=True))
    for gate in ("errors", "latency"):
        world.judge(gate, rows.UNMEASURABLE)
    world.please(said.Stop)

    assert world.please(said.Abort) == ()
    assert (world.stage, world.on(NEW)) == ("aborted", set())


def test_the_largest_open_risk_goes_back_first() -> None:
    world = at("50")
    world.hear(said.RiskSeen(at=world.now, risks=((3, 99 * DOLLAR),)))
    world.settle()
    world.ordered.clear()
    world.please(said.Abort)

    back = [one.account for one in world.ordered if isinstance(one, said.Switch)]
    assert back == [3, 5, 4, 2, 1]


def test_who_has_the_way_back_already_is_not_moved_nor_looked_at() -> None:
    world = at("canary")
    world.ordered.clear()
    world.please(said.Abort)

    moved = [one.account for one in world.ordered if isinstance(one, said.Switch)]
    looked = [one.account for one in world.ordered if isinstance(one, said.Smoke)]
    assert (moved, looked) == ([1], [1])


def test_a_cold_way_back_is_warmed() -> None:
    world = at("canary")
    world.hear(said.WorkerGone(at=world.now, version=OLD, why="gone", crashed=False))
    world.ordered.clear()
    world.please(said.Abort)

    assert [one.version for one in world.ordered if isinstance(one, said.Warm)] == [OLD]


def test_the_words_are_those_people_asked_for() -> None:
    world = at("canary")
    world.please(said.Abort)

    assert {one.audience: one.words for one in world.tells[-3:]} == {
        "traders": "System restored to previous version",
        "admins": "Rollback completed, v1.2.0 active",
        "management": "Deployment issue, rolled back successfully",
    }


def test_the_candidate_is_retired_when_nobody_is_on_it_any_more() -> None:
    world = at("canary")
    world.please(said.Abort)

    assert [one.version for one in world.ordered if isinstance(one, said.Retire)] == [NEW]
    assert world.row.commands == {}


def test_a_configuration_alone_goes_back_without_retiring_its_release() -> None:
    made = plan(fallback=NEW.release, fallback_commit="abc123", kind="configuration")
    world = World(made)
    old = made.ways_back[0]
    world.leases = dict.fromkeys(made.order, (old, 1))
    world.warm = {old}
    world.hear(said.LeasesSeen(at=world.now, held=world.truth()))
    world.until("50")
    world.please(said.Abort)

    assert (world.stage, world.on(old)) == ("aborted", {1, 2, 3, 4})
    assert [one for one in world.ordered if isinstance(one, said.Retire)] == []


# --- triggers ---


def trip(world: World) -> None:
    world.hear(said.Tripped(at=world.now, by="chain", reason="a hash differs", evidence="h"))


def crash(world: World) -> None:
    world.hear(said.WorkerGone(at=world.now, version=NEW, why="exit 1", crashed=True))


def fail(world: World) -> None:
    world.judge("errors", rows.FAIL)


@pytest.mark.parametrize("trigger", [trip, crash, fail])
@pytest.mark.parametrize("stage", ["shadow", "canary", "50", "soak"])
def test_each_trigger_takes_everybody_back_without_a_person(trigger: Any, stage: str) -> None:
    world = at(stage)
    trigger(world)
    world.settle()

    assert (world.stage, world.on(NEW)) == ("aborted", set())
    assert world.row.why


def test_a_late_fail_of_an_earlier_phase_is_still_one() -> None:
    world = at("50")
    world.judge("errors", rows.FAIL, phase="canary")

    assert world.stage == "aborted"


def test_no_verdict_holds_a_way_back() -> None:
    world = at("10")
    world.hear(said.Abort(at=world.now, actor="ann"))
    world.judge("errors", rows.HOLD, phase="aborting")

    assert (world.stage, world.row.holds) == ("aborted", ())


@pytest.mark.parametrize("stage", ["draft", "gated"])
def test_before_anything_is_staged_nothing_can_have_been_seen_of_it(stage: str) -> None:
    world = at(stage)
    trip(world)
    crash(world)
    world.settle()

    assert world.stage == stage


def test_a_crash_of_the_way_back_is_no_fault_of_the_candidate() -> None:
    world = at("canary")
    world.hear(said.WorkerGone(at=world.now, version=OLD, why="exit 1", crashed=True))

    assert world.stage == "canary"


def test_the_evidence_of_a_trigger_is_written_down() -> None:
    world = at("canary")
    trip(world)
    world.settle()

    (entry,) = (one for one in world.entries if one.what == "aborting")
    assert (entry.actor, entry.evidence) == ("controller", "h")
    assert entry.reason == "chain: a hash differs"


# --- what fails on the way ---


def test_a_way_back_that_fails_is_tried_three_times_then_the_next_older_release() -> None:
    world = at("canary", older=(OLDER,))
    world.refuses[1, OLD] = "it does not start"
    world.ordered.clear()
    world.please(said.Abort)

    asked = [one.version for one in world.ordered if isinstance(one, said.Switch)]
    assert asked == [OLD, OLD, OLD, OLDER]
    assert (world.stage, world.leases[1][0]) == ("aborted", OLDER)


def test_where_nobody_can_take_an_account_back_people_are_told_who_is_where() -> None:
    world = at("10")
    world.refuses[1, OLD] = "it does not start"
    world.please(said.Abort)

    stuck = world.row.accounts[1]
    assert world.stage == "aborting"
    assert (stuck.at, stuck.has, stuck.why) == (rows.PINNED, NEW, "it does not start")
    assert {world.row.accounts[n].at for n in range(2, 11)} == {rows.INCUMBENT}
    assert "account 1 stays on v1.3.0" in world.tells[-2].words


def test_who_is_stuck_is_tried_again_when_a_person_asks_again() -> None:
    world = at("canary")
    world.refuses[1, OLD] = "it does not start"
    world.please(said.Abort)
    world.refuses.clear()

    world.please(said.Abort)

    assert (world.stage, world.on(NEW)) == ("aborted", set())


def test_who_is_stuck_is_tried_again_when_the_way_back_is_warm() -> None:
    world = at("canary")
    world.refuses[1, OLD] = "it does not start"
    world.please(said.Abort)
    world.refuses.clear()
    world.hear(said.WorkerReady(at=world.now, version=NEW))
    world.settle()
    assert world.stage == "aborting"

    world.hear(said.WorkerReady(at=world.now, version=OLD))
    world.settle()

    assert world.stage == "aborted"


def test_who_is_stuck_and_comes_home_by_a_fail_over_is_home() -> None:
    world = at("canary")
    world.refuses[1, OLD] = "it does not start"
    world.please(said.Abort)
    world.leases[1] = (OLD, 99)
    world.hear(said.LeasesSeen(at=world.now, held=world.truth()))
    world.settle()

    assert world.stage == "aborted"


def test_an_account_whose_lease_nobody_knew_is_switched_at_the_epoch_there_was() -> None:
    world = at("canary")
    world.hear(said.Abort(at=world.now, actor="ann"))
    world.do(world.todo.pop(0))
    (told,) = world.inbox
    assert isinstance(told, said.Persisted)
    world.inbox[0] = said.Persisted(at=told.at, revision=told.revision, bumped=told.bumped[1:])
    world.settle()

    assert (world.stage, world.on(NEW)) == ("aborted", set())


@pytest.mark.parametrize("says", [rows.FAIL, rows.UNMEASURABLE])
def test_a_bad_look_at_who_is_back_is_told_and_ends_nothing(says: str) -> None:
    world = at("canary")
    world.smoke[1] = says
    world.please(said.Abort)

    assert (world.stage, world.row.accounts[1].smoke) == ("aborted", says)
    assert any(f"the smoke of account 1 says {says}" in one.words for one in world.tells)


def test_a_bad_look_at_many_who_are_back_is_noted_for_each_and_people_are_called_once() -> None:
    world = at("50")
    world.smoke |= {1: rows.FAIL, 2: rows.FAIL}
    world.please(said.Abort)

    told = [one.words for one in world.tells if "the smoke of account" in one.words]
    noted = [one.reason for one in world.entries if one.what == "smoke"]
    assert len(told) == 1
    assert {reason.split(" says ")[0] for reason in noted} == {
        "the smoke of account 1",
        "the smoke of account 2",
    }


def test_a_look_that_failed_on_the_way_forward_silences_none_on_the_way_back() -> None:
    world = at("10")
    world.smoke |= {1: rows.FAIL, 2: rows.FAIL}
    world.refuses[2, OLD] = "it does not answer"  # so what was seen of it forward still stands
    world.live_through()
    world.please(said.Promote, phase="50")

    assert world.row.why.startswith("smoke: the smoke of account 2 says fail")
    assert world.row.accounts[2].at != rows.INCUMBENT
    told = [one.words for one in world.tells if "the smoke of account 1 says fail" in one.words]
    assert len(told) == 1


def test_who_was_back_and_falls_to_the_candidate_once_more_is_taken_back_again() -> None:
    world = at("50")
    world.refuses[2, OLD] = "it does not answer"  # so the way back is not over yet
    world.please(said.Abort)
    assert world.row.accounts[1].at == rows.INCUMBENT
    world.leases[1] = (NEW, 99)
    world.refuses.clear()

    world.hear(said.LeasesSeen(at=world.now, held=world.truth()))
    world.please(said.Abort)

    assert (world.stage, world.on(NEW)) == ("aborted", set())
    assert (world.row.accounts[1].smoke, world.row.accounts[1].has) == (rows.PASS, OLD)


def test_an_abort_asked_for_twice_is_one() -> None:
    world = at("50")
    world.hear(said.Abort(at=world.now, actor="ann"))
    world.hear(said.Abort(at=world.now, actor="ben"))
    world.settle()

    assert (world.row.bumps, world.stage) == (1, "aborted")


def test_an_account_that_goes_meanwhile_is_not_waited_for() -> None:
    world = at("canary")
    world.refuses[1, OLD] = "it does not start"
    world.please(said.Abort)
    world.hear(said.AccountRemoved(at=world.now, account=1))
    del world.leases[1]
    world.settle()

    assert world.stage == "aborted"


def test_an_account_that_comes_meanwhile_comes_to_the_way_back_too() -> None:
    world = at("canary")
    world.refuses[1, OLD] = "it does not start"
    world.please(said.Abort)
    for number, version in ((20, OLD), (21, NEW)):
        world.leases[number] = (version, 1)
        held = said.Held(number, version, 1)
        world.hear(said.AccountAdded(at=world.now, held=held, risk=0))
    world.settle()

    assert (world.leases[20], world.leases[21]) == ((OLD, 1), (OLD, 2))


def test_an_account_that_comes_after_the_end_is_no_concern() -> None:
    world = at("canary")
    world.please(said.Abort)
    row = world.row
    world.hear(said.AccountAdded(at=world.now, held=said.Held(20, OLD, 1), risk=0))

    assert world.row == row


def test_a_switch_on_its_way_finds_another_fence_and_another_epoch() -> None:
    world = at("10")
    world.live_through()
    world.hear(said.Promote(at=world.now, actor="ann", phase="50"))
    late = world.take_away(said.Switch)
    world.please(said.Abort)
    for one in late:
        world.do(one)
    world.settle()

    assert (world.stage, world.on(NEW)) == ("aborted", set())


# --- after the end ---


def test_what_is_done_can_be_rolled_back() -> None:
    world = at("done")

    assert world.please(said.Abort, reason="complaints") == ()
    assert (world.stage, world.on(OLD)) == ("rolled back", set(range(1, 11)))


def test_a_trigger_after_the_end_rolls_back_too() -> None:
    world = at("done")
    trip(world)
    world.settle()

    assert world.stage == "rolled back"


@pytest.mark.parametrize("kind", [said.Stop, said.Resume, said.Start, said.Complete])
def test_after_the_end_only_the_way_back_is_left(kind: type[said.Asked]) -> None:
    assert at("done").please(kind) == ("the rollout is done: only a way back is left",)


@pytest.mark.parametrize("kind", [said.Resume, said.Stop, said.Start])
def test_what_is_over_is_over(kind: type[said.Asked]) -> None:
    world = at("canary")
    world.please(said.Abort)
    row = world.row
    trip(world)

    assert world.please(kind) == ("the rollout r1 is aborted",)
    assert world.row == row


def test_who_asks_for_the_way_back_when_everybody_is_back_has_it() -> None:
    world = at("canary")
    world.please(said.Abort)
    row = world.row

    assert world.please(said.Abort) == ()
    assert world.row == row


def test_a_rollout_that_gave_way_takes_nobody_back() -> None:
    world = at("canary")
    world.please(said.Supersede, by="r2", goes_back=False)

    assert world.please(said.Abort) == ("the rollout r1 is superseded",)


def test_the_way_back_stays_warm_for_a_week_and_is_then_retired_once() -> None:
    world = at("done", window_ns=2 * HOUR)
    world.passes(119)
    assert OLD in world.warm

    world.passes(1)
    world.passes(60)

    assert OLD not in world.warm
    assert len([one for one in world.ordered if isinstance(one, said.Retire)]) == 1


def test_a_way_back_that_an_account_is_on_is_not_retired() -> None:
    world = at("done", window_ns=2 * HOUR)
    world.leases[3] = (OLD, 77)
    world.hear(said.LeasesSeen(at=world.now, held=world.truth()))
    world.passes(121)
    assert OLD in world.warm

    world.leases[3] = (NEW, 78)
    world.hear(said.LeasesSeen(at=world.now, held=world.truth()))
    world.passes(1)

    assert OLD not in world.warm


def test_a_retired_way_back_is_warmed_again_when_it_is_needed() -> None:
    world = at("done", window_ns=MINUTE)
    world.passes(2)
    world.hear(said.WorkerGone(at=world.now, version=OLD, why="retired", crashed=False))
    world.please(said.Abort)

    assert (world.stage, world.on(NEW)) == ("rolled back", set())
    assert NEW not in world.warm


# --- giving way to another rollout ---


def test_a_rollout_may_give_way_to_the_next_and_leave_its_accounts_to_it() -> None:
    world = at("50")
    epochs = dict(world.leases)

    assert world.please(said.Supersede, by="r2", goes_back=False) == ()
    assert (world.stage, world.row.by, len(world.on(NEW))) == ("superseded", "r2", 5)
    assert all(world.leases[number][1] == epochs[number][1] + 1 for number in epochs)


def test_a_rollout_may_give_way_after_everybody_is_back() -> None:
    world = at("50")

    assert world.please(said.Supersede, by="r2", goes_back=True) == ()
    assert (world.stage, world.row.by, world.on(NEW)) == ("superseded", "r2", set())


@pytest.mark.parametrize("stage", ["draft", "gated", "staged", "shadow"])
def test_what_has_not_moved_anybody_may_give_way_too(stage: str) -> None:
    world = at(stage)
    world.please(said.Supersede, by="r2", goes_back=False)

    assert world.stage == "superseded"


def test_who_goes_back_already_gives_way_to_nobody() -> None:
    world = at("done")

    assert world.please(said.Supersede, by="r2", goes_back=True) == (
        "the rollout is done: only a way back is left",
    )


def test_an_account_may_begin_on_a_third_release_and_goes_back_to_the_named_one() -> None:
    world = World(plan(4))
    world.leases[2] = (OLDER, 3)
    world.hear(said.LeasesSeen(at=world.now, held=world.truth()))
    world.until("canary")
    world.ordered.clear()
    world.please(said.Abort)

    looked = {one.account for one in world.ordered if isinstance(one, said.Smoke)}
    assert (world.on(OLD), looked) == ({1, 2, 3, 4}, {1, 2})


def switches(world: World) -> list[Any]:
    return [one.version for one in world.ordered if isinstance(one, said.Switch)]


def test_what_failed_before_the_way_back_is_no_try_of_it() -> None:
    world = at("shadow", older=(OLDER,))
    world.smoke[1] = rows.UNMEASURABLE
    world.live_through()
    world.refuses[1, OLD] = "it does not start"
    world.ordered.clear()
    world.please(said.Abort)

    assert switches(world) == [OLD, OLD, OLD, OLDER]


def test_who_is_stuck_is_tried_three_times_again() -> None:
    world = at("canary")
    world.refuses[1, OLD] = "it does not start"
    world.please(said.Abort)
    world.ordered.clear()
    world.please(said.Abort)

    assert switches(world) == [OLD, OLD, OLD]
    assert world.row.accounts[1].at == rows.PINNED

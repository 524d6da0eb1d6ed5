"""The way forward: a phase begins when nothing is missing and somebody asked, and not before."""

from typing import Any

import msgspec
import pytest

from risk_daemon.rollout import guards
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.exposure import HOUR, MINUTE
from risk_daemon.rollout.plan import Freeze, Plan
from tests.rollout.world import DOLLAR, GATES, NEW, OLD, OLDER, T0, World, dwell, plan


def reasons(world: World) -> list[str]:
    """Why the rollout is on hold."""
    return [one.reason for one in world.row.holds]


PHASES = ["shadow", "canary", "10", "50", "100", "soak"]


def test_a_good_release_goes_through_every_phase_and_ends_done() -> None:
    world = World(plan(10)).until("done")

    assert world.stages == ["draft", "gated", "staged", *PHASES, "done"]
    assert world.on(NEW) == set(range(1, 11))


@pytest.mark.parametrize(("phase", "count"), [("shadow", 0), ("canary", 1), ("10", 1), ("50", 5)])
def test_a_phase_switches_the_first_accounts_of_the_order_and_no_others(
    phase: str, count: int
) -> None:
    world = World(plan(10)).until(phase)

    assert world.on(NEW) == set(range(1, count + 1))


def test_nothing_is_staged_while_a_gate_is_not_green() -> None:
    world = World()
    world.judge("tests", phase="")
    world.judge("audit", rows.FAIL, phase="")

    assert world.please(said.Start) == ("audit says fail: audit fail",)
    assert (world.stage, [one for one in world.ordered if isinstance(one, said.Warm)]) == (
        "draft",
        [],
    )


def test_a_gate_without_evidence_is_red() -> None:
    world = World()
    world.judge("audit", phase="")

    assert world.please(said.Start) == ("tests says unmeasurable: no evidence",)


def test_a_gate_that_says_nothing_more_than_no_is_told_as_it_is() -> None:
    world = World(plan(gates=("tests",)))
    world.hear(
        said.Judged(at=T0, gate="tests", says=rows.FAIL, sentence="", evidence="", version=NEW)
    )

    assert world.please(said.Start) == ("tests says fail",)


def test_a_gate_of_another_release_or_of_no_plan_says_nothing() -> None:
    world = World(plan(gates=("tests",)))
    world.hear(
        said.Judged(at=T0, gate="tests", says=rows.PASS, sentence="", evidence="", version=OLD)
    )
    world.judge("weather", phase="")

    assert world.row.gates == {}


def test_a_gate_that_turns_red_makes_a_draft_of_it_again() -> None:
    world = World()
    world.green()
    assert world.stage == "gated"

    world.judge("tests", rows.FAIL, phase="")

    assert world.stage == "draft"


def test_a_start_asked_for_twice_begins_once() -> None:
    world = World()
    world.start()

    assert world.please(said.Start) == ()
    assert world.stages.count("staged") == 1


def test_a_rollout_without_gates_may_start_from_the_draft() -> None:
    world = World(plan(gates=()))

    assert world.please(said.Start) == ()
    assert world.stages == ["draft", "staged", "shadow"]


def test_an_override_is_enough_to_start_from_the_draft() -> None:
    world = World(plan(gates=("tests",)))
    world.settle()
    until = world.now + HOUR
    world.please(said.Accept, gate="tests", until=until, reason="known")

    assert world.stage == "gated"
    world.now = until
    assert world.please(said.Start) == ("tests says unmeasurable: no evidence",)


def test_the_approvals_of_the_start_are_counted_by_person() -> None:
    world = World(plan(approvals=2))
    world.green()
    world.please(said.Approve, "ann", phase="start")
    world.please(said.Approve, "ann", phase="start")
    assert world.please(said.Start) == ("1 more to approve start",)

    world.please(said.Approve, "ben", phase="start")

    assert world.please(said.Start) == ()


def test_one_person_may_break_the_glass_for_all_who_should_approve() -> None:
    world = World(plan(approvals=3))
    world.green()
    world.please(said.Approve, "ann", phase="start", breaks_glass=True)
    world.please(said.Approve, "ann", phase="start", breaks_glass=True)

    assert world.please(said.Start) == ()
    broken = [one for one in world.entries if one.what == "broke the glass for start"]
    assert [one.actor for one in broken] == ["ann"]


def test_what_does_not_exist_cannot_be_approved() -> None:
    (refused,) = World().please(said.Approve, phase="25")

    assert refused.startswith("there is no phase '25' to approve: start, shadow, canary")


def test_a_phase_may_want_persons_to_agree_before_the_next() -> None:
    made = plan()
    phases = (
        made.phases[0],
        msgspec.structs.replace(made.phases[1], approvals=1),
        *made.phases[2:],
    )
    world = World(plan(phases=phases)).until("canary")
    world.live_through()
    assert world.proceed() == ("1 more to approve canary",)

    world.please(said.Approve, phase="canary")

    assert world.proceed() == ()


# --- people enter phases ---


def test_time_alone_enters_no_phase() -> None:
    world = World().until("canary")

    for _ in range(20):
        world.live_through()

    assert world.stage == "canary"


def test_a_plan_that_says_so_enters_the_next_phase_by_itself_but_is_never_done_by_itself() -> None:
    world = World(plan(auto_advance=True)).until("canary")

    for _ in range(6):
        world.live_through()

    assert world.stages[-4:] == ["10", "50", "100", "soak"]
    assert world.proceed() == ()
    assert world.stage == "done"


def test_a_promotion_names_the_next_phase_or_is_refused() -> None:
    world = World().until("canary")

    assert world.please(said.Promote, phase="50") == ("after canary comes 10, not 50",)
    assert world.please(said.Complete) == ("after canary comes 10, not done",)


def test_a_phase_that_is_entered_may_be_asked_for_again() -> None:
    world = World().until("10")

    assert world.please(said.Promote, phase="10") == ()
    assert world.stages[-1] == "10"


def test_nobody_is_promoted_before_the_start() -> None:
    assert World().please(said.Promote, phase="canary") == (
        "the rollout is draft: start comes first",
    )


def test_what_is_missing_is_told_sentence_by_sentence() -> None:
    world = World().until("canary")
    world.passes(0)

    assert world.proceed() == (
        "0 h 10 min more of watching",
        "10 min more of open market",
        "5 more records decided",
        "not witnessed yet: reconnect",
        "errors has said nothing in this phase",
        "latency has said nothing in this phase",
    )


@pytest.mark.parametrize("says", [rows.INCONCLUSIVE, rows.UNMEASURABLE, rows.HOLD])
def test_no_verdict_but_pass_lets_a_phase_begin_however_long_it_lasts(says: str) -> None:
    world = World().until("canary")
    world.live_through()
    world.judge("errors", says)
    world.please(said.Resume)

    assert f"errors says {says}: errors {says}" in world.proceed()


def test_a_verdict_of_the_phase_before_says_nothing_in_this_one() -> None:
    world = World().until("canary")
    world.judge("errors", phase="shadow")

    assert "errors has said nothing in this phase" in world.proceed()


def test_a_verdict_on_another_release_says_nothing() -> None:
    world = World().until("canary")
    world.hear(
        said.Judged(
            at=world.now,
            gate="errors",
            says=rows.FAIL,
            sentence="",
            evidence="",
            version=OLD,
            phase="canary",
        )
    )

    assert (world.stage, world.row.opinions) == ("canary", {})


def test_a_pass_that_was_said_long_ago_is_none() -> None:
    world = World(plan(blind_ns=5 * MINUTE)).until("canary")
    world.live_through()
    world.passes(4)
    assert world.proceed() == ()

    world = World(plan(blind_ns=5 * MINUTE)).until("canary")
    world.live_through()
    world.passes(5)

    assert "errors has not been measured lately" in world.proceed()


def test_the_day_s_error_budget_must_not_be_spent() -> None:
    world = World().until("canary")
    world.live_through()
    world.hear(said.BudgetSeen(at=world.now, spent="the error budget of today is spent"))
    assert world.proceed() == ("the error budget of today is spent",)

    world.hear(said.BudgetSeen(at=world.now, spent=""))

    assert world.proceed() == ()


def test_without_a_warm_way_back_nobody_is_switched_and_no_phase_begins() -> None:
    world = World().until("canary")
    world.live_through()
    world.hear(said.WorkerGone(at=world.now, version=OLD, why="killed", crashed=True))

    assert world.proceed() == (f"no worker of {OLD} is warm: there would be no way back",)


def test_without_a_warm_way_back_a_phase_that_has_begun_waits_with_its_switches() -> None:
    world = World(plan(10, together=1)).until("10")
    world.live_through()
    world.hear(said.Promote(at=world.now, actor="ann", phase="50"))
    world.hear(said.WorkerGone(at=world.now, version=OLD, why="killed", crashed=False))
    world.settle()
    assert len(world.on(NEW)) == 2

    world.hear(said.WorkerReady(at=world.now, version=OLD))
    world.settle()

    assert len(world.on(NEW)) == 5


def test_so_many_accounts_are_under_way_together() -> None:
    world = World(plan(10, together=3)).until("50")
    world.live_through()
    world.hear(said.Promote(at=world.now, actor="ann", phase="100"))
    three = world.take_away(said.Switch)
    assert len(three) == 3
    world.todo += three
    world.settle()
    assert len(world.on(NEW)) == 10


def test_an_account_whose_shadow_has_not_caught_up_is_not_switched() -> None:
    world = World()
    world.green()
    world.hear(said.WorkerReady(at=world.now, version=OLD))
    world.hear(said.Start(at=world.now, actor="ann"))
    world.take_away(said.Warm)
    world.hear(said.WorkerReady(at=world.now, version=NEW))
    world.settle()
    world.live_through()

    assert (world.stage, world.on(NEW)) == ("canary", set())
    assert world.row.accounts[1].at == rows.SHADOWING
    assert "account 1 is not on v1.3.0 (def456) yet: shadowing" in world.proceed()

    world.hear(said.CaughtUp(at=world.now, accounts=(1,)))
    world.settle()

    assert world.on(NEW) == {1}


def test_a_candidate_that_is_warm_before_the_start_shadows_at_once() -> None:
    world = World()
    world.green()
    world.hear(said.WorkerReady(at=world.now, version=NEW))
    world.hear(said.Start(at=world.now, actor="ann"))

    assert {one.at for one in world.row.accounts.values()} == {rows.SHADOWING}


def test_a_candidate_s_worker_that_was_stopped_has_to_catch_up_again() -> None:
    world = World().until("shadow")
    world.hear(said.WorkerGone(at=world.now, version=NEW, why="restarted", crashed=False))

    assert {one.at for one in world.row.accounts.values()} == {rows.WARMING}
    assert world.stage == "shadow"


def test_time_in_which_the_candidate_is_not_warm_is_no_exposure() -> None:
    world = World().until("shadow")
    world.passes(0)
    world.hear(said.WorkerGone(at=world.now, version=NEW, why="restarted", crashed=False))
    world.warm.discard(NEW)
    world.passes(5)

    assert world.row.exposure.lived_ns == 0


# --- smoke, reconcile ---


@pytest.mark.parametrize("what", ["smoke", "reconcile"])
def test_what_an_account_is_looked_at_for_and_fails_takes_the_release_back(what: str) -> None:
    world = World().until("shadow")
    getattr(world, what)[1] = rows.FAIL
    world.live_through()

    assert (world.stage, world.on(NEW)) == ("aborted", set())
    assert f"the {what} of account 1 says fail" in world.row.why


@pytest.mark.parametrize("what", ["smoke", "reconcile"])
def test_a_look_that_cannot_be_asked_is_repeated_twice_then_a_person_is_told(what: str) -> None:
    world = World().until("shadow")
    getattr(world, what)[1] = rows.UNMEASURABLE
    world.live_through()

    kind = said.Smoke if what == "smoke" else said.Reconcile
    assert len([one for one in world.ordered if isinstance(one, kind)]) == 3
    assert world.stage == "canary"
    assert f"the {what} of account 1 says unmeasurable" in world.row.holds[0].reason
    assert guards.part(world.row, world.now) == "smoke"

    getattr(world, what).clear()
    world.please(said.Resume)

    assert guards.part(world.row, world.now) == "dwell"


def test_an_account_that_is_not_looked_at_yet_is_told() -> None:
    world = World().until("shadow")
    world.live_through()
    waiting = msgspec.structs.replace(world.row.accounts[1], smoke="")
    row = msgspec.structs.replace(world.row, accounts={**world.row.accounts, 1: waiting})

    assert "the smoke of account 1 says nothing yet" in guards.missing(row, world.now)


def test_an_answer_of_the_wrong_kind_is_no_answer() -> None:
    world = World().until("shadow")
    world.live_through()
    row = world.row
    world.hear(said.SmokeSaid(at=world.now, id="r1/canary/reconcile/1/9", says=rows.FAIL))

    assert world.row == row


# --- switches that fail ---


def test_a_switch_that_fails_is_tried_three_times_then_the_rollout_holds() -> None:
    world = World().until("shadow")
    world.refuses[1, NEW] = "the heir shows another state"
    world.live_through()

    asked = [one for one in world.ordered if isinstance(one, said.Switch)]
    assert [one.id for one in asked] == [f"r1/canary/switch/1/{n}" for n in (1, 2, 3)]
    assert world.row.accounts[1].at == rows.SWITCH_FAILED
    assert world.row.holds[0].reason == (
        "account 1 could not be switched: the heir shows another state"
    )
    assert world.on(NEW) == set()


def test_a_person_s_resume_tries_a_failed_switch_again() -> None:
    world = World().until("shadow")
    world.refuses[1, NEW] = "busy"
    world.live_through()
    world.refuses.clear()
    assert "account 1 is not on v1.3.0 (def456) yet: busy" in world.proceed()

    world.please(said.Resume)

    assert (world.on(NEW), world.row.accounts[1].at) == ({1}, rows.ACTIVE)


def test_a_switch_answered_with_another_release_is_a_failed_one() -> None:
    world = World(plan(10)).until("10")
    world.live_through()
    world.hear(said.Promote(at=world.now, actor="ann", phase="50"))
    first, *others = world.take_away(said.Switch)
    world.todo += others
    world.hear(said.Switched(at=world.now, id=first.id, held=said.Held(2, OLD, 1)))

    assert world.row.accounts[2].why == "the lease says otherwise"
    world.settle()
    assert world.on(NEW) == {1, 2, 3, 4, 5}


def test_a_switch_refused_although_it_was_done_counts_as_done() -> None:
    world = World().until("shadow")
    world.leases[1] = (NEW, 5)
    world.refuses[1, NEW] = "it has it already"
    world.live_through()

    assert (world.row.accounts[1].at, world.row.accounts[1].epoch) == (rows.ACTIVE, 5)
    assert reasons(world) == []


# --- what happens outside ---


def test_a_fail_over_that_takes_an_account_off_the_candidate_holds() -> None:
    world = World().until("canary")
    world.hear(said.LeasesSeen(at=world.now, held=(said.Held(1, OLD, 9),)))
    world.settle()

    assert world.row.holds[0].reason == f"account 1 left the candidate for {OLD}"
    assert world.row.accounts[1].at == rows.SHADOWING


def test_a_fail_over_to_another_worker_of_the_candidate_changes_the_epoch_alone() -> None:
    world = World().until("canary")
    world.hear(said.LeasesSeen(at=world.now, held=(said.Held(1, NEW, 9),)))

    assert (world.row.accounts[1].epoch, reasons(world)) == (9, [])


def test_an_account_that_the_candidate_has_too_early_holds() -> None:
    world = World().until("canary")
    world.hear(said.LeasesSeen(at=world.now, held=(said.Held(3, NEW, 9),)))

    assert world.row.holds[0].reason == ("the candidate has account 3, whose phase has not come")


def test_many_that_the_candidate_has_too_early_are_one_hold_that_is_told_once() -> None:
    world = World(plan(9)).until("canary")
    held = tuple(said.Held(number, NEW, 9) for number in range(1, 10))
    world.hear(said.LeasesSeen(at=world.now, held=held))
    world.settle()

    assert reasons(world) == [
        "the candidate has 8 accounts (2, 3, 4 and 5 more), whose phase has not come"
    ]
    assert sum("whose phase has not come" in one.words for one in world.tells) == 1


def test_many_that_left_are_one_hold_for_each_release_that_has_them_now() -> None:
    world = World(plan(9)).until("100")
    held = [said.Held(number, OLD, 9) for number in (1, 2, 3)]
    world.hear(said.LeasesSeen(at=world.now, held=(*held, said.Held(4, OLDER, 9))))

    assert reasons(world) == [
        f"3 accounts (1, 2, 3) left the candidate for {OLD}",
        f"account 4 left the candidate for {OLDER}",
    ]


def test_the_same_of_a_second_account_holds_too_and_calls_nobody_again() -> None:
    world = World(plan(9))
    world.smoke = {2: "unmeasurable", 3: "unmeasurable"}
    world.until("50").live_through()

    kept = [one.reason for one in world.row.holds]
    assert [reason.split(" says ")[0] for reason in kept] == [
        "the smoke of account 2",
        "the smoke of account 3",
    ]
    assert sum("the smoke of account" in one.words for one in world.tells) == 1


def test_an_old_word_on_an_account_is_not_believed() -> None:
    world = World().until("canary")
    world.hear(said.LeasesSeen(at=world.now, held=(said.Held(1, OLD, 1), said.Held(99, OLD, 1))))

    assert world.row.accounts[1].has == NEW
    assert 99 not in world.row.accounts


# --- holds ---


def test_a_stop_moves_nobody_and_stops_every_switch_on_its_way() -> None:
    world = World(plan(10, together=2)).until("10")
    world.live_through()
    world.hear(said.Promote(at=world.now, actor="ann", phase="50"))
    late = world.take_away(said.Switch)
    world.please(said.Stop, reason="odd quotes")
    for one in late:
        world.do(one)
    world.settle()

    assert world.on(NEW) == {1}
    assert world.row.holds[0].reason == "odd quotes"
    assert "on hold since ann said: odd quotes" in world.proceed()

    world.please(said.Resume)

    assert world.on(NEW) == {1, 2, 3, 4, 5}


def test_a_stop_may_be_asked_for_twice_and_after_a_resume_again() -> None:
    world = World().until("canary")
    world.please(said.Stop)
    world.please(said.Stop)
    assert len(world.row.holds) == 1

    world.please(said.Resume)
    assert world.please(said.Resume) == ()
    world.please(said.Stop)

    assert len(world.row.holds) == 1


def test_a_stop_before_the_start_stops_the_start() -> None:
    world = World()
    world.green()
    world.please(said.Stop, reason="not today")

    assert world.please(said.Start) == ("on hold since ann said: not today",)


def test_a_stop_while_staging_keeps_it_out_of_shadow() -> None:
    world = World()
    world.green()
    world.hear(said.Start(at=world.now, actor="ann"))
    world.hear(said.Stop(at=world.now, actor="ann"))
    world.settle()
    assert world.stage == "staged"

    world.please(said.Resume)

    assert world.stage == "shadow"


def test_a_gate_that_says_hold_holds_until_it_says_pass() -> None:
    world = World().until("canary")
    world.judge("errors", rows.HOLD, evidence="e1")
    world.judge("errors", rows.HOLD, evidence="e1")
    assert reasons(world) == ["errors hold"]

    world.judge("errors", rows.PASS)

    assert reasons(world) == []


def test_a_hold_of_a_gate_that_was_resumed_comes_back_with_new_evidence_only() -> None:
    world = World().until("canary")
    world.judge("errors", rows.HOLD, evidence="e1")
    world.please(said.Resume)
    world.judge("errors", rows.HOLD, evidence="e1")
    assert reasons(world) == []

    world.judge("errors", rows.HOLD, evidence="e2")

    assert len(world.row.holds) == 1


def test_a_hold_that_nobody_answers_in_time_ends_in_the_way_back() -> None:
    world = World().until("canary")
    world.passes(0)
    world.judge("errors", rows.HOLD, abort_after_ns=3 * MINUTE)
    world.passes(2)
    assert world.stage == "canary"

    world.passes(1)

    assert world.stage == "aborted"
    assert world.row.why == "errors: nobody answered in time: errors hold"


def test_what_cannot_be_measured_for_five_minutes_holds_and_pages_once() -> None:
    world = World().until("canary")
    world.passes(0)
    world.judge("errors")
    world.judge("latency")
    for _ in range(5):
        world.passes(1)
        world.judge("errors", rows.UNMEASURABLE)
        world.judge("latency")
    assert reasons(world) == []

    world.passes(1)

    assert reasons(world) == ["errors could not be measured for 6 min"]
    told = len(world.tells)
    assert [one.level for one in world.tells[-3:]] == ["page"] * 3
    world.please(said.Resume)
    world.passes(1)
    assert (reasons(world), len(world.tells)) == ([], told)


def test_a_gate_that_never_spoke_is_not_measured_either() -> None:
    world = World().until("canary")
    world.passes(0)
    world.passes(6)

    assert {one.key for one in world.row.holds} == {
        "gate/errors/blind since 0",
        "gate/latency/blind since 0",
    }


def test_what_is_inconclusive_after_the_longest_dwell_holds_once_for_a_person() -> None:
    made = plan()
    phases = tuple(msgspec.structs.replace(phase, dwell=dwell(longest=12)) for phase in made.phases)
    world = World(plan(phases=phases)).until("canary")
    world.passes(0)
    for _ in range(12):
        world.passes(1)
        world.judge("errors", rows.INCONCLUSIVE)
        world.judge("latency", rows.PASS)
    assert reasons(world) == []

    world.passes(1)
    assert reasons(world) == ["still inconclusive after the longest dwell: errors"]
    world.please(said.Resume)
    world.passes(1)

    assert (reasons(world), world.stage) == ([], "canary")


def test_a_long_phase_whose_gates_are_decided_holds_nobody() -> None:
    made = plan()
    phases = tuple(msgspec.structs.replace(phase, dwell=dwell(longest=12)) for phase in made.phases)
    world = World(plan(phases=phases)).until("canary")
    world.live_through(20)

    assert reasons(world) == []


# --- overrides ---


def accept(world: World, gate: str, **more: Any) -> tuple[str, ...]:
    more.setdefault("until", world.now + 10 * HOUR)
    return world.please(said.Accept, gate=gate, reason="risk known", **more)


def test_a_person_may_accept_what_a_gate_could_not_decide() -> None:
    world = World().until("canary")
    world.live_through()
    world.judge("errors", rows.INCONCLUSIVE)
    assert accept(world, "errors") == ()

    assert world.proceed() == ()
    assert world.row.overrides[0].person == "ann"


def test_an_accepted_gate_holds_nobody_and_ends_its_hold() -> None:
    world = World().until("canary")
    world.judge("errors", rows.HOLD)
    assert len(world.row.holds) == 1

    accept(world, "errors")
    world.judge("errors", rows.HOLD, evidence="e2")
    world.judge("latency")
    world.passes(0)
    world.passes(4)
    world.judge("latency")
    world.passes(4)

    assert reasons(world) == []


def test_an_accepted_gate_that_says_fail_takes_the_release_back_all_the_same() -> None:
    world = World().until("canary")
    accept(world, "errors")
    world.judge("errors", rows.FAIL)

    assert world.stage == "aborted"


def test_an_override_ends_when_it_was_said_to_end_also_when_the_clock_is_set_back() -> None:
    world = World().until("canary")
    world.live_through()
    world.judge("errors", rows.INCONCLUSIVE)
    accept(world, "errors", until=world.now + 2 * MINUTE)
    assert guards.missing(world.row, world.now) == ()

    world.passes(2)
    world.now -= 10 * MINUTE

    assert guards.missing(world.row, world.now) == (
        "errors says inconclusive: errors inconclusive",
    )


@pytest.mark.parametrize(
    "gate", ["smoke", "reconcile", "standby", "fence", "hold", "accounts", "approvals", "weather"]
)
def test_what_protects_the_accounts_cannot_be_overridden(gate: str) -> None:
    (refused,) = accept(World(), gate)

    assert refused == (
        f"'{gate}' can't be overridden; what can: "
        "audit, budget, dwell, errors, freeze, latency, situations, tests"
    )


def test_an_override_that_is_over_before_it_begins_is_refused() -> None:
    assert accept(World(), "errors", until=T0) == (
        "the override of errors would end before it begins",
    )


@pytest.mark.parametrize("gate", ["dwell", "situations", "budget", "freeze"])
def test_to_skip_more_than_a_gate_takes_two_persons_or_the_glass(gate: str) -> None:
    world = World().until("canary")
    accept(world, gate)
    accept(world, gate)
    assert not rows.is_overridden(world.row, gate, world.now)

    world.please(said.Accept, "ben", gate=gate, until=world.now + HOUR)
    assert rows.is_overridden(world.row, gate, world.now)

    alone = World().until("canary")
    accept(alone, gate, breaks_glass=True)
    assert rows.is_overridden(alone.row, gate, alone.now)


def test_an_emergency_may_skip_dwell_evidence_and_freeze_but_no_look_at_an_account() -> None:
    world = World().until("shadow")
    world.smoke[1] = rows.UNMEASURABLE
    for gate in ("dwell", "situations", "budget", "freeze", *GATES):
        accept(world, gate, breaks_glass=True)
    frozen = Freeze(begin=0, end=2 * T0, forbids=("start", "promote", "switch"), reason="FOMC")
    world.hear(said.FreezesSet(at=world.now, freezes=(frozen,)))
    world.hear(said.BudgetSeen(at=world.now, spent="spent"))
    world.settle()

    assert (world.stage, world.on(NEW)) == ("canary", {1})
    assert "smoke of account 1" in str(world.proceed())


def urgent() -> Plan:
    """A plan without percentages, without a dwell, and without anything to be judged by."""
    usual = plan()
    at_once = dwell(minutes=0, events=0)
    phases = tuple(
        msgspec.structs.replace(one, dwell=at_once, gates=(), situations=())
        for one in usual.phases
        if one.name not in ("10", "50")
    )
    return msgspec.structs.replace(
        usual,
        phases=phases,
        risk_cap_ppm=usual.risk_cap_ppm[:4],
        kind="emergency",
        approvals=2,
        gates=("signature",),
        by="ann",
        reason="v1.2.0 closes too late",
    )


def test_an_emergency_is_told_as_one_and_two_persons_agree_to_its_start() -> None:
    world = World(urgent())
    world.green()
    assert world.please(said.Start) == ("2 more to approve start",)
    world.please(said.Approve, actor="ann", phase="start")
    world.please(said.Approve, actor="ann", phase="start")
    assert world.please(said.Start) == ("1 more to approve start",)
    world.please(said.Approve, actor="ben", phase="start")

    assert world.please(said.Start) == ()

    words = [one.words for one in world.tells if one.audience == "admins"]
    assert words[0] == (
        "EMERGENCY deployment of v1.3.0 (def456) opening, ann: v1.2.0 closes too late; "
        "the way back is v1.2.0 (abc123)"
    )
    entry = next(one for one in world.entries if one.what == "it is an emergency")
    assert (entry.actor, entry.reason) == ("ann", "v1.2.0 closes too late")


@pytest.mark.parametrize("look", ["smoke", "reconcile", "standby"])
def test_an_emergency_skips_no_look_at_an_account_and_no_way_back(look: str) -> None:
    world = World(urgent())
    world.green()
    for person in ("ann", "ben"):
        world.please(said.Approve, actor=person, phase="start")
    if look != "standby":
        getattr(world, look)[1] = rows.UNMEASURABLE
    world.please(said.Start)
    world.passes()
    world.passes()
    assert (world.stage, world.on(NEW)) == ("canary", {1})
    if look == "standby":
        world.hear(said.WorkerGone(at=world.now, version=OLD, why="gone", crashed=False))
        look = "no worker of v1.2.0 (abc123) is warm"

    assert look in str(world.proceed())

    assert world.on(NEW) == {1}


# --- freezes ---


def freeze(world: World, *forbids: str, accounts: tuple[int, ...] = (), **more: Any) -> None:
    one = Freeze(
        begin=world.now,
        end=world.now + HOUR,
        forbids=forbids,
        reason="FOMC",
        accounts=accounts,
        **more,
    )
    world.hear(said.FreezesSet(at=world.now, freezes=(one,)))


def test_nothing_starts_in_a_freeze_that_forbids_it() -> None:
    world = World()
    world.green()
    freeze(world, "start")
    assert world.please(said.Start) == ("frozen for FOMC",)

    world.now += HOUR

    assert world.please(said.Start) == ()


def test_no_phase_begins_in_a_freeze_that_forbids_it() -> None:
    world = World().until("canary")
    world.live_through()
    freeze(world, "promote")
    assert world.proceed() == ("frozen for FOMC",)

    freeze(world, "start")

    assert world.proceed() == ()


def test_a_frozen_account_waits_and_the_others_go() -> None:
    world = World(plan(10)).until("10")
    world.live_through()
    freeze(world, "switch", accounts=(3,))
    world.proceed()
    assert world.on(NEW) == {1, 2, 4, 5}
    assert any("account 3" in one and "frozen for FOMC" in one for one in world.proceed())

    world.passes(60)

    assert world.on(NEW) == {1, 2, 3, 4, 5}


def test_a_time_that_is_not_representative_is_no_exposure() -> None:
    world = World().until("canary")
    world.passes(0)
    freeze(world, counts=False)
    world.passes(5)

    assert world.row.exposure.lived_ns == 0
    assert world.row.clock.watched > 0


def test_time_by_a_clock_in_doubt_is_no_exposure() -> None:
    world = World().until("canary")
    world.passes(0)
    world.passes(5, trusted=False)

    assert world.row.exposure.lived_ns == 0


# --- risk ---


def test_an_account_that_would_bring_too_much_risk_waits_and_nobody_takes_its_place() -> None:
    made = plan(10, risk_cap_ppm=(0, 200_000, 200_000, 500_000, 1_000_000, 1_000_000))
    world = World(made, risk=lambda _: 1).until("10")
    world.live_through()
    world.hear(said.RiskSeen(at=world.now, risks=((3, 20 * DOLLAR), (99, 1))))
    world.proceed()

    assert world.on(NEW) == {1, 2, 4, 5}
    (waits,) = (one for one in world.proceed() if one.startswith("account 3"))
    assert waits.endswith("the candidate would hold more open risk than the plan allows")

    world.hear(said.RiskSeen(at=world.now, risks=((3, DOLLAR),)))
    world.settle()
    assert world.on(NEW) == {1, 2, 3, 4, 5}


def test_exactly_the_share_that_is_allowed_is_allowed() -> None:
    caps = (0, 100_000, 100_000, 500_000, 1_000_000, 1_000_000)
    world = World(plan(10, risk_cap_ppm=caps), risk=lambda _: 1).until("canary")
    assert world.on(NEW) == {1}

    caps = (0, 99_999, 100_000, 500_000, 1_000_000, 1_000_000)
    world = World(plan(10, risk_cap_ppm=caps), risk=lambda _: 1).until("canary")
    assert world.on(NEW) == set()


# --- accounts come and go ---


def test_a_new_account_joins_at_the_end_and_goes_with_all_the_others() -> None:
    world = World().until("canary")
    world.leases[9] = (OLD, 1)
    world.hear(said.AccountAdded(at=world.now, held=said.Held(9, OLD, 1), risk=DOLLAR))
    world.hear(said.AccountAdded(at=world.now, held=said.Held(9, OLD, 1), risk=DOLLAR))
    world.hear(said.CaughtUp(at=world.now, accounts=(9,)))
    assert world.row.order == (1, 2, 3, 4, 9)

    for phase in ("10", "50"):
        world.live_through()
        assert world.proceed() == (), phase
    assert 9 not in world.on(NEW)
    world.live_through()
    world.proceed()

    assert world.on(NEW) == {1, 2, 3, 4, 9}


@pytest.mark.parametrize(("stage", "at"), [("draft", rows.INCUMBENT), ("shadow", rows.SHADOWING)])
def test_a_new_account_is_where_the_others_are(stage: str, at: str) -> None:
    world = World() if stage == "draft" else World().until(stage)
    world.hear(said.AccountAdded(at=world.now, held=said.Held(9, OLD, 1), risk=0))

    assert world.row.accounts[9].at == at


def test_a_new_account_warms_while_the_candidate_does() -> None:
    world = World()
    world.green()
    world.hear(said.Start(at=world.now, actor="ann"))
    world.hear(said.AccountAdded(at=world.now, held=said.Held(9, OLD, 1), risk=0))

    assert world.row.accounts[9].at == rows.WARMING


def test_an_account_that_goes_is_waited_for_no_more() -> None:
    world = World(plan(10)).until("10")
    world.live_through()
    freeze(world, "switch", accounts=(3,))
    world.proceed()
    world.hear(said.AccountRemoved(at=world.now, account=3))
    del world.leases[3]
    world.settle()
    world.live_through()

    assert 3 not in world.row.order
    assert world.proceed() == ()


# --- parts ---


def test_a_phase_enters_batches_smokes_dwells_and_is_judged() -> None:
    world = World(plan(10, together=1)).until("10")
    world.live_through()
    parts = [guards.part(world.row, world.now)]
    world.hear(said.Promote(at=world.now, actor="ann", phase="50"))
    while world.todo or world.inbox:
        world.deliver() if world.inbox else world.do(world.todo.pop(0))
        parts.append(guards.part(world.row, world.now))
    world.live_through()
    parts.append(guards.part(world.row, world.now))

    assert list(dict.fromkeys(parts)) == ["judge", "batch", "smoke", "dwell"]
    assert parts[-1] == "judge"
    assert guards.part(World().row, T0) == ""


def test_a_phase_of_which_nobody_is_switched_yet_is_being_entered() -> None:
    world = World().until("shadow")
    freeze(world, "switch")
    world.live_through()

    assert (world.stage, guards.part(world.row, world.now)) == ("canary", "enter")


def test_outside_of_its_phases_a_rollout_says_where_it_is() -> None:
    assert guards.missing(World().row, T0) == ("the rollout is draft",)
    assert rows.members(World().row) == ()


def test_what_is_seen_while_a_phase_is_filled_is_not_of_it() -> None:
    world = World().until("shadow")
    freeze(world, "switch")
    world.live_through()
    world.hear(said.Decided(at=world.now, events=100))
    world.hear(said.Witnessed(at=world.now, situation="reconnect"))

    assert (world.row.exposure.events, world.row.exposure.seen) == (0, ())


def test_another_account_goes_under_way_only_when_one_has_arrived() -> None:
    world = World(plan(10, together=3)).until("50")
    world.live_through()
    world.hear(said.Promote(at=world.now, actor="ann", phase="100"))
    first, *others = world.take_away(said.Switch)
    world.do(first)
    while world.inbox or any(not isinstance(one, said.Switch) for one in world.todo):
        if world.inbox:
            world.deliver()
            continue
        world.do(next(one for one in world.todo if not isinstance(one, said.Switch)))
        world.todo.remove(next(one for one in world.todo if not isinstance(one, said.Switch)))

    assert len(others) == 2
    assert len(world.todo) == 1

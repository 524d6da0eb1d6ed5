"""Every guard is one: without it, a witness who goes by his own books sees what it prevented."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from risk_daemon.rollout import guards, machine
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.exposure import HOUR
from risk_daemon.rollout.plan import Freeze, Plan
from tests.rollout.lies import LIES, before_it_is_written, without
from tests.rollout.watched import Broken, Watched
from tests.rollout.world import DOLLAR, NEW, OLD, Step, plan


def capped(n: int = 10) -> Plan:
    return plan(n, risk_cap_ppm=(0, 200_000, 200_000, 500_000, 1_000_000, 1_000_000))


def approved() -> Plan:
    made = plan(10)
    phases = tuple(
        msgspec.structs.replace(one, approvals=int(one.name == "canary")) for one in made.phases
    )
    return msgspec.structs.replace(made, phases=phases)


def ready(step: Step, made: Plan | None = None, stage: str = "canary") -> Watched:
    """A phase that lacks nothing; its guards are in place so far, then `step` goes on."""
    world = Watched(made or plan(10), risk=lambda _: 1).until(stage)
    assert isinstance(world, Watched)
    world.live_through()
    world.machine_step = step
    return world


def frozen(world: Watched, what: str, *accounts: int) -> None:
    one = Freeze(
        begin=world.now, end=world.now + HOUR, forbids=(what,), reason="FOMC", accounts=accounts
    )
    world.hear(said.FreezesSet(at=world.now, freezes=(one,)))


def hold(step: Step) -> None:
    world = ready(step)
    world.please(said.Stop)
    world.proceed()


def accounts(step: Step) -> None:
    world = ready(step, stage="10")
    frozen(world, "switch")
    world.proceed()
    world.live_through()
    world.proceed()


def looked_at(step: Step) -> None:
    world = ready(step, stage="10")
    world.smoke[3] = rows.UNMEASURABLE
    world.proceed()
    world.please(said.Resume)
    world.smoke.clear()
    world.reconcile[3] = rows.UNMEASURABLE
    world.hear(said.FreezesSet(at=world.now, freezes=()))
    for _ in range(2):
        world.live_through()
        world.please(said.Resume)
        world.hear(said.Promote(at=world.now, actor="ann", phase="100"))


def standby(step: Step) -> None:
    world = ready(step)
    world.warm.discard(OLD)
    world.hear(said.WorkerGone(at=world.now, version=OLD, why="gone", crashed=False))
    world.proceed()


def standby_of_a_switch(step: Step) -> None:
    world = ready(step, stage="10")
    frozen(world, "switch", 3)
    world.proceed()
    world.warm.discard(OLD)
    world.hear(said.WorkerGone(at=world.now, version=OLD, why="gone", crashed=False))
    world.hear(said.FreezesSet(at=world.now, freezes=()))
    world.settle()


def dwell(step: Step) -> None:
    world = Watched(plan(10)).until("canary")
    assert isinstance(world, Watched)
    world.passes(0)
    for gate in ("errors", "latency"):
        world.judge(gate)
    world.hear(said.Witnessed(at=world.now, situation="reconnect"))
    world.machine_step = step
    world.proceed()


def situations(step: Step) -> None:
    world = ready(step)
    exposure = msgspec.structs.replace(world.row.exposure, seen=())
    row = msgspec.structs.replace(world.row, exposure=exposure)
    world.state = msgspec.structs.replace(world.state, row=row)
    world.seen.situations.clear()
    world.proceed()


def gates(step: Step) -> None:
    world = ready(step)
    world.judge("errors", rows.INCONCLUSIVE)
    world.proceed()


def freeze(step: Step) -> None:
    world = ready(step)
    frozen(world, "promote")
    world.proceed()


def freeze_of_an_account(step: Step) -> None:
    world = ready(step, stage="10")
    frozen(world, "switch", 3)
    world.proceed()


def budget(step: Step) -> None:
    world = ready(step)
    world.hear(said.BudgetSeen(at=world.now, spent="the budget of today is spent"))
    world.proceed()


def approvals(step: Step) -> None:
    world = Watched(approved()).until("canary")
    assert isinstance(world, Watched)
    world.live_through()
    world.machine_step = step
    world.proceed()


def risk(step: Step) -> None:
    world = ready(step, capped(), stage="10")
    world.hear(said.RiskSeen(at=world.now, risks=((3, 20 * DOLLAR),)))
    world.proceed()


def nested(step: Step) -> None:
    world = ready(step)
    world.hear(said.CaughtUp(at=world.now, accounts=(1,)))
    world.settle()


def gate_before_the_start(step: Step) -> None:
    world = Watched(plan(4), step=step)
    world.judge("tests", rows.FAIL, phase="")
    world.please(said.Start)


HISTORIES: dict[str, Callable[[Step], None]] = {
    "hold": hold,
    "accounts": accounts,
    "smoke and reconcile": looked_at,
    "standby": standby,
    "standby of a switch": standby_of_a_switch,
    "dwell": dwell,
    "situations": situations,
    "gates": gates,
    "freeze": freeze,
    "freeze of an account": freeze_of_an_account,
    "budget": budget,
    "approvals": approvals,
    "risk": risk,
    "nested": nested,
    "gate before the start": gate_before_the_start,
}


@pytest.mark.parametrize("name", LIES)
def test_with_its_guards_the_machine_lets_nothing_happen(name: str) -> None:
    HISTORIES[name](machine.step)


@pytest.mark.parametrize("name", LIES)
def test_without_a_guard_the_witness_sees_what_it_prevented(name: str) -> None:
    with pytest.raises(Broken) as seen:
        HISTORIES[name](without(name))

    assert seen.value.rule == name


def test_every_guard_in_front_of_a_phase_is_taken_out_here() -> None:
    assert set(guards.GUARDS) <= set(LIES)


def test_a_machine_that_acts_before_it_has_written_is_noticed() -> None:
    with pytest.raises(Broken) as seen:
        Watched(plan(4), step=before_it_is_written).until("canary")

    assert seen.value.rule == "write-ahead"


def test_a_lie_changes_nothing_that_the_guard_does_not_look_at() -> None:
    honest: Any = Watched(plan(4), step=machine.step).until("done")
    lied: Any = Watched(plan(4), step=without("budget")).until("done")

    assert (honest.leases, honest.stages) == (lied.leases, lied.stages)
    assert honest.on(NEW) == {1, 2, 3, 4}

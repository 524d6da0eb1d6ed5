"""In any order of requests, facts, crashes and messages nothing breaks, and the way back ends."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.exposure import MINUTE
from risk_daemon.rollout.plan import Freeze
from tests.rollout.watched import Watched
from tests.rollout.world import ALWAYS, DOLLAR, GATES, NEW, OLD, OLDER, plan

SAYS = (rows.PASS, rows.PASS, rows.PASS, rows.INCONCLUSIVE, rows.UNMEASURABLE, rows.HOLD, rows.FAIL)
STAGES = (rows.DRAFT, "shadow", "canary", "10", "50", "100", "soak", rows.DONE)
WHO = st.integers(1, 6)


class AnyOrder(RuleBasedStateMachine):
    """A rollout on a few accounts to which everything happens."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Watched(plan(1, minutes=1))

    @initialize(
        n=st.integers(1, 5),
        auto=st.booleans(),
        cap=st.sampled_from([500_000, 1_000_000]),
        stage=st.sampled_from(STAGES),
    )
    def begin(self, n: int, auto: bool, cap: int, stage: str) -> None:
        caps = (0, cap, cap, max(cap, 700_000), 1_000_000, 1_000_000)
        made = plan(n, minutes=1, auto_advance=auto, risk_cap_ppm=caps, older=(OLDER,), together=2)
        self.world = Watched(made, risk=lambda _: 1)
        if stage != rows.DRAFT and not (n == 1 and cap < 1_000_000):
            self.world.until(stage)

    def hear(self, kind: type[Any], **more: Any) -> None:
        self.world.hear(kind(at=self.world.now, **more))

    def ask(self, kind: type[Any], **more: Any) -> None:
        self.hear(kind, actor="ann", **more)

    # --- messages ---

    @rule(count=st.integers(1, 20), backwards=st.booleans())
    def happen(self, count: int, backwards: bool) -> None:
        world = self.world
        for _ in range(count):
            if world.inbox:
                world.hear(world.inbox.pop(-1 if backwards else 0))
            elif world.todo:
                world.do(world.todo.pop(-1 if backwards else 0))

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @rule()
    def hear_twice(self) -> None:
        if self.world.inbox:
            self.world.hear(self.world.inbox[0])

    @rule()
    def lose(self) -> None:
        """A command is lost; its time runs out."""
        world = self.world
        lost = [one for one in world.todo if not isinstance(one, said.Persist)][:1]
        for one in lost:
            world.todo.remove(one)
            self.hear(said.TimedOut, id=one.id)

    @rule()
    def linger(self) -> None:
        """A command is done much later than its time ran out."""
        world = self.world
        late = [one for one in world.todo if not isinstance(one, said.Persist)][:1]
        for one in late:
            world.todo.remove(one)
            world.late.append(one)
            self.hear(said.TimedOut, id=one.id)

    @rule(acts_late=st.booleans())
    def crash(self, acts_late: bool) -> None:
        if self.world.revision:
            self.world.acts_late = acts_late
            self.world.crash()

    # --- people ---

    @rule()
    def start(self) -> None:
        for gate in self.world.row.plan.gates:
            self.judge(gate, rows.PASS, "")
        self.ask(said.Start)

    @rule()
    def proceed(self) -> None:
        if rows.phase_of(self.world.row) is not None:
            after = rows.next_stage(self.world.row)
            if after == rows.DONE:
                self.ask(said.Complete)
            else:
                self.ask(said.Promote, phase=after)

    @rule(kind=st.sampled_from([said.Stop, said.Resume]))
    def stop_or_resume(self, kind: type[said.Asked]) -> None:
        self.ask(kind)

    @rule(gate=st.sampled_from([*GATES, "dwell", "situations", "freeze"]), glass=st.booleans())
    def accept(self, gate: str, glass: bool) -> None:
        until = self.world.now + 3 * MINUTE
        self.ask(said.Accept, gate=gate, until=until, breaks_glass=glass)

    # --- what is seen ---

    def judge(self, gate: str, says: str, phase: str) -> None:
        self.hear(
            said.Judged,
            gate=gate,
            says=says,
            sentence=says,
            evidence=says,
            version=NEW,
            phase=phase,
        )

    @rule(gate=st.sampled_from(GATES), says=st.sampled_from(SAYS))
    def say(self, gate: str, says: str) -> None:
        self.judge(gate, says, self.world.stage)

    @rule(minutes=st.integers(-2, 4), really=st.integers(0, 3))
    def pass_time(self, minutes: int, really: int) -> None:
        world = self.world
        world.now = max(world.now + minutes * MINUTE, 0)
        world.steady += really * MINUTE
        self.hear(said.Passed, steady=world.steady, spans=ALWAYS)

    @rule()
    def live(self) -> None:
        """A good while in which every gate is content."""
        for _ in range(3):
            for gate in GATES:
                self.judge(gate, rows.PASS, self.world.stage)
            self.pass_time(1, 1)
            self.world.settle()
        self.hear(said.Decided, events=5)
        self.hear(said.Witnessed, situation="reconnect")

    @rule(version=st.sampled_from([OLD, NEW]))
    def stop_worker(self, version: Any) -> None:
        world = self.world
        world.warm.discard(version)
        # A worker is heard of in the order in which things happen to it.
        world.inbox = [one for one in world.inbox if getattr(one, "version", None) != version]
        self.hear(said.WorkerGone, version=version, why="stopped", crashed=False)

    @rule()
    def look(self) -> None:
        self.world.warm.add(OLD)
        if rows.kind(self.world.row) == rows.PHASE:
            self.world.warm.add(NEW)
        self.world.look()

    @rule(number=WHO)
    def fail_over(self, number: int) -> None:
        """A worker dies; another one of the same release has its accounts now."""
        world = self.world
        if number in world.leases:
            version, epoch = world.leases[number]
            world.leases[number] = (version, epoch + 1)
            self.hear(said.LeasesSeen, held=(world.held(number),))

    @rule(number=WHO, version=st.sampled_from([OLD, NEW]), is_refused=st.booleans())
    def refuse(self, number: int, version: Any, is_refused: bool) -> None:
        self.world.refuses[number, version] = "busy" if is_refused else ""

    @rule(number=WHO, says=st.sampled_from([rows.PASS, rows.UNMEASURABLE]))
    def smoke(self, number: int, says: str) -> None:
        self.world.smoke[number] = says

    @rule(number=WHO, risk=st.integers(0, 50))
    def change_risk(self, number: int, risk: int) -> None:
        self.hear(said.RiskSeen, risks=((number, risk * DOLLAR),))

    @rule(what=st.sampled_from(["start", "promote", "switch"]), minutes=st.integers(0, 5))
    def freeze(self, what: str, minutes: int) -> None:
        one = Freeze(
            begin=self.world.now,
            end=self.world.now + minutes * MINUTE,
            forbids=(what,),
            reason="FOMC",
        )
        self.hear(said.FreezesSet, freezes=(one,))

    @rule(number=WHO)
    def come_or_go(self, number: int) -> None:
        world = self.world
        if number in world.leases and len(world.leases) > 1:
            del world.leases[number]
            world.todo = [one for one in world.todo if getattr(one, "account", None) != number]
            world.late = [one for one in world.late if getattr(one, "account", None) != number]
            self.hear(said.AccountRemoved, account=number)
        elif number not in world.leases:
            world.leases[number] = (OLD, 1_000)
            self.hear(said.AccountAdded, held=world.held(number), risk=DOLLAR)

    # --- what must hold ---

    @invariant()
    def nothing_is_broken(self) -> None:
        world, row = self.world, self.world.row
        world.judge_leases()
        assert len({one.id for one in world.tells}) == len(world.tells)
        assert len({one.id for one in world.entries}) == len(world.entries)
        assert row.exposure.open_ns <= row.exposure.lived_ns <= world.steady

    def teardown(self) -> None:
        """Whatever happened: the way back is open, and it ends."""
        world = self.world
        world.refuses.clear()
        world.smoke.clear()
        world.look()
        world.settle()
        before = world.stage
        world.please(said.Abort)
        world.look()
        world.settle()
        assert world.stage in (rows.ABORTED, rows.ROLLED_BACK), (
            before,
            world.row.accounts,
            world.row.commands,
        )
        assert world.on(NEW) == set()


def test_a_phase_that_was_entered_and_not_stored_is_watched_from_its_first_entry() -> None:
    """The witness goes back with the controller: what it had seen of the phase still counts."""
    play = AnyOrder()
    play.begin(n=1, auto=False, cap=1_000_000, stage="canary")
    play.live()
    play.accept(gate="errors", glass=False)
    play.happen(backwards=False, count=1)
    play.proceed()
    assert play.world.stage == "10"
    play.crash(acts_late=False)
    assert play.world.stage == "canary"

    play.proceed()

    assert play.world.stage == "10"
    play.teardown()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

"""A journal, workers and broker that are only data, around the machine of a rollout.

Every output waits in `todo` until it is done, every answer in `inbox` until it is delivered: a
test may lose, repeat, delay and reorder them, kill the controller between any two, and let a
second one act on what the first one knew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from risk_daemon.rollout import machine
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.exposure import HOUR, MINUTE, Span
from risk_daemon.rollout.plan import Dwell, Phase, Plan, Version

OLD = Version("v1.2.0", "abc123")
OLDER = Version("v1.1.0", "abc000")
NEW = Version("v1.3.0", "def456")
DOLLAR = 1_000_000_000
T0 = 1_000_000 * HOUR
ALWAYS = (Span(0, 2 * T0, "always"),)
GATES = ("errors", "latency")

type Deed = said.Persist | said.Order
type Step = Callable[[machine.State, machine.Input], tuple[machine.State, machine.Outputs]]


def dwell(minutes: int = 10, events: int = 5, longest: int = 600) -> Dwell:
    return Dwell(
        wall_ns=minutes * MINUTE,
        open_minutes=minutes,
        events=events,
        longest_ns=longest * MINUTE,
    )


def plan(n: int = 4, minutes: int = 10, **changes: Any) -> Plan:
    names = (("shadow", 0), ("canary", 0), ("10", 10), ("50", 50), ("100", 100), ("soak", 100))
    uptos = {"shadow": 0, "canary": 1}
    phases = tuple(
        Phase(
            name=name,
            percent=percent,
            upto=uptos.get(name, max(1, -(-n * percent // 100))),
            dwell=dwell(minutes),
            gates=GATES,
            situations=("reconnect",) if name == "canary" else (),
        )
        for name, percent in names
    )
    made = Plan(
        rollout="r1",
        release=NEW.release,
        commit=NEW.commit,
        fallback=OLD.release,
        fallback_commit=OLD.commit,
        order=tuple(range(1, n + 1)),
        phases=phases,
        risk_cap_ppm=(1_000_000,) * len(phases),
        gates=("tests", "audit"),
    )
    return msgspec.structs.replace(made, **changes)


def accounts(
    made: Plan, risk: Callable[[int], int] = lambda number: number
) -> dict[int, rows.Holding]:
    return {
        number: rows.Holding(has=OLD, epoch=1, risk=risk(number) * DOLLAR) for number in made.order
    }


class World:
    """One rollout and everything around it."""

    def __init__(
        self,
        made: Plan | None = None,
        step: Step = machine.step,
        risk: Callable[[int], int] | None = None,
    ) -> None:
        made = made or plan()
        self.machine_step = step
        holdings = accounts(made, risk) if risk else accounts(made)
        self.now, self.steady = T0, 0
        self.revision, self.latch, self.body = 0, "", b""
        self.leases = {n: (holding.has, holding.epoch) for n, holding in holdings.items()}
        self.entries: list[said.Entry] = []
        self.tells: list[said.Tell] = []
        self.answers: list[said.Answer] = []
        self.todo: list[Deed] = []
        self.inbox: list[machine.Input] = []
        self.ordered: list[Deed] = []
        self.stages: list[str] = []
        self.warm: set[Version] = {OLD}
        self.smoke: dict[int, str] = {}
        self.reconcile: dict[int, str] = {}
        self.refuses: dict[tuple[int, Version], str] = {}
        self.ask = 0
        self.crash_at = 0
        self.late: list[Deed] = []
        self.acts_late = False
        self.state, outputs = machine.begin(rows.begin(made, holdings))
        self.take(outputs)

    # --- around the machine ---

    @property
    def row(self) -> rows.Row:
        return self.state.row

    @property
    def stage(self) -> str:
        return self.row.stage

    def take(self, outputs: machine.Outputs) -> None:
        for output in outputs:
            if isinstance(output, said.Answer):
                self.answers.append(output)
            else:
                self.todo.append(output)
                self.ordered.append(output)

    def hear(self, given: machine.Input) -> None:
        self.state, outputs = self.machine_step(self.state, given)
        self.take(outputs)

    def held(self, number: int) -> said.Held:
        version, epoch = self.leases[number]
        return said.Held(number, version, epoch)

    def truth(self) -> tuple[said.Held, ...]:
        return tuple(self.held(number) for number in sorted(self.leases))

    def stored(self) -> said.Recovered:
        return said.Recovered(
            at=self.now, revision=self.revision, body=self.body, held=self.truth()
        )

    def do(self, output: Deed) -> None:
        """Do what was asked; its answer waits in the inbox."""
        at = self.now
        match output:
            case said.Persist():
                self.inbox.append(self.persist(output))
                if self.revision == self.crash_at:
                    self.crash_at = 0
                    self.crash()
            case said.Switch() if output.account not in self.leases:
                pass  # it is guarded here no more: nobody answers for it
            case said.Switch():
                self.inbox.append(self.switch(output))
            case said.Smoke(id=name, account=number):
                says = self.smoke.get(number, rows.PASS)
                self.inbox.append(said.SmokeSaid(at=at, id=name, says=says))
            case said.Reconcile(id=name, account=number):
                says = self.reconcile.get(number, rows.PASS)
                self.inbox.append(said.Reconciled(at=at, id=name, says=says))
            case said.Warm(id=name, version=version):
                self.warm.add(version)
                self.inbox.append(said.Carried(at=at, id=name))
                self.inbox.append(said.WorkerReady(at=at, version=version))
                if version == NEW:
                    self.inbox.append(said.CaughtUp(at=at, accounts=tuple(self.leases)))
            case said.Retire(id=name, version=version):
                assert version.release not in {has.release for has, _ in self.leases.values()}
                self.warm.discard(version)
                self.inbox.append(said.Carried(at=at, id=name))

    def persist(self, wanted: said.Persist) -> machine.Input:
        if wanted.expected != self.revision:
            return self.stored()
        self.revision, self.latch, self.body = wanted.revision, wanted.latch, wanted.body
        for number in wanted.bump:
            if number in self.leases:
                version, epoch = self.leases[number]
                self.leases[number] = (version, epoch + 1)
        self.entries += wanted.entries
        self.tells += wanted.tells
        stage = rows.decode(wanted.body).stage
        if not self.stages or self.stages[-1] != stage:
            self.stages.append(stage)
        bumped = tuple(self.held(number) for number in wanted.bump if number in self.leases)
        return said.Persisted(at=self.now, revision=wanted.revision, bumped=bumped)

    def switch(self, wanted: said.Switch) -> machine.Input:
        number = wanted.account
        version, epoch = self.leases[number]
        why = self.refuses.get((number, wanted.version), "")
        if version != wanted.version:
            if self.latch != wanted.latch:
                why = why or "the rollout has gone on"
            elif epoch != wanted.epoch:
                why = why or "the epoch has changed"
            if not why:
                self.leases[number] = (wanted.version, epoch + 1)
        held = self.held(number)
        if why:
            return said.SwitchFailed(at=self.now, id=wanted.id, held=held, why=why)
        return said.Switched(at=self.now, id=wanted.id, held=held)

    def deliver(self) -> None:
        self.hear(self.inbox.pop(0))

    def settle(self, most: int = 10_000) -> None:
        """Let everything happen, in order, until nothing is left to do."""
        for _ in range(most):
            if self.inbox:
                self.deliver()
            elif self.todo or self.late:
                self.do((self.todo or self.late).pop(0))
            else:
                return
        raise AssertionError("it does not come to an end")

    def take_away[Kind](self, kind: type[Kind]) -> list[Kind]:
        """Let things happen until something of a kind is to be done, and take all such away."""
        for _ in range(10_000):
            if any(isinstance(one, kind) for one in self.todo):
                break
            self.deliver() if self.inbox else self.do(self.todo.pop(0))
        taken: list[Kind] = [one for one in self.todo if isinstance(one, kind)]
        self.todo = [one for one in self.todo if not isinstance(one, kind)]
        return taken

    def crash(self) -> None:
        """The controller dies and begins from what is stored.

        What it had asked for is lost, or (`acts_late`) is done after the new one has done its part.
        """
        if self.acts_late:
            self.late += [one for one in self.todo if not isinstance(one, said.Persist)]
        self.todo.clear()
        self.inbox.clear()
        self.state, outputs = machine.restart(self.stored())
        self.take(outputs)
        self.look()

    def look(self) -> None:
        """Tell the controller what workers and accounts there are, as its host always does."""
        for number in set(self.row.accounts) - set(self.leases):
            self.hear(said.AccountRemoved(at=self.now, account=number))
        for number in sorted(set(self.leases) - set(self.row.accounts)):
            self.hear(said.AccountAdded(at=self.now, held=self.held(number), risk=DOLLAR))
        for version in sorted(self.warm, key=str):
            self.hear(said.WorkerReady(at=self.now, version=version))
        if NEW in self.warm:
            self.hear(said.CaughtUp(at=self.now, accounts=tuple(self.leases)))

    # --- what a test says ---

    def please(self, kind: type[Any], actor: str = "ann", **more: Any) -> tuple[str, ...]:
        """Ask as a person, let it happen, and return what was refused.

        Who gets no answer, because the controller died, asks again.
        """
        for _ in range(3):
            self.ask += 1
            self.hear(kind(at=self.now, actor=actor, ask=self.ask, **more))
            self.settle()
            for one in self.answers:
                if one.ask == self.ask:
                    return one.refused
        raise AssertionError("nobody answers")

    def judge(self, gate: str, says: str = rows.PASS, **more: Any) -> None:
        self.hear(
            said.Judged(
                at=self.now,
                gate=gate,
                says=says,
                sentence=f"{gate} {says}",
                evidence=str(more.pop("evidence", "e")),
                version=NEW,
                phase=str(more.pop("phase", self.stage)),
                **more,
            )
        )
        self.settle()

    def green(self) -> None:
        """Let every gate before the start say pass, again where that was lost."""
        for gate in self.row.plan.gates:
            self.judge(gate, phase="")

    def passes(self, minutes: int = 1, *, trusted: bool = True) -> None:
        self.now += minutes * MINUTE
        self.steady += minutes * MINUTE
        self.hear(said.Passed(at=self.now, steady=self.steady, spans=ALWAYS, trusted=trusted))
        self.look()
        self.settle()

    def live_through(self, minutes: int = 0) -> None:
        """See all that the present phase asks for, every gate saying pass each minute."""
        self.passes(0)
        longest = max(phase.dwell.open_minutes for phase in self.row.plan.phases)
        for _ in range(minutes or longest + 1):
            for gate in GATES:
                self.judge(gate)
            self.passes()
        self.hear(said.Decided(at=self.now, events=5))
        self.hear(said.Witnessed(at=self.now, situation="reconnect"))
        self.settle()

    def start(self) -> None:
        self.settle()
        self.green()
        self.settle()
        assert self.please(said.Start) == ()

    def until(self, stage: str) -> World:
        """Bring a good release up to a phase, and return myself."""
        self.start()
        while self.stage != stage:
            before = self.stage
            for _ in range(3):
                self.live_through()
                if self.stage != before or self.proceed() == ():
                    break
            assert self.stage != before, self.proceed()
            if self.row.plan.auto_advance and self.stages.count(stage):
                return self
        return self

    def proceed(self) -> tuple[str, ...]:
        """Ask for what comes after the present phase; return what is missing."""
        after = rows.next_stage(self.row)
        if after == rows.DONE:
            return self.please(said.Complete)
        return self.please(said.Promote, phase=after)

    def on(self, version: Version) -> set[int]:
        return {number for number, (has, _) in self.leases.items() if has == version}

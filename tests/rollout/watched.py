"""A world with a witness of its own: what must never happen in a rollout, looked for at every step.

The witness goes by what the world did and by its own clock, not by what the machine says of it.
"""

from __future__ import annotations

from typing import Any

from risk_daemon.rollout import freeze, machine
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.exposure import MINUTE
from risk_daemon.rollout.plan import Phase
from tests.rollout.world import NEW, OLD, Deed, World


class Broken(AssertionError):
    """Something happened that must not; `rule` names it."""

    def __init__(self, rule: str, what: object) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule


class Seen:
    """What the witness saw since a stage was entered."""

    def __init__(self, steady: int) -> None:
        self.entered = steady
        self.events = 0
        self.situations: set[str] = set()
        self.said: dict[str, str] = {}


class Watched(World):
    """A world that looks at every step."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.seen = Seen(0)
        #: By stage that was left: a controller that dies before that is stored is in it again.
        self.left: dict[str, Seen] = {}
        super().__init__(*args, **more)

    # --- each step ---

    def hear(self, given: machine.Input) -> None:
        before = self.row
        if isinstance(given, said.Decided):
            self.seen.events += given.events
        if isinstance(given, said.Witnessed):
            self.seen.situations.add(given.situation)
        if isinstance(given, said.Judged) and given.phase == self.stage:
            self.seen.said[given.gate] = given.says
        super().hear(given)
        self.look_at(before, self.row)
        for name, command in self.row.commands.items():
            if command.does == rows.SWITCH and name not in before.commands:
                self.ordered_switch(self.row, command.account)

    def look_at(self, before: rows.Row, after: rows.Row) -> None:
        phase = rows.phase_of(before)
        if before.stage == after.stage:
            return
        if phase is not None and rows.kind(after) in (rows.PHASE, rows.DONE):
            self.advanced(after, phase)
        if before.stage in (rows.DRAFT, rows.GATED) and after.stage == rows.STAGED:
            self.started(after)
        self.left[before.stage], self.seen = self.seen, Seen(self.steady)

    def crash(self) -> None:
        stage = rows.decode(self.body).stage
        if stage != self.row.stage:
            self.seen = self.left.get(stage, Seen(self.steady))
        super().crash()

    def started(self, row: rows.Row) -> None:
        for gate in row.plan.gates:
            said_of = row.gates.get(gate)
            if (said_of is None or said_of.says != rows.PASS) and not self.accepted(row, gate):
                raise Broken("gate before the start", gate)

    def advanced(self, row: rows.Row, phase: Phase) -> None:
        """A phase ended: look at what it must have seen."""
        if row.holds:
            raise Broken("hold", row.holds)
        for number in self.wanted(row, phase):
            if self.leases[number][0] != NEW:
                raise Broken("accounts", number)
            holding = row.accounts[number]
            if (holding.smoke, holding.reconcile) != (rows.PASS, rows.PASS):
                raise Broken("smoke and reconcile", number)
        if OLD not in self.warm:
            raise Broken("standby", OLD)
        for gate in phase.gates:
            says = self.seen.said.get(gate, "nothing")
            if says != rows.PASS and not self.accepted(row, gate):
                raise Broken("gates", (gate, says))
        lived = self.steady - self.seen.entered
        if lived < phase.dwell.wall_ns and not self.accepted(row, "dwell"):
            raise Broken("dwell", lived // MINUTE)
        if self.seen.events < phase.dwell.events and not self.accepted(row, "dwell"):
            raise Broken("dwell", self.seen.events)
        if not set(phase.situations) <= self.seen.situations and not self.accepted(
            row, "situations"
        ):
            raise Broken("situations", phase.situations)
        if row.spent and not self.accepted(row, "budget"):
            raise Broken("budget", row.spent)
        if self.is_frozen(row, freeze.PROMOTE, None):
            raise Broken("freeze", freeze.PROMOTE)
        agreed = {person for name, person in row.approvals if name == phase.name}
        if len(agreed) < phase.approvals and phase.name not in row.glass:
            raise Broken("approvals", agreed)

    def wanted(self, row: rows.Row, phase: Phase) -> list[int]:
        """By the plan alone: who must be on the candidate."""
        first = row.order if phase.percent == 100 else row.plan.order[: phase.upto]
        return [number for number in first if number in row.accounts]

    def accepted(self, row: rows.Row, gate: str) -> bool:
        valid = [one for one in row.overrides if one.gate == gate and self.now < one.until]
        wide = gate in ("dwell", "situations", "freeze", "budget")
        return len({one.person for one in valid}) > int(wide) or any(
            one.breaks_glass for one in valid
        )

    def is_frozen(self, row: rows.Row, what: str, number: int | None) -> bool:
        return not self.accepted(row, "freeze") and any(
            what in one.forbids
            and one.begin <= self.now < one.end
            and (not one.accounts or number in one.accounts)
            for one in row.freezes
        )

    # --- each order ---

    def take(self, outputs: machine.Outputs) -> None:
        super().take(outputs)
        for output in outputs:
            if isinstance(output, said.Answer | said.Persist):
                continue
            if output.id not in rows.decode(self.body).commands:
                raise Broken("write-ahead", output.id)

    def do(self, output: Deed) -> None:
        before = self.row
        if isinstance(output, said.Persist):
            self.written(before, output)
        super().do(output)
        self.judge_leases()

    def written(self, before: rows.Row, persist: said.Persist) -> None:
        stored = rows.decode(self.body) if self.body else None
        coming = rows.decode(persist.body)
        for entry in persist.entries:
            if not (entry.actor and entry.reason and entry.evidence):
                raise Broken("audit", entry)
        known = {one.id for one in self.tells}
        if persist.expected == self.revision and any(one.id in known for one in persist.tells):
            raise Broken("told twice", persist.tells)
        moved = stored is not None and rows.kind(stored) == rows.PHASE != rows.kind(coming)
        if moved and {one.audience for one in persist.tells} != {"traders", "admins", "management"}:
            raise Broken("told", (before.stage, coming.stage))

    def ordered_switch(self, row: rows.Row, number: int) -> None:
        """A switch is wanted: look whether it may be."""
        phase = rows.phase_of(row)
        if phase is None or number not in self.wanted(row, phase):
            raise Broken("nested", number)
        if self.is_frozen(row, freeze.SWITCH, number):
            raise Broken("freeze of an account", number)
        cap = row.plan.risk_cap_ppm[[one.name for one in row.plan.phases].index(phase.name)]
        total = sum(one.risk for one in row.accounts.values())
        held = sum(
            one.risk for one in row.accounts.values() if one.has == NEW or one.at == rows.SWITCHING
        )
        if held * 1_000_000 > cap * total:
            raise Broken("risk", (number, held, total))
        if OLD not in self.warm:
            raise Broken("standby of a switch", number)

    # --- what is true of the accounts ---

    def judge_leases(self) -> None:
        if self.body and rows.decode(self.body).stage in (rows.ABORTED, rows.ROLLED_BACK):
            left = self.on(NEW)
            if left:
                raise Broken("over", left)

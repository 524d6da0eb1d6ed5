"""The defences of the protocol, and the daemon without one of them.

Production code has no switch: here a shell of the simulation lies to its machine, skips a step or
drops what the machine remembers. A defence whose absence no history notices is not one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from risk_daemon.broker import fence
from risk_daemon.broker.port import UNKNOWN, Reading, Request
from risk_daemon.core.events import Intended
from risk_daemon.proving.clockwork import MS, SECOND
from risk_daemon.wire import control
from risk_daemon.wire.record import new_record

if TYPE_CHECKING:
    from risk_daemon.proving.journal import Journal
    from risk_daemon.proving.link import Link
    from risk_daemon.proving.supervisor import Supervisor
    from risk_daemon.proving.worker import Worker

EPOCH: Final = "epoch-test"
EPOCH_STORED: Final = "epoch-test-at-the-journal"
SLOT: Final = "slot"
VOID: Final = "void-double-read"
PROTECTS: Final = "protective-orders-stay"
KILL: Final = "kill-before-bump"
DURABLE: Final = "durable-before-send"
COMPARE: Final = "compare-and-set"
HELD: Final = "held-by-the-link"
LOCK_FILE: Final = "lock-file"
INCARNATION: Final = "incarnation"
FLUSH: Final = "flush-before-answer"
NOTED: Final = "noted-before-send"

#: What the absence of its masks breaks by itself, and is not judged when a defence is out.
DEAF: Final[dict[str, frozenset[str]]] = {EPOCH: frozenset({"S9"})}

#: Each defence, and those that must be off too before a history can notice it alone.
DEFENCES: Final[dict[str, tuple[str, ...]]] = {
    EPOCH: (KILL, EPOCH_STORED),
    EPOCH_STORED: (KILL, EPOCH),
    SLOT: (),
    VOID: (),
    PROTECTS: (),
    KILL: (EPOCH, EPOCH_STORED),
    DURABLE: (),
    COMPARE: (),
    HELD: (),
    LOCK_FILE: (),
    INCARNATION: (),
    FLUSH: (),
    NOTED: (),
}


class Without:
    """What the shells ask before they let a machine have its way; `off` names defences."""

    def __init__(self, off: frozenset[str]) -> None:
        self.off = off
        self._epochs: dict[str, int] = {}
        self._leaving_open: set[str] = set()

    def epoch_of(self, intended: Intended) -> int:
        """Return the epoch that a goal really has, whatever the fence was told."""
        return self._epochs.get(intended.key, intended.epoch)

    def is_closing(self, intended: Intended) -> bool:
        """Tell whether a cancel really is part of a plan that closes the position."""
        return intended.goal.closing and intended.key not in self._leaving_open

    def fenced(self, link: Link, given: fence.Input) -> list[fence.Output]:
        """Hand an input to the fence of a link."""
        if not self.off:
            return fence.step(link.gate, given, link.clock.now_ns())
        saved = None
        if isinstance(given, fence.Decided):
            given = self._decided(link, given)
            goal = given.intended.goal
            gate = link.gate.of(given.intended.account)
            if SLOT in self.off and goal.act in ("close", "reduce"):
                saved = gate.slots.pop(goal.contract, None)
        outputs = fence.step(link.gate, given, link.clock.now_ns())
        if saved is not None:
            link.gate.of(saved.intended.account).slots.setdefault(saved.request.contract, saved)
        if HELD in self.off:
            for account in link.gate.accounts.values():
                account.held.clear()
        return outputs

    def _decided(self, link: Link, given: fence.Decided) -> fence.Decided:
        intended = given.intended
        epoch = link.gate.of(intended.account).epoch
        replace = msgspec.structs.replace
        if EPOCH in self.off and intended.epoch < epoch:
            self._epochs.setdefault(intended.key, intended.epoch)
            intended = replace(intended, epoch=epoch)
        if PROTECTS in self.off and intended.goal.act == "cancel" and not intended.goal.closing:
            self._leaving_open.add(intended.key)
            intended = replace(intended, goal=replace(intended.goal, closing=True))
        return fence.Decided(intended, given.by_person)

    def readings(self, link: Link, reading: Reading) -> list[Reading]:
        """Return what the fence is told of a reading."""
        gate = link.gate.of(reading.account)
        unknown = [slot for slot in gate.slots.values() if slot.outcome == UNKNOWN]
        if VOID not in self.off or not unknown or reading.recent is None:
            return [reading]
        late = max(reading.began_at, unknown[0].since + 4 * SECOND)
        replace = msgspec.structs.replace
        return [replace(reading, began_at=late - 300 * MS), replace(reading, began_at=late)]

    def kill(self, supervisor: Supervisor, name: str) -> bool:
        """Tell whether a kill is left out; the promotion machine then hears of a death."""
        if KILL not in self.off:
            return False
        shell = supervisor.world.shells[name]
        supervisor.later(0, supervisor.reaped, name, shell.life)
        return True

    def granted(self, journal: Journal, asked: control.GrantLeases) -> control.GrantLeases:
        """Return the grant that the journal judges."""
        if COMPARE not in self.off:
            return asked
        leases = journal.intake.leases
        grants = [
            control.Grant(
                one.account,
                leases[one.account].epoch if one.account in leases else 0,
                one.holder,
                one.release,
            )
            for one in asked.grants
        ]
        return control.GrantLeases(asked.id, grants)

    def intended(self, journal: Journal, asked: control.Intend) -> control.Intend:
        """Return the intent that the journal judges.

        What came too late has another name than the heir's own: it is of a release that names its
        goals otherwise, or being stored once would hide it.
        """
        lease = journal.intake.leases.get(asked.account)
        if EPOCH_STORED not in self.off or lease is None or asked.epoch >= lease.epoch:
            return asked
        key = f"{asked.key} late"
        fact = msgspec.msgpack.decode(asked.record.payload, type=Intended)
        record = new_record(msgspec.structs.replace(fact, key=key))
        return control.Intend(asked.id, asked.account, lease.epoch, key, record)

    def flushes(self) -> bool:
        """Tell whether a promise is flushed before it is answered."""
        return FLUSH not in self.off

    def decided(self, worker: Worker, intended: Intended) -> None:
        """A worker has decided on a goal and asks for it."""
        if DURABLE in self.off:
            link = worker.world.link_of(intended.account)
            worker.send(link, link.take_goal, intended)

    def noted(self, link: Link, request: Request) -> None:
        """A request leaves next: a link notes that where its death does not take it away."""
        if NOTED not in self.off:
            at = fence.leaves_at(link.gate, request.account, link.clock.now_ns())
            link.sent[request.key] = at

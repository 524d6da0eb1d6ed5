"""The journal of the simulation: the real intake and sequencer, before a disk that may fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from risk_daemon.core.events import Fact, LockPlaced, Pulse
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.intake import Intake
from risk_daemon.journal.segment import once
from risk_daemon.journal.server import refuse
from risk_daemon.proving.chance import Offer
from risk_daemon.proving.clockwork import MS, SECOND
from risk_daemon.proving.shell import Shell
from risk_daemon.wire import control
from risk_daemon.wire.record import NewRecord, Record, new_record

if TYPE_CHECKING:
    pass

type Answer = Callable[[msgspec.Struct | None], None]

ON_COMMIT: Final = Offer(
    0.02,
    (
        ("slow-flush", 20 * MS, 2 * SECOND),
        ("slow-flush", 20 * MS, 2 * SECOND),
        ("disk-full", 200 * MS, 2 * SECOND),
        ("flush-failed", 0, 2),
        ("torn-commit", 0, 0),
    ),
)


class Peer(msgspec.Struct):
    """Who follows the stream: a process in one of its lives."""

    shell: Any
    life: int
    kinds: frozenset[str]


class Journal(Shell):
    """Orders, stores, shows, answers."""

    def begin(self) -> None:
        """Open the file and go on where it ends."""
        disk = self.world.disk
        self.world.judge.opened(disk)
        disk.open()
        head = disk.head()
        self.clock.go_on_from(head.at)
        self.intake = Intake(head, self.clock, disk.once.get)
        self._peers: list[Peer] = []
        self._answers: dict[int, list[tuple[Any, int, Answer, msgspec.Struct]]] = {}
        self._waiting: Batch | None = None
        self._is_writing = False
        self._wishes: dict[str, int] = {}
        self._take_kept()
        self._pulse(self.life)

    def _take_kept(self) -> None:
        """Take in, before anybody is answered, the locks that links kept durable meanwhile."""
        for link in self.world.links:
            for fact in link.file:
                if isinstance(fact, LockPlaced):
                    self.intake.append(control.Append(0, [new_record(fact, once(fact))]))
        self._hand_over()

    # --- time --------------------------------------------------------------------

    def _pulse(self, life: int) -> None:
        if life == self.life:
            self.emit(Pulse())
            self.later(SECOND, self._pulse, life)

    def wish(self, who: str, at: int) -> None:
        """Pulse at an instant; the earliest wish of each counts."""
        if at < self._wishes.get(who, at + 1):
            self._wishes[who] = at
            self.later(at - self.clock.now_ns(), self._fulfil)

    def _fulfil(self) -> None:
        now = self.clock.now_ns()
        due = [who for who, at in self._wishes.items() if at <= now]
        for who in due:
            del self._wishes[who]
        if due:
            self.emit(Pulse())
        elif self._wishes:  # the clock goes slower than the timer
            self.later(max(min(self._wishes.values()) - now, MS), self._fulfil)

    def emit(self, fact: Fact) -> None:
        """Write a fact of the journal's own."""
        self.intake.emit(fact)
        self._hand_over()

    # --- doors ---------------------------------------------------------------------

    def ask(self, who: Shell, life: int, asked: msgspec.Struct, answer: Answer) -> None:
        """Take a frame; `answer` gets what is said, None when the connection is lost."""
        said, batch = self._judged(asked)
        if batch <= self.intake.stored_batch:
            self._say(who, life, answer, said)
        else:
            self._answers.setdefault(batch, []).append((who, life, answer, said))
        self._hand_over()

    def _judged(self, asked: msgspec.Struct) -> tuple[msgspec.Struct, int]:
        intake, without = self.intake, self.world.without
        match asked:
            case control.Append():
                return intake.append(asked)
            case control.Intend():
                return intake.intend(without.intended(self, asked))
            case control.GrantLeases():
                return intake.grant(without.granted(self, asked))
            case control.Leases():
                return intake.held(asked)
            case control.PutSnapshots():
                return intake.keep(asked)
            case _:
                raise AssertionError(f"a {type(asked).__name__} is nothing to ask of a journal")

    def _say(self, who: Shell, life: int, answer: Answer, said: msgspec.Struct) -> None:
        self.do(f"answer {who.name}", self._answer, who, life, answer, said)

    def _answer(self, who: Shell, life: int, answer: Answer, said: msgspec.Struct) -> None:
        self.world.judge.answered(said, self.world.disk)
        self.world.send(self, who, life, answer, (said,))

    # --- storing -------------------------------------------------------------------

    def _hand_over(self) -> None:
        if self.intake.is_empty:
            return
        batch = self.intake.take_batch()
        if self._waiting is not None:
            self._waiting.absorb(batch)
        else:
            self._waiting = batch
        self._write()

    def _write(self) -> None:
        if self._is_writing or self._waiting is None:
            return
        batch, self._waiting = self._waiting, None
        self._is_writing = True
        least, most = (300_000, 3 * MS) if batch.has_promise else (20_000, 200_000)
        fault = self.world.chance.at(ON_COMMIT)
        wait, kind = self.world.draw(least, most), ""
        if fault is not None:
            kind = fault.kind
            self.world.fault(kind, "disk", f"batch {batch.number}")
            wait += fault.amount if kind == "slow-flush" else 0
            if kind == "disk-full":
                self.world.disk.full_until = self.world.clockwork.now + fault.amount
        self.later(wait, self._commit, batch, kind, fault.amount if fault else 0)

    def _commit(self, batch: Batch, kind: str, amount: int) -> None:
        disk = self.world.disk
        if self.world.clockwork.now < disk.full_until:
            self._fail(certain=True)
        elif kind == "torn-commit":
            self.do("torn", self.kill)
        elif kind == "flush-failed":
            if amount:
                self.do("store", disk.store, batch)
            self._fail(certain=False)
        else:
            self.do("store", disk.store, batch)
            self.do("lock file", disk.keep_locks)
            self.do("stored", self._stored, batch)

    def _fail(self, *, certain: bool) -> None:
        """Refuse what is known not to be stored, and end: never write again after a failure."""
        if certain:
            for answers in self._answers.values():
                for who, life, answer, said in answers:
                    if hasattr(said, "refused"):
                        self._say(who, life, answer, refuse(said, "the disk is full"))
        self.do("end", self.kill)

    def _stored(self, batch: Batch) -> None:
        self._is_writing = False
        records = self.intake.stored(batch)
        if records:
            self.world.judge.shown(records)
            for peer in self._peers:
                self._show(peer, records)
        for number in [number for number in self._answers if number <= batch.number]:
            for who, life, answer, said in self._answers.pop(number):
                self._say(who, life, answer, said)
        self._write()

    # --- the stream ------------------------------------------------------------------

    def _show(self, peer: Peer, records: list[Record]) -> None:
        if peer.life != peer.shell.life:
            return
        if peer.kinds:
            records = [record for record in records if record.kind in peer.kinds]
        if records:
            self.do(
                f"show {peer.shell.name}",
                self.world.send,
                self,
                peer.shell,
                peer.life,
                peer.shell.on_records,
                (records,),
            )

    def subscribe(self, who: Any, life: int, seen: tuple[int, int], kinds: frozenset[str]) -> None:
        """Send all after what was seen, then what comes; who knows more than the file is told."""
        if life != who.life:
            return  # the last words of a process that ended: its successor has its own connection
        seq, crc = seen
        ours = self.world.disk.crc_at(seq)
        if ours is None or (crc >= 0 and ours != crc):
            self.do(f"cut {who.name}", self.world.send, self, who, life, who.on_truncated, ())
            return
        peer = Peer(who, life, kinds)
        self._peers = [one for one in self._peers if one.shell is not who]
        self._show(peer, self._shown_since(seq))
        self._peers.append(peer)
        self.do(f"live {who.name}", self.world.send, self, who, life, who.on_live, ())

    def _shown_since(self, seq: int) -> list[Record]:
        """Return what is stored and was shown already; what is stored since is shown to all."""
        records = self.world.disk.records
        return records[seq : self.intake.stored_seq]


def frames(*records: NewRecord) -> control.Append:
    """Make a request to store records; who answers knows it without its number."""
    return control.Append(0, list(records))

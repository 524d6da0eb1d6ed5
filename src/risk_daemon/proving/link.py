"""The link of the simulation: the real fence, budget and queue before the simulated broker."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from risk_daemon.broker import budget as rationing
from risk_daemon.broker import fence
from risk_daemon.broker.gate import refuse
from risk_daemon.broker.port import COST, FULL, POSITIONS, RECENT, Outcome, Reading, Request, Rows
from risk_daemon.core.events import (
    AccountSeen,
    ContractSeen,
    Fact,
    FeedChanged,
    Intended,
    LeaseGranted,
    LockPlaced,
    Reconciled,
)
from risk_daemon.journal.segment import once
from risk_daemon.link import stamping
from risk_daemon.link.emergency import may_be_stored_yet
from risk_daemon.link.hands import objection
from risk_daemon.link.inherited import KINDS as INHERITED
from risk_daemon.link.inherited import Sent, inherited
from risk_daemon.link.loop import KINDS, OVERLAP, SUPERSEDED
from risk_daemon.link.unsaid import Unsaid
from risk_daemon.link.waiting import KEPT, Waiting
from risk_daemon.proving.clockwork import MS, SECOND
from risk_daemon.proving.exchange import CONTRACTS, ON_READ
from risk_daemon.proving.shell import SENDS, Shell
from risk_daemon.settings import Login
from risk_daemon.wire import control
from risk_daemon.wire.record import NewRecord, Record, new_record

if TYPE_CHECKING:
    from risk_daemon.proving.world import World

RECONNECT: Final = 50 * MS
OPEN_AGAIN: Final = 250 * MS
READ_AGAIN: Final = {True: 20 * MS, False: 100 * MS}
FAILED_AGAIN: Final = 250 * MS
BUDGET_LOOK: Final = 100 * MS
RECONCILE: Final = 10 * SECOND
TICK_MAX: Final = 250 * MS


class Link(Shell):
    """One login's."""

    def __init__(self, world: World, login: Login) -> None:
        super().__init__(world, f"link-{login.name}")
        self.login = login
        #: Survives the process: the emergency file on this disk.
        self.file: list[Intended | LockPlaced] = []
        #: By key: when a goal was written there.
        self.kept_at: dict[str, int] = {}
        #: As that, but not a power cut: when each goal's request left, noted before it did.
        self.sent: dict[str, int] = {}
        self._boots = 1
        self.gate = fence.Gate(session="")

    def begin(self) -> None:
        """Take over from an earlier run, as soon as the journal answers."""
        now = self.clock.now_ns()
        self.gate = fence.Gate(session=f"{self.name}.{self.life}", version_base=now // 1_000)
        self.budget = rationing.Budget()
        self._sent = Sent(f"log of boot {self._boots}", dict(self.sent).get)
        self.queue = Waiting(
            self.budget,
            self.clock.now_ns,
            self.apply,
            lambda: None,
            left_at=self._sent.left_at,
        )
        self.standing: dict[int, AccountSeen] = {}
        self.read_at: dict[int, int] = {}
        self.state = ""
        self._stream = 0
        self._unsaid = Unsaid(self._gap)
        self._wishes: dict[int, str] = {}
        self._busy: set[int] = set()
        self._tick_at = 0
        self._opened_at = 0
        self.journal_life = 0
        self._has_begun = False
        self._connect()

    def lose_log(self) -> None:
        """Another boot: what an earlier one noted is believed by nobody (`link.send_log`)."""
        self.sent.clear()
        self._boots += 1

    def take_if(self, life: int, call: Any, *args: Any) -> None:
        """Take an input that was meant for one life of this process."""
        if life == self.life:
            self.take(call, *args)

    # --- the journal -------------------------------------------------------------

    def _connect(self) -> None:
        journal = self.world.journal
        if not journal.is_alive:
            self.later(RECONNECT, self._connect)
            return
        self.journal_life = journal.life
        if self._has_begun:
            self._resend()
        else:
            self.do("asks for the past", self.world.ask_past, self)

    def on_past(self, leases: list[control.Lease], records: list[Record], seen: Any) -> None:
        """Begin with what an earlier run left: epochs, goals in doubt, goals that never left."""
        self._has_begun = True
        mine = self.login.accounts
        for lease in leases:
            if lease.account in mine:
                self._raise(lease.account, lease.epoch)
        kept = [(self.kept_at[f.key], f) for f in self.file if isinstance(f, Intended)]
        found = inherited(
            [record for record in records if record.kind in INHERITED],
            self.login.name,
            mine,
            self._sent,
            kept,
        )
        for at, intended in found.in_doubt:
            self.queue.look_for(intended, at)
        for _, intended in kept:
            self.queue.know(intended.key)
        self._perform([refuse(intended, SUPERSEDED) for intended in found.superseded])
        self._perform([refuse(intended, fence.SUPERSEDED) for intended in found.over])
        for intended in found.fresh:
            self.take_goal(intended)
        self._say_feed("blind", "its link begins")
        self._subscribe(seen)
        self._fold_file()
        self._reconcile(self.life)
        self._open()

    def _subscribe(self, seen: tuple[int, int]) -> None:
        self.seen = seen
        journal = self.world.journal
        kinds = frozenset(KINDS)
        self.send(journal, journal.subscribe, self, self.life, seen, kinds)

    def on_lost_journal(self, life: int) -> None:
        """The connection to the journal broke."""
        if life == self.journal_life:
            self.journal_life = 0
            self.later(RECONNECT, self._connect)

    def _resend(self) -> None:
        """Say again, in order, what had no answer; fold what was done meanwhile."""
        for number, records in self._unsaid.rest():
            self._tell(number, records)
        self._subscribe(self.seen)
        self._fold_file()
        self._say_feed(self.state, "the journal is back")
        for account in self.login.accounts:
            self._want(account)

    def _fold_file(self) -> None:
        for fact in self.file:
            record = new_record(fact, once(fact))
            asked: control.Intend | control.Append = control.Append(0, [record])
            if isinstance(fact, Intended):
                asked = control.Intend(0, fact.account, fact.epoch, fact.key, record)
            self.world.to_journal(self, asked, partial(self._folded, fact))

    def _folded(self, fact: Intended | LockPlaced, said: Any) -> None:
        if said is not None and not may_be_stored_yet(fact, said):
            self.do("clears its file", self._clear, fact)

    def _clear(self, fact: Intended | LockPlaced) -> None:
        if fact in self.file:
            self.file.remove(fact)

    def _put(self, *facts: Fact) -> None:
        taken = self._unsaid.put([new_record(fact) for fact in facts])
        if taken is not None and self.journal_life:
            self._tell(*taken)

    def _tell(self, number: int, records: list[NewRecord]) -> None:
        asked = control.Append(0, records)
        self.world.to_journal(self, asked, partial(self._told, number))

    def _told(self, number: int, said: Any) -> None:
        if said is None:
            return  # kept, and said again after the reconnect
        again = self._unsaid.answered(number, said.refused, is_nobodys=bool(said.accounts))
        for one in again:
            self._tell(*one)

    def _gap(self, why: str) -> None:
        """Facts did not get into the stream: every account is read."""
        del why
        for account in self.login.accounts:
            self._want(account)

    def on_records(self, records: list[Record]) -> None:
        """Take goals and epochs from the stream."""
        for record in records:
            self.seen = record.seq, record.crc
            match self.world.entry(record).fact:
                case Intended(account=account) as intended if account in self.login.accounts:
                    self.take_goal(intended)
                case LeaseGranted(account=account, epoch=epoch) if account in self.login.accounts:
                    self._raise(account, epoch)
                case _:
                    pass

    def _raise(self, account: int, epoch: int) -> None:
        self.world.judge.told(self.name, account, epoch)
        self.apply(fence.EpochRaised(account, epoch))

    def on_live(self) -> None:
        """All that was stored has been shown."""

    def on_truncated(self) -> None:
        """The journal lost what was seen here: begin again."""
        self.do("ends", self.kill)

    # --- goals -------------------------------------------------------------------------

    def take_goal(self, intended: Intended) -> None:
        """Take a durable goal, once."""
        if self.queue.take(intended):
            self._pump()

    def _pump(self) -> None:
        until = self.queue.pump()
        if until:
            self.later(until - self.clock.now_ns(), self._pump)

    def take_directly(self, intended: Intended, locks: tuple[LockPlaced, ...]) -> None:
        """Take a goal of a worker whose journal does not answer: onto the disk first."""
        if objection(intended, self.login) or self.queue.knows(intended.key):
            return
        for lock in locks:
            self.keep(lock)
        at = fence.leaves_at(self.gate, intended.account, self.clock.now_ns())
        self.do("writes its file", self._write, intended, at)
        self.do("takes a goal", self.take_goal, intended)

    def _write(self, intended: Intended, at: int) -> None:
        self.file.append(intended)
        self.kept_at[intended.key] = at

    def kept_keys(self) -> set[str]:
        """Return the keys of the goals that are in the emergency file."""
        return {fact.key for fact in self.file if isinstance(fact, Intended)}

    def keep(self, lock: LockPlaced) -> None:
        """Make a lock durable that the journal does not store."""
        if lock not in self.file:
            self.do("writes its file", self.file.append, lock)

    def apply(self, given: fence.Input) -> None:
        """Hand one input to the fence and do what it says."""
        outputs = self.world.without.fenced(self, given)
        self._perform(outputs)

    def _perform(self, outputs: list[fence.Output]) -> None:
        for output in outputs:
            match output:
                case fence.Report(fact=fact):
                    self._put(fact)
                case fence.Send(request=request):
                    self._let_out(request)
                    if not self._stream:  # nothing shows what becomes of it
                        self.apply(fence.StreamBroken())
                case fence.Read(account=account, depth=depth):
                    self._want(account, depth)
        self._schedule_tick()

    def _let_out(self, request: Request) -> None:
        if not self.queue.may_leave(request):
            self.later(0, self.apply, fence.Answered(request, KEPT))
            return
        intended = self._intended(request)
        self.do(f"notes {request.request}", self.world.without.noted, self, request)
        heard = self.world.judge.heard(self.name, request.account)
        what = f"{SENDS}{request.act} {request.request}"
        self.do(what, self._leave, request, intended, heard)

    def _intended(self, request: Request) -> Intended:
        gate = self.gate.of(request.account)
        if request.act in ("cancel", "modify"):
            return gate.cancels[request.order].intended
        return gate.slots[request.contract].intended

    def _leave(self, request: Request, intended: Intended, heard: int) -> None:
        world = self.world
        world.judge.left(request, intended, heard)
        exchange = world.exchange
        wait = world.wait("rest", self.name, 2 * MS, 12 * MS)
        answer = partial(self._answer_later, self.life, request)
        world.clockwork.after(wait, exchange.request, request, answer)

    def _answer_later(self, life: int, request: Request, outcome: Outcome) -> None:
        wait = self.world.wait("rest", self.name, 2 * MS, 12 * MS)
        self.world.clockwork.after(wait, self.take_if, life, self._answered, request, outcome)

    def _answered(self, request: Request, outcome: Outcome) -> None:
        self.queue.answered(request, outcome)
        self._pump()

    def _schedule_tick(self) -> None:
        due = fence.wake_at(self.gate)
        if not due:
            return
        now = self.clock.now_ns()
        due = min(max(due, now), now + TICK_MAX)
        if self._tick_at <= now or due < self._tick_at:
            self._tick_at = due
            self.later(due - now, self._tick, due)

    def _tick(self, due: int) -> None:
        if due == self._tick_at:
            self._tick_at = 0
            self.apply(fence.Ticked())

    # --- the streams ---------------------------------------------------------------------

    def _open(self) -> None:
        exchange = self.world.exchange
        if exchange.is_down or self.world.is_refused(self.login.name):
            self.later(OPEN_AGAIN, self._open)
            return
        self._stream = exchange.open(self.login.name, self)
        self._opened_at = self.clock.now_ns()
        self._put(*(_contract(name) for name in sorted(CONTRACTS)))
        for account in self.login.accounts:
            self.on_fact(exchange.row(exchange.books[account]))
            self._want(account, RECENT)

    def on_broken(self, stream: int) -> None:
        """The streams are gone: nothing that was sent is certain."""
        if stream != self._stream:
            return
        self._stream = 0
        self._feed("blind", "the streams broke")
        self.later(OPEN_AGAIN, self._open)

    def _feed(self, state: str, why: str) -> None:
        self.state = state
        if state == "blind":
            self.apply(fence.StreamBroken())
        self._say_feed(state, why)

    def _say_feed(self, state: str, why: str) -> None:
        log = self._sent.name
        self._put(FeedChanged(login=self.login.name, state=state, why=why, send_log=log))

    def _trust(self) -> None:
        """Trust the feed once every account was read since it was opened."""
        if not self._stream or self.state == "trusted":
            return
        if all(self.read_at.get(n, 0) >= self._opened_at for n in self.login.accounts):
            self._feed("trusted", "every account was read")

    def on_fact(self, fact: Fact) -> None:
        """Take one fact in: the fence first, the stream at once after it."""
        if isinstance(fact, AccountSeen):
            self.standing[fact.account] = fact
        fact, outputs = stamping.arrived(self.gate, fact, self.clock.now_ns())
        self._put(fact)
        self._perform(outputs)

    # --- reads -----------------------------------------------------------------------------

    def _want(self, account: int, depth: str = FULL) -> None:
        before = self._wishes.get(account, POSITIONS)
        self._wishes[account] = max(before, depth, key=lambda name: COST[name])
        self._serve(account)

    def _reconcile(self, life: int) -> None:
        if life == self.life:
            for account in self.login.accounts:
                self._want(account)
            self.later(RECONCILE, self._reconcile, life)

    def _serve(self, account: int) -> None:
        if account in self._busy or account not in self._wishes or account not in self.standing:
            return
        depth = self._wishes[account]
        share = self._share(account, depth)
        if not share:
            self._busy.add(account)
            self.later(BUDGET_LOOK, self._again, account)
            return
        del self._wishes[account]
        self._busy.add(account)
        self.do(f"reads {account}", self._read, account, depth, share)

    def _share(self, account: int, depth: str) -> str:
        now, cost = self.clock.now_ns(), COST[depth]
        shares = [rationing.VERIFICATION, rationing.REST]
        if depth == RECENT or account not in self.read_at:
            shares.append(rationing.ENFORCEMENT)
        return next((s for s in shares if rationing.take(self.budget, s, now, cost)), "")

    def _again(self, account: int) -> None:
        self._busy.discard(account)
        self._serve(account)

    def _read(self, account: int, depth: str, share: str) -> None:
        world = self.world
        arrivals, began = self.gate.of(account).arrivals, self.clock.now_ns()
        fault = world.chance.at(ON_READ)
        wait, torn = world.wait("read", self.name, 3 * MS, 15 * MS), -1
        is_failed = world.exchange.is_down
        if fault is not None:
            world.fault(fault.kind, "broker", f"read of {account}")
            is_failed = is_failed or fault.kind == "read-failed"
            wait += fault.amount if fault.kind == "read-slow" else 0
            torn = fault.amount if fault.kind == "read-torn" else -1
        end = partial(self._end_read, self.life, account, depth, share, arrivals, began)
        if is_failed:
            world.clockwork.after(wait, end, None)
        elif torn >= 0:
            world.clockwork.after(wait, self._tear, account, depth, torn, end)
        else:
            world.clockwork.after(wait, self._look, account, depth, end)

    def _look(self, account: int, depth: str, end: Any) -> None:
        end(self.world.exchange.rows(account, depth))

    def _tear(self, account: int, depth: str, wait: int, end: Any) -> None:
        earlier = self.world.exchange.rows(account, POSITIONS)
        self.world.clockwork.after(wait, self._tear_end, account, depth, earlier, end)

    def _tear_end(self, account: int, depth: str, earlier: Rows, end: Any) -> None:
        end(self.world.exchange.rows(account, depth, earlier))

    def _end_read(
        self,
        life: int,
        account: int,
        depth: str,
        share: str,
        arrivals: int,
        began: int,
        rows: Rows | None,
    ) -> None:
        wait = self.world.wait("read", self.name, 3 * MS, 15 * MS)
        given = (account, depth, share, arrivals, began, rows)
        self.world.clockwork.after(wait, self.take_if, life, self._was_read, *given)

    def _was_read(
        self,
        account: int,
        depth: str,
        share: str,
        arrivals: int,
        began: int,
        rows: Rows | None,
    ) -> None:
        now = self.clock.now_ns()
        rationing.answer(self.budget, share, now, COST[depth])
        if rows is None:
            self._wish_again(account, depth, FAILED_AGAIN)
            return
        stable = self.gate.of(account).arrivals == arrivals
        reading = self._reading(account, depth, began, rows, stable=stable)
        for given in self.world.without.readings(self, reading):
            reconciled, outputs = stamping.read(self.gate, given, now)
            self._put(reconciled)
            self._perform(outputs)
        if stable and depth != POSITIONS:
            self.read_at[account] = began
            self._trust()
        if stable:
            self._again(account)
        else:
            self._wish_again(account, depth, READ_AGAIN[depth != POSITIONS])

    def _wish_again(self, account: int, depth: str, wait: int) -> None:
        before = self._wishes.get(account, POSITIONS)
        self._wishes[account] = max(before, depth, key=lambda name: COST[name])
        self.later(wait, self._again, account)

    def _reading(
        self, account: int, depth: str, began: int, rows: Rows, *, stable: bool
    ) -> Reading:
        row = self.standing[account]
        since = self.read_at.get(account, 0) - OVERLAP
        return Reading(
            account=account,
            began_at=began,
            ended_at=self.clock.now_ns(),
            recent=rows.recent,
            rows=Reconciled(
                account=account,
                positions=rows.positions,
                orders=rows.orders,
                trades=tuple(trade for trade in rows.trades if trade.traded_at >= since),
                balance=row.balance,
                can_trade=row.can_trade,
                began_at=began,
                stable=stable,
                only_positions=depth == POSITIONS,
            ),
        )


def _contract(name: str) -> ContractSeen:
    root, size, value = CONTRACTS[name]
    return ContractSeen(contract=name, root=root, tick_size=size, tick_value=value)

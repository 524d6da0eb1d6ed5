"""What must hold, whatever goes wrong: judged at the broker, at the disk, and when all is healed.

The judge keeps books of its own and is told by the world, never by the machines it judges.
Numbers are those of docs/architecture/simulator.md.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from risk_daemon.broker.gate import protects
from risk_daemon.broker.port import Request
from risk_daemon.core.account import MARKET, WORKING, remaining
from risk_daemon.core.events import (
    Fact,
    Intended,
    LeaseGranted,
    LockEnded,
    LockPlaced,
    OrderChanged,
)
from risk_daemon.core.lockout import strictness
from risk_daemon.journal.batch import Batch
from risk_daemon.proving.clockwork import BEGIN, SECOND
from risk_daemon.wire import control
from risk_daemon.wire.control import Lease
from risk_daemon.wire.locks import Standing

if TYPE_CHECKING:
    from risk_daemon.proving.disk import Disk
    from risk_daemon.proving.exchange import Book, Exchange
    from risk_daemon.proving.world import World

#: What another's fill within this span of a request of ours may have caused is a race.
RACE: Final = 3 * SECOND
TIME_IS_OVER: Final = "its time is over"
KEPT: Final = 4_000


class Broken(Exception):
    """An invariant does not hold; `which` names it."""

    def __init__(self, which: str, text: str) -> None:
        super().__init__(f"{which}: {text}")
        self.which = which


class Judge:
    """Sees everything, and stops the history at the first thing that must not be."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.left_epoch: dict[int, int] = {}
        self.told_epoch: dict[tuple[str, int], int] = {}
        self.holders: dict[tuple[int, int], str] = {}
        self.highest: dict[int, int] = {}
        self.present: dict[int, int] = {}
        self.promised: deque[tuple[int, int]] = deque(maxlen=KEPT)
        self.standing = Standing()
        self.spoke: dict[tuple[str, int], set[str]] = {}
        self.executed: dict[str, int] = {}
        self.accepted_at: dict[str, int] = {}
        #: Requests that are beside another one of ours, for another's order was taken for ours.
        self.beside: set[str] = set()
        #: By how much the clock of a request's sender was behind as it left.
        self.behind: dict[str, int] = {}
        self.asked = 0
        self.granted_ask: dict[int, int] = {}
        self.checks = 0
        self.raced = 0
        self.wanted: dict[int, str] = {}
        #: What does not hold and is known not to (docs/architecture/simulator.md).
        self.known: Counter[str] = Counter()

    def _fail(self, which: str, text: str) -> None:
        if which not in self.world.plan.deaf:
            raise Broken(which, text)

    # --- at the last door ---------------------------------------------------------

    def decided(self, intended: Intended, worker: str) -> None:
        """A worker asks for an intent."""
        self.spoke.setdefault((intended.key, intended.epoch), set()).add(worker)

    def heard(self, link: str, account: int) -> int:
        """Return the epoch that a link has heard of."""
        return self.told_epoch.get((link, account), 0)

    def left(self, request: Request, intended: Intended, heard: int) -> None:
        """A request leaves the link, which let it out when it had heard of an epoch."""
        self.checks += 1
        epoch = self.world.without.epoch_of(intended)
        before = self.left_epoch.get(request.account, 0)
        if epoch < before:
            self._fail(
                "S1", f"{request.request} leaves under epoch {epoch}, after one of epoch {before}"
            )
        link = self.world.link_of(request.account)
        if epoch < heard:
            self._fail("S1", f"{request.request} leaves under epoch {epoch}, which is known over")
        self.left_epoch[request.account] = epoch
        self.behind[request.request] = max(
            BEGIN + self.world.clockwork.now - link.clock.now_ns(), 0
        )
        is_stored = f"intended/{intended.key}" in self.world.disk.once
        if not is_stored and intended.key not in link.kept_keys():
            self._fail("S4", f"{request.request} leaves for {intended.key}, which is not durable")
        if request.act == "cancel":
            self._cancelling(request, intended)

    def told(self, link: str, account: int, epoch: int) -> None:
        """A link has heard of a lease."""
        self.told_epoch[link, account] = epoch

    def _cancelling(self, request: Request, intended: Intended) -> None:
        """A cancel leaves: of what protects a position only in a plan that closes it."""
        book = self.world.exchange.books[request.account]
        order = book.orders.get(request.order)
        if order is None or order.status != WORKING or order.type == MARKET:
            return
        quantity = book.positions.get(order.contract, 0)
        gate = self.world.link_of(request.account).gate.of(request.account)
        view, seen = gate.view(order.contract), gate.orders[request.order].order
        views = {view.by_trades, view.by_orders, view.by_position}
        # What the link could not know yet is a race; what it knew is its own doing.
        sees = views == {quantity} and remaining(seen) == remaining(order)
        if sees and protects(order, quantity) and not self.world.without.is_closing(intended):
            self._fail("S3", f"{request.request} cancels {order.order}, which protects {quantity}")

    # --- at the broker --------------------------------------------------------------

    def accepted(self, exchange: Exchange, book: Book, request: Request) -> None:
        """The broker takes a close of ours and makes an order of it."""
        self.checks += 1
        alive = [
            n
            for n, order in book.orders.items()
            if n in exchange.ours and order.contract == request.contract and order.status in (1, 6)
        ]
        self.accepted_at[request.request] = self.world.clockwork.now
        if alive and self._is_mistakable(exchange, book, book.orders[alive[0]]):
            self.raced += 1
            self.beside |= {request.request, *(exchange.ours[n].request for n in alive)}
        elif alive:
            self._fail(
                "S5", f"{request.request} is taken while order {alive[0]} of ours is under way"
            )
        self.executed[request.request] = self.executed.get(request.request, 0) + 1
        if self.executed[request.request] > 1:
            self._fail("S5", f"{request.request} was taken twice")

    def _is_mistakable(self, exchange: Exchange, book: Book, ours: OrderChanged) -> bool:
        """Tell whether another's order may have been taken for ours: a market order of its side."""
        at = book.others_market_at.get(ours.side, -RACE)
        return self.world.clockwork.now - at < RACE or self._is_misdated(exchange, book, ours)

    def _is_misdated(self, exchange: Exchange, book: Book, ours: OrderChanged) -> bool:
        """Tell whether ours left by a clock that was behind: an older one may pass for it."""
        behind = self.behind[exchange.ours[ours.order].request]
        is_known = behind > 0 and any(
            order.type == MARKET and order.side == ours.side and order.order < ours.order
            for order in book.orders.values()
            if order.created >= ours.created - behind - RACE
        )
        if is_known:
            self.known["an older order is taken for ours by a clock that was behind"] += 1
        return is_known

    def filled(
        self, exchange: Exchange, book: Book, order: OrderChanged, before: int, after: int
    ) -> None:
        """An order fills: one of ours may only bring the position nearer to zero."""
        self.checks += 1
        if order.order not in exchange.ours:
            return
        if abs(after) <= abs(before) and after * before >= 0:
            return
        request = exchange.ours[order.order].request
        if request in self.beside or book.others_moved_at >= self.accepted_at[request]:
            self.raced += 1
            return
        self._fail("S3", f"order {order.order} of ours moves the position {before} -> {after}")

    # --- at the disk -------------------------------------------------------------------

    def granting(self) -> int:
        """A supervisor asks for leases; return the number of the ask."""
        self.asked += 1
        return self.asked

    def granted(self, number: int, said: control.LeasesGranted) -> None:
        """The journal grants what was asked."""
        for lease in said.leases:
            before = self.granted_ask.get(lease.account, 0)
            if number < before:
                self._fail(
                    "R5",
                    f"account {lease.account} goes to {lease.holder} by ask {number}, "
                    f"after ask {before} was granted",
                )
            self.granted_ask[lease.account] = number

    def stored(self, disk: Disk, batch: Batch) -> None:
        """A batch goes into the file."""
        self.checks += 1
        for lease in batch.leases:
            self._leased(lease)
        granted = {(lease.account, lease.epoch) for lease in batch.leases}
        for account, epoch in batch.intents:
            present = disk.leases.get(account)
            if (account, epoch) not in granted and (present is None or present.epoch != epoch):
                self._fail("S9", f"an intent of epoch {epoch} of account {account} is stored")
        for record in batch.records:
            self._stored_record(record)

    def _stored_record(self, record: Any) -> None:
        if record.kind == "lease-granted":
            granted = self.world.entry(record).fact
            assert isinstance(granted, LeaseGranted)
            self.present[record.account] = granted.epoch
        elif record.kind == "intended":
            intended = self.world.entry(record).fact
            assert isinstance(intended, Intended)
            self._intended(intended)
        elif record.kind == "lock-ended":
            fact = self.world.entry(record).fact
            self._ended(record.account, fact)

    def shown(self, records: Sequence[Any]) -> None:
        """Records are seen by others from here on: what they say of locks holds."""
        for record in records:
            self.standing.take(record)

    def _intended(self, intended: Intended) -> None:
        """Only who holds an account, as of the records before, may have its intents stored."""
        present = self.present.get(intended.account, 0)
        if intended.epoch < present:
            self._fail("S9", f"{intended.key} of epoch {intended.epoch} is stored in {present}")
        holder = self.holders.get((intended.account, intended.epoch), "")
        who = self.spoke.get((intended.key, intended.epoch), set())
        if holder and holder not in who:
            self._fail("S9", f"{intended.key} of epoch {intended.epoch} is of {sorted(who)}")

    def _leased(self, lease: Lease) -> None:
        key = lease.account, lease.epoch
        before = self.holders.get(key)
        if before is not None and before != lease.holder:
            self._fail("S2", f"epoch {lease.epoch} of {lease.account} has two holders")
        if lease.epoch < self.highest.get(lease.account, 0):
            self._fail("S2", f"epoch {lease.epoch} of {lease.account} is granted again")
        self.holders[key] = lease.holder
        self.highest[lease.account] = lease.epoch

    def _ended(self, account: int, ended: Fact) -> None:
        assert isinstance(ended, LockEnded)
        placed = self.standing.locks.get(account, {}).get(ended.lock)
        if placed is None or placed.until is None or ended.why != TIME_IS_OVER:
            return
        true = BEGIN + self.world.clockwork.now
        if true < placed.until <= self.world.journal.clock.now_ns():
            self.known["a lock ends early by a clock that was set ahead"] += 1
        elif true < placed.until:
            early = (placed.until - true) / 1e9
            self._fail("S7", f"lock {ended.lock} of {account} ends {early:.1f} s early")

    def answered(self, said: msgspec.Struct, disk: Disk) -> None:
        """The journal says that something is stored: from here on it must never be lost."""
        seq = 0
        match said:
            case control.Intended(seq=number, refused=""):
                seq = number
            case control.Appended(last_seq=number, refused=""):
                seq = number
            case control.LeasesGranted(id=number, leases=leases, refused="") if leases:
                self.granted(number, said)
                seq = max(lease.granted_seq for lease in leases)
            case _:
                return
        crc = disk.crc_at(seq)
        if crc is None:
            self._fail("S6", f"record {seq} is answered for and not in the file")
        assert crc is not None
        if seq and disk.is_flushed(seq):
            self.promised.append((seq, crc))
        elif seq and disk.records[seq - 1].kind in self.world.promises:
            self._fail("S6", f"record {seq}, a promise, is answered for and not flushed")

    def opened(self, disk: Disk) -> None:
        """A journal opens the file: all that was promised is there, and so is every lock."""
        self.checks += 1
        for seq, crc in self.promised:
            if disk.crc_at(seq) != crc:
                self._fail("S6", f"record {seq} was promised and is lost")
        for account, locks in self.standing.locks.items():
            there = disk.standing.locks.get(account, {})
            for name, lock in locks.items():
                was_there = (account, name) in disk.standing.names  # and is over, by a record
                if not was_there and not any(_covers(one, lock) for one in there.values()):
                    self._fail("S7", f"lock {name} of {account} is gone from the file")
        self.standing = Standing()
        for record in disk.records:
            self.standing.take(record)

    def restored(self, disk: Disk) -> None:
        """An old copy is put back: what it lacks is known to be lost, locks and epochs are not.

        A lock that ended by the last records of the file that goes is over, seen by anybody or not.
        """
        self.promised.clear()
        for account, locks in self.standing.locks.items():
            stood = disk.standing.locks.get(account, {})
            self.standing.locks[account] = {name: locks[name] for name in locks if name in stood}

    # --- moves -----------------------------------------------------------------------------

    def moved(self, account: int, release: str) -> None:
        """A move of an account is reported as done."""
        self.wanted[account] = release

    # --- in the end ------------------------------------------------------------------------

    def unhealed(self) -> str:
        """After all faults are over: say what is not yet as it must be, "" when all is."""
        world = self.world
        for shell in world.children():
            if not shell.is_alive or shell.is_frozen or shell.is_held_up:
                return f"{shell.name} does not run"
        if world.supervisor.moves:
            return f"L4: a move has not ended: {sorted(world.supervisor.moves)}"
        for account in world.accounts:
            why = self._unguarded(account) or self._unanswered(account)
            if why:
                return why
        return ""

    def _unguarded(self, account: int) -> str:
        lease = self.world.disk.leases.get(account)
        if lease is None or not lease.holder:
            return f"L2: nobody holds account {account}"
        if not self.world.shells[lease.holder].enforces(account, lease.epoch):
            return f"L2: {lease.holder} does not enforce account {account}"
        return ""

    def _unanswered(self, account: int) -> str:
        book = self.world.exchange.books[account]
        gate = self.world.link_of(account).gate.of(account)
        if gate.slots or gate.cancels or gate.held:
            return f"L3: a request of account {account} has no end"
        open_goals = self.world.open_intents(account)
        if open_goals:
            return f"L3: {open_goals[0]} has no end"
        # The end of a lock is said once, and lost with the journal it was said to: the lock then
        # stands in the file and in nobody's mind, and a restore brings it back.
        held_by = self.world.shells[self.world.disk.leases[account].holder].locks(account)
        locked = any(
            lock.mode == "full" and not lock.scope and name in held_by
            for name, lock in self.standing.locks.get(account, {}).items()
        )
        unknown = held_by - self.standing.locks.get(account, {}).keys()
        if unknown:
            return f"S6: lock {min(unknown)} of {account} is in force and not in the file"
        held = {name: q for name, q in book.positions.items() if q}
        if self.world.waits_for_a_person(account):
            self.known["two residues: enforcement waits for a person"] += 1
            return ""
        if locked and held:
            return f"L3: account {account} is locked and holds {held}"
        total = sum(abs(quantity) for quantity in held.values())
        # What broke a limit when it was adopted is only reduced: no first start closes anything.
        if total > self.world.limit_of(account):
            return f"L3: account {account} holds {total}, too many"
        return ""


def _covers(one: LockPlaced, lost: LockPlaced) -> bool:
    """Tell whether a lock is at least as strict and as long as one that is gone by its name."""
    longer = one.until is None or (lost.until is not None and one.until >= lost.until)
    return longer and strictness(one.mode) >= strictness(lost.mode)

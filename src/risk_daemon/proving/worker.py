"""The worker of the simulation: the real engine and drains; what it decided, asked for.

A worker that holds nothing folds what it was sent when something depends on it: its state is a
function of the stream, so nobody could tell when it was computed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from risk_daemon.core.account import Account
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    DrainAsked,
    Entry,
    Fact,
    HashTaken,
    Intended,
    LeaseGranted,
    LockPlaced,
    Pulse,
)
from risk_daemon.core.world import STATE_SCHEMA, state_hash
from risk_daemon.proving.clockwork import MS
from risk_daemon.proving.shell import Shell
from risk_daemon.rules import CATALOG
from risk_daemon.supervisor.release import release_of
from risk_daemon.wire import control
from risk_daemon.wire.record import Record, new_record
from risk_daemon.worker import recovery
from risk_daemon.worker.drain import Drains, Shown
from risk_daemon.worker.dues import Dues
from risk_daemon.worker.speech import insists, once_of, spoken
from risk_daemon.worker.view import view_of

if TYPE_CHECKING:
    from risk_daemon.proving.world import World

PATIENCE: Final = 250 * MS
RECONNECT: Final = 50 * MS
SNAPSHOT_EVERY: Final = 60
BEGINS_AFTER: Final = 100 * MS
HASH_EVERY: Final = 1_000


class Worker(Shell):
    """One of a release."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.release = release_of(name)
        self.is_ready = False
        self.engine = Engine(CATALOG)

    def begin(self) -> None:
        """Restore the newest snapshots, when the program has loaded and the journal answers."""
        self.engine = Engine(CATALOG)
        self.is_ready = False
        self.seen = (0, -1)
        self._drains = Drains(self.name)
        self._dues = Dues(HASH_EVERY)
        self._hashes: dict[int, dict[int, str]] = {}
        self._unfolded: list[Record] = []
        self._asked_wake = 0
        self._since_snapshot = 0
        self.journal_life = 0
        self._has_begun = False
        self._waits: list[tuple[int, partial[None]]] = []
        self.later(BEGINS_AFTER, self._connect)

    # --- the journal ------------------------------------------------------------------

    def _connect(self) -> None:
        journal = self.world.journal
        if not journal.is_alive:
            self.later(RECONNECT, self._connect)
            return
        self.journal_life = journal.life
        if not self._has_begun:
            self._restore()
        self.send(journal, journal.subscribe, self, self.life, self.seen, frozenset())
        if self._has_begun:
            self._asked_wake = 0
            self._ask_wake()
            self._say_all_open()
        self._has_begun = True

    def _restore(self) -> None:
        snapshots = [
            one
            for (_, release), one in self.world.disk.snapshots.items()
            if release == self.release and one.schema == STATE_SCHEMA
        ]
        world = recovery.restore(snapshots)
        if world is not None:
            self.engine.adopt(world)
            self.seen = (world.seq, -1)

    def on_lost_journal(self, life: int) -> None:
        """The connection broke: what was asked has no answer."""
        if life == self.journal_life:
            self.journal_life = 0
            self.later(RECONNECT, self._connect)

    def on_truncated(self) -> None:
        """The journal lost what was seen here: nothing of this state may be used."""
        self.do("ends", self.kill)

    def on_live(self) -> None:
        """All that was stored has been shown."""
        self.is_ready = True
        self._ask_wake()
        self._say_all_open()

    # --- the stream --------------------------------------------------------------------

    def on_records(self, records: list[Record]) -> None:
        """Fold records, now or when something depends on it."""
        records = [record for record in records if record.seq > self.seen[0]]
        if not records:
            return
        self.seen = records[-1].seq, records[-1].crc
        self._unfolded += records
        if not self.is_idle or any(self._is_for_me(record) for record in records):
            self.catch_up()

    def _is_for_me(self, record: Record) -> bool:
        """Tell whether a record makes this worker a holder."""
        if record.kind != "lease-granted":
            return False
        fact = self.world.entry(record).fact
        return isinstance(fact, LeaseGranted) and fact.holder == self.name

    @property
    def is_idle(self) -> bool:
        """Whether nothing depends on this worker now."""
        accounts = self.engine.world.accounts.values()
        return not any(account.holder == self.name for account in accounts)

    def catch_up(self) -> None:
        """Fold what was left for later."""
        records, self._unfolded = self._unfolded, []
        for record in records:
            self._fold(self.world.entry(record))
        for number in self._drains.over(self.engine.world.at):
            self._say_open(self.engine.world.accounts[number])
        self._since_snapshot += len(records)
        self._ask_wake()
        self._keep_snapshots()

    def _fold(self, entry: Entry) -> None:
        fact = entry.fact
        self._compare(fact)
        outputs = self.engine.step(entry)
        if outputs:
            self._act(outputs)
        match fact:
            case LeaseGranted():
                self._drains.leased(entry.account)
                self._dues.leased(entry.account)
            case DrainAsked():
                self._drain(fact, entry)
            case Pulse():
                for number in self._dues.at_pulse():
                    self._take_hash(self.engine.world.accounts[number])
            case _:
                pass

    def _ask_wake(self) -> None:
        if self.is_idle:
            return
        times = [time for time in (self.engine.wake_at(), self._drains.wake_at()) if time]
        wake_at = min(times, default=0)
        if wake_at and wake_at != self._asked_wake and self.is_ready and self.journal_life:
            self._asked_wake = wake_at
            journal = self.world.journal
            self.send(journal, journal.wish, self.name, wake_at)

    def holds(self, number: int) -> bool:
        """Tell whether this worker may act for an account, by the last lease in the stream."""
        account = self.engine.world.accounts.get(number)
        if account is None:
            return False
        return account.holder == self.name and not self._drains.is_silent(number)

    def locks(self, number: int) -> set[str]:
        """Return the names of the locks that this worker has in force."""
        return set(self.engine.world.accounts[number].locks)

    def enforces(self, number: int, epoch: int) -> bool:
        """Tell whether this worker enforces an account under an epoch."""
        return (number, epoch) in self.enforcing()

    def enforcing(self) -> tuple[tuple[int, int], ...]:
        """Return (account, epoch) of what this worker enforces."""
        accounts = self.engine.world.accounts
        return tuple((n, accounts[n].epoch) for n in sorted(accounts) if self.holds(n))

    # --- handing over ------------------------------------------------------------------

    def _drain(self, asked: DrainAsked, entry: Entry) -> None:
        account = self.engine.world.accounts.get(asked.account)
        if account is None or account.epoch != asked.epoch:
            return
        if self.name != asked.holder and self.release != asked.release:
            return
        if asked.release == account.release:
            shown = Shown(account=account.account, seq=entry.seq, digest=state_hash(account))
        else:
            view = view_of(self.engine, account, self.name)
            shown = Shown(account=account.account, seq=entry.seq, view=view)
        if self._drains.take(asked, entry.at, shown):
            self._say_open(account)

    def show(self, seq: int, accounts: tuple[int, ...], answer: Any) -> None:
        """Answer with the accounts as they were at their drain, once that is folded here."""
        if self.seen[0] < seq:
            self.later(2 * MS, self.show, seq, accounts, answer)
            return
        self.catch_up()
        found = [one for n in accounts if (one := self._drains.shown(n)) is not None]
        supervisor = self.world.supervisor
        self.send(supervisor, answer, {one.account: one for one in found})

    def _say_all_open(self) -> None:
        for number in sorted(self.engine.world.accounts):
            self._say_open(self.engine.world.accounts[number])

    def _say_open(self, account: Account) -> None:
        if self.holds(account.account):
            self._act(self.engine.open_demands(account))

    # --- acting ----------------------------------------------------------------------------

    def _act(self, outputs: list[Fact]) -> None:
        for output in spoken(outputs, self.holds):
            if isinstance(output, Intended):
                self._intend(output)
            else:
                asked = control.Append(0, [new_record(output, once_of(output))])
                is_lock = isinstance(output, LockPlaced)
                self.world.to_journal(self, asked, self._insisted(output) if is_lock else _unheard)

    def _insisted(self, lock: Fact) -> Callable[[Any], None]:
        """A lock does not wait for a journal that is away: the link keeps it."""
        assert isinstance(lock, LockPlaced)
        asking = _Asking()
        self.later(PATIENCE, self._keep, lock, asking, None)
        return partial(self._keep, lock, asking)

    def _keep(self, lock: LockPlaced, asking: _Asking, said: Any) -> None:
        if not asking.is_over and (said is None or said.refused):
            link = self.world.link_of(lock.account)
            self.send(link, link.keep, lock)
        asking.is_over = True

    def _intend(self, intended: Intended) -> None:
        record = new_record(intended)
        asked = control.Intend(0, intended.account, intended.epoch, intended.key, record)
        asking = _Asking()
        self.world.judge.decided(intended, self.name)
        self.world.without.decided(self, intended)
        self.world.to_journal(self, asked, partial(self._intended, intended, asking))
        if insists(intended):
            self.later(PATIENCE, self._insist, intended, asking)

    def _intended(self, intended: Intended, asking: _Asking, said: Any) -> None:
        is_lost = said is None or (said.refused and said.epoch == intended.epoch)
        if is_lost and insists(intended):
            self._insist(intended, asking)
        asking.is_over = True

    def _insist(self, intended: Intended, asking: _Asking) -> None:
        if asking.is_over:
            return
        asking.is_over = True
        link = self.world.link_of(intended.account)
        account = self.engine.world.accounts[intended.account]
        locks = tuple(account.locks[name].placed for name in sorted(account.locks))
        self.send(link, link.take_directly, intended, locks)

    # --- hashes and snapshots ---------------------------------------------------------------

    def _take_hash(self, account: Account) -> None:
        digest = state_hash(account)
        seq = self.engine.world.seq
        self._hashes.setdefault(account.account, {})[seq] = digest
        if self.holds(account.account) and self.is_ready:
            taken = HashTaken(
                account=account.account,
                release=self.release,
                holder=self.name,
                seq=seq,
                count=account.records,
                digest=digest,
            )
            self.world.to_journal(self, control.Append(0, [new_record(taken)]), _unheard)

    def _compare(self, fact: Fact) -> None:
        if not isinstance(fact, HashTaken) or fact.release != self.release:
            return
        mine = self._hashes.get(fact.account, {}).get(fact.seq)
        if mine is not None and mine != fact.digest:
            raise AssertionError(f"{self.name} and {fact.holder} differ at record {fact.seq}")

    def _keep_snapshots(self) -> None:
        if self._since_snapshot < SNAPSHOT_EVERY or self.is_idle or not self.is_ready:
            return
        self._since_snapshot = 0
        snapshots = recovery.take(self.engine.world, self.release)
        self.world.to_journal(self, control.PutSnapshots(0, snapshots), _unheard)


class _Asking:
    """An intent whose answer is waited for."""

    def __init__(self) -> None:
        self.is_over = False


def _unheard(said: Any) -> None:
    """Nobody waits for this answer."""
    del said

"""The worker's loop: one record at a time through the engine; what it decides, asked for.

Active or standby is not a mode of this loop but a fact of the stream: outputs
of an account leave when the last lease record names this worker. A standby
folds the same records, decides the same, and says nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import Timekeeper
from risk_daemon.core.account import Account
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    AlarmRaised,
    DrainAsked,
    Entry,
    Fact,
    FeedChanged,
    HashTaken,
    Intended,
    LeaseGranted,
    LeaseTaken,
    LockPlaced,
    MarkChanged,
    OperatorActed,
    Pulse,
)
from risk_daemon.core.world import STATE_SCHEMA, Parser, state_hash
from risk_daemon.errors import DaemonError, JournalAway
from risk_daemon.rules.declared import DECLARED
from risk_daemon.wire.client import JournalClient, ask
from risk_daemon.wire.control import UNPROVEN, Appended
from risk_daemon.wire.control import Intended as IntendedAnswer
from risk_daemon.wire.record import NewRecord, Record, decode, encode, new_record
from risk_daemon.wire.view import PROJECTION, encode_view, projection
from risk_daemon.worker import differing, gauging, recovery, sampling
from risk_daemon.worker.drain import Drains, Shown
from risk_daemon.worker.dues import Dues
from risk_daemon.worker.pieces import Pieces
from risk_daemon.worker.plan import plan_of
from risk_daemon.worker.projections import Projections
from risk_daemon.worker.questions import guarded
from risk_daemon.worker.showing import Showing
from risk_daemon.worker.speech import (
    FACTS_DIFFER,
    RELEASES_DIFFER,
    STATE_DIFFERS,
    STATE_REGAINED,
    insists,
    once_of,
    spoken,
)
from risk_daemon.worker.view import view_of

JOURNAL_PATIENCE_S: Final = 0.25
VIEW_EVERY_S: Final = 0.25
VIEWS_AT_ONCE: Final = 10
RECONNECT_WITHIN_S: Final = 5.0
SNAPSHOT_EVERY_S: Final = 60.0
SNAPSHOT_LEAST: Final = 500
#: Of the two workers of a release.
FIRST: Final = "worker-1@"
HASHES_KEPT: Final = 64
#: Of what was compared, said again when the journal was away.
COMPARED_KEPT: Final = 200

_log = logging.getLogger("worker")


class StateDiffers(Exception):
    """Another worker of this release has another state at the same record: trust neither here."""


class Worker:
    """One worker process's state and its dull outside."""

    def __init__(
        self,
        name: str,
        release: str,
        journal: JournalClient,
        clock: Timekeeper,
        catalog: Mapping[str, Parser],
        run_dir: Path,
        *,
        hash_every: int,
        snapshot_every: int,
    ) -> None:
        self.name, self.release = name, release
        self.journal, self.clock, self.run_dir = journal, clock, run_dir
        self.engine = Engine(catalog, release=release)
        self.is_ready = False
        self.caught_up = asyncio.Event()
        self.lost = asyncio.Event()
        self.fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._dues, self._snapshot_every = Dues(hash_every), snapshot_every
        self._hashes: dict[int, dict[int, str]] = {}
        self._shown = Projections()
        self._drains = Drains(name)
        self._folded = asyncio.Event()
        self._sampler = sampling.Sampler(name, release)
        self._gauge = gauging.Gauge()
        self._differing = differing.Comparer(release, DECLARED)
        self._compared: deque[NewRecord] = deque(maxlen=COMPARED_KEPT)
        self._showing = Showing()
        self._pieces = Pieces(
            clock.steady_ns,
            self._fold,
            self._folded_some,
            self._fail,
            on_full=self._wait,
            on_room=journal.resume,
        )
        self._since_snapshot = 0
        self._asked_wake = 0
        self._tasks: set[asyncio.Task[None]] = set()
        #: By account: the epoch of a lease that is kept by its link, and not in the stream yet.
        self._aside: dict[int, int] = {}
        #: By account: the plan that was written down last.
        self._plans: dict[int, bytes] = {}
        #: That its state is its holder's was said.
        self._is_regained = False
        #: Accounts whose poison record was told.
        self._poisoned: set[int] = set()

    # --- beginning -------------------------------------------------------------

    async def begin(self) -> None:
        """Restore the newest snapshots and follow the stream from there."""
        snapshots = await self.journal.get_snapshots(self.release, STATE_SCHEMA)
        world = recovery.restore(snapshots)
        crc = UNPROVEN
        if world is not None:
            self.engine.adopt(world)
            for number, account in world.accounts.items():
                self._dues.took(number, account.records)
        self.journal.subscribe(
            self.engine.world.seq + 1,
            on_records=self._pieces.take,
            on_truncated=self._truncated,
            on_caught_up=lambda _: self._pieces.afterwards(self._caught_up),
            crc=crc,
        )

    def _wait(self) -> None:
        """Take nothing more for now; but who acts must hear the answers to what it asked for."""
        if not self.is_ready:
            self.journal.pause()

    def _caught_up(self) -> None:
        self.is_ready = True
        self._differing.source = differing.LIVE
        self.caught_up.set()
        self._showing.happened(self.engine.world.accounts)
        self._ask_wake()
        # What a snapshot remembers may have been lost on its way to the journal, with the journal.
        self._say_all_open()

    def _truncated(self, last_seq: int) -> None:
        self._fail(JournalAway(f"the journal was cut back to seq {last_seq}"))

    def _fail(self, error: BaseException) -> None:
        if not self.fatal.done():
            self.fatal.set_result(error)

    # --- the stream --------------------------------------------------------------

    def _fold(self, record: Record) -> None:
        """Fold one record; what cannot be folded and is nobody's alone ends this worker."""
        entry = decode(record)
        self._compare(entry.fact)
        if isinstance(entry.fact, sampling.BROKER_FACTS):
            self._shown.touched(entry.account, entry.seq)
        began = self.clock.steady_ns()
        outputs = self.engine.step(entry)
        self._sampler.timed(entry, self.clock.steady_ns() - began)
        if len(self.engine.poisoned) > len(self._poisoned):
            self._tell_poison()
        if outputs:
            self._act(outputs)
        if self.is_ready:  # before, what it took is how old the stream is
            took_ns = self.clock.now_ns() - entry.at
            self._gauge.take(entry, self.engine, took_ns, is_mine=self._holds(entry.account))
        for said in self._differing.take(entry, outputs, self.engine):
            self._compared.append(new_record(said, differing.once_of(said)))
            self.journal.append([self._compared[-1]])
        for taken in self._sampler.take(entry, self.engine):
            if self.is_ready:
                self.journal.append([new_record(taken, sampling.once_of(taken, entry.seq))])
        self._note_changed(entry, outputs)
        if entry.account:
            self._hash_if_due(entry.account)
        match entry.fact:
            case LeaseGranted() as lease:
                self._leased(lease)
            case DrainAsked() as asked:
                self._drain(asked, entry)
            case Pulse():
                self._hash_leased()
            case _:
                pass

    def _folded_some(self, count: int) -> None:
        self._end_drains()
        self._folded.set()
        self._since_snapshot += count
        self._ask_wake()

    def _tell_poison(self) -> None:
        """Say which account's record could not be folded; it is held here no more."""
        for number, poison in self.engine.poisoned.items():
            if number not in self._poisoned:
                self._poisoned.add(number)
                text = f"account {number}: record {poison.seq} cannot be folded: {poison.why}"
                _log.error("poison record", extra={"text": text})
                alarm = AlarmRaised(
                    account=number, level="page", what="poison record", text=text, source=self.name
                )
                self.journal.append([new_record(alarm, f"{self.name}:{number}:{poison.seq}")])

    def poisoned(self) -> tuple[tuple[int, int], ...]:
        """Return (account, seq) of the records that could not be folded here."""
        return tuple((n, self.engine.poisoned[n].seq) for n in sorted(self.engine.poisoned))

    def _note_changed(self, entry: Entry, outputs: list[Fact]) -> None:
        """Remember whose view is to be published anew: a feed, a pulse, a quote name no account."""
        show = self._showing
        if outputs:
            show.happened(number for o in outputs if (number := getattr(o, "account", 0)))
        if entry.account:
            show.happened((entry.account,))
        elif isinstance(entry.fact, MarkChanged):
            show.moved(self.engine.holders(entry.fact.contract))
        elif isinstance(entry.fact, FeedChanged | OperatorActed):
            show.happened(self.engine.world.accounts)

    def _ask_wake(self) -> None:
        times = (self.engine.wake_at(), self._drains.wake_at(), self._differing.wake_at())
        wake_at = min((time for time in times if time), default=0)
        if wake_at and wake_at != self._asked_wake and self.is_ready:
            self._asked_wake = wake_at
            self.journal.wake_at(wake_at)

    def holds(self, account: Account) -> bool:
        """Tell whether this worker may act for an account, by the last lease in the stream."""
        if account.account in self.engine.poisoned:
            return False
        if self._aside.get(account.account, 0) > account.epoch:
            return True
        return account.holder == self.name and not self._drains.is_silent(account.account)

    # --- handing over ----------------------------------------------------------------

    def _drain(self, asked: DrainAsked, entry: Entry) -> None:
        """Show the account as it is at this record, and say nothing more of it if it is held."""
        account = self.engine.world.accounts.get(asked.account)
        if account is None or account.epoch != asked.epoch or asked.account in self._poisoned:
            return
        if self.name != asked.holder and self.release != asked.release:
            return  # neither it nor its heir: nobody asks
        goes_on = self._drains.take(asked, entry.at, self._show(account, asked, entry.seq))
        if goes_on:
            self._say_open(account)

    def _show(self, account: Account, asked: DrainAsked, seq: int) -> Shown:
        if asked.release == account.release:
            return Shown(account=account.account, seq=seq, digest=state_hash(account))
        view = view_of(self.engine, account, self.name)
        return Shown(account=account.account, seq=seq, view=view)

    def _end_drains(self) -> None:
        for number in self._drains.over(self.engine.world.at):
            self._say_open(self.engine.world.accounts[number])

    def _say_all_open(self) -> None:
        for number in sorted(self.engine.world.accounts):
            self._say_open(self.engine.world.accounts[number])

    def _say_open(self, account: Account) -> None:
        if self.holds(account):
            self._act(self.engine.open_demands(account))

    async def op_shown(self, args: dict[str, Any]) -> dict[str, Any]:
        """Return accounts as they were at their newest drain, once `seq` is folded here."""
        while self.engine.world.seq < int(args["seq"]):
            self._folded.clear()
            await self._folded.wait()
        shown = [self._drains.shown(int(number)) for number in args["accounts"]]
        rows = [msgspec.to_builtins(one) for one in shown if one is not None]
        return {"accounts": rows, "release": self.release}

    async def op_enforcing(self, args: dict[str, Any]) -> dict[str, Any]:
        """Return (account, epoch) of what this worker enforces, and its release.

        Where `until` names such pairs, once it enforces all of them. Where `accounts` names some,
        of those only: a list of a thousand for each of a thousand who ask is a second's work.
        """
        wanted = {(int(account), int(epoch)) for account, epoch in args.get("until", ())}
        while not wanted <= set(self.enforcing()):
            self._folded.clear()
            await self._folded.wait()
        named = set(args.get("accounts", ()))
        pairs = [pair for pair in self.enforcing() if not named or pair[0] in named]
        return {"enforcing": [list(pair) for pair in pairs], "release": self.release}

    # --- acting --------------------------------------------------------------------

    def _act(self, outputs: list[Fact]) -> None:
        for output in spoken(outputs, self._holds):
            if isinstance(output, Intended):
                self._intend(self.engine.world.accounts[output.account], output)
            else:
                future = self.journal.append([new_record(output, once_of(output))])
                if isinstance(output, LockPlaced):
                    login = self.engine.world.accounts[output.account].login
                    self._spawn(self._insist_on_lock(login, output, future))

    def _holds(self, number: int) -> bool:
        account = self.engine.world.accounts.get(number)
        return account is not None and self.holds(account)

    def _intend(self, account: Account, intended: Intended) -> None:
        epoch = self._aside.get(account.account, 0)
        if epoch > intended.epoch:
            intended = msgspec.structs.replace(intended, epoch=epoch)
        future = self.journal.intend(
            account.account, intended.epoch, intended.key, new_record(intended)
        )
        if insists(intended):
            locks = [encode(account.locks[name].placed) for name in sorted(account.locks)]
            self._spawn(self._insist(account.login, intended, locks, future))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(
        self,
        login: str,
        intended: Intended,
        locks: list[bytes],
        future: asyncio.Future[IntendedAnswer],
    ) -> None:
        """A close under a lock does not wait for a journal that is away: the link takes it."""
        try:
            answer = await asyncio.wait_for(asyncio.shield(future), JOURNAL_PATIENCE_S)
            # Refused under the present epoch: it could not be stored, nobody else has the account.
            is_stored = not (answer.refused and answer.epoch == intended.epoch)
        except (TimeoutError, JournalAway):
            is_stored = False
        if not is_stored:
            await self._hand_over(login, "goal", {"intended": encode(intended), "locks": locks})

    async def _insist_on_lock(
        self, login: str, lock: LockPlaced, future: asyncio.Future[Appended]
    ) -> None:
        """Nor does a lock: what only a worker remembers is gone with it."""
        try:
            answer = await asyncio.wait_for(asyncio.shield(future), JOURNAL_PATIENCE_S)
            is_stored = not answer.refused
        except (TimeoutError, JournalAway):
            is_stored = False
        if not is_stored:
            await self._hand_over(login, "keep", {"kind": "lock-placed", "fact": encode(lock)})

    async def _hand_over(self, login: str, op: str, args: dict[str, Any]) -> None:
        try:
            answer = await ask(self.run_dir, f"link-{login}", op, args, 2.0)
        except DaemonError as error:
            _log.warning("not taken by the link", extra={"op": op, "why": str(error)})
            return
        if not answer.ok:
            _log.warning("not taken by the link", extra={"op": op, "why": answer.error})

    async def op_lease(self, args: dict[str, Any]) -> dict[str, Any]:
        """Take accounts (account, epoch) over whose lease their link keeps: the journal cannot."""
        for number, epoch in args["accounts"]:
            account = guarded(self.engine, int(number))
            if int(epoch) > account.epoch:
                self._aside[account.account] = int(epoch)
                self._say_open(account)
        return {}

    def say_again(self) -> None:
        """After the journal was away: decide nothing anew, but ask again for what is open."""
        self._say_all_open()
        if self._compared:
            self.journal.append(list(self._compared))

    # --- hashes -----------------------------------------------------------------------

    def _leased(self, lease: LeaseGranted) -> None:
        """Take the account over, or count it as another's; its hash is due."""
        self._drains.leased(lease.account)
        self._dues.leased(lease.account)
        if self.is_ready and self._holds(lease.account):
            taken = LeaseTaken(
                account=lease.account, holder=self.name, release=self.release, epoch=lease.epoch
            )
            self.journal.append([new_record(taken)])

    def _hash_leased(self) -> None:
        for number in self._dues.at_pulse():
            if number not in self._poisoned:
                self._take_hash(self.engine.world.accounts[number])

    def _hash_if_due(self, number: int) -> None:
        account = self.engine.world.accounts.get(number)
        if account is None or number in self._poisoned:
            return
        if self._dues.is_due(number, account.records):
            self._take_hash(account)

    def _take_hash(self, account: Account) -> None:
        """Keep the hash for comparison; the holder writes it into the stream."""
        self._dues.took(account.account, account.records)
        digest = state_hash(account)
        mine = self._hashes.setdefault(account.account, {})
        # By seq, not by count: a pulse changes state and is not counted.
        mine[self.engine.world.seq] = digest
        if len(mine) > HASHES_KEPT:
            del mine[min(mine)]
        shown = projection(view_of(self.engine, account, self.name))
        self._shown.take(account.account, self.engine.world.seq, shown)
        if self.holds(account) and self.is_ready:
            taken = HashTaken(
                account=account.account,
                release=self.release,
                holder=self.name,
                seq=self.engine.world.seq,
                count=account.records,
                digest=digest,
                projection=PROJECTION,
                shown=shown,
            )
            self.journal.append([new_record(taken)])

    def hash_all(self) -> None:
        """Take every account's hash now: before stopping, so that a replay ends proven."""
        for number in sorted(self.engine.world.accounts.keys() - self._poisoned):
            self._take_hash(self.engine.world.accounts[number])

    def _compare(self, fact: Fact) -> None:
        if not isinstance(fact, HashTaken):
            return
        if fact.release != self.release:
            self._compare_shown(fact)
            return
        mine = self._hashes.get(fact.account, {}).get(fact.seq)
        if mine is None:
            return
        if mine == fact.digest:
            self._tell_regained(fact)
            return
        text = (
            f"account {fact.account}: {self.name} has {mine}, {fact.holder} has {fact.digest}"
            f" after {fact.count} records"
        )
        alarm = AlarmRaised(
            account=fact.account, level="page", what=STATE_DIFFERS, text=text, source=self.name
        )
        self.journal.append([new_record(alarm)])
        if fact.holder != self.name:
            self._fail(StateDiffers(text))

    def _tell_regained(self, fact: HashTaken) -> None:
        """Say once, while a rollout is judged, that this worker regained its holder's state."""
        if self._is_regained or fact.holder == self.name or not self._sampler.is_on:
            return
        self._is_regained = True
        text = (
            f"{self.name} was started and has the state of account {fact.account} that"
            f" {fact.holder} has, after {fact.count} records"
        )
        alarm = AlarmRaised(
            account=fact.account, level="info", what=STATE_REGAINED, text=text, source=self.name
        )
        self.journal.append([new_record(alarm)])

    def _compare_shown(self, fact: HashTaken) -> None:
        """Tell once where another release, which holds the account, sees it otherwise."""
        account = self.engine.world.accounts.get(fact.account)
        if account is None or fact.account in self._poisoned:
            return
        text, are_facts = self._shown.news(
            fact, lambda: projection(view_of(self.engine, account, self.name))
        )
        if text:
            alarm = AlarmRaised(
                account=fact.account,
                level="page" if are_facts else "warn",
                what=FACTS_DIFFER if are_facts else RELEASES_DIFFER,
                text=f"account {fact.account}, as {self.release} sees it: {text}",
                source=self.name,
            )
            name = f"differs:{self.release}:{fact.account}:{fact.seq}"
            self.journal.append([new_record(alarm, name)])

    # --- keeping -------------------------------------------------------------------------

    async def keep_views(self) -> None:
        """Publish the views of accounts that changed, at most four times a second each."""
        while True:
            await asyncio.sleep(VIEW_EVERY_S)
            if not self.is_ready:
                continue  # what it folds is the past: nobody may take it for what is
            accounts = self.engine.world.accounts
            mine = [(n, one.has_exposure) for n, one in accounts.items() if self.holds(one)]
            for count, number in enumerate(self._showing.turn(mine), 1):
                view = view_of(self.engine, accounts[number], self.name)
                self.journal.publish_view("view", number, encode_view(view))
                self._keep_plan(accounts[number])
                if count % VIEWS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # to show is never more urgent than to decide

    def _keep_plan(self, account: Account) -> None:
        """Have it on the disk, for the time without any worker; once as long as it is the same."""
        plan = plan_of(self.engine, account)
        if plan != self._plans.get(account.account):
            self._plans[account.account] = plan
            self.journal.publish_view("plan", account.account, plan)

    async def keep_snapshots(self) -> None:
        """Store snapshots every minute, or every so many records, while there is news."""
        waited = 0.0
        while True:
            await asyncio.sleep(1.0)
            waited += 1.0
            is_worth_it = waited >= SNAPSHOT_EVERY_S and self._since_snapshot >= SNAPSHOT_LEAST
            due = is_worth_it or self._since_snapshot >= self._snapshot_every
            # A snapshot behind a poison record would hide that it was never folded.
            if due and not self._poisoned and self._is_to_store():
                self._since_snapshot, waited = 0, 0.0
                try:
                    await self.journal.put_snapshots(recovery.take(self.engine.world, self.release))
                except JournalAway:
                    continue  # kept for the next minute; the stream alone suffices meanwhile

    def _is_to_store(self) -> bool:
        """One worker of each release stores: its holder, or the first where it holds nothing.

        A release that waits for its turn, or for the way back to it, may wait for days: without
        snapshots it would fold those days again after any restart, and be warm minutes later.
        """
        accounts = self.engine.world.accounts.values()
        if any(account.release == self.release for account in accounts):
            return any(map(self.holds, accounts))
        return self.name.startswith(FIRST)

    async def keep_journal(self) -> None:
        """Reconnect whenever the journal was lost; the client resumes the subscription."""
        while True:
            await self.lost.wait()
            self.lost.clear()
            while not self.journal.is_open:
                try:
                    await self.journal.reconnect(RECONNECT_WITHIN_S)
                except DaemonError:
                    await asyncio.sleep(0.05)
            self._asked_wake = 0
            self._ask_wake()
            self._showing.happened(self.engine.world.accounts)  # a new journal has no views
            self._plans.clear()
            self.say_again()

    # --- people -----------------------------------------------------------------------------

    async def op_why(self, args: dict[str, Any]) -> dict[str, Any]:
        """Tell why an account is as it is, in words."""
        account = guarded(self.engine, int(args.get("account", 0)))
        view = view_of(self.engine, account, self.name)
        return {"lines": why_lines(view.locks, account), "view": msgspec.to_builtins(view)}

    async def op_figures(self, args: dict[str, Any]) -> dict[str, Any]:
        """Return how long the latest records took here, and how goals ended, after a number."""
        return {**self._gauge.since(int(args.get("since", 0))), "release": self.release}

    async def op_hash(self, args: dict[str, Any]) -> dict[str, Any]:
        """Return each account's state hash and the seq it belongs to."""
        del args
        return {
            "seq": self.engine.world.seq,
            "accounts": {
                str(number): {
                    "digest": state_hash(account),
                    "count": account.records,
                    "locks": len(account.locks),
                    "intents": len(account.slots) + len(account.asked),
                }
                for number, account in sorted(self.engine.world.accounts.items())
            },
        }

    def enforcing(self) -> tuple[tuple[int, int], ...]:
        """Return (account, epoch) of what this worker enforces."""
        return tuple(
            (number, max(account.epoch, self._aside.get(number, 0)))
            for number, account in sorted(self.engine.world.accounts.items())
            if self.holds(account)
        )

    @property
    def pid(self) -> int:
        """This process."""
        return os.getpid()


def why_lines(locks: tuple[Any, ...], account: Account) -> list[str]:
    """Say in plain words what stands, and what happened last."""
    lines = []
    for lock in locks:
        until = f"until {lock.until}" if lock.until else "until an admin ends it"
        lines.append(f"locked ({lock.mode}) by {lock.rule} {until}: {lock.reason}")
    if not lines:
        lines.append("no lock: the account may trade within its limits")
    lines += [f"unknown: {account.doubts[name].why}" for name in sorted(account.doubts)]
    lines += [f"earlier: {text}" for text in account.reasons[-5:]]
    return lines

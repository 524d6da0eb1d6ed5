"""One login's loop: hubs to facts, goals to requests, reads to truth.

Dull on purpose: what may leave is the fence's to say, how often the budget's,
what a message means the wire's. Everything runs on one event loop, so the
fence sees one input at a time, in the order of arrival.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.broker import budget as rationing
from risk_daemon.broker import fence
from risk_daemon.broker.port import RECENT, Broker, IntakeMaker, Reading
from risk_daemon.clock import Timekeeper
from risk_daemon.core import session as calendar
from risk_daemon.core.events import (
    AccountSeen,
    AlarmRaised,
    ContractSeen,
    Fact,
    FeedChanged,
    Goal,
    Intended,
    LeaseGranted,
    MarkChanged,
    OperatorActed,
    OrderChanged,
    PolicyAdopted,
    PositionChanged,
    PrintSeen,
    TradeSeen,
)
from risk_daemon.errors import BrokerRefused, BrokerUnavailable, JournalAway, Malformed
from risk_daemon.link import inherited, spent
from risk_daemon.link.counted import Counted
from risk_daemon.link.desk import Desk
from risk_daemon.link.emergency import EmergencyFile, fold, once
from risk_daemon.link.outlet import Outlet
from risk_daemon.link.reader import Reader, forever
from risk_daemon.link.session import Session
from risk_daemon.settings import Login
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, decode, new_record

SECOND: Final = 1_000_000_000
RESUME_WITHIN: Final = 600 * SECOND
RECONNECT_WITHIN_S: Final = 5.0
OVERLAP: Final = 60 * SECOND
TICK_S_MAX: Final = 0.25
#: The SDK closes connections that idle for 60 s.
WARM_EVERY_S: Final = 25.0
REFRESH_BEFORE: Final = 2 * 3_600 * SECOND
TAIL_MAX: Final = 10_000
#: A journal that has not answered by then is treated as away (the same bound as for a close).
ACT_WITHIN_S: Final = 0.25
FIRST_READ_WITHIN_S: Final = 20.0
THROTTLED_WAIT_S: Final = 1.0
#: Longer than the journal takes to answer that it refuses what was read for a gap.
GAP_SETTLES_S: Final = 0.5
GAP_SETTLES_S_MAX: Final = 30.0
KINDS: Final = ("intended", "lease-granted", "policy-adopted")

_log = logging.getLogger("link")


class Link:
    """The link of one login."""

    def __init__(
        self,
        login: Login,
        broker: Broker,
        intake: IntakeMaker,
        journal: JournalClient,
        clock: Timekeeper,
        emergency: Path,
        session_name: str,
    ) -> None:
        self.login, self.accounts = login.name, login.accounts
        self.journal, self.clock = journal, clock
        self.gate = fence.Gate(session=session_name, version_base=clock.now_ns() // 1_000)
        self.budget = rationing.Budget()
        self.broker = broker = Counted(broker, self.budget, clock)
        self.emergency = EmergencyFile(emergency)
        self.outlet = Outlet(journal, self._gap)
        self.desk = Desk(
            self.gate,
            broker,
            self.budget,
            clock,
            apply=self.apply,
            on_unauthorized=self._unauthorized,
        )
        self.intake = intake(
            login.name,
            login.accounts,
            on_fact=self.fact,
            on_contract=self._new_contract,
            on_quarantine=self._read_after_quarantine,
        )
        self.reader = Reader(
            broker,
            self.budget,
            clock,
            arrivals=lambda account: self.gate.of(account).arrivals,
            since=self._since,
            standing=self._standing,
            on_reading=self._reading,
            on_failure=self._read_failed,
        )
        self.session = Session(
            broker,
            clock,
            accounts=login.accounts,
            handlers=self.intake.handlers(),
            market_handlers=self.intake.market_handlers(),
            on_state=self._feed,
            on_open=self._opened,
        )
        self.reconcile_every_s = login.reconcile_every_s
        self.lost = asyncio.Event()
        self.fatal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._policies: dict[int, PolicyAdopted] = {}
        self._catalog: dict[str, ContractSeen] = {}
        self._announced: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._watchers: list[Callable[[], None]] = []
        self._missing: set[int] = set()
        self._gaps = 0
        self._is_mending = False

    # --- running -------------------------------------------------------------

    async def run(self) -> None:
        """Serve until cancelled; raises when the stream cannot be followed any more."""
        await self._resume()
        await self._fold_emergency()
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self.reader.run())
            group.create_task(self.session.run())
            group.create_task(self._keep_journal())
            group.create_task(forever(lambda: self.reconcile_every_s, self._reconcile_all))
            group.create_task(forever(lambda: 60.0, self._refresh_token))
            group.create_task(forever(lambda: WARM_EVERY_S, self._keep_warm))
            group.create_task(self._fail_when_fatal())

    async def _fail_when_fatal(self) -> None:
        raise RuntimeError(await self.fatal)

    async def _resume(self) -> None:
        """Take over from an earlier run: epochs, policies, goals without an end."""
        held = await self.journal.leases()
        for lease in held.leases:
            self.apply(fence.EpochRaised(lease.account, lease.epoch))
        status = await self.journal.ask("status")
        last_seq = int(status.data["last_seq"])
        await self._take_policies()
        window = self.clock.now_ns() - rationing.WINDOW
        spent.spend(self.budget, await self.tail(spent.KINDS, 0, window), self.login, self.accounts)
        await self._take_goals(last_seq)
        self.journal.subscribe(
            last_seq + 1, KINDS, on_records=self._records, on_truncated=self._truncated
        )

    async def _take_policies(self) -> None:
        for record in await self.tail(("policy-adopted",), 1, 0):
            fact = decode(record).fact
            if isinstance(fact, PolicyAdopted):
                self._policies[fact.account] = fact

    async def tail(self, kinds: tuple[str, ...], from_seq: int, since: int) -> list[Record]:
        """Read all records of some kinds, page by page."""
        found: list[Record] = []
        while True:
            page = await self.journal.tail(from_seq, since_at=since, kinds=kinds, limit=TAIL_MAX)
            found += page
            if len(page) < TAIL_MAX:
                return found
            from_seq, since = page[-1].seq + 1, 0

    async def _take_goals(self, last_seq: int) -> None:
        """Goals that may have left without an end count as sent; those that have not, leave now."""
        since = self.clock.now_ns() - RESUME_WITHIN
        records = await self.tail(inherited.KINDS, 0, since)
        known = [record for record in records if record.seq <= last_seq]
        found = inherited.inherited(known, self.login, self.accounts)
        for at, intended in found.in_doubt:
            self.apply(fence.Resumed(intended, at))
        for intended in found.fresh:
            self.desk.take(intended)

    def _truncated(self, last_seq: int) -> None:
        """The journal lost what we have seen: begin again from what it has."""
        if not self.fatal.done():
            self.fatal.set_result(f"the journal was cut back to seq {last_seq}")

    async def _keep_journal(self) -> None:
        """Reconnect whenever the journal was lost, then say what could not be said."""
        while True:
            await self.lost.wait()
            self.lost.clear()
            while not self.journal.is_open:
                try:
                    await self.journal.reconnect(RECONNECT_WITHIN_S)
                except Exception as error:  # away for whatever reason: try again
                    if self.fatal.done():
                        raise
                    _log.warning("the journal is away", extra={"why": str(error)})
                    await asyncio.sleep(0.05)
            self.outlet.resend()
            await self._fold_emergency()
            self._feed(self.session.state, "the journal is back")
            for account in self.accounts:
                self.reader.want(account, why="the journal was away")

    async def _fold_emergency(self) -> None:
        try:
            refused = await fold(self.emergency, self.journal)
        except JournalAway:
            return  # the file is as it was, and the next connection folds it in
        for why in refused:
            self.alarm(0, "urgent", "not in the journal", f"done without the journal: {why}")

    # --- the fence ------------------------------------------------------------

    def apply(self, given: fence.Input) -> list[fence.Output]:
        """Hand one input to the fence and do what it says."""
        outputs = fence.step(self.gate, given, self.clock.now_ns())
        self.perform(outputs)
        return outputs

    def perform(self, outputs: list[fence.Output]) -> None:
        """Do what the fence said, in order."""
        for output in outputs:
            match output:
                case fence.Report(fact=fact):
                    self.outlet.put([fact])
                case fence.Send(request=request):
                    self.desk.send(request)
                case fence.Read(account=account, depth=depth, why=why):
                    self.reader.want(account, depth, why=why)
        self._schedule_tick()
        for watcher in self._watchers:
            watcher()

    def _schedule_tick(self) -> None:
        due = fence.wake_at(self.gate)
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if due:
            wait_s = max(due - self.clock.now_ns(), 0) / SECOND
            loop = asyncio.get_running_loop()
            self._tick = loop.call_later(min(wait_s, TICK_S_MAX) + 0.0005, self._ticked)

    def _ticked(self) -> None:
        self._tick = None
        self.apply(fence.Ticked())

    # --- from the broker ------------------------------------------------------

    def fact(self, fact: Fact) -> None:
        """Take one fact in: the fence first, the stream at once after it."""
        outputs = fence.step(self.gate, fence.Arrived(fact), self.clock.now_ns())
        if isinstance(fact, OrderChanged | PositionChanged | TradeSeen):
            version = fence.version_of(self.gate, fact.account, fact.contract)
            fact = msgspec.structs.replace(fact, version=version)
        self.outlet.put([fact])
        if outputs:
            self.perform(outputs)
        elif not isinstance(fact, MarkChanged | PrintSeen):
            self._schedule_tick()  # what does not fit together is looked at in a moment

    def _new_contract(self, contract: str) -> None:
        """Announce a contract before the first fact that names it, if its metadata is known."""
        self.spawn(self.session.follow(contract))
        found = self._catalog.get(contract)
        if found is not None:
            self._announce(found)
        else:
            self.spawn(self._look_up(contract))

    def _announce(self, found: ContractSeen) -> None:
        if found.contract not in self._announced:
            self._announced.add(found.contract)
            self.outlet.put([found])

    async def _look_up(self, contract: str) -> None:
        try:
            found = await self.broker.contract(contract)
        except (BrokerUnavailable, Malformed) as error:
            self.intake.forget_contract(contract)
            self.alarm(0, "urgent", "no contract data", f"{contract}: {error}")
            return
        self._catalog[contract] = found
        self._announce(found)

    def spawn(self, what: object) -> None:
        """Run a coroutine inside the link's own task group."""
        assert self._group is not None
        self._group.create_task(what)  # type: ignore[arg-type]

    def alarm(self, account: int, level: str, what: str, text: str) -> None:
        """Tell people."""
        source = f"link-{self.login}"
        self.outlet.put(
            [AlarmRaised(account=account, level=level, what=what, text=text, source=source)]
        )

    def _read_after_quarantine(self, account: int) -> None:
        for number in (account,) if account else self.accounts:
            self.reader.want(number, why="a message was set aside")

    # --- the session ------------------------------------------------------------

    def _feed(self, state: str, why: str) -> None:
        _log.info("feed", extra={"state": state, "why": why})
        if state == "blind":
            self.apply(fence.StreamBroken())
        self.outlet.put([FeedChanged(login=self.login, state=state, why=why)])

    def _unauthorized(self) -> None:
        self.session.need_login()
        self.spawn(self._log_in_again())

    async def _log_in_again(self) -> None:
        try:
            await self.session.refresh_login()
        except (BrokerUnavailable, BrokerRefused) as error:
            self.alarm(0, "urgent", "login refused", f"{self.login}: {error}")

    async def _opened(self) -> None:
        """Read everything once after every (re)subscription; only then is the feed trusted."""
        if not self._catalog:
            contracts = await self._unthrottled(self.broker.contracts)
            self._catalog = {found.contract: found for found in contracts}
        self._take_accounts(await self._unthrottled(self.broker.accounts))
        began = self.clock.now_ns()
        shown = [account for account in self.accounts if account in self.intake.standing]
        for account in shown:
            self.reader.want(account, RECENT, why="after subscribing")
        try:
            async with asyncio.timeout(FIRST_READ_WITHIN_S):
                await self.reader.read_since(shown, began)
        except TimeoutError:
            raise BrokerUnavailable("the accounts could not be read after subscribing") from None

    def _take_accounts(self, rows: list[AccountSeen]) -> None:
        """Take the rows of the login; a guarded account that is not among them is told of, once.

        One that was shown before goes on being read and closed, by what is known of it.
        """
        for row in rows:
            self.intake.account(row)
        missing = set(self.accounts) - {row.account for row in rows}
        for account in sorted(missing - self._missing):
            self.alarm(account, "page", "account missing", f"login {self.login} shows no {account}")
        self._missing = missing

    async def _unthrottled[T](self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until the broker's own count lets it; new hubs would only cost more requests."""
        while True:
            try:
                return await ask()
            except BrokerUnavailable as error:
                if type(error).__name__ != "Throttled":
                    raise
            await asyncio.sleep(THROTTLED_WAIT_S)

    async def _refresh_token(self) -> None:
        expires = self.broker.token_expires_at
        if expires and expires - self.wall_ns() < REFRESH_BEFORE:
            await self._log_in_again()

    async def _keep_warm(self) -> None:
        """Use the enforcement connection before it idles out: a close must not wait for TLS."""
        if rationing.left(self.budget, rationing.REST, self.clock.now_ns()):
            with suppress(BrokerUnavailable):  # the reads and the probes tell of it
                await self.broker.warm()

    def wall_ns(self) -> int:
        """Return real time: the token's `exp` is not shifted in a demo home."""
        return self.clock.now_ns() - getattr(self.clock, "offset_ns", 0)

    # --- reads ------------------------------------------------------------------

    def _standing(self, account: int) -> tuple[int, bool] | None:
        row = self.intake.standing.get(account)
        return (row.balance, row.can_trade) if row else None

    def _since(self, account: int, at: int) -> int:
        """Ask for the trade day once, later only for what may have been missed."""
        last = self.reader.last_read_at.get(account)
        if last is not None:
            return last - OVERLAP
        policy = self._policies.get(account)
        if policy is None:
            return at - 24 * 3_600 * SECOND
        return calendar.day_start(policy.calendar, policy.day_roll, at) - OVERLAP

    def _reading(self, reading: Reading) -> None:
        rows = reading.rows
        self.intake.note_contracts((*rows.positions, *rows.orders, *rows.trades))
        ended = self._ended_unseen(reading)
        outputs = fence.step(self.gate, fence.ReadDone(reading), self.clock.now_ns())
        stamped = tuple(
            msgspec.structs.replace(
                row, version=fence.version_of(self.gate, row.account, row.contract)
            )
            for row in rows.positions
        )
        self.outlet.put(
            [msgspec.structs.replace(rows, positions=stamped, orders=(*rows.orders, *ended))]
        )
        self.perform(outputs)

    def _ended_unseen(self, reading: Reading) -> tuple[OrderChanged, ...]:
        """Return the orders that ended in a gap of the stream: only a read of all states tells."""
        known = self.gate.of(reading.account).orders
        return tuple(
            order
            for order in reading.recent or ()
            if not fence.is_working(order)
            and order.order in known
            and fence.is_working(known[order.order].order)
        )

    def _read_failed(self, account: int, error: Exception) -> None:
        if isinstance(error, Malformed):
            self.intake.quarantine("read", {"accountId": account}, error)
        if type(error).__name__ == "Unauthorized":
            self._unauthorized()

    async def _reconcile_all(self) -> None:
        if self.session.state == "blind":
            return
        try:
            self._take_accounts(await self.broker.accounts())
        except (BrokerUnavailable, Malformed) as error:
            self._read_failed(0, error)
            return
        for account in self.accounts:
            self.reader.want(account, why=spent.REGULAR, urgent=False)

    # --- from the stream ----------------------------------------------------------

    def _records(self, records: list[Record]) -> None:
        for record in records:
            fact = decode(record).fact
            match fact:
                case Intended() if fact.account in self.accounts:
                    self.desk.take(fact)
                case LeaseGranted() if fact.account in self.accounts:
                    self.apply(fence.EpochRaised(fact.account, fact.epoch))
                case PolicyAdopted():
                    self._policies[fact.account] = fact
                case _:
                    pass

    # --- while the journal is away, and people --------------------------------------

    def take_directly(self, intended: Intended) -> str:
        """Take a goal that closes from the worker itself; return why not, or "".

        Only while the journal does not answer, and only what is safe at any age:
        a close under a lock, a cancel. It is flushed to the disk before it may leave.
        """
        goal = intended.goal
        if intended.account not in self.accounts:
            return f"account {intended.account} is not of login {self.login}"
        if not (goal.locked and goal.act in ("close", "cancel")):
            return f"without the journal only closes and cancels under a lock leave, not {goal.act}"
        if not self.desk.knows(intended.key):
            self.emergency.write(intended)
            self.desk.take(intended)
        return ""

    async def act(self, acted: OperatorActed) -> str:
        """Store a person's act durably; return where: in the journal, or on this disk instead.

        Whichever answers: an act that got to both is one act, by its id.
        """
        try:
            async with asyncio.timeout(ACT_WITHIN_S):
                answer = await self.journal.append([new_record(acted, once(acted))])
            if not answer.refused:
                return "journal"
        except (JournalAway, TimeoutError):
            pass  # the file is for this
        self.emergency.write(acted)
        return "emergency file"

    async def flatten(self, account: int, by: str, reason: str, within_s: float) -> list[str]:
        """Close an account on a person's order; return what is left, proven by a read."""
        began = self.clock.now_ns()
        deadline = asyncio.get_running_loop().time() + within_s
        turn = 0
        while True:
            left = await self._left(account)
            if left is not None and not left:
                return []
            if asyncio.get_running_loop().time() > deadline:
                return left if left is not None else ["the account could not be read"]
            turn += 1
            self._close_by_hand(account, f"{by}: {reason}", f"{began}-{turn}")
            await asyncio.sleep(0.1)

    def _close_by_hand(self, account: int, reason: str, turn: str) -> None:
        gate = self.gate.of(account)
        goals = [
            Goal(act="close", account=account, contract=name, locked=True, reason=reason)
            for name, view in sorted(gate.views.items())
            if not view.is_flat and name not in gate.slots
        ]
        shut = all(view.is_flat for view in gate.views.values())
        goals += [
            Goal(
                act="cancel",
                account=account,
                contract=seen.order.contract,
                order=number,
                locked=True,
                closing=True,
                reason=reason,
            )
            for number, seen in sorted(gate.orders.items())
            if fence.is_working(seen.order)
            and number not in gate.cancels
            and (shut or not fence.protects(seen.order, gate.view(seen.order.contract).quantity))
        ]
        for goal in goals:
            key = f"{account}:by-hand:{turn}:{goal.act}-{goal.contract}-{goal.order}"
            intended = Intended(account=account, epoch=gate.epoch, cause_seq=0, key=key, goal=goal)
            self.desk.take(intended, by_person=True)

    async def read_now(self, account: int, within_s: float) -> Reading | None:
        """Have the account read from now on; None when no stable read came in time."""
        began = self.clock.now_ns()
        self.reader.want(account, why="asked")
        try:
            async with asyncio.timeout(within_s):
                await self.reader.read_since((account,), began)
        except TimeoutError:
            return None
        return self.reader.last[account]

    async def _left(self, account: int) -> list[str] | None:
        """Read the account now and name what is open in it; None when it cannot be read."""
        reading = await self.read_now(account, 2.0)
        if reading is None:
            return None
        left = [f"{row.contract}: {row.quantity}" for row in reading.rows.positions if row.quantity]
        return left + [f"order {row.order} ({row.contract})" for row in reading.rows.orders]

    def _gap(self, why: str) -> None:
        """Facts did not get into the stream: nothing is certain until every account was read."""
        _log.warning("gap", extra={"why": why})
        self._gaps += 1
        self.session.doubt(why)
        self.reader.forget()
        if not (self._is_mending or self.outlet.is_dropping):
            self._is_mending = True
            self.spawn(self._mend())

    async def _mend(self) -> None:
        """Have every account read until no fact was lost meanwhile, ever less often."""
        gap, pause_s = -1, GAP_SETTLES_S
        while gap != self._gaps:
            gap, began = self._gaps, self.clock.now_ns()
            shown = [number for number in self.accounts if number in self.intake.standing]
            for account in shown:
                self.reader.want(account, why="facts were lost on their way into the journal")
            await self.reader.read_since(shown, began)
            await asyncio.sleep(pause_s)  # what was read may be what the journal refuses
            pause_s = min(pause_s * 2, GAP_SETTLES_S_MAX)
        self._is_mending = False
        self.session.believe()

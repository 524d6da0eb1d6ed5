"""One login's loop: hubs to facts, goals to requests, reads to truth.

Dull on purpose: what may leave is the fence's to say, how often the budget's,
what a message means the wire's. Everything runs on one event loop, so the
fence sees one input at a time, in the order of arrival.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from risk_daemon.broker import budget as rationing
from risk_daemon.broker import fence
from risk_daemon.broker.gate import refuse
from risk_daemon.broker.port import COST, FULL, RECENT, Broker, IntakeMaker, Reading
from risk_daemon.clock import Absence, Timekeeper
from risk_daemon.core import session as calendar
from risk_daemon.core.events import (
    AlarmRaised,
    ContractSeen,
    Fact,
    FeedChanged,
    Intended,
    LeaseGranted,
    MarkChanged,
    PolicyAdopted,
    PrintSeen,
    RequestSent,
)
from risk_daemon.errors import BrokerRefused, BrokerUnavailable, JournalAway, Malformed
from risk_daemon.journal.segment import Segment
from risk_daemon.link import inherited, past, polling, spent, stamping
from risk_daemon.link.counted import Counted
from risk_daemon.link.desk import Desk
from risk_daemon.link.emergency import fold
from risk_daemon.link.frames import Frames
from risk_daemon.link.hands import Hands
from risk_daemon.link.listing import Listing, unthrottled
from risk_daemon.link.outlet import Outlet
from risk_daemon.link.prices import Prices
from risk_daemon.link.reader import RECONNECT_KEEPS, Reader, forever
from risk_daemon.link.send_log import SendLog
from risk_daemon.link.session import BLIND, POLLING, Session
from risk_daemon.link.token_clock import TokenClock
from risk_daemon.settings import Login
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, decode

SECOND: Final = 1_000_000_000
RESUME_WITHIN: Final = 600 * SECOND
#: Changes of all logins' feeds among which the last one of a login is looked for.
FEEDS_MAX: Final = 1_000
SUPERSEDED: Final = "its link ended before it left, and a later goal is for the same"
RECONNECT_WITHIN_S: Final = 5.0
#: How long after the journal is back every account is read.
LOOK_AFTER_S: Final = 1.0
JOURNAL_AWAY: Final = "the journal was away"
OVERLAP: Final = 60 * SECOND
TICK_S_MAX: Final = 0.25
#: The SDK closes connections that idle for 60 s.
WARM_EVERY_S: Final = 25.0
PRICES_EVERY_S: Final = 1.0
FOLD_AGAIN_S: Final = 1.0
TOKEN_LOOK_S: Final = 0.25
PRESENT_LOOK_S: Final = 1.0
NEXT_READ_WITHIN_S: Final = 20.0
#: The shares of the budget that reads are paid from.
READS: Final = (rationing.VERIFICATION, rationing.REST)
SET_ASIDE: Final = "a message was set aside"
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
        send_log: Path,
        session_name: str,
    ) -> None:
        self.login, self.accounts = login.name, login.accounts
        self.journal, self.clock = journal, clock
        self.gate = fence.Gate(session=session_name, version_base=clock.now_ns() // 1_000)
        self.budget = rationing.Budget()
        self.broker = broker = Counted(broker, self.budget, clock)
        self.emergency = Segment(emergency)
        self.sent = SendLog(send_log, self._no_log)
        self.outlet = Outlet(journal, self._gap)
        self.desk = Desk(
            self.gate,
            broker,
            self.budget,
            clock,
            apply=self.apply,
            on_unauthorized=self._unauthorized,
            release_of=lambda account: self._releases.get(account, ""),
            sent=self.sent,
        )
        self.intake = intake(
            login.name,
            login.accounts,
            on_fact=self.fact,
            on_contract=self._new_contract,
            on_quarantine=self._read_after_quarantine,
            on_market=self._heard,
        )
        self.frames = Frames()
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
            handlers=self.frames.noting(self.intake.handlers()),
            market_handlers=self.frames.noting(self.intake.market_handlers()),
            on_state=self._feed,
            on_open=self._opened,
            on_login=self._logged_in,
        )
        self.token = TokenClock(
            broker,
            self.session,
            clock,
            spawn=self.spawn,
            on_renewed=lambda: self._read_all("logged in again"),
            on_refused=lambda why: self.alarm(0, "urgent", "login refused", f"{self.login}: {why}"),
        )
        self.prices = Prices(
            broker,
            self.session,
            clock,
            self.gate,
            intake=self.intake,
            put=lambda fact: self.outlet.put([fact]),
            spawn=self.spawn,
            in_session=self._in_session,
        )
        self.listing = Listing(
            login,
            broker,
            on_row=self.intake.account,
            on_missing=lambda missing: self.outlet.put([missing]),
            on_failure=self._read_failed,
            alarm=self.alarm,
        )
        self.hands = Hands(
            login,
            self.gate,
            self.desk,
            self.reader,
            journal,
            clock,
            self.emergency,
            self._raise,
        )
        self.reconcile_every_s = login.reconcile_every_s
        self._turns = 0
        self._read_ok_at = clock.steady_ns()
        self._listed_at = 0
        self.lost = asyncio.Event()
        self.fatal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        #: By account: the release that holds it.
        self._releases: dict[int, str] = {}
        self._policies: dict[int, PolicyAdopted] = {}
        self._catalog: dict[str, ContractSeen] = {}
        self._announced: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._watchers: list[Callable[[], None]] = []
        self._gaps = 0
        self._is_mending = False
        self._absence = Absence()
        #: One at a time: the end of the first would take what the second has not brought in.
        self._folding = asyncio.Lock()
        self._is_unfolded = False

    # --- running -------------------------------------------------------------

    async def run(self) -> None:
        """Serve until cancelled; raises when the stream cannot be followed any more."""
        self.sent.begin()
        try:
            await self._serve()
        finally:
            self.sent.close()

    async def _serve(self) -> None:
        await self._resume()
        self._take_room()
        await self._fold_emergency()
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self.reader.run())
            group.create_task(self.session.run())
            group.create_task(self._keep_journal())
            group.create_task(forever(lambda: self.reconcile_every_s, self._reconcile_all))
            group.create_task(forever(lambda: polling.STEP_S, self._poll))
            group.create_task(forever(lambda: FOLD_AGAIN_S, self._fold_rest))
            group.create_task(forever(lambda: PRICES_EVERY_S, self.prices.turn))
            group.create_task(forever(lambda: TOKEN_LOOK_S, self.token.keep))
            group.create_task(forever(lambda: PRESENT_LOOK_S, self._look_around))
            group.create_task(forever(lambda: WARM_EVERY_S, self._keep_warm))
            group.create_task(self._fail_when_fatal())

    async def _fail_when_fatal(self) -> None:
        raise RuntimeError(await self.fatal)

    async def _resume(self) -> None:
        """Take over from an earlier run: epochs, policies, budget, goals without an end."""
        for account, epoch, release in await past.leases(self.journal, self.accounts):
            self.apply(fence.EpochRaised(account, epoch))
            self._held_by(account, release)
        last_seq = await past.last_seq(self.journal)
        self._policies.update(await past.policies(self.journal))
        window = self.clock.now_ns() - rationing.WINDOW
        records = await past.tail(self.journal, spent.KINDS, 0, window)
        spent.spend(self.budget, records, self.login, self.accounts)
        await self._take_goals(last_seq)
        self.journal.subscribe(
            last_seq + 1, KINDS, on_records=self._records, on_truncated=self._truncated
        )

    async def _take_goals(self, last_seq: int) -> None:
        """Goals that may have left without an end count as sent; those that have not, leave now."""
        since = self.clock.now_ns() - RESUME_WITHIN
        found = await past.tail(self.journal, inherited.KINDS, 0, since)
        found += await past.last(self.journal, inherited.FEED, FEEDS_MAX)
        known = {record.seq: record for record in found if record.seq <= last_seq}
        records = [known[seq] for seq in sorted(known)]
        sent = inherited.Sent(self.sent.name, self.sent.left_at)
        now = self.clock.now_ns()
        kept = [(at or now, intended) for at, intended in self.emergency.goals()]
        goals = inherited.inherited(records, self.login, self.accounts, sent, kept)
        for at, intended in goals.in_doubt:
            self.desk.look_for(intended, at)
        for _, intended in kept:  # when it is folded in, it comes by the stream
            self.desk.know(intended.key)
        self.perform([refuse(one, SUPERSEDED) for one in goals.superseded])
        self.perform([refuse(one, fence.SUPERSEDED) for one in goals.over])
        for intended in goals.fresh:
            self.desk.take(intended)
        self._say_feed(BLIND, "its link begins")

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
            # All that was noticed has been said again; to look whether it was all is less urgent
            # than what is decided now.
            asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._read_all, JOURNAL_AWAY)

    def _take_room(self) -> None:
        try:
            self.emergency.take_room()
        except OSError as error:
            text = f"{self.login}: without the journal nothing could be kept: {error}"
            self.alarm(0, "page", "no emergency segment", text)

    def _raise(self, lease: LeaseGranted) -> None:
        self.apply(fence.EpochRaised(lease.account, lease.epoch))
        self._held_by(lease.account, lease.release)

    def _held_by(self, account: int, release: str) -> None:
        """Note whose requests an account's are: each release has some of the budget kept."""
        if account in self.accounts:
            self._releases[account] = release
            self.budget.releases = tuple(sorted({one for one in self._releases.values() if one}))

    async def _fold_rest(self) -> None:
        """Fold in what a journal that is there would not take before; a lost one is waited for."""
        if self._is_unfolded and self.journal.is_open:
            await self._fold_emergency()

    async def _fold_emergency(self) -> None:
        path = self.emergency.path
        aside = path.parent.parent / "set-aside" / f"{self.clock.now_ns()}-{path.name}"
        async with self._folding:
            try:
                refused = await fold(self.emergency, self.journal, aside)
            except JournalAway:
                self._is_unfolded = True
                return  # the segment is as it was, and is folded in later
            self._is_unfolded = False
        self.hands.forget_kept()
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
                    # The request leaves before the journal is woken to write down that it does.
                    self.outlet.put([fact], patient=isinstance(fact, RequestSent))
                case fence.Send(request=request):
                    self.desk.send(request)
                    if not self.session.is_open:  # nothing shows what becomes of it
                        self.apply(fence.StreamBroken())
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
        fact, outputs = stamping.arrived(self.gate, fact, self.clock.now_ns())
        self.outlet.put([fact])
        self.prices.see(fact)
        if outputs:
            self.perform(outputs)
        elif not isinstance(fact, MarkChanged | PrintSeen):
            self._schedule_tick()  # what does not fit together is looked at in a moment

    def _new_contract(self, contract: str) -> None:
        """Announce a contract before the first fact that names it, if its metadata is known."""
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

    def _heard(self, contract: str) -> None:
        self.prices.hear(contract)

    def _unauthorized(self) -> None:
        self.token.refused()

    def _read_after_quarantine(self, account: int) -> None:
        if account:
            self.reader.want(account, why=SET_ASIDE)
        else:
            self._read_all(SET_ASIDE)

    def _read_all(self, why: str) -> None:
        for account in self.accounts:
            self.reader.want(account, why=why)

    # --- the session ------------------------------------------------------------

    def _feed(self, state: str, why: str) -> None:
        _log.info("feed", extra={"state": state, "why": why})
        was_polling, self.reader.is_polling = self.reader.is_polling, self.session.is_taken
        if state in (BLIND, POLLING):
            self.apply(fence.StreamBroken())
            self.prices.begin_anew()
        if self.reader.is_polling and not was_polling:
            self._turns, self._read_ok_at = 0, self.clock.steady_ns()
            self._read_all("the streams are gone")
            price = f"{self.login}: {why}; {polling.price(len(self.accounts))}"
            self.alarm(0, "urgent", "session taken", price)
        self._say_feed(state, why)

    def _no_log(self, why: str) -> None:
        """From now on nobody could know what left: not to be taken for a link that notes it."""
        self._say_feed(self.session.state, f"what leaves is not noted any more: {why}")

    def _say_feed(self, state: str, why: str) -> None:
        self.outlet.put(
            [FeedChanged(login=self.login, state=state, why=why, send_log=self.sent.name)]
        )

    def _logged_in(self) -> None:
        if not self.reader.last_read_at:
            self.spawn(self._look_early())

    async def _look_early(self) -> None:
        """Read what a new link has to act upon before its streams are there: goals wait for it."""
        with suppress(BrokerUnavailable, BrokerRefused, Malformed):  # as soon as the streams are
            await self._list()
            waiting = [n for n, one in sorted(self.gate.accounts.items()) if one.held or one.slots]
            for account in (*waiting, *(self.accounts if self._may_read_twice() else ())):
                self.reader.want(account, why="its link begins")

    def _may_read_twice(self) -> bool:
        """Tell whether all accounts may be read now and once more after subscribing."""
        now = self.clock.now_ns()
        left = [rationing.left(self.budget, share, now) for share in READS]
        return sum(left) >= len(self.accounts) * (COST[FULL] + COST[RECENT]) + RECONNECT_KEEPS

    async def _list(self) -> None:
        """Have the rows of all accounts shown, once it is known what their contracts are."""
        if not self._catalog:
            contracts = await unthrottled(self.broker.contracts)
            self._catalog = {found.contract: found for found in contracts}
        self.listing.take(await unthrottled(self.broker.accounts))

    async def _opened(self) -> None:
        """Read everything once after every (re)subscription; only then is the feed trusted."""
        await self._list()
        began = self.clock.now_ns()
        shown = [account for account in self.accounts if account in self.intake.standing]
        for account in shown:
            # Nothing of a view that was never there can have ended unseen, and a login of many
            # accounts has a minute's requests for their first reads only.
            depth = RECENT if account in self.reader.last_read_at else FULL
            self.reader.want(account, depth, why="after subscribing")
        try:
            await self.reader.read_since(shown, began, NEXT_READ_WITHIN_S)
        except TimeoutError:
            raise BrokerUnavailable("the accounts could not be read after subscribing") from None

    async def _look_around(self) -> None:
        """After a sleep nothing that is known can be believed before it was read again."""
        wall = self.clock.now_ns() + self.clock.divergence_ns()
        if self._absence.look(wall, self.clock.steady_ns()) is not None:
            self._gap("nothing ran for a while")

    async def _keep_warm(self) -> None:
        """Use the enforcement connection before it idles out: a close must not wait for TLS."""
        if rationing.left(self.budget, rationing.REST, self.clock.now_ns()):
            with suppress(BrokerUnavailable):  # the reads and the probes tell of it
                await self.broker.warm()

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
        self._read_ok_at = self.clock.steady_ns()
        self.intake.note_contracts((*rows.positions, *rows.orders, *rows.trades))
        reconciled, outputs = stamping.read(self.gate, reading, self.clock.now_ns())
        self.outlet.put([reconciled])
        self.perform(outputs)

    def _read_failed(self, account: int, error: Exception) -> None:
        if isinstance(error, Malformed):
            self.intake.quarantine("read", {"accountId": account}, error)
        if type(error).__name__ == "Unauthorized":
            self.token.refused()

    async def _reconcile_all(self) -> None:
        """Read everything once in a while, also while the streams are not there."""
        if self.session.state != POLLING and await self.listing.read():
            for account in self.accounts:
                self.reader.want(account, why=spent.REGULAR, urgent=False)

    async def _poll(self) -> None:
        """Read the next account in turn while another client has the streams."""
        if not self.session.is_taken:
            return
        now = self.clock.steady_ns()
        late_s = (now - self._read_ok_at) / SECOND
        works = late_s < polling.late_after_s(len(self.accounts))
        told = polling.price(len(self.accounts)) if works else "and no account can be read"
        self.session.poll(works=works, why=f"another client has the streams; {told}")
        if now - self._listed_at >= polling.LIST_EVERY_S * SECOND:
            self._listed_at = now
            await self.listing.read()
        account, depth = polling.turn(self._turns, self.accounts)
        self._turns += 1
        self.reader.want(account, depth, why=polling.WHY, urgent=False)

    def _in_session(self) -> bool:
        """Tell whether the exchange trades, by the calendar of any account."""
        now = self.clock.now_ns()
        calendars = {policy.calendar for policy in self._policies.values()}
        return any(calendar.is_open(name, now) for name in calendars)

    # --- from the stream ----------------------------------------------------------

    def _records(self, records: list[Record]) -> None:
        for record in records:
            fact = decode(record).fact
            match fact:
                case Intended() if fact.account in self.accounts:
                    self.desk.take(fact)
                case LeaseGranted() if fact.account in self.accounts:
                    self._raise(fact)
                case PolicyAdopted():
                    self._policies[fact.account] = fact
                case _:
                    pass

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

"""The exchange, its market, its traders and the referee, moved forward together.

Pure: `step(now)` does everything that is due and says what has to leave. The asynchronous shell
only carries bytes; a test can live a whole day here in a second, with a toy daemon in the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from risk_daemon.sim import strikes
from risk_daemon.sim.booking import Costs
from risk_daemon.sim.breach import Sent
from risk_daemon.sim.codes import OK, OrderType
from risk_daemon.sim.faults import BLOCKS_REQUESTS, Fault, FaultBoard, FaultWish
from risk_daemon.sim.market import Market, Tick
from risk_daemon.sim.model import Account, Answer, Message, Quote, Ticket
from risk_daemon.sim.moment import NS_PER_MS, NS_PER_S, Moment
from risk_daemon.sim.outbox import Outbox
from risk_daemon.sim.profile import Profile, named
from risk_daemon.sim.referee import Referee
from risk_daemon.sim.scenario import Limits, SimConfig
from risk_daemon.sim.traders import View, trader
from risk_daemon.sim.venue import Venue

TRADERS_EVERY_NS = 50 * NS_PER_MS
TICK_EVERY_NS = 20 * NS_PER_MS
# Of an account that came while it ran nobody told the daemon a limit.
UNJUDGED = Limits(1_000_000, Decimal(1_000_000_000))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What leaves now: user messages by login, and market updates."""

    messages: list[tuple[str, Message]]
    ticks: list[Tick]


class World:
    """One simulated exchange with everybody in it."""

    def __init__(self, config: SimConfig, now: Moment) -> None:
        self.config = config
        self.logins = {a.id: login.user for login in config.logins for a in login.accounts}
        self.faults = FaultBoard()
        self.market = Market(config.seed, swings=config.swings)
        profile = named(config.profile)
        accounts = [
            Account(a.id, a.name, login.user, a.balance)
            for login in config.logins
            for a in login.accounts
        ]
        self.venue = Venue(
            accounts,
            Costs(config.fees),
            Random(f"venue {config.seed}"),
            profile,
            auto_oco=config.close_mode == "auto_oco",
        )
        self.outbox = Outbox(Random(f"outbox {config.seed}"), profile, self.faults)
        self.referee = Referee(
            config.limits,
            self.logins,
            answer_within_ms=config.answer_within_ms,
            seed=config.seed,
            balances={account.id: account.balance for account in accounts},
        )
        self.referee.board.quotes = self.venue.quotes
        self.traders = {
            a.id: trader(a.style, config.seed, a.id)
            for login in config.logins
            for a in login.accounts
        }
        self.traders_on = config.traders
        self.traders_end_ns: int | None = None
        self.whole: dict[str, bool] = {login.user: False for login in config.logins}
        self._fault_rng = Random(f"faults {config.seed}")
        self._undo: dict[int, Callable[[], None]] = {}
        self._waiting: set[int] = set()
        self._traders_due_ns = self._tick_due_ns = now.ns
        self._ticks: list[Tick] = []
        for tick in self.market.open():
            self.venue.quote(tick.contract.id, tick.quote, now)

    @property
    def profile(self) -> Profile:
        """The delays in force."""
        return self.venue.profile

    def set_profile(self, profile: Profile) -> None:
        """Other delays from now on; what is already on its way keeps its time."""
        self.venue.profile = self.outbox.profile = profile

    def step(self, now: Moment) -> Outgoing:
        """Do all that is due."""
        moved = self.market.step(now.ns)
        for tick in moved:
            self._ticks.append(tick)
            self.venue.quote(tick.contract.id, tick.quote, now)
        self.venue.step(now)
        self.flush(now)
        for tick in moved:
            self.referee.moved(tick.contract.id, tick.quote, now)
        self._end_faults(now)
        if now.ns >= self._traders_due_ns:
            self._traders_due_ns = now.ns + TRADERS_EVERY_NS
            self._let_traders_act(now)
        if now.ns >= self._tick_due_ns:
            self._tick_due_ns = now.ns + TICK_EVERY_NS
            self.referee.tick(now, self.whole)
        ticks, self._ticks = self._ticks, []
        return Outgoing(self.outbox.take_due(now.ns), [self._bent(t, now) for t in ticks])

    def next_due_ns(self) -> int:
        """When there is something to do again."""
        dues = [self.venue.next_due_ns(), self.outbox.next_due_ns(), self.market.next_due_ns()]
        return min([self._tick_due_ns, *(due for due in dues if due is not None)])

    def flush(self, now: Moment) -> None:
        """Hand what the exchange said to the referee and to the outbox."""
        messages = self.venue.drain()
        if not messages:
            return
        self.referee.happened(messages, now)
        for message in messages:
            self.outbox.post(self.logins[message.account], [message], now.ns)

    # Requests of the daemon (REST) and of people (control port).

    def request(
        self,
        sent: Sent,
        now: Moment,
        do: Callable[[], Answer],
        *,
        known: bool = True,
    ) -> Answer:
        """A request that came in: told to the referee, carried out, and its outcome told."""
        self.referee.requested(sent, now)
        answer = do()
        order = answer.order if answer.code == OK else None
        self.referee.answered(sent, answer.code, order, now, known=known)
        self.flush(now)
        return answer

    def refused(self, sent: Sent, now: Moment, *, known: bool = True) -> None:
        """A request that came in but was not taken (over the rate, broken on the way)."""
        self.referee.requested(sent, now)
        self.referee.answered(sent, -1, None, now, known=known)

    def trade(self, account: int, ticket: Ticket, now: Moment) -> Answer:
        """A trader's order."""
        answer = self.venue.place(account, ticket, now)
        self.flush(now)
        return answer

    def cancel(self, account: int, order: int, now: Moment) -> Answer:
        """A trader takes an order back."""
        answer = self.venue.cancel(account, order, now)
        self.flush(now)
        return answer

    def set_quote(self, contract: str, quote: Quote, now: Moment) -> None:
        """Put the market by hand; resting orders that are reached fill."""
        self._ticks.append(self.market.set(contract, quote))
        self.venue.quote(contract, quote, now)
        self.flush(now)
        if quote.is_valid:
            self.referee.moved(contract, quote, now)

    # Faults.

    def start_fault(self, wish: FaultWish, now: Moment) -> Fault:
        """Put a fault on; what it does to the exchange itself is done here."""
        if wish.login is None and wish.account is not None:
            wish = replace(wish, login=self.logins.get(wish.account))
        fault = self.faults.start(wish, now.ns)
        excuses = wish.kind in BLOCKS_REQUESTS
        self.referee.fault_started(fault.n, wish.login, wish.kind, now, excuses=excuses)
        undo = strikes.strike(self, fault, now)
        if undo is not None:
            self._undo[fault.n] = undo
        self.flush(now)
        return fault

    def _end_faults(self, now: Moment) -> None:
        for fault in self.faults.take_ended(now.ns):
            undo = self._undo.pop(fault.n, None)
            if undo is not None:
                undo()
            self.referee.fault_over(fault.n, fault.kind, now, fault.login)
            self.flush(now)

    def admit(self, account: Account) -> None:
        """A login gets an account that nobody was told of; its people may trade on it."""
        self.logins[account.id] = account.login
        self.referee.admit(account.id, account.login, UNJUDGED)
        self.venue.open_account(account)

    def _bent(self, tick: Tick, now: Moment) -> Tick:
        """A quote as it leaves: broken while `bad_quotes` is on."""
        fault = self.faults.find("bad_quotes", now.ns)
        wanted = fault.options.get("contract") if fault else None
        if fault is None or wanted not in (None, tick.contract.id, tick.contract.root):
            return tick
        quote, nothing = tick.quote, Decimal(0)
        broken = self._fault_rng.choice(
            (
                replace(quote, bid=quote.ask, ask=quote.bid),
                replace(quote, bid=nothing),
                replace(quote, ask=nothing),
                replace(quote, bid=nothing, ask=nothing, last=nothing),
                replace(quote, bid=quote.bid * 2, ask=quote.ask * 2, last=quote.last * 2),
            )
        )
        return replace(tick, quote=broken, volume=0)

    # Traders.

    def switch_traders(self, *, on: bool, now: Moment, end_in_s: float | None = None) -> None:
        """Let them trade or not; they place nothing in the last seconds before the end."""
        self.traders_on = on
        self.traders_end_ns = None if end_in_s is None else now.ns + int(end_in_s * NS_PER_S)

    def announce(
        self, account: int | None, act: str, by: str, now: Moment, grace_ms: float = 0
    ) -> bool:
        """Register an operator act, once no trader's order is on its way; False while one is.

        An act that meets a trader's own closing order in flight would end in a race that no daemon
        can win. People are asked to announce first, so the wait costs them nothing; the traders
        concerned send nothing meanwhile.
        """
        concerned = set(self.logins) if account is None else {account}
        if any(
            order.account in concerned and order.by == "trader" and order.type is OrderType.MARKET
            for order in self.venue.working.values()
        ):
            self._waiting |= concerned
            return False
        self._waiting -= concerned
        self.referee.announced(account, act, by, now, grace_ms)
        return True

    def _let_traders_act(self, now: Moment) -> None:
        if not self.traders_on:
            return
        for account, person in self.traders.items():
            case = self.referee.cases[account]
            if case.open_breaches() or account in self._waiting or case.is_about_to_break():
                continue
            for act in person.act(self._view(account, now)):
                if isinstance(act, Ticket):
                    self.trade(account, act, now)
                else:
                    self.cancel(account, act, now)

    def _view(self, account: int, now: Moment) -> View:
        case = self.referee.cases[account]
        held = [p for p in self.venue.positions.values() if p.account == account]
        orders = self.venue.working_of(account)
        last = max(
            self.venue.accounts[account].last_fill_ns, case.last_breach_ns, case.last_close_ns
        )
        end = self.traders_end_ns
        return View(
            now_s=now.ns / NS_PER_S,
            limit=self._binding_limit(account),
            quantities={p.contract.id: p.q for p in held},
            averages={p.contract.id: p.average for p in held},
            orders=orders,
            quotes=self.venue.quotes,
            quiet_s=(now.ns - last) / NS_PER_S,
            is_busy=any(not o.is_resting and o.parent is None for o in orders)
            or bool(case.unsettled()),
            is_locked=case.is_locked,
            left_s=None if end is None else (end - now.ns) / NS_PER_S,
            auto_oco=self.venue.auto_oco,
        )

    def _binding_limit(self, account: int) -> int:
        """What he may hold of his own product: the account's limit, or the product's."""
        limits = self.referee.cases[account].limits
        root = self.traders[account].contract.root
        of_root = limits.max_contracts_per_instrument.get(root, limits.max_contracts)
        return min(limits.max_contracts, of_root)

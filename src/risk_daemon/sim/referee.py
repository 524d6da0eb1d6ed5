"""The referee: two ledgers per account, and the verdict they lead to.

Pure. It is told what the exchange did, what was delivered, which requests arrived and what became
of them, each with its moment; it never asks anybody. It judges the daemon, so it must be able to
say no: `tests/sim/test_referee_says_no.py` holds one bad daemon per way of being bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby

from risk_daemon.sim.board import Board
from risk_daemon.sim.breach import Counts, Happening, Sent
from risk_daemon.sim.case import Case
from risk_daemon.sim.contracts import CATALOGUE
from risk_daemon.sim.ledger import OrderFact, Row
from risk_daemon.sim.model import Message, Quote
from risk_daemon.sim.moment import NS_PER_MS, NS_PER_S, Moment, iso
from risk_daemon.sim.scenario import Limits
from risk_daemon.sim.verdict import Verdict, verdict_of
from risk_daemon.sim.windows import Window, Windows

NEAR_TICKS = 8


class Referee:
    """Judges one daemon over all accounts."""

    def __init__(
        self,
        limits: Mapping[int, Limits],
        logins: Mapping[int, str],
        *,
        answer_within_ms: int = 1000,
        seed: int = 0,
        balances: Mapping[int, Decimal] | None = None,
    ) -> None:
        self.counts = Counts()
        self.bound_ns = answer_within_ms * NS_PER_MS
        self.windows = Windows()
        self.happenings: list[Happening] = []
        self.problems: list[str] = []
        self.delivered_count = 0
        self.board = Board()
        self._logins = dict(logins)
        self._seed = seed
        self._breach_count = 0
        self._started_ns: int | None = None
        begun_with = balances or {}
        self.cases = {
            account: Case(account, limits[account], self, begun_with.get(account, Decimal(50000)))
            for account in logins
        }

    def admit(self, account: int, login: str, limits: Limits) -> None:
        """An account that came while it runs."""
        self._logins[account] = login
        self.cases[account] = Case(account, limits, self)

    # What it is told.

    def happened(self, messages: Sequence[Message], now: Moment) -> None:
        """The exchange did this, all at this moment."""
        self._begin(now)
        by_account = sorted(messages, key=lambda message: message.account)
        for account, mine in groupby(by_account, key=lambda message: message.account):
            self.cases[account].happened(list(mine), now)

    def delivered(self, message: Message, now: Moment) -> None:
        """A message was written on a subscribed, unfaulted socket; copies are told too."""
        self.delivered_count += 1
        self.cases[message.account].saw(message, now)

    def moved(self, contract: str, quote: Quote, now: Moment) -> None:
        """The market moved."""
        self.board.moved(contract, quote, now.ns)
        for case in self.cases.values():
            case.priced(contract, now, "market")

    def quoted(self, login: str, contract: str, quote: Quote, now: Moment) -> None:
        """A quote was written on a subscribed, unfaulted socket of a login."""
        if self.board.quoted(login, contract, quote, now.ns):
            self._priced(login, contract, now, "message")

    def printed(self, login: str, contract: str, quote: Quote, now: Moment) -> None:
        """A trade print was written there; `quote` has its price as the last one."""
        if self.board.printed(login, contract, quote):
            self._priced(login, contract, now, "message")

    def unfollowed(self, login: str, contract: str) -> None:
        """No connection of the login is subscribed to a contract's quotes any more."""
        self.board.unfollowed(login, contract)

    def _priced(self, login: str, contract: str, now: Moment, cause: str) -> None:
        for account, case in self.cases.items():
            if self._logins[account] == login:
                case.priced(contract, now, cause)

    def read(self, kind: str, account: int, rows: Iterable[Row], now: Moment) -> None:
        """A REST answer about an account held these rows (kind: position, order or trade)."""
        self.cases[account].read(kind, rows, now)

    def requested(self, sent: Sent, now: Moment) -> None:
        """A request arrived."""
        if sent.account in self.cases:
            self._begin(now)
            self.cases[sent.account].requested(sent, now)

    def answered(
        self, sent: Sent, code: int, order: int | None, now: Moment, *, known: bool = True
    ) -> None:
        """The exchange decided on a request; `known` is false when the answer got lost."""
        if sent.account in self.cases:
            self.cases[sent.account].answered(sent.n, code, order, now, known=known)

    def announced(
        self, account: int | None, act: str, by: str, now: Moment, grace_ms: float = 0
    ) -> None:
        """An operator act, told before it is done; account None means all."""
        self._begin(now)
        for number, case in self.cases.items():
            if account in (None, number):
                case.announced(act, by, now, int(grace_ms * NS_PER_MS))

    def fault_started(
        self, n: int, login: str | None, why: str, now: Moment, *, excuses: bool
    ) -> None:
        """A fault window opens."""
        self.windows.open_for_fault(n, login, why, now.ns, excuses=excuses)
        self.say(now, None, "fault", f"{why} begins for {login or 'every login'}")

    def fault_over(self, n: int, why: str, now: Moment, login: str | None = None) -> None:
        """The fault ended; its window closes when the login is whole again."""
        self.windows.fault_over(n, now.ns)
        self.say(now, None, "fault-over", f"{why} is over for {login or 'every login'}")

    def declared(self, login: str | None, seconds: float, why: str, now: Moment) -> Window:
        """A fault window that somebody outside declares."""
        self.say(now, None, "fault", f"{why} ({seconds:g} s) for {login or 'every login'}")
        return self.windows.declare(login, seconds, why, now.ns)

    def tick(self, now: Moment, whole: dict[str, bool] | None = None) -> None:
        """Time passed; `whole` says which logins have their hubs connected and subscribed."""
        for window in self.windows.tick(now.ns, whole or {}):
            whom = window.login or "every login"
            self.say(now, None, "window-over", f"fault window of {window.why} closed for {whom}")
        for login, contract in self.board.passed(now.ns):
            self._priced(login, contract, now, "tick")
        for case in self.cases.values():
            if not case.is_idle(now):
                case.evaluate(now, "tick")

    def is_settled(self) -> bool:
        """Whether no breach is open and no close in flight."""
        return not any(c.open_breaches() or c.unsettled() for c in self.cases.values())

    def verdict(self) -> Verdict:
        """The verdict as of the last thing told."""
        return verdict_of(
            list(self.cases.values()),
            self.counts,
            self.problems,
            seed=self._seed,
            events=self.delivered_count,
        )

    # What the cases need (see `case.Court`).

    def next_number(self) -> int:
        """The next breach's number."""
        self._breach_count += 1
        return self._breach_count

    def in_fault(self, account: int, now_ns: int) -> bool:
        """Whether a fault window is open for the account's login."""
        return self.windows.is_open(self._logins[account], now_ns)

    def is_blocked(self, account: int, now_ns: int) -> bool:
        """Whether nobody can get a request through."""
        return self.windows.excuses(self._logins[account], now_ns)

    def is_near(self, order: OrderFact) -> bool:
        """Whether the market is within eight ticks of an order's price."""
        quote, contract = self.market(order.contract), CATALOGUE.get(order.contract)
        if quote is None or contract is None or order.price is None:
            return False
        distance = min(abs(order.price - quote.bid), abs(order.price - quote.ask))
        return distance <= Decimal(NEAR_TICKS) * contract.tick_size

    def market(self, contract: str) -> Quote | None:
        """The market as it is."""
        return self.board.quotes.get(contract)

    def believed(self, account: int, contract: str) -> Quote | None:
        """The believable quote that was delivered to the account's login, if any."""
        return self.board.believed(self._logins[account], contract)

    def extremes(self, account: int, contract: str, now_ns: int) -> tuple[Quote, Quote] | None:
        """The lowest and the highest market that any order of arrival may still show."""
        return self.board.extremes(self._logins[account], contract, now_ns)

    def say(self, now: Moment, account: int | None, kind: str, text: str) -> None:
        """A line for people."""
        self.happenings.append(
            Happening(len(self.happenings) + 1, now.ns, iso(now.at), account, kind, text)
        )

    def complain(self, text: str, now: Moment, account: int) -> None:
        """A violation: a line for people, and a sentence of the verdict."""
        since = (now.ns - (self._started_ns or now.ns)) / NS_PER_S
        self.say(now, account, "problem", text)
        self.problems.append(f"account {account} at {since:.3f} s ({iso(now.at)}): {text}")

    def _begin(self, now: Moment) -> None:
        if self._started_ns is None:
            self._started_ns = now.ns

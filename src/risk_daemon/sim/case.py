"""One account before the referee: its two books, its locks, its breaches, its closes in flight.

Rules for editors. Evaluate after every change and never between the messages of one fill in truth,
or a torn fill becomes a breach. Nothing here reads a clock: every call brings the moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial

from risk_daemon.sim.breach import Breach, Sent
from risk_daemon.sim.court import Court
from risk_daemon.sim.docket import Docket, Needs, Opening
from risk_daemon.sim.flight import NEVER_NS, Close, Flight
from risk_daemon.sim.ledger import Book, OrderFact, Row, whole
from risk_daemon.sim.model import Message
from risk_daemon.sim.moment import NS_PER_S, Moment, next_reset, trade_date
from risk_daemon.sim.reasons import Reasons
from risk_daemon.sim.scenario import Limits
from risk_daemon.sim.standing import (
    KILL_SWITCH,
    MAX_CONTRACTS,
    PER_INSTRUMENT,
    REALIZED_LOSS,
    RULES,
    Need,
    Standing,
    is_increasing,
    need,
    standing,
)
from risk_daemon.sim.watch import Scene
from risk_daemon.sim.watches import purses_of, watches_of
from risk_daemon.sim.wording import describe

UNKNOWN_LASTS_NS = 5 * NS_PER_S
RACE_S = 0.5  # the slowest order of a trader is filled by then
SWEEP_LASTS_NS = 10 * NS_PER_S  # the orphan sweep comes at once, after 1 s and after 5 s
_CLOSES = ("close", "partial_close")
_ALWAYS_ON = frozenset({MAX_CONTRACTS, REALIZED_LOSS, KILL_SWITCH})


class Case:
    """All that is judged about one account."""

    def __init__(
        self, account: int, limits: Limits, court: Court, balance: Decimal = Decimal(50000)
    ) -> None:
        self.account = account
        self.limits = limits
        self.truth = Book()
        self.delivered = Book()
        self.locked_until: datetime | None = None
        self.act: str | None = None
        self.last_close_ns = NEVER_NS
        self._court = court
        self._flight = Flight()
        self._seen_lock_until: datetime | None = None
        self._needs = Needs()
        self._docket = Docket(account, court, self._needs, self._flight, self.delivered)
        self._reasons = Reasons()
        self._purses = purses_of(account, limits, court)
        self._watches = watches_of(account, limits, balance, self._purses, court)
        self._rules = tuple(rule for rule in RULES if self.judges(rule))
        self._created_ns: dict[int, int] = {}
        self._requests: dict[int, Sent] = {}
        self._grace_until_ns = 0
        self._looked: tuple[date, tuple[Standing, Standing, Standing]] | None = None

    # What arrives.

    def happened(self, messages: Sequence[Message], now: Moment) -> None:
        """The exchange did this (all messages of one instant together)."""
        for message in messages:
            if message.kind == "trade":
                self._judge_fill(message.row, now)
            if message.kind == "order":
                self._created_ns.setdefault(whole(message.row, "id"), now.ns)
            self.truth.apply(message.kind, message.row)
            if message.kind == "order" and message.ends_order:
                self._flight.ended(message.order, now.ns)
        self._changed()
        self.evaluate(now, "truth")

    def saw(self, message: Message, now: Moment) -> None:
        """A message left on a subscribed, unfaulted socket."""
        self.delivered.apply(message.kind, message.row)
        self._changed()
        self._flight.saw(message)
        self.evaluate(now, "message")

    def read(self, kind: str, rows: Iterable[Row], now: Moment) -> None:
        """A REST answer held these rows."""
        self.delivered.read(kind, rows)
        self._changed()
        self._docket.read_ns = now.ns
        self._flight.read(kind)
        self.evaluate(now, "read")

    def priced(self, contract: str, now: Moment, cause: str) -> None:
        """The market of a contract moved, or its move was delivered."""
        is_held = self.truth.traded.get(contract) or self.delivered.traded.get(contract)
        if is_held and self._watches:
            self.evaluate(now, cause)

    def announced(self, act: str, by: str, now: Moment, grace_ns: int) -> None:
        """An operator is about to act."""
        self._court.say(now, self.account, "act", f"{act} by {by}")
        self.act = None if act == "unlock" else act
        if act == "unlock":
            for watch in self._watches.values():
                watch.unlocked()
        self._grace_until_ns = now.ns + grace_ns
        if KILL_SWITCH in self._docket.open:  # said again: from now on it counts
            self._docket.open[KILL_SWITCH].grace_until_ns = self._grace_until_ns
        self.evaluate(now, "timer")

    def requested(self, sent: Sent, now: Moment) -> None:
        """A request arrived; judged before anything is done about it."""
        self._requests[sent.n] = sent
        self.evaluate(now, "request")
        if sent.what in _CLOSES:
            self._judge_close(sent, now)
        elif sent.what == "cancel":
            self._judge_cancel(sent, now)
        elif sent.what == "place":
            self._court.counts.increased += 1
            self._court.complain(f"request {sent.n} placed an order", now, self.account)

    def answered(self, n: int, code: int, order: int | None, now: Moment, *, known: bool) -> None:
        """What the exchange did with a request; `known` is false when its sender can't tell."""
        sent = self._requests.get(n)
        if sent is None:
            return
        if sent.what == "cancel":
            self._docket.cancel_answer_ns = now.ns
        if sent.what in _CLOSES and code == 0 and order is not None and sent.contract:
            self._flight.accept(n, order, sent.contract, now.ns)
            self._docket.closed_since_open.add(sent.contract)
        if not known:
            self._docket.unknown_until_ns = now.ns + UNKNOWN_LASTS_NS

    # The judgement of the present.

    def evaluate(self, now: Moment, cause: str) -> None:
        """Bring breaches, reasons and clocks up to date."""
        self._reasons.keep(now.ns)
        self._roll(now)
        day = trade_date(now.at)
        true, seen, wide = self._look(day)
        self._lock(true, seen, now)
        self._watch(Scene(now, day, self.truth, self.delivered, true, *self._hindrance(now)))
        for rule in self._rules:
            self._needs.true[rule] = self._need(rule, true, true=True)
            self._needs.seen[rule] = self._need(rule, seen, true=False)
            watch = self._watches.get(rule)
            self._docket.follow(
                rule,
                now,
                cause,
                opening=partial(self._opening, rule, true, now, cause),
                was_too_short=watch is not None and watch.was_too_short(),
            )
        self._set_reasons(wide)
        self._reasons.keep(now.ns)

    def _changed(self) -> None:
        self._looked = None
        self._purses.changed()

    def _watch(self, scene: Scene) -> None:
        if self._watches:
            self._purses.look(scene.now, scene.day, self.truth, self.delivered)
        for watch in self._watches.values():
            watch.look(scene)

    def _hindrance(self, now: Moment) -> tuple[bool, bool]:
        """(nothing hinders who would close what is held, quotes may have been kept back)."""
        in_fault = self._court.in_fault(self.account, now.ns)
        is_held = any(self.truth.positions.values())
        return is_held and not in_fault and not self.unsettled(), in_fault

    def _need(self, rule: str, standing: Standing, *, true: bool) -> Need:
        watch = self._watches.get(rule)
        if watch is not None:
            return watch.need(standing, true=true)
        return need(rule, standing, is_locked=self._is_locked(rule, true=true))

    def _look(self, day: date) -> tuple[Standing, Standing, Standing]:
        # Fifty times a second nothing has changed but the time.
        if self._looked is None or self._looked[0] != day:
            true = standing(self.truth, self.limits, day, self.truth.small)
            seen = standing(self.delivered, self.limits, day, self.delivered.small)
            wide = standing(self.delivered, self.limits, day, self.delivered.large)
            self._looked = (day, (true, seen, wide))
        return self._looked[1]

    def judges(self, rule: str) -> bool:
        """Whether a rule is on for this account."""
        if rule == PER_INSTRUMENT:
            return bool(self.limits.max_contracts_per_instrument)
        return rule in _ALWAYS_ON or rule in self._watches

    def is_idle(self, now: Moment) -> bool:
        """Whether time alone changes nothing yet.

        Locks end with the trade day or by a person. What holds for a lock's sake goes on holding;
        a reason that a late price gave goes away by itself, and must be seen to go.
        """
        if self._looked is None or self._looked[0] != trade_date(now.at):
            return False
        if self._docket.open or self.unsettled():
            return False
        if any(watch.waits(now) for watch in self._watches.values()):
            return False
        return not self._reasons.any() or self._is_shut()

    def _is_shut(self) -> bool:
        """Locked in both ledgers' eyes, with nothing held and nothing resting in either."""
        is_locked = self._seen_lock_until is not None or self._any_lock()
        books = (self.truth, self.delivered)
        return is_locked and not any(
            book.resting() or any(map(book.large, book.contracts())) for book in books
        )

    @property
    def is_locked(self) -> bool:
        """Whether nobody should enter: a lock stands, or an honest daemon may have one."""
        return self._any_lock() or any(watch.is_doubtful for watch in self._watches.values())

    def is_about_to_break(self) -> bool:
        """Whether the clock makes a breach in a moment: an order now would race the answer."""
        return any(watch.due_within(RACE_S) for watch in self._watches.values())

    @property
    def breaches(self) -> list[Breach]:
        """All breaches, the ended ones too."""
        return self._docket.breaches

    @property
    def last_breach_ns(self) -> int:
        """When a breach was open last."""
        return self._docket.last_ns

    def open_breaches(self) -> list[Breach]:
        """Breaches whose target is not reached."""
        return list(self._docket.open.values())

    def unsettled(self) -> list[Close]:
        """Accepted closes that are in flight or whose fill nobody could see yet."""
        return self._flight.unsettled()

    def orphans(self) -> list[OrderFact]:
        """Orders left behind: of positions the daemon closed, and increasing ones under a lock."""
        return [order for order in self.truth.orders.values() if self._is_orphan(order)]

    def _is_orphan(self, order: OrderFact) -> bool:
        q = self.truth.small(order.contract)
        flattened = self._flight.flattened_ns(order.contract)
        if q == 0 and flattened is not None and self._created_ns.get(order.id, 0) <= flattened:
            return True
        return order.rests and self._any_lock() and is_increasing(order, q)

    def _any_lock(self) -> bool:
        watches = any(watch.is_locked for watch in self._watches.values())
        return self.locked_until is not None or self.act is not None or watches

    def _is_locked(self, rule: str, *, true: bool) -> bool:
        if rule == KILL_SWITCH:
            return self.act is not None
        return (self.locked_until if true else self._seen_lock_until) is not None

    def _roll(self, now: Moment) -> None:
        if self.locked_until is not None and now.at >= self.locked_until:
            self.locked_until = None
            self._court.say(now, self.account, "reset", "the session reset ended the loss lock")
        if self._seen_lock_until is not None and now.at >= self._seen_lock_until:
            self._seen_lock_until = None

    def _lock(self, true: Standing, seen: Standing, now: Moment) -> None:
        if seen.has_lost and self._seen_lock_until is None:
            self._seen_lock_until = next_reset(now.at)
        if not true.has_lost or self.locked_until is not None:
            return
        self.locked_until = next_reset(now.at)
        self._docket.locked_anew(REALIZED_LOSS)
        if not need(REALIZED_LOSS, true, is_locked=True):
            flat = self._docket.new(REALIZED_LOSS, "loss limit reached while already flat", now)
            flat.ended_ns = now.ns

    def _opening(self, rule: str, true: Standing, now: Moment, cause: str) -> Opening:
        watch = self._watches.get(rule)
        why = watch.text() if watch else ""
        realized = self.truth.realized(trade_date(now.at))
        text = describe(rule, true, self.limits, realized, self.act, why)
        due_ns = watch.due_ns() if watch else None
        if rule == KILL_SWITCH:
            timer = "timer" if cause == "timer" else ""
            return Opening(text, cause=timer, grace_until_ns=self._grace_until_ns)
        locks = rule == REALIZED_LOSS or (watch is not None and watch.locks)
        return Opening(text, cause="timer" if due_ns else "", due_ns=due_ns, locks=locks)

    # The reasons a request may have.

    def _set_reasons(self, wide: Standing) -> None:
        watches = self._watches.values()
        wanted = [*self._needs.true.values(), *self._needs.seen.values()]
        wanted += [self._need(rule, wide, true=False) for rule in self._rules]
        wanted += [watch.wide_need(wide) for watch in watches]
        is_locked = self._seen_lock_until is not None or self.is_locked
        self._reasons.set(
            close=is_locked or any(one.close for one in wanted),
            cancel=is_locked or any(map(bool, wanted)),
        )

    # The judgement of requests and fills.

    def _judge_close(self, sent: Sent, now: Moment) -> None:
        self.last_close_ns = now.ns
        contract = sent.contract or ""
        if any(close.contract == contract for close in self.unsettled()):
            self._count_duplicate(sent, "while an earlier one is not settled", now)
        elif not self._reasons.has("close", now.ns):
            self._court.counts.false += 1
            text = f"request {sent.n} closed {contract} without reason"
            self._court.complain(text, now, self.account)
        elif contract in self._docket.closed_since_open and not self._wants_close(contract):
            self._count_duplicate(sent, "although its target was reached", now)
        self._make_certain(contract, sent)
        for breach in self._docket.open.values():
            if self._needs.true[breach.rule].close or self._needs.seen[breach.rule].close:
                self._docket.answer(breach, now)

    def _make_certain(self, contract: str, sent: Sent) -> None:
        """A whole close that only a doubtful trip explains: whoever sent it had tripped."""
        others = [
            one
            for rule, one in (*self._needs.true.items(), *self._needs.seen.items())
            if not (rule in self._watches and self._watches[rule].is_doubtful)
        ]
        if sent.what == "close" and not any(contract in one.close for one in others):
            for watch in self._watches.values():
                watch.acted(contract)

    def _wants_close(self, contract: str) -> bool:
        needs = [*self._needs.true.values(), *self._needs.seen.values()]
        return any(contract in one.close for one in needs)

    def _count_duplicate(self, sent: Sent, why: str, now: Moment) -> None:
        self._court.counts.duplicate += 1
        self._court.complain(f"request {sent.n} closed {sent.contract} {why}", now, self.account)

    def _judge_cancel(self, sent: Sent, now: Moment) -> None:
        for breach in self._docket.open.values():
            if breach.first_cancel_ns is None:
                breach.first_cancel_ns = now.ns
            if not self._needs.true[breach.rule].close and not self._needs.seen[breach.rule].close:
                breach.clock_ns = now.ns
        if self._reasons.has("cancel", now.ns) or self._is_sweep(sent.order or 0, now):
            return
        self._court.counts.false += 1
        self._court.complain(
            f"request {sent.n} cancelled order {sent.order} without reason", now, self.account
        )

    def _is_sweep(self, order_id: int, now: Moment) -> bool:
        order = self.truth.orders.get(order_id) or self.delivered.orders.get(order_id)
        if order is None:
            return now.ns - self._flight.last_ns() <= SWEEP_LASTS_NS
        closed = self._flight.last_end_ns(order.contract)
        if closed is None or now.ns - closed > SWEEP_LASTS_NS:
            return False
        left = is_increasing(order, self.truth.small(order.contract))
        return left and self._created_ns.get(order_id, 0) <= closed

    def _judge_fill(self, row: Row, now: Moment) -> None:
        q = self.truth.traded.get(str(row["contractId"]), 0)
        bad = self._flight.fill(row, q, now.ns)
        if bad is None:
            return
        counts = self._court.counts
        setattr(counts, bad.how, getattr(counts, bad.how) + bad.size)
        text = f"request {bad.request} on {bad.contract}: {bad.how.replace('_', ' ')} ({bad.size})"
        self._court.complain(text, now, self.account)

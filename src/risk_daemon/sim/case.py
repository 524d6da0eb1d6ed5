"""One account before the referee: its two books, its locks, its breaches, its closes in flight.

Rules for editors. Evaluate after every change and never between the messages of one fill in truth,
or a torn fill becomes a breach. Nothing here reads a clock: every call brings the moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from risk_daemon.sim.breach import Breach, Sent, milliseconds
from risk_daemon.sim.court import Court
from risk_daemon.sim.flight import NEVER_NS, Close, Flight
from risk_daemon.sim.ledger import Book, OrderFact, Row, whole
from risk_daemon.sim.model import Message
from risk_daemon.sim.moment import NS_PER_S, Moment, next_reset, trade_date
from risk_daemon.sim.scenario import Limits
from risk_daemon.sim.standing import (
    KILL_SWITCH,
    MAX_CONTRACTS,
    NOTHING,
    PER_INSTRUMENT,
    REALIZED_LOSS,
    RULES,
    SIZE_RULES,
    Need,
    Standing,
    is_increasing,
    need,
    standing,
)

REASON_LASTS_NS = NS_PER_S  # a request is on its way while its reason may just have gone
UNKNOWN_LASTS_NS = 5 * NS_PER_S
SWEEP_LASTS_NS = 10 * NS_PER_S  # the orphan sweep comes at once, after 1 s and after 5 s
REENTRIES_MAX = 3
_CLOSES = ("close", "partial_close")


class Case:
    """All that is judged about one account."""

    def __init__(self, account: int, limits: Limits, court: Court) -> None:
        self.account = account
        self.limits = limits
        self.truth = Book()
        self.delivered = Book()
        self.breaches: list[Breach] = []
        self.locked_until: datetime | None = None
        self.act: str | None = None
        self.last_breach_ns = NEVER_NS
        self.last_close_ns = NEVER_NS
        self._court = court
        self._flight = Flight()
        self._seen_lock_until: datetime | None = None
        self._open: dict[str, Breach] = {}
        self._seen: dict[str, Need] = dict.fromkeys(RULES, NOTHING)
        self._true: dict[str, Need] = dict.fromkeys(RULES, NOTHING)
        self._reason: dict[str, bool] = {"close": False, "cancel": False}
        self._reason_ns: dict[str, int] = {"close": NEVER_NS, "cancel": NEVER_NS}
        self._closed_since_open: set[str] = set()
        self._created_ns: dict[int, int] = {}
        self._requests: dict[int, Sent] = {}
        self._unknown_until_ns = 0
        self._cancel_answer_ns = 0
        self._reentries = 0
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
        self._looked = None
        self.evaluate(now, "truth")

    def saw(self, message: Message, now: Moment) -> None:
        """A message left on a subscribed, unfaulted socket."""
        self.delivered.apply(message.kind, message.row)
        self._looked = None
        self._flight.saw(message)
        self.evaluate(now, "message")

    def read(self, kind: str, rows: Iterable[Row], now: Moment) -> None:
        """A REST answer held these rows."""
        self.delivered.read(kind, rows)
        self._looked = None
        self._flight.read(kind)
        self.evaluate(now, "read")

    def announced(self, act: str, by: str, now: Moment, grace_ns: int) -> None:
        """An operator is about to act."""
        self._court.say(now, self.account, "act", f"{act} by {by}")
        self.act = None if act == "unlock" else act
        self._grace_until_ns = now.ns + grace_ns
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
            self._cancel_answer_ns = now.ns
        if sent.what in _CLOSES and code == 0 and order is not None and sent.contract:
            self._flight.accept(n, order, sent.contract, now.ns)
            self._closed_since_open.add(sent.contract)
        if not known:
            self._unknown_until_ns = now.ns + UNKNOWN_LASTS_NS

    # The judgement of the present.

    def evaluate(self, now: Moment, cause: str) -> None:
        """Bring breaches, reasons and clocks up to date."""
        self._keep_reasons(now)
        self._roll(now)
        true, seen, wide = self._look(trade_date(now.at))
        self._lock(true, seen, now)
        for rule in RULES:
            self._true[rule] = need(rule, true, is_locked=self._is_locked(rule, true=True))
            self._seen[rule] = need(rule, seen, is_locked=self._is_locked(rule, true=False))
            self._follow(rule, true, now, cause)
        self._set_reasons(wide)
        self._keep_reasons(now)

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
        return rule != PER_INSTRUMENT or bool(self.limits.max_contracts_per_instrument)

    def is_idle(self, day: date) -> bool:
        """Whether time alone can change nothing: no lock, breach, reason or close in flight."""
        looked = self._looked is not None and self._looked[0] == day
        held = self._open or self._any_lock() or self._seen_lock_until is not None
        return looked and not held and not any(self._reason.values()) and not self.unsettled()

    def open_breaches(self) -> list[Breach]:
        """Breaches whose target is not reached."""
        return list(self._open.values())

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
        return self.locked_until is not None or self.act is not None

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
        self._reentries = 0
        if not need(REALIZED_LOSS, true, is_locked=True):
            flat = self._new_breach(REALIZED_LOSS, "loss limit reached while already flat", now)
            flat.ended_ns = now.ns

    def _follow(self, rule: str, true: Standing, now: Moment, cause: str) -> None:
        breach = self._open.get(rule)
        if breach is None and self._true[rule]:
            breach = self._start(rule, true, now, cause)
        if breach is None:
            return
        self.last_breach_ns = now.ns
        if not self._true[rule]:
            self._end(breach, now)
            return
        if breach.visible_ns is None and self._seen[rule]:
            self._make_visible(breach, now)
        if breach.close_due_ns is None and self._seen[rule].close:
            self._make_close_due(breach, now, cause)
        self._run_clock(breach, now)

    def _new_breach(self, rule: str, text: str, now: Moment) -> Breach:
        fault = self._court.in_fault(self.account, now.ns)
        breach = Breach(self._court.next_number(), self.account, rule, now.ns, fault, text)
        self.breaches.append(breach)
        self._court.say(now, self.account, "breach", f"{rule}: {text}")
        return breach

    def _start(self, rule: str, true: Standing, now: Moment, cause: str) -> Breach:
        breach = self._new_breach(rule, self._describe(rule, true, now), now)
        self._closed_since_open.clear()
        if rule == REALIZED_LOSS:
            # The first is the trip itself; what follows are entries while locked.
            breach.counts = self._reentries <= REENTRIES_MAX
            self._reentries += 1
        if rule == KILL_SWITCH:
            breach.grace_until_ns = self._grace_until_ns
            breach.cause = "timer" if cause == "timer" else ""
        self._open[rule] = breach
        return breach

    def _describe(self, rule: str, true: Standing, now: Moment) -> str:
        if rule == MAX_CONTRACTS and true.is_over:
            return f"{true.gross} contracts held, limit {self.limits.max_contracts}"
        if rule == MAX_CONTRACTS:
            return f"resting orders could make {true.worst}, limit {self.limits.max_contracts}"
        if rule == PER_INSTRUMENT and true.crowded:
            return f"too much held in {', '.join(sorted(true.crowded))}, limits {self._caps()}"
        if rule == PER_INSTRUMENT:
            roots = ", ".join(sorted(true.worst_roots))
            return f"resting orders could make too much of {roots}, limits {self._caps()}"
        held = f"{true.gross} contracts held, {len(true.increasing)} increasing orders"
        if rule == KILL_SWITCH:
            return f"{held} under {self.act}"
        realized = self.truth.realized(trade_date(now.at))
        return f"realized {realized:.2f}, limit {-self.limits.daily_realized_loss:.2f}, {held}"

    def _caps(self) -> str:
        caps = self.limits.max_contracts_per_instrument
        return ", ".join(f"{root} {cap}" for root, cap in sorted(caps.items()))

    def _end(self, breach: Breach, now: Moment) -> None:
        breach.ended_ns = now.ns
        del self._open[breach.rule]
        took = milliseconds(now.ns - breach.started_ns)
        word = "unseen" if breach.is_unseen else "answered"
        self._court.say(now, self.account, word, f"{breach.rule}: over after {took} ms")

    def _make_visible(self, breach: Breach, now: Moment) -> None:
        breach.visible_ns = now.ns
        self._court.say(now, self.account, "visible", f"{breach.rule}: can be known now")

    def _make_close_due(self, breach: Breach, now: Moment, cause: str) -> None:
        # Later than visible when resting orders were the breach first and a fill followed.
        breach.close_due_ns = now.ns
        breach.cause = breach.cause or cause
        breach.was_excused = self._is_excused(breach.rule, now)
        contracts = self._seen[breach.rule].close
        breach.had_to_cancel = any(
            self._court.is_near(order) or is_increasing(order, self.delivered.small(order.contract))
            for order in self.delivered.resting()
            if order.contract in contracts or breach.rule not in SIZE_RULES
        )

    def _run_clock(self, breach: Breach, now: Moment) -> None:
        waits = now.ns < breach.grace_until_ns
        if not self._seen[breach.rule] or waits or self._is_excused(breach.rule, now):
            breach.clock_ns = None
        elif breach.clock_ns is None:
            breach.clock_ns = now.ns
        elif now.ns - breach.clock_ns > self._court.bound_ns and not breach.is_late:
            breach.is_late = True
            waited = milliseconds(now.ns - breach.clock_ns)
            text = f"{breach.rule}: no request within {waited:.0f} ms ({breach.text})"
            self._court.complain(text, now, self.account)

    def _is_excused(self, rule: str, now: Moment) -> bool:
        if self._court.is_blocked(self.account, now.ns) or now.ns < self._unknown_until_ns:
            return True
        flying = {close.contract for close in self.unsettled()}
        closing = self._seen[rule].close
        if not closing:
            return bool(flying) and not self._seen[rule].cancel
        return closing <= flying or (rule in SIZE_RULES and bool(closing & flying))

    # The reasons a request may have.

    def _set_reasons(self, wide: Standing) -> None:
        wide_needs = (need(r, wide, is_locked=self._is_locked(r, true=False)) for r in RULES)
        wanted = [*self._true.values(), *self._seen.values(), *wide_needs]
        locked = self._any_lock() or self._seen_lock_until is not None
        self._reason["close"] = locked or any(one.close for one in wanted)
        self._reason["cancel"] = locked or any(map(bool, wanted))

    def _keep_reasons(self, now: Moment) -> None:
        for what, holds in self._reason.items():
            if holds:
                self._reason_ns[what] = now.ns

    def _has_reason(self, what: str, now: Moment) -> bool:
        return now.ns - self._reason_ns[what] <= REASON_LASTS_NS

    # The judgement of requests and fills.

    def _judge_close(self, sent: Sent, now: Moment) -> None:
        self.last_close_ns = now.ns
        contract = sent.contract or ""
        if any(close.contract == contract for close in self.unsettled()):
            self._count_duplicate(sent, "while an earlier one is not settled", now)
        elif not self._has_reason("close", now):
            self._court.counts.false += 1
            text = f"request {sent.n} closed {contract} without reason"
            self._court.complain(text, now, self.account)
        elif contract in self._closed_since_open and not self._wants_close(contract):
            self._count_duplicate(sent, "although its target was reached", now)
        for breach in self._open.values():
            if self._true[breach.rule].close or self._seen[breach.rule].close:
                self._answer(breach, now)

    def _wants_close(self, contract: str) -> bool:
        needs = [*self._true.values(), *self._seen.values()]
        return any(contract in one.close for one in needs)

    def _count_duplicate(self, sent: Sent, why: str, now: Moment) -> None:
        self._court.counts.duplicate += 1
        self._court.complain(f"request {sent.n} closed {sent.contract} {why}", now, self.account)

    def _answer(self, breach: Breach, now: Moment) -> None:
        breach.clock_ns = now.ns
        if breach.first_close_ns is not None:
            return
        breach.first_close_ns = now.ns
        started = breach.started_ns if breach.cause == "timer" else breach.close_due_ns
        is_clean = not (breach.in_fault or breach.was_excused)
        if started is None or not is_clean or self._court.in_fault(self.account, now.ns):
            return
        if breach.cause == "timer":
            breach.class_of_time = "timer_ms"
        elif breach.had_to_cancel:
            breach.class_of_time = "after_cancel_ms"
            started = max(started, self._cancel_answer_ns)
        elif breach.cause == "message":
            breach.class_of_time = "latency_ms"
        breach.time_ms = milliseconds(now.ns - started)

    def _judge_cancel(self, sent: Sent, now: Moment) -> None:
        for breach in self._open.values():
            if breach.first_cancel_ns is None:
                breach.first_cancel_ns = now.ns
            if not self._true[breach.rule].close and not self._seen[breach.rule].close:
                breach.clock_ns = now.ns
        if self._has_reason("cancel", now) or self._is_sweep(sent.order or 0, now):
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

"""The breaches of one account: when each began, could be known, was answered, was over.

What a rule asks for in truth opens and ends its breach; what it asks for as delivered makes it
visible and runs its clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from risk_daemon.sim.breach import Breach, milliseconds
from risk_daemon.sim.court import Court
from risk_daemon.sim.flight import NEVER_NS, Flight
from risk_daemon.sim.ledger import Book
from risk_daemon.sim.moment import NS_PER_S, Moment
from risk_daemon.sim.standing import (
    NOTHING,
    RULES,
    SIZE_RULES,
    STOP_GRACE,
    Need,
    is_increasing,
)

REENTRIES_MAX = 3
LOOK_LASTS_NS = NS_PER_S


@dataclass(slots=True)
class Needs:
    """What every rule asks for, in truth and as delivered."""

    true: dict[str, Need] = field(default_factory=lambda: dict.fromkeys(RULES, NOTHING))
    seen: dict[str, Need] = field(default_factory=lambda: dict.fromkeys(RULES, NOTHING))


@dataclass(frozen=True, slots=True)
class Opening:
    """How a breach begins: in words, and what the clock or a person has to do with it."""

    text: str
    cause: str = ""
    due_ns: int | None = None
    grace_until_ns: int = 0
    locks: bool = False


class Docket:
    """All breaches of one account."""

    def __init__(
        self, account: int, court: Court, needs: Needs, flight: Flight, delivered: Book
    ) -> None:
        self.account = account
        self.breaches: list[Breach] = []
        self.open: dict[str, Breach] = {}
        self.closed_since_open: set[str] = set()
        self.last_ns = NEVER_NS
        self.read_ns = NEVER_NS
        self.unknown_until_ns = 0
        self.cancel_answer_ns = 0
        self._court, self._needs, self._flight = court, needs, flight
        self._delivered = delivered
        self._reentries: Counter[str] = Counter()

    def locked_anew(self, rule: str) -> None:
        """A lock begins: entries under it are counted from here."""
        self._reentries[rule] = 0

    def follow(
        self,
        rule: str,
        now: Moment,
        cause: str,
        *,
        opening: Callable[[], Opening],
        was_too_short: bool,
    ) -> None:
        """Open, carry on or end the rule's breach, as its needs are now.

        `was_too_short`: if it ends now unanswered, it was over before anybody had to see it.
        """
        breach = self.open.get(rule)
        if breach is None and self._needs.true[rule]:
            breach = self._start(rule, opening(), now)
        if breach is None:
            return
        self.last_ns = now.ns
        if not self._needs.true[rule]:
            self._end(breach, now, was_too_short=was_too_short)
            return
        if breach.visible_ns is None and self._needs.seen[rule]:
            self._make_visible(breach, now)
        if breach.close_due_ns is None and self._needs.seen[rule].close:
            self._make_close_due(breach, now, cause)
        self._run_clock(breach, now)

    def new(self, rule: str, text: str, now: Moment) -> Breach:
        """A breach of a rule begins now."""
        fault = self._court.in_fault(self.account, now.ns)
        breach = Breach(self._court.next_number(), self.account, rule, now.ns, fault, text)
        self.breaches.append(breach)
        self._court.say(now, self.account, "breach", f"{rule}: {text}")
        return breach

    def _start(self, rule: str, opening: Opening, now: Moment) -> Breach:
        breach = self.new(rule, opening.text, now)
        self.closed_since_open.clear()
        breach.cause, breach.grace_until_ns = opening.cause, opening.grace_until_ns
        if opening.locks:
            # The first is the trip itself; what follows are entries while locked.
            breach.counts = self._reentries[rule] <= REENTRIES_MAX
            self._reentries[rule] += 1
        if opening.due_ns is not None:
            breach.started_ns = opening.due_ns
        self.open[rule] = breach
        return breach

    def _end(self, breach: Breach, now: Moment, *, was_too_short: bool) -> None:
        breach.ended_ns = now.ns
        del self.open[breach.rule]
        is_answered = breach.first_close_ns is not None or breach.first_cancel_ns is not None
        if was_too_short and not is_answered:
            breach.visible_ns = None
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
        contracts = self._needs.seen[breach.rule].close
        breach.had_to_cancel = any(
            self._court.is_near(order)
            or is_increasing(order, self._delivered.small(order.contract))
            for order in self._delivered.resting()
            if order.contract in contracts or breach.rule not in SIZE_RULES
        )

    def _run_clock(self, breach: Breach, now: Moment) -> None:
        waits = now.ns < breach.grace_until_ns or self._is_looking(breach, now)
        if not self._needs.seen[breach.rule] or waits or self._is_excused(breach.rule, now):
            breach.clock_ns = None
        elif breach.clock_ns is None:
            breach.clock_ns = now.ns
        elif now.ns - breach.clock_ns > self._court.bound_ns and not breach.is_late:
            breach.is_late = True
            waited = milliseconds(now.ns - breach.clock_ns)
            text = f"{breach.rule}: no request within {waited:.0f} ms ({breach.text})"
            self._court.complain(text, now, self.account)

    def _is_looking(self, breach: Breach, now: Moment) -> bool:
        """Before it closes for want of a stop a daemon reads the account, or tries for a second."""
        if breach.rule != STOP_GRACE or breach.visible_ns is None:
            return False
        return self.read_ns < breach.visible_ns and now.ns - breach.visible_ns < LOOK_LASTS_NS

    def _is_excused(self, rule: str, now: Moment) -> bool:
        if self._court.is_blocked(self.account, now.ns) or now.ns < self.unknown_until_ns:
            return True
        flying = {close.contract for close in self._flight.unsettled()}
        closing = self._needs.seen[rule].close
        if not closing:
            return bool(flying) and not self._needs.seen[rule].cancel
        return closing <= flying or (rule in SIZE_RULES and bool(closing & flying))

    def answer(self, breach: Breach, now: Moment) -> None:
        """A close arrived for it: its clock begins anew, and the first one is timed."""
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
            started = max(started, self.cancel_answer_ns)
        elif breach.cause == "message":
            breach.class_of_time = "latency_ms"
        breach.time_ms = milliseconds(now.ns - started)

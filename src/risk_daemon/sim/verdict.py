"""The verdict: what was counted, whether it is good, and the times in classes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from risk_daemon.sim.breach import Breach, Counts
from risk_daemon.sim.case import Case
from risk_daemon.sim.standing import RULES

CLASSES = ("latency_ms", "after_cancel_ms", "timer_ms")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the referee says; `ok` only when every breach was answered and nothing went wrong."""

    ok: bool
    seed: int
    events: int
    breaches: int
    breaches_in_faults: int
    answered: int
    late: int
    unseen: int
    orphan_orders: int
    counts: Counts
    by_rule: dict[str, dict[str, int]]
    by_account: dict[int, dict[str, int]]
    samples: dict[str, list[float]]
    problems: list[str] = field(default_factory=list)

    def json(self) -> dict[str, object]:
        """The verdict as the control port tells it."""
        return {
            "ok": self.ok,
            "seed": self.seed,
            "events": self.events,
            "breaches": self.breaches,
            "breaches_in_faults": self.breaches_in_faults,
            "answered": self.answered,
            "late": self.late,
            "unseen": self.unseen,
            "reversed": self.counts.reversed,
            "reversed_by_race": self.counts.reversed_by_race,
            "increased": self.counts.increased,
            "duplicate": self.counts.duplicate,
            "false": self.counts.false,
            "orphan_orders": self.orphan_orders,
            "by_rule": self.by_rule,
            "by_account": {str(account): row for account, row in self.by_account.items()},
            **{name: spread(self.samples[name]) for name in CLASSES},
            "samples": self.samples,
            "problems": self.problems,
        }


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value of nearest rank, of values in rising order; None when there are none."""
    if not ordered:
        return None
    return ordered[max(1, math.ceil(share * len(ordered))) - 1]


def spread(values: Iterable[float]) -> dict[str, object]:
    """How many, and the quantiles people ask for."""
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "p50": quantile(ordered, 0.50),
        "p95": quantile(ordered, 0.95),
        "p99": quantile(ordered, 0.99),
        "max": ordered[-1] if ordered else None,
    }


def _tally(breaches: Iterable[Breach]) -> dict[str, int]:
    counted = [breach for breach in breaches if breach.is_counted]
    return {
        "breaches": len(counted),
        "answered": sum(1 for breach in counted if not breach.is_open),
    }


def _missed(breach: Breach) -> str:
    seen = "was visible" if breach.visible_ns is not None else "was never visible"
    return f"account {breach.account}: {breach.rule} not answered, {seen} ({breach.text})"


def verdict_of(
    cases: Sequence[Case], counts: Counts, problems: Sequence[str], *, seed: int, events: int
) -> Verdict:
    """Add everything up."""
    breaches = [breach for case in cases for breach in case.breaches]
    counted = [breach for breach in breaches if breach.is_counted]
    orphans = [(case, order) for case in cases for order in case.orphans()]
    late = sum(1 for breach in breaches if breach.is_late)
    missed = [breach for breach in breaches if breach.is_open]
    total = _tally(breaches)
    bad = (
        len(missed),
        late,
        len(orphans),
        counts.reversed,
        counts.reversed_by_race,
        counts.increased,
        counts.duplicate,
        counts.false,
    )
    sentences = [*problems, *map(_missed, missed)]
    for case, order in orphans:
        sentences.append(f"account {case.account}: order {order.id} on {order.contract} left over")
    return Verdict(
        ok=not any(bad),
        seed=seed,
        events=events,
        breaches=total["breaches"],
        breaches_in_faults=sum(1 for breach in counted if breach.in_fault),
        answered=total["answered"],
        late=late,
        unseen=sum(1 for breach in breaches if breach.is_unseen and breach.counts),
        orphan_orders=len(orphans),
        counts=Counts(**{name: getattr(counts, name) for name in Counts.__slots__}),
        by_rule={
            rule: _tally(b for b in breaches if b.rule == rule)
            for rule in RULES
            if any(case.judges(rule) for case in cases)
        },
        by_account={case.account: _tally(case.breaches) for case in cases},
        samples={
            name: [b.time_ms for b in breaches if b.class_of_time == name and b.time_ms is not None]
            for name in CLASSES
        },
        problems=sentences,
    )

"""Breaches in words."""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.sim.scenario import Limits
from risk_daemon.sim.standing import (
    KILL_SWITCH,
    MAX_CONTRACTS,
    PER_INSTRUMENT,
    REALIZED_LOSS,
    Standing,
)


def describe(
    rule: str, true: Standing, limits: Limits, realized: Decimal, act: str | None, why: str
) -> str:
    """What is wrong; `why` is what the rule's own watch says, for those that have one."""
    if rule == MAX_CONTRACTS and true.is_over:
        return f"{true.gross} contracts held, limit {limits.max_contracts}"
    if rule == MAX_CONTRACTS:
        return f"resting orders could make {true.worst}, limit {limits.max_contracts}"
    if rule == PER_INSTRUMENT and true.crowded:
        return f"too much held in {', '.join(sorted(true.crowded))}, limits {_caps(limits)}"
    if rule == PER_INSTRUMENT:
        roots = ", ".join(sorted(true.worst_roots))
        return f"resting orders could make too much of {roots}, limits {_caps(limits)}"
    held = f"{true.gross} contracts held, {len(true.increasing)} increasing orders"
    if rule == KILL_SWITCH:
        return f"{held} under {act}"
    if rule == REALIZED_LOSS:
        return f"realized {realized:.2f}, limit {-limits.daily_realized_loss:.2f}, {held}"
    return f"{why}, {held}"


def _caps(limits: Limits) -> str:
    caps = limits.max_contracts_per_instrument
    return ", ".join(f"{root} {cap}" for root, cap in sorted(caps.items()))

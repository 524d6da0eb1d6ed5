"""What the minimal protector closes. Pure, and for good reasons only: a limit, or a lock.

Rules for editors: no plan, no price, no balance: nothing is closed because of that. What cannot be
seen is told, and a human decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.protector.plan import FULL, Plan


@dataclass(frozen=True, slots=True)
class Position:
    """One open position, as the broker shows it. Long is positive."""

    contract: str
    quantity: int
    average: Decimal


def equity(
    plan: Plan, balance: Decimal, positions: Sequence[Position], prices: Mapping[str, Decimal]
) -> Decimal | None:
    """Balance and open profit; None where a position has no price or no grid."""
    total = balance
    for one in positions:
        if not one.quantity:
            continue
        grid, price = plan.contracts.get(one.contract), prices.get(one.contract)
        if grid is None or price is None or not grid.tick_size:
            return None
        total += (price - one.average) * one.quantity / grid.tick_size * grid.tick_value
    return total


def closes(
    plan: Plan,
    now: int,
    balance: Decimal | None,
    positions: Sequence[Position],
    prices: Mapping[str, Decimal],
) -> dict[str, str]:
    """Return the contracts to close, and why. `now` is UTC in ns."""
    why = _limit(plan, balance, positions, prices)
    found = {one.contract: why for one in positions if one.quantity and why}
    for one in positions:
        if one.quantity and one.contract not in found and _is_locked(plan, one.contract, now):
            found[one.contract] = "the account is locked"
    return found


def _limit(
    plan: Plan,
    balance: Decimal | None,
    positions: Sequence[Position],
    prices: Mapping[str, Decimal],
) -> str:
    if plan.floor is None or balance is None:
        return ""
    known = equity(plan, balance, positions, prices)
    # Without prices what is realized still counts: it is lost for certain.
    figure, name = (balance, "balance") if known is None else (known, "equity")
    return (
        f"{name} {figure:.2f} is at the limit of {plan.floor:.2f}" if figure <= plan.floor else ""
    )


def _is_locked(plan: Plan, contract: str, now: int) -> bool:
    grid = plan.contracts.get(contract)
    root = grid.root if grid is not None else ""
    return any(
        lock.mode == FULL
        and (lock.until is None or now < lock.until)
        and (not lock.scope or lock.scope == root)
        for lock in plan.locks
    )

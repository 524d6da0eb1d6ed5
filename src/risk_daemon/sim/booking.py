"""What one fill does: half-turns, their profit and costs, and the new average.

A fill that crosses zero is two half-turns: one that closes what was held and one that opens the
rest, because only the first has a profit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.sim.contracts import BY_ROOT, Contract
from risk_daemon.sim.model import ZERO
from risk_daemon.sim.wire_json import nine


@dataclass(frozen=True, slots=True)
class HalfTurn:
    """Part of a fill with the position after it; `gross` is None when it opened or added."""

    size: int
    gross: Decimal | None
    q_after: int
    average_after: Decimal


def half_turns(
    contract: Contract, q: int, average: Decimal, signed_size: int, price: Decimal
) -> list[HalfTurn]:
    """The half-turns of one fill: one, or two when it crosses zero."""
    turns: list[HalfTurn] = []
    sign = 1 if signed_size > 0 else -1
    rest = abs(signed_size)
    if q * sign < 0:
        closing = min(rest, abs(q))
        # Rounded once, here: the balance, the trade's row and every later sum then agree.
        gross = nine(contract.money((price - average) * (1 if q > 0 else -1), closing))
        q += sign * closing
        rest -= closing
        turns.append(HalfTurn(closing, gross, q, average if q else ZERO))
    if rest:
        held = abs(q)
        average = (average * held + price * rest) / (held + rest)
        q += sign * rest
        turns.append(HalfTurn(rest, None, q, average))
    return turns


class Costs:
    """Fees and commissions per contract and side, by product with a default."""

    def __init__(self, by_root: Mapping[str, tuple[Decimal, Decimal]]) -> None:
        self._by_id = {
            contract.id: by_root.get(root, by_root["default"]) for root, contract in BY_ROOT.items()
        }

    def of(self, contract: Contract, size: int) -> tuple[Decimal, Decimal]:
        """(fees, commissions) of a half-turn."""
        fee, commission = self._by_id[contract.id]
        return fee * size, commission * size

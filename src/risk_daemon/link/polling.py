"""Accounts read in turn while another client has the streams: who is next, and the price. Pure.

The daemon does not fight for the session, so it sees what it asks for. What may
be asked is what the budget has: the share of the rest, less what opening the hubs
again costs, and half of verification's, because these reads are the verification.
The price is the age that a figure reaches before it is read again.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.port import COST, FULL, POSITIONS

#: What a read of this kind is called in the stream.
WHY: Final = "polling"
CYCLE: Final = (FULL, POSITIONS, POSITIONS)
#: The list of accounts shows balances and whether they may trade.
LIST_EVERY_S: Final = 10.0
KEEPS_OF_REST: Final = 4
KEEPS_OF_VERIFICATION: Final = 20
WARM_PER_MINUTE: Final = 3
READS_PER_MINUTE: Final = (
    rationing.SHARES[rationing.REST]
    - KEEPS_OF_REST
    - WARM_PER_MINUTE
    - round(60 / LIST_EVERY_S)
    + rationing.SHARES[rationing.VERIFICATION]
    - KEEPS_OF_VERIFICATION
)
#: One read of one account each time; evenly, or the budget would be spent in a burst.
STEP_S: Final = 60 * sum(COST[depth] for depth in CYCLE) / len(CYCLE) / READS_PER_MINUTE
#: Reads that failed for this many rounds: then nothing is known any more.
ROUNDS_LATE: Final = 3
LATE_AFTER_S_MIN: Final = 15.0


def turn(number: int, accounts: tuple[int, ...]) -> tuple[int, str]:
    """Return whom the n-th turn reads and how deep; deep reads are spread over the accounts."""
    rounds, index = divmod(number, len(accounts))
    return accounts[index], CYCLE[(rounds + index) % len(CYCLE)]


def worst_ages_s(accounts: int) -> dict[str, float]:
    """Return how old each figure of an account gets, in seconds, beside the time of a read."""
    positions = accounts * STEP_S
    deep = positions * len(CYCLE)
    found = {"positions": positions, "orders": deep, "trades": deep, "balance": LIST_EVERY_S}
    return {name: round(age, 1) for name, age in found.items()}


def price(accounts: int) -> str:
    """Say in words what polling costs."""
    told = ", ".join(f"{name} {age:g} s" for name, age in worst_ages_s(accounts).items())
    return f"read in turn over REST, at the oldest: {told}"


def late_after_s(accounts: int) -> float:
    """Return after how long without any successful read polling is blind."""
    return max(LATE_AFTER_S_MIN, ROUNDS_LATE * accounts * STEP_S)

"""Whether a contract's mark may be believed: fresh, quiet or stale. Pure.

Old is not stale: thin contracts are quiet. Only a look at the last trade over
REST tells: the same price, and the mark is good; another one, or no answer, and
it is not. Out of session nobody looks. Instants are of the monotonic clock, ns.
"""

from __future__ import annotations

from typing import Final

import msgspec

SECOND: Final = 1_000_000_000
FRESH: Final = "fresh"
QUIET: Final = "quiet"
STALE: Final = "stale"
#: How old a quote may be before somebody looks (`quote_stale_ms`).
OLD_AFTER: Final = 5 * SECOND
#: Bars have a limit of 50 in 30 s; one look a second and contract by contract stays below it.
LOOK_EVERY: Final = 4 * SECOND


class Age(msgspec.Struct, kw_only=True):
    """When a contract was last heard of and last looked at, and what is said of it."""

    heard_at: int
    looked_at: int = 0
    state: str = FRESH


class Ages(msgspec.Struct, kw_only=True):
    """All contracts that are followed."""

    contracts: dict[str, Age] = msgspec.field(default_factory=dict)


def begin(ages: Ages, contract: str, now: int) -> None:
    """Follow a contract from now on; what was said of it is over."""
    ages.contracts[contract] = Age(heard_at=now)


def end(ages: Ages, contract: str) -> None:
    """Follow a contract no more."""
    ages.contracts.pop(contract, None)


def hear(ages: Ages, contract: str, now: int) -> bool:
    """Note a sign of life; True if the contract is fresh again by it."""
    age = ages.contracts.get(contract)
    if age is None:
        return False
    age.heard_at = now
    return _say(age, FRESH)


def old(ages: Ages, now: int) -> list[str]:
    """Return the contracts that were not heard of for so long that somebody must look."""
    return [
        contract
        for contract, age in sorted(ages.contracts.items())
        if now - age.heard_at >= OLD_AFTER
    ]


def next_look(ages: Ages, now: int) -> str:
    """Return the old contract to look at now: the one looked at longest ago; "" for none."""
    due = [name for name in old(ages, now) if now - ages.contracts[name].looked_at >= LOOK_EVERY]
    if not due:
        return ""
    found = min(due, key=lambda name: ages.contracts[name].looked_at)
    ages.contracts[found].looked_at = now
    return found


def judge(ages: Ages, contract: str, state: str, asked_at: int) -> bool:
    """Take what a look begun at an instant showed; True if that is news.

    Who was heard of since, or is followed no more, is not judged by it.
    """
    age = ages.contracts.get(contract)
    if age is None or age.heard_at >= asked_at:
        return False
    return _say(age, state)


def _say(age: Age, state: str) -> bool:
    is_news, age.state = age.state != state, state
    return is_news

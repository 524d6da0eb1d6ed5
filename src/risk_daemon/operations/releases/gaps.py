"""How long accounts waited when they were handed to a release, by the journal's own times.

A gap begins where the holder was asked to fall silent and ends at the heir's own word that it has
folded its lease. So it is told by records that anyone can read again, not by who moved the account.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.core.events import DrainAsked, Entry, LeaseGranted, LeaseTaken
from risk_daemon.operations.stored import entries

MS_NS: Final = 1_000_000
#: A drain ends by itself after a second; a lease long after it is of another event.
DRAINED_WITHIN_NS: Final = 5_000 * MS_NS
#: The heir's word is looked for in so many records after its lease.
HEARD_WITHIN: Final = 5_000


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """One account that a release was given after a drain; `asked_at` in ns, `seq` of its lease."""

    account: int
    holder: str
    asked_at: int
    seq: int


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """Moves to a release, and their gaps in ms; None where there was none. `unheard`: no word."""

    n: int
    p50: float | None = None
    p99: float | None = None
    max: float | None = None
    unheard: int = 0


def of_release(file: Path, release: str) -> Gaps:
    """Measure every hand-over to a release that a state file holds."""
    found: list[float] = []
    unheard = 0
    moves = handed(entries(file, ("drain-asked", "lease-granted")), release)
    for one in moves:
        after = entries(file, ("lease-taken",), one.seq + 1, one.seq + HEARD_WITHIN)
        at = heard(after, one)
        if at is None:
            unheard += 1
        else:
            found.append(round((at - one.asked_at) / MS_NS, 1))
    return summed(found, unheard)


def handed(stream: Iterable[Entry], release: str) -> list[Handed]:
    """Find the leases that a release was given after the holder was asked to fall silent."""
    asked: dict[int, int] = {}
    found = []
    for entry in stream:
        match entry.fact:
            case DrainAsked(for_ms=for_ms) as drain:
                if for_ms and drain.release == release:
                    asked[drain.account] = entry.at
                else:
                    asked.pop(drain.account, None)
            case LeaseGranted(account=account, holder=holder) as lease:
                at = asked.pop(account, None)
                if lease.release == release and at and entry.at - at <= DRAINED_WITHIN_NS:
                    found.append(Handed(account=account, holder=holder, asked_at=at, seq=entry.seq))
            case _:
                pass
    return found


def heard(after: Iterable[Entry], one: Handed) -> int | None:
    """Return when the heir first spoke of the account; None if it did not."""
    for entry in after:
        match entry.fact:
            case LeaseTaken(account=one.account, holder=one.holder):
                return entry.at
            case _:
                pass
    return None


def summed(found: list[float], unheard: int) -> Gaps:
    """Sum gaps up: nearest rank."""
    if not found:
        return Gaps(n=unheard, unheard=unheard)
    ordered = sorted(found)

    def rank(percent: int) -> float:
        return ordered[-(-percent * len(ordered) // 100) - 1]

    return Gaps(
        n=len(ordered) + unheard, p50=rank(50), p99=rank(99), max=ordered[-1], unheard=unheard
    )


def in_words(gaps: Gaps) -> str:
    """Say it."""
    if not gaps.n:
        return "no account was handed to it in this home yet"
    if gaps.max is None:
        return f"{gaps.n} handed over, and no word of an heir is in the journal"
    more = f"; {gaps.unheard} more without a word of the heir" if gaps.unheard else ""
    heard = gaps.n - gaps.unheard
    return (
        f"{heard} handed over: median {gaps.p50} ms, p99 {gaps.p99} ms, worst {gaps.max} ms{more}"
    )

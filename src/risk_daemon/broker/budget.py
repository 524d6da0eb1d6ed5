"""The request budget of one login: closes never wait behind polls.

200 requests in 60 s, of which 120 are enforcement's, 40 verification's, 40
the rest's. A share nobody of its class waits for flows to enforcement, never
to the others. A request stays in the window until 60 s after its *answer*:
when the broker counted it is not known, so the latest moment is assumed.
While two releases hold accounts of the login, ten of enforcement's share are
kept for each: a candidate that closes and closes again must not leave the other
without a request.

Source: ProjectX gateway limits (docs/brokers/projectx.md).
"""

from __future__ import annotations

from typing import Final

import msgspec

SECOND: Final = 1_000_000_000
WINDOW: Final = 60 * SECOND
LIMIT: Final = 200

ENFORCEMENT: Final = "enforcement"
VERIFICATION: Final = "verification"
REST: Final = "rest"
SHARES: Final = {ENFORCEMENT: 120, VERIFICATION: 40, REST: 40}

#: Of enforcement's share, for each release that holds accounts while another one does too.
KEPT_PER_RELEASE: Final = 10

#: After a 429 the broker's own count decides; asking sooner keeps the window full.
BACK_OFF: Final = SECOND // 2
#: Closes ask first: whoever else waits gives them this much of a start.
CLOSES_FIRST: Final = SECOND // 2


class Budget(msgspec.Struct, kw_only=True):
    """Requests under way, answered ones still in the window, and who waits."""

    flying: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(SHARES, 0))
    answered: list[tuple[int, str]] = msgspec.field(default_factory=list)
    waiting: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(SHARES, 0))
    blocked_until: int = 0
    #: The releases that hold accounts of the login, and what each took of enforcement's share.
    releases: tuple[str, ...] = ()
    taken: list[tuple[int, str]] = msgspec.field(default_factory=list)


def _forget(budget: Budget, now: int) -> None:
    budget.answered = [row for row in budget.answered if now - row[0] < WINDOW]
    budget.taken = [row for row in budget.taken if now - row[0] < WINDOW]


def used(budget: Budget, share: str) -> int:
    """Return how many requests of a class are in the window."""
    return budget.flying[share] + sum(1 for _, name in budget.answered if name == share)


def _kept_for_others(budget: Budget) -> int:
    """Return what enforcement must leave: the open part of shares that somebody waits for."""
    return sum(
        min(budget.waiting[name], max(SHARES[name] - used(budget, name), 0))
        for name in (VERIFICATION, REST)
    )


def _kept_for_releases(budget: Budget, release: str) -> int:
    """Return what a release must leave to the others; nobody's requests leave nothing."""
    if not release or len(budget.releases) < 2:
        return 0
    return sum(
        max(KEPT_PER_RELEASE - sum(name == other for _, name in budget.taken), 0)
        for other in budget.releases
        if other != release
    )


def take(budget: Budget, share: str, now: int, count: int = 1, *, release: str = "") -> bool:
    """Count `count` requests as leaving now, if their class may; all or none, False means wait.

    `release`: who decided what leaves, of enforcement's share; empty for people.

    None of a read's parts is taken before all of them can be: two halves that
    wait for each other would wait for ever.
    """
    _forget(budget, now)
    if now < _blocked_until(budget, share):
        return False
    total = sum(used(budget, name) for name in SHARES)
    kept = _kept_for_releases(budget, release)
    within = used(budget, share) + kept + count <= SHARES[share]
    if share == ENFORCEMENT:
        within = within or total + _kept_for_others(budget) + kept + count <= LIMIT
    if total + count > LIMIT or not within:
        return False
    budget.flying[share] += count
    if release:
        budget.taken += [(now, release)] * count
    return True


def _blocked_until(budget: Budget, share: str) -> int:
    """Return until when a 429 keeps a class from asking again."""
    if not budget.blocked_until or share == ENFORCEMENT:
        return budget.blocked_until
    return budget.blocked_until + CLOSES_FIRST


def charge(budget: Budget, share: str, count: int = 1) -> None:
    """Count requests that leave whatever is left: without them nothing else can."""
    budget.flying[share] += count


def left(budget: Budget, share: str, now: int) -> int:
    """Return how many requests of a class fit into its share of the window now."""
    _forget(budget, now)
    return max(SHARES[share] - used(budget, share), 0)


def answer(
    budget: Budget, share: str, now: int, count: int = 1, *, throttled: bool = False
) -> None:
    """Note that requests of a class have their answers, or will never have any."""
    budget.flying[share] -= count
    budget.answered += [(now, share)] * count
    if throttled:
        budget.blocked_until = max(budget.blocked_until, now + BACK_OFF)


def give_back(budget: Budget, share: str, release: str = "") -> None:
    """Uncount a request that did not leave after all."""
    budget.flying[share] -= 1
    for row in reversed(budget.taken):
        if row[1] == release:
            budget.taken.remove(row)
            return


def wait(budget: Budget, share: str, change: int) -> None:
    """Note that somebody of a class begins (+1) or ends (-1) waiting."""
    budget.waiting[share] += change


def free_at(budget: Budget, now: int) -> int:
    """Return the earliest instant at which asking again makes sense."""
    _forget(budget, now)
    if now < budget.blocked_until:
        return budget.blocked_until
    oldest = min((at for at, _ in budget.answered), default=now)
    return max(oldest + WINDOW, now + SECOND // 100)

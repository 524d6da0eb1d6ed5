"""Who goes when: one order of all accounts, made once and stored. Pure.

Test accounts come first, as listed. Then the calm before the risky, in bands; inside a band chance
decides, seeded by the rollout, so that the next one begins with others. The kinds of account
(product, hours, rules) take turns, so that a small share of the accounts is like all of them.
Accounts that would bring the candidate over a phase's share of open risk wait for a later phase.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from typing import Final

import msgspec

BANDS: Final = 5
MILLION: Final = 1_000_000


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An account as planning sees it.

    `risk` is its open risk in 1e-9 dollars, `size` open contracts, `open_rules` rules that are
    counting something, `tier` a firm's own rank. `kind` says what it is like: accounts of one
    kind can speak for each other. `events_per_day` are records per 24 h of open market that gates
    count, our own reads among them; `is_silent`: the broker told nothing of it in that time.
    `unfit` says why it can't be the first one, empty when it can.
    """

    account: int
    risk: int = 0
    size: int = 0
    open_rules: int = 0
    tier: int = 0
    kind: str = ""
    events_per_day: int = 0
    is_silent: bool = False
    unfit: str = ""


class Ranked(msgspec.Struct, frozen=True):
    """The order, and per prefix asked for the share of open risk in it (parts per million)."""

    order: tuple[int, ...]
    shares_ppm: tuple[int, ...]


def rank(
    rollout: str,
    members: tuple[Member, ...],
    tests: tuple[int, ...],
    uptos: tuple[int, ...],
    caps_ppm: tuple[int, ...],
) -> Ranked:
    """Order the accounts so that each prefix (of `uptos`, growing) stays under its cap, if it can.

    Where it can't, the calmest that are left come anyway: the share says by how much.
    """
    by_number = {member.account: member for member in members}
    rest = tuple(member for member in members if member.account not in tests)
    waiting = [by_number[number] for number in _dealt(rollout, rest)]
    total = sum(member.risk for member in members)
    chosen = [by_number[number] for number in tests]
    held = sum(member.risk for member in chosen)
    for upto, cap in zip(uptos, caps_ppm, strict=True):
        late: list[Member] = []
        for member in waiting:
            fits = (held + member.risk) * MILLION <= cap * total
            if len(chosen) < upto and fits:
                chosen.append(member)
                held += member.risk
            else:
                late.append(member)
        calmest = sorted(late, key=lambda one: (one.risk, one.account))
        lacking = calmest[: max(0, upto - len(chosen))]
        chosen += lacking
        held += sum(member.risk for member in lacking)
        forced = {member.account for member in lacking}
        waiting = [member for member in late if member.account not in forced]
    order = tuple(member.account for member in [*chosen, *waiting])
    sums = list(itertools.accumulate((by_number[one].risk for one in order), initial=0))
    shares = tuple(-(-sums[upto] * MILLION // total) if total else 0 for upto in uptos)
    return Ranked(order, shares)


def _dealt(rollout: str, members: tuple[Member, ...]) -> tuple[int, ...]:
    """Return the accounts band by band, the calmest first, the kinds taking turns in each."""
    calm = sorted(members, key=lambda one: (*_score(one), one.account))
    dealt: list[int] = []
    for band in range(BANDS):
        begin, end = (len(calm) * edge // BANDS for edge in (band, band + 1))
        drawn = sorted(calm[begin:end], key=lambda one: _draw(rollout, str(one.account)))
        kinds: dict[str, list[int]] = {}
        for member in drawn:
            kinds.setdefault(member.kind, []).append(member.account)
        # The kind that begins is drawn too, band by band: no kind is always the first.
        turns = sorted(kinds, key=lambda kind: _draw(rollout, f"{band}/{kind}"))
        for row in itertools.zip_longest(*(kinds[kind] for kind in turns)):
            dealt += [number for number in row if number is not None]
    return tuple(dealt)


def _score(member: Member) -> tuple[int, int, int, int]:
    return (member.risk, member.size, member.open_rules, member.tier)


def _draw(rollout: str, name: str) -> bytes:
    """Return what stands for chance: the same for the same rollout, unlike in every other."""
    return hmac.digest(rollout.encode(), name.encode(), hashlib.sha256)


def upto(percent: int, count: int, before: int) -> int:
    """Return how many accounts a percentage is: never fewer than 1, nor than one more than before.

    A phase that added nobody would watch nothing new.
    """
    return min(count, max(-(-count * percent // 100), before + 1, 1))

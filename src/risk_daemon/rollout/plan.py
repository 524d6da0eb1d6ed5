"""The plan of a rollout as it is stored: who goes when, and what must be seen before the next go.

A plan is made once, at the start, and never changes: percentages are lengths of a prefix of one
stored order, so a phase's accounts are nested and nobody is drawn anew after a restart.
"""

from __future__ import annotations

import msgspec


class Dwell(msgspec.Struct, frozen=True, kw_only=True):
    """How long a phase lasts at least, in every one of these, and at most.

    `wall_ns` is time while the controller lived; `open_minutes` are minutes of open market;
    `events` are records decided by the candidate in this phase. `longest_ns` of wall time later
    what is inconclusive stops being extended.
    """

    wall_ns: int
    open_minutes: int
    events: int
    longest_ns: int


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One step: the first `upto` accounts of the order are held by the candidate.

    `situations` must have been witnessed in it, `gates` must say pass (or be accepted by a
    person), and `approvals` persons must have agreed, before the next phase may begin.
    """

    name: str
    percent: int
    upto: int
    dwell: Dwell
    situations: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    approvals: int = 0


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """A span of time in which something is forbidden; never a way back, an abort or a hold.

    `begin` and `end` are UTC ns, half-open; `forbids` holds "start", "promote" or both; no
    accounts means all of them.
    """

    begin: int
    end: int
    forbids: tuple[str, ...]
    reason: str
    accounts: tuple[int, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was decided before the start.

    `release` is the candidate and `commit` its configuration; `fallback` and `fallback_commit`
    are what the accounts go back to. `risk_cap_ppm` is the largest share of open risk, in parts
    per million, that the switched accounts may hold at the time of a switch, per phase in order.
    """

    rollout: str
    release: str
    fallback: str
    commit: str
    fallback_commit: str
    order: tuple[int, ...]
    phases: tuple[Phase, ...]
    risk_cap_ppm: tuple[int, ...]
    freezes: tuple[Freeze, ...] = ()
    auto_advance: bool = False

"""The plan of a rollout as it is stored: who goes when, and what must be seen before the next go.

A plan is made once, at the start, and never changes: percentages are lengths of a prefix of one
stored order, so a phase's accounts are nested and nobody is drawn anew after a restart.
"""

from __future__ import annotations

from typing import Final

import msgspec

#: The kind of a plan whose releases are the same.
CONFIGURATION: Final = "configuration"


class Version(msgspec.Struct, frozen=True):
    """What enforces an account: a release together with a commit of its configuration.

    So a rollout of a configuration alone, and its way back, is the same as one of a release.
    """

    release: str
    commit: str

    def __str__(self) -> str:
        return f"{self.release} ({self.commit})" if self.commit else self.release


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

    In the first one, "shadow", that is nobody: the candidate only decides. `situations` must have
    been witnessed in it, `gates` must say pass (or be accepted by a
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

    `begin` and `end` are UTC ns, half-open; `forbids` holds "start", "promote", "switch" or some
    of them; no accounts means all of them. Time in it counts as exposure unless `counts` is false:
    then it is not what the candidate is to be judged by.
    """

    begin: int
    end: int
    forbids: tuple[str, ...]
    reason: str
    accounts: tuple[int, ...] = ()
    counts: bool = True


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was decided before the start.

    `release` is the candidate and `commit` its configuration; `fallback` and `fallback_commit`
    are what the accounts go back to. `risk_cap_ppm` is the largest share of open risk, in parts
    per million, that the switched accounts may hold at the time of a switch, per phase in order.
    `gates` must say pass before anything moves, `approvals` persons must have agreed to the start.
    `older` are what is tried, in order, when the fallback cannot take an account back. At most
    `together` accounts are under way at a time. The fallback stays warm for `window_ns` after the
    end. What can't be measured for `blind_ns` holds the rollout. `minute_ns` is what a minute of a
    dwell lasts: in a rehearsal less than a minute. `said` are the sentences a person was told at
    planning; `by` planned it, and said `reason`.
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
    kind: str = "release"
    gates: tuple[str, ...] = ()
    approvals: int = 0
    older: tuple[Version, ...] = ()
    together: int = 25
    window_ns: int = 7 * 24 * 3600 * 1_000_000_000
    blind_ns: int = 5 * 60 * 1_000_000_000
    minute_ns: int = 60 * 1_000_000_000
    said: tuple[str, ...] = ()
    by: str = ""
    reason: str = ""

    @property
    def is_configuration(self) -> bool:
        """Whether the release stays, and only its configuration becomes another."""
        return self.kind == CONFIGURATION

    @property
    def candidate(self) -> Version:
        """What is rolled out."""
        return Version(self.release, self.commit)

    def version_of(self, release: str) -> Version:
        """Return the version that a release is in this plan."""
        known = (self.candidate, *self.ways_back)
        return next((one for one in known if one.release == release), Version(release, ""))

    @property
    def ways_back(self) -> tuple[Version, ...]:
        """What an account may go back to, the first choice first."""
        return (Version(self.fallback, self.fallback_commit), *self.older)

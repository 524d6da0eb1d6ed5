"""What is drawn: how fast, how right and how large everything is, at one instant. Pure.

A sample is what ten seconds came to: for everybody, and for each of the three cohorts of a rollout
(first canary, newly switched, incumbents). The four figures mean what they mean everywhere
(docs/formats/dashboard.md); nothing is decided by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

#: What one sample covers.
SPAN_NS: Final = 10_000_000_000
FIRST, NEW, INCUMBENT = "first", "new", "incumbent"
COHORTS: Final = (FIRST, NEW, INCUMBENT)
_US_PER_MS: Final = 1_000
_OVER: Final = ("", "draft", "gated", "done", "aborted", "rolled back", "superseded")


@dataclass(frozen=True, slots=True)
class Decided:
    """A record was decided: when we heard (steady ns), for whom, in how many µs."""

    heard: int
    account: int
    took_us: int
    begins_episode: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A goal came to its end, with a flaw or (empty) without."""

    heard: int
    account: int
    flaw: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A rule fired in one of two releases that decide the same record, or in both."""

    heard: int
    account: int
    is_agreed: bool


class Figures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What some accounts came to. Latencies in ms, null where nothing was decided."""

    accounts: int = 0
    connected: int = 0
    records: int = 0
    episodes: int = 0
    p50: float | None = None
    p95: float | None = None
    max: float | None = None
    fired: int = 0
    agreed: int = 0
    goals: int = 0
    clean: int = 0


class Mark(msgspec.Struct, frozen=True, gc=False):
    """Something to see on a graph's time axis: `kind` is phase, alert or rollback."""

    at: int
    kind: str
    text: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Ten seconds, the last of them at `at` (UTC ms). `processes`: megabytes, percent of a core."""

    at: int
    rate: float = 0.0
    guarded: int = 0
    everyone: Figures = Figures()
    cohorts: dict[str, Figures] = {}
    processes: dict[str, tuple[float | None, float | None]] = {}
    marks: tuple[Mark, ...] = ()


def quantile(ordered: Sequence[int], share: float) -> float | None:
    """Return the value that this share of them does not exceed, in ms; None of nothing."""
    if not ordered:
        return None
    place = max(-(-len(ordered) * share // 1), 1)
    return ordered[int(place) - 1] / _US_PER_MS


def figures(
    accounts: Mapping[int, bool],
    decided: Iterable[Decided],
    ended: Iterable[Ended],
    compared: Iterable[Compared],
) -> Figures:
    """Put together what some accounts (and whether each is connected) came to."""
    mine = [one for one in decided if one.account in accounts]
    goals = [one for one in ended if one.account in accounts]
    fired = [one for one in compared if one.account in accounts]
    took = sorted(one.took_us for one in mine)
    return Figures(
        accounts=len(accounts),
        connected=sum(accounts.values()),
        records=len(mine),
        episodes=sum(one.begins_episode for one in mine),
        p50=quantile(took, 0.50),
        p95=quantile(took, 0.95),
        max=took[-1] / _US_PER_MS if took else None,
        fired=len(fired),
        agreed=sum(one.is_agreed for one in fired),
        goals=len(goals),
        clean=sum(not one.flaw for one in goals),
    )


def cohort_of(rollout: Mapping[str, Any]) -> dict[int, str]:
    """Return the cohort of each account of a rollout, as its judge has it; empty without one.

    By what holds an account, not by what should: one that has gone back is an incumbent again.
    """
    if rollout.get("stage", "") in _OVER:
        return {}
    phases = rollout["phases"]
    names = [one["phase"] for one in phases]
    now = names.index(rollout["stage"]) if rollout["stage"] in names else len(names) - 1
    before = phases[now - 1]["accounts"] if now else 0
    found = {}
    for place, row in enumerate(rollout["accounts"]):
        if row["release"] != rollout["release"]:
            found[row["account"]] = INCUMBENT
        else:
            found[row["account"]] = FIRST if not before or place < before else NEW
    return found


def sample(
    at_ms: int,
    rate: float,
    everyone: Mapping[int, bool],
    guarded: int,
    cohorts: Mapping[int, str],
    told: tuple[Sequence[Decided], Sequence[Ended], Sequence[Compared]],
    processes: Iterable[Mapping[str, Any]],
) -> Sample:
    """Put a sample together. `everyone` is whether each account is connected."""
    groups: dict[str, dict[int, bool]] = {name: {} for name in COHORTS} if cohorts else {}
    for number, is_connected in everyone.items() if cohorts else ():
        groups[cohorts.get(number, INCUMBENT)][number] = is_connected
    return Sample(
        at=at_ms,
        rate=round(rate, 1),
        guarded=guarded,
        everyone=figures(everyone, *told),
        cohorts={name: figures(group, *told) for name, group in groups.items()},
        processes={
            str(row["name"]): (row.get("memory_mb"), row.get("cpu_percent")) for row in processes
        },
    )


# --- fewer of them, for a graph ---------------------------------------------------


def thin(samples: Sequence[Sample], points: int) -> list[Sample]:
    """Return at most so many samples over the same time: the worst of each stretch stays visible.

    Counts add up, the greatest latency stays, the fewest that were connected do.
    """
    if len(samples) <= points:
        return list(samples)
    begin, end = samples[0].at, samples[-1].at
    width = max((end - begin) // points, 1)
    piles: dict[int, list[Sample]] = {}
    for one in samples:
        piles.setdefault(min((one.at - begin) // width, points - 1), []).append(one)
    return [merge(pile) for _, pile in sorted(piles.items())]


def merge(samples: Sequence[Sample]) -> Sample:
    """Make one sample of several that follow each other."""
    names = dict.fromkeys(name for one in samples for name in one.cohorts)
    processes = dict.fromkeys(name for one in samples for name in one.processes)
    return Sample(
        at=samples[-1].at,
        rate=round(sum(one.rate for one in samples) / len(samples), 1),
        guarded=min(one.guarded for one in samples),
        everyone=together([one.everyone for one in samples]),
        cohorts={
            name: together([one.cohorts[name] for one in samples if name in one.cohorts])
            for name in names
        },
        processes={
            name: _largest([one.processes[name] for one in samples if name in one.processes])
            for name in processes
        },
        marks=tuple(mark for one in samples for mark in one.marks),
    )


def together(parts: Sequence[Figures]) -> Figures:
    """Add counts up and keep the worst of what can't be added: a P95 is the worst stretch's."""
    return Figures(
        accounts=parts[-1].accounts,
        connected=min(one.connected for one in parts),
        records=sum(one.records for one in parts),
        episodes=sum(one.episodes for one in parts),
        p50=_most(one.p50 for one in parts),
        p95=_most(one.p95 for one in parts),
        max=_most(one.max for one in parts),
        fired=sum(one.fired for one in parts),
        agreed=sum(one.agreed for one in parts),
        goals=sum(one.goals for one in parts),
        clean=sum(one.clean for one in parts),
    )


def _most(values: Iterable[float | None]) -> float | None:
    return max((one for one in values if one is not None), default=None)


def _largest(
    pairs: Sequence[tuple[float | None, float | None]],
) -> tuple[float | None, float | None]:
    return _most(one[0] for one in pairs), _most(one[1] for one in pairs)

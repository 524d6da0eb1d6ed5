"""PURE: samples, folded into counts: what a phase has shown so far.

One owned `Tally` per phase, folded in place. Folding the stored samples again gives an equal one,
whatever order the samples of different accounts came in. Samples of one account and release come
in the order they were stored.

Nothing missing is taken for nothing happened: each account's spans must follow each other, and
each says how many other samples were told in it (`missing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from risk_daemon.rollout import slope
from risk_daemon.rollout.buckets import compare
from risk_daemon.rollout.episodes import Seen, covering, separate, unlisted
from risk_daemon.rollout.thresholds import MINUTE, Thresholds
from risk_daemon.wire.sample import (
    CLASSES,
    Connected,
    Damaged,
    Decided,
    Fired,
    Latencies,
    Memory,
    Reached,
    Sample,
)

Cohort = Literal["first", "new", "incumbent"]
COHORTS: Final[tuple[Cohort, ...]] = ("first", "new", "incumbent")
SHADOW: Final = "shadow"
#: Memory is told once a minute; after so long something is wrong with who tells it.
MEMORY_SILENT_NS: Final = 3 * MINUTE
DAMAGES_KEPT: Final = 20


class Member(msgspec.Struct, frozen=True):
    """An account of the phase; its release told of it from `since` on (0: from the beginning)."""

    account: int
    cohort: Cohort
    since: int = 0


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged: a release against its fallback, in one phase, on these accounts.

    `begin` is when the last account of the phase had been switched, `end` when the phase is
    planned to end, UTC ns. `shadowed` are incumbents' accounts on which the release decides in
    shadow and where that is to count.
    """

    release: str
    fallback: str
    begin: int
    end: int
    members: tuple[Member, ...]
    shadowed: tuple[int, ...] = ()
    thresholds: Thresholds = Thresholds()


class Episodes(msgspec.Struct, frozen=True):
    """Episodes of failure of one class in one block.

    `separate` count against the release, one record that several accounts failed on once;
    `covering` are the most there may have been; `own` those on records that the other release,
    where it decided them too, did not fail on. `others` are the other's, the most there may be.
    """

    separate: int
    covering: int
    own: int
    others: int
    by_group: Mapping[str, int]


class Cell:
    """What was decided of one class in one block."""

    __slots__ = ("decided", "episodes", "more", "others_more", "ours", "theirs", "twice")

    def __init__(self) -> None:
        self.decided: Counter[str] = Counter()
        self.twice = 0
        self.ours: dict[tuple[int, str], list[Seen]] = {}
        self.theirs: dict[int, list[Seen]] = {}
        self.more: Counter[str] = Counter()
        self.others_more = 0
        self.episodes: Episodes | None = None


class Told:
    """Which spans an account's release told of, and how many other samples it says it told."""

    __slots__ = ("heard", "is_doubled", "later", "spans", "told")

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []
        self.is_doubled = False
        self.told = self.heard = self.later = 0


class Line:
    """How long an account was cut off: since when, and the longest time so far."""

    __slots__ = ("down_since", "longest")

    def __init__(self) -> None:
        self.down_since = 0
        self.longest = 0


class Held:
    """What a process holds: the largest value per cell of the phase, and the newest ones."""

    __slots__ = ("at", "cells", "is_gapped", "newest")

    def __init__(self, at: int) -> None:
        self.cells: dict[int, int] = {}
        self.newest: list[int] = []
        self.at = at
        self.is_gapped = False


class Tally:
    """Everything that `judge` looks at. Made by `begin`, changed by `fold` only."""

    def __init__(self, judging: Judging) -> None:
        self.judging = judging
        self.limits = judging.thresholds
        self.groups: dict[int, str] = {one.account: one.cohort for one in judging.members}
        self.shadowed = frozenset(judging.shadowed)
        self.since = {one.account: max(one.since, judging.begin) for one in judging.members}
        self.told: dict[int, Told] = {}
        self.cells: tuple[dict[int, Cell], ...] = tuple({} for _ in CLASSES)
        #: Per account, group and class: the block it is in, and how many records came in it.
        self.places: dict[tuple[int, str, int], tuple[int, int]] = {}
        #: Buckets: all, by the median, by the worst, much slower; per block.
        self.buckets: dict[int, list[int]] = {}
        #: Latencies and slow ones, per cohort and window.
        self.windows: dict[str, dict[int, list[int]]] = {}
        self.fired: dict[str, Counter[str]] = {}
        self.sources: Counter[str] = Counter()
        self.rule_blocks: dict[str, Counter[int]] = {}
        self.declared: dict[str, Counter[int]] = {}
        self.goals: dict[str, Counter[str]] = {}
        self.goal_blocks: Counter[int] = Counter()
        self.late_blocks: Counter[int] = Counter()
        self.lines: dict[int, Line] = {}
        self.memory: dict[str, Held] = {}
        self.damages: list[Damaged] = []
        self.damage_count = 0

    def counted(self) -> list[int]:
        """Return the accounts on which the release's decisions count, in order."""
        return sorted(
            account
            for account, group in self.groups.items()
            if group != "incumbent" or account in self.shadowed
        )

    def block(self, at: int) -> int:
        """Return the block an instant is in; what comes after the planned end is in the last."""
        length = max(self.judging.end - self.judging.begin, 1)
        number = (at - self.judging.begin) * self.limits.blocks // length
        return min(max(number, 0), self.limits.blocks - 1)


def begin(judging: Judging) -> Tally:
    """Return the tally of a phase of which nothing is known yet."""
    return Tally(judging)


def fold(tally: Tally, sample: Sample) -> Tally:
    """Add one sample, in place; the same tally is returned.

    Samples of other releases, of accounts that are not of the phase, and of the time before it
    change nothing.
    """
    match sample:
        case Decided():
            _fold_decided(tally, sample)
        case Memory():
            _fold_memory(tally, sample)
        case Damaged():
            _fold_damaged(tally, sample)
        case Fired():
            _fold_fired(tally, sample)
        case _:
            _fold_other(tally, sample)
    return tally


def group_of(tally: Tally, account: int, release: str) -> str:
    """Return in which group a release's samples of an account count; empty: in none.

    The fallback's on an account of the release's count as those of the other.
    """
    group = tally.groups.get(account, "")
    if release == tally.judging.release:
        return group if group != "incumbent" else SHADOW if account in tally.shadowed else ""
    return "incumbent" if group == "incumbent" and release == tally.judging.fallback else ""


def missing(tally: Tally, now: int) -> str:
    """Say what should have been told of the release until now and was not; empty if all was."""
    for account in tally.counted():
        why = _missing_of(tally, account, now)
        if why:
            return f"account {account}: {why}"
    return ""


def _missing_of(tally: Tally, account: int, now: int) -> str:
    patience = tally.limits.patience_ns
    told = tally.told.get(account)
    if told is None or not told.spans:
        return "nothing was told of it"
    if told.is_doubled:
        return "one span of time was told of twice"
    if len(told.spans) > 1:
        return f"nothing was told of it from {told.spans[0][1]} to {told.spans[1][0]}"
    first, last = told.spans[0]
    if first > tally.since[account] + patience:
        return f"it was told of from {first} on only"
    if last < now - patience:
        return f"nothing was told of it since {last}"
    if told.heard - told.later != told.told:
        return f"{told.told} of its samples were stored, {told.heard - told.later} are here"
    return ""


# --- records decided ---------------------------------------------------------


def _fold_decided(tally: Tally, sample: Decided) -> None:
    group = group_of(tally, sample.account, sample.release)
    is_counted = group in ("first", "new", SHADOW)
    if sample.begin < tally.since.get(sample.account, sample.end):
        if is_counted:
            _forget_later(tally, sample.account)
        return
    if is_counted:
        _note_span(tally.told.setdefault(sample.account, Told()), sample)
    other = sample.release == tally.judging.fallback and (
        group == "" or sample.account in tally.shadowed
    )
    if not group and not other:
        return
    for place in range(len(CLASSES)):
        if sample.decided[place] and group:
            _count(tally, sample, place, group)
        if sample.decided[place] and other:
            _count_other(tally, sample, place)


def _cell(tally: Tally, place: int, block: int) -> Cell:
    cells = tally.cells[place]
    cell = cells.get(block)
    if cell is None:
        cell = cells[block] = Cell()
    return cell


def _forget_later(tally: Tally, account: int) -> None:
    """Expect nobody to tell how many samples there were in a span that began too early."""
    told = tally.told.setdefault(account, Told())
    told.heard -= told.later
    told.later = 0


def _note_span(told: Told, sample: Decided) -> None:
    """Keep which spans were told of, joined where they meet."""
    told.told += sample.told
    told.later = 0
    spans = told.spans
    if spans and spans[-1][1] == sample.begin:
        spans[-1] = (spans[-1][0], sample.end)
        return
    spans.append((sample.begin, sample.end))
    spans.sort()
    joined = spans[:1]
    for start, stop in spans[1:]:
        if start < joined[-1][1]:
            told.is_doubled = True
        if start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    told.spans = joined


def _count(tally: Tally, sample: Decided, place: int, group: str) -> None:
    cell = _cell(tally, place, tally.block(sample.begin))
    cell.decided[group] += sample.decided[place]
    listed = _listed(tally, sample, place, group)
    if sample.failed[place]:
        cell.ours.setdefault((sample.account, group), []).extend(listed)
        cell.more[group] += unlisted(sample.failed[place] - len(listed), tally.limits)
        cell.episodes = None


def _count_other(tally: Tally, sample: Decided, place: int) -> None:
    cell = _cell(tally, place, tally.block(sample.begin))
    cell.twice += sample.decided[place]
    listed = _listed(tally, sample, place, "other")
    if sample.failed[place]:
        cell.theirs.setdefault(sample.account, []).extend(listed)
        cell.others_more += unlisted(sample.failed[place] - len(listed), tally.limits)
        cell.episodes = None


def _listed(tally: Tally, sample: Decided, place: int, group: str) -> list[Seen]:
    """Return the failures at their places among the records of their class in this block."""
    key = (sample.account, group, place)
    block = tally.block(sample.begin)
    in_block, before = tally.places.get(key, (block, 0))
    before = before if in_block == block else 0
    tally.places[key] = (block, before + sample.decided[place])
    return [
        Seen(one.at, one.seq, before + one.nth, one.fingerprint)
        for one in sample.failures
        if one.kind == CLASSES[place]
    ]


def episodes(cell: Cell, limits: Thresholds) -> Episodes:
    """Count the episodes of a cell; kept until another failure comes."""
    if cell.episodes is None:
        cell.episodes = _episodes(cell, limits)
    return cell.episodes


def _episodes(cell: Cell, limits: Thresholds) -> Episodes:
    by_group: Counter[str] = Counter(cell.more)
    against: set[tuple[str, int]] = set()
    own: set[tuple[str, int]] = set()
    cover = 0
    for (account, group), seen in cell.ours.items():
        if group == "incumbent":
            by_group[group] += len(separate(seen, limits))
            continue
        begun = separate(seen, limits)
        by_group[group] += len(begun)
        against.update((one.fingerprint, one.seq) for one in begun)
        cover += covering(seen, limits)
        shared = {one.seq for one in cell.theirs.get(account, ())}
        alone = (one for one in seen if one.seq not in shared)
        own.update((one.fingerprint, one.seq) for one in separate(alone, limits))
    others = sum(covering(seen, limits) for seen in cell.theirs.values())
    more = sum(count for group, count in cell.more.items() if group != "incumbent")
    return Episodes(
        separate=len(against) + more,
        covering=cover + more,
        own=len(own) + more,
        others=others + cell.others_more,
        by_group=by_group,
    )


# --- all else ----------------------------------------------------------------


def _hear(tally: Tally, account: int, release: str, at: int) -> str:
    """Note that an account's release told something; return its group, empty if it is in none."""
    group = group_of(tally, account, release)
    if not group or at < tally.since[account]:
        return ""
    if group != "incumbent":
        told = tally.told.setdefault(account, Told())
        told.heard += 1
        told.later += 1
    return group


def _fold_other(tally: Tally, sample: Latencies | Reached | Connected) -> None:
    group = _hear(tally, sample.account, sample.release, sample.at)
    if not group:
        return
    match sample:
        case Latencies():
            _fold_latencies(tally, sample, group)
        case Reached():
            _fold_reached(tally, sample, group)
        case _:
            _fold_connected(tally, sample)


def _fold_latencies(tally: Tally, sample: Latencies, group: str) -> None:
    limits = tally.limits
    if sample.end_to_end:
        number = (sample.at - tally.judging.begin) // limits.slow_window_ns
        window = tally.windows.setdefault(group, {}).setdefault(number, [0, 0])
        window[0] += len(sample.end_to_end)
        window[1] += sum(took > limits.slow_us for took in sample.end_to_end)
    if group == "incumbent":
        return
    found = compare(sample.ours, sample.theirs, limits.tolerated_percent, limits.slower_percent)
    counts = tally.buckets.setdefault(tally.block(sample.at), [0, 0, 0, 0])
    counts[0] += 1
    counts[1] += found.is_median_slower
    counts[2] += found.is_worst_slower
    counts[3] += found.is_much_slower


def _fold_fired(tally: Tally, sample: Fired) -> None:
    """Count a firing, on any account: what the release would have done counts everywhere."""
    if sample.source == "live":
        _hear(tally, sample.account, sample.release, sample.at)
    is_old = sample.source == "live" and sample.at < tally.judging.begin
    if is_old or sample.release != tally.judging.release:
        return
    block = tally.block(sample.at)
    tally.fired.setdefault(sample.rule, Counter())[sample.how] += sample.count
    tally.sources[sample.source] += sample.count
    # Cases are made at the boundary, where a difference shows: they count as seen, in no share.
    counts = sample.count if sample.source != "generated" else 0
    tally.rule_blocks.setdefault(sample.rule, Counter())[block] += counts
    for name in sample.name.split(", ") if sample.how == "declared" else ():
        tally.declared.setdefault(name, Counter())[block] += counts


def _fold_reached(tally: Tally, sample: Reached, group: str) -> None:
    tally.goals.setdefault(group, Counter())[sample.flaw or "clean"] += 1
    if group != "incumbent":
        block = tally.block(sample.at)
        tally.goal_blocks[block] += 1
        tally.late_blocks[block] += sample.flaw == "late"


def _fold_connected(tally: Tally, sample: Connected) -> None:
    line = tally.lines.setdefault(sample.account, Line())
    if line.down_since:
        line.longest = max(line.longest, sample.at - line.down_since)
    if sample.is_connected:
        line.down_since = 0
    elif not line.down_since:
        line.down_since = sample.at


def _fold_memory(tally: Tally, sample: Memory) -> None:
    if sample.release != tally.judging.release or sample.at < tally.judging.begin:
        return
    held = tally.memory.setdefault(sample.process, Held(sample.at))
    held.is_gapped |= sample.at - held.at > MEMORY_SILENT_NS
    held.at = sample.at
    cell = memory_cell(tally, sample.at)
    held.cells[cell] = max(held.cells.get(cell, 0), sample.held_bytes)
    held.newest = [*held.newest, sample.held_bytes][-tally.limits.memory_samples :]


def memory_cell(tally: Tally, at: int) -> int:
    """Return the cell of the phase that an instant is in, the last one from the planned end on."""
    length = max(tally.judging.end - tally.judging.begin, 1)
    return min((at - tally.judging.begin) * slope.CELLS // length, slope.CELLS)


def _fold_damaged(tally: Tally, sample: Damaged) -> None:
    if sample.release != tally.judging.release or sample.at < tally.judging.begin:
        return
    tally.damage_count += 1
    tally.damages = sorted(
        [*tally.damages, sample], key=lambda one: (one.at, one.account, one.what, one.detail)
    )[:DAMAGES_KEPT]

"""PURE: does the release fail too often, and is it the release that fails?

Per class of records, episodes against records decided, and against what the other release made of
the same records:

* too many, and by its own doing: fail; too many, and the other fails on the same: hold, for going
  back would not help; nobody knows about the other: fail;
* not too many, but proven more often than the other: fail, after a warning;
* proven below the limit, counted so that nothing is hidden in a burst: pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

import msgspec

from risk_daemon.rollout.eprocess import (
    Bets,
    Blocks,
    bound_ppm,
    clean_needed,
    once,
    rarer,
    summed,
    too_often,
    worth,
)
from risk_daemon.rollout.tally import Cell, Episodes, Tally, episodes
from risk_daemon.rollout.thresholds import Thresholds
from risk_daemon.rollout.verdict import Alert, Says, Verdict, many, once_in, percent
from risk_daemon.wire.sample import CLASSES

GATE: Final = "errors"
#: The other release is compared with if it decided this share of the records, in percent.
_TWICE_PERCENT: Final = 90
WORDS: Final = {
    "fact": "broker facts",
    "mark": "marks",
    "enforcement": "enforcement attempts",
}
_RANK: Final[dict[Says, int]] = {
    "fail": 4,
    "hold": 3,
    "unmeasurable": 2,
    "inconclusive": 1,
    "pass": 0,
}


@cache
def bets_on_errors(ppm: int) -> Bets:
    """Bet that failures are more frequent than this."""
    return too_often(ppm / 1e6)


@cache
def bets_on_rarer(ppm: int) -> Bets:
    """Bet that failures are rarer than this."""
    return rarer(ppm / 1e6)


@cache
def bets_on_own(percent_of_other: int) -> Bets:
    """Bet that of two releases' failures the first one's share is larger than tolerated."""
    ratio = percent_of_other / 100
    return too_often(ratio / (1 + ratio), highest=0.97, count=5, decay=1.5)


class Counted(msgspec.Struct, frozen=True):
    """One class, per block: records and episodes in the four ways they are counted."""

    separate: Blocks
    covering: Blocks
    own: Blocks
    against_other: Blocks
    against_other_most: Blocks
    twice: int

    @property
    def records(self) -> int:
        """Records decided in the phase."""
        return summed(self.separate.values())[0]

    @property
    def hits(self) -> int:
        """Episodes that count against the release."""
        return summed(self.separate.values())[1]


def counted(cells: Mapping[int, Cell], limits: Thresholds) -> Counted:
    """Count a class."""
    separate, cover, own, pairs, most = {}, {}, {}, {}, {}
    twice = 0
    for block, cell in cells.items():
        records = cell.decided.total() - cell.decided["incumbent"]
        found: Episodes = episodes(cell, limits)
        twice += cell.twice
        separate[block] = records, found.separate
        cover[block] = records, found.covering
        own[block] = records, found.own
        pairs[block] = found.separate + found.others, found.separate
        most[block] = found.covering + found.others, found.covering
    return Counted(separate, cover, own, pairs, most, twice)


class _Found(msgspec.Struct, frozen=True):
    says: Says
    kind: str
    records: int
    hits: int
    most: int
    sentence: str
    alert: Alert


def errors(tally: Tally, gaps: str) -> Verdict:
    """Judge the error rate of every class; the worst is what is said. `gaps`: what is missing."""
    limits = tally.limits
    found = [
        _judged(kind, counted(cells, limits), limits, gaps)
        for kind, cells in zip(CLASSES, tally.cells, strict=True)
    ]
    worst = max(found, key=lambda one: (_RANK[one.says], one.alert != "", one.hits))
    counts = [
        pair
        for one in found
        for pair in ((f"{one.kind} records", one.records), (f"{one.kind} episodes", one.hits))
    ]
    return Verdict(
        gate=GATE,
        says=worst.says,
        counts=tuple(counts),
        bound=_bound(worst, limits),
        sentence=worst.sentence,
        alert=worst.alert,
    )


def _bound(found: _Found, limits: Thresholds) -> str:
    """Say below which rate a class is proven to be; nothing where it failed, or nothing is."""
    wrong = limits.wrong_pass_ppm / 1e6
    ppm = bound_ppm(found.records, found.most, wrong) if found.says != "fail" else 1_000_000
    return (
        ""
        if ppm == 1_000_000
        else f"below {percent(ppm)}, {percent(1_000_000 - limits.wrong_pass_ppm)} sure"
    )


def _judged(kind: str, seen: Counted, limits: Thresholds, gaps: str) -> _Found:
    told = f"{many(seen.hits, 'error episode')} in {many(seen.records, 'record')} ({WORDS[kind]})"
    says, why, alert = _against(seen, limits)
    if not says:
        says, why = _for(kind, seen, limits)
        if gaps:
            says, why = "unmeasurable", f"{gaps}; what was not told may have been errors"
    return _Found(
        says=says,
        kind=kind,
        records=seen.records,
        hits=seen.hits,
        most=summed(seen.covering.values())[1],
        sentence=f"{told}: {why}",
        alert=alert,
    )


def _against(seen: Counted, limits: Thresholds) -> tuple[Says | None, str, Alert]:
    """Say what speaks against the release: fail or hold with its words, or nothing."""
    is_twice = _is_twice(seen)
    if _is_too_often(seen.separate, limits):
        if not is_twice:
            return (
                "fail",
                f"{once_in(limits.alpha_ppm)}, and no other is there to compare",
                "critical",
            )
        if _is_too_often(seen.own, limits) and _is_own(seen, limits):
            return "fail", f"{once_in(limits.alpha_ppm)}, {_other(seen)}", "critical"
        return "hold", f"too many, but {_other(seen)}: going back would not help", "critical"
    if not is_twice or not seen.hits:
        return None, "", ""
    alone = _more_than_other(seen.against_other, limits)
    if alone >= 1e6 / limits.alpha_ppm:
        return (
            "fail",
            f"more than {limits.worse_percent} % of the other, {_other(seen)}",
            "critical",
        )
    if alone >= 1e6 / limits.own_ppm:
        return None, "", "warning"
    return None, "", ""


def _is_twice(seen: Counted) -> bool:
    """Tell whether the other release decided the same records, all but a few."""
    return 100 * seen.twice >= _TWICE_PERCENT * seen.records > 0


def _other(seen: Counted) -> str:
    both, ours = summed(seen.against_other.values())
    own = summed(seen.own.values())[1]
    return f"{own} its own, {both - ours} of the other on the same {many(seen.twice, 'record')}"


def _for(kind: str, seen: Counted, limits: Thresholds) -> tuple[Says, str]:
    """Say whether it is proven good; what might be an abort in another light is no pass."""
    if _may_be_bad(seen, limits):
        return "inconclusive", "a long burst, that a person must look at"
    if kind not in limits.proven:
        return "pass", f"nothing speaks against it (wanted: {percent(limits.fine_ppm)})"
    records, hits = summed(seen.covering.values())
    wrong = limits.wrong_pass_ppm / 1e6
    if once(bets_on_rarer(limits.bad_ppm), records, hits) >= 1 / wrong:
        return "pass", f"proven below {percent(limits.bad_ppm)}"
    needed = clean_needed(limits.bad_ppm / 1e6, wrong, hits) - records
    return "inconclusive", (
        f"not yet proven below {percent(limits.bad_ppm)};"
        f" {many(needed, 'more record')} without an error would do"
    )


def _may_be_bad(seen: Counted, limits: Thresholds) -> bool:
    """Tell whether the same failures, counted as many episodes as they may be, would fail."""
    if _is_too_often(seen.covering, limits):
        return True
    most = _more_than_other(seen.against_other_most, limits) if _is_twice(seen) else 0.0
    return most >= 1e6 / limits.alpha_ppm


def _is_too_often(seen: Blocks, limits: Thresholds) -> bool:
    """Tell whether a class's episodes are too many; the classes share the gate's alpha."""
    bets = bets_on_errors(limits.fine_ppm)
    return worth(bets, seen, limits.blocks) >= len(CLASSES) * 1e6 / limits.alpha_ppm


def _more_than_other(seen: Blocks, limits: Thresholds) -> float:
    return worth(bets_on_own(limits.worse_percent), seen, limits.blocks) / len(CLASSES)


def _is_own(seen: Counted, limits: Thresholds) -> bool:
    """Tell whether most failures are the release's own since the trouble began.

    From the block on whose failures say most against it: what was before would drown it.
    """
    bets = bets_on_errors(limits.fine_ppm)
    begun = max(
        seen.own,
        key=lambda block: (
            once(bets, *summed(two for other, two in seen.own.items() if other >= block)),
            -block,
        ),
    )
    since = summed(two for block, two in seen.against_other.items() if block >= begun)
    return once(bets_on_own(100), *since) >= 1e6 / limits.own_ppm

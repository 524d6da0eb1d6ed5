"""PURE: the verdicts of a phase, gate by gate, from what its tally holds.

    tally = begin(judging)
    for sample in stored: tally = fold(tally, sample)
    verdicts = judge(tally, now)

The same samples give the same verdicts, bit for bit: that is how `rollout explain` checks them.
Time passing passes nothing: what was not seen is inconclusive, what was not told unmeasurable,
and a verdict of fail or hold is never softened by either.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import Final

import msgspec

from risk_daemon.rollout import slope
from risk_daemon.rollout.eprocess import Bets, clean_needed, once, rarer, summed, too_often, worth
from risk_daemon.rollout.error_gate import errors
from risk_daemon.rollout.tally import (
    COHORTS,
    MEMORY_SILENT_NS,
    SHADOW,
    Tally,
    episodes,
    memory_cell,
    missing,
)
from risk_daemon.rollout.thresholds import MB, Declared
from risk_daemon.rollout.verdict import (
    Alert,
    Says,
    Verdict,
    many,
    once_in,
    percent,
    share_ppm,
)

#: The gates that `judge` answers, in its order. `cohorts` only where two are to be compared.
GATES: Final = (
    "damage",
    "errors",
    "decisions",
    "enforcement",
    "latency",
    "memory",
    "connection",
    "cohorts",
)
_OURS: Final = ("first", "new", SHADOW)
#: The newly switched may be worse than the first canary by this factor before it is looked for.
_ALIKE: Final = 2.0
_WORSE: Final = (2.0, 4.0, 8.0, 16.0, 32.0)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a cohort shows, for people: nothing is decided by these.

    Rates and shares are parts per million; of nothing, accuracy and correctness are all.
    `slow` are latencies above the limit, of `timed`.
    """

    cohort: str
    accounts: int
    records: int
    episodes: int
    error_ppm: int
    timed: int
    slow: int
    goals: int
    correct_ppm: int
    cut_off: int


def judge(tally: Tally, now: int) -> tuple[Verdict, ...]:
    """Return the verdict of every gate at an instant, UTC ns. The tally is not changed."""
    gaps = missing(tally, now)
    verdicts = [
        _damage(tally, gaps),
        errors(tally, gaps),
        _decisions(tally, gaps),
        _enforcement(tally, gaps),
        _latency(tally, gaps),
        _memory(tally, now),
        _connection(tally, now, gaps),
    ]
    if {"first", "new"} <= set(tally.groups.values()):
        verdicts.append(_cohorts(tally, gaps))
    return tuple(verdicts)


def figures(tally: Tally, now: int) -> tuple[Figures, ...]:
    """Return what the three cohorts show, side by side."""
    return tuple(_figures(tally, cohort, now) for cohort in COHORTS)


def accuracy_ppm(tally: Tally) -> int:
    """Return the share of firings on which the release and its other agree."""
    total = sum(counts.total() for counts in tally.fired.values())
    return share_ppm(sum(counts["agreeing"] for counts in tally.fired.values()), total)


def _figures(tally: Tally, cohort: str, now: int) -> Figures:
    records = hits = 0
    for cells in tally.cells:
        for cell in cells.values():
            records += cell.decided[cohort]
            hits += episodes(cell, tally.limits).by_group.get(cohort, 0)
    windows = tally.windows.get(cohort, {}).values()
    goals = tally.goals.get(cohort, Counter())
    ended = goals.total()
    accounts = [account for account, group in tally.groups.items() if group == cohort]
    return Figures(
        cohort=cohort,
        accounts=len(accounts),
        records=records,
        episodes=hits,
        error_ppm=share_ppm(hits, records) if records else 0,
        timed=sum(window[0] for window in windows),
        slow=sum(window[1] for window in windows),
        goals=ended,
        correct_ppm=share_ppm(goals["clean"], ended),
        cut_off=sum(_cut_off(tally, account, now) > 0 for account in accounts),
    )


def _said(
    gate: str,
    says: Says,
    sentence: str,
    *counts: tuple[str, int],
    bound: str = "",
    alert: Alert = "",
) -> Verdict:
    return Verdict(
        gate=gate,
        says=says,
        counts=counts,
        bound=bound,
        sentence=sentence,
        alert="critical" if says in ("fail", "hold") and not alert else alert,
    )


def _alpha(tally: Tally) -> float:
    return tally.limits.alpha_ppm / 1e6


# --- what is one too many ----------------------------------------------------


def _damage(tally: Tally, gaps: str) -> Verdict:
    count = ("damages", tally.damage_count)
    if tally.damages:
        first = tally.damages[0]
        where = f"account {first.account}" if first.account else "the daemon"
        told = f"{first.what} ({where}): {first.detail}; one is too many"
        return _said("damage", "fail", told, count)
    if gaps:
        return _said("damage", "unmeasurable", f"no damage was told of, but {gaps}", count)
    told = "no crash, divergence, lease violation, failed reconciliation or incident"
    return _said("damage", "pass", told, count)


# --- decisions ---------------------------------------------------------------


def _decisions(tally: Tally, gaps: str) -> Verdict:
    limits = tally.limits
    by_how = {
        how: sum(counts[how] for counts in tally.fired.values())
        for how in ("agreeing", "looser", "stricter", "declared")
    }
    total = sum(by_how.values())
    counts = (*by_how.items(), *((f"from {name}", tally.sources[name]) for name in _SOURCES))
    known = {one.name for one in limits.declared}
    over = [one for one in limits.declared if _is_over(tally, one)]
    unseen = [one.name for one in limits.declared if one.name not in tally.declared]
    unknown = sorted(set(tally.declared) - known)
    too_few = _too_few(tally, total)
    says: Says
    if by_how["looser"]:
        says, why = "fail", f"{_rules(tally, 'looser')}: looser than the other, undeclared"
    elif over:
        one = over[0]
        says, why = (
            "fail",
            (
                f"declared {one.name} on more than {percent(one.cap_ppm)} of the firings of"
                f" {one.rule}: {once_in(limits.alpha_ppm)}"
            ),
        )
    elif by_how["stricter"]:
        says, why = (
            "hold",
            f"{_rules(tally, 'stricter')}: stricter, undeclared: a person classifies",
        )
    elif unknown:
        says, why = "hold", f"a difference named {unknown[0]} that the release does not declare"
    elif gaps:
        says, why = "unmeasurable", gaps
    elif too_few or unseen:
        says = "inconclusive"
        why = too_few or f"declared {unseen[0]} was never seen: it may do nothing"
    else:
        agreed = percent(accuracy_ppm(tally))
        says, why = "pass", f"agreed on {agreed} of {many(total, 'firing')}{_mix(tally)}"
    return _said("decisions", says, why, *counts)


_SOURCES: Final = ("live", "recorded", "generated")


def _mix(tally: Tally) -> str:
    """Say where the firings came from."""
    named = [f"{tally.sources[name]} {name}" for name in _SOURCES if tally.sources[name]]
    return f" ({', '.join(named)})" if named else ""


def _rules(tally: Tally, how: str) -> str:
    """Name the rules that fired so, with how often."""
    return ", ".join(
        f"{rule} ({counts[how]})" for rule, counts in sorted(tally.fired.items()) if counts[how]
    )


def _too_few(tally: Tally, total: int) -> str:
    """Say which rule has fired too seldom; empty if none."""
    wanted = tally.limits.firings
    for rule in tally.limits.changed:
        fired = tally.fired[rule].total() if rule in tally.fired else 0
        if fired < wanted:
            return f"{rule} was changed and has fired {many(fired, 'time')}, wanted {wanted}"
    return "" if total >= wanted else f"{many(total, 'firing')}{_mix(tally)}, wanted {wanted}"


def _is_over(tally: Tally, one: Declared) -> bool:
    """Tell whether a declared difference is above its cap; all of them share the gate's alpha."""
    enough = len(tally.limits.declared) / _alpha(tally)
    differs = tally.declared.get(one.name, Counter())
    seen = {
        block: (fired, min(differs[block], fired))
        for block, fired in tally.rule_blocks.get(one.rule, Counter()).items()
    }
    return worth(_too_often(one.cap_ppm), seen, tally.limits.blocks) >= enough


@cache
def _too_often(ppm: int) -> Bets:
    return too_often(ppm / 1e6)


# --- enforcement -------------------------------------------------------------


def _enforcement(tally: Tally, gaps: str) -> Verdict:
    limits = tally.limits
    flaws = {
        flaw: sum(tally.goals[group][flaw] for group in _OURS if group in tally.goals)
        for flaw in ("clean", "residue", "orphan", "duplicate", "late")
    }
    total = sum(flaws.values())
    worst = [flaw for flaw in ("residue", "orphan", "duplicate") if flaws[flaw]]
    late = {block: (ended, tally.late_blocks[block]) for block, ended in tally.goal_blocks.items()}
    bets = _too_often(limits.late_ppm)
    says: Says
    if worst:
        says, why = (
            "fail",
            f"{many(flaws[worst[0]], 'goal')} ended with {worst[0]}: one is too many",
        )
    elif worth(bets, late, limits.blocks) >= 1 / _alpha(tally):
        says, why = (
            "fail",
            f"{flaws['late']} of {many(total, 'goal')} late: {once_in(limits.alpha_ppm)}",
        )
    elif gaps:
        says, why = "unmeasurable", gaps
    elif total < limits.goals:
        says, why = "inconclusive", f"{many(total, 'goal')} came to an end, wanted {limits.goals}"
    elif flaws["late"] and not _is_late_rare(tally, total, flaws["late"]):
        says, why = (
            "inconclusive",
            (
                f"{flaws['late']} of {many(total, 'goal')} late,"
                f" tolerated {percent(limits.late_ppm)}"
            ),
        )
    else:
        says = "pass"
        why = f"{percent(share_ppm(flaws['clean'], total))} of {many(total, 'goal')} without a flaw"
    return _said("enforcement", says, why, ("goals", total), *flaws.items())


def _is_late_rare(tally: Tally, total: int, late: int) -> bool:
    bets = rarer(2 * tally.limits.late_ppm / 1e6)
    return once(bets, total, late) >= 1e6 / tally.limits.wrong_pass_ppm


# --- latency -----------------------------------------------------------------

_HALF: Final = too_often(0.5, highest=0.97, count=8)
_FEWER: Final = rarer(0.5)


def latency_worth(tally: Tally) -> float:
    """Return what the bets on "slower than tolerated" are worth: the mean of both views."""
    blocks = tally.limits.blocks
    median = {block: (counts[0], counts[1]) for block, counts in tally.buckets.items()}
    highest = {block: (counts[0], counts[2]) for block, counts in tally.buckets.items()}
    return (worth(_HALF, median, blocks) + worth(_HALF, highest, blocks)) / 2


def _latency(tally: Tally, gaps: str) -> Verdict:
    limits = tally.limits
    total = sum(counts[0] for counts in tally.buckets.values())
    slower = sum(counts[1] for counts in tally.buckets.values())
    worst = sum(counts[2] for counts in tally.buckets.values())
    much = sum(counts[3] for counts in tally.buckets.values())
    told = f"in {slower} of {many(total, 'bucket')} slower than tolerated, in {worst} at its worst"
    alert, slow = _absolute(tally)
    bound = ""
    says: Says
    if latency_worth(tally) >= 1 / _alpha(tally):
        says, why = "fail", f"{told}: {once_in(limits.alpha_ppm)}"
    elif gaps:
        says, why = "unmeasurable", gaps
    elif once(_FEWER, total, much) >= 1e6 / limits.wrong_pass_ppm:
        sure = percent(1_000_000 - limits.wrong_pass_ppm)
        bound = f"less than {limits.slower_percent - 100} % slower, {sure} sure"
        says, why = "pass", f"{told}: {bound}"
    else:
        needed = clean_needed(0.5, limits.wrong_pass_ppm / 1e6, much) - total
        says = "inconclusive"
        why = f"{told}; {many(needed, 'more bucket')} not much slower would do"
    counts = (("buckets", total), ("slower", slower), ("worst", worst), ("much slower", much))
    return _said("latency", says, why + slow, *counts, bound=bound, alert=alert)


def _absolute(tally: Tally) -> tuple[Alert, str]:
    """Say whether the absolute limit was passed in two windows in a row: an alert, no verdict."""
    limits = tally.limits
    slow = set()
    for number in {number for group in _OURS for number in tally.windows.get(group, {})}:
        windows = [tally.windows.get(group, {}).get(number, [0, 0]) for group in _OURS]
        timed, over = summed((one[0], one[1]) for one in windows)
        if timed >= limits.slow_events and 20 * over > timed:
            slow.add(number)
    if any(number + 1 in slow for number in slow):
        return "warning", f"; P95 above {limits.slow_us // 1000} ms in two windows in a row"
    return "", ""


# --- memory ------------------------------------------------------------------


def _memory(tally: Tally, now: int) -> Verdict:
    limits = tally.limits
    if not tally.memory:
        return _said("memory", "unmeasurable", "no process of the release told what it holds")
    at_end = {name: slope.projected(one.cells, slope.CELLS) for name, one in tally.memory.items()}
    least = {
        name: min(one.newest) if len(one.newest) == limits.memory_samples else 0
        for name, one in tally.memory.items()
    }
    name = max(least, key=lambda name: (least[name], name))
    total = sum(least.values())
    grown = sum(max(at_end[name] or 0, least[name]) for name in at_end)
    counts = (("MB now", total // MB), ("MB at the end", grown // MB))
    silent = [
        name
        for name, one in sorted(tally.memory.items())
        if one.is_gapped or one.at < now - MEMORY_SILENT_NS
    ]
    says: Says
    alert: Alert = ""
    if total > limits.memory_limit_bytes:
        says, alert = "hold", "warning"
        why = f"{total // MB} MB, the limit is {limits.memory_limit_bytes // MB}; most in {name}"
    elif grown > limits.memory_limit_bytes and _is_before_end(tally, now):
        says, alert = "hold", "warning"
        why = f"{total // MB} MB and growing: {grown // MB} MB when the phase ends"
    elif silent:
        says, why = "unmeasurable", f"{silent[0]} did not tell what it holds all the time"
    elif None in at_end.values():
        cells = min(len(one.cells) for one in tally.memory.values())
        says = "inconclusive"
        why = f"{total // MB} MB; seen in {cells} parts of the phase, wanted {slope.CELLS_FEWEST}"
    else:
        says = "pass"
        why = f"{total // MB} MB, {grown // MB} MB when the phase ends"
    if total > limits.memory_target_bytes and says == "pass":
        why += f", above the target of {limits.memory_target_bytes // MB}"
        alert = "warning"
    return _said("memory", says, why, *counts, alert=alert)


def _is_before_end(tally: Tally, now: int) -> bool:
    return memory_cell(tally, now) < slope.CELLS


# --- connection --------------------------------------------------------------


def _cut_off(tally: Tally, account: int, now: int) -> int:
    """Return for how long an account has been cut off now, ns; 0 if it is not."""
    line = tally.lines.get(account)
    return now - line.down_since if line is not None and line.down_since else 0


def _longest(tally: Tally, account: int, now: int) -> int:
    line = tally.lines.get(account)
    return max(line.longest, _cut_off(tally, account, now)) if line is not None else 0


def _connection(tally: Tally, now: int, gaps: str) -> Verdict:
    limits = tally.limits
    blind = [one for one in tally.counted() if _longest(tally, one, now) > limits.blind_ns]
    others = [one for one, group in sorted(tally.groups.items()) if group == "incumbent"]
    both = [one for one in others if _longest(tally, one, now) > limits.blind_ns]
    untold = [one for one in tally.counted() if one not in tally.lines]
    counts = (("cut off", len(blind)), ("others cut off", len(both)))
    minutes = limits.blind_ns // 60_000_000_000
    if blind:
        told = f"{many(len(blind), 'account')} cut off for more than {minutes} minutes"
        says: Says = "hold" if both or not others else "fail"
        why = "the others too" if both else "the others not" if others else "nobody to compare with"
        return _said("connection", says, f"{told}, {why}", *counts)
    if gaps or untold:
        why = gaps or f"account {untold[0]}: whether it is connected was never told"
        return _said("connection", "unmeasurable", why, *counts)
    told = f"no account was cut off for more than {minutes} minutes"
    return _said("connection", "pass", told, *counts)


# --- two cohorts -------------------------------------------------------------


def _cohorts(tally: Tally, gaps: str) -> Verdict:
    """Compare the newly switched with the first canary: errors against records, block by block."""
    rows = _shared_blocks(tally)
    new, both = sum(row[2] for row in rows), sum(row[1] for row in rows)
    counts = (("episodes of the new", new), ("episodes of the first", both - new))
    if _differ(rows) >= 1 / _alpha(tally):
        told = "the newly switched fail more often than the first canary"
        return _said("cohorts", "hold", f"{told}: {new} of {both}", *counts)
    if gaps:
        return _said("cohorts", "unmeasurable", gaps, *counts)
    told = f"{new} of {many(both, 'episode')} on the newly switched, as their records let expect"
    return _said("cohorts", "pass", told, *counts)


def _shared_blocks(tally: Tally) -> list[tuple[float, int, int]]:
    """Return per block the odds that an episode is of the new, episodes of both, of the new."""
    rows = []
    for block in range(tally.limits.blocks):
        records = {"first": 0, "new": 0}
        hits = {"first": 0, "new": 0}
        for cells in tally.cells:
            cell = cells.get(block)
            if cell is None:
                continue
            by_group = episodes(cell, tally.limits).by_group
            for group in records:
                records[group] += cell.decided[group]
                hits[group] += by_group.get(group, 0)
        if records["first"] and records["new"]:
            odds = _ALIKE * records["new"] / records["first"]
            rows.append((odds, hits["first"] + hits["new"], hits["new"]))
    return rows


def _differ(rows: list[tuple[float, int, int]]) -> float:
    """Return what bets on "the new are worse" are worth: each block has its own expected odds."""
    total = 0.0
    for worse in _WORSE:
        exponent = 0.0
        for odds, both, new in rows:
            fair, bad = odds / (1 + odds), worse * odds / (1 + worse * odds)
            exponent += new * math.log(bad / fair)
            exponent += (both - new) * (math.log1p(-bad) - math.log1p(-fair))
        total += math.exp(min(exponent, 600.0)) / len(_WORSE)
    return total

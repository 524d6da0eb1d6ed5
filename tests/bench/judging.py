"""`./dev bench judging`: thousands of days through the judging, good and bad ones."""

import argparse
import json
import math
import os
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.rollout import days

Report = dict[str, object]
#: 20 h 35 min into the day.
LATE = 24_700
#: Of the days with an outage, one in so many has one that hits both releases on different records.
OWN_EVERY = 20


def healthy(seed: int) -> tuple[str, int]:
    """Return what a healthy day was ended by: its kind of outage, 1 if it was aborted."""
    outage = "own" if seed % OWN_EVERY == 0 else "same"
    seen = days.play(days.healthy(random.Random(seed), outage=outage))
    return outage, int(seen.failed_at > 0)


def at_the_limit(seed: int) -> tuple[str, int]:
    """Return the same for a day at exactly 0.1 %, without bursts or outage."""
    day = days.healthy(random.Random(seed), rate=0.001, bursts=0, outage="")
    return "at 0.1 %", int(days.play(day).failed_at > 0)


def seen_after(rate: float, onset: int, seed: int) -> float:
    """Return how many records after its onset a fault is seen."""
    day = days.broken(random.Random(seed), rate, onset)
    seen = days.play(day, fine_from=onset)
    return seen.failed_at - onset if seen.failed_at else math.inf


def slow_after(factor: float, onset: int, seed: int) -> float:
    """Return how many pairs after its onset a slower release is seen."""
    found = days.slow_at(days.latencies(random.Random(seed), factor, 14_400, onset))
    return found - onset if found else math.inf


def quantiles(found: Sequence[float]) -> dict[str, float | int | None]:
    """Return the share that was seen, median and 90th percentile; None: never."""
    ordered = sorted(found)
    p90 = ordered[math.ceil(0.9 * len(ordered)) - 1]
    median = statistics.median_high(ordered)
    return {
        "runs": len(found),
        "seen": sum(math.isfinite(one) for one in found),
        "too_soon": sum(one < 0 for one in found),
        "median": median if math.isfinite(median) else None,
        "p90": p90 if math.isfinite(p90) else None,
    }


#: A limit: not one of the runs may be seen.
NEVER = 0.0
#: What is played, in which share of the runs, and the largest median that is good enough.
FAULTS: dict[str, tuple[Callable[[int], float], int, float]] = {
    "1.5 % errors from the start": (partial(seen_after, 0.015, 0), 1, 500),
    "1.5 % errors, late": (partial(seen_after, 0.015, LATE), 1, 700),
    "5 % errors from the start": (partial(seen_after, 0.05, 0), 1, math.inf),
    "5 % errors, late": (partial(seen_after, 0.05, LATE), 1, math.inf),
    "x 1.5 latency": (partial(slow_after, 1.5, 0), 4, 700),
    "x 1.5 latency, late": (partial(slow_after, 1.5, 10_000), 4, math.inf),
    "x 2 latency": (partial(slow_after, 2.0, 0), 4, math.inf),
    "x 1.2 latency": (partial(slow_after, 1.2, 0), 4, NEVER),
    "equal latency": (partial(slow_after, 1.0, 0), 4, NEVER),
}


def play_healthy(pool: ProcessPoolExecutor, args: argparse.Namespace) -> tuple[Report, list[str]]:
    """Play the days on which nothing is to be aborted."""
    report: Report = {}
    bad = []
    for name, one, count in (
        ("healthy days", healthy, args.days),
        ("days at the limit", at_the_limit, args.limit_days),
    ):
        aborted: Counter[str] = Counter()
        played: Counter[str] = Counter()
        for kind, is_aborted in pool.map(one, range(args.seed, args.seed + count), chunksize=20):
            played[kind] += 1
            aborted[kind] += is_aborted
        report[name] = {kind: [aborted[kind], played[kind]] for kind in sorted(played)}
        print(f"{name}: aborted " + told(aborted, played), flush=True)
        if aborted.total() > 0.002 * played.total():
            bad.append(name)
    return report, bad


def play_faults(pool: ProcessPoolExecutor, args: argparse.Namespace) -> tuple[Report, list[str]]:
    """Play what is to be seen in time, and what is never to be."""
    report: Report = {}
    bad = []
    for name, (fault, share, limit) in FAULTS.items():
        found = quantiles(list(pool.map(fault, range(args.seed, args.seed + args.runs // share))))
        report[name] = found
        print(f"{name}: {found}", flush=True)
        median = found["median"]
        if limit == NEVER and found["seen"]:
            bad.append(name)
        if NEVER < limit < math.inf and (median is None or median > limit):
            bad.append(name)
    return report, bad


def main() -> int:
    """Play the days; 0 only if the promises held."""
    parser = argparse.ArgumentParser(prog="./dev bench judging", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "healthy", "faults"), default="all")
    parser.add_argument("--days", type=int, default=6_000, help="healthy ones")
    parser.add_argument("--limit-days", type=int, default=2_000, help="at exactly 0.1 %% errors")
    parser.add_argument("--runs", type=int, default=400, help="of each fault")
    parser.add_argument("--seed", type=int, default=1, help="of the first one")
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    args = parser.parse_args()
    report: Report = {}
    bad: list[str] = []
    with ProcessPoolExecutor(max(1, min(2, os.cpu_count() or 1))) as pool:
        for name, play in (("faults", play_faults), ("healthy", play_healthy)):
            if args.what in ("all", name):
                found, not_held = play(pool, args)
                report |= found
                bad += not_held
    for name in bad:
        print(f"NOT HELD: {name}")
    if args.json:
        print(json.dumps({"ok": not bad, "not_held": bad, **report}))
    return int(bool(bad))


def told(aborted: Counter[str], played: Counter[str]) -> str:
    """Write how many days of each kind were aborted."""
    return ", ".join(f"{aborted[kind]} of {played[kind]:,} ({kind})" for kind in sorted(played))


if __name__ == "__main__":
    sys.exit(main())

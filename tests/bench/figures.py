"""Figures, their quantiles, and the page that keeps their budgets."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: A budget is this many times what was measured when it was written.
SLACK: Final = 3.0
#: What the host itself takes: shown, never judged.
FLOORS: Final = frozenset({"flush", "close, bare", "loopback round trip"})
#: What has a limit of its own, whatever was measured: a ratio, and what was promised to people.
CEILINGS: Final = {
    "quote, 100 accounts / 1": 1.5,
    "admin --version": 400.0,
    "health over HTTP": 50.0,
}
ROW: Final = re.compile(r"^\| (?P<name>[^|]+?) \| (?P<unit>us|ms|x) \| (?P<rest>[^\n]+) \|$")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one figure was, several times. `us`, `ms`, or `x` for a ratio."""

    unit: str
    values: list[float]

    def quantile(self, share: float) -> float:
        """Return a quantile by nearest rank."""
        ordered = sorted(self.values)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    @property
    def median(self) -> float:
        """The figure that is judged."""
        return self.quantile(0.5)


def sample(unit: str, values: Sequence[float]) -> Sample:
    """Make a sample; it must not be empty."""
    assert values
    return Sample(unit, list(values))


def budgets(page: Path) -> dict[str, float]:
    """Return the budget of every figure that the page has one for."""
    found = {}
    for line in page.read_text().splitlines() if page.exists() else []:
        row = ROW.match(line)
        if row is not None and row["name"] not in FLOORS:
            found[row["name"]] = float(row["rest"].split("|")[-1])
    return found


def table(found: Mapping[str, Sample], limits: Mapping[str, float]) -> list[str]:
    """Write the figures for a person, with their budgets."""
    lines = [f"{'figure':36} {'unit':4} {'median':>9} {'p90':>9} {'p99':>9} {'n':>5} {'budget':>9}"]
    for name, one in found.items():
        limit = limits.get(name)
        shown = "-" if limit is None else f"{limit:.3f}"
        verdict = "" if limit is None or one.median <= limit else "  EXCEEDED"
        lines.append(
            f"{name:36} {one.unit:4} {one.median:9.3f} {one.quantile(0.9):9.3f}"
            f" {one.quantile(0.99):9.3f} {len(one.values):5}"
            f" {shown:>9}{verdict}"
        )
    return lines


def exceeded(found: Mapping[str, Sample], limits: Mapping[str, float]) -> list[str]:
    """Name the figures over their budget, and those that have none."""
    return [
        f"{name}: {one.median:.3f} {one.unit}, the budget is {limits[name]:g}"
        if name in limits
        else f"{name}: no budget is written; run `./dev bench --write`"
        for name, one in found.items()
        if name not in FLOORS and (name not in limits or one.median > limits[name])
    ]


def budget_of(name: str, one: Sample) -> str:
    """Return the budget that is written for a figure."""
    return "none" if name in FLOORS else f"{CEILINGS.get(name, one.median * SLACK):.3f}"


def page_of(found: Mapping[str, Sample], written: str, host: str) -> str:
    """Write the page that keeps the budgets."""
    rows = "\n".join(
        f"| {name} | {one.unit} | {one.median:.3f} | {one.quantile(0.99):.3f} |"
        f" {budget_of(name, one)} |"
        for name, one in found.items()
    )
    return f"""# What the hot path costs

Written by `./dev bench --write` on {written}; {host}. `./dev bench` measures again and fails
when a median is over its budget, three times the median of that day. Ratios (`x`) compare two
figures of one run and hold on any machine; times are this machine's.

| figure | unit | median | p99 | budget |
|---|---|---|---|---|
{rows}

* *decode*: JSON text of one hub payload to a fact; *step*: one record through the engine with
  all eight rules, hot. A quote within the prices that are quiet for all its holders asks no rule,
  so it costs the same at any number of accounts. *Loopback round trip* is one byte over TCP.
* *admin --version*: the whole process, as a person types it; 0.4 s are promised.
* *append to subscriber*: one fact, from the call to its delivery to another connection, stored
  in between; *intend, durable*: a goal with two causes before it, flushed. *Flush* is what the
  disk itself takes for 4 KiB.
* *close over the SDK*: one request on the kept connection to the simulated gateway, `calm`;
  *bare* is the same request by the standard library's client.
* *breach to close*: from the message that shows the breach to the arrival of the request, five
  kinds of process, one account, nothing else going on.
"""


def host() -> str:
    """Say what it was measured on, without naming the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, shared, {platform.system()}, Python {platform.python_version()}"

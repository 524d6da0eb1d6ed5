"""The figures of the drills in `docs/deployment/disaster_recovery.md`, between two marks. Pure.

A run replaces the rows of what it has played, and leaves the others as they were measured.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from risk_daemon.errors import UsageError
from risk_daemon.stage.drill_book import DRILLS, SHARE, Drill, by_hand_allowed_s

PAGE: Final = Path("docs") / "deployment" / "disaster_recovery.md"
BEGIN: Final = "<!-- drills: begin -->\n"
END: Final = "<!-- drills: end -->\n"
HEAD: Final = """\
| drill | what is broken | breach answered | promised | allowed | by hand | allowed | measured |
|---|---|---|---|---|---|---|---|
"""


def written(text: str, verdict: Mapping[str, Any], on: dt.date) -> str:
    """Return the page with the figures of a run. UsageError where it has no place for them."""
    before, begins, rest = text.partition(BEGIN)
    kept, ends, after = rest.partition(END)
    if not (begins and ends):
        raise UsageError(f"{PAGE} has no place between {BEGIN.strip()} and {END.strip()}.")
    book = {drill.name: drill for drill in DRILLS}
    rows = {line.split("|")[1].strip(): line for line in kept.splitlines() if line[:2] == "| "}
    size = f"{verdict['size_mb']:g} MB"
    for row in verdict["drills"]:
        rows[row["name"]] = _row(book[row["name"]], row, f"{on.isoformat()}, {size}")
    told = "".join(f"{rows[name]}\n" for name in book if name in rows)
    return f"{before}{BEGIN}{HEAD}{told}{END}{after}"


def _row(drill: Drill, row: Mapping[str, Any], measured: str) -> str:
    allowed = f"{drill.budget_s:g} s" + (f" ({drill.why_budget})" if drill.why_budget else "")
    answered, problem = f"{row['seconds']:.1f} s", row["problem"]
    return (
        f"| {drill.name} | {drill.broken} | {f'**{problem}**' if problem else answered} |"
        f" {drill.budget_s * SHARE:g} s | {allowed} | {row['by_hand_s']:.1f} s |"
        f" {by_hand_allowed_s(drill):g} s | {measured} |"
    )

"""The figures of the drills in `docs/deployment/disaster_recovery.md`, between two marks. Pure."""

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


def written(text: str, verdict: Mapping[str, Any], on: dt.date, host: str) -> str:
    """Return the page with the figures of a run. UsageError where it has no place for them."""
    before, begins, rest = text.partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not (begins and ends):
        raise UsageError(f"{PAGE} has no place between {BEGIN.strip()} and {END.strip()}.")
    return f"{before}{BEGIN}{_figures(verdict, on, host)}{END}{after}"


def _figures(verdict: Mapping[str, Any], on: dt.date, host: str) -> str:
    book = {drill.name: drill for drill in DRILLS}
    rows = [_row(book[row["name"]], row) for row in verdict["drills"]]
    return "\n".join(
        [
            f"Measured on {on.isoformat()} by `./dev drill all --write`, with"
            f" {verdict['size_mb']:g} MB of state; {host}.",
            "",
            "| drill | what is broken | breach answered | promised | allowed | by hand | allowed |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(drill: Drill, row: Mapping[str, Any]) -> str:
    allowed = f"{drill.budget_s:g} s" + (f" ({drill.why_budget})" if drill.why_budget else "")
    answered, problem = f"{row['seconds']:.1f} s", row["problem"]
    return (
        f"| {drill.name} | {drill.broken} | {f'**{problem}**' if problem else answered} |"
        f" {drill.budget_s * SHARE:g} s | {allowed} | {row['by_hand_s']:.1f} s |"
        f" {by_hand_allowed_s(drill):g} s |"
    )

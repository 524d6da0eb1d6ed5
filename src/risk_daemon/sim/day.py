"""A recorded day read as a scenario: its quotes and orders, each when it was (docs/formats/day.md).

Accounts that the gateway does not have are left out, and how many steps that were is told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from risk_daemon.sim.scenario import SimConfig
from risk_daemon.sim.timeline import Cast, Scenario, ScenarioRefused, parse

FORMAT = 1


def read(path: Path, config: SimConfig, speed: float = 1.0) -> tuple[Scenario, int]:
    """The scenario in a recorded day, `speed` times as fast, and how many steps were left out."""
    if not speed > 0:
        raise ScenarioRefused(f"--speed is {speed:g}; allowed is a number above 0")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
    except OSError as error:
        raise ScenarioRefused(f"{path}: can't be read ({error.strerror})") from error
    except ValueError as error:
        raise ScenarioRefused(f"{path}: is no recorded day (not JSON, a row per line)") from error
    head = rows[0] if rows and isinstance(rows[0], dict) else {}
    if head.get("what") != "recorded day" or head.get("format") != FORMAT:
        raise ScenarioRefused(f"{path}: is no recorded day of format {FORMAT}")
    if head.get("steps") != len(rows) - 1:
        raise ScenarioRefused(
            f"{path}: has {len(rows) - 1} steps and says {head.get('steps')}; it was cut"
        )
    cast = Cast.of(config)
    steps = [_faster(row, speed) for row in rows[1:] if _is_known(row, cast)]
    still = {"at": 0.0, "market": {"moving": False}}  # prices are those of then
    try:
        found = parse({"begins": "whole", "timeline": [still, *steps]}, cast)
    except ScenarioRefused as refused:
        raise ScenarioRefused(f"{path}: {refused}") from refused
    return found, len(rows) - 1 - len(steps)


def _is_known(row: Any, cast: Cast) -> bool:
    order = row.get("order") if isinstance(row, dict) else None
    return not isinstance(order, dict) or order.get("account") in cast.accounts


def _faster(row: Any, speed: float) -> Any:
    if isinstance(row, dict) and isinstance(row.get("at"), int | float):
        return {**row, "at": row["at"] / speed}
    return row

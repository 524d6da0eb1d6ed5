"""PURE: a rollout as a tree of text: what is over, what is watched now, who is on what.

It says everything in words; who draws it in colour repeats what the words say. Accounts that are
alike share a line, so that twenty thousand of them still fit a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: Accounts of one line; the others of it are counted.
NAMED: Final = 5
BAR: Final = 16
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
_ACCOUNT: Final = re.compile(r"account \d+")
_SIGNS: Final = {"over": "✔", "now": "▶", "to come": "○"}
_GATES: Final = {"pass": "✔", "fail": "✘", "hold": "‖"}
#: What is judged of a phase though the plan does not ask for it is shown where it is no pass.
_QUIET: Final = ("pass", "inconclusive", "unmeasurable")

type Shown = Mapping[str, Any]


def tree(found: Shown) -> list[str]:
    """Return the lines of a rollout as `standing.show` has it, with its `judged` if it has one."""
    part = f", {found['part']}" if found["part"] else ""
    is_alone = found["plan"].get("kind") == "configuration"
    both = [found["release"], found["fallback"]]
    if is_alone:
        both = [f"configuration {found[name]}" for name in ("commit", "fallback_commit")]
    lines = [f"{' over '.join(both)}: {found['stage']}{part}"]
    lines += [f"  {text}" for text in _troubles(found)]
    phases = found["phases"]
    for number, one in enumerate(phases):
        is_last = number == len(phases) - 1
        branch, below = ("└─", "   ") if is_last else ("├─", "│  ")
        told = _phase(one, "tried on copies, of all" if is_alone else "decides beside, on all")
        lines.append(f"{branch} {_SIGNS[one['state']]} {told}")
        if one["state"] == "now":
            lines += [f"{below}   {text}" for text in _now(found, one)]
    total = sum(found["on"].values())
    lines += [
        f"{name:<24} {bar(number, total)} {number} of {total}"
        for name, number in sorted(found["on"].items(), reverse=True)
    ]
    return lines


def groups(found: Shown) -> list[str]:
    """Say what the accounts are doing, those that do alike in one line."""
    alike: dict[str, list[Shown]] = {}
    for row in found["accounts"]:
        alike.setdefault(doing(row), []).append(row)
    return [f"{_named(rows)}: {told}" for told, rows in alike.items()]


def doing(row: Shown) -> str:
    """Say what one account is on, and what it is doing."""
    looks = ", ".join(f"{name} {row[name]}" for name in ("smoke", "reconcile") if row[name])
    told = f" ({looks})" if looks else ""
    why = f": {row['why']}" if row["why"] else ""
    return f"{row['has']}, epoch {row['epoch']}, {row['at']}{told}{why}"


def _troubles(found: Shown) -> list[str]:
    lines = _urgency(found)
    lines += [f"why: {found['why']}"] if found["why"] else []
    if found["stuck"]:
        lines.append(f"STANDS STILL: {found['stuck']}")
    lines += _holds(found)
    lines += [
        f"ACCEPTED by {one['person']}: {one['gate']}: {one['reason']}" for one in found["overrides"]
    ]
    return lines


def _holds(found: Shown) -> list[str]:
    """Say what holds it; what differs by the account only is said once."""
    alike: dict[tuple[str, str], list[str]] = {}
    for one in found["holds"]:
        key = (one["actor"], _ACCOUNT.sub("", one["reason"]))
        alike.setdefault(key, []).append(one["reason"])
    return [
        f"ON HOLD since {actor} said: {reasons[0]}"
        + f" (and the same of {len(reasons) - 1} more)" * (len(reasons) > 1)
        for (actor, _), reasons in alike.items()
    ]


def _urgency(found: Shown) -> list[str]:
    """Say that it is an emergency, who asked for it, and what it was spared: to the end."""
    plan = found["plan"]
    if plan.get("kind") != "emergency":
        return []
    spared = [one for one in found["said"] if one.startswith("EMERGENCY: ")]
    return [f"EMERGENCY by {plan['by']}: {plan['reason']}", *spared]


def _phase(one: Shown, nobody: str) -> str:
    number = one["accounts"]
    who = f"{number} account{'s' if number != 1 else ''}" if number else nobody
    return f"{one['phase']:<8} {who:<24} {one['state']}"


def _now(found: Shown, one: Shown) -> list[str]:
    """Say what was seen of what is wanted, and what every gate says."""
    dwell, minute_ns = one["dwell"], found["plan"]["minute_ns"]
    planned = next(row for row in found["plan"]["phases"] if row["name"] == one["phase"])
    seen = dwell["wall_s"][0] * SECOND_NS * MINUTE_NS // minute_ns
    wanted = planned["dwell"]["wall_ns"] * MINUTE_NS // minute_ns
    lines = [f"watched   {_long(seen)} of {_long(wanted)} {bar(seen, wanted)}"]
    for name, key in (("market", "open_minutes"), ("records", "events")):
        has, wants = dwell[key]
        if wants:
            unit = " min" if key == "open_minutes" else ""
            lines.append(f"{name:<9} {has:,} of {wants:,}{unit} {bar(has, wants)}")
    lines += [f"not witnessed yet: {name}" for name in one["unseen"]]
    asked = {row["gate"] for row in one["gates"]}
    lines += [_gate(row, " (accepted)" * bool(row["overridden"])) for row in one["gates"]]
    others = (found.get("judged") or {}).get("verdicts", ())
    lines += [
        _gate(row) for row in others if row["gate"] not in asked and row["says"] not in _QUIET
    ]
    return lines


def _gate(row: Shown, accepted: str = "") -> str:
    says = row["says"].upper() if row["says"] in ("fail", "hold") else row["says"]
    told = f": {row['sentence']}" if row["sentence"] else ""
    return f"{_GATES.get(row['says'], '·')} {row['gate']} {says}{accepted}{told}"


def _named(rows: Sequence[Shown]) -> str:
    names = ", ".join(str(row["account"]) for row in rows[:NAMED])
    return f"{names} and {len(rows) - NAMED} more" if len(rows) > NAMED else names


def bar(has: int, wants: int) -> str:
    """Draw a share; what is more than wanted is all of it, and a little of it is seen too."""
    full = min(BAR, max(BAR * has // wants, int(has > 0))) if wants > 0 else BAR
    return "█" * full + "░" * (BAR - full)


def _long(ns: int) -> str:
    minutes = ns // MINUTE_NS
    return f"{minutes // 60} h {minutes % 60:02} min"

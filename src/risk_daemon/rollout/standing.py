"""How a rollout stands, as people and programs are shown it: what is, and what is missing. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec

from risk_daemon.rollout import exposure, guards
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.plan import Phase
from risk_daemon.rollout.row import Row

BEFORE: Final = "to come"
NOW: Final = "now"
OVER: Final = "over"


def show(row: Row, at: int) -> dict[str, Any]:
    """Return a rollout at an instant (UTC ns) as plain data."""
    plan = row.plan
    return {
        "rollout": plan.rollout,
        "kind": plan.kind,
        "release": plan.release,
        "commit": plan.commit,
        "fallback": plan.fallback,
        "fallback_commit": plan.fallback_commit,
        "stage": row.stage,
        "part": guards.part(row, at),
        "why": row.why,
        "plan": msgspec.to_builtins(plan),
        "said": list(plan.said),
        "phases": [phase(row, one, at) for one in plan.phases],
        "gates": [
            {"gate": name, "says": one.says, "sentence": one.sentence}
            for name, one in sorted(row.gates.items())
        ],
        "missing": list(missing(row, at)),
        "holds": [msgspec.to_builtins(one) for one in row.holds],
        "overrides": [msgspec.to_builtins(one) for one in row.overrides],
        "approvals": [list(one) for one in row.approvals],
        "accounts": [account(row, number) for number in row.order],
        "on": dict(Counter(str(one.has) for one in row.accounts.values())),
        "unanswered": len(row.commands),
        "warm": [str(one) for one in row.warm],
    }


def missing(row: Row, at: int) -> tuple[str, ...]:
    """Say what is missing before the next step, whatever it is."""
    if row.stage in (rows.DRAFT, rows.GATED):
        return guards.start_missing(row, at)
    return guards.missing(row, at) if rows.phase_of(row) is not None else ()


def phase(row: Row, one: Phase, at: int) -> dict[str, Any]:
    """Return one phase: where it is, and in the present one what was seen of what is wanted."""
    shown: dict[str, Any] = {
        "phase": one.name,
        "percent": one.percent,
        "accounts": one.upto,
        "state": _state(row, one),
    }
    if row.stage != one.name:
        return shown
    seen = row.exposure
    opinions = [row.opinions.get(gate) for gate in one.gates]
    return shown | {
        "dwell": {
            "wall_s": [seen.lived_ns // 1_000_000_000, one.dwell.wall_ns // 1_000_000_000],
            "wall_minutes": [n // row.plan.minute_ns for n in (seen.lived_ns, one.dwell.wall_ns)],
            "open_minutes": [seen.open_ns // row.plan.minute_ns, one.dwell.open_minutes],
            "events": [seen.events, one.dwell.events],
        },
        "unseen": list(exposure.unseen(seen, one.situations)),
        "gates": [
            {
                "gate": gate,
                "says": said.says if said else "nothing yet",
                "sentence": said.sentence if said else "",
                "overridden": rows.is_overridden(row, gate, at),
            }
            for gate, said in zip(one.gates, opinions, strict=True)
        ],
    }


def _state(row: Row, one: Phase) -> str:
    names = [phase.name for phase in row.plan.phases]
    if row.stage == one.name:
        return NOW
    if row.stage == rows.DONE:
        return OVER
    if row.stage in names:
        return OVER if names.index(one.name) < names.index(row.stage) else BEFORE
    return BEFORE


def account(row: Row, number: int) -> dict[str, Any]:
    """Return one account: what enforces it, and what it is doing in the rollout."""
    one = row.accounts[number]
    return {
        "account": number,
        "has": str(one.has),
        "release": one.has.release,
        "epoch": one.epoch,
        "at": one.at,
        "smoke": one.smoke,
        "reconcile": one.reconcile,
        "why": one.why,
    }

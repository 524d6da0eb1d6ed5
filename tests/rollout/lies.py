"""The machine without one of its guards: it is lied to about what that guard would look at.

Production code has no switch. Before each step the row is made to look as the guard wants it, and
after it what was a lie is taken back. A guard whose absence no witness notices is not one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from risk_daemon.rollout import machine
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.exposure import SITUATIONS
from tests.rollout.world import OLD, Step

type Lie = Callable[[rows.Row], dict[str, Any]]

replace = msgspec.structs.replace


def _looked_at(row: rows.Row) -> dict[str, Any]:
    return {
        "accounts": {
            number: replace(one, smoke=rows.PASS, reconcile=rows.PASS)
            for number, one in row.accounts.items()
        }
    }


def _all_active(row: rows.Row) -> dict[str, Any]:
    if rows.phase_of(row) is None:
        return {}
    members = rows.members(row)
    return {
        "accounts": {
            number: replace(one, at=rows.ACTIVE, smoke=rows.PASS, reconcile=rows.PASS)
            if number in members and one.at == rows.READY
            else one
            for number, one in row.accounts.items()
        }
    }


def _judged(row: rows.Row) -> dict[str, Any]:
    opinion = rows.Opinion(says=rows.PASS, measured=row.clock.watched)
    phase = rows.phase_of(row)
    return {"opinions": dict.fromkeys(phase.gates, opinion) if phase else row.opinions}


def _approved(row: rows.Row) -> dict[str, Any]:
    return {"glass": ("start", *(phase.name for phase in row.plan.phases))}


def _uncapped(row: rows.Row) -> dict[str, Any]:
    caps = (1_000_000,) * len(row.plan.phases)
    return {"plan": replace(row.plan, risk_cap_ppm=caps)}


def _everybody(row: rows.Row) -> dict[str, Any]:
    n = len(row.plan.order)
    return {
        "plan": replace(
            row.plan,
            phases=tuple(replace(phase, upto=n, percent=100) for phase in row.plan.phases),
        )
    }


def _seen_enough(row: rows.Row) -> dict[str, Any]:
    enough = {"lived_ns": 1 << 50, "open_ns": 1 << 50, "events": 1 << 50}
    return {"exposure": replace(row.exposure, **enough)}


LIES: dict[str, Lie] = {
    "hold": lambda _: {"holds": ()},
    "accounts": _all_active,
    "smoke and reconcile": _looked_at,
    "standby": lambda row: {"warm": tuple({*row.warm, OLD})},
    "standby of a switch": lambda row: {"warm": tuple({*row.warm, OLD})},
    "dwell": _seen_enough,
    "situations": lambda row: {"exposure": replace(row.exposure, seen=SITUATIONS)},
    "gates": _judged,
    "freeze": lambda _: {"freezes": ()},
    "freeze of an account": lambda _: {"freezes": ()},
    "budget": lambda _: {"spent": ""},
    "approvals": _approved,
    "risk": _uncapped,
    "nested": _everybody,
    "gate before the start": lambda row: {
        "gates": dict.fromkeys(row.plan.gates, rows.Opinion(says=rows.PASS))
    },
}


def without(name: str) -> Step:
    """Return the machine's step, lied to so that one guard sees nothing wrong."""
    lie = LIES[name]

    def step(state: machine.State, given: machine.Input) -> tuple[machine.State, machine.Outputs]:
        if isinstance(given, said.Persisted | said.Recovered):
            return machine.step(state, given)
        lies = lie(state.row)
        truth = {field: getattr(state.row, field) for field in lies}
        stored = state.stored and replace(state.stored, **lies)
        lied = replace(state, row=replace(state.row, **lies), stored=stored)
        after, outputs = machine.step(lied, given)
        back = {
            field: _undone(getattr(after.row, field), told, truth[field])
            for field, told in lies.items()
        }
        row = replace(after.row, **back)
        honest = tuple(
            replace(one, body=rows.encode(row)) if isinstance(one, said.Persist) else one
            for one in outputs
        )
        writing = after.writing
        if writing is not None and writing != state.writing:
            writing = replace(writing, row=row)
        return replace(after, row=row, stored=state.stored, writing=writing), honest

    return step


def _undone(now: Any, told: Any, truth: Any) -> Any:
    """Take a lie back, but not what the machine has made of it since."""
    if now == told:
        return truth
    if isinstance(now, dict):
        return {
            key: truth[key] if key in truth and key in told and value == told[key] else value
            for key, value in now.items()
        }
    return now


def before_it_is_written(
    state: machine.State, given: machine.Input
) -> tuple[machine.State, machine.Outputs]:
    """The machine that takes every write for stored as soon as it has asked for it."""
    state, outputs = machine.step(state, given)
    for output in outputs:
        if isinstance(output, said.Persist):
            state, more = machine.step(state, said.Persisted(at=given.at, revision=output.revision))
            outputs = (*outputs, *more)
    return state, outputs

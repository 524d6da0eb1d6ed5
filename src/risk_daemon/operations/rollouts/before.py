"""Everything that is asked before anything moves: the gates of a release, and the checklist.

A rollout can't start while one of them is red, unless a person accepts that one by name.
"""

from __future__ import annotations

import msgspec

from risk_daemon.clock import Clock, Timekeeper
from risk_daemon.depot import staging
from risk_daemon.errors import DaemonError
from risk_daemon.operations import home
from risk_daemon.operations.checklists import checking
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DEGRADED, DONE, Outcome
from risk_daemon.operations.releases import gating
from risk_daemon.operations.releases.under_way import now_of
from risk_daemon.rollout.gates import Said
from risk_daemon.rollout.reading import CHECKLIST
from risk_daemon.rollout.row import FAIL, PASS, UNMEASURABLE


def show(at: Home, version: str, clock: Timekeeper) -> Outcome:
    """Say what each gate says of a staged release, and what would measure those that are red."""
    home.read(at)
    staging.read(at.releases / version)
    found = judge(at, version, now_of(at, clock), clock)
    red = [one for one in found if one.says != PASS]
    lines = tuple(f"{one.gate}: {one.says.upper()}: {one.told}" for one in found)
    data = {"version": version, "gates": [msgspec.to_builtins(one) for one in found]}
    if not red:
        return Outcome(lines, DONE, data, next_command=f"risk-daemon-admin deploy plan {version}")
    names = ", ".join(one.gate for one in red)
    told = f"{version}: {len(red)} of {len(found)} gates are red: {names}"
    return Outcome(
        lines,
        DEGRADED,
        data | {"red": [one.gate for one in red]},
        below=(told,),
        next_command=f"risk-daemon-admin deploy gates {version}",
    )


def judge(at: Home, version: str, now: int, clock: Timekeeper | None = None) -> tuple[Said, ...]:
    """Return what each gate says of a release in this home at its own time (UTC ns)."""
    return (*gating.judge(at, version, now), _checklist(at, version, clock or Clock()))


def _checklist(at: Home, version: str, clock: Timekeeper) -> Said:
    """Say which items of the list are open that are no gate of their own."""
    how = f"`risk-daemon-admin checklist pre --version {version}`"
    try:
        rows = checking.before(at, version, clock)
    except DaemonError as error:
        told = f"the checklist could not be looked at: {error}"
        return Said(gate=CHECKLIST, says=UNMEASURABLE, sentence=told, measure=how)
    open_ones = [row.item for row in rows if not row.ticked]
    if open_ones:
        told = f"{len(open_ones)} of {len(rows)} items are open: {', '.join(open_ones)}"
        return Said(gate=CHECKLIST, says=FAIL, sentence=told, measure=how)
    told = f"all {len(rows)} items are ticked or signed"
    return Said(gate=CHECKLIST, says=PASS, sentence=told)

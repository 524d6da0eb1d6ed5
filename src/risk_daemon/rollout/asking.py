"""What people ask of a rollout, and what they are told is missing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from risk_daemon.rollout import guards, telling
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.reading import EMERGENCY
from risk_daemon.rollout.returning import go_back
from risk_daemon.rollout.row import Override
from risk_daemon.rollout.turn import PERSON, Turn, end_holds, enter, hold, verify

_replace = msgspec.structs.replace


def answer(turn: Turn, asked: said.Asked) -> None:
    """Do what a person asked for, or say what is missing."""
    stage = turn.row.stage
    if isinstance(asked, said.Abort) and stage in (rows.ABORTED, rows.ROLLED_BACK):
        refused: tuple[str, ...] = ()  # everybody is back: asking twice is asking once
    elif rows.is_over(turn.row):
        refused = (f"the rollout {turn.row.plan.rollout} is {stage}",)
    else:
        refused = _ask(turn, asked)
    turn.answers.append(said.Answer(asked.ask, refused))


def _ask(turn: Turn, asked: said.Asked) -> tuple[str, ...]:
    if isinstance(asked, said.Abort):
        go_back(turn, rows.ABORTED, asked.actor, asked.reason)
        return ()
    if not rows.is_live(turn.row):
        return (f"the rollout is {turn.row.stage}: only a way back is left",)
    if isinstance(asked, said.Stop):
        hold(turn, PERSON, asked.actor, asked.reason)
        return ()
    return _ASKED[type(asked)](turn, asked)


def _start(turn: Turn, asked: said.Start) -> tuple[str, ...]:
    row = turn.row
    if row.stage not in (rows.DRAFT, rows.GATED):
        return ()  # it has begun: asking twice is asking once
    missing = guards.start_missing(row, turn.at)
    if missing:
        return missing
    if row.stage == rows.DRAFT:
        turn.go(rows.GATED)
    turn.go(rows.STAGED)
    first = next(phase.name for phase in row.plan.phases if phase.upto)
    at = rows.SHADOWING if row.plan.candidate in row.warm else rows.WARMING
    waiting = {number: _replace(holding, at=at) for number, holding in row.accounts.items()}
    turn.put(asked=first, asked_by=asked.actor, accounts=waiting)
    turn.order(rows.WARM, 0, row.plan.candidate)
    turn.order(rows.WARM, 0, row.plan.ways_back[0])
    turn.note("started", asked.actor, asked.reason)
    plan = row.plan
    if plan.kind == EMERGENCY:
        turn.note("it is an emergency", plan.by, plan.reason)
        turn.tell(telling.URGENTLY, f"{plan.by}: {plan.reason}")
    else:
        turn.tell(telling.WINDOW)
    return ()


def _promote(turn: Turn, asked: said.Promote | said.Complete) -> tuple[str, ...]:
    row = turn.row
    to = asked.phase if isinstance(asked, said.Promote) else rows.DONE
    if row.stage == to:
        return ()  # it is there: asking twice is asking once
    if rows.phase_of(row) is None:
        return (f"the rollout is {row.stage}: start comes first",)
    after = rows.next_stage(row)
    if after != to:
        return (f"after {row.stage} comes {after}, not {to}",)
    missing = guards.missing(row, turn.at)
    if not missing:
        enter(turn, to, asked.actor, asked.reason)
    return missing


def _resume(turn: Turn, asked: said.Resume) -> tuple[str, ...]:
    row = turn.row
    if not row.holds:
        return ()
    again = {
        number: _replace(holding, at=rows.READY, failures=0, why="")
        for number, holding in row.accounts.items()
        if holding.at == rows.SWITCH_FAILED
    }
    turn.put(holds=(), resumed=(*row.resumed, *(hold.key for hold in row.holds)))
    turn.accounts(again)
    for number in rows.unverified(turn.row):
        verify(turn, number)
    turn.note("resumed", asked.actor, asked.reason)
    return ()


def _approve(turn: Turn, asked: said.Approve) -> tuple[str, ...]:
    known = ("start", *(phase.name for phase in turn.row.plan.phases))
    if asked.phase not in known:
        return (f"there is no phase {asked.phase!r} to approve: {', '.join(known)}",)
    if (asked.phase, asked.actor) not in turn.row.approvals:
        turn.put(approvals=(*turn.row.approvals, (asked.phase, asked.actor)))
        turn.note(f"approved {asked.phase}", asked.actor, asked.reason)
    if asked.breaks_glass and asked.phase not in turn.row.glass:
        turn.put(glass=(*turn.row.glass, asked.phase))
        turn.note(f"broke the glass for {asked.phase}", asked.actor, asked.reason)
    return ()


def _accept(turn: Turn, asked: said.Accept) -> tuple[str, ...]:
    row = turn.row
    of_phases = (gate for phase in row.plan.phases for gate in phase.gates)
    known = sorted({*row.plan.gates, *of_phases, *rows.WIDE} - set(guards.NEVER))
    if asked.gate not in known:
        return (f"{asked.gate!r} can't be overridden; what can: {', '.join(known)}",)
    if asked.until <= turn.at:
        return (f"the override of {asked.gate} would end before it begins",)
    override = Override(
        gate=asked.gate,
        person=asked.actor,
        reason=asked.reason,
        until=asked.until,
        breaks_glass=asked.breaks_glass,
    )
    turn.put(overrides=(*row.overrides, override))
    end_holds(turn, asked.gate)
    turn.note(f"overrode {asked.gate}", asked.actor, asked.reason)
    return ()


def _supersede(turn: Turn, asked: said.Supersede) -> tuple[str, ...]:
    row = turn.row
    turn.put(by=asked.by)
    if asked.goes_back:
        go_back(turn, rows.SUPERSEDED, asked.actor, f"superseded by {asked.by}")
        return ()
    turn.go(rows.SUPERSEDED)
    # A switch that is under way must find nothing to compare with: neither latch nor epoch.
    turn.put(bumps=row.bumps + 1, commands={}, holds=(), asked="")
    turn.note("superseded", asked.actor, asked.reason)
    turn.tell(telling.SUPERSEDED, asked.by)
    return ()


_ASKED: Final[dict[type[said.Asked], Callable[[Turn, Any], tuple[str, ...]]]] = {
    said.Start: _start,
    said.Promote: _promote,
    said.Complete: _promote,
    said.Resume: _resume,
    said.Approve: _approve,
    said.Accept: _accept,
    said.Supersede: _supersede,
}

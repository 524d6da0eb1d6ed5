"""What follows from one input, for one row: decide(row, input) -> Outcome. Pure.

What nothing forbids is never *done* by time alone: a person, or a plan that says so, enters a
phase.

Rules for editors: whatever ends a permission changes the latch (`turn`) in the same row.
"""

from __future__ import annotations

import msgspec

from risk_daemon.rollout import freeze, guards, telling
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.asking import answer
from risk_daemon.rollout.returning import go_back, settle, trip
from risk_daemon.rollout.row import Row
from risk_daemon.rollout.seeing import see, take
from risk_daemon.rollout.turn import CONTROLLER, Outcome, Turn, all_at, enter, hold, retire

_replace = msgspec.structs.replace


def decide(row: Row, given: said.Input) -> Outcome:
    """Take one input; return the row after it, and what is to be written and said with it."""
    turn = Turn(row, given)
    if isinstance(given, said.Asked):
        answer(turn, given)
    else:
        take(turn, given)
    _go_on(turn)
    if is_changed(row, turn.row) and not turn.entries:
        turn.note(f"heard {type(given).__name__}", CONTROLLER, "seen")
    return turn.outcome()


def raised(row: Row, given: said.Persisted, bumps: int) -> Outcome:
    """Take in what every account has since its epoch was raised for the `bumps`th time."""
    turn = Turn(row, given)
    see(turn, given.bumped, bumps)
    _go_on(turn)
    if is_changed(row, turn.row) and not turn.entries:
        turn.note("epochs raised", CONTROLLER, row.why)
    return turn.outcome()


def recovered(row: Row, memory: Row, given: said.Recovered) -> Outcome:
    """Go on with a stored row after a crash, or after somebody else has written it.

    Time without a controller counts for nothing, and what workers there were is not known any more
    until it is told again. A way back that was begun in `memory` and did not get stored is begun
    again: whoever wrote meanwhile can't have meant to forbid it.
    """
    turn = Turn(row, given)
    turn.put(clock=_replace(row.clock, steady=None), warm=())
    all_at(turn, (rows.SHADOWING, rows.READY), rows.WARMING)
    see(turn, given.held, row.bumps)
    if memory.stage in rows.GOING_BACK and row.stage not in (*rows.GOING_BACK, *rows.ENDED):
        go_back(turn, memory.ending, CONTROLLER, memory.why)
    _go_on(turn)
    if is_changed(row, turn.row) and not turn.entries:
        turn.note("recovered", CONTROLLER, "the stored row was read anew")
    return turn.outcome()


def is_changed(before: Row, after: Row) -> bool:
    """Tell whether more differs than the time that was counted, and how a gate put it.

    Those are stored with the next change; losing them only makes a phase longer.
    """
    counted = _replace(
        after, exposure=before.exposure, clock=before.clock, opinions=before.opinions
    )
    return counted != before or _says(before) != _says(after)


def _says(row: Row) -> dict[str, str]:
    return {gate: opinion.says for gate, opinion in row.opinions.items()}


def _go_on(turn: Turn) -> None:
    """Do what nothing stands before any more."""
    row = turn.row
    if row.stage in rows.GOING_BACK:
        settle(turn)
    elif row.stage in (rows.DRAFT, rows.GATED):
        stage = rows.DRAFT if guards.gates_missing(row, turn.at) else rows.GATED
        if stage != row.stage:
            turn.go(stage)
    elif row.stage == rows.STAGED:
        both = {row.plan.candidate, row.plan.ways_back[0]}
        if both <= set(row.warm) and not row.holds:
            enter(turn, row.plan.phases[0].name, row.asked_by, "both releases are warm")
    elif row.stage == rows.DONE:
        _close_window(turn)
    elif rows.phase_of(row) is not None:
        _watch(turn)
        _advance(turn)
        _fill(turn)


def _watch(turn: Turn) -> None:
    """Hold, or go back, for what has lasted too long. Time alone never does more than that."""
    row, watched = turn.row, turn.row.clock.watched
    due = [one for one in row.holds if one.abort_at and watched >= one.abort_at]
    if due:
        trip(turn, due[0].actor, f"nobody answered in time: {due[0].reason}")
        return
    phase = rows.phase_of(row)
    assert phase is not None
    for gate in phase.gates:
        said_last = row.opinions.get(gate)
        blind = watched - said_last.measured if said_last else row.exposure.lived_ns
        if blind > row.plan.blind_ns and not rows.is_overridden(row, gate, turn.at):
            since = said_last.measured if said_last else 0
            why = f"{gate} could not be measured for {blind // row.plan.minute_ns} min"
            key = f"gate/{gate}/blind since {since}"
            hold(turn, key, CONTROLLER, why, event=telling.BLIND)
    if row.exposure.lived_ns > phase.dwell.longest_ns:
        open_gates = guards.inconclusive(turn.row, phase, turn.at)
        if open_gates:
            why = f"still inconclusive after the longest dwell: {', '.join(open_gates)}"
            hold(turn, f"longest/{row.stage}", CONTROLLER, why)


def _advance(turn: Turn) -> None:
    """Enter the next phase where a person asked for it before, or the plan does so by itself."""
    row = turn.row
    if rows.phase_of(row) is None or rows.inactive(row):
        return
    after = rows.next_stage(row)
    is_wanted = row.asked == after or (row.plan.auto_advance and after != rows.DONE)
    if is_wanted and not guards.missing(row, turn.at):
        by = row.asked_by if row.asked == after else CONTROLLER
        enter(turn, after, by, "nothing is missing")


def _fill(turn: Turn) -> None:
    """Have the next accounts of the phase switched: each asks for itself."""
    row = turn.row
    both = {row.plan.candidate, row.plan.ways_back[0]}
    if rows.phase_of(row) is None or row.holds or not both <= set(row.warm):
        return
    under_way = sum(one.does == rows.SWITCH for one in row.commands.values())
    left = rows.room(row)
    exempt = rows.is_overridden(row, "freeze", turn.at)
    for number in rows.inactive(row):
        holding = row.accounts[number]
        if under_way >= row.plan.together:
            return
        if holding.at != rows.READY or not left.takes(holding.risk):
            continue
        if not exempt and freeze.forbids(row.freezes, freeze.SWITCH, turn.at, number):
            continue
        turn.account(number, at=rows.SWITCHING)
        turn.order(rows.SWITCH, number, row.plan.candidate)
        left = _replace(left, held=left.held + holding.risk)
        under_way += 1


def _close_window(turn: Turn) -> None:
    """Retire the way back when its window is over and nobody is on it."""
    row = turn.row
    back = row.plan.ways_back[0]
    is_open = row.clock.watched - row.done_at < row.plan.window_ns
    if not is_open:
        retire(turn, back)

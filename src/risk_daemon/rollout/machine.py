"""The controller of a rollout: step(state, input) -> (state, outputs). Pure.

Nothing is done before it is written. An input changes the row; the row goes to the journal as one
`Persist`; what the row wants done, and the answer to whoever asked, come out when that is
`Persisted`. One write is on its way at a time, and what is heard meanwhile goes with the next one.
What is unanswered is part of the row: whoever reads it after a crash gives it all again. That
harms nothing, because a switch compares epoch and latch, and the rest is keyed by its id.

What `risk_daemon.rollout.deciding` decides is written, told and ordered here, and nothing else.
"""

from __future__ import annotations

import msgspec

from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.deciding import decide, is_changed, raised, recovered
from risk_daemon.rollout.row import Command, Row
from risk_daemon.rollout.turn import Outcome

type Input = said.Input | said.TimedOut | said.Persisted | said.Recovered
type Outputs = tuple[said.Output, ...]

_replace = msgspec.structs.replace


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """A row on its way to the journal, and whom to answer when it is there."""

    row: Row
    answers: tuple[said.Answer, ...]
    persist: said.Persist


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The controller's memory; only `row` outlives it.

    `row` is what is true now, `stored` what the journal has, at `revision` (0: nothing yet).
    `given` are the ids of commands that this controller has given. The rest waits for a write.
    """

    row: Row
    stored: Row | None = None
    revision: int = 0
    writing: Write | None = None
    given: frozenset[str] = frozenset()
    entries: tuple[said.Entry, ...] = ()
    tells: tuple[said.Tell, ...] = ()
    answers: tuple[said.Answer, ...] = ()


def begin(row: Row, revision: int = 0) -> tuple[State, Outputs]:
    """Take up a rollout that was only planned: its row is written first of all.

    `revision` is that of the row of the rollout before, which it replaces.
    """
    return _save(State(row=row, revision=revision))


def step(state: State, given: Input) -> tuple[State, Outputs]:
    """Take one input; return the new state and what is to be done."""
    match given:
        case said.Persisted():
            return _persisted(state, given)
        case said.Recovered():
            return _recovered(state, given)
        case said.TimedOut(id=name):
            state = _replace(state, given=state.given - {name})
            return _give(state)
        case _:
            return _save(_heard(state, given))


def _heard(state: State, given: said.Input) -> State:
    return _noted(state, decide(state.row, given))


def _noted(state: State, outcome: Outcome) -> State:
    return _replace(
        state,
        row=outcome.row,
        entries=(*state.entries, *outcome.entries),
        tells=(*state.tells, *outcome.tells),
        answers=(*state.answers, *outcome.answers),
    )


def _save(state: State) -> tuple[State, Outputs]:
    """Write the row if it differs from what is stored and nothing is being written.

    Counted time alone is worth a write a minute. Who is refused, or asked for what is so already,
    is answered at once.
    """
    row, stored = state.row, state.stored
    if state.writing is not None:
        return state, ()
    if stored is not None and not is_changed(stored, row) and not state.entries:
        counted = row.clock.watched - stored.clock.watched
        if counted < row.plan.minute_ns or state.answers:
            return _replace(state, answers=()), state.answers
    is_raised = row.bumps > (stored.bumps if stored else 0)
    persist = said.Persist(
        name=row.plan.rollout,
        expected=state.revision,
        revision=state.revision + 1,
        latch=rows.latch(row),
        body=rows.encode(row),
        bump=tuple(sorted(row.accounts)) if is_raised else (),
        entries=state.entries,
        tells=state.tells,
    )
    writing = Write(row=row, answers=state.answers, persist=persist)
    return _replace(state, writing=writing, entries=(), tells=(), answers=()), (persist,)


def _persisted(state: State, given: said.Persisted) -> tuple[State, Outputs]:
    """Take the written row as stored; then do what it wants done, and write what came meanwhile."""
    writing = state.writing
    if writing is None or given.revision != state.revision + 1:
        return state, ()  # told before
    state = _replace(state, stored=writing.row, revision=given.revision, writing=None)
    if given.bumped:
        state = _noted(state, raised(state.row, given, writing.row.bumps))
    state, orders = _give(state)
    state, written = _save(state)
    return state, (*writing.answers, *orders, *written)


def restart(given: said.Recovered) -> tuple[State, Outputs]:
    """Take up a rollout where its row was written; msgspec.ValidationError for what is no row."""
    return _recovered(State(row=rows.decode(given.body)), given)


def _recovered(state: State, given: said.Recovered) -> tuple[State, Outputs]:
    """Go by what is stored: mine and arrived, not arrived, or somebody else's."""
    writing = state.writing
    if writing is not None and given.revision == state.revision:
        return state, (writing.persist,)
    if writing is not None and given.body == writing.persist.body:
        arrived = said.Persisted(at=given.at, revision=given.revision, bumped=given.held)
        return _persisted(_replace(state, revision=given.revision - 1), arrived)
    asked = (*(writing.answers if writing else ()), *state.answers)
    why = ("what was asked for is not stored, or not for sure: look, then ask again",)
    undone = tuple(said.Answer(one.ask, one.refused or why) for one in asked)
    row = rows.decode(given.body)
    taken = State(row=row, stored=row, revision=given.revision)
    taken = _noted(taken, recovered(row, state.row, given))
    taken, orders = _give(taken)
    taken, written = _save(taken)
    return taken, (*undone, *orders, *written)


def _give(state: State) -> tuple[State, Outputs]:
    """Give what is wanted, stored, and was not given by this controller yet."""
    stored = state.stored
    if stored is None:
        return state, ()
    wanted = {name: one for name, one in state.row.commands.items() if name in stored.commands}
    latch = rows.latch(stored)
    orders = tuple(
        _order(state.row, name, one, latch)
        for name, one in wanted.items()
        if name not in state.given
    )
    return _replace(state, given=frozenset(wanted)), orders


def _order(row: Row, name: str, command: Command, latch: str) -> said.Order:
    match command.does:
        case rows.SWITCH | rows.BACK:
            return said.Switch(
                id=name,
                account=command.account,
                version=command.version,
                epoch=command.epoch or row.accounts[command.account].epoch,
                latch=latch,
            )
        case rows.SMOKE:
            return said.Smoke(id=name, account=command.account, version=command.version)
        case rows.RECONCILE:
            return said.Reconcile(id=name, account=command.account)
        case rows.WARM:
            return said.Warm(id=name, version=command.version)
        case _:
            return said.Retire(id=name, version=command.version)

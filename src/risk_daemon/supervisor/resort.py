"""What is left when starting again does not help: step(state, input) -> (state, outputs). Pure.

Three failed starts within ten minutes, of the workers of a release while no worker of any release
is ready: the last release that held accounts well is warmed, and its workers take over by the
ordinary fail-over. Where that fails too, or there is none, or a journal or a link does not stay up:
the minimal protector, which needs neither release nor journal. Where that does not stay up
either, people are called.

Rules for editors: each resort is tried once per spell of trouble, and the spell ends only when
somebody enforces again; a resort never stops anything that works.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

SECOND: Final = 1_000_000_000
STRIKES: Final = 3
WITHIN: Final = 600 * SECOND
PROTECTOR: Final = "protector"
#: The last good releases that are remembered.
GOOD_MAX: Final = 3


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried. `failures` are (what failed, steady ns); `good` has the last one last."""

    good: tuple[str, ...] = ()
    failures: tuple[tuple[str, int], ...] = ()
    warmed: tuple[str, ...] = ()
    poisoned: tuple[int, ...] = ()
    is_protecting: bool = False
    is_called: bool = False


class Held(msgspec.Struct, frozen=True, gc=False):
    """A worker of this release has held accounts for a while without trouble."""

    release: str


class Failed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A process ended that had not stayed up: its name, and a worker's release.

    `ready`: some worker of any release is. `staged`: releases that could be started.
    """

    name: str
    now: int
    ready: bool
    release: str = ""
    staged: tuple[str, ...] = ()


class Poisoned(msgspec.Struct, frozen=True, gc=False):
    """No worker that is ready can fold these accounts; none any more where it is empty."""

    accounts: tuple[int, ...]


class Guarded(msgspec.Struct, frozen=True, gc=False):
    """Every process that guards is there, and every account is enforced."""


Input = Held | Failed | Poisoned | Guarded


class Warm(msgspec.Struct, frozen=True, gc=False):
    """Start this release's workers: they take over what nobody holds."""

    release: str
    why: str


class Protect(msgspec.Struct, frozen=True, gc=False):
    """Have the minimal protector guard these accounts; all, where none is named."""

    why: str
    accounts: tuple[int, ...] = ()


class Relieve(msgspec.Struct, frozen=True, gc=False):
    """Stop the minimal protector: somebody enforces."""


class CallPeople(msgspec.Struct, frozen=True, gc=False):
    """Nothing is left that a machine could do."""

    why: str


Output = Warm | Protect | Relieve | CallPeople
type Outputs = tuple[Output, ...]

_replace = msgspec.structs.replace


def step(state: State, given: Input) -> tuple[State, Outputs]:
    """Take one input; return the new state and what is to be done."""
    match given:
        case Held(release=release):
            others = tuple(one for one in state.good if one != release)
            return _replace(state, good=(*others, release)[-GOOD_MAX:]), ()
        case Failed():
            return _failed(state, given)
        case Poisoned(accounts=accounts):
            return _poisoned(state, accounts)
        case Guarded():
            outputs = (Relieve(),) if state.is_protecting or state.poisoned else ()
            return State(good=state.good), outputs
        case _ as never:
            assert_never(never)


def _failed(state: State, given: Failed) -> tuple[State, Outputs]:
    what = given.release or given.name
    recent = (one for one in state.failures if given.now - one[1] < WITHIN)
    state = _replace(state, failures=(*recent, (what, given.now)))
    count = _count(state, what)
    if count < STRIKES:
        return state, ()
    why = f"{what} did not stay up {count} times within ten minutes"
    if given.name == PROTECTOR:
        return _call(state, why)
    if not given.release:
        return _protect(state, why)
    if given.ready:
        return state, ()
    return _other_release(state, given, why)


def _poisoned(state: State, accounts: tuple[int, ...]) -> tuple[State, Outputs]:
    """Guard what no worker can fold; the others are enforced as ever."""
    if accounts == state.poisoned:
        return state, ()
    state = _replace(state, poisoned=accounts)
    if state.is_protecting:
        return state, ()  # all are
    if not accounts:
        return state, (Relieve(),)
    named = ", ".join(map(str, accounts))
    return state, (Protect(f"no worker can fold a record of account {named}", accounts),)


def _count(state: State, what: str) -> int:
    return sum(name == what for name, _ in state.failures)


def _other_release(state: State, given: Failed, why: str) -> tuple[State, Outputs]:
    """Warm the last good release that has not been tried and does not fail itself."""
    tried = {given.release, *state.warmed}
    if any(_count(state, release) < STRIKES for release in state.warmed):
        return state, ()  # one is on its way
    for release in reversed(state.good):
        if release in given.staged and release not in tried:
            return _replace(state, warmed=(*state.warmed, release)), (Warm(release, why),)
    return _protect(state, why)


def _protect(state: State, why: str) -> tuple[State, Outputs]:
    if state.is_protecting:
        return state, ()
    return _replace(state, is_protecting=True), (Protect(why),)


def _call(state: State, why: str) -> tuple[State, Outputs]:
    if state.is_called:
        return state, ()
    return _replace(state, is_called=True), (CallPeople(why),)

"""One child's restarts: step(state, input) -> (state, outputs). Pure.

Words as supervisors use them: starting, running, backoff, stopping, exited.
Restart intensity: the first restart is at once (or when whoever took over has had a moment for
it), the second after a second, then every five; a child that stayed up for a while begins anew.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, assert_never

import msgspec

SECOND: Final = 1_000_000_000
BACK_OFF_S: Final = (0, 1, 5)
STAYED_UP: Final = 30 * SECOND
#: So many restarts without staying up in between, and people are told.
STRIKES: Final = 3


class Phase(StrEnum):
    """Where a child is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """State of one child. Times are steady ns."""

    name: str
    phase: Phase = Phase.STOPPED
    wanted: bool = False
    since: int = 0
    restarts: int = 0
    retry_at: int = 0


class Want(msgspec.Struct, frozen=True, gc=False):
    """The child is to run."""


class Unwant(msgspec.Struct, frozen=True, gc=False):
    """The child is to stop, and to stay so."""


class Started(msgspec.Struct, frozen=True, gc=False):
    """The process exists."""


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The process is gone and reaped. `spare_ns`: who took over has the machine for so long."""

    spare_ns: int = 0


class Passed(msgspec.Struct, frozen=True, gc=False):
    """Time passed."""


Input = Want | Unwant | Started | Ended | Passed


class Spawn(msgspec.Struct, frozen=True, gc=False):
    """Start the process."""


class Terminate(msgspec.Struct, frozen=True, gc=False):
    """Ask the process to end."""


class Tell(msgspec.Struct, frozen=True, gc=False):
    """Tell people that restarts do not help."""

    text: str


Output = Spawn | Terminate | Tell


def step(child: Child, given: Input, now: int) -> tuple[Child, tuple[Output, ...]]:
    """Take one input at an instant."""
    replace = msgspec.structs.replace
    match given:
        case Want():
            wanted = replace(child, wanted=True)
            if child.phase is not Phase.STOPPED:
                return wanted, ()
            return replace(wanted, phase=Phase.STARTING, since=now), (Spawn(),)
        case Unwant():
            unwanted = replace(child, wanted=False)
            if child.phase in (Phase.STARTING, Phase.RUNNING):
                return replace(unwanted, phase=Phase.STOPPING), (Terminate(),)
            if child.phase is Phase.BACKOFF:
                return replace(unwanted, phase=Phase.STOPPED), ()
            return unwanted, ()
        case Started():
            return replace(child, phase=Phase.RUNNING, since=now), ()
        case Ended(spare_ns=spare_ns):
            return _ended(child, now, spare_ns)
        case Passed():
            if child.phase is Phase.BACKOFF and now >= child.retry_at:
                return replace(child, phase=Phase.STARTING, since=now), (Spawn(),)
            return child, ()
        case _ as never:
            assert_never(never)


def is_failing(child: Child, now: int) -> bool:
    """Tell whether a child that ends now has been restarted before, and has not stayed up since."""
    return child.restarts > 0 and now - child.since < STAYED_UP


def _ended(child: Child, now: int, spare_ns: int) -> tuple[Child, tuple[Output, ...]]:
    replace = msgspec.structs.replace
    if not child.wanted:
        return replace(child, phase=Phase.STOPPED), ()
    stayed = child.phase is Phase.RUNNING and now - child.since >= STAYED_UP
    restarts = 0 if stayed else child.restarts
    wait = max(BACK_OFF_S[min(restarts, len(BACK_OFF_S) - 1)] * SECOND, spare_ns)
    told: tuple[Output, ...] = ()
    if restarts + 1 == STRIKES:
        told = (Tell(f"{child.name} ended {STRIKES} times without staying up"),)
    if wait == 0:
        again = replace(child, phase=Phase.STARTING, since=now, restarts=restarts + 1)
        return again, (*told, Spawn())
    waiting = replace(
        child, phase=Phase.BACKOFF, since=now, restarts=restarts + 1, retry_at=now + wait
    )
    return waiting, told

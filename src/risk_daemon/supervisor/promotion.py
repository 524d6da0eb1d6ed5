"""Who enforces which account: step(state, input) -> (state, outputs). Pure.

Fail-over is: kill and reap the old holder, raise the epoch, let the warm one
act. A holder that is alive and ready keeps its accounts; nobody is promoted
who has not caught up; one grant is under way at a time, and what the journal
answered, not what was asked, is what counts.

Rules for editors: an account may be without a holder, never with two. The
epoch makes the old holder harmless even if it could not be killed.
"""

from __future__ import annotations

from typing import assert_never

import msgspec


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Who holds an account, by the journal's last word."""

    account: int
    holder: str
    epoch: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor knows of workers and leases.

    `awaited` are workers found alive that have not been heard yet: what they hold is theirs.
    """

    accounts: tuple[int, ...]
    leases: tuple[Lease, ...] = ()
    ready: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    is_granting: bool = False
    leases_known: bool = False


# --- inputs ---


class WorkerFound(msgspec.Struct, frozen=True, gc=False):
    """A worker of an earlier supervisor lives; its first heartbeat is still to come."""

    name: str


class WorkerReady(msgspec.Struct, frozen=True, gc=False):
    """A worker has caught up with the stream and shows a heartbeat."""

    name: str


class WorkerGone(msgspec.Struct, frozen=True, gc=False):
    """A worker is dead and reaped: it cannot act any more."""

    name: str


class BeatMissed(msgspec.Struct, frozen=True, gc=False):
    """A worker has been silent for too many heartbeats; it may still be alive."""

    name: str


class LeasesSeen(msgspec.Struct, frozen=True, gc=False):
    """The journal's leases, asked for or just granted."""

    leases: tuple[Lease, ...]


class GrantFailed(msgspec.Struct, frozen=True, gc=False):
    """The journal refused, or is away: ask what is true before asking again."""


Input = WorkerFound | WorkerReady | WorkerGone | BeatMissed | LeasesSeen | GrantFailed


# --- outputs ---


class Kill(msgspec.Struct, frozen=True, gc=False):
    """Kill this worker and reap it; its end comes back as WorkerGone."""

    name: str


class Grant(msgspec.Struct, frozen=True, gc=False):
    """Give these accounts to a worker: (account, the epoch it must have now)."""

    holder: str
    accounts: tuple[tuple[int, int], ...]


class AskLeases(msgspec.Struct, frozen=True, gc=False):
    """Ask the journal who holds what."""


Output = Kill | Grant | AskLeases


def step(state: State, given: Input) -> tuple[State, tuple[Output, ...]]:
    """Take one input; return the new state and what is to be done."""
    replace = msgspec.structs.replace
    match given:
        case WorkerFound(name=name):
            return replace(state, awaited=tuple(sorted({*state.awaited, name}))), ()
        case WorkerReady(name=name):
            if name in state.ready:
                return state, ()
            ready = tuple(sorted({*state.ready, name}))
            return _next(replace(state, ready=ready, awaited=_without(state.awaited, name)))
        case WorkerGone(name=name):
            return _next(_forget(state, name))
        case BeatMissed(name=name):
            # Only its death makes the accounts free: kill first, then raise the epoch.
            return _forget(state, name), (Kill(name),)
        case LeasesSeen(leases=leases):
            return _next(replace(state, leases=leases, is_granting=False, leases_known=True))
        case GrantFailed():
            return replace(state, is_granting=False, leases_known=False), (AskLeases(),)
        case _ as never:
            assert_never(never)


def _forget(state: State, name: str) -> State:
    return msgspec.structs.replace(
        state, ready=_without(state.ready, name), awaited=_without(state.awaited, name)
    )


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(other for other in names if other != name)


def _next(state: State) -> tuple[State, tuple[Output, ...]]:
    """Give accounts whose holder is not ready to one that is; the least name, for stability."""
    if state.is_granting or not state.ready:
        return state, ()
    if not state.leases_known:
        return msgspec.structs.replace(state, is_granting=True), (AskLeases(),)
    held = {lease.account: lease for lease in state.leases}
    free = []
    for account in state.accounts:
        lease = held.get(account)
        if lease is None or lease.holder not in (*state.ready, *state.awaited):
            free.append((account, lease.epoch if lease else 0))
    if not free:
        return state, ()
    grant = Grant(_heir(state), tuple(free))
    return msgspec.structs.replace(state, is_granting=True), (grant,)


def _heir(state: State) -> str:
    """Choose who holds the most already, so that a home has one active worker where it can."""
    held = [lease.holder for lease in state.leases]
    return max(state.ready, key=lambda name: (held.count(name), [-ord(c) for c in name]))


def disagreements(
    state: State, name: str, enforcing: list[tuple[int, int]]
) -> list[tuple[int, str]]:
    """Compare what a worker says it enforces with the leases; each difference in words."""
    held = {lease.account: lease for lease in state.leases}
    found = []
    for account, epoch in enforcing:
        lease = held.get(account)
        if lease is None or (lease.holder != name and epoch >= lease.epoch):
            holder = lease.holder if lease else "nobody"
            found.append((account, f"{name} enforces epoch {epoch}, the lease is {holder}'s"))
    return found

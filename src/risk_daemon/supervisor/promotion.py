"""Who enforces which account: step(state, input) -> (state, outputs). Pure.

Fail-over is: kill and reap the old holder, raise the epoch, let the warm one
act. A holder that is alive and ready keeps its accounts; nobody is promoted
who has not caught up; one grant is under way at a time, and what the journal
answered, not what was asked, is what counts. An account stays with its release
as long as a worker of that release is ready; else any warm one is better than none.

A move gives accounts to another release, and back: the holder falls silent at
one record (the drain), both show the account as it is there, and only an heir
that shows the same gets the lease. A holder that does not fall silent in time is
killed first, unless it alone guards others that are to stay with its release.
`supervisor.moving` says how an account's showing is compared.

Rules for editors: an account may be without a holder, never with two. The
epoch makes the old holder harmless even if it could not be killed. A move must
end for every account, whatever fails: moved, or left with who had it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, assert_never

import msgspec

#: A holder that has not shown its accounts by then is killed; what it would have sent is refused.
QUIESCE_NS: Final = 100_000_000
#: So much more for the journal, which has to store the drain first.
STORE_NS: Final = 250_000_000
#: A killed worker that is not reaped by then (stuck in the system's hands) is waited for no longer:
#: the epoch makes it harmless, an account without a holder is not.
REAP_NS: Final = 1_000_000_000
#: A silent worker whom nobody could replace, or who holds nothing, is killed after so much more.
PATIENCE_NS: Final = 5_000_000_000
#: Accounts that are moved together: none waits long for the others.
TOGETHER: Final = 25


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Who holds an account, by the journal's last word."""

    account: int
    holder: str
    epoch: int
    release: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts of one holder on their way to an heir.

    `due` is a steady time in ns; `killed` once the holder had to be.
    """

    holder: str
    heir: str
    accounts: tuple[tuple[int, int], ...]
    due: int
    is_stored: bool = False
    is_granted: bool = False
    killed: bool = False


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts that a person, or a rollout, gives to a release.

    `latch` is the rollout's word without which the journal grants none of it; a person names none.
    `is_back` is a way back: the release that is left is not spared.
    """

    number: int
    release: str
    left: tuple[int, ...]
    group: Group | None = None
    latch: str = ""
    is_back: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor knows of workers and leases.

    `awaited` are workers found alive that have not been heard yet, or that fell silent and have no
    heir: what they hold is theirs.
    `releases` are the releases of the workers that are ready. `dying` are those that were killed
    and are not reaped yet, with the steady time in ns until which they are waited for (0: from the
    next look at the clock). `barred` are accounts that a worker cannot fold: it never holds them.
    """

    accounts: tuple[int, ...]
    leases: tuple[Lease, ...] = ()
    ready: tuple[str, ...] = ()
    releases: tuple[tuple[str, str], ...] = ()
    awaited: tuple[str, ...] = ()
    barred: tuple[tuple[int, str], ...] = ()
    dying: tuple[tuple[str, int], ...] = ()
    is_granting: bool = False
    leases_known: bool = False
    move: Move | None = None


# --- inputs ---


class WorkerFound(msgspec.Struct, frozen=True, gc=False):
    """A worker of an earlier supervisor lives; its first heartbeat is still to come."""

    name: str


class WorkerReady(msgspec.Struct, frozen=True, gc=False):
    """A worker has caught up with the stream and shows a heartbeat."""

    name: str
    release: str = ""


class Poisoned(msgspec.Struct, frozen=True, gc=False):
    """A worker cannot fold a record of this account: it enforces it no more."""

    name: str
    account: int


class WorkerGone(msgspec.Struct, frozen=True, gc=False):
    """A worker is dead and reaped: it cannot act any more."""

    name: str


class BeatMissed(msgspec.Struct, frozen=True, gc=False):
    """A worker has been silent for too many heartbeats; it may still be alive.

    `beyond_ns` is for how much longer than those.
    """

    name: str
    beyond_ns: int = 0


class LeasesSeen(msgspec.Struct, frozen=True, gc=False):
    """The journal's leases, asked for or just granted."""

    leases: tuple[Lease, ...]


class GrantFailed(msgspec.Struct, frozen=True, gc=False):
    """The journal refused, or is away: ask what is true before asking again."""


class LatchShut(msgspec.Struct, frozen=True, gc=False):
    """The journal grants nothing more for the present move, or cannot tell: its rollout went on."""


class MoveAsked(msgspec.Struct, frozen=True, gc=False):
    """Accounts are to be held by a release. `now` is a steady time in ns."""

    number: int
    accounts: tuple[int, ...]
    release: str
    now: int
    latch: str = ""
    is_back: bool = False


class DrainStored(msgspec.Struct, frozen=True, gc=False):
    """The journal has the drain of the present group."""

    now: int


class DrainFailed(msgspec.Struct, frozen=True, gc=False):
    """The journal does not answer, or refuses: nothing was drained for sure."""

    why: str


class Shown(msgspec.Struct, frozen=True, gc=False):
    """Holder and heir showed these accounts of the group alike, and those unlike."""

    alike: tuple[int, ...]
    unlike: tuple[tuple[int, str], ...]


class HeirSilent(msgspec.Struct, frozen=True, gc=False):
    """The heir did not show the accounts of the group."""

    why: str


class Passed(msgspec.Struct, frozen=True, gc=False):
    """Time passed, to a steady time in ns.

    For `absent_ns` of it nobody here looked: what was answered meanwhile is not read yet.
    """

    now: int
    absent_ns: int = 0


Input = (
    WorkerFound
    | WorkerReady
    | Poisoned
    | WorkerGone
    | BeatMissed
    | LeasesSeen
    | GrantFailed
    | LatchShut
    | MoveAsked
    | DrainStored
    | DrainFailed
    | Shown
    | HeirSilent
    | Passed
)


# --- outputs ---


class Kill(msgspec.Struct, frozen=True, gc=False):
    """Kill this worker and reap it; its end comes back as WorkerGone."""

    name: str


class Grant(msgspec.Struct, frozen=True, gc=False):
    """Give these accounts to a worker: (account, the epoch it must have now).

    With a latch only while it is the rollout's.
    """

    holder: str
    accounts: tuple[tuple[int, int], ...]
    latch: str = ""


class AskLeases(msgspec.Struct, frozen=True, gc=False):
    """Ask the journal who holds what."""


class Drain(msgspec.Struct, frozen=True, gc=False):
    """Have the holder fall silent for these accounts (account, epoch)."""

    holder: str
    release: str
    accounts: tuple[tuple[int, int], ...]


class EndDrain(msgspec.Struct, frozen=True, gc=False):
    """Have the holder go on with these accounts (account, epoch)."""

    holder: str
    release: str
    accounts: tuple[tuple[int, int], ...]


class Compare(msgspec.Struct, frozen=True, gc=False):
    """Ask both for the accounts as they were at the drain, and compare."""

    holder: str
    heir: str
    accounts: tuple[int, ...]


class Moved(msgspec.Struct, frozen=True, gc=False):
    """One account of a move is held by the release."""

    number: int
    account: int
    holder: str
    epoch: int


class Kept(msgspec.Struct, frozen=True, gc=False):
    """One account of a move stays with who has it, and why."""

    number: int
    account: int
    why: str


class MoveEnded(msgspec.Struct, frozen=True, gc=False):
    """Nothing of a move is left to do."""

    number: int


Output = Kill | Grant | AskLeases | Drain | EndDrain | Compare | Moved | Kept | MoveEnded
type Outputs = tuple[Output, ...]

_replace = msgspec.structs.replace


def step(state: State, given: Input) -> tuple[State, Outputs]:
    """Take one input; return the new state and what is to be done."""
    match given:
        case WorkerFound(name=name):
            return _replace(state, awaited=tuple(sorted({*state.awaited, name}))), ()
        case WorkerReady():
            return _ready(state, given)
        case Poisoned(name=name, account=account):
            barred = tuple(sorted({*state.barred, (account, name)}))
            return _next(_replace(state, barred=barred))
        case WorkerGone(name=name):
            state, ended = _forget(_reaped(state, name), name)
            state, outputs = _next(state)
            return state, (*ended, *outputs)
        case BeatMissed():
            return _missed(state, given)
        case LeasesSeen(leases=leases):
            state = _replace(state, leases=leases, is_granting=False, leases_known=True)
            state, told = _settle(state)
            state, outputs = _next(state)
            return state, (*told, *outputs)
        case GrantFailed():
            return _replace(state, is_granting=False, leases_known=False), (AskLeases(),)
        case Passed(now=now) if state.dying:
            return _bury(state, given, now)
        case _:
            return _move(state, given)


def _missed(state: State, missed: BeatMissed) -> tuple[State, Outputs]:
    """Kill who is silent and has an heir; who has none is waited for, and never an heir itself.

    A machine that is short of CPU makes everybody silent: to kill the last one helps nobody.
    """
    name = missed.name
    state, ended = _forget(state, name)
    holds = any(lease.holder == name for lease in state.leases)
    if missed.beyond_ns < PATIENCE_NS and not (holds and state.ready):
        return _replace(state, awaited=tuple(sorted({*state.awaited, name}))), ended
    # Only its death makes the accounts free: kill first, then raise the epoch.
    return _killed(state, name), (*ended, Kill(name))


def _killed(state: State, name: str) -> State:
    state = _reaped(state, name)
    return _replace(state, dying=(*state.dying, (name, 0)))


def _reaped(state: State, name: str) -> State:
    return _replace(state, dying=tuple(one for one in state.dying if one[0] != name))


def _bury(state: State, given: Passed, now: int) -> tuple[State, Outputs]:
    """Wait no longer for who was killed long ago; then what the time means for a move."""
    dying = tuple((name, until or now + REAP_NS) for name, until in state.dying)
    left = tuple((name, until) for name, until in dying if now < until)
    state, outputs = _move(_replace(state, dying=left), given)
    if len(left) == len(dying):
        return state, outputs
    state, granted = _next(state)
    return state, (*outputs, *granted)


def _ready(state: State, given: WorkerReady) -> tuple[State, Outputs]:
    if given.name in state.ready or given.name in dict(state.dying):
        return state, ()  # a last heartbeat of who was killed says nothing
    ready = tuple(sorted({*state.ready, given.name}))
    releases = tuple(sorted({*state.releases, (given.name, given.release)}))
    awaited = _without(state.awaited, given.name)
    state = _replace(state, ready=ready, releases=releases, awaited=awaited)
    group = state.move.group if state.move else None
    ended: Outputs = ()
    if group is not None and group.killed and group.holder == given.name:
        # It was killed, and is there again before anybody could be given its accounts: they are
        # not free any more, and nothing else would end this group.
        state, ended = _again(state, group)
    state, outputs = _next(state)
    return state, (*ended, *outputs)


def _forget(state: State, name: str) -> tuple[State, Outputs]:
    """Count a worker out; a group that needs it is given up and begun anew without it."""
    state = _replace(
        state,
        ready=_without(state.ready, name),
        releases=tuple(pair for pair in state.releases if pair[0] != name),
        awaited=_without(state.awaited, name),
        barred=tuple(pair for pair in state.barred if pair[1] != name),
    )
    group = state.move.group if state.move else None
    if group is None or group.is_granted or group.killed or name not in (group.holder, group.heir):
        return state, ()
    return _again(state, group)


def _again(state: State, group: Group) -> tuple[State, Outputs]:
    """Give a group up without giving up its accounts: they are tried again when that is due."""
    end = EndDrain(group.holder, _moving(state).release, group.accounts)
    return _with(state, None), (end,)


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(other for other in names if other != name)


# --- fail-over ---


def _next(state: State) -> tuple[State, Outputs]:
    """Give accounts whose holder is not ready to one that is; then go on with a move."""
    if state.is_granting or not state.ready:
        return state, ()
    if not state.leases_known:
        return _replace(state, is_granting=True), (AskLeases(),)
    held, loads = _held(state), _loads(state)
    free: dict[str, list[tuple[int, int]]] = {}
    for account in state.accounts:
        lease = held.get(account)
        heirs = _heirs(state, account)
        if heirs and _is_free(state, account, lease):
            heir = _heir(state, _release_of(state, account, lease), heirs, loads)
            free.setdefault(heir, []).append((account, lease.epoch if lease else 0))
    if not free:
        return _continue(state)
    heir = min(free)
    latch = _latch(state, [account for account, _ in free[heir]])
    return _replace(state, is_granting=True), (Grant(heir, tuple(free[heir]), latch),)


def _is_free(state: State, account: int, lease: Lease | None) -> bool:
    """Tell whether nobody enforces an account, nor may still do so."""
    if lease is None or (account, lease.holder) in state.barred:
        return True
    return lease.holder not in (*state.ready, *state.awaited, *dict(state.dying))


def _heirs(state: State, account: int) -> tuple[str, ...]:
    """Return who is ready and can fold the account."""
    return tuple(name for name in state.ready if (account, name) not in state.barred)


def unguardable(state: State) -> tuple[int, ...]:
    """Return the accounts that no worker that is ready can fold."""
    if not (state.barred and state.ready):
        return ()  # nobody there at all is another trouble
    return tuple(account for account in state.accounts if not _heirs(state, account))


def _held(state: State) -> dict[int, Lease]:
    return {lease.account: lease for lease in state.leases}


def _release_of(state: State, account: int, lease: Lease | None) -> str:
    """Return the release that is to hold a free account: its own, or the one it was moved to."""
    group = state.move.group if state.move else None
    if state.move and group and group.killed and account in dict(group.accounts):
        return state.move.release
    return lease.release if lease else ""


def _latch(state: State, accounts: list[int]) -> str:
    """Return the word that a grant must name because a move made one of its accounts free."""
    group = state.move.group if state.move else None
    if state.move and group and group.killed and any(n in dict(group.accounts) for n in accounts):
        return state.move.latch
    return ""


def _loads(state: State) -> Counter[str]:
    """Return how many accounts each holds; counted once, not once for each of a thousand."""
    return Counter(lease.holder for lease in state.leases)


def _heir(state: State, release: str, among: tuple[str, ...], loads: Counter[str]) -> str:
    """Choose who is of the release, and of those who holds the most: one active where it can."""
    of = dict(state.releases)
    return max(
        among,
        key=lambda name: (of.get(name) == release, loads[name], [-ord(c) for c in name]),
    )


# --- moves ---


def _move(
    state: State,
    given: LatchShut | MoveAsked | DrainStored | DrainFailed | Shown | HeirSilent | Passed,
) -> tuple[State, Outputs]:
    if isinstance(given, MoveAsked):
        return _begin(state, given)
    if isinstance(given, LatchShut):
        return _shut(state)
    move = state.move
    if move is None or move.group is None:
        return state, ()
    match given:
        case DrainStored(now=now):
            group = _replace(move.group, is_stored=True, due=now + QUIESCE_NS)
            accounts = tuple(account for account, _ in group.accounts)
            return _with(state, group), (Compare(group.holder, group.heir, accounts),)
        case DrainFailed(why=why) | HeirSilent(why=why):
            return _leave(state, move, move.group, why)
        case Shown(alike=alike, unlike=unlike):
            return _shown(state, move.group, alike, dict(unlike))
        case Passed(now=now, absent_ns=absent_ns):
            return _waited(state, move.group, now, absent_ns)
        case _ as never:
            assert_never(never)


def _begin(state: State, asked: MoveAsked) -> tuple[State, Outputs]:
    """Take a move up, or say of every account why not."""
    refused = ""
    unknown = [account for account in asked.accounts if account not in state.accounts]
    if state.move is not None:
        refused = "another move is under way; ask again when it has ended"
    elif unknown:
        refused = f"account {unknown[0]} is not guarded here"
    elif asked.release not in dict(state.releases).values():
        refused = f"no worker of {asked.release} is ready"
    if refused:
        kept = [Kept(asked.number, account, refused) for account in asked.accounts]
        return state, (*kept, MoveEnded(asked.number))
    move = Move(
        number=asked.number,
        release=asked.release,
        left=asked.accounts,
        latch=asked.latch,
        is_back=asked.is_back,
    )
    return _continue(_replace(state, move=move), asked.now)


def _continue(state: State, now: int = 0) -> tuple[State, Outputs]:
    """Begin the next group of the move, where none is under way; end the move after the last."""
    move = state.move
    if move is None or move.group is not None or state.is_granting or not state.leases_known:
        return state, ()
    held = _held(state)
    there = [n for n in move.left if n in held and held[n].release == move.release]
    told: list[Output] = [Moved(move.number, n, held[n].holder, held[n].epoch) for n in there]
    left = [n for n in move.left if n not in there]
    if not left:
        return _replace(state, move=None), (*told, MoveEnded(move.number))
    if move.release not in dict(state.releases).values():
        why = f"no worker of {move.release} is ready any more"
        kept = [Kept(move.number, account, why) for account in left]
        return _replace(state, move=None), (*told, *kept, MoveEnded(move.number))
    holder = held[left[0]].holder if left[0] in held else ""
    mine = [n for n in left if n in held and held[n].holder == holder][:TOGETHER]
    if holder not in state.ready:
        # Free, or its holder is still to be heard: what comes of it comes first.
        return _replace(state, move=_replace(move, left=tuple(left))), tuple(told)
    group = Group(
        holder=holder,
        heir=_heir(state, move.release, state.ready, _loads(state)),
        accounts=tuple((n, held[n].epoch) for n in mine),
        due=now + STORE_NS if now else 0,
    )
    moving = _replace(state, move=_replace(move, left=tuple(left), group=group))
    return moving, (*told, Drain(holder, move.release, group.accounts))


def _with(state: State, group: Group | None) -> State:
    assert state.move is not None
    return _replace(state, move=_replace(state.move, group=group))


def _shown(
    state: State, group: Group, alike: tuple[int, ...], unlike: dict[int, str]
) -> tuple[State, Outputs]:
    """Grant what both show alike; what they show unlike stays where it is."""
    move = state.move
    assert move is not None
    if group.killed or group.is_granted:
        return state, ()  # too late: the holder is being killed, and its accounts are free
    epochs = dict(group.accounts)
    kept = tuple((account, epochs[account]) for account in unlike if account in epochs)
    mine = tuple((account, epochs[account]) for account in alike if account in epochs)
    told: list[Output] = [Kept(move.number, account, unlike[account]) for account, _ in kept]
    if kept:
        told.append(EndDrain(group.holder, move.release, kept))
    left = tuple(account for account in move.left if account not in unlike)
    group = _replace(group, accounts=mine, is_granted=True)
    state = _replace(state, move=_replace(move, left=left, group=group if mine else None))
    if not mine:
        state, outputs = _continue(state)
        return state, (*told, *outputs)
    if state.is_granting:  # a fail-over came between: its answer first
        state, end = _again(state, group)
        return state, (*told, *end)
    return _replace(state, is_granting=True), (*told, Grant(group.heir, mine, move.latch))


def _moving(state: State) -> Move:
    assert state.move is not None
    return state.move


def _waited(state: State, group: Group, now: int, absent_ns: int) -> tuple[State, Outputs]:
    """Kill a holder that did not show in time; nobody waits for a drain that is not stored."""
    move = _moving(state)
    if group.is_granted or group.killed:
        return state, ()
    due = group.due + absent_ns if group.due else now + STORE_NS
    if now < due:
        return _with(state, _replace(group, due=due)), ()
    if not group.is_stored:
        return _leave(state, move, group, "the journal did not store the drain in time")
    if not move.is_back and _alone_keeps_others(state, move, group.holder):
        # Killed, it would leave all of them to the release that is still on trial.
        why = f"{group.holder} did not show its accounts in time, and alone guards all the others"
        return _leave(state, move, group, why)
    state, _ = _forget(_with(state, _replace(group, killed=True)), group.holder)
    return _killed(state, group.holder), (Kill(group.holder),)


def _alone_keeps_others(state: State, move: Move, name: str) -> bool:
    """Tell whether a worker, the only one of its release, holds what this move leaves to it."""
    own = dict(state.releases)[name]
    if sum(release == own for _, release in state.releases) > 1:
        return False
    return any(one.holder == name and one.account not in move.left for one in state.leases)


def _leave(state: State, move: Move, group: Group, why: str) -> tuple[State, Outputs]:
    """Give a group up: its accounts stay with who has them, and the move ends."""
    kept = [Kept(move.number, account, why) for account in move.left]
    end = EndDrain(group.holder, move.release, group.accounts)
    return _replace(state, move=None), (end, *kept, MoveEnded(move.number))


def _shut(state: State) -> tuple[State, Outputs]:
    """End a move whose rollout has gone on; what it made free goes to its own release again."""
    move = state.move
    state = _replace(state, is_granting=False, leases_known=False)
    if move is None:
        return state, (AskLeases(),)
    why = "the rollout has gone on without it"
    kept = [Kept(move.number, account, why) for account in move.left]
    group = move.group
    end = (EndDrain(group.holder, move.release, group.accounts),) if group else ()
    state = _replace(state, move=None)
    return state, (*end, *kept, MoveEnded(move.number), AskLeases())


def _settle(state: State) -> tuple[State, Outputs]:
    """After a grant, or a refusal: what the leases say is what came of the group."""
    move = state.move
    if move is None or move.group is None or not (move.group.is_granted or move.group.killed):
        return state, ()
    group, held = move.group, _held(state)
    undone = [
        (account, epoch)
        for account, epoch in group.accounts
        if account in held and held[account].holder == group.holder and not group.killed
    ]
    if undone:
        return _leave(state, move, group, "the journal refused the lease")
    if group.killed and any(held[n].epoch == epoch for n, epoch in group.accounts if n in held):
        return state, ()  # not granted anew yet
    return _with(state, None), ()


def disagreements(
    state: State, name: str, enforcing: list[tuple[int, int]]
) -> list[tuple[int, str]]:
    """Compare what a worker says it enforces with the leases; each difference in words.

    Before any lease was ever seen there is nothing to compare with: a worker that restores what it
    held before a restart says so seconds before the journal can be asked.
    """
    if not (state.leases or state.leases_known):
        return []
    held = {lease.account: lease for lease in state.leases}
    found = []
    for account, epoch in enforcing:
        lease = held.get(account)
        if lease is None or (lease.holder != name and epoch >= lease.epoch):
            holder = lease.holder if lease else "nobody"
            found.append((account, f"{name} enforces epoch {epoch}, the lease is {holder}'s"))
    return found


def doors(state: State, link: str, epochs: list[tuple[int, int]]) -> list[tuple[int, str]]:
    """Compare the epochs at a link's door with the leases; each that is behind, in words.

    Behind, it would let an old holder through. Ahead it is while a lease is kept by links alone.
    """
    held = {lease.account: lease for lease in state.leases}
    found = []
    for account, epoch in epochs:
        lease = held.get(account)
        if lease is not None and epoch < lease.epoch:
            found.append((account, f"{link} is at epoch {epoch}, the lease at {lease.epoch}"))
    return found

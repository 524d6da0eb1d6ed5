"""Two controllers of one rollout over one account, in every order: who can end up where?

One of them is dead for all the other knows, and is not: it goes on with what it read. Both are the
real machine (`risk_daemon.rollout.machine`). A person aborts at any moment, at either; a controller
dies and begins anew; what it asked for is done late. Nothing of that may leave the account on the
candidate once the rollout is aborted. Breadth first, so what is found is shortest.

A protection is taken out at the journal, which then does not compare or does not raise: production
code has no switch.
"""

from __future__ import annotations

import functools
import hashlib
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from risk_daemon.rollout import machine
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.plan import Dwell, Phase, Plan, Version
from risk_daemon.rollout.row import Row

#: A switch compares the epoch; it compares the latch; an abort raises every epoch.
EPOCH: Final = "epoch"
LATCH: Final = "latch"
RAISE: Final = "raise"
ALL: Final = frozenset({EPOCH, LATCH, RAISE})

ACCOUNT: Final = 1
OLD: Final = Version("v1", "a")
NEW: Final = Version("v2", "b")

type Deed = said.Persist | said.Order

_replace = msgspec.structs.replace


class Controller(msgspec.Struct, frozen=True):
    """One controller: its state, and what it has asked for and is not done yet.

    It is answered when that is done, unless it dies there: an answer heard later only means that
    what follows from it is done later, and that may be late anyway.
    """

    state: machine.State
    todo: tuple[Deed, ...] = ()


class World(msgspec.Struct, frozen=True, kw_only=True):
    """The journal, both controllers, and what the dead asked for that may still be done.

    `crashes`, `aborts` and `timeouts` are how many of those may still come.
    """

    revision: int
    latch: str
    body: bytes
    owner: Version
    epoch: int
    first: Controller
    second: Controller
    late: tuple[said.Switch, ...] = ()
    crashes: int
    aborts: int
    timeouts: int


class Found(msgspec.Struct, frozen=True):
    """How many states there are, what the rollout came to, and the way to the first bad one."""

    states: int
    ends: tuple[str, ...]
    path: tuple[str, ...] = ()


def check(
    protections: frozenset[str], *, crashes: int = 1, aborts: int = 1, timeouts: int = 1
) -> Found:
    """Look at every state that can be reached, or up to the first that must not be."""
    start = _start(crashes, aborts, timeouts)
    seen = {_key(start): ("", b"")}
    queue = deque([(start, _key(start))])
    ends: set[str] = set()
    while queue:
        world, key = queue.popleft()
        for label, after in _successors(world, protections):
            new = _key(after)
            if new in seen:
                continue
            seen[new] = (label, key)
            stage = _decoded(after.body).stage
            if stage in rows.ENDED:
                ends.add(stage)
                if after.owner == NEW:
                    return Found(len(seen), tuple(sorted(ends)), _path(seen, new))
            queue.append((after, new))
    return Found(len(seen), tuple(sorted(ends)))


def _path(seen: dict[bytes, tuple[str, bytes]], key: bytes) -> tuple[str, ...]:
    labels = []
    while seen[key][0]:
        label, key = seen[key]
        labels.append(label)
    return tuple(reversed(labels))


def _key(world: World) -> bytes:
    """Return what tells worlds apart.

    Left out is what only numbers things (notes, and how large a revision is: which ones are equal
    or follow each other stays), and what moves nobody (warming, retiring, what people are told).
    """
    both = (world.first, world.second)
    revisions = {world.revision}
    for one in both:
        revisions.add(one.state.revision)
        revisions |= {deed.expected for deed in one.todo if isinstance(deed, said.Persist)}
    places: dict[int, int] = {}
    last = place = min(revisions)
    for revision in sorted(revisions):
        place += min(2, revision - last)
        places[revision] = place - min(revisions)
        last = revision
    told = (
        places[world.revision],
        world.latch,
        _body_told_apart(world.body),
        world.owner,
        world.epoch,
        tuple(_controller_told_apart(one, places) for one in both),
        world.late,
        (world.crashes, world.aborts, world.timeouts),
    )
    return hashlib.blake2b(msgspec.msgpack.encode(told), digest_size=16).digest()


def _controller_told_apart(one: Controller, places: dict[int, int]) -> tuple[object, ...]:
    state = one.state
    return (
        _told_apart(state.row),
        _told_apart(state.stored) if state.stored else None,
        _told_apart(state.writing.row) if state.writing else None,
        places[state.revision],
        sorted(state.given),
        [_deed_told_apart(deed, places) for deed in one.todo],
    )


def _deed_told_apart(deed: Deed, places: dict[int, int]) -> object:
    if isinstance(deed, said.Persist):
        return (places[deed.expected], deed.latch, _body_told_apart(deed.body), deed.bump)
    return deed


@functools.lru_cache(10_000)
def _body_told_apart(body: bytes) -> tuple[object, ...]:
    return _told_apart(_decoded(body))


@functools.lru_cache(10_000)
def _decoded(body: bytes) -> Row:
    return rows.decode(body)


def _told_apart(row: Row) -> tuple[object, ...]:
    moving = {
        name: one for name, one in row.commands.items() if one.does not in (rows.WARM, rows.RETIRE)
    }
    return (row.stage, row.turn, row.bumps, row.accounts, row.holds, row.warm, moving, row.asked)


# --- the beginning ---


def _start(crashes: int, aborts: int, timeouts: int) -> World:
    """The canary's phase has just been entered, and two controllers have read so."""
    dwell = Dwell(wall_ns=1, open_minutes=0, events=0, longest_ns=1)
    plan = Plan(
        rollout="r",
        release=NEW.release,
        commit=NEW.commit,
        fallback=OLD.release,
        fallback_commit=OLD.commit,
        order=(ACCOUNT,),
        phases=(Phase(name="canary", percent=0, upto=1, dwell=dwell),),
        risk_cap_ppm=(1_000_000,),
    )
    begun = rows.begin(plan, {ACCOUNT: rows.Holding(has=OLD, epoch=1, at=rows.READY)})
    row = _replace(begun, stage="canary", turn=3)
    stored = said.Recovered(at=0, revision=1, body=rows.encode(row), held=(_held(OLD, 1),))
    controller = _read(stored)
    return World(
        revision=1,
        latch=rows.latch(row),
        body=stored.body,
        owner=OLD,
        epoch=1,
        first=controller,
        second=controller,
        crashes=crashes,
        aborts=aborts,
        timeouts=timeouts,
    )


def _held(owner: Version, epoch: int) -> said.Held:
    return said.Held(ACCOUNT, owner, epoch)


def _read(stored: said.Recovered) -> Controller:
    """A controller begins from what is stored, and is told what workers there are."""
    state, outputs = machine.restart(stored)
    controller = _take(Controller(state), outputs)
    for told in (
        said.WorkerReady(at=0, version=OLD),
        said.WorkerReady(at=0, version=NEW),
        said.CaughtUp(at=0, accounts=(ACCOUNT,)),
    ):
        controller = _hear(controller, told)
    return controller


def _hear(controller: Controller, given: machine.Input) -> Controller:
    state, outputs = machine.step(controller.state, given)
    return _take(_replace(controller, state=state), outputs)


def _take(controller: Controller, outputs: machine.Outputs) -> Controller:
    """Note what a controller asks for. What moves nobody is answered at once, and well."""
    for output in outputs:
        match output:
            case said.Persist() | said.Switch():
                controller = _replace(controller, todo=(*controller.todo, output))
            case said.Smoke(id=name):
                controller = _hear(controller, said.SmokeSaid(at=0, id=name, says=rows.PASS))
            case said.Reconcile(id=name):
                controller = _hear(controller, said.Reconciled(at=0, id=name, says=rows.PASS))
            case said.Warm(id=name) | said.Retire(id=name):
                controller = _hear(controller, said.Carried(at=0, id=name))
            case said.Answer():
                pass
    return controller


# --- what may happen next ---


def _successors(world: World, protections: frozenset[str]) -> Iterator[tuple[str, World]]:
    """Give every next world and what led to it."""
    for name, controller in (("first", world.first), ("second", world.second)):
        yield from _of_controller(world, name, controller, protections)
    for at, switch in enumerate(world.late):
        left = (*world.late[:at], *world.late[at + 1 :])
        after, _ = _switch(_replace(world, late=left), switch, protections)
        yield "late switch", after


def _of_controller(
    world: World, name: str, mine: Controller, protections: frozenset[str]
) -> Iterator[tuple[str, World]]:
    def put(controller: Controller, in_world: World = world) -> World:
        if name == "first":
            return _replace(in_world, first=controller)
        return _replace(in_world, second=controller)

    for at, deed in enumerate(mine.todo):
        left = _replace(mine, todo=(*mine.todo[:at], *mine.todo[at + 1 :]))
        if isinstance(deed, said.Switch):
            after, told = _switch(world, deed, protections)
            label = f"{name} switches to {deed.version.release}"
        else:
            assert isinstance(deed, said.Persist)
            after, told = _persist(world, deed, protections)
            label = f"{name} writes {_decoded(deed.body).stage}"
        yield label, put(_hear(left, told), after)
        if world.crashes:
            yield f"{label} and dies", put(_read(_stored(after)), _dead(after, left))
    if world.aborts:
        heard = _hear(mine, said.Abort(at=0, actor="person"))
        yield f"{name} is told to abort", put(heard, _replace(world, aborts=world.aborts - 1))
    switches = tuple(one for one in mine.todo if isinstance(one, said.Switch))
    if world.timeouts and switches:
        heard = _hear(mine, said.TimedOut(at=0, id=switches[0].id))
        yield f"{name} waits too long", put(heard, _replace(world, timeouts=world.timeouts - 1))
    if world.crashes:
        yield f"{name} dies", put(_read(_stored(world)), _dead(world, mine))


def _dead(world: World, controller: Controller) -> World:
    """What a dead controller had asked for may still be done."""
    left = {one for one in controller.todo if isinstance(one, said.Switch)} | set(world.late)
    late = tuple(sorted(left, key=lambda one: (one.id, one.epoch, one.latch)))
    return _replace(world, crashes=world.crashes - 1, late=late)


def _stored(world: World) -> said.Recovered:
    held = (_held(world.owner, world.epoch),)
    return said.Recovered(at=0, revision=world.revision, body=world.body, held=held)


def _persist(
    world: World, wanted: said.Persist, protections: frozenset[str]
) -> tuple[World, machine.Input]:
    """Write a row if it is at the revision that was read."""
    if wanted.expected != world.revision:
        return world, _stored(world)
    raised = bool(wanted.bump) and RAISE in protections
    world = _replace(
        world,
        revision=wanted.revision,
        latch=wanted.latch,
        body=wanted.body,
        epoch=world.epoch + raised,
    )
    held = (_held(world.owner, world.epoch),) if wanted.bump else ()
    return world, said.Persisted(at=0, revision=wanted.revision, bumped=held)


def _switch(
    world: World, wanted: said.Switch, protections: frozenset[str]
) -> tuple[World, machine.Input]:
    """Move the account if the epoch and the latch are what the controller went by."""
    is_stale = EPOCH in protections and wanted.epoch != world.epoch
    is_over = LATCH in protections and wanted.latch != world.latch
    if wanted.version != world.owner and not is_stale and not is_over:
        world = _replace(world, owner=wanted.version, epoch=world.epoch + 1)
    held = _held(world.owner, world.epoch)
    if world.owner == wanted.version:
        return world, said.Switched(at=0, id=wanted.id, held=held)
    return world, said.SwitchFailed(at=0, id=wanted.id, held=held, why="it was compared")

"""Many histories: played on all cores, each failure made small, each defence left out in turn."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import connection
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.errors import OperatorError
from risk_daemon.proving.chance import Fault
from risk_daemon.proving.judge import Broken
from risk_daemon.proving.scenes import SCENES
from risk_daemon.proving.without import DEAF, DEFENCES
from risk_daemon.proving.world import Plan, World, length

FORMAT: Final = 2
CHUNK: Final = 25
FAILURES_KEPT: Final = 5
SHRINK_TRIES: Final = 400
#: The paces at which the absence of a defence is looked for.
NOTICING: Final = ("quick", "crowded")

type Told = Callable[[int, int], None]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What one history came to. `broken` is empty, or the invariant and how it was broken."""

    plan: Plan
    broken: str = ""
    tape: tuple[Fault, ...] = ()
    faults: dict[str, int] = msgspec.field(default_factory=dict)
    points: int = 0
    effects: tuple[int, ...] = ()
    checks: int = 0
    known: dict[str, int] = msgspec.field(default_factory=dict)
    trace: tuple[tuple[int, str, str, str], ...] = ()

    @property
    def which(self) -> str:
        """The invariant that was broken."""
        return self.broken.partition(":")[0]


class Tape(msgspec.Struct, frozen=True, kw_only=True):
    """A history in a file: what was found, and all that is needed to play it again."""

    format: int
    broken: str
    plan: Plan


class Sum(msgspec.Struct, kw_only=True):
    """What many histories came to."""

    seeds: int = 0
    checks: int = 0
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    known: Counter[str] = msgspec.field(default_factory=Counter)
    failures: list[History] = msgspec.field(default_factory=list)
    failed: int = 0

    def add(self, history: History) -> None:
        """Count a history in."""
        self.seeds += 1
        self.checks += history.checks
        self.faults.update(history.faults)
        self.known.update(history.known)
        if history.broken:
            self.failed += 1
            if len(self.failures) < FAILURES_KEPT:
                self.failures.append(history)

    def join(self, other: Sum) -> None:
        """Count another sum in."""
        self.seeds += other.seeds
        self.checks += other.checks
        self.faults.update(other.faults)
        self.known.update(other.known)
        self.failed += other.failed
        self.failures = [*self.failures, *other.failures][:FAILURES_KEPT]


# --- one -----------------------------------------------------------------------------


def play(plan: Plan) -> History:
    """Play one history to its end, or to the first thing that must not be."""
    world = World(plan)
    broken = ""
    try:
        world.run()
    except Broken as found:
        broken = str(found)
    except Exception as error:  # noqa: BLE001 - a machine that fails has failed its proof
        broken = f"{type(error).__name__}: {error}"
    chance = world.chance
    return History(
        plan=plan,
        broken=broken,
        tape=tuple(chance.drawn) if plan.tape is None else plan.tape,
        faults=dict(chance.counts),
        points=chance.points,
        effects=tuple(world.effects),
        checks=world.judge.checks,
        known=dict(world.judge.known),
        trace=tuple(world.trace),
    )


def shrink(failure: History, tries: int = SHRINK_TRIES) -> History:
    """Leave out faults while the same invariant is broken; ever smaller pieces."""
    best = failure
    piece = max(len(best.tape) // 2, 1)
    while tries > 0:
        shorter = _shorter(best, piece, tries)
        tries -= 1 + len(best.tape) // piece
        if shorter is not None:
            best = shorter
        elif piece == 1:
            return best
        else:
            piece = max(piece // 2, 1)
    return best


def _shorter(best: History, piece: int, tries: int) -> History | None:
    for start in range(0, min(len(best.tape), tries * piece), piece):
        tape = best.tape[:start] + best.tape[start + piece :]
        tried = play(msgspec.structs.replace(best.plan, tape=tape))
        if tried.broken and tried.which == best.which:
            return tried
    return None


def write_tape(folder: Path, failure: History) -> Path:
    """Write a failure into a folder; return the file."""
    seconds = length(failure.plan)
    plan = msgspec.structs.replace(
        failure.plan, tape=failure.tape, seconds=seconds, is_traced=False
    )
    tape = Tape(format=FORMAT, broken=failure.broken, plan=plan)
    path = folder / f"{failure.which}-{plan.seed}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(tape), indent=1) + b"\n")
    return path


def read_tape(path: Path) -> Tape:
    """Read a tape. Raises OperatorError where it cannot be played."""
    try:
        tape = msgspec.json.decode(path.read_bytes(), type=Tape)
    except (OSError, msgspec.DecodeError) as error:
        raise OperatorError(f"the tape {path} can't be read: {error}", 2) from error
    if tape.format != FORMAT:
        raise OperatorError(
            f"the tape {path} has format {tape.format}, this simulator plays {FORMAT}", 2
        )
    return tape


# --- many ----------------------------------------------------------------------------


def _some(plans: list[Plan]) -> Sum:
    """Play some histories; their worlds are thrown away together, which is a fifth of the time."""
    found = Sum()
    gc.collect()
    gc.freeze()  # nor is what was there before looked at again
    gc.disable()
    try:
        for plan in plans:
            found.add(play(plan))
    finally:
        gc.enable()
        gc.collect()
        gc.unfreeze()
    return found


def many(plans: list[Plan], cores: int, told: Told) -> Sum:
    """Play many histories; `told` hears how many are done, and how many were bad."""
    chunks = [plans[start : start + CHUNK] for start in range(0, len(plans), CHUNK)]
    found = Sum()
    for one in _spread(chunks, cores):
        found.join(one)
        told(found.seeds, found.failed)
    return found


def _spread(chunks: list[list[Plan]], cores: int) -> Iterator[Sum]:
    if cores == 1 or len(chunks) == 1:
        yield from map(_some, chunks)
        return
    with _players(cores) as pool:
        yield from pool.map(_some, chunks)


def _players(cores: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(cores, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End when whoever asked is gone: nobody would hear what is found, and nothing else ends it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_wait_and_end, args=(parent.sentinel,), daemon=True).start()


def _wait_and_end(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)  # from a thread there is no other way, and there is nothing to put in order


# --- without a defence ---------------------------------------------------------------------


def unnoticed(verdicts: dict[str, str]) -> list[str]:
    """Return the defences whose absence no history noticed."""
    return [name for name, verdict in verdicts.items() if not verdict.startswith("noticed")]


def defences(seeds: int, cores: int) -> Iterator[tuple[str, str]]:
    """Leave out each defence in turn; tell who noticed."""
    with _players(cores) as pool:
        yield from zip(DEFENCES, pool.map(defence, DEFENCES, [seeds] * len(DEFENCES)), strict=True)


def defence(name: str, seeds: int) -> str:
    """Leave a defence out, alone and together with those that mask it; tell who noticed."""
    masks = DEFENCES[name]
    for seed, pace in product(range(seeds), NOTICING):
        plan = Plan(seed=seed, pace=pace)
        if _is_noticed(plan, frozenset({name}), frozenset(), frozenset()):
            return f"noticed at seed {seed} alone{_at(pace)}"
        deaf = DEAF.get(name, frozenset())
        if masks and _is_noticed(plan, frozenset({name, *masks}), frozenset(masks), deaf):
            return f"noticed at seed {seed} with {' and '.join(masks)} off{_at(pace)}"
    return f"not noticed in {seeds} seeds"


def _at(pace: str) -> str:
    return "" if pace == NOTICING[0] else f" ({pace})"


def _is_noticed(
    plan: Plan, off: frozenset[str], masks: frozenset[str], deaf: frozenset[str]
) -> bool:
    """Tell whether a history fails without some defences, and not with only the masks off."""
    replace = msgspec.structs.replace
    broken = play(replace(plan, off=off, deaf=deaf)).broken
    return bool(broken) and not play(replace(plan, off=masks, deaf=deaf)).broken


# --- a crash at every effect -------------------------------------------------------------------


def crash_plans(names: Iterable[str] = SCENES, every: int = 1) -> list[Plan]:
    """Return a history per effect of each scene, in which its process is killed just there."""
    plans: list[Plan] = []
    for name in names:
        whole = play(Plan(seed=0, scene=name, tape=()))
        if whole.broken:
            raise OperatorError(f"scene {name} fails without any fault: {whole.broken}", 1)
        plans += [Plan(seed=0, scene=name, tape=(Fault(point, "kill"),)) for point in whole.effects]
    return plans[::every]

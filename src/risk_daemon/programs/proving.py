"""`./dev sim`: the daemon's protocol under a seeded world of trouble, judged at the broker."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.errors import OperatorError
from risk_daemon.proving import runs
from risk_daemon.proving.pace import PACES, pace_of
from risk_daemon.proving.scenes import SCENES
from risk_daemon.proving.without import DEFENCES
from risk_daemon.proving.world import Plan

SEEDS_MAX: Final = 10_000_000
DEFENCE_SEEDS: Final = 1_000


def main(argv: Sequence[str] | None = None) -> int:
    """Play histories; 0 only if nothing that must hold was broken."""
    args = _parser().parse_args(argv)
    try:
        _refuse(args)
        return _chosen(args)(args)
    except OperatorError as error:
        print(f"sim: {error.sentence}", file=sys.stderr)
        return error.exit_code


def _chosen(args: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    if args.play:
        return _play_tape
    if args.seed is not None:
        return _one
    return _crash_points if args.crash_points else _many


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="so many histories, from seed 0")
    parser.add_argument("--first", type=int, default=0, help="from this seed instead")
    parser.add_argument("--seed", type=int, help="this history alone")
    parser.add_argument(
        "--pace",
        choices=sorted(PACES),
        default="",
        help="with --seed or --seeds: how dense; else one history in ten is crowded, the others"
        " are quick",
    )
    parser.add_argument("--trace", action="store_true", help="with --seed or --play: its table")
    parser.add_argument("--play", type=Path, help="play a tape")
    parser.add_argument("--tapes", type=Path, help="write failures into this folder, made small")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        help="with --seed or --seeds: leave a defence out (may be repeated)",
    )
    parser.add_argument(
        "--defences", action="store_true", help="leave out each defence in turn: who notices?"
    )
    parser.add_argument(
        "--defence-seeds", type=int, default=DEFENCE_SEEDS, help="at most so many seeds for each"
    )
    parser.add_argument(
        "--crash-points", action="store_true", help="a crash at every effect of every scene"
    )
    parser.add_argument("--every", type=int, default=1, help="with --crash-points: every nth")
    parser.add_argument("--cores", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--json", action="store_true", help="the verdict as JSON on the last line")
    return parser


def _refuse(args: argparse.Namespace) -> None:
    for name, least, most in (
        ("seeds", 1, SEEDS_MAX),
        ("defence_seeds", 1, SEEDS_MAX),
        ("every", 1, SEEDS_MAX),
        ("cores", 1, 64),
    ):
        value = getattr(args, name)
        if not least <= value <= most:
            option = name.replace("_", "-")
            raise OperatorError(f"--{option} {value} is out of range; {least} to {most}", 2)
    unknown = sorted(set(args.without) - set(DEFENCES))
    if unknown:
        known = ", ".join(sorted(DEFENCES))
        raise OperatorError(f"--without {unknown[0]} is no defence; known are {known}", 2)
    if args.tapes is not None and not args.tapes.is_dir():
        raise OperatorError(f"--tapes {args.tapes} is no folder; make it first", 2)


# --- one history --------------------------------------------------------------------


def _one(args: argparse.Namespace) -> int:
    pace = args.pace or pace_of(args.seed)
    plan = Plan(seed=args.seed, pace=pace, off=frozenset(args.without), is_traced=True)
    return _tell_one(args, runs.play(plan))


def _play_tape(args: argparse.Namespace) -> int:
    plan = msgspec.structs.replace(runs.read_tape(args.play).plan, is_traced=True)
    return _tell_one(args, runs.play(plan))


def _tell_one(args: argparse.Namespace, history: runs.History) -> int:
    out = sys.stderr if args.json else sys.stdout
    if args.trace or history.broken:
        for line in table(history):
            print(line, file=out)
    verdict = {
        "seed": history.plan.seed,
        "broken": history.broken,
        "faults": sum(history.faults.values()),
        "points": history.points,
        "trace": digest(history),
        "known": history.known,
    }
    _last(args, verdict)
    return 1 if history.broken else 0


def table(history: runs.History) -> list[str]:
    """Return the trace of a history as lines, the seed first and the verdict last."""
    lines = [f"seed {history.plan.seed}: {len(history.tape)} faults in {history.points} points"]
    lines += [
        f"{at / 1e9:9.4f}  {who:<14} {what:<24} {text}" for at, who, what, text in history.trace
    ]
    return [*lines, history.broken or "nothing is broken"]


def digest(history: runs.History) -> str:
    """Name a trace in 16 characters: equal histories have equal names."""
    raw = msgspec.json.encode((history.trace, history.broken, history.points))
    return hashlib.blake2b(raw, digest_size=8).hexdigest()


# --- many ---------------------------------------------------------------------------------


def _many(args: argparse.Namespace) -> int:
    off = frozenset(args.without)
    seeds = range(args.first, args.first + args.seeds)
    plans = [Plan(seed=seed, pace=args.pace or pace_of(seed), off=off) for seed in seeds]
    found = runs.many(plans, args.cores, _progress("histories", len(plans)))
    _tell_failures(args, found)
    verdict: dict[str, Any] = _verdict(found)
    if args.defences:
        verdict["defences"] = _defences(args)
    _last(args, verdict)
    bad = found.failed or runs.unnoticed(verdict.get("defences", {}))
    return 1 if bad else 0


def _defences(args: argparse.Namespace) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, said in runs.defences(args.defence_seeds, args.cores):
        found[name] = said
        print(f"{name:>26}  {said}", file=sys.stderr, flush=True)
    return {name: found[name] for name in sorted(found)}


def _crash_points(args: argparse.Namespace) -> int:
    plans = runs.crash_plans(SCENES, args.every)
    found = runs.many(plans, args.cores, _progress("crash points", len(plans)))
    _tell_failures(args, found)
    _last(args, {"scenes": len(SCENES), "points": found.seeds, **_verdict(found)})
    return 1 if found.failed else 0


def _verdict(found: runs.Sum) -> dict[str, Any]:
    return {
        "seeds": found.seeds,
        "faults": sum(found.faults.values()),
        "by_kind": dict(sorted(found.faults.items())),
        "checks": found.checks,
        "known": dict(sorted(found.known.items())),
        "violations": found.failed,
    }


def _progress(what: str, of: int) -> runs.Told:
    is_terminal = sys.stderr.isatty()
    shown = [0]

    def told(done: int, failed: int) -> None:
        tenth = done * 10 // of
        if is_terminal:
            print(f"\r{done} of {of} {what}, {failed} failed", end="", file=sys.stderr, flush=True)
            if done == of:
                print(file=sys.stderr)
        elif tenth > shown[0]:
            shown[0] = tenth
            print(f"{done} of {of} {what}, {failed} failed", file=sys.stderr, flush=True)

    return told


def _tell_failures(args: argparse.Namespace, found: runs.Sum) -> None:
    for failure in found.failures:
        small = runs.shrink(failure)
        traced = runs.play(msgspec.structs.replace(small.plan, tape=small.tape, is_traced=True))
        print(f"seed {failure.plan.seed} {failure.plan.scene}: {failure.broken}", file=sys.stderr)
        print(f"  tape: {[list(msgspec.to_builtins(one)) for one in small.tape]}", file=sys.stderr)
        for line in table(traced):
            print(f"  {line}", file=sys.stderr)
        if args.tapes is not None:
            print(f"  written: {runs.write_tape(args.tapes, small)}", file=sys.stderr)


def _last(args: argparse.Namespace, verdict: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps(verdict))
        return
    for name, value in verdict.items():
        print(f"{name:>12}  {value}")


if __name__ == "__main__":
    sys.exit(main())

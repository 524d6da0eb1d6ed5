"""`./dev demo`: a daemon against a simulated broker, for people to watch, judged at the end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.errors import OperatorError
from risk_daemon.programs.playing import commit_seed, common_options, sayer
from risk_daemon.stage import defects
from risk_daemon.stage.play import (
    Play,
    Say,
    in_words,
    is_noisy,
    judge_timing,
    pooled,
    refuse_short,
)
from risk_daemon.stage.screen import Screen

REPEATS_ON_NOISE: Final = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Play once, or several seeds; the last line is the verdict."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["upgrade"]:
        # Imported here: it is a program of its own, made of this one's parts.
        from risk_daemon.programs import upgrade

        return upgrade.main(words[1:])
    if words[:1] == ["rollout"]:
        from risk_daemon.programs import rollouts

        return rollouts.main(words[1:])
    args = _parser().parse_args(words)
    try:
        if args.planted:
            return _planted(args)
        refuse_short(args.seconds)
        return _play(args)
    except OperatorError as error:
        print(f"demo: {error.sentence}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev demo",
        description=__doc__,
        epilog="./dev demo upgrade: to another release and back under load; ./dev demo rollout: a"
        " good release to all accounts and two bad ones stopped (--help says more)",
    )
    common_options(parser)
    parser.add_argument("--runs", type=int, default=1, help="so many seeds, figures pooled")
    names = ", ".join(defect.name for defect in defects.DEFECTS)
    parser.add_argument(
        "--planted",
        metavar="all|NAME",
        help=f"plant defects instead, and show that the referee says no; names: {names}",
    )
    return parser


def _planted(args: argparse.Namespace) -> int:
    """Show that the referee notices every defect asked for, and nothing where there is none."""
    wanted = defects.named(args.planted)
    say = sayer(sys.stderr if args.json else sys.stdout)
    for defect in wanted:
        say("defect", f"{defect.name}: {defect.sentence}")
    shown = defects.show(wanted, say)
    for line in defects.table(shown):
        say("planted", line)
    ok = all(row.noticed for row in shown)
    say("stage" if ok else "problem", "every defect was noticed" if ok else "NOT all were noticed")
    if args.json:
        rows = [msgspec.to_builtins(row) for row in shown]
        print(json.dumps({"ok": ok, "planted": rows}))
    return 0 if ok else 1


def _play(args: argparse.Namespace) -> int:
    first = args.seed if args.seed is not None else commit_seed()
    say = sayer(sys.stderr if args.json else sys.stdout)
    is_live = sys.stdout.isatty() and not args.json and not args.lines
    verdicts = []
    for run in range(args.runs):
        keep = args.keep / str(first + run) if args.keep else None
        screen = Screen(sys.stdout, args.seconds) if is_live else None
        verdicts.append(_once(args.seconds, first + run, say, keep, screen))
        if args.runs > 1:
            say("stage", f"seed {first + run}: {'ok' if verdicts[-1]['ok'] else 'NOT ok'}")
    verdict = judge_timing(verdicts[0] if args.runs == 1 else pooled(verdicts))
    for line in in_words(verdict):
        say("problem" if line.startswith("problem") else "stage", line)
    if args.json:
        print(json.dumps({key: value for key, value in verdict.items() if key != "samples"}))
    return 0 if verdict["ok"] else 1


def _once(
    seconds: float, seed: int, say: Say, keep: Path | None, screen: Screen | None
) -> dict[str, Any]:
    """Play a seed; on a noisy host again, for its timing cannot be judged."""
    verdict = _watched(seconds, seed, say, keep, screen)
    for _ in range(REPEATS_ON_NOISE - 1):
        if not is_noisy(verdict):
            break
        say("stage", "the host is noisy: its flushes are slow; timing is not judged, again")
        verdict = _watched(seconds, seed, say, None, screen)
    return verdict


def _watched(
    seconds: float, seed: int, say: Say, keep: Path | None, screen: Screen | None
) -> dict[str, Any]:
    """Play: on a terminal as a live picture, else line by line."""
    if screen is None:
        return Play(seconds, seed, say, keep=keep).run()
    with screen.shown():
        return Play(seconds, seed, screen.say, keep=keep, look=screen.look).run()


if __name__ == "__main__":
    sys.exit(main())

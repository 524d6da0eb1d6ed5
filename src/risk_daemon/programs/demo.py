"""`./dev demo`: a daemon against a simulated broker, for people to watch, judged at the end."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.errors import OperatorError
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
COLOURS: Final = {
    "breach": "31",
    "problem": "1;31",
    "answered": "32",
    "fault": "1;33",
    "act": "1;36",
    "daemon": "36",
    "stage": "1",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Play once, or several seeds; the last line is the verdict."""
    args = _parser().parse_args(argv)
    try:
        if args.planted:
            return _planted(args)
        refuse_short(args.seconds)
        return _play(args)
    except OperatorError as error:
        print(f"demo: {error.sentence}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long traders trade")
    parser.add_argument("--seed", type=int, help="of market and traders; default: from the commit")
    parser.add_argument("--runs", type=int, default=1, help="so many seeds, figures pooled")
    parser.add_argument("--keep", type=Path, help="leave home and journal in this new folder")
    parser.add_argument("--lines", action="store_true", help="line by line, also on a terminal")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON on the last line")
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
    say = _sayer(sys.stderr if args.json else sys.stdout)
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
    say = _sayer(sys.stderr if args.json else sys.stdout)
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


def commit_seed() -> int:
    """Return a seed derived from the commit's hash, so that nobody chose it; 1 outside of git."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    return int(done.stdout.strip()[:6], 16) if done.returncode == 0 else 1


def _sayer(stream: Any) -> Say:
    colour = stream.isatty()

    def say(kind: str, text: str) -> None:
        mark = f"{kind:>11}"
        if colour and kind in COLOURS:
            mark = f"\x1b[{COLOURS[kind]}m{mark}\x1b[0m"
        print(f"{mark}  {text}", file=stream, flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())

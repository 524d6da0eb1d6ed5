"""`./dev demo upgrade`: v1, a really different v2, and v1 again, under load; judged at the end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from risk_daemon.errors import OperatorError
from risk_daemon.programs.playing import commit_seed, common_options, sayer
from risk_daemon.stage.play import Say
from risk_daemon.stage.screen import Screen
from risk_daemon.stage.upgrade import Upgrade, in_words, refuse_short


def main(argv: Sequence[str]) -> int:
    """Play it once; the last line is the verdict."""
    args = _parser().parse_args(argv)
    try:
        refuse_short(args.seconds)
        return _play(args)
    except OperatorError as error:
        print(f"demo upgrade: {error.sentence}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev demo upgrade", description=__doc__)
    common_options(parser)
    return parser


def _play(args: argparse.Namespace) -> int:
    seed = args.seed if args.seed is not None else commit_seed()
    say = sayer(sys.stderr if args.json else sys.stdout)
    is_live = sys.stdout.isatty() and not args.json and not args.lines
    verdict = _watched(args, seed, say) if is_live else _lines(args, seed, say)
    for line in in_words(verdict):
        say("problem" if line.startswith("problem") else "stage", line)
    if args.json:
        print(json.dumps({key: value for key, value in verdict.items() if key != "samples"}))
    return 0 if verdict["ok"] else 1


def _lines(args: argparse.Namespace, seed: int, say: Say) -> dict[str, Any]:
    return Upgrade(args.seconds, seed, say, keep=_folder(args)).run()


def _watched(args: argparse.Namespace, seed: int, say: Say) -> dict[str, Any]:
    """Play with a live picture; what comes before the trading is told in it too."""
    del say
    screen = Screen(sys.stdout, args.seconds)
    with screen.shown():
        play = Upgrade(args.seconds, seed, screen.say, keep=_folder(args), look=screen.look)
        return play.run()


def _folder(args: argparse.Namespace) -> Path | None:
    return args.keep / "upgrade" if args.keep else None

"""`./dev drill`: the arguments, and the words; `risk_daemon.stage.drills` does it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from risk_daemon.programs.report import report
from risk_daemon.stage import drill_book
from risk_daemon.stage.drills import SIZE_MB, Drills
from risk_daemon.stage.play import Say


def main(argv: Sequence[str] | None = None) -> int:
    """Play drills, and return 0 only if each breach was answered in time."""
    args = _parser().parse_args(argv)
    if args.write and args.name != drill_book.ALL:
        _parser().error("--write needs every drill: drill all --write")
    return report("drill", lambda say: _play(args, say), drill_book.in_words, as_json=args.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev drill", description=__doc__)
    names = (*drill_book.NAMES, drill_book.ALL)
    parser.add_argument("name", nargs="?", choices=names, default=drill_book.ALL)
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--write", action="store_true", help="write the figures to the document")
    parser.add_argument(
        "--mb",
        type=int,
        default=SIZE_MB,
        help=f"size of the state file (default {SIZE_MB}; 0 is small)",
    )
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    return parser


def _play(args: argparse.Namespace, say: Say) -> dict[str, Any]:
    return Drills(say, size_mb=args.mb).run(drill_book.chosen(args.name), args.keep)


if __name__ == "__main__":
    sys.exit(main())

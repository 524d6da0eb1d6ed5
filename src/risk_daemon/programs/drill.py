"""`./dev drill`: the arguments, and the words; `risk_daemon.stage.drills` does it."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.operations.running import drilling
from risk_daemon.programs.report import report
from risk_daemon.stage import drill_book, drill_page, small_disk, two_releases
from risk_daemon.stage.drills import SIZE_MB, Drills
from risk_daemon.stage.play import Say

ALONE: Final = "RISK_DAEMON_OWN_MOUNTS"


def main(argv: Sequence[str] | None = None) -> int:
    """Play drills, and return 0 only if each breach was answered in time."""
    args = _parser().parse_args(argv)
    if not 0 <= args.mb <= drilling.MB_MAX:
        _parser().error(f"--mb is {args.mb}; allowed is 0 to {drilling.MB_MAX}")
    if ALONE not in os.environ and _needs_mounts(args.name):
        return _alone(sys.argv[1:] if argv is None else argv)
    return report("drill", lambda say: _play(args, say), drill_book.in_words, as_json=args.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev drill", description=__doc__)
    names = (*drilling.NAMES, drilling.ALL)
    parser.add_argument("name", nargs="?", choices=names, default=drilling.ALL)
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--write", action="store_true", help=f"its figures to {drill_page.PAGE}")
    parser.add_argument(
        "--mb",
        type=int,
        default=SIZE_MB,
        help=f"size of the state file (default {SIZE_MB}; 0 is small)",
    )
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    return parser


def _needs_mounts(name: str) -> bool:
    """Tell whether a disk is to be filled, and this system lets us have one to fill."""
    with tempfile.TemporaryDirectory() as folder:
        return name in ("disk", drilling.ALL) and small_disk.is_possible(Path(folder))


def _alone(words: Sequence[str]) -> int:
    """Run as a process of its own mounts: they end with it."""
    command = [sys.executable, "-m", "risk_daemon.programs.drill", *words]
    done = subprocess.run(small_disk.alone(command), env=os.environ | {ALONE: "1"}, check=False)
    return done.returncode


def _play(args: argparse.Namespace, say: Say) -> dict[str, Any]:
    verdict = Drills(say, size_mb=args.mb).run(drill_book.chosen(args.name), args.keep)
    if args.write:
        today = dt.datetime.fromtimestamp(Clock().now_ns() // SECOND_NS, dt.UTC).date()
        page = two_releases.checkout_of(Path(__file__).parent) / drill_page.PAGE
        text = page.read_text(encoding="utf-8")
        page.write_text(drill_page.written(text, verdict, today), encoding="utf-8")
        say("stage", f"{drill_page.PAGE} has the figures of today")
    return verdict


if __name__ == "__main__":
    sys.exit(main())

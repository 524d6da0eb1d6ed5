"""What every demo of `./dev` has: its options, a seed that nobody chose, and its lines."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any, Final

from risk_daemon.stage.play import Say

COLOURS: Final = {
    "breach": "31",
    "problem": "1;31",
    "answered": "32",
    "fault": "1;33",
    "act": "1;36",
    "daemon": "36",
    "moved": "36",
    "release": "1",
    "stage": "1",
}


def common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every demo has."""
    parser.add_argument("--seconds", type=float, default=60.0, help="how long traders trade")
    parser.add_argument("--seed", type=int, help="of market and traders; default: from the commit")
    parser.add_argument("--keep", type=Path, help="leave home and journal in this new folder")
    parser.add_argument("--lines", action="store_true", help="line by line, also on a terminal")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON on the last line")


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


def sayer(stream: Any) -> Say:
    """Return what writes lines to a stream, in colour where it is a terminal."""
    colour = stream.isatty()

    def say(kind: str, text: str) -> None:
        mark = f"{kind:>11}"
        if colour and kind in COLOURS:
            mark = f"\x1b[{COLOURS[kind]}m{mark}\x1b[0m"
        print(f"{mark}  {text}", file=stream, flush=True)

    return say

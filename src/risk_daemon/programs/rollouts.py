"""`./dev demo rollout`: the arguments, and the words; it is played by `stage.rollouts_shown`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from risk_daemon.programs.report import report
from risk_daemon.stage.rollouts_shown import RolloutsShown, in_words


def main(argv: Sequence[str]) -> int:
    """Play it once; 0 only if the good release arrived, and the bad ones did not."""
    parser = argparse.ArgumentParser(prog="./dev demo rollout", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    args = parser.parse_args(argv)
    return report(
        "demo rollout", lambda say: RolloutsShown(say).run(args.keep), in_words, as_json=args.json
    )

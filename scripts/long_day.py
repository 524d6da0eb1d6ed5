"""`./dev soak`: arguments and words; what is done stands in `risk_daemon.stage.long_day`."""

import argparse
import sys
from pathlib import Path

from risk_daemon.programs.report import report
from risk_daemon.stage.long_day import LongDay, in_words


def main() -> int:
    """Play a long day, print what grew, and return 0 only if nothing did."""
    parser = argparse.ArgumentParser(prog="./dev soak")
    parser.add_argument("--minutes", type=float, default=120.0, help="so long (120)")
    parser.add_argument("--seed", type=int, default=7, help="of market and traders")
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    args = parser.parse_args()
    return report(
        "soak",
        lambda say: LongDay(args.minutes * 60, args.seed, say, args.keep).run(),
        in_words,
        as_json=args.json,
    )


if __name__ == "__main__":
    sys.exit(main())

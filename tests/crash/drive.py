"""`./dev crash`: the arguments, and the words; what is done stands in `risk_daemon.stage.crash`."""

import argparse
import sys
from pathlib import Path

from risk_daemon.programs.report import report
from risk_daemon.stage.crash import KINDS, Crashes, in_words


def main() -> int:
    """Kill, print what came of it, and return 0 only if nothing was lost."""
    parser = argparse.ArgumentParser(prog="./dev crash")
    parser.add_argument("--per-kind", type=int, default=10, help="kills of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of these kinds only")
    parser.add_argument("--seed", type=int, default=7, help="of market and traders")
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    args = parser.parse_args()
    return report(
        "crash",
        lambda say: Crashes(args.per_kind, args.seed, say, tuple(args.kinds.split(","))).run(
            args.keep
        ),
        in_words,
        as_json=args.json,
    )


if __name__ == "__main__":
    sys.exit(main())

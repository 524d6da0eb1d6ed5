"""`./dev bench restore`: the arguments, and the words; `risk_daemon.stage.lost_state` does it."""

import argparse
import sys
from pathlib import Path

from risk_daemon.programs.report import report
from risk_daemon.stage.lost_state import SIZE_MB, LostState, in_words


def main() -> int:
    """Lose a large state file in two ways; 0 only if everyone was protected again in time."""
    parser = argparse.ArgumentParser(prog="./dev bench restore")
    parser.add_argument("--size-mb", type=int, default=SIZE_MB, help="of the state file")
    parser.add_argument("--seed", type=int, default=5, help="of the market")
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    args = parser.parse_args()
    return report(
        "bench restore",
        lambda say: LostState(args.size_mb, args.seed, say).run(args.keep),
        in_words,
        as_json=args.json,
    )


if __name__ == "__main__":
    sys.exit(main())

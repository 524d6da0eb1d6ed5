"""`./dev soak`: arguments and words; what is done stands in `risk_daemon.stage.long_day`."""

import argparse
import json
import sys
from pathlib import Path

from risk_daemon.errors import OperatorError
from risk_daemon.stage.long_day import LongDay, in_words


def main() -> int:
    """Play a long day, print what grew, and return 0 only if nothing did."""
    parser = argparse.ArgumentParser(prog="./dev soak")
    parser.add_argument("--minutes", type=float, default=120.0, help="so long (120)")
    parser.add_argument("--seed", type=int, default=7, help="of market and traders")
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    args = parser.parse_args()
    out = sys.stderr if args.json else sys.stdout

    def say(kind: str, text: str) -> None:
        print(f"{kind:>8}  {text}", file=out, flush=True)

    try:
        verdict = LongDay(args.minutes * 60, args.seed, say, args.keep).run()
    except OperatorError as error:
        print(f"soak: {error.sentence}", file=sys.stderr)
        return error.exit_code
    for line in in_words(verdict):
        say("stage", line)
    if args.json:
        print(json.dumps({key: value for key, value in verdict.items() if key != "samples"}))
    return 0 if verdict["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())

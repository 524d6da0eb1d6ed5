"""`./dev crash`: the arguments, and the words; what is done stands in `risk_daemon.stage.crash`."""

import argparse
import json
import sys
from pathlib import Path

from risk_daemon.errors import OperatorError
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
    out = sys.stderr if args.json else sys.stdout

    def say(kind: str, text: str) -> None:
        print(f"{kind:>8}  {text}", file=out, flush=True)

    try:
        crashes = Crashes(args.per_kind, args.seed, say, tuple(args.kinds.split(",")))
        verdict = crashes.run(args.keep)
    except OperatorError as error:
        print(f"crash: {error.sentence}", file=sys.stderr)
        return error.exit_code
    for line in in_words(verdict):
        say("stage", line)
    if args.json:
        print(json.dumps(verdict))
    return 0 if verdict["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())

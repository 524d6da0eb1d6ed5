"""`./dev crash`: the arguments, and the words; what is done stands in `risk_daemon.stage.crash`."""

import argparse
import sys
from pathlib import Path

from risk_daemon.programs.report import report
from risk_daemon.stage.controller_kills import ConfigurationKills, ControllerKills
from risk_daemon.stage.controller_kills import in_words as kills_in_words
from risk_daemon.stage.crash import KINDS, Crashes, in_words
from risk_daemon.stage.every_file import EveryFile
from risk_daemon.stage.every_file import in_words as files_in_words


def main() -> int:
    """Kill, print what came of it, and return 0 only if nothing was lost."""
    parser = argparse.ArgumentParser(prog="./dev crash")
    parser.add_argument("--per-kind", type=int, default=10, help="kills of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of these kinds only")
    parser.add_argument("--seed", type=int, default=7, help="of market and traders")
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    parser.add_argument("--files", action="store_true", help="damage every file of a home instead")
    parser.add_argument(
        "--controller", action="store_true", help="kill the controller of a rollout instead"
    )
    parser.add_argument(
        "--configuration", action="store_true", help="with --controller: of a configuration alone"
    )
    parser.add_argument("--per-phase", type=int, default=20, help="with --controller: kills of it")
    parser.add_argument("--only", default="", help="of these files: names that contain this")
    args = parser.parse_args()
    if args.controller:
        kills = ConfigurationKills if args.configuration else ControllerKills
        return report(
            "crash --controller",
            lambda say: kills(args.per_phase, args.seed, say).run(args.keep),
            kills_in_words,
            as_json=args.json,
        )
    if args.files:
        return report(
            "crash --files",
            lambda say: EveryFile(say, only=lambda name: args.only in name).run(args.keep),
            files_in_words,
            as_json=args.json,
        )
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

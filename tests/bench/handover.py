"""`./dev bench handover`: the arguments, and the words; `risk_daemon.stage.handover` does it."""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from risk_daemon.programs.report import report  # noqa: E402  this file is run, not imported
from risk_daemon.stage import scale, scale_rollout, small_disk  # noqa: E402
from risk_daemon.stage.crowd import Crowd  # noqa: E402
from risk_daemon.stage.handover import APART, FULL, KINDS, Handovers, in_words, page_of  # noqa: E402
from risk_daemon.stage.play import Say  # noqa: E402
from tests.bench.figures import host  # noqa: E402

PAGE = ROOT / "docs" / "architecture" / "handover.md"
ALONE = "RISK_DAEMON_OWN_MOUNTS"


def main() -> int:
    """Hand over, print the figures; 0 only if none is over its budget and nothing went wrong."""
    parser = argparse.ArgumentParser(prog="./dev bench handover")
    parser.add_argument("--breaches", type=int, help="breaches of each kind (default: by kind)")
    parser.add_argument(
        "--kinds",
        default=",".join(KINDS),
        help=f"of these kinds only; by themselves also {' and '.join(sorted(APART))}",
    )
    parser.add_argument(
        "--scale", action="store_true", help="instead: 1,000 accounts of 20 logins, there and back"
    )
    parser.add_argument(
        "--rollout", action="store_true", help="with --scale: by a rollout, aborted at one half"
    )
    parser.add_argument("--logins", type=int, default=scale.LOGINS, help="with --scale")
    parser.add_argument("--each", type=int, default=scale.EACH, help="accounts of each login")
    parser.add_argument("--seed", type=int, default=5, help="of the market")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}: the figures")
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    args = parser.parse_args()
    if args.rollout and not args.scale:
        parser.error("--rollout is one of many accounts; add --scale")
    if args.rollout:
        crowd = Crowd(args.logins, args.each)
        return report(
            "bench handover --scale --rollout",
            lambda say: scale_rollout.ScaleRollout(crowd, say).run(args.keep),
            scale_rollout.in_words,
            as_json=args.json,
        )
    if args.scale:
        return report(
            "bench handover --scale",
            lambda say: scale.Scale(Crowd(args.logins, args.each), args.seed, say).run(args.keep),
            scale.in_words,
            as_json=args.json,
        )
    kinds = tuple(args.kinds.split(","))
    if args.write and kinds != KINDS:
        parser.error("--write needs every kind; leave out --kinds")
    if kinds == (FULL,) and ALONE not in os.environ:
        # A file system that can be filled must be mounted, in a namespace that ends with us.
        with tempfile.TemporaryDirectory() as folder:
            is_possible = small_disk.is_possible(Path(folder))
        if is_possible:
            words = small_disk.alone([sys.executable, *sys.argv])
            return subprocess.run(words, env=os.environ | {ALONE: "1"}, check=False).returncode
        print("bench handover: nobody may mount a file system here", file=sys.stderr)
        return 3

    def run(say: Say) -> dict[str, Any]:
        verdict = Handovers(args.breaches, args.seed, say, kinds).run(args.keep)
        if args.write:
            written = datetime.now(UTC).strftime("%Y-%m-%d")
            PAGE.write_text(page_of(verdict, written, host()))
        return verdict

    return report(
        "bench handover",
        run,
        in_words,
        as_json=args.json,
    )


if __name__ == "__main__":
    sys.exit(main())

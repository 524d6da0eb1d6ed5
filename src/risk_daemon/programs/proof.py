"""`./dev proof`: the arguments, and the words; what is done stands in `risk_daemon.stage.proof`."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.programs.report import report
from risk_daemon.stage import healthy, own_rollout, two_releases
from risk_daemon.stage.contract_page import PAGE, page
from risk_daemon.stage.healthy import Healthy
from risk_daemon.stage.lasting import Lasting
from risk_daemon.stage.own_rollout import OwnRollout
from risk_daemon.stage.play import Say
from risk_daemon.stage.proof import NOTHING_TYPED, Proof, in_words, with_lasting, with_triggers
from risk_daemon.stage.triggers import Triggers


def main(argv: Sequence[str] | None = None) -> int:
    """Type every line, and return 0 only if each did what it must, in its time."""
    parser = argparse.ArgumentParser(prog="./dev proof", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the verdict on the last line")
    parser.add_argument("--write", action="store_true", help=f"write the figures to {PAGE}")
    parser.add_argument("--short", action="store_true", help="from one account to all at once")
    parser.add_argument("--triggers", action="store_true", help="only what goes back by itself")
    parser.add_argument("--healthy", type=int, metavar="N", help="N rollouts of a good release")
    parser.add_argument("--own", action="store_true", help="this release over the one before")
    parser.add_argument("--keep", type=Path, help="leave home and logs in this folder")
    args = parser.parse_args(argv)
    if args.healthy:
        return report(
            "proof",
            lambda say: Healthy(say, args.healthy).run(args.keep),
            healthy.in_words,
            as_json=args.json,
        )
    if args.own:
        return report(
            "proof",
            lambda say: OwnRollout(say).run(args.keep),
            own_rollout.in_words,
            as_json=args.json,
        )
    return report("proof", lambda say: _play(args, say), in_words, as_json=args.json)


def _play(args: argparse.Namespace, say: Say) -> dict[str, Any]:
    if args.triggers:
        return _bad_ones(NOTHING_TYPED, say, args.keep)
    verdict = Proof(say, short=args.short).run(args.keep)
    if not args.short:
        verdict = _bad_ones(verdict, say)
    if args.write and not args.short:
        today = dt.datetime.fromtimestamp(Clock().now_ns() // SECOND_NS, dt.UTC).date()
        target = two_releases.checkout_of(Path(__file__).parent) / PAGE
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(verdict, today), encoding="utf-8")
        say("stage", f"{PAGE} has the figures of today")
    return verdict


def _bad_ones(verdict: dict[str, Any], say: Say, keep: Path | None = None) -> dict[str, Any]:
    """Play what goes back by itself, and what is bad only after a while."""
    verdict = with_triggers(verdict, Triggers(say).run(keep))
    return with_lasting(verdict, Lasting(say).run(keep / "lasting" if keep else None))


if __name__ == "__main__":
    sys.exit(main())

"""A long run on the command line: its progress, then its verdict in words or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from risk_daemon.errors import OperatorError
from risk_daemon.stage.play import Say

Verdict = dict[str, Any]


def report(
    name: str,
    run: Callable[[Say], Verdict],
    in_words: Callable[[Verdict], Iterable[str]],
    *,
    as_json: bool,
) -> int:
    """Run, tell, and return the exit code: 0 only if the verdict is ok.

    With `as_json` the last line of stdout is the verdict without its samples, and talk goes
    to stderr.
    """
    out = sys.stderr if as_json else sys.stdout

    def say(kind: str, text: str) -> None:
        print(f"{kind:>16}  {text}", file=out, flush=True)

    try:
        verdict = run(say)
    except OperatorError as error:
        print(f"{name}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    for line in in_words(verdict):
        say("stage", line)
    if as_json:
        print(json.dumps({key: value for key, value in verdict.items() if key != "samples"}))
    return 0 if verdict["ok"] else 1

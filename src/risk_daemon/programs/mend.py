"""`risk-daemon mend --home H`: what the supervisor runs when its journal does not stay up.

Rebuilds a damaged state file as `restore --rebuild` does, then exits: 0 with a
sentence on stdout where something was rebuilt, 3 where the state is sound, else
the exit code of what is wrong and one sentence on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from risk_daemon.clock import Clock
from risk_daemon.errors import OperatorError
from risk_daemon.operations.backup import restoring
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who

SOUND: Final = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Rebuild what is damaged, and say what was done."""
    parser = argparse.ArgumentParser(prog="risk-daemon mend", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the daemon's home directory")
    at = Home(parser.parse_args(argv).home.absolute())
    who = Who("supervisor", "the journal does not stay up")
    try:
        outcome = restoring.rebuild(at, who, Clock(), dry_run=False, is_supervised=True)
    except OperatorError as error:
        print(f"mend: {error.sentence}", file=sys.stderr)
        return error.exit_code
    print("\n".join(outcome.lines))
    return 0 if outcome.data else SOUND


if __name__ == "__main__":
    sys.exit(main())

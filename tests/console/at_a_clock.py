"""The console as it is shipped, at a clock that stands still until a test sets it.

    python tests/console/at_a_clock.py HOME FILE

FILE holds the seconds that have gone by. The shipped program takes no such thing: its clock is
the machine's, whatever it is told.
"""

from __future__ import annotations

import sys
from pathlib import Path

from risk_daemon.clock import SECOND_NS, Clock, Timekeeper
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.programs import console
from risk_daemon.settings import Settings

#: A machine that has been up for a while.
BEGAN_NS = 1_000 * SECOND_NS


def main(home: Path, file: Path) -> int:
    """Serve until SIGTERM."""
    wall = Clock().now_ns()

    def gone_by() -> int:
        return int(float(file.read_text()) * SECOND_NS)

    def clock(settings: Settings) -> Timekeeper:
        return Clock(
            int(settings.clock_offset_s * SECOND_NS),
            wall=lambda: wall + gone_by(),
            steady=lambda: BEGAN_NS + gone_by(),
        )

    return console.run(Home(home), 0, release(), clock)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

"""A throw-away reader of the state file: `python -m …backup.readback HOME SEQ`.

Prints the crc of one record as it is on disk, and whether the chain holds over
the records before it. Exists for `test-persistence` alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from risk_daemon.errors import OperatorError
from risk_daemon.journal.reader import Reader
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE

CHECKED: Final = 5_000


def read(home: Home, seq: int) -> dict[str, Any]:
    """The record's crc, and what a look along the chain to it found."""
    reader = Reader(home.state / FILE)
    try:
        first = max(reader.first_seq(), seq - CHECKED + 1)
        before = reader.crc_at(first - 1)
        found = reader.records(seq, seq, (), 1)
        # The oldest record kept has no predecessor to prove it: the chain begins behind it.
        start = first if before is not None else first + 1
        base = before if before is not None else reader.crc_at(first) or 0
        check = reader.check(start, seq - start + 1, base)
        crc = found.records[0].crc if found.records else None
        return {"crc": crc, "checked": check.checked, "broken_at": check.broken_at}
    finally:
        reader.close()


def main() -> int:
    """Print one JSON object."""
    home, seq = Home(Path(sys.argv[1])), int(sys.argv[2])
    try:
        result = read(home, seq)
    except OperatorError as error:
        sys.stderr.write(error.sentence + "\n")
        return error.exit_code
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

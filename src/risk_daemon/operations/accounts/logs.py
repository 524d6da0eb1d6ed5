"""`logs tail | enforcement | errors`: log lines of the processes, and what was enforced.

Log lines are for people and may be cut; what was enforced comes from the
journal, which is the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from risk_daemon.errors import NotFound
from risk_daemon.operations import home, state_file
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.words import both_times, in_words, iso, kind_of

#: What enforcing an account leaves in the journal.
ENFORCEMENT: Final = (
    "breach-found",
    "lock-placed",
    "lock-ended",
    "intended",
    "goal-refused",
    "request-sent",
    "request-answered",
    "operator-acted",
)
ERRORS: Final = ("warning", "error", "critical")
#: Of each file only the end is read: logs rotate by size, and nobody reads more.
READ_BYTES: Final = 1 << 20
#: What every line has; the others are its fields.
_USUAL: Final = ("at", "level", "logger", "event", "exception", "taskName")


def tail(at: Home, limit: int, *, errors: bool = False) -> Outcome:
    """The latest lines of all processes' logs, in the order of time."""
    home.read(at)
    rows = sorted(
        (row for path in sorted(at.logs.glob("*.log")) for row in _rows(path)),
        key=lambda row: str(row["at"]),
    )
    if errors:
        rows = [row for row in rows if row.get("level") in ERRORS]
    found = rows[-limit:]
    what = "no process has warned of anything" if errors else "no process has logged anything yet"
    return Outcome(
        (),
        data={"lines": found},
        above=tuple(map(_line, found)) or (what,),
        next_command="risk-daemon-admin logs enforcement" if errors else "risk-daemon-admin status",
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines at the end of a log; one that is cut or no JSON with a time is passed over."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - READ_BYTES, 0))
        lines = file.read().splitlines()
    for line in lines:
        try:
            row = json.loads(line)
            datetime.fromisoformat(row["at"])
        except (ValueError, KeyError, TypeError):
            continue
        yield {"process": path.stem, **row}


def _line(row: dict[str, Any]) -> str:
    fields = " ".join(f"{k}={v}" for k, v in row.items() if k not in (*_USUAL, "process"))
    said = " ".join(f"{row.get('event', '')} {fields}".split())
    last = str(row.get("exception", "")).strip().splitlines()[-1:]
    failed = f" ({last[0]})" if last else ""
    return f"{both_times(row['at'])} {row['process']} {row.get('level', '')}: {said}{failed}"


def enforcement(at: Home, limit: int) -> Outcome:
    """The latest breaches, locks, goals and requests, from the journal."""
    home.read(at)
    try:
        entries = state_file.latest(at, ENFORCEMENT, limit)
    except NotFound:
        entries = []
    rows: list[dict[str, Any]] = [
        {
            "seq": entry.seq,
            "at": iso(entry.at),
            "account": entry.account,
            "kind": kind_of(entry.fact),
            "words": in_words(entry.fact),
        }
        for entry in entries
    ]
    lines = tuple(
        f"{both_times(row['at'])} {row['account']} {row['kind'].replace('-', ' ')}: {row['words']}"
        for row in rows
    )
    return Outcome(
        (),
        data={"records": rows},
        above=lines or ("nothing was enforced yet",),
        next_command="risk-daemon-admin why ACCOUNT",
    )

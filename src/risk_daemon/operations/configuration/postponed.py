"""Changes of policy that wait for the next trade day: one file of the home, written in one step.

Each names the policy it leads to by its digest: another edit meanwhile is
another change, and waits anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import msgspec

from risk_daemon.errors import UsageError
from risk_daemon.operations.home import Home
from risk_daemon.operations.words import both_times, iso

FILE: Final = "postponed-policy.json"


class Postponed(msgspec.Struct, frozen=True, kw_only=True):
    """One account's change: the policy it leads to, since when it waits, when it is due.

    `by` is who asked for it, whose own approval does not count; "" where that is not known.
    """

    account: int
    digest: str
    since: int
    due: int
    words: tuple[str, ...]
    by: str = ""


def read(home: Home) -> dict[int, Postponed]:
    """Every change that waits, by account."""
    path = home.state / FILE
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[Postponed])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{path} can't be read ({error}); remove it and run `risk-daemon-admin config reload`."
        ) from None
    return {row.account: row for row in rows}


def write(home: Home, rows: dict[int, Postponed]) -> None:
    """Replace them all, durably."""
    path = home.state / FILE
    if not rows:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode([rows[account] for account in sorted(rows)]))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def first_due(home: Home) -> int:
    """When the next change is due, 0 for never."""
    return min((row.due for row in read(home).values()), default=0)


def waiting_lines(one: Postponed) -> Iterator[str]:
    """What of an account waits, and until when."""
    for words in one.words:
        yield f"{one.account}: waits until {both_times(iso(one.due))}: {words}"

"""Counts what the console refuses, so that all of it is in the audit and nobody can flood it. Pure.

One record a minute, whatever is sent: each refused request is counted in one of a few rows. Time is
handed in. What was taken to be written counts as written only when somebody says so.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from risk_daemon.core.events import RefusedRequests, RequestsRefused

SECOND_NS: Final = 1_000_000_000
WINDOW_NS: Final = 60 * SECOND_NS
#: Beside one of each status, which takes what is more.
ROWS_MAX: Final = 64
#: Of an origin, which is whatever somebody sends.
ORIGIN_MAX: Final = 100
OWN: Final = "own"
METHODS: Final = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE")
_NS_PER_MS: Final = 1_000_000

type Row = tuple[int, str, str, str]


def row(status: int, method: str, path: str, origin: str, host: str) -> Row:
    """Return the row of a request; `path` is the route's own, empty for none of ours."""
    said = OWN if origin == f"http://{host}" else origin[:ORIGIN_MAX]
    return (status, method if method in METHODS else "", path, said)


class Refusals:
    """What was refused and is not in the journal yet. Times are steady ns."""

    def __init__(self) -> None:
        self._counts: Counter[Row] = Counter()
        self._since = 0

    def add(self, one: Row, now: int) -> None:
        """Count a request; the first one begins the minute."""
        if not self._counts:
            self._since = now
        is_room = one in self._counts or len(self._counts) < ROWS_MAX
        self._counts[one if is_room else (one[0], "", "", "")] += 1

    def due(self, now: int) -> RequestsRefused | None:
        """Return what is to be written when the minute is over."""
        return self.all(now) if now - self._since >= WINDOW_NS else None

    def all(self, now: int) -> RequestsRefused | None:
        """Return all that is to be written; None where nothing is."""
        if not self._counts:
            return None
        rows = tuple(RefusedRequests(*one, count) for one, count in sorted(self._counts.items()))
        return RequestsRefused(for_ms=(now - self._since) // _NS_PER_MS, rows=rows)

    def written(self, what: RequestsRefused, now: int) -> None:
        """Forget what is in the journal; what came meanwhile begins the next minute."""
        self._counts -= Counter({_of(one): one.count for one in what.rows})
        self._since = now


def _of(one: RefusedRequests) -> Row:
    return (one.status, one.method, one.path, one.origin)

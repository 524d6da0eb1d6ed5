"""What the journal says of itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

_COMMITS_KEPT: Final = 512
_RATE_OVER: Final = 10
_MS: Final = 1e6


class Figures:
    """Durations of durable commits, and the rate of records over the last ten seconds."""

    def __init__(self) -> None:
        self._commits: deque[int] = deque(maxlen=_COMMITS_KEPT)
        self._marks: deque[tuple[int, int]] = deque(maxlen=_RATE_OVER + 1)

    def committed(self, took_ns: int) -> None:
        """A durable commit took this long."""
        self._commits.append(took_ns)

    def mark(self, steady_ns: int, seq: int) -> None:
        """Note the head, once a second."""
        self._marks.append((steady_ns, seq))

    def commit_ms(self, share: float) -> float:
        """Return a quantile of the durations of durable commits, in milliseconds."""
        return round(quantile(self._commits, share) / _MS, 3)

    def records_per_s(self) -> float:
        """Return the rate over the last ten seconds."""
        if len(self._marks) < 2:
            return 0.0
        (began, first), (ended, last) = self._marks[0], self._marks[-1]
        return round((last - first) * 1e9 / max(ended - began, 1), 1)


def quantile(values: Iterable[int], share: float) -> int:
    """Return the smallest value that at least `share` of all do not exceed, 0 of none."""
    ordered = sorted(values)
    if not ordered:
        return 0
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

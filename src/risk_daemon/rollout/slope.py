"""PURE: does memory grow, and when is it too much? A line that a few odd values can't turn.

The slope is the median of the slopes between all pairs of points (Theil and Sen), so neither a
peak nor a restart bends it. Source: Sen 1968, "Estimates of the regression coefficient based on
Kendall's tau".
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Final

#: A phase is cut into so many cells; of each the largest value is kept.
CELLS: Final = 128
#: So many cells before anything is said: a process grows while it begins.
CELLS_FEWEST: Final = 24


def projected(points: Mapping[int, int], at: int) -> int | None:
    """Return where the line through (cell, bytes) points is at cell `at`.

    None where there are too few points to say.
    """
    if len(points) < CELLS_FEWEST:
        return None
    places = sorted(points)
    slope = median(
        (points[right] - points[left]) / (right - left)
        for index, left in enumerate(places)
        for right in places[index + 1 :]
    )
    base = median(points[place] - slope * place for place in places)
    return int(base + slope * at)

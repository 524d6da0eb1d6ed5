"""How fast a history goes: for how long, how often traders trade and prices move, how much they do.

What is still to be found is in the orders of events, and a quiet second costs as much as one in
which five things go wrong. So histories are quick: short, with traders that break limits often.
Tapes name the pace they were made at, so none is ever changed; *slow* is that of the first ones.
*Crowded* is for what only a request of unknown outcome shows: many of them, one after the other.
*Steady* trades nearly as often, for as long, with less trouble: what is said again or late counts.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Spans are (least, most), in seconds; `ticks`: how far a price moves at once."""

    seconds: tuple[float, float]
    calm: float
    density: float
    trades: tuple[float, float]
    sizes: tuple[int, ...]
    prices: tuple[float, float]
    ticks: int


PACES: Final = {
    "slow": Pace(
        seconds=(10.0, 10.0),
        calm=1.0,
        density=1.0,
        trades=(0.3, 2.2),
        sizes=(1, 1, 2, 3, 5),
        prices=(0.2, 0.5),
        ticks=4,
    ),
    "quick": Pace(
        seconds=(3.0, 7.0),
        calm=0.3,
        density=1.9,
        trades=(0.5, 3.0),
        sizes=(4, 5),
        prices=(0.4, 1.0),
        ticks=6,
    ),
    "crowded": Pace(
        seconds=(6.0, 12.0),
        calm=0.2,
        density=2.6,
        trades=(0.15, 0.8),
        sizes=(4, 5),
        prices=(0.4, 1.0),
        ticks=6,
    ),
    "steady": Pace(
        seconds=(6.0, 12.0),
        calm=0.3,
        density=1.2,
        trades=(0.2, 1.0),
        sizes=(4, 5),
        prices=(0.4, 1.0),
        ticks=6,
    ),
}
#: One seed in so many is crowded where no pace is asked for.
CROWDED_EVERY: Final = 10


def pace_of(seed: int) -> str:
    """Return the pace of a history that is one of many."""
    return "crowded" if seed % CROWDED_EVERY == CROWDED_EVERY - 1 else "quick"

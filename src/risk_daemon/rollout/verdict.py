"""PURE: what is said of a gate, with counts, bound and one sentence for who is on call."""

from __future__ import annotations

from typing import Literal

import msgspec

Says = Literal["pass", "fail", "hold", "inconclusive", "unmeasurable"]
Alert = Literal["", "warning", "critical"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's verdict at one instant.

    `pass`: shown to be good. `fail`: shown to be bad, go back. `hold`: something is wrong that
    going back would not mend, or that a person must classify. `inconclusive`: too little was
    seen. `unmeasurable`: what should have been told was not, so nothing is shown.

    `counts` are what the verdict rests on, by name; `bound` is what is proven, in words, empty
    where nothing is; `alert` asks for people though the verdict may not stop anything.
    """

    gate: str
    says: Says
    counts: tuple[tuple[str, int], ...]
    bound: str
    sentence: str
    alert: Alert = ""


def percent(ppm: int) -> str:
    """Write a rate of parts per million: 1 %, 0.1 %, 0.0305 %."""
    return f"{ppm / 10_000:.3g} %"


def many(count: int, one: str, more: str = "") -> str:
    """Write a count with its noun: 1 record, 2 records, 28,800 records."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def once_in(alpha_ppm: int) -> str:
    """Write how seldom chance alone does this."""
    return f"a healthy release would show this in one of {round(1e6 / alpha_ppm):,} phases"


def share_ppm(part: int, whole: int) -> int:
    """Return a share in parts per million, rounded down; of nothing it is all."""
    return 1_000_000 * part // whole if whole else 1_000_000

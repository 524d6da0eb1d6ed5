"""How slow and how untidy the exchange is: named delay profiles.

All durations are milliseconds, drawn evenly between the two ends.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from random import Random

from risk_daemon.sim.moment import NS_PER_MS

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Profile:
    """Delays in milliseconds and the share (0 to 1) of messages that misbehave."""

    name: str
    answer_ms: Range
    fill_ms: Range
    piece_ms: Range
    gap_ms: Range
    duplicates: float
    pieces: float


CALM = Profile("calm", (0, 0), (0, 0), (0, 0), (0, 0), duplicates=0.0, pieces=0.0)
DEMO = Profile("demo", (1, 3), (5, 25), (10, 120), (0, 2), duplicates=0.01, pieces=0.3)
SLOW = Profile("slow", (5, 30), (150, 400), (50, 200), (0, 20), duplicates=0.02, pieces=0.3)
PROFILES = {profile.name: profile for profile in (CALM, DEMO, SLOW)}


class ProfileRefused(ValueError):
    """The wanted profile does not exist or a value is out of its range."""


def _range(name: str, value: object) -> Range:
    if (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
        and 0 <= value[0] <= value[1]
    ):
        return (float(value[0]), float(value[1]))
    raise ProfileRefused(f"{name} is {value!r}; allowed is [low, high] in milliseconds, 0 <= low")


def _share(name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ProfileRefused(f"{name} is {value!r}; allowed is a share from 0 to 1")


def named(name: str) -> Profile:
    """The profile of that name."""
    if name not in PROFILES:
        raise ProfileRefused(f"profile is {name!r}; allowed are {', '.join(sorted(PROFILES))}")
    return PROFILES[name]


def changed(profile: Profile, wanted: dict[str, object]) -> Profile:
    """A profile by `name`, by explicit values, or both (the values win)."""
    base = named(str(wanted["name"])) if "name" in wanted else replace(profile, name="custom")
    known = {field.name for field in fields(Profile)}
    for key in wanted:
        if key not in known:
            raise ProfileRefused(f"{key} is not known; allowed are {', '.join(sorted(known))}")
    return Profile(
        base.name,
        answer_ms=_range("answer_ms", wanted.get("answer_ms", base.answer_ms)),
        fill_ms=_range("fill_ms", wanted.get("fill_ms", base.fill_ms)),
        piece_ms=_range("piece_ms", wanted.get("piece_ms", base.piece_ms)),
        gap_ms=_range("gap_ms", wanted.get("gap_ms", base.gap_ms)),
        duplicates=_share("duplicates", wanted.get("duplicates", base.duplicates)),
        pieces=_share("pieces", wanted.get("pieces", base.pieces)),
    )


def draw_ns(rng: Random, span: Range) -> int:
    """A duration drawn from a range, in nanoseconds."""
    low, high = span
    return int((low + (high - low) * rng.random()) * NS_PER_MS)

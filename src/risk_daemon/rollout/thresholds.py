"""What counts as too much: the figures of the brief, and how sure a verdict must be.

Rates and probabilities are parts per million, durations ns, latencies µs, memory bytes. A plan
may ask for more than these; one for production may not ask for less.
"""

from __future__ import annotations

from typing import Final

import msgspec

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
MB: Final = 1_000_000


class Declared(msgspec.Struct, frozen=True):
    """A difference that a release says it has: on `cap_ppm` of the rule's firings at most."""

    name: str
    rule: str
    cap_ppm: int


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that judging compares with.

    alpha_ppm: of a healthy release's phases, a gate may abort so many. wrong_pass_ppm: of releases
    exactly at the limit, so many may be proven below it. fine_ppm is the error rate a release
    should have, bad_ppm the one it must be proven below; `proven` are the classes of which that is
    asked.

    Errors with one fingerprint belong to one episode while the next is at most `near_records` or
    `near_ns` after the one before, and less than `episode_records` after the first.

    A release may fail `worse_percent` as often as the other on the same records; when both do,
    `own_ppm` is the doubt with which a failure is still said to be its own.
    """

    alpha_ppm: int = 1_000
    wrong_pass_ppm: int = 50_000
    blocks: int = 96
    patience_ns: int = 90 * SECOND

    fine_ppm: int = 1_000
    bad_ppm: int = 10_000
    proven: tuple[str, ...] = ("fact", "mark")
    near_records: int = 5
    near_ns: int = 10 * SECOND
    episode_records: int = 40
    worse_percent: int = 200
    own_ppm: int = 50_000

    tolerated_percent: int = 120
    slower_percent: int = 150
    slow_us: int = 200_000
    slow_window_ns: int = 5 * MINUTE
    slow_events: int = 50

    firings: int = 64
    changed: tuple[str, ...] = ()
    declared: tuple[Declared, ...] = ()
    goals: int = 1
    late_ppm: int = 10_000

    memory_target_bytes: int = 500 * MB
    memory_limit_bytes: int = 700 * MB
    memory_samples: int = 3
    blind_ns: int = 5 * MINUTE

"""Time. The only file that may ask for it; everyone else is handed a clock.

`now_ns` is UTC, anchored to the monotonic clock when the clock is made and
*slewed* towards the wall clock afterwards, so that a stepped wall clock never
moves it at once, and it never runs backwards. Nor does it ever stand still: where
time in force is ahead (the wall clock was set back) it goes at half speed until it
is caught up with, for whoever waits in it must get there. `steady_ns` is for
durations within one boot. A wall clock further away than `TRUSTED_NS` is not
followed at all: `divergence_ns` shows it, and only `confirm`, with a witness from
outside, makes the clock jump there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

SECOND_NS: Final = 1_000_000_000
#: Wall and anchored clock may differ by this much before someone is told.
TRUSTED_NS: Final = 2 * SECOND_NS
#: Who looks once a second and finds so much more gone by was not there.
ABSENT_NS: Final = 5 * SECOND_NS
#: Greatest correction per elapsed time: 500 millionths, as NTP daemons slew.
_SLEW_DIVISOR: Final = 2_000
#: Time in force that is ahead goes so many times slower until it is caught up with.
_SLOWER: Final = 2


class Timekeeper(Protocol):
    """What a room may ask of a clock."""

    def now_ns(self) -> int:
        """UTC, nanoseconds since 1970; never decreases."""

    def steady_ns(self) -> int:
        """Nanoseconds of the monotonic clock: for durations only."""

    def divergence_ns(self) -> int:
        """How far the wall clock is ahead of this one (negative: behind)."""

    def confirm(self, utc_ns: int) -> bool:
        """A witness says it is `utc_ns`: trust the wall clock again if it agrees."""


class Clock:
    """The machine's clock. `offset_ns` shifts a demo home's time, witnesses included.

    `wall` and `steady` are where it reads the time; the simulator hands in others.
    """

    def __init__(
        self,
        offset_ns: int = 0,
        *,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.offset_ns = offset_ns
        self._wall, self._steady = wall, steady
        self._mono = steady()
        self._anchor = wall()
        self._latest, self._latest_mono = 0, self._mono

    def now_ns(self) -> int:
        """UTC, nanoseconds since 1970, offset included; never decreases, never stands still."""
        mono = self._steady()
        elapsed = mono - self._mono
        anchored = self._anchor + elapsed
        if elapsed >= SECOND_NS:
            anchored += slew(self._wall() - anchored, elapsed)
            self._mono, self._anchor = mono, anchored
        now = anchored + self.offset_ns
        if now < self._latest:
            slowly = (mono - self._latest_mono) // _SLOWER
            now = self._latest + slowly
            mono = self._latest_mono + slowly * _SLOWER  # the rest counts at the next look
        self._latest, self._latest_mono = now, mono
        return now

    def go_on_from(self, utc_ns: int) -> None:
        """Time in force has been at `utc_ns` already: it goes on from there."""
        if utc_ns > self.now_ns():
            self._latest = utc_ns

    def steady_ns(self) -> int:
        """Nanoseconds of the monotonic clock: for durations only."""
        return self._steady()

    def divergence_ns(self) -> int:
        """How far the wall clock is ahead of this one (negative: behind)."""
        return self._wall() - (self._anchor + self._steady() - self._mono)

    def confirm(self, utc_ns: int) -> bool:
        """Jump to the wall clock if a witness (a broker's answer) agrees with it within 2 s.

        Backwards the clock goes slower until time has caught up with it.
        """
        wall = self._wall()
        if abs(wall + self.offset_ns - utc_ns) > TRUSTED_NS:
            return False
        self._mono, self._anchor = self._steady(), wall
        return True


def slew(divergence: int, elapsed: int) -> int:
    """Return the correction (ns) for an elapsed time: none of a divergence that is not trusted."""
    if abs(divergence) > TRUSTED_NS:
        return 0
    most = elapsed // _SLEW_DIVISOR
    return max(-most, min(most, divergence))


class Absence:
    """PURE: notices that the machine slept, or this process stood still, by two clocks' own words.

    A clock that was set forward looks the same; one that was set back is `divergence_ns`'s to tell.
    """

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def look(self, wall: int, steady: int) -> tuple[int, int] | None:
        """Look again; return from when to when (wall, ns) nothing ran, None if all did.

        To be called at least once a second.
        """
        before, self._before = self._before, (wall, steady)
        if before is None:
            return None
        stood = steady - before[1]
        slept = wall - before[0] - stood
        return (before[0], wall) if stood >= ABSENT_NS or slept > TRUSTED_NS else None


class FakeClock:
    """A clock that stands still until it is moved; for tests and simulations."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now = now_ns
        self._steady = 0
        self._divergence = 0

    def now_ns(self) -> int:
        """The time it was set to."""
        return self._now

    def steady_ns(self) -> int:
        """Nanoseconds it has been advanced by."""
        return self._steady

    def divergence_ns(self) -> int:
        """What `diverge` set."""
        return self._divergence

    def confirm(self, utc_ns: int) -> bool:
        """Move to where the wall clock would be, if the witness agrees within 2 s."""
        wall = self._now + self._divergence
        if abs(wall - utc_ns) > TRUSTED_NS:
            return False
        self._now, self._divergence = max(self._now, wall), 0
        return True

    def advance(self, ns: int) -> None:
        """Let time pass."""
        self._now += ns
        self._steady += ns

    def diverge(self, ns: int) -> None:
        """Step the wall clock by `ns` against this one."""
        self._divergence += ns

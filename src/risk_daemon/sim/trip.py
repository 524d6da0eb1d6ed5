"""A limit on a price: reached for sure, perhaps, or not.

The market and the account come over two sockets, and a mark may touch a limit for less than the
way to the daemon and back takes. So a trip is *certain* when the delivered ledger showed it for
longer than any order of arrival can explain, or when a close answered it; it is *doubtful* when
some order of arrival would have shown it. A doubtful one justifies whoever acts on it and accuses
nobody who does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from risk_daemon.sim.flight import NEVER_NS
from risk_daemon.sim.moment import NS_PER_MS

CERTAIN_NS = 50 * NS_PER_MS
#: Everything between an exchange and a daemon's decision takes less than this.
ARRIVAL_NS = 500 * NS_PER_MS
#: Who leaves a position alone for so long, and could act, did not trip.
DOUBT_LASTS_NS = 2000 * NS_PER_MS
FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Trip:
    """One limit on one account. `until` is the end of its lock, None while it has none."""

    until: datetime | None = None
    is_true: bool = False
    is_seen: bool = False
    doubtful_until: datetime | None = None
    _true_ns: int = NEVER_NS
    _seen_since_ns: int | None = None
    _calm_since_ns: int | None = None

    @property
    def is_locked(self) -> bool:
        """Whether the account is locked by it."""
        return self.until is not None

    @property
    def is_doubtful(self) -> bool:
        """Whether an honest daemon may have locked the account."""
        return self.doubtful_until is not None

    @property
    def is_open(self) -> bool:
        """Whether time alone may make it certain, or end a doubt."""
        return not self.is_locked and (self.is_seen or self.is_doubtful)

    def look(
        self, now_ns: int, lock_end: datetime, *, true: bool, seen: bool, wide: bool, calm: bool
    ) -> None:
        """Take what truth and the delivered ledger say now, and whether any arrival would.

        `calm`: something is held, nothing hinders a request, and none is on its way.
        """
        self.is_true, self.is_seen = true, seen
        if self.is_locked:
            return
        if true:
            self._true_ns = now_ns
        self._doubt(now_ns, lock_end, reached=true or seen or wide, calm=calm)
        if not seen:
            self._seen_since_ns = None
            return
        if self._seen_since_ns is None:
            self._seen_since_ns = now_ns
        lasted = now_ns - self._seen_since_ns >= CERTAIN_NS
        if lasted and now_ns - self._true_ns <= ARRIVAL_NS:
            self.lock(lock_end)

    def _doubt(self, now_ns: int, lock_end: datetime, *, reached: bool, calm: bool) -> None:
        if reached:
            self.doubtful_until = lock_end
        if reached or not calm:
            self._calm_since_ns = None
        elif self._calm_since_ns is None:
            self._calm_since_ns = now_ns
        elif now_ns - self._calm_since_ns > DOUBT_LASTS_NS:
            self.doubtful_until = None

    def lock(self, end: datetime) -> None:
        """It is certain now."""
        self.until, self.doubtful_until = end, None

    def roll(self, at: datetime) -> bool:
        """End what ends at a reset; whether a lock ended."""
        if self.doubtful_until is not None and at >= self.doubtful_until:
            self.doubtful_until = None
        if self.until is None or at < self.until:
            return False
        self.until = None
        return True

    def end(self) -> None:
        """A person ended it."""
        self.until = self.doubtful_until = None

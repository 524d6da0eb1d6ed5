"""Fault windows and excuses: when a breach counts as "in a fault", and when lateness is excused.

A window of a fault ends half a second after the fault is over *and* the login's hubs are connected
and subscribed again, five seconds after the fault's end at the latest. A window declared from
outside (a process kill) simply lasts as long as was said, and excuses lateness for five seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from risk_daemon.sim.moment import NS_PER_MS, NS_PER_S

SETTLE_NS = 500 * NS_PER_MS
CAP_NS = 5 * NS_PER_S


@dataclass(slots=True)
class Window:
    """One window; `login` None means every login. `fault_over_ns` None: the fault still lasts."""

    n: int
    login: str | None
    why: str
    starts_ns: int
    excuses: bool
    fault_over_ns: int | None = None
    whole_since_ns: int | None = None
    ends_ns: int | None = None
    excused_until_ns: int | None = None

    def covers(self, login: str) -> bool:
        """Whether it is about this login."""
        return self.login is None or self.login == login


class Windows:
    """All windows, open and past."""

    def __init__(self) -> None:
        self._all: list[Window] = []

    def open_for_fault(
        self, n: int, login: str | None, why: str, now_ns: int, *, excuses: bool
    ) -> Window:
        """A fault began; `excuses` when no request can get through while it lasts."""
        window = Window(n, login, why, now_ns, excuses)
        self._all.append(window)
        return window

    def declare(self, login: str | None, seconds: float, why: str, now_ns: int) -> Window:
        """Somebody outside kills a process, or the like."""
        ends = now_ns + int(seconds * NS_PER_S)
        window = Window(0, login, why, now_ns, excuses=True, fault_over_ns=ends, ends_ns=ends)
        window.excused_until_ns = min(ends, now_ns + CAP_NS)
        self._all.append(window)
        return window

    def fault_over(self, n: int, now_ns: int) -> None:
        """A fault ended; its window follows when the login is whole again."""
        for window in self._all:
            if n and window.n == n and window.fault_over_ns is None:
                window.fault_over_ns = window.excused_until_ns = now_ns

    def tick(self, now_ns: int, whole: dict[str, bool]) -> list[Window]:
        """Close windows whose login is connected and subscribed again; the ones closed now."""
        closed = []
        for window in self._all:
            over_ns = window.fault_over_ns
            if window.ends_ns is not None or over_ns is None:
                continue
            if self._is_past(window, over_ns, now_ns, whole):
                window.ends_ns = now_ns
                closed.append(window)
        return closed

    @staticmethod
    def _is_past(window: Window, over_ns: int, now_ns: int, whole: dict[str, bool]) -> bool:
        is_whole = all(good for login, good in whole.items() if window.covers(login))
        if not is_whole:
            window.whole_since_ns = None
        elif window.whole_since_ns is None:
            window.whole_since_ns = now_ns
        settled = window.whole_since_ns is not None and (
            now_ns - window.whole_since_ns >= SETTLE_NS
        )
        return settled or now_ns - over_ns >= CAP_NS

    def is_open(self, login: str, now_ns: int) -> bool:
        """Whether a breach of this login happens inside a fault window."""
        return any(w.covers(login) and (w.ends_ns is None or now_ns < w.ends_ns) for w in self._all)

    def excuses(self, login: str, now_ns: int) -> bool:
        """Whether lateness is excused now."""
        return any(
            w.covers(login)
            and w.excuses
            and (w.excused_until_ns is None or now_ns < w.excused_until_ns)
            for w in self._all
        )

"""What the console has seen, kept in memory: its answers never wait for another process.

Everything has the steady time of its arrival, so that an answer can say how old
it is. Folds nothing: accounts are as their active worker published them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from risk_daemon.core.events import (
    Entry,
    FeedChanged,
    ProtectionDisabled,
    ProtectionEnabled,
    Pulse,
    QuoteAged,
    RecordQuarantined,
)
from risk_daemon.operations.outbox import Alarm
from risk_daemon.wire.figures import Figures
from risk_daemon.wire.view import AccountView

#: Of latencies that nobody takes away.
LATENCIES_MAX: Final = 10_000
EVENTS_MAX: Final = 500
CONNECTED: Final = "trusted"


@dataclass(slots=True)
class Counted:
    """What happened since somebody last took it away."""

    latencies_us: deque[int] = field(default_factory=lambda: deque(maxlen=LATENCIES_MAX))
    decided: int = 0
    failed: int = 0
    #: Logins, once for each time that they were lost.
    lost: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Seen:
    """The console's memory. Times are steady nanoseconds, 0 where nothing came yet."""

    release: str = ""
    views: dict[int, AccountView] = field(default_factory=dict)
    view_at: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    status_at: int = 0
    journal_connected: bool = False
    last_seq: int = 0
    record_at: int = 0
    records: int = 0
    disabled: ProtectionDisabled | None = None
    disabled_since: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    events: deque[Entry] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    alarms: deque[Alarm] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))

    counted: Counted = field(default_factory=Counted)
    #: By worker: the last record of its figures that were counted; the journal repeats the newest.
    figures_upto: dict[str, int] = field(default_factory=dict)
    feeds: dict[str, str] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)

    def take_figures(self, told: Figures) -> None:
        """A worker told of its turn."""
        if told.upto <= self.figures_upto.get(told.worker, 0):
            return
        self.figures_upto[told.worker] = told.upto
        self.counted.latencies_us.extend(told.latencies_us)
        self.counted.decided += told.decided
        self.counted.failed += told.failed

    def take_counted(self) -> Counted:
        """Hand over what was counted, and begin anew."""
        found, self.counted = self.counted, Counted()
        return found

    def _count(self, entry: Entry) -> None:
        match entry.fact:
            case FeedChanged(login=login, state=state):
                if self.feeds.get(login) == CONNECTED and state != CONNECTED:
                    self.counted.lost.append(login)
                self.feeds[login] = state
            case QuoteAged(contract=contract, state=state):
                (self.stale.add if state == "stale" else self.stale.discard)(contract)
            case RecordQuarantined():
                self.counted.decided += 1
                self.counted.failed += 1
            case _:
                pass

    def take_view(self, view: AccountView, steady_ns: int) -> None:
        """An account's view arrived."""
        self.views[view.account] = view
        self.view_at[view.account] = steady_ns

    def take_alarms(self, alarms: Iterable[Alarm]) -> None:
        """Alarms were delivered."""
        self.alarms.extend(alarms)

    def take_status(self, status: dict[str, Any], steady_ns: int) -> None:
        """The supervisor answered."""
        self.status, self.status_at = status, steady_ns

    def take_entry(self, kind: str, entry: Entry, steady_ns: int) -> None:
        """A record arrived."""
        self.last_seq, self.record_at = entry.seq, steady_ns
        self.records += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self._count(entry)
        self.remember(entry)

    def remember(self, entry: Entry) -> None:
        """Keep a record's story, however old it is."""
        self.take_mark(entry)
        if not isinstance(entry.fact, Pulse):
            self.events.append(entry)

    def take_mark(self, entry: Entry) -> None:
        """Protection was switched off or on, perhaps before we looked."""
        match entry.fact:
            case ProtectionDisabled() as fact:
                self.disabled, self.disabled_since = fact, entry.at
            case ProtectionEnabled():
                self.disabled, self.disabled_since = None, 0
            case _:
                pass

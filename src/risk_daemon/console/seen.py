"""What the console has seen, kept in memory: its answers never wait for another process.

Everything has the steady time of its arrival, so that an answer can say how old
it is. Folds nothing: accounts are as their active worker published them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from risk_daemon.core.events import Entry, ProtectionDisabled, ProtectionEnabled, Pulse
from risk_daemon.operations.outbox import Alarm
from risk_daemon.wire.view import AccountView

EVENTS_MAX: Final = 500


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

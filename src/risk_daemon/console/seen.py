"""What the console has seen, kept in memory: its answers never wait for another process.

Everything has the steady time of its arrival, so that an answer can say how old
it is. Folds nothing: accounts are as their active worker published them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from risk_daemon.console.figures import Compared, Decided, Ended, Mark, Sample
from risk_daemon.console.marks import mark
from risk_daemon.core.events import (
    AlarmRaised,
    DecisionCompared,
    Entry,
    Fact,
    FeedChanged,
    PrintSeen,
    ProtectionDisabled,
    ProtectionEnabled,
    Pulse,
    QuoteAged,
    RecordQuarantined,
    RolloutNoted,
    RolloutStored,
    SampleTaken,
    Timed,
)
from risk_daemon.operations.alerts.channels import OWNERS
from risk_daemon.operations.alerts.outbox import Alarm
from risk_daemon.wire.view import AccountView

EVENTS_MAX: Final = 500
#: Of latencies that nobody takes away.
LATENCIES_MAX: Final = 10_000
CONNECTED: Final = "trusted"
#: A minute of a very busy day; of more than this the oldest are forgotten.
TOLD_MAX: Final = 50_000
#: The samples of a quarter of an hour.
SAMPLES_MAX: Final = 90
#: Seconds over which records are counted.
RATE_S: Final = 10
#: Figures and the passing of time: no event that a person would want to be told of.
QUIET: Final = (Pulse, PrintSeen, RolloutStored, SampleTaken, Timed)
#: How a rollout's audit says that it took something in: it says so of everything.
_HEARD: Final = "heard "
_UNSEEN: Final = "unseen"
_AGREES: Final = "agrees"


@dataclass(slots=True)
class Counted:
    """What happened since somebody last took it away; `failed` are episodes of errors."""

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
    rollout: dict[str, Any] = field(default_factory=dict)
    decided: deque[Decided] = field(default_factory=lambda: deque(maxlen=TOLD_MAX))
    ended: deque[Ended] = field(default_factory=lambda: deque(maxlen=TOLD_MAX))
    compared: deque[Compared] = field(default_factory=lambda: deque(maxlen=TOLD_MAX))
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    #: When we looked, and how far the journal was.
    counts: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=RATE_S + 1))
    #: The last ten seconds as they are now, the last minute, what came since the last sample that
    #: is kept, and the samples of the quarter of an hour before.
    tip: Sample | None = None
    minute: Sample | None = None
    fresh: Sample | None = None
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))

    counted: Counted = field(default_factory=Counted)
    feeds: dict[str, str] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)

    def take_counted(self) -> Counted:
        """Hand over what was counted, and begin anew."""
        found, self.counted = self.counted, Counted()
        return found

    def _count(self, fact: Fact) -> None:
        match fact:
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

    def take_rollout(self, rollout: dict[str, Any]) -> None:
        """The supervisor told how the rollout stands; nothing where there never was one."""
        self.rollout = rollout

    def take_figures(self, told: dict[str, Any], steady_ns: int) -> None:
        """A worker told how long records took, and how goals ended."""
        for account, took_us, begins in told.get("decided", ()):
            self.decided.append(Decided(steady_ns, account, took_us, bool(begins)))
            self.counted.latencies_us.append(took_us)
            self.counted.decided += 1
            self.counted.failed += bool(begins)
        for account, flaw in told.get("ended", ()):
            self.ended.append(Ended(steady_ns, account, flaw))

    def take_entry(self, kind: str, entry: Entry, steady_ns: int) -> None:
        """A record arrived."""
        self.last_seq, self.record_at = entry.seq, steady_ns
        fact = entry.fact
        if isinstance(fact, DecisionCompared) and fact.verdict != _UNSEEN:
            agreed = fact.verdict == _AGREES
            self.compared.append(Compared(steady_ns, fact.account, agreed))
        self.records += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self._count(fact)
        self.remember(entry)

    def remember(self, entry: Entry) -> None:
        """Keep a record's story, however old it is."""
        self.take_mark(entry)
        if not is_quiet(entry.fact):
            self.events.append(entry)
        found = mark(entry)
        if found is not None and found not in self.marks:  # history may have had it already
            self.marks.append(found)

    def take_mark(self, entry: Entry) -> None:
        """Protection was switched off or on, perhaps before we looked."""
        match entry.fact:
            case ProtectionDisabled() as fact:
                self.disabled, self.disabled_since = fact, entry.at
            case ProtectionEnabled():
                self.disabled, self.disabled_since = None, 0
            case _:
                pass


def is_quiet(fact: Fact) -> bool:
    """Tell whether a fact is no event that a person would want to be told of."""
    match fact:
        case RolloutNoted(what=what):
            return what.startswith(_HEARD)
        case DecisionCompared(verdict=verdict):
            return verdict == _AGREES
        case AlarmRaised(audience=audience):
            return audience not in ("", OWNERS)
        case _:
            return isinstance(fact, QUIET)

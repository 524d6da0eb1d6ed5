"""The state file, opened read-only: what is known when the daemon can't be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final

from risk_daemon.core.events import (
    Entry,
    LockEnded,
    LockPlaced,
    PolicyAdopted,
    ProtectionDisabled,
    ProtectionEnabled,
    SettingsAdopted,
)
from risk_daemon.errors import OperatorError
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sqlite import UNREADABLE
from risk_daemon.operations.home import Home
from risk_daemon.wire.record import Record, decode

FILE: Final = "journal.db"
_PAGE: Final = 1_000
_END: Final = 1 << 62
_STANDING: Final = (
    "policy-adopted",
    "settings-adopted",
    "lock-placed",
    "lock-ended",
    "protection-disabled",
    "protection-enabled",
)
#: What `why` tells of an account.
STORY: Final = (
    "breach-found",
    "lock-placed",
    "lock-ended",
    "intended",
    "goal-refused",
    "request-answered",
    "operator-acted",
    "alarm-raised",
    "record-quarantined",
)


@dataclass(slots=True)
class Standing:
    """What stands at the end of the file, by the last word on each thing."""

    last: Record | None = None
    settings: SettingsAdopted | None = None
    settings_seq: int = 0
    policies: dict[int, PolicyAdopted] = field(default_factory=dict)
    policy_seqs: dict[int, int] = field(default_factory=dict)
    locks: dict[str, LockPlaced] = field(default_factory=dict)
    disabled: ProtectionDisabled | None = None
    disabled_at: int = 0

    def take(self, entry: Entry) -> None:
        """Let one record have its word."""
        match entry.fact:
            case PolicyAdopted() as fact:
                self.policies[fact.account], self.policy_seqs[fact.account] = fact, entry.seq
            case SettingsAdopted() as fact:
                self.settings, self.settings_seq = fact, entry.seq
            case LockPlaced() as fact:
                self.locks[fact.lock] = fact
            case LockEnded() as fact:
                self.locks.pop(fact.lock, None)
            case ProtectionDisabled() as fact:
                self.disabled, self.disabled_at = fact, entry.at
            case ProtectionEnabled():
                self.disabled, self.disabled_at = None, 0
            case _:
                pass


@contextmanager
def _opened(home: Home) -> Iterator[Reader]:
    """The file, for one look; one that is damaged or only just begun is said to be unreadable."""
    path = home.state / FILE
    try:
        with closing(Reader(path)) as reader:
            yield reader
    except UNREADABLE as error:
        raise OperatorError(
            f"the state file {path} can't be read: {error}. "
            "`risk-daemon-admin verify-db` says more."
        ) from None


def standing(home: Home) -> Standing:
    """Read what stands; raises NotFound where the home has no state yet."""
    with _opened(home) as reader:
        found = Standing(last=reader.last())
        for entry in _entries(reader, _STANDING):
            found.take(entry)
        return found


def begun(home: Home) -> int | None:
    """When the first record was written, by the home's own time; None before there is one."""
    with _opened(home) as reader:
        first = reader.records(1, _END, (), 1).records
    return first[0].at if first else None


def story(home: Home, account: int, limit: int) -> list[Entry]:
    """The latest records that say what happened to an account, oldest first."""
    with _opened(home) as reader:
        mine = [entry for entry in _entries(reader, STORY) if entry.account in (account, 0)]
        return mine[-limit:]


def latest(home: Home, kinds: Sequence[str], limit: int) -> list[Entry]:
    """The latest records of some kinds, oldest first; looks back a page at a time."""
    with _opened(home) as reader:
        last = reader.last()
        upto = last.seq if last else 0
        found: list[Entry] = []
        while upto > 0 and len(found) < limit:
            first = max(upto - _PAGE + 1, 1)
            page = reader.records(first, upto, kinds, _PAGE)
            found = [*map(decode, page.records), *found]
            upto = first - 1
        return found[-limit:]


def _entries(reader: Reader, kinds: Sequence[str]) -> Iterator[Entry]:
    """Every record of some kinds, page by page."""
    last = reader.last()
    upto, seq = (last.seq if last else 0), 1
    while seq <= upto:
        found = reader.records(seq, upto, kinds, _PAGE)
        yield from map(decode, found.records)
        seq = found.next_seq

"""What the daemon itself says while it is watched: locks, leases and alarms, in its own words."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from risk_daemon.core.events import AlarmRaised, Fact, LeaseGranted, LockEnded, LockPlaced
from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, decode

KINDS: Final = ("lock-placed", "lock-ended", "lease-granted", "alarm-raised")
LIMIT: Final = 200


class Told:
    """Reads a journal from where it left off."""

    def __init__(self, home: Path) -> None:
        self._home = Home(home)
        self._next_seq = 1

    def lines(self) -> list[str]:
        """Return what is new, in words; nothing while the journal does not answer."""

        async def read(journal: JournalClient) -> list[Record]:
            return await journal.tail(self._next_seq, kinds=KINDS, limit=LIMIT)

        try:
            records = asked.with_journal(self._home, read)
        except OperatorError:
            return []
        if records:
            self._next_seq = records[-1].seq + 1
        return _merged([decode(record).fact for record in records])


def _merged(facts: list[Fact]) -> list[str]:
    """Say a grant of many leases in one line."""
    leases = [fact for fact in facts if isinstance(fact, LeaseGranted)]
    lines = [text for fact in facts if (text := _in_words(fact))]
    if leases:
        holders = sorted({f"{one.holder} (epoch {one.epoch})" for one in leases})
        lines.insert(0, f"{len(leases)} accounts are enforced by {', '.join(holders)} now")
    return lines


def _in_words(fact: Fact) -> str:
    match fact:
        case LockPlaced():
            return f"account {fact.account} is locked ({fact.mode}): {fact.reason}"
        case LockEnded():
            return f"account {fact.account} is free of {fact.lock}: {fact.why}"
        case AlarmRaised(level="urgent" | "page"):
            return f"{fact.level}: {fact.text}"
        case _:
            return ""

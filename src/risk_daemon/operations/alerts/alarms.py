"""The latest alarms of the journal as `status` tells them, and whether each was delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from risk_daemon.core.events import AlarmRaised
from risk_daemon.operations.alerts import alarm_log
from risk_daemon.operations.home import Home
from risk_daemon.operations.words import both_times, iso
from risk_daemon.wire.record import Record, decode

KINDS: Final = ("alarm-raised",)
SHOWN: Final = 3


def rows(at: Home, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Each alarm, oldest first."""
    delivered = alarm_log.place(at).seq
    return [
        {
            "seq": record.seq,
            "at": iso(record.at),
            "account": fact.account,
            "level": fact.level,
            "what": fact.what,
            "text": fact.text,
            "delivered": record.seq <= delivered,
        }
        for record in records
        if isinstance(fact := decode(record).fact, AlarmRaised)
    ]


def lines(at: Home, records: Sequence[Record]) -> list[str]:
    """Say them; one that the console has not carried yet is said to wait."""
    return [
        f"alarm {row['seq']} ({row['level']}{'' if row['delivered'] else ', NOT DELIVERED YET'}) "
        f"{both_times(row['at'])}{_of(row['account'])}: {row['what']}: {row['text']}"
        for row in rows(at, records)
    ]


def _of(account: int) -> str:
    return f" {account}" if account else ""

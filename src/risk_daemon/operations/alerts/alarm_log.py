"""The first sink of alarms: a log of its own, which has every alarm once, also after kill -9.

    logs/alarms.log      one JSON line per alarm, as every log; `seq` is its id
    state/outbox.json    the place of the last one, should the log be cut or moved away

A batch is one write and one flush of the log, then the place moves. So after a
death the log's own end says what it has: whole lines count, a torn one never
was delivered and is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from risk_daemon.operations.alerts.outbox import Alarm, Place
from risk_daemon.operations.home import Home
from risk_daemon.operations.words import iso

LOG: Final = "alarms.log"
PLACE: Final = "outbox.json"
SINK: Final = "console"
LOG_BYTES_MAX: Final = 5_000_000
LOGS_KEPT: Final = 3
#: The end of the log that is read again: the alarms people are shown.
END_BYTES: Final = 1 << 18
KEPT_AT_HAND: Final = 500
_LEVELS: Final = {"info": "info", "warn": "warning", "urgent": "error", "page": "critical"}


class AlarmLog:
    """The sink. Used by one process at a time, and by one thread of it."""

    def __init__(self, home: Home) -> None:
        """Open it, cut off a torn line, and find the place it has reached."""
        self._home = home
        self._log = home.logs / LOG
        home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        _cut_torn_end(home)
        self.latest = latest(home)
        self._is_unsure = False
        ends = [one.place for one in self.latest if one.place.seq]
        self.place = max([place(home), *ends], key=lambda one: one.seq)

    def deliver(self, alarms: Sequence[Alarm], now: int = 0) -> None:  # noqa: ARG002
        """Write a batch durably, then move the place. After an OSError the batch comes again."""
        if self._is_unsure:
            # Of the batch that failed some may be there: the log's own end knows which.
            _cut_torn_end(self._home)
            there = {one.place for one in latest(self._home)}
            alarms = [one for one in alarms if one.place not in there or not one.place.seq]
        else:
            self._rotate()
        self._is_unsure = True
        with self._log.open("ab") as file:
            file.write(b"".join(map(_line, alarms)))
            file.flush()
            os.fsync(file.fileno())
        self.latest = [*self.latest, *alarms][-KEPT_AT_HAND:]
        self.rewind(max([self.place, *(one.place for one in alarms)], key=lambda one: one.seq))
        self._is_unsure = False

    def rewind(self, to: Place) -> None:
        """Set the place, durably; it is only what the log's own end may not say any more."""
        self.place = to
        path = self._home.state / PLACE
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode({SINK: to}))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def places(self) -> Iterator[Place]:
        """Places of the latest alarms, the newest first: where a changed journal may be met."""
        yield self.place
        yield from (one.place for one in reversed(self.latest) if one.place.seq)

    def _rotate(self) -> None:
        if not self._log.exists() or self._log.stat().st_size < LOG_BYTES_MAX:
            return
        for number in range(LOGS_KEPT - 1, 0, -1):
            older = self._log.with_name(f"{LOG}.{number}")
            if older.exists():
                older.replace(self._log.with_name(f"{LOG}.{number + 1}"))
        self._log.replace(self._log.with_name(f"{LOG}.1"))


def place(home: Home) -> Place:
    """The place that was written down last; the beginning where there is none."""
    try:
        found = msgspec.json.decode((home.state / PLACE).read_bytes(), type=dict[str, Place])
    except (FileNotFoundError, msgspec.MsgspecError):
        return Place()
    return found.get(SINK, Place())


def latest(home: Home) -> list[Alarm]:
    """The alarms at the end of the log, oldest first."""
    try:
        with (home.logs / LOG).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - END_BYTES, 0))
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    whole = [line for line in lines if line.endswith(b"\n")]
    return [one for line in whole if (one := _alarm(line)) is not None]


def _cut_torn_end(home: Home) -> None:
    path = home.logs / LOG
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def _line(alarm: Alarm) -> bytes:
    """One line as every log of the daemon has them, with the alarm's own fields."""
    fields: dict[str, Any] = {
        "at": iso(alarm.at),
        "level": _LEVELS.get(alarm.level, "warning"),
        "logger": "alarms",
        "event": alarm.what,
        "account": alarm.account,
        "alarm": alarm.level,
        "text": alarm.text,
        "source": alarm.source,
        "audience": alarm.audience,
        "seq": alarm.place.seq,
        "crc": alarm.place.crc,
        "at_ns": alarm.at,
    }
    return json.dumps(fields).encode() + b"\n"


def _alarm(line: bytes) -> Alarm | None:
    try:
        row = json.loads(line)
        return Alarm(
            place=Place(row["seq"], row["crc"]),
            at=row["at_ns"],
            account=row["account"],
            level=row["alarm"],
            what=row["event"],
            text=row["text"],
            source=row["source"],
            audience=row.get("audience", ""),
        )
    except (ValueError, KeyError, TypeError):
        return None

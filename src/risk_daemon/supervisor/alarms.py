"""The supervisor's alarms: said in the stream, and kept while the journal is away.

What is told of a journal that is silent or dead cannot be stored by it: it is said again, once,
by the one that takes its place.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Final

from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import JournalAway
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Appended
from risk_daemon.wire.record import NewRecord, new_record

#: More than so many are about one thing.
KEPT_MAX: Final = 200
#: What calls people: whom to reach is part of it.
CALLING: Final = (
    "restarts do not help",
    "last good release",
    "minimal protector",
    "people are needed",
)

_log = logging.getLogger("supervisor")


class Alarms:
    """Says alarms, and says again what was not heard."""

    def __init__(self, journal: JournalClient, source: str) -> None:
        self._journal, self._source = journal, source
        self._unheard: deque[NewRecord] = deque(maxlen=KEPT_MAX)
        self._count = 0
        #: Whom to reach, in words; nothing where nobody is known.
        self.people: Callable[[], str] = lambda: ""

    def say(self, level: str, what: str, text: str) -> None:
        """Tell people: into the log at once, into the stream as soon as there is one."""
        if level == "page" and what in CALLING and (people := self.people()):
            text = f"{text}; {people}"
        _log.warning(what, extra={"level_of_alarm": level, "text": text})
        self._count += 1
        alarm = AlarmRaised(account=0, level=level, what=what, text=text, source=self._source)
        self._send(new_record(alarm, once=f"{self._source}-{os.getpid()}-{self._count}"))

    def say_again(self) -> None:
        """The journal is back: what it has not answered is sent anew, and stored once."""
        unheard, self._unheard = list(self._unheard), deque(maxlen=KEPT_MAX)
        for record in unheard:
            self._send(record)

    def _send(self, record: NewRecord) -> None:
        self._unheard.append(record)
        if self._journal.is_open:
            future = self._journal.append([record])
            future.add_done_callback(lambda done: self._answered(record, done))

    def _answered(self, record: NewRecord, done: asyncio.Future[Appended]) -> None:
        if done.cancelled() or isinstance(done.exception(), JournalAway):
            return  # kept, and said again when the journal is back
        if record in self._unheard:
            self._unheard.remove(record)

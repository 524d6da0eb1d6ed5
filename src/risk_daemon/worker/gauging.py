"""What a worker can tell people of its own work, rollout or not: how long records took, and flaws.

Asked for once a second by the console and kept nowhere else: a verdict never rests on it (that is
`sampling`, whose samples are in the stream). Only what this worker holds is told, so that nobody is
counted twice. Pure but for what it remembers; bounded by number and by age, the oldest goes first.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from risk_daemon.core.engine import Engine
from risk_daemon.core.events import Entry, FeedChanged, RequestSent
from risk_daemon.worker.goals import Goals
from risk_daemon.worker.sampling import BROKER_FACTS, fault_of

#: Some seconds of a very busy day; who asks more seldom is told how many are missing.
KEPT: Final = 4_000
#: ... and for so long, in ns: nobody asks for what is older. By number alone it grows for hours on
#: a calm day, as a leak does.
KEPT_NS: Final = 60_000_000_000


class Gauge:
    """The latest records that were decided here, and the latest goals that came to their end."""

    def __init__(self) -> None:
        self._number = 0
        #: Number, ns UTC, account, µs from the record's stamp to its decision, whether an episode
        #: began.
        self._decided: deque[tuple[int, int, int, int, int]] = deque(maxlen=KEPT)
        #: Number, ns UTC, account, flaw.
        self._ended: deque[tuple[int, int, int, str]] = deque(maxlen=KEPT)
        self._faults: dict[int, str] = {}
        self._under_way = Goals()

    def take(self, entry: Entry, engine: Engine, took_ns: int, *, is_mine: bool) -> None:
        """Take a record that was folded and decided."""
        self._forget(entry.at - KEPT_NS)
        if isinstance(entry.fact, FeedChanged):
            for known in engine.world.accounts.values():
                self._under_way.look(known)
        account = engine.world.accounts.get(entry.account)
        if account is None:
            return
        for goal in self._under_way.take(account):
            if is_mine:
                self._number += 1
                self._ended.append((self._number, entry.at, account.account, goal.flaw))
        if isinstance(entry.fact, RequestSent):
            self._under_way.sent(entry.fact, entry.at)
        if not isinstance(entry.fact, BROKER_FACTS):
            return
        fault = fault_of(engine, entry.account)
        is_news = bool(fault) and fault != self._faults.get(entry.account, "")
        self._faults[entry.account] = fault
        if is_mine:
            self._number += 1
            took_us = max(took_ns, 0) // 1_000
            row = (self._number, entry.at, entry.account, took_us, int(is_news))
            self._decided.append(row)

    def since(self, number: int) -> dict[str, Any]:
        """Return what came after a number, and the number to ask with next; all if it is unknown.

        A worker that was restarted counts from nothing: then the asker's number is too high.
        """
        after = number if 0 <= number <= self._number else 0
        decided = [list(row[2:]) for row in self._decided if row[0] > after]
        ended = [list(row[2:]) for row in self._ended if row[0] > after]
        lost = max(self._number - after - len(decided) - len(ended), 0)
        return {"next": self._number, "decided": decided, "ended": ended, "lost": lost}

    def _forget(self, before: int) -> None:
        while self._decided and self._decided[0][1] < before:
            self._decided.popleft()
        while self._ended and self._ended[0][1] < before:
            self._ended.popleft()

"""What a worker can tell people of its own work, rollout or not: how long records took, and flaws.

Asked for once a second by the console and kept nowhere else: a verdict never rests on it (that is
`sampling`, whose samples are in the stream). Only what this worker holds is told, so that nobody is
counted twice. Pure but for what it remembers; bounded, the oldest goes first.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from risk_daemon.core.account import Account
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import Entry, FeedChanged, RequestSent
from risk_daemon.worker.sampling import BROKER_FACTS, UnderWay, fault_of

#: Some seconds of a very busy day; who asks more seldom is told how many are missing.
KEPT: Final = 4_000


class Gauge:
    """The latest records that were decided here, and the latest goals that came to their end."""

    def __init__(self) -> None:
        self._number = 0
        #: Number, account, µs from the record's stamp to its decision, whether an episode began.
        self._decided: deque[tuple[int, int, int, int]] = deque(maxlen=KEPT)
        #: Number, account, flaw.
        self._ended: deque[tuple[int, int, str]] = deque(maxlen=KEPT)
        self._faults: dict[int, str] = {}
        self._plans: dict[int, dict[str, UnderWay]] = {}

    def take(self, entry: Entry, engine: Engine, took_ns: int, *, is_mine: bool) -> None:
        """Take a record that was folded and decided."""
        if isinstance(entry.fact, FeedChanged):
            for number in self._plans:
                self._cut_off(engine.world.accounts[number])
        account = engine.world.accounts.get(entry.account)
        if account is None:
            return
        if account.plans or entry.account in self._plans:
            self._goals(account, is_mine=is_mine)
            if isinstance(entry.fact, RequestSent):
                self._sent(entry.fact, entry.at)
        if not isinstance(entry.fact, BROKER_FACTS):
            return
        fault = fault_of(engine, entry.account)
        is_news = bool(fault) and fault != self._faults.get(entry.account, "")
        self._faults[entry.account] = fault
        if is_mine:
            self._number += 1
            row = (self._number, entry.account, max(took_ns, 0) // 1_000, int(is_news))
            self._decided.append(row)

    def _goals(self, account: Account, *, is_mine: bool) -> None:
        """Note each contract whose plan is over, the way `sampling` tells of it."""
        known = self._plans.setdefault(account.account, {})
        for name in sorted(known.keys() - account.plans.keys()):
            flaw = known.pop(name).flaw
            if is_mine:
                self._number += 1
                self._ended.append((self._number, account.account, flaw))
        for name, plan in account.plans.items():
            goal = known.setdefault(name, UnderWay(plan.since))
            goal.residues = len(plan.residues)
        self._cut_off(account)
        if not known:
            del self._plans[account.account]

    def _cut_off(self, account: Account) -> None:
        """Remember of goals for which nothing has left that nobody could see the account."""
        if not account.is_seen:
            for goal in self._plans[account.account].values():
                goal.was_cut_off |= not goal.sent_at

    def _sent(self, sent: RequestSent, at: int) -> None:
        goal = self._plans.get(sent.account, {}).get(sent.contract)
        if goal is not None:
            goal.sent_at = goal.sent_at or at

    def since(self, number: int) -> dict[str, Any]:
        """Return what came after a number, and the number to ask with next; all if it is unknown.

        A worker that was restarted counts from nothing: then the asker's number is too high.
        """
        after = number if 0 <= number <= self._number else 0
        decided = [list(row[1:]) for row in self._decided if row[0] > after]
        ended = [list(row[1:]) for row in self._ended if row[0] > after]
        lost = max(self._number - after - len(decided) - len(ended), 0)
        return {"next": self._number, "decided": decided, "ended": ended, "lost": lost}

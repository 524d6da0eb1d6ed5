"""Goals under way, contract by contract, and what was wrong with each when it had come to its end.

Pure but for what it remembers. Who tells of goals, to a judge or to people, counts them here, so
that both mean the same by late.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.core.account import Account
from risk_daemon.core.events import RequestSent
from risk_daemon.wire.sample import Flaw

#: A goal for which nothing left within this is late. How long its proof takes is no fault of a
#: release's: the reads of a login are rationed, and twenty accounts may wait for them.
LATE_NS: Final = 1_000_000_000


class UnderWay:
    """A goal of one contract: since when, when the first request for it left, and its residues.

    `was_cut_off`: the login had lost its feed before, and nobody could be quick.
    """

    def __init__(self, contract: str, since: int) -> None:
        self.contract, self.since = contract, since
        self.sent_at = self.residues = 0
        self.was_cut_off = False

    @property
    def flaw(self) -> Flaw:
        """What is wrong with how it was reached; nothing where nothing had to be sent."""
        if self.residues:
            return "residue"
        is_late = self.sent_at - self.since > LATE_NS and not self.was_cut_off
        return "late" if is_late else ""


class Goals:
    """The goals under way of every account; one without any is not remembered."""

    def __init__(self) -> None:
        self._under_way: dict[int, dict[str, UnderWay]] = {}

    def clear(self) -> None:
        """Begin anew."""
        self._under_way.clear()

    def take(self, account: Account) -> list[UnderWay]:
        """Look at an account after a record; return the goals that are over, by contract."""
        if not account.plans and account.account not in self._under_way:
            return []
        known = self._under_way.setdefault(account.account, {})
        over = [known.pop(name) for name in sorted(known.keys() - account.plans.keys())]
        for name, plan in account.plans.items():
            goal = known.setdefault(name, UnderWay(name, plan.since))
            goal.residues = len(plan.residues)
        self.look(account)
        if not known:
            del self._under_way[account.account]
        return over

    def look(self, account: Account) -> None:
        """Remember of goals for which nothing has left that nobody could see the account."""
        if not account.is_seen:
            for goal in self._under_way.get(account.account, {}).values():
                goal.was_cut_off |= not goal.sent_at

    def sent(self, sent: RequestSent, at: int) -> None:
        """A request left; the first one for a contract's goal counts."""
        goal = self._under_way.get(sent.account, {}).get(sent.contract)
        if goal is not None:
            goal.sent_at = goal.sent_at or at

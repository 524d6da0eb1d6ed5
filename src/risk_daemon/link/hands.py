"""What the link does for people, and for workers while the journal is away.

Nothing here is decided by rules: a person's order is a goal like any other, sized
by the fence; what must be durable first is written to this disk where the journal
does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from risk_daemon.broker import fence
from risk_daemon.broker.port import Reading
from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import Goal, Intended, LeaseGranted, LockPlaced, OperatorActed
from risk_daemon.errors import JournalAway
from risk_daemon.journal.segment import Segment, once
from risk_daemon.link.desk import Desk
from risk_daemon.link.reader import ASKED, Reader
from risk_daemon.settings import Login
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import new_record

#: A journal that has not answered by then is treated as away (the same bound as for a close).
ACT_WITHIN_S: Final = 0.25


class Hands:
    """Acts of people on the accounts of one login."""

    def __init__(
        self,
        login: Login,
        gate: fence.Gate,
        desk: Desk,
        reader: Reader,
        journal: JournalClient,
        clock: Timekeeper,
        emergency: Segment,
        raise_epoch: Callable[[LeaseGranted], None],
    ) -> None:
        self._raise_epoch = raise_epoch
        self._login, self._gate, self._desk, self._reader = login, gate, desk, reader
        self._journal, self._clock, self._emergency = journal, clock, emergency
        #: Names of the locks that are in the segment.
        self._kept: set[str] = set()

    def take_directly(self, intended: Intended, locks: Sequence[LockPlaced] = ()) -> str:
        """Take a goal that closes from the worker itself; return why not, or "".

        Only while the journal does not answer, and only what is safe at any age:
        a close under a lock, a cancel. The locks that stand are flushed to the disk, then the
        goal, before it may leave.
        """
        why = objection(intended, self._login)
        if why:
            return why
        if not self._desk.knows(intended.key):
            for lock in locks:
                self._keep_lock(lock)
            at = fence.leaves_at(self._gate, intended.account, self._clock.now_ns())
            self._emergency.write(intended, at)
            self._desk.take(intended)
        return ""

    def keep(self, wanted: LockPlaced | LeaseGranted) -> str:
        """Make a lock or a lease durable that the journal does not store; return why not, or "".

        A lease: only while the journal is away altogether, and only the epoch after the highest
        that was ever seen here; from then on the fence lets nothing older through.
        """
        if wanted.account not in self._login.accounts:
            return f"account {wanted.account} is not of login {self._login.name}"
        if isinstance(wanted, LockPlaced):
            self._keep_lock(wanted)
            return ""
        present = self._gate.of(wanted.account).epoch
        if self._journal.is_open:
            return "the journal is there: it grants leases"
        if wanted.epoch != present + 1:
            return f"account {wanted.account}: its epoch is {present}, not {wanted.epoch - 1}"
        self._emergency.write(wanted)
        self._raise_epoch(wanted)
        return ""

    def _keep_lock(self, lock: LockPlaced) -> None:
        if once(lock) not in self._kept:
            self._emergency.write(lock)
            self._kept.add(once(lock))

    def forget_kept(self) -> None:
        """The journal has what was kept: the segment is empty."""
        self._kept.clear()

    async def act(self, acted: OperatorActed) -> str:
        """Store a person's act durably; return where: in the journal, or on this disk instead.

        Whichever answers: an act that got to both is one act, by its id.
        """
        try:
            async with asyncio.timeout(ACT_WITHIN_S):
                answer = await self._journal.append([new_record(acted, once(acted))])
            if not answer.refused:
                return "journal"
        except (JournalAway, TimeoutError):
            pass  # the file is for this
        self._emergency.write(acted)
        return "emergency file"

    async def flatten(self, account: int, by: str, reason: str, within_s: float) -> list[str]:
        """Close an account on a person's order; return what is left, proven by a read."""
        began = self._clock.now_ns()
        deadline = asyncio.get_running_loop().time() + within_s
        turn = 0
        # What is seen is closed at once: a read waits for the broker, and perhaps for the budget.
        self._close_by_hand(account, f"{by}: {reason}", f"{began}-{turn}")
        while True:
            left = await self._left(account)
            if left is not None and not left:
                return []
            if asyncio.get_running_loop().time() > deadline:
                return left if left is not None else ["the account could not be read"]
            turn += 1
            self._close_by_hand(account, f"{by}: {reason}", f"{began}-{turn}")
            await asyncio.sleep(0.1)

    def _close_by_hand(self, account: int, reason: str, turn: str) -> None:
        gate = self._gate.of(account)
        goals = [
            Goal(act="close", account=account, contract=name, locked=True, reason=reason)
            for name, view in sorted(gate.views.items())
            if not view.is_flat and name not in gate.slots
        ]
        shut = all(view.is_flat for view in gate.views.values())
        goals += [
            Goal(
                act="cancel",
                account=account,
                contract=seen.order.contract,
                order=number,
                locked=True,
                closing=True,
                reason=reason,
            )
            for number, seen in sorted(gate.orders.items())
            if fence.is_working(seen.order)
            and number not in gate.cancels
            and (shut or not fence.protects(seen.order, gate.view(seen.order.contract).quantity))
        ]
        for goal in goals:
            key = f"{account}:by-hand:{turn}:{goal.act}-{goal.contract}-{goal.order}"
            intended = Intended(account=account, epoch=gate.epoch, cause_seq=0, key=key, goal=goal)
            self._desk.take(intended, by_person=True)

    async def read_now(self, account: int, within_s: float) -> Reading | None:
        """Have the account read from now on; None when no stable read came in time."""
        began = self._clock.now_ns()
        self._reader.want(account, why=ASKED)
        try:
            async with asyncio.timeout(within_s):
                await self._reader.read_since((account,), began)
        except TimeoutError:
            return None
        return self._reader.last[account]

    async def _left(self, account: int) -> list[str] | None:
        """Read the account now and name what is open in it; None when it cannot be read."""
        reading = await self.read_now(account, 2.0)
        if reading is None:
            return None
        left = [f"{row.contract}: {row.quantity}" for row in reading.rows.positions if row.quantity]
        return left + [f"order {row.order} ({row.contract})" for row in reading.rows.orders]


def objection(intended: Intended, login: Login) -> str:
    """Say why a goal may not come from a worker directly, or ""."""
    goal = intended.goal
    if intended.account not in login.accounts:
        return f"account {intended.account} is not of login {login.name}"
    if not (goal.locked and goal.act in ("close", "cancel")):
        return f"without the journal only closes and cancels under a lock leave, not {goal.act}"
    return ""

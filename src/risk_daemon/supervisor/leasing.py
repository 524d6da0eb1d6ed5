"""The machine of leases at work: what it asks for is done here, what comes of it is fed back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from risk_daemon.errors import JournalAway, OperatorError
from risk_daemon.supervisor import aside, promotion
from risk_daemon.supervisor.moving import Mover
from risk_daemon.supervisor.release import release_of
from risk_daemon.wire import control

if TYPE_CHECKING:
    from risk_daemon.supervisor.loop import Supervisor

LOOK_EVERY_S: Final = 0.05

_log = logging.getLogger("supervisor")


class Leasing:
    """Who holds which account, as the journal tells it, and who is to be next."""

    def __init__(self, of: Supervisor) -> None:
        self._of = of
        self.state = promotion.State(accounts=of.settings.accounts())
        self.mover = Mover(of.home / "run", of.journal, of.clock, self.feed)
        #: By account: the epoch of a lease that its link keeps, until the journal has it.
        self._kept: dict[int, int] = {}

    def feed(self, given: promotion.Input) -> None:
        """Tell the machine what happened, and do what it says; nothing more while we stop."""
        if self._of.stopping.is_set():
            return
        self.state, outputs = promotion.step(self.state, given)
        for output in outputs:
            match output:
                case promotion.Kill(name=name):
                    self._of.running[name].kill()
                case promotion.Grant():
                    self._of.start(self._grant(output))
                case promotion.AskLeases():
                    self._of.start(self._ask())
                case promotion.Drain():
                    self._of.start(self.mover.drain(output))
                case promotion.EndDrain():
                    self.mover.end_drain(output)
                case promotion.Compare():
                    self._of.start(self.mover.compare(output))
                case promotion.Moved() | promotion.Kept():
                    self.mover.told(output)
                case promotion.MoveEnded():
                    self.mover.ended(output)

    async def _grant(self, wanted: promotion.Grant) -> None:
        release = release_of(wanted.holder)
        grants = [
            control.Grant(account, epoch, wanted.holder, release)
            for account, epoch in wanted.accounts
        ]
        try:
            answer = await self._of.journal.grant(grants, wanted.latch)
        except JournalAway:
            # Two things may come first, of two rooms: a connection, or a process's end.
            while not self._of.journal.is_open and "journal" in self._of.running:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EVERY_S)
            if self._of.journal.is_open:
                self.feed(promotion.GrantFailed())
            elif wanted.latch:
                self.feed(promotion.LatchShut())  # nobody can tell: unknown is not passed
            else:
                await self._grant_aside(wanted)
            return
        if answer.refused:
            _log.warning("grant refused", extra={"why": answer.refused})
            shut = promotion.LatchShut() if answer.is_shut else promotion.GrantFailed()
            self.feed(shut)
            return
        mine = {lease.account: lease for lease in self.state.leases}
        mine |= {lease.account: _lease(lease) for lease in answer.leases}
        self.feed(promotion.LeasesSeen(tuple(mine[n] for n in sorted(mine))))

    async def _grant_aside(self, wanted: promotion.Grant) -> None:
        """Have the links keep a lease while there is no journal: a fail-over waits for no disk.

        Nobody else grants meanwhile: the journal is dead and reaped, and is started from here only.
        """
        try:
            mine = await aside.grant(self._of.home / "run", self._of.settings, wanted)
        except OperatorError as error:
            self._of.alarms.say("page", "no fail-over", f"without a journal: {error.sentence}")
            self.feed(promotion.GrantFailed())
            return
        self._of.alarms.say("urgent", "fail-over", f"{wanted.holder} holds a lease that links keep")
        self._kept |= {lease.account: lease.epoch for lease in mine}
        held = {lease.account: lease for lease in (*self.state.leases, *mine)}
        self.feed(promotion.LeasesSeen(tuple(held[n] for n in sorted(held))))

    async def _ask(self) -> None:
        try:
            held = await self._of.journal.leases()
        except JournalAway:
            return  # whoever reconnects asks again when the journal is back
        epochs = {lease.account: lease.epoch for lease in held.leases}
        if any(epochs.get(account, 0) < epoch for account, epoch in self._kept.items()):
            await asyncio.sleep(LOOK_EVERY_S)  # its link still has to bring it
            self._of.start(self._ask())
            return
        self._kept.clear()
        self.feed(promotion.LeasesSeen(tuple(_lease(lease) for lease in held.leases)))

    def learn(self, leases: Sequence[control.Lease]) -> None:
        """Take the journal's word on leases that others had raised.

        Not while a grant is under way: its own answer tells, also where it is refused for this.
        """
        known = {lease.account: lease.epoch for lease in self.state.leases}
        is_newer = any(lease.epoch > known.get(lease.account, 0) for lease in leases)
        if is_newer and not self.state.is_granting:
            self.feed(promotion.LeasesSeen(tuple(_lease(lease) for lease in leases)))


def _lease(lease: control.Lease) -> promotion.Lease:
    return promotion.Lease(lease.account, lease.holder, lease.epoch, lease.release)

"""Hosts the controller's machine: stores its row, gives its orders, takes in what comes of them.

Dull: what is decided is decided in `risk_daemon.rollout.machine`. The row is in the journal's
file; so a controller may die at any moment, and the next one reads the row and goes on. While it
is dead, or stands still because something unforeseen happened in it, nothing is switched and
every account stays with whom it has: a rollout is never what protects an account.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from risk_daemon.core.events import AlarmRaised, RolloutNoted
from risk_daemon.errors import DaemonError, OperatorError, Refused
from risk_daemon.rollout import machine, messages
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.messages import Held
from risk_daemon.rollout.plan import Plan, Version
from risk_daemon.rollout.row import Holding, Row
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import NewRecord, new_record

SOURCE: Final = "rollout"
#: A write that was refused, or an order that could not be carried out, is tried again after this.
AGAIN_AFTER_S: Final = 0.5
ANSWERED_WITHIN_S: Final = 15.0

_log = logging.getLogger(SOURCE)

#: What a person may ask for.
type Wish = (
    messages.Start
    | messages.Approve
    | messages.Promote
    | messages.Complete
    | messages.Stop
    | messages.Resume
    | messages.Abort
    | messages.Accept
    | messages.Supersede
)


class Said(msgspec.Struct, frozen=True):
    """What came of a look: pass, fail, or unmeasurable where it could not be asked; and why."""

    says: str
    why: str = ""


class Moved(msgspec.Struct, frozen=True):
    """What an account has after a switch was tried; `why` is empty where it has what was wanted."""

    held: Held
    why: str = ""


class Hands(Protocol):
    """What a controller acts with. Each raises DaemonError where it can't tell what came of it."""

    async def switch(
        self, version: Version, epochs: Mapping[int, int], latch: str
    ) -> Mapping[int, Moved]:
        """Move accounts, each only at its epoch and while the row has this latch."""
        ...

    async def smoke(self, account: int, version: Version) -> Said:
        """Look whether this version enforces an account, and well."""
        ...

    async def reconcile(self, account: int) -> Said:
        """Compare an account with the broker's truth."""
        ...

    async def warm(self, version: Version) -> None:
        """Have a version's workers warm."""
        ...

    async def retire(self, version: Version) -> None:
        """Let a version's workers go."""
        ...

    async def held(self, plan: Plan) -> tuple[Held, ...]:
        """Return what enforces each guarded account, by the journal's word, as a plan names it."""
        ...

    def version_of(self, plan: Plan, account: int, release: str) -> Version:
        """Return what an account that a release holds has in a plan, as far as is known."""
        ...


class Controller:
    """The controller of one home; at most one rollout is under way in it."""

    def __init__(
        self,
        journal: JournalClient,
        hands: Hands,
        now: Callable[[], int],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """`now` is UTC ns; `start` runs a coroutine beside everything else."""
        self._journal, self.hands, self._now, self._start = journal, hands, now, start
        self.state: machine.State | None = None
        #: Why it stands still; empty while it does not.
        self.stuck = ""
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[tuple[str, ...]]] = {}

    @property
    def row(self) -> Row | None:
        """The rollout as it is now; None where there never was one."""
        return self.state.row if self.state is not None else None

    # --- beginning ---

    async def recover(self) -> None:
        """Take up what the journal has; a row that can't be read is told, and left alone."""
        stored = await self._journal.read_rollout()
        if not stored.revision:
            return
        try:
            held = await self.hands.held(rows.decode(stored.body).plan)
            state, outputs = machine.restart(
                messages.Recovered(
                    at=self._now(),
                    revision=stored.revision,
                    body=stored.body,
                    held=held,
                )
            )
        except msgspec.MsgspecError as error:
            self._stand_still(f"the stored row of {stored.rollout} can't be read: {error}")
            return
        self._take(state, outputs)

    async def begin(self, plan: Plan, risks: Mapping[int, int]) -> None:
        """Store a plan as this home's rollout. Raises Refused where one is under way."""
        self._refuse_while_stuck()
        row = self.row
        if row is not None and not rows.is_over(row) and row.stage != rows.DONE:
            raise Refused(
                f"the rollout {row.plan.rollout} of {row.plan.candidate} is under way ({row.stage})"
                "; nothing was changed. End it with `risk-daemon-admin rollout abort`, or let the "
                "new one supersede it."
            )
        held = {one.account: one for one in await self.hands.held(plan)}
        accounts = {
            number: Holding(
                has=held[number].version, epoch=held[number].epoch, risk=risks.get(number, 0)
            )
            for number in plan.order
            if number in held
        }
        stored = await self._journal.read_rollout()
        fresh = machine.begin(rows.begin(plan, accounts), stored.revision)
        self._take(*fresh)

    # --- people ---

    async def ask(self, given: Wish) -> tuple[str, ...]:
        """Take what a person asks; return why it is refused, nothing where it is done and stored.

        Raises Refused where there is no rollout, and TimedOut where nothing comes of it.
        """
        self._refuse_while_stuck()
        if self.state is None:
            raise Refused(
                "there is no rollout here; begin one: `risk-daemon-admin deploy plan --help`."
            )
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self.feed(msgspec.structs.replace(given, ask=number, at=self._now()))
            return await asyncio.wait_for(future, ANSWERED_WITHIN_S)
        except TimeoutError:
            raise OperatorError(
                f"it was not stored within {ANSWERED_WITHIN_S:g} s; look at "
                "`risk-daemon-admin rollout status`, it is safe to repeat.",
                7,
            ) from None
        finally:
            self._asked.pop(number, None)

    def _refuse_while_stuck(self) -> None:
        if self.stuck:
            raise OperatorError(
                f"the rollout stands still: {self.stuck}. Every account stays with whom it has; "
                "`risk-daemon-admin rollback --all --to-version` works without it."
            )

    # --- the machine ---

    def feed(self, given: machine.Input) -> None:
        """Take what was seen; nothing where there is no rollout, or where it stands still."""
        if self.state is None or self.stuck:
            return
        with self.standing():
            self._take(*machine.step(self.state, given))

    def _take(self, state: machine.State, outputs: machine.Outputs) -> None:
        self.state = state
        switches: dict[tuple[Version, str], list[messages.Switch]] = {}
        for output in outputs:
            match output:
                case messages.Persist():
                    self._run(self._store(output))
                case messages.Switch(version=version, latch=latch):
                    switches.setdefault((version, latch), []).append(output)
                case messages.Answer(ask=number, refused=refused):
                    future = self._asked.get(number)
                    if future is not None and not future.done():
                        future.set_result(refused)
                case _:
                    self._run(self._carry_out(output))
        for orders in switches.values():
            self._run(self._switch(orders))

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        self._start(self._watched(what))

    async def _watched(self, what: Coroutine[Any, Any, None]) -> None:
        with self.standing():
            await what

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Stand still where something unforeseen happens: who hosts us has accounts to protect."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is told, and nothing goes on from it
            _log.exception("the rollout stands still")
            self._stand_still(f"{type(error).__name__}: {error}")

    def _stand_still(self, why: str) -> None:
        self.stuck = why
        text = f"the rollout stands still, every account stays with whom it has: {why}"
        alarm = AlarmRaised(account=0, level="page", what="rollout", text=text, source=SOURCE)
        self._journal.append([new_record(alarm)])

    # --- writing ---

    async def _store(self, persist: messages.Persist) -> None:
        try:
            answer = await self._journal.store_rollout(
                persist.name,
                persist.expected,
                persist.latch,
                persist.body,
                persist.bump,
                records_of(persist),
            )
            if not answer.refused:
                bumped = await self._bumped(persist)
                self.feed(
                    messages.Persisted(at=self._now(), revision=answer.revision, bumped=bumped)
                )
                return
            _log.warning("row refused", extra={"why": answer.refused})
        except DaemonError as error:  # it may be stored or not: the journal tells
            _log.warning("row not stored", extra={"why": str(error)})
        await self._read_again()

    async def _bumped(self, persist: messages.Persist) -> tuple[Held, ...]:
        if not persist.bump:
            return ()
        raised, plan = set(persist.bump), rows.decode(persist.body).plan
        return tuple(one for one in await self.hands.held(plan) if one.account in raised)

    async def _read_again(self) -> None:
        """Go by what the journal has, once it answers."""
        while True:
            await asyncio.sleep(AGAIN_AFTER_S)
            try:
                row = self.row
                assert row is not None
                stored = await self._journal.read_rollout()
                held = await self.hands.held(row.plan)
            except DaemonError:
                continue
            break
        state = self.state
        if stored.rollout != row.plan.rollout and (state is None or state.stored is not None):
            self._stand_still(f"the journal has the row of another rollout, {stored.rollout}")
            return
        self.feed(
            messages.Recovered(
                at=self._now(),
                revision=stored.revision,
                body=stored.body,
                held=held,
            )
        )

    # --- orders ---

    async def _switch(self, orders: Sequence[messages.Switch]) -> None:
        """Move the accounts of these orders, all of one version and latch, together."""
        first = orders[0]
        epochs = {one.account: one.epoch for one in orders}
        try:
            moved = await self.hands.switch(first.version, epochs, first.latch)
        except DaemonError as error:
            _log.warning("switch without an answer", extra={"why": str(error)})
            await self._again(*(one.id for one in orders))
            return
        for one in orders:
            self._switched(one, moved[one.account])

    def _switched(self, order: messages.Switch, moved: Moved) -> None:
        if moved.why:
            self.feed(
                messages.SwitchFailed(at=self._now(), id=order.id, held=moved.held, why=moved.why)
            )
        else:
            self.feed(messages.Switched(at=self._now(), id=order.id, held=moved.held))

    async def _carry_out(self, order: messages.Order) -> None:
        try:
            given = await self._done(order)
        except DaemonError as error:
            _log.warning("order without an answer", extra={"id": order.id, "why": str(error)})
            await self._again(order.id)
            return
        self.feed(given)

    async def _done(self, order: messages.Order) -> machine.Input:
        match order:
            case messages.Smoke(account=account, version=version):
                said = await self.hands.smoke(account, version)
                return messages.SmokeSaid(at=self._now(), id=order.id, says=said.says, why=said.why)
            case messages.Reconcile(account=account):
                said = await self.hands.reconcile(account)
                return messages.Reconciled(
                    at=self._now(), id=order.id, says=said.says, why=said.why
                )
            case messages.Warm(version=version):
                await self.hands.warm(version)
            case messages.Retire(version=version):
                await self.hands.retire(version)
            case messages.Switch():
                raise AssertionError("switches are carried out together")
        return messages.Carried(at=self._now(), id=order.id)

    async def _again(self, *ids: str) -> None:
        await asyncio.sleep(AGAIN_AFTER_S)
        for name in ids:
            self.feed(messages.TimedOut(at=self._now(), id=name))


def records_of(persist: messages.Persist) -> list[NewRecord]:
    """Return the audit and the messages of a write, as records that are stored with it."""
    notes = [
        RolloutNoted(
            rollout=persist.name,
            what=one.what,
            actor=one.actor,
            reason=one.reason,
            evidence=one.evidence,
        )
        for one in persist.entries
    ]
    tells = [
        AlarmRaised(
            account=0,
            level=one.level,
            what="rollout",
            text=one.words,
            source=SOURCE,
            audience=one.audience,
        )
        for one in persist.tells
    ]
    return [new_record(fact) for fact in (*notes, *tells)]

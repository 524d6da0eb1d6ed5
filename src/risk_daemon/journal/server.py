"""The journal's loop: frames in, batches to the writer, records and answers out.

It decides nothing (`intake` does) and waits for nothing: the file is written by
the writer's thread and read by the looker's. One turn of the loop takes all the
frames that a socket had and hands their records over; the writer stores at once
whatever waits for it, so that work is grouped exactly as far as it has piled up.
Records are shown, and answers given, when they are stored
(docs/adr/0015-a-fact-is-seen-when-it-is-stored.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import AlarmRaised, Fact, LeaseGranted, LockPlaced, Pulse
from risk_daemon.errors import OperatorError
from risk_daemon.journal import lease, segment, swap
from risk_daemon.journal.admin import Admin
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.figures import Figures
from risk_daemon.journal.file import Copied, JournalFile, WriteFailed
from risk_daemon.journal.intake import NO_ROOM, Intake
from risk_daemon.journal.looker import Looker, breathe
from risk_daemon.journal.plans import TOPIC as PLAN
from risk_daemon.journal.plans import Plans
from risk_daemon.journal.pulses import Pulses
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.subscriber import Packer, Recent, Subscription
from risk_daemon.journal.writer import Writer
from risk_daemon.wire import control
from risk_daemon.wire.record import Record, encode, new_record
from risk_daemon.wire.transport import Channel, Hello, Server, pack, serve

NAME: Final = "journal"
#: Where a copy of the state file is made that lost its name.
RESCUED: Final = "rescued"
#: A subscriber that leaves this much unread is cut; it resumes from its seq.
BUFFERED_MAX: Final = 8 << 20
#: How often it is looked whether the reserve can be made again.
RESERVE_EVERY_S: Final = 5.0
#: How often it is looked whether the state file still has its name.
LOOK_EVERY_S: Final = 1.0

_log = logging.getLogger("journal")


class Peer:
    """One connection, and what it subscribes to."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.subscription: Subscription | None = None


#: What a peer may ask for, by frame.
Door = Callable[[Peer, Any], None]


class JournalServer:
    """The whole journal process but its arguments."""

    def __init__(
        self,
        file: JournalFile,
        clock: Timekeeper,
        release: str = "",
        objection: Callable[[Hello], str] = lambda _: "",
    ) -> None:
        self.clock = clock
        #: Says why somebody is not let in, and the last of it that was told.
        self._objection, self._objected = objection, ""
        self.figures = Figures()
        self.recent = Recent(file.head.seq)
        self.peers: set[Peer] = set()
        self._once = Reader(file.path)
        self.intake = Intake(file.head, clock, self._once.once)
        self._note_holders()
        self.looker = Looker(file.path)
        self._file = file
        self._release = release
        self._views: dict[tuple[str, int], bytes] = {}
        self._answers: dict[int, list[tuple[Channel, msgspec.Struct]]] = {}
        self._probes: dict[int, int] = {}
        self._admin = Admin(self)
        self._pulses = Pulses(clock, self._pulse, self.emit)
        self._doors = self._open_doors()
        self._plans, self._plans_thread = Plans(file.path.parent), ThreadPoolExecutor(1)
        self._failure: WriteFailed | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._crashed = False
        self._is_ending = False

    @property
    def path(self) -> Path:
        """The state file."""
        return self._file.path

    async def run(
        self, run_dir: Path, prefer: str, stop: asyncio.Event, on_ready: Callable[[], None]
    ) -> int:
        """Serve until `stop` is set or the file fails; return the exit code."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._crash)
        self._stop = stop
        self._writer = Writer(
            self._file, self.clock, self._on_stored, self._on_failed, self._on_tight
        )
        hello = Hello("journal", NAME, self._release)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                server = await serve(run_dir, NAME, self._welcome, hello=hello, prefer=prefer)
                self._take_kept()
                self._spawn(self._pulses.run())
                on_ready()
                self._spawn(self._keep_reserve())
                self._spawn(self._keep_in_place())
                await stop.wait()
                await self._finish(server)
        finally:
            self._writer.stop()
            self._plans_thread.shutdown()
            self.looker.close()
            self._once.close()
        if self._failure is not None or self._crashed:
            return 1
        self._file.close()
        return 0

    async def _finish(self, server: Server) -> None:
        """Store and answer everything that was asked, then part."""
        self._is_ending = True
        server.stop_listening()
        if self._failure is None and not self._crashed:
            self._hand_over()
            await self._loop.run_in_executor(None, self._writer.stop)
            # What the writer reported last is in the loop's queue before this.
            await asyncio.sleep(0)
        await server.close(str(self._failure or "the journal stops"))
        for task in tuple(self._looks):
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    # --- connections ------------------------------------------------------

    def _welcome(self, channel: Channel) -> None:
        if why := self._objection(channel.peer):
            self._refuse(channel, why)
            return
        peer = Peer(channel)
        self.peers.add(peer)

        def on_frames(frames: list[Any]) -> None:
            if self._is_ending:
                return
            for frame in frames:
                self._handle(peer, frame)
            self._hand_over()

        def on_lost(_: str) -> None:
            self._forget(peer)

        channel.listen(on_frames, on_lost)

    def _refuse(self, channel: Channel, why: str) -> None:
        """Let somebody not in; what is the same each time they try is told once."""
        channel.close(why)
        if why != self._objected:
            self._objected = why
            self._say("page", "refused", why)

    def _forget(self, peer: Peer) -> None:
        self.peers.discard(peer)
        self._pulses.forget(peer)
        if peer.subscription is not None:
            peer.subscription.is_over = True

    def _handle(self, peer: Peer, frame: msgspec.Struct) -> None:
        handle = self._doors.get(type(frame))
        if handle is None:
            peer.channel.close(f"a {type(frame).__name__} is nothing to ask of a journal")
        else:
            handle(peer, frame)

    def _open_doors(self) -> dict[type, Door]:
        intake, looker = self.intake, self.looker

        def answered(take: Callable[[Any], tuple[msgspec.Struct, int]]) -> Door:
            return lambda peer, frame: self._answer(peer.channel, *take(frame))

        def looked(look: Callable[[Channel, Any], Coroutine[Any, Any, None]]) -> Door:
            return lambda peer, frame: self._spawn(look(peer.channel, frame))

        return {
            control.Append: answered(intake.append),
            control.Intend: answered(intake.intend),
            control.GrantLeases: answered(intake.grant),
            control.Leases: self._show_leases,
            control.StoreRollout: answered(intake.store_rollout),
            control.ReadRollout: answered(intake.rollout),
            control.PutSnapshots: answered(intake.keep),
            control.Tail: looked(looker.tail),
            control.GetSnapshots: looked(looker.snapshots),
            control.Ask: looked(self._admin.answer),
            control.Publish: lambda _, frame: self._pass_on(frame),
            control.WakeAt: lambda peer, frame: self._pulses.wish(peer, frame.at),
            control.Probe: self._probe,
            control.Subscribe: self._subscribe,
        }

    def _answer(self, channel: Channel, answer: msgspec.Struct, batch: int) -> None:
        if batch <= self.intake.stored_batch:
            channel.send(answer)
        else:
            self._answers.setdefault(batch, []).append((channel, answer))

    def _show_leases(self, peer: Peer, asked: control.Leases) -> None:
        held, wait = self.intake.held(asked)
        rest = held.leases
        while len(rest) > lease.GRANTS_MAX:
            part, rest = rest[: lease.GRANTS_MAX], rest[lease.GRANTS_MAX :]
            answer = control.LeasesHeld(asked.id, part, held.incarnation, False)
            self._answer(peer.channel, answer, wait)
        self._answer(peer.channel, msgspec.structs.replace(held, leases=rest), wait)

    def _probe(self, peer: Peer, asked: control.Probe) -> None:
        seq, batch = self.intake.probe()
        self._probes[seq] = self.clock.steady_ns()
        self._answer(peer.channel, control.Probed(asked.id, seq, 0), batch)

    # --- storing and showing ------------------------------------------------

    def emit(self, fact: Fact) -> None:
        """Write a fact of the journal's own, unless it could not be stored any more."""
        if not self._is_ending:
            self.intake.emit(fact)
            self._hand_over()

    def _pulse(self) -> None:
        self.emit(Pulse())
        self.figures.mark(self.clock.steady_ns(), self.intake.last_seq)

    def _hand_over(self) -> None:
        if not self.intake.is_empty and self._failure is None:
            self._writer.put(self.intake.take_batch())

    def _on_stored(self, batch: Batch, took_ns: int) -> None:
        self._loop.call_soon_threadsafe(self._take_stored, batch, took_ns)

    def _take_stored(self, batch: Batch, took_ns: int) -> None:
        if batch.has_promise:
            self.figures.committed(took_ns)
        self._show(self.intake.stored(batch))
        for number in [number for number in self._answers if number <= batch.number]:
            for channel, answer in self._answers.pop(number):
                channel.send(self._timed(answer))

    def _on_tight(self) -> None:
        self._loop.call_soon_threadsafe(self._tighten)

    def _tighten(self) -> None:
        """Store only what protects from now on, and tell people."""
        if not self.intake.is_tight:
            self.intake.is_tight = True
            self._say("page", "disk full", f"{NO_ROOM} ({self.path.parent})")

    def _say(self, level: str, what: str, text: str) -> None:
        self.emit(AlarmRaised(account=0, level=level, what=what, text=text, source=NAME))

    async def _keep_reserve(self) -> None:
        """Have room kept back for a full disk, and take up what waits once there is room again."""
        reserve = self._file.reserve
        while True:
            if not await self._loop.run_in_executor(None, reserve.keep):
                self._tighten()
            elif self.intake.is_tight:
                self.intake.is_tight = False
                self._say("info", "disk full", "there is room again")
            await asyncio.sleep(RESERVE_EVERY_S)

    async def _keep_in_place(self) -> None:
        """Put the state file back that somebody deleted or replaced, and end: another one begins.

        What is written is still all there, and nowhere else: no name leads to it.
        """
        while self._file.is_in_place:  # noqa: ASYNC110 - nothing tells when a name is taken away
            await asyncio.sleep(LOOK_EVERY_S)
        if self._is_ending:
            return
        self._hand_over()
        self._is_ending = True  # nothing is taken in behind what is copied
        folder = self.path.parent / RESCUED
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            await self.copy(folder)
            await self._loop.run_in_executor(None, swap.put_back, folder, self.path)
        except (OSError, OperatorError) as error:
            self._fail(WriteFailed(f"the state file is gone and not put back: {error}", False))
            return
        why = f"the state file {self.path} was deleted or replaced while it was in use: put back"
        self._fail(WriteFailed(why, certain=False))

    def _take_kept(self) -> None:
        """Take in, before anybody is answered, what links kept durable while no journal stored.

        Intents and acts are brought by the links themselves: only they know what became of them.
        """
        for fact in segment.kept(self.path.parent):
            if isinstance(fact, LockPlaced):
                self.intake.append(control.Append(0, [new_record(fact, segment.once(fact))]))
            else:
                self._take_lease(fact)
        self._hand_over()

    def _take_lease(self, fact: LeaseGranted) -> None:
        present = lease.epoch_of(self.intake.leases, fact.account)
        if fact.epoch == present + 1:
            grant = control.Grant(fact.account, present, fact.holder, fact.release)
            self.intake.grant(control.GrantLeases(0, [grant]))
        elif fact.epoch > present:
            text = f"account {fact.account}: its link kept epoch {fact.epoch}, {present} is known"
            self._say("page", "epochs are missing", text)

    def _timed(self, answer: msgspec.Struct) -> msgspec.Struct:
        if not isinstance(answer, control.Probed):
            return answer
        took_ns = self.clock.steady_ns() - self._probes.pop(answer.seq)
        return control.Probed(answer.id, answer.seq, took_ns)

    async def copy(self, folder: Path) -> Copied:
        """Have the state file copied by its writer. Raises OperatorError."""
        done: asyncio.Future[Copied | OperatorError] = self._loop.create_future()

        def tell(result: Copied | OperatorError) -> None:
            if not done.done():
                done.set_result(result)

        def on_copied(result: Copied | OperatorError) -> None:
            self._loop.call_soon_threadsafe(tell, result)

        self._writer.copy(folder, on_copied)
        result = await done
        if isinstance(result, OperatorError):
            raise result
        return result

    def _on_failed(self, failure: WriteFailed) -> None:
        self._loop.call_soon_threadsafe(self._fail, failure)

    def _fail(self, failure: WriteFailed) -> None:
        """Refuse what is known not to be stored, tell everyone, and end."""
        self._failure = failure
        self._is_ending = True
        why = str(failure)
        _log.error("state file failed", extra={"why": why, "certain": failure.certain})
        if failure.certain:
            for answers in self._answers.values():
                for channel, answer in answers:
                    if hasattr(answer, "refused"):
                        channel.send(refuse(answer, why))
        self._answers.clear()
        alarm = AlarmRaised(
            account=0, level="page", what="journal-failed", text=why, source="journal"
        )
        self._pass_on(control.Publish("alarm", 0, encode(alarm)))
        self._stop.set()

    def _crash(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A mistake of ours in a callback: what it left half done must not be built upon."""
        why, error = context["message"], context.get("exception")
        if isinstance(error, OSError):  # a connection that could not be accepted, not a mistake
            _log.warning("connection failed", extra={"why": f"{why}: {error}"})
            return
        _log.error("journal crashed", extra={"why": why}, exc_info=error)
        self._crashed = self._is_ending = True
        self._stop.set()

    def _show(self, records: list[Record]) -> None:
        if not records:
            return
        self.recent.add(records)
        if any(record.kind == "lease-granted" for record in records):
            self._note_holders()
        packer = Packer(records)
        for peer in tuple(self.peers):
            subscription = peer.subscription
            if subscription is not None and subscription.is_live:
                patient = self._only_looks(peer)
                for frame in packer.frames(subscription.kinds):
                    peer.channel.send_packed(frame, patient=patient)
                self._cut_if_slow(peer)

    def _note_holders(self) -> None:
        """Remember who acts: what is shown to them leaves at once."""
        self._holders = {one.holder for one in self.intake.leases.values()}

    def _only_looks(self, peer: Peer) -> bool:
        """Tell whether nobody waits for what a peer makes of a record: a standby, the console."""
        who = peer.channel.peer
        return who.role == "console" or (who.role == "worker" and who.name not in self._holders)

    def _pass_on(self, published: control.Publish) -> None:
        if published.topic == PLAN:
            self._plans_thread.submit(self._plans.keep, published.account, published.payload)
            return
        key = published.topic, published.account
        frame = pack(control.View(published.topic, published.account, published.payload))
        self._views[key] = frame
        for peer in tuple(self.peers):
            if peer.subscription is not None and peer.subscription.views:
                peer.channel.send_packed(frame, patient=True)
                self._cut_if_slow(peer)

    def _cut_if_slow(self, peer: Peer) -> None:
        if peer.channel.buffered > BUFFERED_MAX:
            _log.warning("slow subscriber cut", extra={"peer": peer.channel.peer.name})
            self._forget(peer)
            peer.channel.abort("slow subscriber")

    # --- subscribing ----------------------------------------------------------

    def _subscribe(self, peer: Peer, asked: control.Subscribe) -> None:
        if peer.subscription is not None:
            # What is on its way for the first could not be told from the second's.
            peer.channel.close("one subscription per connection: connect anew for another")
            return
        if asked.from_seq > self.recent.last_seq + 1:
            peer.channel.send(control.Truncated(self.recent.last_seq))
            return
        subscription = peer.subscription = Subscription(peer.channel, asked)
        if asked.from_seq < 0:
            subscription.next_seq = self.recent.last_seq + 1
        if asked.views:
            for frame in self._views.values():
                peer.channel.send_packed(frame)
        self._spawn(self._catch_up(peer, subscription, asked.crc))

    async def _catch_up(self, peer: Peer, subscription: Subscription, crc: int) -> None:
        if not await self._proves(subscription.next_seq, crc):
            peer.subscription = None
            peer.channel.send(control.Truncated(self.recent.last_seq))
            return
        while not (subscription.is_over or subscription.is_live):
            if subscription.next_seq < self.recent.first_seq:
                await self.looker.send_records(subscription, self.recent.first_seq - 1)
            else:
                self._send_recent(subscription)
            await breathe(subscription.channel)

    async def _proves(self, next_seq: int, crc: int) -> bool:
        """Tell whether the record before `next_seq` is the one the subscriber knows."""
        if crc == control.UNPROVEN:
            return True
        ours = self.recent.crc_at(next_seq - 1)
        if ours is None:
            ours = await self.looker.crc_at(next_seq - 1)
        return ours == crc

    def _send_recent(self, subscription: Subscription) -> None:
        """Send what is in memory; who has all of it in the same turn is live."""
        channel = subscription.channel
        records = self.recent.piece(subscription.next_seq)
        for frame in Packer(records).frames(subscription.kinds):
            channel.send_packed(frame)
        subscription.next_seq += len(records)
        if subscription.next_seq > self.recent.last_seq:
            channel.send(control.CaughtUp(self.recent.last_seq, self.intake.last_at))
            subscription.is_live = True


def refuse(answer: msgspec.Struct, why: str) -> msgspec.Struct:
    """Turn an answer that was waiting for its commit into its refusal."""
    match answer:
        case control.Appended():
            return msgspec.structs.replace(answer, last_seq=0, refused=why)
        case control.Intended() | control.Probed():
            return msgspec.structs.replace(answer, seq=0, refused=why)
        case control.LeasesGranted():
            return msgspec.structs.replace(answer, leases=[], refused=why)
        case _:
            return msgspec.structs.replace(answer, refused=why)

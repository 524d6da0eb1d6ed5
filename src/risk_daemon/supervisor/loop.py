"""The supervisor's loop: two pure machines, and the processes they talk about.

Everything it knows it could learn again: who lives from the register, who
holds what from the journal, who is ready from heartbeats. So it may die at
any moment; the others go on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import FeedChanged
from risk_daemon.errors import DaemonError, JournalAway, NotFound, OperatorError
from risk_daemon.settings import Settings
from risk_daemon.supervisor import (
    handing_over,
    process,
    promotion,
    resort,
    restarting,
    spare,
)
from risk_daemon.supervisor.alarms import Alarms
from risk_daemon.supervisor.children import (
    Register,
    Running,
    mended,
    spawn,
)
from risk_daemon.supervisor.lasting import Resorts
from risk_daemon.supervisor.leasing import Leasing
from risk_daemon.supervisor.pairs import Pairs
from risk_daemon.supervisor.probing import Prober
from risk_daemon.supervisor.release import interpreter, is_worker, release_of, workers_of
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.heart import LINK_IS_DOWN, Heartbeat
from risk_daemon.wire.record import new_record

WATCH_EVERY_S: Final = 0.05
WATCH_EVERY_NS: Final = 50_000_000
LOAD_LOOK_S: Final = 0.01
#: A worker found alive must be heard within this time; it asks for us ten times a second.
FIRST_BEAT_WITHIN: Final = 2_000_000_000
#: As long as accounts wait, after a start, for the workers of another release that held them.
HOLDERS_START_WITHIN_S: Final = 5.0
RECONNECT_WITHIN_S: Final = 2.0
SECOND: Final = 1_000_000_000
LINKS_AT_ONCE: Final = max(2, os.cpu_count() or 1)
#: A link that has not answered by then does not hold up the others any longer.
LINK_STARTS_WITHIN: Final = 5 * SECOND
#: A start takes a core for half a second: whoever took over a worker's accounts comes first.
HEIRS_MOMENT: Final = 250_000_000
#: The journal's exit code when it will not go on with its file; a kill has another.
GAVE_UP: Final = 1

_log = logging.getLogger("supervisor")


class Succeeded(Exception):
    """Another supervisor goes on: what is watched here is to be left as it is."""


class Supervisor:
    """Keeps the processes of one home alive, and its accounts held."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        release: str,
        journal: JournalClient,
        clock: Timekeeper,
        alarms: Alarms,
    ) -> None:
        self.home, self.settings, self.release = home, settings, release
        self.journal, self.clock, self.alarms = journal, clock, alarms
        self.children: dict[str, process.Child] = {}
        self.running: dict[str, Running] = {}
        self.beats: dict[str, tuple[int, Heartbeat]] = {}
        #: By when each worker's next heartbeat must have come.
        self._beat_due: dict[str, int] = {}
        self.lost = asyncio.Event()
        self.disabled: dict[str, Any] | None = None
        self.stopping = asyncio.Event()
        self._register = Register(home / "run" / "processes.json")
        self._group: asyncio.TaskGroup | None = None
        #: Has the configuration adopted, in a process of its own; raises OperatorError.
        self.adopt: Callable[[], object] = lambda: None
        #: Told of a child that ended by itself: its name, and how.
        self.on_failure: Callable[[str, str], None] = lambda _name, _why: None
        self._is_mended = False
        self._probers: dict[str, Prober] = {}
        self._complained: dict[tuple[int, str], int] = {}
        self.leasing = Leasing(self)
        self.pairs = Pairs(self)
        #: By name: the release of a child that is no worker, where it is not our own.
        self.versions: dict[str, str] = {}
        self.is_succeeded = False
        self._handing_over = asyncio.Lock()
        #: The release to which processes are being handed over.
        self._next = ""
        self._resorts = Resorts(self)
        self._loaded = spare.Loaded(lambda: self._spawned(spare.LINK, waits=True, answers=True))
        self._spares: dict[str, spare.Spare] = {
            spare.JOURNAL: self._spare(spare.JOURNAL),
            spare.LINK: self._loaded if spare.DIVIDES else self._spare(spare.LINK),
        }

    @property
    def promotion(self) -> promotion.State:
        """Who holds which account, and what is under way about it."""
        return self.leasing.state

    def words(self, name: str) -> list[str]:
        """Return the program and arguments of a child."""
        common = ["--home", str(self.home), "--release", self.version_of(name)]
        if name == spare.LINK:
            return ["risk_daemon.programs.link", *common, spare.WORD]
        if name.startswith("link-"):
            login = name.removeprefix("link-")
            return ["risk_daemon.programs.link", *common, "--login", login]
        if is_worker(name):
            return ["risk_daemon.programs.worker", *common, "--name", name]
        if name in ("console", resort.PROTECTOR):
            return [f"risk_daemon.programs.{name}", "--home", str(self.home)]
        words = journal_words(self.home, self.settings, self.version_of(name))
        return [*words, spare.WORD] if name == spare.JOURNAL else words

    def version_of(self, name: str) -> str:
        """Return the release that a child belongs to; a spare is for whoever is next."""
        if name == spare.JOURNAL:
            return self._next or self.version_of("journal")
        if name == spare.LINK:
            return self._next or self.version_of(f"link-{self.settings.logins[-1].name}")
        return release_of(name) or self.versions.get(name, self.release)

    def names(self) -> list[str]:
        """Return all children in the order of starting."""
        links = [f"link-{login.name}" for login in self.settings.logins]
        workers = [name for release in self.pairs.releases for name in workers_of(release)]
        return ["journal", *links, *workers, "console"]

    # --- running -----------------------------------------------------------------

    async def run(self, journal: Running) -> None:
        """Start or find everything, then watch until told to stop, or that another goes on."""
        with contextlib.suppress(Succeeded):  # whoever ran runs on: the next one finds them
            await self._run(journal)

    async def _run(self, journal: Running) -> None:
        found = self._register.found() | {"journal": journal}
        running = {release_of(name) for name in found}
        holders = await self._holders()
        mine = running | {release_of(name) for name in holders}
        self.pairs.releases += sorted(mine - {"", self.release})
        self._probers = {name: self._prober(name) for name in self._probed()}
        self._resorts.begin(is_protecting=resort.PROTECTOR in found)
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name in self.names():
                if name.startswith("link-") and name not in found:
                    self.children[name] = process.Child(name=name)
                    # Before it has its turn: what it last said may be of a life before this one.
                    self._say_blind(name)
                else:
                    self.keep(name, found.get(name))
            if resort.PROTECTOR in found:
                self.keep(resort.PROTECTOR, found[resort.PROTECTOR])
            self.start(self._await(sorted(holders - found.keys())))
            links = group.create_task(self._start_links())
            keepers = [
                group.create_task(self._watch()),
                group.create_task(self._keep_journal()),
                *(group.create_task(one.run()) for one in self._probers.values()),
            ]
            await self.stopping.wait()
            if self.is_succeeded:
                raise Succeeded
            links.cancel()
            await self._stop_all()
            for keeper in keepers:
                keeper.cancel()

    async def _holders(self) -> set[str]:
        """Return who holds accounts, of another release that is here: it goes on with them."""
        try:
            held = await self.journal.leases()
        except JournalAway:
            return set()  # who is ready first gets them
        names = {lease.holder for lease in held.leases if is_worker(lease.holder)}
        return {
            name
            for name in names
            if release_of(name) != self.release and self._is_here(release_of(name))
        }

    def _is_here(self, release: str) -> bool:
        try:
            interpreter(self.home, release, self.release)
        except NotFound:
            return False
        return True

    async def _await(self, names: Sequence[str]) -> None:
        """Leave their accounts to holders that are starting too, but not for long."""
        for name in names:
            self.leasing.feed(promotion.WorkerFound(name))
        if names:
            await asyncio.sleep(HOLDERS_START_WITHIN_S)
        for name in names:
            if name in self.promotion.awaited:
                self.leasing.feed(promotion.WorkerGone(name))

    async def _start_links(self) -> None:
        """Start the links that are not there, as many at once as there are cores.

        All together would keep each other, and the workers, from the first account for as long as
        the last one takes.
        """
        waiting = [name for name in self.names() if name.startswith("link-")]
        waiting = [name for name in waiting if name not in self.running]
        starting: dict[str, int] = {}
        for name in waiting:
            while len(starting) >= LINKS_AT_ONCE:
                await asyncio.sleep(WATCH_EVERY_S)
                over = self.clock.steady_ns() - LINK_STARTS_WITHIN
                starting = {
                    one: since
                    for one, since in starting.items()
                    if since > over and not self._probers[one].has_answered
                }
            await self._load()
            starting[name] = self.clock.steady_ns()
            self.keep(name)

    async def _load(self) -> None:
        """Have what every link needs loaded once, and a part of it ready for the next of them.

        Between two links it divides again, a few ms: a link that did not wait for that would load
        everything for itself, some 40 MB and over a second.
        """
        if not spare.DIVIDES:
            return
        began = self.clock.steady_ns()
        self._loaded.keep(began, self.version_of(spare.LINK), is_calm=True)
        # What is waited for is another process's news, or its end.
        while self._loaded.is_loading and self.clock.steady_ns() - began < LINK_STARTS_WITHIN:  # noqa: ASYNC110
            await asyncio.sleep(LOAD_LOOK_S)

    def keep(self, name: str, found: Running | None = None) -> None:
        """Have a process run from now on: this one, or a new one."""
        self.children[name] = process.Child(name=name)
        if found is not None:
            self._adopt(name, found)
        else:
            self.feed_child(name, process.Want())

    def _adopt(self, name: str, found: Running) -> None:
        """Take over a process that an earlier supervisor started."""
        if found.release and not is_worker(name) and self._is_here(found.release):
            self.versions[name] = found.release
        self.children[name] = process.Child(
            name=name,
            phase=process.Phase.RUNNING,
            wanted=True,
            since=self.clock.steady_ns(),
        )
        self.running[name] = found
        self._wait_for_end(found)
        if is_worker(name):
            self._beat_due[name] = self.clock.steady_ns() + FIRST_BEAT_WITHIN
            self.leasing.feed(promotion.WorkerFound(name))

    def feed_child(self, name: str, given: process.Input) -> None:
        """Tell the machine of a child what happened, and do what it says."""
        now = self.clock.steady_ns()
        self.children[name], outputs = process.step(self.children[name], given, now)
        for output in outputs:
            match output:
                case process.Spawn():
                    self._spawn(name)
                case process.Terminate():
                    self.running[name].terminate()
                case process.Tell(text=text):
                    self.alarms.say("page", "restarts do not help", text)

    def _spawn(self, name: str) -> None:
        self._say_blind(name)
        try:
            running = self._take_spare(name) or self._spawned(name)
        except (OSError, NotFound) as error:
            # A failed start like any other: what cannot be started must not end its starter.
            _log.warning("not started", extra={"child": name, "why": str(error)})
            self.start(self._not_started(name))
            return
        self.running[name] = running
        self.write_down()
        _log.info("started", extra={"child": name, "pid": running.pid})
        self._wait_for_end(running)
        self.feed_child(name, process.Started())

    def _spawned(self, name: str, *, waits: bool = False, answers: bool = False) -> Running:
        return spawn(
            name,
            self.words(name),
            self.home / "logs",
            secrets=name.startswith("link") or name == resort.PROTECTOR,
            python=interpreter(self.home, self.version_of(name), self.release),
            release=self.version_of(name),
            waits=waits,
            answers=answers,
        )

    def _spare(self, name: str) -> spare.Spare:
        return spare.Spare(lambda: self._spawned(name, waits=True))

    def _take_spare(self, name: str) -> Running | None:
        kind, _, login = name.partition("-")
        kept = self._spares.get(f"{kind}{spare.SPARE}")
        if kept is None:
            return None
        return kept.take(name, login or kind, self.version_of(name), self.clock.steady_ns())

    def _keep_spares(self, now: int) -> None:
        is_calm = all(n in self.running and one.has_answered for n, one in self._probers.items())
        for name, kept in self._spares.items():
            kept.keep(now, self.version_of(name), is_calm=is_calm)

    def write_down(self) -> None:
        """Note who runs, for the supervisor after us."""
        self._register.write(self.running)

    def _wait_for_end(self, running: Running) -> None:
        assert self._group is not None
        self._group.create_task(self._ended(running), name=f"wait {running.name}")

    async def _ended(self, running: Running) -> None:
        await running.wait()
        name = running.name
        if self.running.get(name) is not running:
            return
        del self.running[name]
        self.beats.pop(name, None)
        self._beat_due.pop(name, None)
        self.write_down()
        _log.warning("ended", extra={"child": name, "exit": running.exit})
        if name not in self.children:
            return  # its release was let go meanwhile
        self._say_blind(name)
        is_failure = self.children[name].wanted and not (self.stopping.is_set() or running.is_told)
        if is_failure:
            self.alarms.say("warn", "process ended", f"{name} ended (exit {running.exit})")
            self.on_failure(name, f"ended (exit {running.exit})")
        if is_worker(name):
            self.leasing.feed(promotion.WorkerGone(name))
        if is_failure:
            self._resorts.ended(name)
        if self._fails_by_itself(running):
            self._is_mended = await asyncio.to_thread(mended, self.home) or self._is_mended
        has_heir = is_worker(name) and bool(self.promotion.ready)
        self.feed_child(name, process.Ended(HEIRS_MOMENT if has_heir else 0))

    async def _not_started(self, name: str) -> None:
        self._resorts.ended(name)
        self.feed_child(name, process.Ended())

    def _fails_by_itself(self, running: Running) -> bool:
        """Whether the journal gave up twice without staying up: its file may be damaged."""
        if running.name != "journal" or running.exit != GAVE_UP or self.stopping.is_set():
            return False
        return process.is_failing(self.children[running.name], self.clock.steady_ns())

    def _say_blind(self, name: str) -> None:
        """Say for a link that is not there that its login is blind, until it says otherwise."""
        if name.startswith("link-"):
            login = name.removeprefix("link-")
            blind = FeedChanged(login=login, state="blind", why=LINK_IS_DOWN)
            self.journal.append([new_record(blind)])

    def start(self, what: Coroutine[Any, Any, object]) -> None:
        """Have something done beside all else, for as long as we watch."""
        assert self._group is not None
        self._group.create_task(what)

    async def _keep_journal(self) -> None:
        while True:
            await self.lost.wait()
            self.lost.clear()
            while not self.journal.is_open:
                try:
                    await self.journal.reconnect(RECONNECT_WITHIN_S)
                except DaemonError:
                    await asyncio.sleep(0.02)
            self.alarms.say_again()
            if self._is_mended:
                self._is_mended = False
                await self._adopt_anew()
            self.leasing.feed(promotion.GrantFailed())

    async def _adopt_anew(self) -> None:
        """A state that was rebuilt may lack settings and policies: nobody is guarded without."""
        try:
            await asyncio.to_thread(self.adopt)
        except OperatorError as error:
            self.alarms.say("page", "configuration", f"after a rebuild: {error.sentence}")

    # --- heartbeats --------------------------------------------------------------------

    def heard(self, beat: Heartbeat) -> None:
        """Take a heartbeat; one of a process that is not the present child is not heard."""
        running = self.running.get(beat.name)
        if running is None or running.pid != beat.pid:
            return
        now = self.clock.steady_ns()
        self.beats[beat.name] = (now, beat)
        workers = self.settings.workers
        self._beat_due[beat.name] = now + workers.heartbeat_ms * workers.missed * 1_000_000
        for account, _ in beat.poisoned:
            if (account, beat.name) not in self.promotion.barred:
                self.leasing.feed(promotion.Poisoned(beat.name, account))
        if beat.is_ready and beat.name not in self.promotion.ready:
            self.leasing.feed(promotion.WorkerReady(beat.name, release_of(beat.name)))
        # It goes on enforcing what it does not hold: the fence refuses it, and people are told.
        wrong = promotion.disagreements(self.promotion, beat.name, list(beat.enforcing))
        self._complain(beat.name, "two enforcers", wrong)

    def _look_at_door(self, name: str, told: dict[str, Any]) -> None:
        """Compare the epochs that a link lets through with the leases."""
        epochs = [(int(account), int(epoch)) for account, epoch in told.get("epochs", ())]
        self._complain(name, "wrong epoch", promotion.doors(self.promotion, name, epochs))

    def _complain(self, name: str, what: str, differences: list[tuple[int, str]]) -> None:
        """Tell of what one process says otherwise than the leases, once it lasts a second."""
        found, now = set(differences), self.clock.steady_ns()
        self._complained = {
            key: since
            for key, since in self._complained.items()
            if key in found or not key[1].startswith(f"{name} ")
        }
        for account, text in sorted(found):
            since = self._complained.setdefault((account, text), now)
            if since and now - since > SECOND:
                self._complained[account, text] = 0
                self.alarms.say("page", what, f"account {account}: {text}")

    async def _watch(self) -> None:
        """Notice silence, and let time pass for children that wait to be started again."""
        looked = self.clock.steady_ns()
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            now = self.clock.steady_ns()
            # While we were not there ourselves nobody was heard, and that proves nothing.
            absent_ns, looked = max(now - looked - WATCH_EVERY_NS, 0), now
            self._beat_due = {name: due + absent_ns for name, due in self._beat_due.items()}
            for name, due in list(self._beat_due.items()):
                if now > due and name in self.running:
                    self._missed(name, now - due)
            for name in list(self.children):
                self.feed_child(name, process.Passed())
            self._resorts.look(now)
            self._keep_spares(now)
            if self.promotion.move is not None or self.promotion.dying:
                self.leasing.feed(promotion.Passed(now, absent_ns))

    def _missed(self, name: str, beyond_ns: int) -> None:
        """Tell of a silence once, and have it judged again and again while it lasts."""
        if self.beats.pop(name, None) is not None:
            self.alarms.say("urgent", "worker silent", f"{name} missed its heartbeats")
        self.leasing.feed(promotion.BeatMissed(name, beyond_ns))
        if name in dict(self.promotion.dying):
            del self._beat_due[name]
            _log.warning("killed", extra={"child": name, "silent_ms": beyond_ns // 1_000_000})

    def _probed(self) -> list[str]:
        """Return who holds up all others when it freezes, and tells nothing of itself."""
        return [name for name in self.names() if name == "journal" or name.startswith("link-")]

    def _prober(self, name: str) -> Prober:
        def pid() -> int | None:
            running = self.running.get(name)
            return running.pid if running else None

        return Prober(self.home / "run", name, pid, self._silent, self.clock, self._look_at_door)

    def _silent(self, name: str) -> None:
        running = self.running.get(name)
        if running is not None and not self.stopping.is_set():
            self.alarms.say("urgent", "process silent", f"{name} does not answer any more; killed")
            running.kill()

    # --- stopping and restarting ---------------------------------------------------------

    async def _stop_all(self) -> None:
        """Stop in reverse order, the journal last: everybody's last words are kept."""
        for kept in self._spares.values():
            kept.end()
        for name in (resort.PROTECTOR, *reversed(self.names())):
            if name in self.children:
                self.feed_child(name, process.Unwant())
                if name in self.running:
                    await restarting.gone(self.running[name])
        self.write_down()

    # --- releases ---------------------------------------------------------------------------

    def keep_warm(self, release: str) -> None:
        """Start a release's workers, if they are not there, and wait for nothing."""
        self.pairs.keep_warm(release)

    async def hand_over(
        self, release: str, names: Sequence[str], stays_s: float
    ) -> list[dict[str, Any]]:
        """Have processes that are no workers run as another release, one after the other.

        Return a row each, up to the first that did not stay up: it is of its old release again.
        """
        own = [name for name in self.names() if not is_worker(name)]
        if unknown := sorted(set(names) - set(own)):
            raise NotFound(f"there is no process {unknown[0]} to hand over; {', '.join(own)}")
        interpreter(self.home, release, self.release)
        if self._handing_over.locked():
            raise OperatorError("processes are being handed over already; nothing was done", 3)
        async with self._handing_over:
            self._next = release
            try:
                return await handing_over.each(self, release, names, stays_s)
            finally:
                self._next = ""

    def begin_anew(self, name: str) -> None:
        """Forget how often a child was restarted: its next start is at once."""
        self.children[name] = msgspec.structs.replace(self.children[name], restarts=0, retry_at=0)

    async def succeed(self, release: str) -> int:
        """Start the supervisor of a release and leave everything to it; return its process id.

        Raises OperatorError if it does not come up; then nothing has changed.
        """
        python = interpreter(self.home, release, self.release)
        pid = await handing_over.successor(self.home, release, python)
        self.is_succeeded = True
        return pid

    def protect(self) -> None:
        """Start the minimal protector, unless it runs."""
        child = self.children.get(resort.PROTECTOR)
        if child is None:
            self.keep(resort.PROTECTOR)
        else:
            self.feed_child(resort.PROTECTOR, process.Want())

    def relieve(self) -> None:
        """Stop the minimal protector."""
        self.feed_child(resort.PROTECTOR, process.Unwant())


def journal_words(home: Path, settings: Settings | None, release: str) -> list[str]:
    """Return the journal's program and arguments; before any settings, with the defaults."""
    words = ["risk_daemon.programs.journal", "--home", str(home), "--release", release]
    if settings is None:
        return words
    if settings.clock_offset_s:
        words += ["--offset-s", str(settings.clock_offset_s)]
    return [*words, "--prefer", settings.transport or "unix"]

"""What a rollout is judged by, gathered: stored samples into a tally, verdicts to the controller.

A phase is judged from the stream alone, from where it was entered: whoever begins to watch later
reads the same samples and says the same. What nobody else sees is told here, as samples too: how
much memory each process of the release holds.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from risk_daemon.core.events import Entry, SampleTaken
from risk_daemon.errors import DaemonError, Malformed
from risk_daemon.journal.reader import Reader
from risk_daemon.operations.home import Home
from risk_daemon.operations.rollouts import differences, witness
from risk_daemon.operations.state_file import FILE
from risk_daemon.rollout import judge, messages, reading, tally, thresholds
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.controller import Controller
from risk_daemon.rollout.difference import Declared
from risk_daemon.rollout.row import Row
from risk_daemon.rollout.tally import Judging, Member, Tally
from risk_daemon.rollout.thresholds import Thresholds
from risk_daemon.rollout.verdict import Verdict
from risk_daemon.supervisor.loop import Supervisor
from risk_daemon.supervisor.measuring import memory_mb
from risk_daemon.supervisor.release import is_worker, release_of, workers_of
from risk_daemon.wire import sample
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, decode, new_record
from risk_daemon.wire.transport import Hello

LOOK_EVERY_S: Final = 1.0
CONNECT_WITHIN_S: Final = 5.0
AGAIN_AFTER_S: Final = 1.0
#: A recorded past that can't be decided is tried again, and costs a process each time.
AGAIN_AFTER_FAILURE_S: Final = 10.0
#: So often in a phase at least, and never more often than each second.
MEMORY_LOOKS: Final = 64
MEMORY_LEAST_NS, MEMORY_EVERY_NS = 1_000_000_000, 60_000_000_000
_SAYS_FAIL: Final = "fail"

_log = logging.getLogger("rollout")


class Watch:
    """Judges the present phase of one home's rollout."""

    def __init__(self, daemon: Supervisor, controller: Controller) -> None:
        self._daemon, self._controller = daemon, controller
        self._journal: JournalClient | None = None
        self._key: tuple[str, str, int] | None = None
        self.tally: Tally | None = None
        self.verdicts: tuple[Verdict, ...] = ()
        self._told: dict[str, tuple[str, int]] = {}
        self._counted = 0
        self._memory_at = 0
        self._asked: tuple[str, int] | None = None
        self._past: tuple[str, int] | None = None
        self._witnessed = witness.Seen()
        self._looked_at: witness.Phase | None = None
        #: By worker of the release: its process as the phase was entered here.
        self._pids: dict[str, int] = {}
        self._group: asyncio.TaskGroup | None = None
        self._deciding: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Watch until cancelled; what can't be read is read again."""
        async with asyncio.TaskGroup() as self._group:
            await self._watch()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            row = self._controller.row
            is_judged = row is not None and rows.phase_of(row) and not row.plan.is_configuration
            if row is None or self._controller.stuck or not is_judged:
                # A configuration alone has no second release to be compared with.
                self._leave()
                continue
            try:
                await self._follow(row)
            except (DaemonError, OSError):
                self._leave()
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            with self._controller.standing():
                self._tell_memory(row)
                self._judge(row)
            self._ask_both(row)

    # --- following ---

    def _leave(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._journal, self._key, self.tally, self.verdicts = None, None, None, ()

    async def _follow(self, row: Row) -> None:
        """Read the samples of the present phase, from where it was entered."""
        key = (row.plan.rollout, row.stage, row.entered)
        if key == self._key and self._journal is not None and self._journal.is_open:
            return
        self._leave()
        home = Home(self._daemon.home)
        declared = await asyncio.to_thread(differences.declared, home, row.plan.release)
        self.tally = tally.begin(judging_of(row, declared))
        self._told, self._counted = {}, 0
        self._looked_at, self._witnessed = self._look_at(row, declared), witness.Seen()
        self._pids = self._running_of(row.plan.release)
        begin = await asyncio.to_thread(self._seq_since, row.entered)
        hello = Hello("judge", "judge")
        self._journal = await JournalClient.connect(
            self._daemon.home / "run", hello, CONNECT_WITHIN_S
        )
        kinds = ("sample-taken", *witness.KINDS)
        self._journal.subscribe(begin, kinds, on_records=self._take)
        self._key = key

    def _look_at(self, row: Row, declared: Sequence[Declared]) -> witness.Phase:
        members = set(rows.members(row))
        logins = self._daemon.settings.logins
        return witness.Phase(
            release=row.plan.release,
            fallback=row.plan.fallback,
            workers=frozenset(workers_of(row.plan.release)),
            others=frozenset(workers_of(row.plan.fallback)),
            logins=frozenset(one.name for one in logins if members.intersection(one.accounts)),
            declared=frozenset(one.rule for one in declared),
        )

    def _running_of(self, release: str) -> dict[str, int]:
        running = self._daemon.running.items()
        return {name: one.pid for name, one in running if release_of(name) == release}

    def _seq_since(self, at: int) -> int:
        with closing(Reader(self._daemon.home / "state" / FILE)) as reader:
            return reader.seq_since(at)

    def _take(self, records: list[Record]) -> None:
        assert self.tally is not None
        for record in records:
            entry = decode(record)
            if not isinstance(entry.fact, SampleTaken):
                self._witness(entry)
                continue
            try:
                one = sample.decode(entry.fact.body)
            except Malformed:
                continue  # missing, then: it is noticed, and nothing is passed because of it
            tally.fold(self.tally, one)
            if isinstance(one, sample.Decided) and one.release == self.tally.judging.release:
                self._counted += sum(one.decided)

    def _witness(self, entry: Entry) -> None:
        """Tell of a situation, and have damage stored: whoever judges later must see it too."""
        assert self._looked_at is not None
        anew = {
            name
            for name, pid in self._running_of(self._looked_at.release).items()
            if self._pids.setdefault(name, pid) != pid
        }
        found = witness.take(self._witnessed, entry, self._looked_at, anew)
        if isinstance(found, str):
            now = self._daemon.clock.now_ns()
            self._controller.feed(messages.Witnessed(at=now, situation=found))
        elif found is not None:
            body = sample.encode(found)
            fact = SampleTaken(account=found.account, release=found.release, body=body)
            self._daemon.journal.append([new_record(fact, f"damaged:{entry.seq}")])

    def _ask_both(self, row: Row) -> None:
        """In shadow, have both decide what is recorded, made and scripted, once a phase.

        Of a large file, or of many accounts, it takes minutes, in which all else is judged.
        """
        key = (row.plan.rollout, row.entered)
        if row.stage != reading.SHADOW or row.plan.candidate not in row.warm:
            return
        home = Home(self._daemon.home)
        assert self._group is not None
        if key != self._past and is_over(self._deciding):
            self._past = key
            self._deciding = self._group.create_task(self._decide_recorded(home, row))
        if key != self._asked and is_over(self._asking):
            self._asked = key
            self._asking = self._group.create_task(self._decide_made(home, row))

    async def _decide_made(self, home: Home, row: Row) -> None:
        """Have both decide cases of every account, and all scripts."""
        try:
            for made in (differences.generated, differences.scripted):
                found = await asyncio.to_thread(made, home, row.plan.release)
                await asyncio.to_thread(differences.keep, home, found, _evidence_of(row))
        except DaemonError as error:
            _log.warning("boundary cases not compared", extra={"why": str(error)})
            await asyncio.sleep(AGAIN_AFTER_S)
            self._asked = None

    async def _decide_recorded(self, home: Home, row: Row) -> None:
        """Have the candidate decide what this home has recorded before the phase began."""
        plan = row.plan
        upto = await asyncio.to_thread(self._seq_since, row.entered)
        try:
            found = await differences.recorded_of_pair(home, plan.release, plan.fallback, upto)
            await asyncio.to_thread(differences.keep, home, found, _evidence_of(row))
        except (DaemonError, OSError) as error:
            _log.warning("recorded days not compared", extra={"why": str(error)})
            await asyncio.sleep(AGAIN_AFTER_FAILURE_S)
            self._past = None

    def _tell_memory(self, row: Row) -> None:
        plan, phase, now = row.plan, rows.phase_of(row), self._daemon.clock.now_ns()
        assert phase is not None
        every = min(max(phase.dwell.wall_ns // MEMORY_LOOKS, MEMORY_LEAST_NS), MEMORY_EVERY_NS)
        if now - self._memory_at < every:
            return
        self._memory_at = now
        held = {
            name: memory_mb(running.pid)
            for name, running in sorted(self._daemon.running.items())
            if is_worker(name) and release_of(name) == plan.release
        }
        facts = [
            SampleTaken(
                account=0,
                release=plan.release,
                body=sample.encode(
                    sample.Memory(
                        process=name,
                        release=plan.release,
                        at=now,
                        held_bytes=int(size * 1_000_000),
                    )
                ),
            )
            for name, size in held.items()
            if size is not None  # what can't be measured is missed, and not nothing
        ]
        self._daemon.journal.append([new_record(one) for one in facts])

    # --- judging ---

    def _judge(self, row: Row) -> None:
        """Tell the controller what changed, and once a minute what stands."""
        assert self.tally is not None
        now = self._daemon.clock.now_ns()
        if self._counted:
            self._controller.feed(messages.Decided(at=now, events=self._counted))
            self._counted = 0
        self.verdicts = judge.judge(self.tally, now)
        phase = rows.phase_of(row)
        assert phase is not None
        for one in self.verdicts:
            says, told_at = self._told.get(one.gate, ("", 0))
            is_news = one.says != says or now - told_at >= row.plan.minute_ns
            if is_news and (one.gate in phase.gates or one.says == _SAYS_FAIL):
                self._told[one.gate] = (one.says, now)
                self._controller.feed(judged(row, one, now))

    def show(self) -> dict[str, Any]:
        """Return the verdicts and the three cohorts' figures, as plain data."""
        if self.tally is None:
            return {"verdicts": [], "cohorts": [], "accuracy_ppm": None}
        now = self._daemon.clock.now_ns()
        figures = judge.figures(self.tally, now)
        return {
            "verdicts": [shown(one) for one in self.verdicts],
            "cohorts": [
                {name: getattr(one, name) for name in one.__struct_fields__} for one in figures
            ],
            "accuracy_ppm": judge.accuracy_ppm(self.tally),
        }


def is_over(task: asyncio.Task[None] | None) -> bool:
    """Tell whether nothing is under way."""
    return task is None or task.done()


def judging_of(row: Row, declared: Sequence[Declared]) -> Judging:
    """Say what is judged in the present phase, and by whom: the first canary, the new, the rest.

    `declared` is where the release says that it decides otherwise.
    """
    phase = rows.phase_of(row)
    assert phase is not None
    names = [one.name for one in row.plan.phases]
    before = row.plan.phases[names.index(phase.name) - 1].upto if phase.upto else 0
    candidates = set(rows.members(row))
    earlier = set(row.plan.order[:before])

    def cohort(account: int) -> tally.Cohort:
        if account not in candidates:
            return "incumbent"
        return "first" if account in earlier or not before else "new"

    return Judging(
        release=row.plan.release,
        fallback=row.plan.fallback,
        begin=row.entered,
        end=row.entered + max(phase.dwell.wall_ns, 1),
        members=tuple(Member(account, cohort(account)) for account in sorted(row.order)),
        shadowed=tuple(sorted(account for account in row.order if account not in candidates)),
        thresholds=Thresholds(
            declared=tuple(thresholds.Declared(one.name, one.rule, one.cap_ppm) for one in declared)
        ),
    )


def _evidence_of(row: Row) -> str:
    """Name the phase, shortly: a rollout that is tried again is judged by what it finds itself."""
    return f"{row.entered}"


def judged(row: Row, one: Verdict, now: int) -> messages.Judged:
    """Return a verdict as the controller hears it."""
    evidence = hashlib.sha256(repr((one.gate, one.says, one.counts)).encode()).hexdigest()
    return messages.Judged(
        at=now,
        gate=one.gate,
        says=one.says,
        sentence=one.sentence,
        evidence=evidence,
        version=row.plan.candidate,
        phase=row.stage,
    )


def shown(one: Verdict) -> dict[str, Any]:
    """Return a verdict as plain data."""
    return {
        "gate": one.gate,
        "says": one.says,
        "counts": dict(one.counts),
        "bound": one.bound,
        "sentence": one.sentence,
        "alert": one.alert,
    }

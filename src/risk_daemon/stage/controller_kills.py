"""`./dev crash --controller [--configuration]`: the supervisor killed while a rollout is under way.

The controller of a rollout lives in the supervisor. For each phase, and for the way back, it is
killed in the middle of what a person asked for, one write of its row later each time; then it is
started, what was asked is asked again, and the accounts must be where they would have been. After
a rollout went back no lease may name its candidate, whoever was killed when.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import LeaseGranted, PolicyAdopted, RolloutStored
from risk_daemon.errors import OperatorError, TimedOut
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import standing
from risk_daemon.operations.stored import entries
from risk_daemon.operations.which_release import release
from risk_daemon.rollout import row as rows
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.handover import answered
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.play import Say
from risk_daemon.stage.proof import tag
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from risk_daemon.wire import control
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, decode
from risk_daemon.wire.transport import Hello

CANDIDATE: Final = "v9.0.0"
CROWD: Final = Crowd(2, 3)
EXCESS: Final = 2
#: What a configuration alone allows, contracts.
LOOSER: Final = LIMIT + 1
WITHIN_S: Final = 60.0
#: A way back ends when every account was read, and reads wait for a minute's requests.
ENDS_WITHIN_S: Final = 120.0
LOOK_EVERY_S: Final = 0.05
#: The kill comes at one of so many writes.
WRITES_MAX: Final = 14
#: And so long after that, at most: between two writes much is under way.
LATER_S: Final = 0.03
PLAN: Final = """\
production: false
minute: 20ms
gates: []
phases:
  - {name: shadow, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: canary, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: [], risk_cap: 100}
  - {name: 50, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: [], risk_cap: 100}
  - {name: 100, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: soak, wall: 10ms, open_minutes: 0, events: 0, situations: [], gates: []}
"""


class Phase(msgspec.Struct, frozen=True):
    """What is asked for, how many accounts then belong to the candidate, and in which stage."""

    name: str
    words: tuple[str, ...]
    moved: int
    stage: str


FIRST: Final = CROWD.accounts()[0]
ALL: Final = len(CROWD.accounts())
PHASES: Final = (
    Phase("canary", ("deploy", "canary", "--account", str(FIRST)), 1, "canary"),
    Phase("50", ("deploy", "percentage", "--percent", "50"), ALL // 2, "50"),
    Phase("100", ("deploy", "percentage", "--percent", "100"), ALL, "100"),
    Phase("back", ("rollout", "abort", "--reason", "enough seen"), 0, rows.ABORTED),
)


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """One kill: in which phase, at which step by the row last written, and the end of it."""

    phase: str
    step: str
    in_time: bool
    seconds: float
    problem: str = ""


class ControllerKills:
    """Rollouts of a release there and back, the supervisor killed once in each phase of each."""

    rolled_out: tuple[str, ...] = (CANDIDATE,)
    persons: tuple[str, ...] = ("a drill",)

    def __init__(self, per_phase: int, seed: int, say: Say) -> None:
        self._per_phase, self._say = per_phase, say
        self._chance = random.Random(seed)  # noqa: S311 - where to kill, nothing secret
        self._clock = Clock()
        self._kills: list[Kill] = []

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play, and return the verdict."""
        with contextlib.ExitStack() as stack:
            self._gateway, self._daemon = open_all(stack, "controller", CROWD, 5, keep)
            self._prepare()
            (self._daemon.home / "config" / "rollout.yaml").write_text(PLAN)
            self._daemon.start()
            hold(self._gateway, CROWD.accounts(), LIMIT)
            for _ in range(self._per_phase):
                self._there_and_back()
            after = self._breaches()
            verdict = self._gateway.post("/finish", settle_s=10.0)
            self._daemon.run("stop", "--yes", "--reason", "enough was killed").ok()
            late = self.broken(self._daemon.home / "state" / "journal.db")
            return judge(self._kills, self._per_phase, after, verdict, late)

    def broken(self, file: Path) -> list[str]:
        """Say to whom the journal gave what was going back already."""
        return broken(file)

    def _prepare(self) -> None:
        install(self._daemon.home, CANDIDATE)

    def _there_and_back(self) -> None:
        self._daemon.run("deploy", "plan", *self.rolled_out, "--account", str(FIRST)).ok()
        for person in self.persons:
            self._daemon.run("rollout", "approve", "start", "--by", person).ok()
        for phase in PHASES:
            self._killed_in(phase)

    def _killed_in(self, phase: Phase) -> None:
        began = self._clock.steady_ns()
        before = self._row().stage
        asking = self._daemon.begin(*phase.words)
        step = asyncio.run(self._kill_at_a_write(asking, before))
        in_time = asking.poll() is None
        asking.communicate(timeout=WITHIN_S)
        problem = self._goes_on(phase)
        seconds = round((self._clock.steady_ns() - began) / SECOND_NS, 2)
        kill = Kill(phase=phase.name, step=step, in_time=in_time, seconds=seconds, problem=problem)
        self._kills.append(kill)
        self._say(
            "kill", f"{phase.name}, {step}: {problem or f'as it would have been, {seconds} s'}"
        )

    async def _kill_at_a_write(self, asking: subprocess.Popen[str], before: str) -> str:
        """Kill at one of the writes that follow, at once or a moment later; name its step."""
        supervisor = self._daemon.processes()["supervisor"]
        left, done = self._chance.randint(1, WRITES_MAX), asyncio.Event()
        steps: list[str] = []

        def take(records: list[Record]) -> None:
            for row in (rows.decode(_body(record)) for record in records):
                # A dwell is written down all the time: what was asked is a stage or a deed.
                if len(steps) < left and (steps or row.commands or row.stage != before):
                    steps.append(step_of(row))
                if len(steps) == left:
                    done.set()

        hello = Hello("console", "a-drill")
        journal = await JournalClient.connect(self._daemon.home / "run", hello, WITHIN_S)
        try:
            journal.subscribe(control.NOW, ("rollout-stored",), on_records=take)
            async with asyncio.timeout(WITHIN_S):
                while not done.is_set() and asking.poll() is None:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(done.wait(), LOOK_EVERY_S)
            await asyncio.sleep(self._chance.choice((0.0, self._chance.uniform(0, LATER_S))))
            supervisor.kill()
        finally:
            journal.close()
        return steps[-1] if steps else "before any write"

    def _goes_on(self, phase: Phase) -> str:
        """Start it, ask again, and say what is not as it would have been; empty if all is."""
        try:
            self._daemon.run("start").ok()
            until(lambda: self._asked_again(phase), ENDS_WITHIN_S, f"{phase.name} to be entered")
            until(lambda: self._row().stage == phase.stage, ENDS_WITHIN_S, f"stage {phase.stage}")
            until(lambda: self._moved() == phase.moved, WITHIN_S, f"{phase.moved} accounts moved")
        except (TimedOut, OperatorError) as error:
            return str(error)
        return ""

    def _asked_again(self, phase: Phase) -> bool:
        return self._daemon.run(*phase.words, within_s=ENDS_WITHIN_S).code == 0

    def _moved(self) -> int:
        """Return how many accounts have what is rolled out; -1 if nobody enforces one."""
        found = asked.status(Home(self._daemon.home))["accounts"]
        if not all(one["enforcing"] for one in found):
            return -1
        return self._have_it(found)

    def _have_it(self, found: Sequence[Mapping[str, Any]]) -> int:
        return sum(one["release"] == CANDIDATE for one in found)

    def _row(self) -> rows.Row:
        (last,) = asked.tail(Home(self._daemon.home), 1, ("rollout-stored",))
        return rows.decode(_body(last))

    def _breaches(self) -> int:
        """Break each account's limit, and count those that are answered."""
        mine = CROWD.accounts()
        for account in mine:
            order = {"account": account, "contract": "MNQ", "side": "buy", "size": EXCESS}
            self._gateway.post("/order", **order, type="market")
        with contextlib.suppress(TimedOut):
            until(lambda: answered(self._gateway, mine) == mine, WITHIN_S, "each answer")
        return len(answered(self._gateway, mine))


class ConfigurationKills(ControllerKills):
    """The same of a configuration alone: no worker changes, and who has it has a looser limit."""

    rolled_out = ("--to-commit", "looser")
    persons = ("a drill", "a second one")

    def _prepare(self) -> None:
        for name, limit in (("tight", LIMIT), ("looser", LOOSER)):
            words = ("config", "set-rule", "all", "max-contracts", f"limit={limit}")
            self._daemon.run(*words).ok()
            tag(self._daemon.home / "config", name)
        self._daemon.run("config", "apply", "--to-commit", "tight").ok()

    def broken(self, file: Path) -> list[str]:
        """Say whose limit was loosened when that was going back already."""
        return broken_policies(file)

    def _have_it(self, found: Sequence[Mapping[str, Any]]) -> int:
        if {one["release"] for one in found} != {release()}:
            return -1
        limits = [limit_of(one) for one in standing(Home(self._daemon.home)).policies.values()]
        return limits.count(LOOSER)


def limit_of(policy: PolicyAdopted) -> int:
    """Return how many contracts an account may hold, by what was adopted for it."""
    (found,) = (one.params["limit"] for one in policy.rules if one.rule == "max-contracts")
    return int(str(found))


def _body(record: Record) -> bytes:
    fact = decode(record).fact
    assert isinstance(fact, RolloutStored)
    return fact.body


def step_of(row: rows.Row) -> str:
    """Name where a rollout is: its stage, and what it has given and nobody has answered."""
    given = Counter(command.does for command in row.commands.values())
    told = ", ".join(f"{count} {name}" for name, count in sorted(given.items()))
    return f"{row.stage} with {told or 'nothing'} under way"


def broken(file: Path) -> list[str]:
    """Say which leases were granted to a candidate after its rollout had begun to go back."""
    found: list[str] = []
    candidate, is_back = "", False
    has: dict[int, str] = {}  # a raised epoch is a lease too, of who has it already
    for entry in entries(file, ("rollout-stored", "lease-granted")):
        match entry.fact:
            case RolloutStored(body=body):
                row = rows.decode(body)
                candidate = row.plan.candidate.release
                is_back = row.stage in (*rows.GOING_BACK, *rows.ENDED)
            case LeaseGranted(account=account, release=heir):
                if is_back and heir == candidate and has.get(account) != heir:
                    found.append(f"record {entry.seq} gives {account} to {heir} after the way back")
                has[account] = heir
            case _:
                pass
    return found


def broken_policies(file: Path) -> list[str]:
    """Say which accounts were given the looser limit after its rollout had begun to go back."""
    found: list[str] = []
    is_back = False
    for entry in entries(file, ("rollout-stored", "policy-adopted")):
        match entry.fact:
            case RolloutStored(body=body):
                is_back = rows.decode(body).stage in (*rows.GOING_BACK, *rows.ENDED)
            case PolicyAdopted() as policy:
                if is_back and limit_of(policy) == LOOSER:
                    number = policy.account
                    found.append(f"record {entry.seq} loosens {number} after the way back")
            case _:
                pass
    return found


def judge(
    kills: Sequence[Kill],
    per_phase: int,
    answered_after: int,
    verdict: dict[str, Any],
    given_late: Sequence[str],
) -> dict[str, Any]:
    """Hold what came of it against what is promised."""
    by_phase = Counter(kill.phase for kill in kills)
    problems = [f"{kill.phase}, {kill.step}: {kill.problem}" for kill in kills if kill.problem]
    problems += [
        f"{phase.name}: {by_phase[phase.name]} kills of {per_phase}"
        for phase in PHASES
        if by_phase[phase.name] < per_phase
    ]
    problems += given_late
    if answered_after != ALL:
        problems.append(f"{answered_after} of {ALL} breaches answered afterwards")
    zero = ("reversed", "increased", "duplicate")
    problems += [f"{name}: {verdict[name]}" for name in zero if verdict[name]]
    return {
        "ok": not problems,
        "kills": dict(by_phase),
        "while_asking": sum(kill.in_time for kill in kills),
        "steps": dict(Counter(f"{kill.phase}: {kill.step}" for kill in kills)),
        "worst_s": max((kill.seconds for kill in kills), default=0.0),
        "answered": answered_after,
        "problems": problems,
    }


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = [
        f"{sum(verdict['kills'].values())} kills of the controller, {verdict['while_asking']} while"
        f" somebody waited for it; as it would have been after {verdict['worst_s']} s at worst"
    ]
    lines += [f"{count} x {step}" for step, count in sorted(verdict["steps"].items())]
    lines += [f"problem: {text}" for text in verdict["problems"]]
    same = "verdict: the same end, whenever it is killed"
    lines.append(same if verdict["ok"] else "verdict: NOT ok")
    return lines

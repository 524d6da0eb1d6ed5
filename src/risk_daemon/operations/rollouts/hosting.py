"""Where a rollout's controller lives: in the supervisor, which sees workers, leases and time.

Everything here looks and tells; what follows from it is the controller's. What is looked at is
looked at again and again, so nothing that was missed stays missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from risk_daemon.errors import DaemonError, OperatorError, Refused, UsageError
from risk_daemon.operations.home import Home
from risk_daemon.operations.rollouts.open_market import open_market
from risk_daemon.operations.rollouts.rolling import Hands
from risk_daemon.operations.rollouts.watching import Watch
from risk_daemon.rollout import messages, planning, standing
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.controller import Controller, Wish
from risk_daemon.rollout.gates import Said
from risk_daemon.rollout.plan import Plan
from risk_daemon.rollout.reading import Problems
from risk_daemon.rollout.row import Row
from risk_daemon.supervisor.loop import Supervisor
from risk_daemon.supervisor.release import is_worker, release_of
from risk_daemon.wire.control import Op

LOOK_EVERY_S: Final = 0.2
#: Gates before the start are gathered from files; each start asks for them anew.
JUDGE_EVERY_S: Final = 5.0
#: Parts of a plan's minute after which passing time is told.
TOLD_PER_MINUTE: Final = 60
RECOVER_AGAIN_S: Final = 0.5


class Host:
    """The controller of one home, and what it is told."""

    def __init__(self, daemon: Supervisor) -> None:
        self._daemon = daemon
        self._group: asyncio.TaskGroup | None = None
        self.controller = Controller(
            daemon.journal, Hands(daemon, self._plan), daemon.clock.now_ns, self._begin
        )
        self.watch = Watch(daemon, self.controller)
        self._told_at = 0
        daemon.on_failure = self._failed

    def _plan(self) -> Plan | None:
        row = self.controller.row
        return row.plan if row is not None else None

    def _begin(self, what: Any) -> object:
        assert self._group is not None
        return self._group.create_task(what)

    async def run(self) -> None:
        """Take up what is under way, then look until cancelled; what ends that is told."""
        with self.controller.standing():
            await self._run()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            while True:
                try:
                    await self.controller.recover()
                    break
                except DaemonError:  # the journal is away: it comes back
                    await asyncio.sleep(RECOVER_AGAIN_S)
            group.create_task(self._keep_judging())
            group.create_task(self.watch.run())
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                with self.controller.standing():
                    self._look()

    # --- looking ---

    def _look(self) -> None:
        row = self.controller.row
        if row is None or rows.is_over(row) or self.controller.stuck:
            return
        self._see_workers(row)
        self._see_leases(row)
        self._see_time(row)

    def _see_workers(self, row: Row) -> None:
        now = self._daemon.clock.now_ns()
        ready = {release_of(name) for name in self._daemon.promotion.ready}
        for version in (row.plan.candidate, *row.plan.ways_back):
            if version.release in ready and version not in row.warm:
                self.controller.feed(messages.WorkerReady(at=now, version=version))
            elif version.release not in ready and version in row.warm:
                self.controller.feed(
                    messages.WorkerGone(
                        at=now, version=version, why="no worker of it is ready", crashed=False
                    )
                )
        waiting = tuple(
            number
            for number, one in row.accounts.items()
            if one.at == rows.SHADOWING and self._is_folded(number, row.plan.release)
        )
        if waiting and row.plan.candidate in row.warm:
            self.controller.feed(messages.CaughtUp(at=now, accounts=waiting))

    def _is_folded(self, account: int, release: str) -> bool:
        """Tell whether a worker of a release is ready that can fold the account.

        That it sees the same is compared where it counts, at the drain of the switch.
        """
        promotion = self._daemon.promotion
        return any(
            release_of(name) == release and (account, name) not in promotion.barred
            for name in promotion.ready
        )

    def _failed(self, name: str, why: str) -> None:
        """A worker of the candidate ended by itself: that is a crash in production."""
        row = self.controller.row
        if row is None or not is_worker(name) or not rows.is_live(row):
            return
        if release_of(name) == row.plan.release and row.stage not in (rows.DRAFT, rows.GATED):
            now = self._daemon.clock.now_ns()
            self.controller.feed(messages.Tripped(at=now, by="crash", reason=f"{name} {why}"))

    def _see_leases(self, row: Row) -> None:
        """Tell of each lease that is newer than what the row knows: a fail-over, or a bump."""
        hands = self.controller.hands
        newer = tuple(
            messages.Held(
                lease.account, hands.version_of(row.plan, lease.account, lease.release), lease.epoch
            )
            for lease in self._daemon.promotion.leases
            if lease.account in row.accounts and lease.epoch > row.accounts[lease.account].epoch
        )
        if newer:
            now = self._daemon.clock.now_ns()
            self.controller.feed(messages.LeasesSeen(at=now, held=newer))

    def _see_time(self, row: Row) -> None:
        steady = self._daemon.clock.steady_ns()
        if steady - self._told_at < row.plan.minute_ns // TOLD_PER_MINUTE:
            return
        self._told_at = steady
        now = self._daemon.clock.now_ns()
        self.controller.feed(messages.Passed(at=now, steady=steady, spans=open_market(now)))

    # --- gates before the start ---

    async def _keep_judging(self) -> None:
        while True:
            await asyncio.sleep(JUDGE_EVERY_S)
            await self._judge()

    async def _judge(self) -> None:
        """Have every gate of a plan that has not begun say what it says now."""
        row = self.controller.row
        if row is None or row.stage not in (rows.DRAFT, rows.GATED) or not row.plan.gates:
            return
        candidate = row.plan.candidate
        home, now = Home(self._daemon.home), self._daemon.clock.now_ns()
        for one in await asyncio.to_thread(_judge, home, candidate.release, now):
            self.controller.feed(
                messages.Judged(
                    at=self._daemon.clock.now_ns(),
                    gate=one.gate,
                    says=one.says,
                    sentence=one.told,
                    evidence=one.evidence,
                    version=candidate,
                )
            )

    # --- people ---

    def operations(self) -> dict[str, Op]:
        """Return what the supervisor answers about rollouts."""

        async def show(args: dict[str, Any]) -> dict[str, Any]:
            del args
            return self.show()

        async def begin(args: dict[str, Any]) -> dict[str, Any]:
            plan = planning.restore(args["plan"])
            if isinstance(plan, Problems):
                raise UsageError("; ".join(plan.sentences))
            risks = {int(number): int(risk) for number, risk in dict(args["risks"]).items()}
            await self.controller.begin(plan, risks)
            await self._judge()
            return self.show()

        async def wish(args: dict[str, Any]) -> dict[str, Any]:
            if args.get("verb") == "start":
                await self._judge()
            refused = await self.controller.ask(wish_of(args, self._daemon.clock.now_ns()))
            if refused:
                raise Refused("; ".join(refused))
            return self.show()

        async def incident(args: dict[str, Any]) -> dict[str, Any]:
            who, why = str(args.get("by") or "unknown"), str(args.get("reason") or "none given")
            tripped = messages.Tripped(
                at=self._daemon.clock.now_ns(), by="security incident", reason=f"{who}: {why}"
            )
            self.controller.feed(tripped)
            return self.show()

        return {
            "rollout": show,
            "rollout-begin": begin,
            "rollout-ask": wish,
            "rollout-incident": incident,
        }

    def show(self) -> dict[str, Any]:
        """Return how the rollout stands, as people are shown it; nothing of one that never was."""
        row = self.controller.row
        if row is None:
            return {"stuck": self.controller.stuck}
        shown = standing.show(row, self._daemon.clock.now_ns())
        return {**shown, "stuck": self.controller.stuck, "judged": self.watch.show()}


def _judge(home: Home, release: str, now: int) -> tuple[Said, ...]:
    # Imported here: the supervisor is up before what reads releases is loaded.
    from risk_daemon.operations.rollouts import before

    return before.judge(home, release, now)


def wish_of(args: Mapping[str, Any], at: int) -> Wish:
    """Read what a person asks; raises OperatorError for what is nothing to ask."""
    known = {"at": at, "actor": str(args.get("by") or "unknown")}
    common: dict[str, Any] = {**known, "reason": str(args.get("reason") or "none given")}
    match str(args.get("verb", "")):
        case "start":
            return messages.Start(**common)
        case "approve":
            breaks_glass = bool(args.get("breaks_glass"))
            return messages.Approve(phase=str(args["phase"]), breaks_glass=breaks_glass, **common)
        case "promote":
            return messages.Promote(phase=str(args["phase"]), **common)
        case "complete":
            return messages.Complete(**common)
        case "stop":
            return messages.Stop(**common)
        case "resume":
            return messages.Resume(**common)
        case "abort":
            return messages.Abort(**common)
        case "accept":
            return messages.Accept(
                gate=str(args["gate"]),
                until=int(args["until"]),
                breaks_glass=bool(args.get("breaks_glass")),
                **common,
            )
        case "supersede":
            return messages.Supersede(
                by=str(args["other"]), goes_back=bool(args.get("goes_back")), **common
            )
        case other:
            raise OperatorError(f"{other!r} is nothing to ask of a rollout.", 2)

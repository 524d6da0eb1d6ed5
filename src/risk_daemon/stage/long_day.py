"""`./dev soak`: hours of a busy day, to see what grows.

Each account breaks its limit once every ten minutes, one after the other, while
quotes and orders go on. Each minute every process of the daemon is measured:
memory of its own, open descriptors, tasks of its loop. What is measured in
the last tenth of the run is compared with the first tenth after a quarter of
it, when what is filled once has been filled.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import SCENARIOS, Gateway
from risk_daemon.stage.play import Play
from risk_daemon.stage.waiting import pause

LIMIT: Final = 5
#: What most accounts hold between their breaches, so that the quotes never cease.
ROOTS: Final = ("MNQ", "MES", "MCL", "MGC")
#: Each account breaks its limit so often.
ROUND_S: Final = 600.0
#: What is too much is sold again so long after, when the answer has long come.
CALM_AFTER_S: Final = 8.0
SAMPLES: Final = 120
SETTLE_S: Final = 10.0
WARM_UP: Final = 0.25
COMPARED: Final = 0.1
GROWTH_MAX: Final = 0.05
#: A connection or a command of this minute may be open in one sample and not in another.
HANDLES_MORE_MAX: Final = 3
#: Records of the journal: what the hubs said, quotes included, and what the daemon did about it.
EVENTS_PER_S_LEAST: Final = 50.0
ASK_WITHIN_S: Final = 5.0

#: A small trade of somebody comes so often, in a market of its own.
SMALL_EVERY_S: Final = 20.0
SMALL: Final = "MYM"

Measure = dict[str, float]


class Order(msgspec.Struct, frozen=True, order=True):
    """One market order, so many seconds after the beginning."""

    at_s: float
    account: int
    root: str
    side: str
    size: int


class Sample(msgspec.Struct, frozen=True):
    """One look at every process: `own_mb`, `memory_mb`, `descriptors` and `tasks` by name.

    `own_mb` is what nobody else has, and is what may not grow: a share of what several have
    (`memory_mb`) grows when another program of the machine ends.
    """

    at_s: float
    processes: Mapping[str, Measure]


class Growth(msgspec.Struct, frozen=True):
    """A figure of one process, early and late: medians."""

    process: str
    figure: str
    early: float
    late: float

    @property
    def is_leak(self) -> bool:
        """Memory may grow by a share, handles by a few."""
        if self.figure == "own_mb":
            return self.late > self.early * (1 + GROWTH_MAX)
        return self.late > self.early + HANDLES_MORE_MAX


class LongDay(Play):
    """One long day."""

    settle_s = SETTLE_S

    def __init__(
        self, seconds: float, seed: int, say: Callable[[str, str], None], keep: Path | None = None
    ) -> None:
        super().__init__(seconds, seed, say, quiet=True, keep=keep)
        self.samples: list[Sample] = []
        self._records = 0
        self._orders: list[Order] = []

    def _scenario(self) -> str:
        return (SCENARIOS / "long_day.yaml").read_text()

    def _act_out(self, gateway: Gateway, daemon: Daemon) -> None:
        accounts = [int(row["account"]) for row in gateway.get("/truth")["accounts"]]
        self._orders = plan(accounts, self.seconds)
        next_sample = 0.0
        while (now_s := self._now_s()) < self.seconds:
            while self._orders and self._orders[0].at_s <= now_s:
                _send(gateway, self._orders.pop(0))
            if now_s >= next_sample:
                next_sample += self.seconds / SAMPLES
                self.samples.append(measure(daemon, now_s))
                self._say("sample", _in_a_line(self.samples[-1]))
            pause(0.2)
        self._records = int(asked.ask(Home(daemon.home), asked.JOURNAL, "status")["last_seq"])

    def _judged(self, verdict: dict[str, Any]) -> dict[str, Any]:
        return judge(verdict, self.samples, self.seconds, self._records / self.seconds)


def plan(accounts: Sequence[int], seconds: float) -> list[Order]:
    """Write down who orders what, and when: a breach of each account in each round, small trades.

    A day's trades are remembered all day, as a void may come late: people who trade every
    second would show as growth what is the day's own record.
    """
    found: list[Order] = []
    every_s = min(ROUND_S, seconds / 2) / len(accounts)
    last_s = seconds - 2 * CALM_AFTER_S
    for turn in range(int(last_s / every_s) + 1):
        account, root, at_s = (
            accounts[turn % len(accounts)],
            ROOTS[turn % len(ROOTS)],
            turn * every_s,
        )
        found.append(Order(at_s, account, root, "buy", LIMIT + 1))
        found.append(Order(at_s + CALM_AFTER_S, account, root, "sell", LIMIT - 1))
    for turn in range(int(last_s / SMALL_EVERY_S) + 1):
        # Never one whose breach is still being answered.
        at_s = turn * SMALL_EVERY_S
        account = accounts[(int(at_s / every_s) + len(accounts) // 2) % len(accounts)]
        found.append(Order(at_s, account, SMALL, "buy", 1))
        found.append(Order(at_s + CALM_AFTER_S, account, SMALL, "sell", 1))
    return sorted(found)


def _send(gateway: Gateway, order: Order) -> None:
    gateway.post(
        "/order",
        account=order.account,
        contract=order.root,
        side=order.side,
        size=order.size,
        type="market",
    )


def measure(daemon: Daemon, at_s: float) -> Sample:
    """Look at every process of a home; one that does not say its tasks is measured without."""
    memory = daemon.memory_mb()
    found: dict[str, Measure] = {}
    for name, process in daemon.processes().items():
        row: Measure = {"memory_mb": memory.get(name, 0.0)}
        try:
            row["own_mb"] = round(process.memory_full_info().uss / 1e6, 2)
            row["descriptors"] = _handles(process)
            told = asked.ask(Home(daemon.home), name, "tasks", within_s=ASK_WITHIN_S)
            row["tasks"] = float(told["tasks"])
        except (psutil.NoSuchProcess, OperatorError):
            pass
        found[name] = row
    return Sample(at_s, dict(sorted(found.items())))


def _handles(process: psutil.Process) -> float:
    """Open descriptors; on Windows its handles, which are the same thing there."""
    if sys.platform == "win32":
        return float(process.num_handles())
    return float(process.num_fds())


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Compare the first tenth after the warm-up with the last tenth, figure by figure."""
    seconds = samples[-1].at_s if samples else 0.0
    early_to = seconds * (WARM_UP + COMPARED)
    early = [one for one in samples if seconds * WARM_UP <= one.at_s < early_to]
    late = [one for one in samples if one.at_s >= seconds * (1 - COMPARED)]
    found = []
    for process in sorted({name for one in late for name in one.processes}):
        for figure in ("own_mb", "descriptors", "tasks"):
            before, after = _of(early, process, figure), _of(late, process, figure)
            if before and after:
                medians = statistics.median(before), statistics.median(after)
                found.append(Growth(process, figure, *medians))
    return found


def _of(samples: Sequence[Sample], process: str, figure: str) -> list[float]:
    rows = [one.processes.get(process, {}) for one in samples]
    return [row[figure] for row in rows if figure in row]


def judge(
    verdict: dict[str, Any], samples: Sequence[Sample], seconds: float, rate: float
) -> dict[str, Any]:
    """Add what grew, and what was promised of the load; `rate` is events in a second."""
    problems = list(verdict.get("problems", []))
    compared = growths(samples)
    if not compared:
        problems.append("nothing was compared: too few samples")
    problems += [
        f"{one.process}: {one.figure} grew from {one.early:g} to {one.late:g}"
        for one in compared
        if one.is_leak
    ]
    if rate < EVENTS_PER_S_LEAST:
        problems.append(f"{rate:.0f} events/s, {EVENTS_PER_S_LEAST:g} make a busy day")
    rounds = int(seconds // ROUND_S)
    problems += [
        f"account {account} had {row['breaches']} breaches, one each ten minutes makes {rounds}"
        for account, row in verdict["by_account"].items()
        if row["breaches"] < rounds
    ]
    verdict["events_per_s"] = round(rate, 1)
    verdict["growth"] = [msgspec.structs.asdict(one) for one in compared]
    verdict["problems"] = problems
    verdict["ok"] = bool(verdict["ok"]) and not problems
    return verdict


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = [
        f"{verdict['breaches']} breaches, {verdict['answered']} answered, {verdict['late']} late;"
        f" {verdict['events_per_s']} events/s"
    ]
    lines += [
        f"{row['process']}: {row['figure']} {row['early']:g} -> {row['late']:g}"
        for row in verdict["growth"]
    ]
    lines += [f"problem: {text}" for text in verdict["problems"][:20]]
    lines.append("verdict: nothing grew" if verdict["ok"] else "verdict: NOT ok")
    return lines


def _in_a_line(sample: Sample) -> str:
    memory = sum(row["memory_mb"] for row in sample.processes.values())
    handles = sum(row.get("descriptors", 0.0) for row in sample.processes.values())
    tasks = sum(row.get("tasks", 0.0) for row in sample.processes.values())
    return f"{sample.at_s:6.0f} s: {memory:.1f} MB, {handles:g} descriptors, {tasks:g} tasks"

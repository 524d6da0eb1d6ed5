"""The running gateway: the world, its clock, its doors, and the pump between them.

The dull part. One task (`pump`) moves the world on; the doors call the world when a request comes.
Everything runs in one event loop, so the world is never entered twice at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random

from risk_daemon.sim.hubs import Hubs
from risk_daemon.sim.moment import NS_PER_MS, NS_PER_S, Moment
from risk_daemon.sim.profile import draw_ns
from risk_daemon.sim.scenario import SimConfig
from risk_daemon.sim.tokens import Budget, TokenDesk
from risk_daemon.sim.world import World

PUMP_MS_MAX = 20.0
REQUESTS_KEPT_MAX = 200_000


@dataclass(slots=True)
class Logged:
    """One REST request as it came in; code and status are filled in when it is answered."""

    n: int
    mono_ms: float
    at: str
    login: str | None
    path: str
    account: int | None = None
    contract: str | None = None
    size: int | None = None
    order: int | None = None
    code: int | None = None
    status: int | None = None
    outcome: str = "open"


@dataclass(slots=True)
class Gate:
    """Everything the doors share."""

    config: SimConfig
    world: World
    tokens: TokenDesk
    hubs: Hubs
    budgets: dict[str, Budget]
    rng: Random
    log: Callable[[str], None]
    #: By login: its key, where it is another than the file's.
    keys: dict[str, str] = field(default_factory=dict)
    requests: deque[Logged] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT_MAX))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    request_count: int = 0
    _said: int = 0

    def now(self) -> Moment:
        """This moment, in both clocks."""
        return present(self.config.offset_s)

    def date_header(self) -> str:
        """The HTTP Date, in exchange time like everything else that is printed."""
        return format_datetime(self.now().at.replace(microsecond=0), usegmt=True)

    def next_request(self) -> int:
        """The number of a request."""
        self.request_count += 1
        return self.request_count

    async def pause(self) -> None:
        """The delay of an answer, as the profile has it."""
        delay = draw_ns(self.rng, self.world.profile.answer_ms)
        if delay:
            await asyncio.sleep(delay / NS_PER_S)

    async def pump(self) -> None:
        """Move the world on, for ever."""
        while True:
            self.turn()
            due = self.world.next_due_ns() - time.monotonic_ns()
            wait_s = min(max(due, 0) / NS_PER_S, PUMP_MS_MAX / 1000)
            try:
                async with asyncio.timeout(wait_s):
                    await self.wake.wait()
            except TimeoutError:
                pass
            self.wake.clear()

    def turn(self) -> None:
        """One turn of the pump."""
        now = self.now()
        self.world.whole = self.hubs.whole()
        out = self.world.step(now)
        for login, message in out.messages:
            self.hubs.send_user(login, message, now.ns)
        for tick in out.ticks:
            self.hubs.send_market(tick, now)
        self._log_happenings()

    def _log_happenings(self) -> None:
        happenings = self.world.referee.happenings
        for line in happenings[self._said :]:
            who = f" {line.account}" if line.account else ""
            self.log(f"{line.at} {line.kind}{who} {line.text}")
        self._said = len(happenings)


def present(offset_s: float) -> Moment:
    """The host's clocks, shifted for the exchange."""
    at = datetime.now(UTC) + timedelta(seconds=offset_s)
    return Moment(time.monotonic_ns(), at)


def open_gate(config: SimConfig, log_path: Path | None) -> Gate:
    """A gateway that is ready to be pumped."""
    world = World(config, present(config.offset_s))
    gate = Gate(
        config=config,
        world=world,
        tokens=TokenDesk(config.seed),
        hubs=Hubs(world, lambda: present(config.offset_s)),
        budgets={login.user: Budget() for login in config.logins},
        rng=Random(f"answers {config.seed}"),
        log=_log_to(log_path),
    )
    gate.hubs.token_owner = lambda token: gate.tokens.login_of(token, time.time())
    return gate


def _log_to(path: Path | None) -> Callable[[str], None]:
    if path is None:
        return lambda _line: None
    file = path.open("a", buffering=1, encoding="utf-8")
    return lambda line: print(line, file=file)


def ms_of(ns: int) -> float:
    """Nanoseconds as milliseconds."""
    return ns / NS_PER_MS

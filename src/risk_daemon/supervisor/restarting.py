"""Restarts of one process after the other: standby first, protected throughout, gaps measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.errors import OperatorError, TimedOut
from risk_daemon.supervisor import promotion
from risk_daemon.supervisor.children import Running
from risk_daemon.supervisor.release import is_worker
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.heart import Heartbeat

STOP_WITHIN_S: Final = 4.0
READY_WITHIN_S: Final = 20.0
LOOK_EVERY_S: Final = 0.002


class Daemon(Protocol):
    """What is asked of the supervisor."""

    home: Path
    journal: JournalClient
    clock: Timekeeper
    running: dict[str, Running]
    beats: dict[str, tuple[int, Heartbeat]]

    @property
    def promotion(self) -> promotion.State:
        """Who holds which account, and what is under way about it."""

    def names(self) -> list[str]:
        """Return all children in the order of starting."""


async def all_of(daemon: Daemon) -> list[dict[str, Any]]:
    """Restart every process; return how long each one's work was done by nobody, in ms."""
    return [{"process": name, "gap_ms": await _one(daemon, name)} for name in _order(daemon)]


def _order(daemon: Daemon) -> list[str]:
    holders = {lease.holder for lease in daemon.promotion.leases}
    workers = [name for name in daemon.names() if is_worker(name)]
    standby = [name for name in workers if name not in holders]
    active = [name for name in workers if name in holders]
    links = [name for name in daemon.names() if name.startswith("link-")]
    return [*standby, *active, *links, "console", "journal"]


async def _one(daemon: Daemon, name: str) -> float:
    if is_worker(name) and all(other == name for other in daemon.promotion.ready):
        raise OperatorError(f"{name} is not restarted: no other worker is ready to take over")
    began = daemon.clock.steady_ns()
    before = daemon.running.get(name)
    if before is not None:
        before.terminate()
        await gone(before)
    gap = await until(daemon.clock, lambda: _serves(daemon, name), began)
    if is_worker(name):
        await until(daemon.clock, lambda: name in daemon.promotion.ready, began)
    return round(gap / 1e6, 1)


def _serves(daemon: Daemon, name: str) -> bool:
    if is_worker(name):
        leases = daemon.promotion.leases
        held = {lease.account for lease in leases if lease.holder in daemon.beats}
        return held >= set(daemon.promotion.accounts)
    if name == "journal":
        return daemon.journal.is_open
    return name in daemon.running and (daemon.home / "run" / f"{name}.addr").exists()


async def gone(running: Running) -> None:
    """Wait for the end of a process that was asked to end; kill it when it takes too long."""
    try:
        await asyncio.wait_for(running.ended.wait(), STOP_WITHIN_S)
    except TimeoutError:
        running.kill()
        await running.ended.wait()


async def until(clock: Timekeeper, holds: Callable[[], bool], began: int) -> int:
    """Return the ns from `began` until a condition holds; TimedOut after `READY_WITHIN_S`."""
    deadline = began + int(READY_WITHIN_S * SECOND_NS)
    while not holds():
        if clock.steady_ns() > deadline:
            raise TimedOut(f"not back after {READY_WITHIN_S:g} s; see `risk-daemon-admin status`")
        await asyncio.sleep(LOOK_EVERY_S)
    return clock.steady_ns() - began

"""What people and the console see of the supervisor: its processes, and who enforces what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from risk_daemon.clock import Timekeeper
from risk_daemon.settings import Settings
from risk_daemon.supervisor import process, promotion, resort
from risk_daemon.supervisor.children import Running
from risk_daemon.supervisor.measuring import Meter, Used
from risk_daemon.supervisor.release import is_worker
from risk_daemon.wire.heart import Heartbeat

type Beats = dict[str, tuple[int, Heartbeat]]


class Daemon(Protocol):
    """What is told of the supervisor."""

    settings: Settings
    release: str
    clock: Timekeeper
    children: dict[str, process.Child]
    running: dict[str, Running]
    beats: Beats
    disabled: dict[str, Any] | None

    @property
    def promotion(self) -> promotion.State:
        """Who holds which account, and what is under way about it."""

    def version_of(self, name: str) -> str:
        """Return the release of a child."""


class Telling:
    """The answer to `status`."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._meter = Meter(daemon.clock.steady_ns)

    async def status(self) -> dict[str, Any]:
        """Return processes and accounts as they are now."""
        daemon = self._daemon
        used = await self._meter.look({one.pid for one in daemon.running.values()})
        now = daemon.clock.steady_ns()
        return {
            "release": daemon.release,
            "processes": [self._process(name, now, used) for name in self._shown()],
            "accounts": accounts(daemon.promotion, daemon.beats, daemon.release),
            "disabled": daemon.disabled,
        }

    def _shown(self) -> list[str]:
        """Return the processes to tell of; a protector that is not needed is none of them."""
        is_needed = resort.PROTECTOR in self._daemon.running
        names = sorted(self._daemon.children)
        return [name for name in names if is_needed or name != resort.PROTECTOR]

    def _process(self, name: str, now: int, used: Mapping[int, Used]) -> dict[str, Any]:
        daemon = self._daemon
        running, beat = daemon.running.get(name), daemon.beats.get(name)
        child = daemon.children[name]
        holders = {lease.holder for lease in daemon.promotion.leases}
        figures = used.get(running.pid, Used()) if running else Used()
        role = name.split("-")[0]
        if is_worker(name):
            role = "active" if name in holders else "standby"
        return {
            "name": name,
            "pid": running.pid if running else None,
            "role": role,
            "state": str(child.phase),
            "since_s": round((now - child.since) / 1e9, 1),
            "restarts": child.restarts,
            "release": daemon.version_of(name),
            "heartbeat_age_ms": (now - beat[0]) // 1_000_000 if beat else None,
            "memory_mb": figures.memory_mb,
            "cpu_percent": figures.cpu_percent,
            "reconcile_every_s": self._reconcile_every_s(name),
        }

    def _reconcile_every_s(self, name: str) -> float | None:
        """Return how often a link reads its accounts; None for other processes."""
        login = name.removeprefix("link-")
        return self._daemon.settings.login(login).reconcile_every_s if login != name else None


def accounts(state: promotion.State, beats: Beats, release: str) -> list[dict[str, Any]]:
    """Return who holds each account, and whether its heartbeat says that it enforces it."""
    leases = {lease.account: lease for lease in state.leases}
    said = {name: set(beat.enforcing) for name, (_, beat) in beats.items()}
    return [_account(one, leases.get(one), said, release) for one in state.accounts]


def _account(
    account: int,
    lease: promotion.Lease | None,
    said: dict[str, set[tuple[int, int]]],
    release: str,
) -> dict[str, Any]:
    if lease is None:
        row: dict[str, Any] = {"account": account, "holder": None, "epoch": 0}
        return row | {"release": release, "enforcing": False, "why": "no lease yet"}
    enforcing = (account, lease.epoch) in said.get(lease.holder, ())
    row = {"account": account, "holder": lease.holder, "epoch": lease.epoch}
    why = "" if enforcing else f"{lease.holder} does not say that it enforces it"
    return row | {"release": lease.release, "enforcing": enforcing, "why": why}

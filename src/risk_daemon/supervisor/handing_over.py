"""Journal, links, console and supervisor become those of another release, one at a time.

A process ends and its successor of the other release begins in its place: the gap is that of a
restart, and measured. Who does not come up, or does not stay up, is started again as what it was,
and nothing after it is touched. The supervisor goes last, and leaves everything running.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.errors import DaemonError, OperatorError
from risk_daemon.supervisor import process
from risk_daemon.supervisor.alarms import Alarms
from risk_daemon.supervisor.children import Running, last_words, spawn
from risk_daemon.supervisor.restarting import gone
from risk_daemon.wire.client import JournalClient, ask

SERVES_WITHIN_S: Final = 20.0
LOOK_EVERY_S: Final = 0.01
ANSWER_WITHIN_S: Final = 0.5
#: Its name while the one before still has the lock.
SUCCESSOR: Final = "successor"
SUCCESSOR_WITHIN_S: Final = 15.0
#: States of a link in which its accounts are seen.
SEEING: Final = ("trusted", "polling")


class Daemon(Protocol):
    """What is asked of the supervisor."""

    home: Path
    journal: JournalClient
    clock: Timekeeper
    alarms: Alarms
    children: dict[str, process.Child]
    running: dict[str, Running]
    versions: dict[str, str]

    def version_of(self, name: str) -> str:
        """Return the release of a child."""

    def begin_anew(self, name: str) -> None:
        """Have a child's next start be at once."""


async def each(
    daemon: Daemon, release: str, names: Sequence[str], stays_s: float
) -> list[dict[str, Any]]:
    """Hand over one process after the other, until one fails; return a row each."""
    rows: list[dict[str, Any]] = []
    for name in names:
        row = await _one(daemon, name, release, stays_s)
        rows.append(row)
        said = f"{name}: from {row['from']} to {release}"
        if row["why"]:
            daemon.alarms.say("urgent", "not handed over", f"{said}: {row['why']}")
            break
        daemon.alarms.say("info", "handed over", f"{said}, gap {row['gap_ms']} ms")
    return rows


async def _one(daemon: Daemon, name: str, release: str, stays_s: float) -> dict[str, Any]:
    before = daemon.version_of(name)
    row: dict[str, Any] = {"process": name, "from": before, "to": release}
    gap_ns, why = await _exchange(daemon, name, release)
    why = why or await _stays(daemon, name, stays_s)
    if why:
        back_ns, wrong = await _exchange(daemon, name, before)
        gap_ns = (gap_ns or 0) + (back_ns or 0)
        why += f"; and as {before} {wrong}" if wrong else f"; it is of {before} again"
    return row | {"gap_ms": round((gap_ns or 0) / 1e6, 1), "why": why}


async def _exchange(daemon: Daemon, name: str, release: str) -> tuple[int | None, str]:
    """End a process and have its successor serve; return the gap in ns, and why it has none."""
    was_seeing = await _sees(daemon, name)
    began, before = daemon.clock.steady_ns(), daemon.running.get(name)
    daemon.versions[name] = release
    daemon.begin_anew(name)
    if before is not None:
        before.terminate()
        await gone(before)
    until = began + int(SERVES_WITHIN_S * SECOND_NS)
    while daemon.clock.steady_ns() < until:
        if await _serves(daemon, name, before, must_see=was_seeing):
            return daemon.clock.steady_ns() - began, ""
        # Its first start follows the end of the one before; another one, its own end.
        if daemon.children[name].restarts > 1:
            return None, f"it ended as {release}: {last_words(daemon.home, name)}"
        await asyncio.sleep(LOOK_EVERY_S)
    return None, f"as {release} it did not serve within {SERVES_WITHIN_S:g} s"


async def _serves(daemon: Daemon, name: str, before: Running | None, *, must_see: bool) -> bool:
    running = daemon.running.get(name)
    if running is None or running is before:
        return False
    if name == "journal":
        return daemon.journal.is_open
    if must_see:
        return await _sees(daemon, name)
    return await _answer(daemon, name, "tasks") is not None


async def _sees(daemon: Daemon, name: str) -> bool:
    """Tell whether a link's accounts are seen; of other processes, nothing."""
    if not name.startswith("link-"):
        return False
    told = await _answer(daemon, name, "status")
    return told is not None and told.get("state") in SEEING


async def _answer(daemon: Daemon, name: str, op: str) -> dict[str, Any] | None:
    try:
        answer = await ask(daemon.home / "run", name, op, {}, ANSWER_WITHIN_S)
    except DaemonError:
        return None
    return answer.data if answer.ok else None


async def _stays(daemon: Daemon, name: str, stays_s: float) -> str:
    """Watch a process for a while; return "", or how it ended."""
    running, until = daemon.running.get(name), daemon.clock.steady_ns() + int(stays_s * SECOND_NS)
    while daemon.clock.steady_ns() < until:
        if daemon.running.get(name) is not running:
            return f"it did not stay up: {last_words(daemon.home, name)}"
        await asyncio.sleep(LOOK_EVERY_S)
    return ""


# --- the supervisor itself -----------------------------------------------------------


async def successor(home: Path, release: str, python: str) -> int:
    """Start another release's supervisor and wait until it waits for ours to leave.

    Raises OperatorError if it does not get so far; it is gone then.
    """
    sign = home / "run" / SUCCESSOR
    sign.unlink(missing_ok=True)
    words = ["risk_daemon.programs.supervisor", "--home", str(home), "--release", release]
    running = spawn("supervisor", [*words, "--succeed"], home / "logs", secrets=True, python=python)
    deadline = asyncio.get_running_loop().time() + SUCCESSOR_WITHIN_S
    while asyncio.get_running_loop().time() < deadline and running.is_alive:
        if sign.exists() and sign.read_text() == str(running.pid):
            return running.pid
        await asyncio.sleep(LOOK_EVERY_S)
    running.kill()
    await running.wait()
    said = last_words(home, "supervisor")
    raise OperatorError(f"the supervisor of {release} does not come up ({said}); ours goes on")


def announce(home: Path) -> None:
    """Say, as a successor, that only the lock is missing."""
    (home / "run" / SUCCESSOR).write_text(str(os.getpid()))

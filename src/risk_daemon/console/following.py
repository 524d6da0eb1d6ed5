"""Keeps what the console has seen up to date: follows the journal, asks the supervisor.

Both may come and go; the console goes on answering with what it has, and with
its age. Nothing here raises: a process that is away is what the console is for.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import Timekeeper
from risk_daemon.console.seen import QUIET, Seen
from risk_daemon.core.events import PolicyAdopted
from risk_daemon.errors import DaemonError
from risk_daemon.wire import client, control
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import KINDS, Record, decode
from risk_daemon.wire.transport import Hello
from risk_daemon.wire.view import decode_view

#: Prices and hashes are many and nobody reads them here.
MANY: Final = ("mark-changed", "print-seen", "hash-taken")
FOLLOWED: Final = tuple(kind for kind in KINDS if kind not in MANY)
STORIES: Final = tuple(kind for kind in FOLLOWED if not issubclass(KINDS[kind], QUIET))
STANDING: Final = ("policy-adopted", "protection-disabled", "protection-enabled")
SUPERVISOR: Final = "supervisor"
#: Other topics are no account's: an alarm that the journal could not keep.
VIEW_TOPIC: Final = "view"
CONNECT_WITHIN_S: Final = 5.0
AGAIN_AFTER_S: Final = 0.5
ASK_EVERY_S: Final = 1.0
EARLIER_MAX: Final = 100


class Follower:
    """Feeds a `Seen` for as long as it runs."""

    def __init__(self, seen: Seen, run_dir: Path, clock: Timekeeper) -> None:
        self._seen = seen
        self._run_dir = run_dir
        self._clock = clock
        #: How far each worker has told what it decided.
        self._after: dict[str, int] = {}

    async def follow_journal(self) -> None:
        """Connect, take everything that comes, connect again."""
        while True:
            try:
                await self._follow_once()
            except (DaemonError, OSError):
                # Away: the ages in every answer say so.
                self._seen.journal_connected = False
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _follow_once(self) -> None:
        lost = asyncio.Event()
        hello = Hello("console", "console", self._seen.release)
        journal = await JournalClient.connect(
            self._run_dir, hello, CONNECT_WITHIN_S, lambda _: lost.set()
        )
        try:
            journal.subscribe(
                control.NOW, FOLLOWED, views=True, on_records=self._take, on_view=self._take_view
            )
            self._take_standing(await journal.tail(1, kinds=STANDING, limit=1_000))
            if not self._seen.events:
                for record in await journal.tail(-EARLIER_MAX, kinds=STORIES, limit=EARLIER_MAX):
                    self._seen.remember(decode(record))
            self._seen.journal_connected = True
            await lost.wait()
        finally:
            self._seen.journal_connected = False
            journal.close()

    def _take_standing(self, records: list[Record]) -> None:
        """Names of accounts, and whether protection is off, from before we came."""
        for record in records:
            entry = decode(record)
            if isinstance(entry.fact, PolicyAdopted):
                self._seen.names[entry.fact.account] = entry.fact.name
            self._seen.take_mark(entry)

    def _take(self, records: list[Record]) -> None:
        now = self._clock.steady_ns()
        for record in records:
            self._seen.take_entry(record.kind, decode(record), now)

    def _take_view(self, frame: control.View) -> None:
        if frame.topic == VIEW_TOPIC:
            self._seen.take_view(decode_view(frame.payload), self._clock.steady_ns())

    async def ask_supervisor(self) -> None:
        """Ask every second who enforces what."""
        while True:
            told = await self._asked(SUPERVISOR, "status", {})
            if told is not None:
                self._seen.take_status(told, self._clock.steady_ns())
            await asyncio.sleep(ASK_EVERY_S)

    async def ask_rollout(self) -> None:
        """Ask every second how the rollout stands."""
        while True:
            told = await self._asked(SUPERVISOR, "rollout", {})
            if told is not None:
                self._seen.take_rollout(told if told.get("rollout") else {})
            await asyncio.sleep(ASK_EVERY_S)

    async def ask_workers(self) -> None:
        """Ask every second each worker that holds accounts how long its records took."""
        while True:
            rows = self._seen.status.get("processes", [])
            names = [str(row["name"]) for row in rows if row.get("role") == "active"]
            for name in names:
                await self._ask_worker(name)
            await asyncio.sleep(ASK_EVERY_S)

    async def _ask_worker(self, name: str) -> None:
        after = self._after.get(name)
        told = await self._asked(name, "figures", {"since": after or 0})
        if told is None or "next" not in told:
            return  # away, or of a release that does not tell it
        self._after[name] = int(told["next"])
        if after is not None:  # what it told before we looked is of no known time
            self._seen.take_figures(told, self._clock.steady_ns())

    async def _asked(self, process: str, op: str, args: dict[str, Any]) -> dict[str, Any] | None:
        try:
            answer = await client.ask(self._run_dir, process, op, args, timeout_s=ASK_EVERY_S)
        except (DaemonError, OSError):
            return None
        return answer.data if answer.ok else None

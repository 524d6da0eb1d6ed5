"""Homes with a real journal process in them, and what tests need to talk to it."""

import asyncio
import functools
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from risk_daemon.clock import Clock
from risk_daemon.core.events import (
    AccountSeen,
    Goal,
    Intended,
    MarkChanged,
    OperatorActed,
    PolicyAdopted,
)
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.server import JournalServer
from risk_daemon.wire import control
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import NewRecord, Record, new_record
from risk_daemon.wire.transport import Hello

DEADLINE_S = 30.0

#: Clients of the running test; its loop closes them.
_clients: list[JournalClient] = []


def on_loop[**P](test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an asynchronous test on a loop of its own, with a deadline."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def story() -> None:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await test(*args, **kwargs)
            finally:
                await _part()

        asyncio.run(story())

    return run


async def _part() -> None:
    while _clients:
        _clients.pop().close()
    for _ in range(3):  # turns of the loop, in which the sockets are closed
        await asyncio.sleep(0)


class Home:
    """A home directory, and the journal process that is started in it."""

    def __init__(self, path: Path, prefer: str = "unix") -> None:
        self.path = path
        self.prefer = prefer
        self.process: subprocess.Popen[str] | None = None

    @property
    def run_dir(self) -> Path:
        return self.path / "run"

    @property
    def file(self) -> Path:
        return self.path / "state" / "journal.db"

    def start(self, *options: str, under: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        """Start the journal; `under` is a command that runs it."""
        self.process = subprocess.Popen(
            [
                *under,
                sys.executable,
                "-m",
                "risk_daemon.programs.journal",
                "--home",
                str(self.path),
                "--prefer",
                self.prefer,
                *options,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def kill(self) -> None:
        """Kill the journal as the machine would: at once."""
        if self.process is not None:
            self.process.kill()
            self._reap()

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        code = self.process.wait(DEADLINE_S)
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.process = None
        return code

    async def client(self, name: str = "tester", role: str = "test") -> JournalClient:
        client = await JournalClient.connect(self.run_dir, Hello(role, name), DEADLINE_S)
        _clients.append(client)
        return client

    async def clients(self, count: int) -> list[JournalClient]:
        return [await self.client(f"tester-{number}") for number in range(count)]


class Served:
    """A journal in this process, whose file may grow no further."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self._file = JournalFile(self.home.file, 1)
        self._stop = asyncio.Event()

    async def run(self) -> int:
        journal = JournalServer(self._file, Clock())
        return await journal.run(self.home.run_dir, "unix", self._stop, self._limit)

    def _limit(self) -> None:
        (pages,) = self._file._connection.execute("PRAGMA page_count").fetchone()
        self._file._connection.execute(f"PRAGMA max_page_count = {pages + 30}").fetchone()

    def close(self) -> None:
        self._file._connection.close()


class Seen:
    """A subscriber that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.views: list[control.View] = []
        self.truncated: int | None = None
        self.caught_up: int | None = None
        self._changed = asyncio.Event()

    def subscribe(
        self,
        client: JournalClient,
        from_seq: int = 0,
        kinds: tuple[str, ...] = (),
        views: bool = False,
        crc: int = control.UNPROVEN,
    ) -> None:
        client.subscribe(
            from_seq,
            kinds,
            views,
            on_records=self._on_records,
            on_view=self._on_view,
            on_truncated=self._on_truncated,
            on_caught_up=self._on_caught_up,
            crc=crc,
        )

    @property
    def seqs(self) -> list[int]:
        return [record.seq for record in self.records]

    def of(self, kind: str) -> list[Record]:
        return [record for record in self.records if record.kind == kind]

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def until_caught_up(self) -> None:
        await self.until(lambda: self.caught_up is not None)

    async def until_seq(self, seq: int) -> None:
        await self.until(lambda: self.records and self.records[-1].seq >= seq)

    async def until_more(self, count: int) -> None:
        enough = len(self.records) + count
        await self.until(lambda: len(self.records) >= enough)

    def _on_records(self, records: list[Record]) -> None:
        self.records += records
        self._changed.set()

    def _on_view(self, view: control.View) -> None:
        self.views.append(view)
        self._changed.set()

    def _on_truncated(self, last_seq: int) -> None:
        self.truncated = last_seq
        self._changed.set()

    def _on_caught_up(self, last_seq: int) -> None:
        self.caught_up = last_seq
        self._changed.set()


def mark(price: int = 1) -> NewRecord:
    """A fact of no account."""
    return new_record(MarkChanged(contract="CON.F.US.EP.Z25", bid=price, ask=price + 1, last=price))


def account_seen(account: int) -> NewRecord:
    """A fact that needs a policy."""
    return new_record(
        AccountSeen(account=account, login="main", name="EVAL-1", balance=0, can_trade=True)
    )


def policy(account: int) -> NewRecord:
    """A promise that lets an account in."""
    return new_record(
        PolicyAdopted(
            account=account,
            login="main",
            name="EVAL-1",
            calendar="cme",
            day_roll="session",
            rules=(),
            digest="d",
        )
    )


def act(act_id: str) -> NewRecord:
    """A promise that is stored once."""
    fact = OperatorActed(account=0, act="reduce-only", by="ann", reason="test", act_id=act_id)
    return new_record(fact, once=act_id)


def intent(account: int, epoch: int, key: str) -> NewRecord:
    """The record of an intent."""
    goal = Goal(act="close", account=account, contract="CON.F.US.EP.Z25", locked=True)
    return new_record(Intended(account=account, epoch=epoch, cause_seq=1, key=key, goal=goal))

"""The running daemon of a home, as a command of a person sees it: short questions, with an end.

Each call opens its own connection and closes it. A process that does not
answer is an error of its own (`NotReachable`, `TimedOut`), never silence.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from risk_daemon.core.events import Fact
from risk_daemon.errors import JournalAway, Malformed, NotReachable, OperatorError
from risk_daemon.operations.home import Home
from risk_daemon.wire import client, control
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, new_record
from risk_daemon.wire.transport import Hello, address_file
from risk_daemon.wire.view import AccountView, decode_view

JOURNAL: Final = client.JOURNAL
SUPERVISOR: Final = "supervisor"
JOURNAL_WITHIN_S: Final = 2.0
#: Other topics are no account's: an alarm that the journal could not keep.
VIEW_TOPIC: Final = "view"
#: The last view of each account is passed on at once to who subscribes.
VIEWS_WITHIN_S: Final = 0.5

type Answers = dict[str, dict[str, Any] | OperatorError]


def operator() -> str:
    """Who types."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def link_name(login: str) -> str:
    """The process of a login."""
    return f"link-{login}"


async def _ask(
    home: Home, process: str, op: str, args: Mapping[str, Any], within_s: float
) -> dict[str, Any]:
    try:
        answer = await client.ask(home.run, process, op, dict(args), within_s)
    except Malformed as error:
        raise NotReachable(f"{process} does not speak this release's protocol: {error}") from None
    if not answer.ok:
        raise OperatorError(answer.error, answer.exit or 1)
    return answer.data


def ask(
    home: Home, process: str, op: str, args: Mapping[str, Any] | None = None, within_s: float = 3.0
) -> dict[str, Any]:
    """Ask one process; what it refuses is raised with its own words."""
    return asyncio.run(_ask(home, process, op, args or {}, within_s))


def ask_each(
    home: Home, processes: Sequence[str], op: str, args: Mapping[str, Any], within_s: float
) -> Answers:
    """Ask several at once; each has its answer or its error."""

    async def one(process: str) -> dict[str, Any] | OperatorError:
        try:
            return await _ask(home, process, op, args, within_s)
        except OperatorError as error:
            return error

    async def every() -> Answers:
        async with asyncio.TaskGroup() as group:
            tasks = {process: group.create_task(one(process)) for process in processes}
        return {process: task.result() for process, task in tasks.items()}

    return asyncio.run(every())


def status(home: Home) -> dict[str, Any]:
    """What the supervisor knows."""
    return ask(home, SUPERVISOR, "status")


# --- the journal ---------------------------------------------------------------


def with_journal[T](
    home: Home, act: Callable[[JournalClient], Awaitable[T]], within_s: float = JOURNAL_WITHIN_S
) -> T:
    """Connect to the journal, do one thing within a time, and part."""

    async def run() -> T:
        if not address_file(home.run, JOURNAL).exists():
            raise NotReachable(f"the journal of {home.path} is not running.")
        try:
            journal = await JournalClient.connect(home.run, Hello("admin", operator()), within_s)
        except Malformed as error:
            raise NotReachable(f"the journal speaks another protocol: {error}") from None
        try:
            async with asyncio.timeout(within_s):
                return await act(journal)
        except TimeoutError:
            raise NotReachable(f"the journal did not answer within {within_s:g} s.") from None
        except JournalAway as away:
            raise NotReachable(f"the journal went away: {away}") from None
        finally:
            journal.close()

    return asyncio.run(run())


def append(home: Home, fact: Fact, once: str = "") -> int:
    """Store a fact durably; returns its seq."""

    async def act(journal: JournalClient) -> int:
        appended = await journal.append([new_record(fact, once)])
        if appended.refused:
            raise OperatorError(f"the journal refused it: {appended.refused}")
        return appended.last_seq

    return with_journal(home, act)


def journal_status(home: Home) -> dict[str, Any]:
    """Figures of the journal."""
    return ask(home, JOURNAL, "status")


def tail(home: Home, limit: int, kinds: Sequence[str] = ()) -> list[Record]:
    """The latest records."""

    async def act(journal: JournalClient) -> list[Record]:
        return await journal.tail(-limit, kinds=kinds, limit=limit)

    return with_journal(home, act)


def probe(home: Home) -> tuple[control.Probed, list[Record]]:
    """Write a promise that means nothing; read it back over a second connection."""

    async def write(journal: JournalClient) -> control.Probed:
        return await journal.probe()

    probed = with_journal(home, write, 4.0)
    if probed.refused:
        raise OperatorError(f"the journal refused a promise: {probed.refused}")

    async def read(journal: JournalClient) -> list[Record]:
        return await journal.tail(probed.seq, limit=1)

    return probed, with_journal(home, read)


def views(home: Home, wanted: Sequence[int]) -> dict[int, AccountView]:
    """Each account as its worker last published it; those that publish nothing are missing."""
    seen: dict[int, AccountView] = {}

    async def act(journal: JournalClient) -> dict[int, AccountView]:
        complete = asyncio.Event()

        def on_view(frame: control.View) -> None:
            if frame.topic != VIEW_TOPIC:
                return
            seen[frame.account] = decode_view(frame.payload)
            if set(wanted) <= seen.keys():
                complete.set()

        journal.subscribe(
            control.NOW, ["none"], views=True, on_records=lambda _: None, on_view=on_view
        )
        if wanted:
            try:
                async with asyncio.timeout(VIEWS_WITHIN_S):
                    await complete.wait()
            except TimeoutError:
                pass
        return seen

    return with_journal(home, act)

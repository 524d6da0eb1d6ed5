"""The supervisor process: starts the journal, has the configuration adopted, starts the rest."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import ProtectionDisabled, ProtectionEnabled
from risk_daemon.errors import OperatorError, Refused
from risk_daemon.journal.exclusive import Hold
from risk_daemon.operations import home as homes
from risk_daemon.operations.backup import scheduled
from risk_daemon.operations.changing import contacts
from risk_daemon.operations.configuration import flags_kept, postponed
from risk_daemon.operations.home import Home
from risk_daemon.operations.rollouts.hosting import Host
from risk_daemon.operations.which_release import release
from risk_daemon.programs import process, service
from risk_daemon.settings import Settings
from risk_daemon.supervisor import handing_over, restarting
from risk_daemon.supervisor.alarms import Alarms
from risk_daemon.supervisor.children import Register, Running, mended, spawn
from risk_daemon.supervisor.loop import Supervisor, journal_words
from risk_daemon.supervisor.notifying import Notifier
from risk_daemon.supervisor.telling import Telling
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import NOW, Ask, Op, answer
from risk_daemon.wire.heart import Heard, Heartbeat
from risk_daemon.wire.record import Record, decode
from risk_daemon.wire.transport import Channel, Hello, serve, tasks

NAME: Final = "supervisor"
#: How often it looks whether a change of policy is due.
DUE_EVERY_S: Final = 1.0
BACKUP_LOOK_S: Final = 60.0
BACKUP_AGAIN_S: Final = 3_600.0
#: A file that is damaged again right after it was made is no case for making another one.
REBUILDS_MAX: Final = 2
#: So long may the one before take to leave; it has nothing to do but to answer.
SUCCEED_WITHIN_S: Final = 10.0

_log = logging.getLogger(NAME)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon of a home until it is stopped."""
    parser = service.arguments(NAME, "Starts and watches the others.")
    parser.add_argument("--succeed", action="store_true", help="take over from the one that runs")
    args = parser.parse_args(argv)
    home: Path = args.home.absolute()
    (home / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
    version = args.release or release()
    return process.run(NAME, home, lambda: _hold(Home(home), version, succeeds=args.succeed))


def _hold(home: Home, version: str, *, succeeds: bool) -> int:
    hold = _succeed(home) if succeeds else homes.lock(home)
    try:
        return asyncio.run(_main(home, version))
    finally:
        hold.release()


def _succeed(home: Home) -> Hold:
    """Say that we are there, and wait for the one before us to leave the lock."""
    handing_over.announce(home.path)
    clock = Clock()
    until = clock.steady_ns() + int(SUCCEED_WITHIN_S * SECOND_NS)
    while True:
        try:
            return homes.lock(home)
        except Refused:
            if clock.steady_ns() > until:
                raise
        time.sleep(handing_over.LOOK_EVERY_S)


async def _main(home: Home, version: str) -> int:
    stop, lost, notifier = asyncio.Event(), asyncio.Event(), Notifier(os.environ)
    process.stop_on_signal(stop)
    found = Register(home.run / "processes.json").found().get("journal")
    running = found or _spawn_journal(home, version)
    hello = Hello(NAME, NAME, version, pid=os.getpid())
    try:
        running, journal = await _journal(home, version, running, hello, lost)
        settings = await asyncio.to_thread(_adopt, home)
    except OperatorError:
        if found is None:
            running.terminate()  # nothing stays half-started
        raise
    daemon = Supervisor(
        home.path,
        settings,
        version,
        journal,
        Clock(int(settings.clock_offset_s * SECOND_NS)),
        Alarms(journal, NAME),
    )
    daemon.lost = lost
    daemon.alarms.people = lambda: contacts.of_home(home)
    daemon.adopt = lambda: _adopt(home)
    await _note_disabled(daemon)
    host = Host(daemon)
    operations = _operations(daemon, stop, notifier) | host.operations()
    server = await serve(
        home.run,
        NAME,
        lambda channel: _attend(daemon, operations, channel),
        hello=hello,
        reads=Heard,
    )
    serving = asyncio.create_task(daemon.run(running))
    chores = [
        asyncio.create_task(host.run()),
        asyncio.create_task(_adopt_when_due(daemon)),
        asyncio.create_task(_back_up_when_due(daemon)),
        asyncio.create_task(_tell_life(notifier)),
    ]
    notifier.ready()
    try:
        await service.until_stopped(stop, serving)
        if not daemon.is_succeeded:
            notifier.stopping()
        for chore in chores:
            chore.cancel()
        daemon.stopping.set()
        await serving
    finally:
        await server.close()
        journal.close()
    return 0


def _spawn_journal(home: Home, version: str) -> Running:
    settings = msgspec.json.decode(_ask_adopt(home, "--show"), type=Settings)
    words = journal_words(home.path, settings, version)
    return spawn("journal", words, home.logs, secrets=False, release=version)


async def _journal(
    home: Home, version: str, running: Running, hello: Hello, lost: asyncio.Event
) -> tuple[Running, JournalClient]:
    """Wait for the journal; where its file is damaged that is rebuilt, and it is started again."""
    for _ in range(REBUILDS_MAX):
        connecting = asyncio.create_task(service.journal_of(home.path, hello, lost))
        ending = asyncio.create_task(running.wait())
        done, _ = await asyncio.wait({connecting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if connecting in done:
            ending.cancel()
            return running, connecting.result()
        connecting.cancel()
        if not await asyncio.to_thread(mended, home.path):
            break
        running = _spawn_journal(home, version)
    raise OperatorError(f"the journal does not stay up: {_last_words(home)}")


def _last_words(home: Home) -> str:
    said = (home.logs / "journal.out").read_text(errors="replace").strip().splitlines()
    return said[-1].removeprefix("journal: ") if said else "it says nothing"


def _adopt(home: Home) -> Settings:
    """Have the configuration adopted; return the settings in force."""
    return msgspec.convert(json.loads(_ask_adopt(home))["settings"], Settings)


async def _tell_life(notifier: Notifier) -> None:
    """Tell that this loop turns, as often as the service manager asks for."""
    while notifier.every_s:
        notifier.lives()
        await asyncio.sleep(notifier.every_s)


async def _adopt_when_due(daemon: Supervisor) -> None:
    """Adopt what waits for the next trade day, and ends of flags; a failure is told once."""
    home, failed = Home(daemon.home), 0
    while True:
        await asyncio.sleep(DUE_EVERY_S)
        try:
            dues = (postponed.first_due(home), flags_kept.read(home).due)
            due = min((one for one in dues if one not in (0, failed)), default=0)
            if not due or due > daemon.clock.now_ns():
                continue
            failed = due
            await asyncio.to_thread(_reload, home, {"by": NAME, "reason": "the next trade day"})
        except OperatorError as error:
            daemon.alarms.say(
                "urgent", "configuration", f"what is due is not adopted: {error.sentence}"
            )


async def _back_up_when_due(daemon: Supervisor) -> None:
    """Have backups made by themselves; one that fails is told, and tried again an hour later."""
    # The machine's time, which names the backups; the home's own may have been moved.
    home, clock = Home(daemon.home), Clock()
    started = clock.now_ns()
    every_h = daemon.settings.backup_every_h
    while every_h:
        due = scheduled.due_at(await asyncio.to_thread(scheduled.newest, home), started, every_h)
        await asyncio.sleep(min(max(due - clock.now_ns(), 0) / SECOND_NS, BACKUP_LOOK_S))
        if clock.now_ns() < due:
            continue  # a laptop may have slept: the clock is asked again and again
        try:
            await asyncio.to_thread(scheduled.make, home)
        except OperatorError as error:
            daemon.alarms.say("urgent", "no backup", error.sentence)
            await asyncio.sleep(BACKUP_AGAIN_S)


def _reload(home: Home, args: dict[str, Any]) -> dict[str, Any]:
    """Adopt what may take effect now; an invalid configuration changes nothing."""
    return _change(home, args, "--reload")


def _approve(home: Home, args: dict[str, Any]) -> dict[str, Any]:
    """Adopt now what waits, as a second person wants it so."""
    return _change(home, args, "--approve", f"--account={int(args.get('account') or 0)}")


def _put_back(home: Home, args: dict[str, Any]) -> dict[str, Any]:
    """Adopt the whole policy now: a way back waits for nobody."""
    return _change(home, args, "--put-back")


def _change(home: Home, args: dict[str, Any], *flags: str) -> dict[str, Any]:
    by, reason = str(args.get("by") or "unknown"), str(args.get("reason") or "none given")
    told: dict[str, Any] = json.loads(_ask_adopt(home, *flags, f"--by={by}", f"--reason={reason}"))
    return {"changed": told["changed"], "waiting": told["waiting"]}


def _ask_adopt(home: Home, *flags: str) -> str:
    """Read the configuration in a process of its own, which may weigh what it likes."""
    words = [sys.executable, "-m", "risk_daemon.programs.adopt", "--home", str(home.path), *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.stderr.strip():
        sys.stderr.write(done.stderr)
        _log.warning("adopt", extra={"said": done.stderr.strip()})
    if done.returncode != 0:
        last = done.stderr.strip() or f"adopt ended with exit {done.returncode}"
        raise OperatorError(last.removeprefix("adopt: "), done.returncode)
    return done.stdout


async def _note_disabled(daemon: Supervisor) -> None:
    """Show, as long as it stands, that protection was switched off on purpose."""
    kinds = ("protection-disabled", "protection-enabled")
    found = await daemon.journal.tail(-1, kinds=kinds, limit=1)
    if found:
        _take_mark(daemon, found[-1].at, decode(found[-1]).fact)

    def on_records(records: list[Record]) -> None:
        for record in records:
            _take_mark(daemon, record.at, decode(record).fact)

    daemon.journal.subscribe(NOW, kinds, on_records=on_records)


def _take_mark(daemon: Supervisor, at: int, fact: object) -> None:
    if isinstance(fact, ProtectionDisabled):
        daemon.disabled = {"by": fact.by, "reason": fact.reason, "since": at}
    elif isinstance(fact, ProtectionEnabled):
        daemon.disabled = None


def _operations(daemon: Supervisor, stop: asyncio.Event, notifier: Notifier) -> dict[str, Op]:
    telling = Telling(daemon)

    async def status(args: dict[str, Any]) -> dict[str, Any]:
        del args
        return await telling.status()

    async def stop_now(args: dict[str, Any]) -> dict[str, Any]:
        del args
        # The answer leaves first; whoever asked waits for the processes to be gone.
        asyncio.get_running_loop().call_later(0.05, stop.set)
        return {"processes": sorted(daemon.running)}

    async def restart(args: dict[str, Any]) -> dict[str, Any]:
        del args
        return {"gaps": await restarting.all_of(daemon)}

    async def reload(args: dict[str, Any]) -> dict[str, Any]:
        async with reloading:
            return await asyncio.to_thread(_reload, Home(daemon.home), args)

    async def approve(args: dict[str, Any]) -> dict[str, Any]:
        async with reloading:
            return await asyncio.to_thread(_approve, Home(daemon.home), args)

    async def put_back(args: dict[str, Any]) -> dict[str, Any]:
        async with reloading:
            return await asyncio.to_thread(_put_back, Home(daemon.home), args)

    async def move(args: dict[str, Any]) -> dict[str, Any]:
        accounts = [int(one) for one in args.get("accounts") or daemon.promotion.accounts]
        release, is_back = str(args["release"]), bool(args.get("is_back"))
        moved = await daemon.pairs.move(release, accounts, is_back=is_back)
        return {"release": release, "accounts": moved}

    async def warm(args: dict[str, Any]) -> dict[str, Any]:
        await daemon.pairs.warm(str(args["release"]))
        return {"releases": daemon.pairs.releases}

    async def hand_over(args: dict[str, Any]) -> dict[str, Any]:
        names, stays_s = [str(one) for one in args["processes"]], float(args["stays_s"])
        return {"processes": await daemon.hand_over(str(args["release"]), names, stays_s)}

    async def succeed(args: dict[str, Any]) -> dict[str, Any]:
        pid = await daemon.succeed(str(args["release"]))
        notifier.succeeded(pid)  # before we leave: our end is no failure then
        asyncio.get_running_loop().call_later(0.05, stop.set)
        return {"pid": pid}

    async def retire(args: dict[str, Any]) -> dict[str, Any]:
        await daemon.pairs.retire(str(args["release"]))
        return {"releases": daemon.pairs.releases}

    reloading = asyncio.Lock()
    return {
        "status": status,
        "stop": stop_now,
        "restart": restart,
        "reload": reload,
        "approve": approve,
        "put-back": put_back,
        "move": move,
        "warm": warm,
        "retire": retire,
        "hand-over": hand_over,
        "succeed": succeed,
        "tasks": tasks,
    }


async def _attend(daemon: Supervisor, operations: dict[str, Op], channel: Channel) -> None:
    async with asyncio.TaskGroup() as group:
        while (frame := await channel.receive()) is not None:
            if isinstance(frame, Heartbeat):
                daemon.heard(frame)
            elif isinstance(frame, Ask):
                group.create_task(_say(channel, frame, operations))


async def _say(channel: Channel, frame: Ask, operations: dict[str, Op]) -> None:
    channel.send(await answer(frame, operations))


if __name__ == "__main__":
    sys.exit(main())

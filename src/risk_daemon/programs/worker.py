"""The worker process: one release deciding; and throw-away ones that judge, and exit.

`--verify` judges the journal, `--compare` what this release decides of it where another one held
the accounts, `--scripts` plays the tables of its rules, `--decide` decides scripts that are handed
in, and `--declared` says where this release means to decide otherwise.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final

import msgspec

import risk_daemon
from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.depot.files import digest_of_folder
from risk_daemon.errors import DaemonError
from risk_daemon.programs import process, service
from risk_daemon.rules import CATALOG
from risk_daemon.rules.declared import DECLARED
from risk_daemon.settings import Settings
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.heart import Heard, Heartbeat
from risk_daemon.wire.transport import Channel, Hello, connect, serve
from risk_daemon.worker import recorded, scripted, verify
from risk_daemon.worker.loop import Worker
from risk_daemon.worker.questions import Questions

SUPERVISOR_WITHIN_S: Final = 0.5
HASH_LAST_WITHIN_S: Final = 1.0
NICENESS: Final = 10
#: Asks for a restart from a snapshot rather than for an investigation.
EX_TEMPFAIL: Final = 75


def main(argv: Sequence[str] | None = None) -> int:
    """Run a worker until SIGTERM, or judge the journal and exit."""
    parser = service.arguments("worker", "Decides.")
    parser.add_argument("--name", default="worker-1@dev", help="this worker's name in leases")
    parser.add_argument("--verify", action="store_true", help="replay the journal, compare, exit")
    parser.add_argument("--compare", action="store_true", help="decide the journal again, exit")
    parser.add_argument("--file", type=Path, help="compare: a state file other than the home's")
    parser.add_argument("--scripts", action="store_true", help="print its rules' scripts, exit")
    parser.add_argument("--decide", action="store_true", help="decide scripts from stdin, exit")
    parser.add_argument("--declared", action="store_true", help="print declared differences, exit")
    args = parser.parse_args(argv)
    home: Path = args.home.absolute()
    if args.declared:
        print(json.dumps([msgspec.to_builtins(one) for one in DECLARED]))
        return 0
    if args.scripts:
        print(msgspec.json.encode(list(scripted.scripts(CATALOG))).decode())
        return 0
    if args.decide:
        given = msgspec.json.decode(sys.stdin.buffer.read(), type=list[scripted.Scripted])
        print(msgspec.json.encode([scripted.decide(CATALOG, one) for one in given]).decode())
        return 0
    if args.compare:
        file = args.file or home / "state" / "journal.db"
        release = args.release or f"v{installed_version('risk-daemon')}"
        return process.run("compare", home, lambda: _compare(file, release))
    if args.verify:
        release = args.release or f"v{installed_version('risk-daemon')}"
        return process.run("verify", home, lambda: _verify(home, release))
    return process.run(
        args.name, home, lambda: asyncio.run(_main(home, args.name, args.release or "dev"))
    )


def _compare(file: Path, release: str) -> int:
    if sys.platform != "win32":
        os.nice(NICENESS)  # whoever guards accounts on this machine goes first
    print(json.dumps(recorded.compare(file, CATALOG, release, DECLARED)))
    return 0


def _verify(home: Path, release: str) -> int:
    found = asyncio.run(verify.verify(home, CATALOG, release))
    print(json.dumps(found))
    return 0 if found["ok"] else 1


async def _main(home: Path, name: str, release: str) -> int:
    stop, lost = asyncio.Event(), asyncio.Event()
    process.stop_on_signal(stop)
    # Before anything is loaded late: what is stated is what was started.
    code = digest_of_folder(Path(risk_daemon.__file__).parent)
    hello = Hello("worker", name, release, pid=os.getpid(), code=code)
    journal = await service.journal_of(home, hello, lost)
    settings = await service.settings_of(journal)
    worker = make(home, settings, journal, name, release)
    worker.lost = lost
    questions = Questions(worker.engine, release)
    operations = {
        "test-rule": questions.op_test_rule,
        "try-policies": questions.op_try_policies,
        "boundary": questions.op_boundary,
        "decide": questions.op_decide,
        "why": worker.op_why,
        "figures": worker.op_figures,
        "hash": worker.op_hash,
        "shown": worker.op_shown,
        "enforcing": worker.op_enforcing,
        "lease": worker.op_lease,
    }
    server = await serve(home / "run", name, service.attend(operations), hello=hello)
    await worker.begin()
    gc.collect()
    gc.freeze()
    keepers: list[asyncio.Task[Any]] = [
        asyncio.create_task(worker.keep_views()),
        asyncio.create_task(worker.keep_snapshots()),
        asyncio.create_task(worker.keep_journal()),
        asyncio.create_task(_beat(home, worker, hello, settings)),
        asyncio.create_task(_raise(worker.fatal)),
    ]
    try:
        await service.until_stopped(stop, *keepers)
        worker.hash_all()
        await _said(journal)
    finally:
        for keeper in keepers:
            keeper.cancel()
        await server.close()
        journal.close()
    return 0


def make(home: Path, settings: Settings, journal: JournalClient, name: str, release: str) -> Worker:
    """Put a worker together."""
    return Worker(
        name,
        release,
        journal,
        Clock(int(settings.clock_offset_s * SECOND_NS)),
        CATALOG,
        home / "run",
        hash_every=settings.hash_every,
        snapshot_every=settings.snapshot_every,
    )


async def _raise(fatal: asyncio.Future[BaseException]) -> None:
    error = await fatal
    print(f"worker: {error}", file=sys.stderr)
    sys.exit(EX_TEMPFAIL)


async def _said(journal: JournalClient) -> None:
    """Wait until the journal has heard the last words; a question after them is answered last."""
    try:
        await asyncio.wait_for(journal.leases(), HASH_LAST_WITHIN_S)
    except (TimeoutError, DaemonError):
        return  # nobody to hear them: the hashes before these still prove the state


async def _beat(home: Path, worker: Worker, hello: Hello, settings: Settings) -> None:
    """Tell the supervisor that this worker lives; without one, go on all the same."""
    every_s = settings.workers.heartbeat_ms / 1_000
    channel: Channel | None = None
    while True:
        if channel is None or not channel.is_open:
            channel = await _supervisor(home, hello)
        if channel is not None:
            channel.send(
                Heartbeat(
                    worker.name,
                    worker.release,
                    os.getpid(),
                    worker.engine.world.seq,
                    worker.is_ready,
                    worker.enforcing(),
                    worker.poisoned(),
                )
            )
        await asyncio.sleep(every_s)


async def _supervisor(home: Path, hello: Hello) -> Channel | None:
    try:
        return await connect(
            home / "run", "supervisor", hello, SUPERVISOR_WITHIN_S, patient=False, reads=Heard
        )
    except DaemonError:
        return None


if __name__ == "__main__":
    sys.exit(main())

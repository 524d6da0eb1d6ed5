"""The journal process: reads its arguments, holds its home, and runs the loop.

It imports the standard library, msgspec, pysqlite3 and this program's wire and
journal rooms only; it stays below 30 MB.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # msgspec loads typing_extensions if it can: 6 MB and 25 ms, for what 3.12 has itself.
    sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type]

import argparse
import asyncio
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.journal import swap
from risk_daemon.journal.exclusive import Hold
from risk_daemon.journal.file import VERIFIED_AT_START, JournalFile
from risk_daemon.journal.reserve import Reserve
from risk_daemon.journal.server import NAME, JournalServer
from risk_daemon.programs import process, spare
from risk_daemon.wire import attest
from risk_daemon.wire.transport import Hello, write_private

#: How long the loop's thread may keep the interpreter while the writer wants it.
_SWITCH_S: Final = 0.0005

_log = logging.getLogger("journal")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the journal until SIGTERM; return its exit code."""
    args = _parser().parse_args(argv)
    home: Path = args.home.absolute()
    if args.spare and not spare.told(home / "logs", lambda word: word):
        return 0
    return process.run(NAME, home, lambda: _run(home, args))


def _run(home: Path, args: argparse.Namespace) -> int:
    sys.setswitchinterval(_SWITCH_S)
    clock = Clock(int(args.offset_s * SECOND_NS))
    state, run_dir = home / "state", home / "run"
    for folder in (state, run_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    Reserve(state).make_room_to_start()
    hold = Hold(state / "journal.lock")
    ready = run_dir / "journal.ready"
    ready.unlink(missing_ok=True)
    try:
        if swap.is_begun(home):
            _log.warning("restore finished", extra={"kept": str(swap.finish(home))})
        file = JournalFile(state / "journal.db", clock.now_ns(), args.verify_last)
        clock.go_on_from(file.head.at)
        journal = JournalServer(file, clock, args.release, lambda one: _objection(home, one))
        code = asyncio.run(_serve(journal, run_dir, args.prefer, ready))
        _log.info("journal stopped", extra={"exit": code})
        return code
    finally:
        ready.unlink(missing_ok=True)
        hold.release()


def _objection(home: Path, hello: Hello) -> str:
    """Compare the code a worker runs with what its release was signed for."""
    if hello.role != "worker":
        return ""
    return attest.objection(hello.release, hello.code, _signed(home, hello.release))


def _signed(home: Path, release: str) -> str | None:
    """The digest of the code in the manifest of a staged release; as `objection` wants it."""
    folder = home / "releases" / release
    if folder.parent != home / "releases" or not (folder / "staged.json").exists():
        return attest.UNSTAGED
    try:
        return str(json.loads((folder / "manifest.json").read_bytes())["code"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


async def _serve(journal: JournalServer, run_dir: Path, prefer: str, ready: Path) -> int:
    stop = asyncio.Event()
    process.stop_on_signal(stop)

    def on_ready() -> None:
        line = {"pid": os.getpid(), "started_at": Clock().now_ns()}
        write_private(ready, json.dumps(line).encode())
        _log.info("journal started", extra={"last_seq": journal.intake.last_seq, **line})

    return await journal.run(run_dir, prefer, stop, on_ready)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=NAME, description="The only writer of a home's state file."
    )
    parser.add_argument("--home", type=Path, required=True, help="the daemon's home directory")
    parser.add_argument(
        "--offset-s", type=float, default=0.0, help="shift of this home's clock, in seconds"
    )
    parser.add_argument("--prefer", choices=("unix", "tcp"), default="unix")
    parser.add_argument("--spare", action="store_true", help="begin at a line on stdin")
    parser.add_argument("--release", default="", help="the release this program belongs to")
    parser.add_argument(
        "--verify-last",
        type=int,
        default=VERIFIED_AT_START,
        help="records whose chain is checked before serving",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

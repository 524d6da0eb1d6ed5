"""What every long-running program does at its door: log lines, signals, the journal, settings."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import logging.handlers
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from risk_daemon.core.events import SettingsAdopted
from risk_daemon.errors import OperatorError
from risk_daemon.settings import Settings, decode_settings
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Ask, Op, answer
from risk_daemon.wire.record import decode
from risk_daemon.wire.transport import Channel, Hello

JOURNAL_WITHIN_S: Final = 10.0
_LOG_BYTES_MAX: Final = 5_000_000
_LOGS_KEPT: Final = 3
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """One JSON object per line: a constant message plus fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the fields given as `extra` beside the usual ones."""
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "at": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to(path: Path, level: int = logging.INFO) -> None:
    """Log JSON lines to a file that rotates by size; nothing decides on it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_LOG_BYTES_MAX, backupCount=_LOGS_KEPT, encoding="utf-8"
    )
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def stop_on_signal(stop: asyncio.Event) -> None:
    """Turn SIGTERM and SIGINT (Windows: break and interrupt) into an event."""
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        for number in (signal.SIGBREAK, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def arguments(program: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with what every program takes."""
    parser = argparse.ArgumentParser(prog=f"risk-daemon {program}", description=description)
    parser.add_argument("--home", type=Path, required=True, help="the daemon's home directory")
    parser.add_argument("--release", default="", help="the release this program belongs to")
    return parser


def run(name: str, home: Path, serve: Callable[[], int]) -> int:
    """Run a program's body: a person's sentence on stderr, everything else in the log."""
    if not __debug__:
        print(f"{name} does not run under -O: its assertions are part of it", file=sys.stderr)
        return 2
    log_to(home / "logs" / f"{name}.log")
    log = logging.getLogger(name)
    try:
        return serve()
    except OperatorError as error:
        log.warning("refused", extra={"why": error.sentence})
        print(f"{name}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    except Exception:
        log.exception("died")
        raise


async def journal_of(home: Path, hello: Hello, lost: asyncio.Event) -> JournalClient:
    """Connect to the journal; `lost` is set whenever the connection ends."""
    return await JournalClient.connect(
        home / "run", hello, JOURNAL_WITHIN_S, on_lost=lambda _: lost.set()
    )


async def settings_of(journal: JournalClient) -> Settings:
    """Return the settings adopted last; every process runs by these, not by the file."""
    found = await journal.tail(-1, kinds=("settings-adopted",), limit=1)
    if not found:
        raise OperatorError("no settings have been adopted in this home; run `start` first")
    fact = decode(found[-1]).fact
    assert isinstance(fact, SettingsAdopted)
    return decode_settings(fact.text)


def attend(ops: Mapping[str, Op]) -> Callable[[Channel], Awaitable[None]]:
    """Answer a channel's questions, each in a task of its own: a slow one delays no other."""

    async def serve(channel: Channel) -> None:
        async with asyncio.TaskGroup() as group:
            while (frame := await channel.receive()) is not None:
                if isinstance(frame, Ask):
                    group.create_task(_answer(channel, frame, ops))

    return serve


async def _answer(channel: Channel, frame: Ask, ops: Mapping[str, Op]) -> None:
    channel.send(await answer(frame, ops))


async def until_stopped(stop: asyncio.Event, *tasks: asyncio.Task[object]) -> None:
    """Wait for the stop, or for the first task that ends; its exception is raised."""
    waiting = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in tasks:
        if task in done:
            task.result()

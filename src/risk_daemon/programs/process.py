"""What every process does at its door: log lines, signals, a sentence for people. Kept light."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import logging.handlers
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from risk_daemon.errors import OperatorError
from risk_daemon.programs import loading

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


def told(logs: Path, name_of: Callable[[str], str]) -> str:
    """Wait on stdin for the word to begin, and return it; "" if whoever keeps us needs no spare.

    What is said outside of the log goes where it belongs to the name that the word means.
    """
    word = sys.stdin.readline().strip()
    if word:
        _speak_as(logs, name_of(word))
    return word


def told_each(logs: Path, name_of: Callable[[str], str]) -> str:
    """As `told`, but each word begins a process of its own: what was loaded is there once for all.

    One of them always waits, divided already; its process id is said on stdout, and a word is for
    the process whose id stands before it. Returns in each of those with its word, and here with ""
    at the end of stdin. Where the system can't divide a process (Windows) it is `told`.
    """
    if sys.platform == "win32":
        return told(logs, name_of)
    gc.collect()
    gc.freeze()  # what is never looked at again stays shared
    # Threads of the SDK's libraries that we never call do not come along, and hold no lock of ours.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the ended are reaped by the system
    news = b""
    while news != _OVER:
        hears, tells = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(hears)
            if word := _waits(tells):
                _speak_as(logs, name_of(word))
            return word
        os.close(tells)
        print(pid, flush=True)
        news = os.read(hears, 1)  # nothing: it ended while it waited, and another one waits
        os.close(hears)
    return ""


_TAKEN, _OVER = b"1", b"0"


def _waits(tells: int) -> str:
    """Wait, as the one that was divided last, for our word; tell that we do not wait any more."""
    mine, word, line = f"{os.getpid()} ", "", sys.stdin.readline()
    while line and not word:
        # A word for one that has ended is nobody's: whoever sent it does not know of us.
        word = line.removeprefix(mine).strip() if line.startswith(mine) else ""
        line = "" if word else sys.stdin.readline()
    os.write(tells, _TAKEN if word else _OVER)
    os.close(tells)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    return word


def _speak_as(logs: Path, name: str) -> None:
    with (logs / f"{name}.out").open("ab") as out:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(out.fileno(), stream.fileno())


def run(name: str, home: Path, serve: Callable[[], int]) -> int:
    """Run a program's body: a person's sentence on stderr, everything else in the log."""
    if not __debug__:
        print(f"{name} does not run under -O: its assertions are part of it", file=sys.stderr)
        return 2
    log_to(home / "logs" / f"{name}.log")
    log = logging.getLogger(name)
    loading.is_done()
    try:
        return serve()
    except OperatorError as error:
        log.warning("refused", extra={"why": error.sentence})
        print(f"{name}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    except Exception:
        log.exception("died")
        raise

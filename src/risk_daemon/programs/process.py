"""What every process does at its door: log lines, signals, a sentence for people. Kept light."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.handlers
import signal
import sys
import time
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

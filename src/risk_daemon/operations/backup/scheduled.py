"""Backups by themselves: when one is due, and making it, as a command would, in its own process.

A backup costs a replay of the journal: it is made with the lowest priority, and not in the first
minutes of a daemon, when everything else begins.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import Final

import psutil

from risk_daemon.clock import SECOND_NS
from risk_daemon.errors import OperatorError
from risk_daemon.operations.backup.backup_list import newest_verified
from risk_daemon.operations.home import Home

HOUR_NS: Final = 3_600 * SECOND_NS
CALM_AFTER_NS: Final = 600 * SECOND_NS
WITHIN_S: Final = 3_600.0

if sys.platform == "win32":
    _LOWEST: Final = psutil.IDLE_PRIORITY_CLASS
else:
    _LOWEST: Final = 19


def due_at(newest: int, started: int, every_h: int) -> int:
    """Return when the next backup is due, ns UTC; 0 where none is wanted. Pure.

    `newest` is when the last one was made (0: never), `started` when the daemon was.
    """
    if not every_h:
        return 0
    return max(newest + every_h * HOUR_NS, started + CALM_AFTER_NS)


def newest(at: Home) -> int:
    """Return when the last backup that restores was made, ns UTC, 0 for none."""
    found = newest_verified(at)
    return found.manifest.made_at if found and found.manifest else 0


def make(at: Home) -> str:
    """Make a backup, verify it, and remove all but the newest; return what was made.

    Raises OperatorError where none was made, or where it does not restore.
    """
    made = _run(at, "backup", "create")
    _run(at, "backup", "prune", "--yes")
    return made


def _run(at: Home, *words: str) -> str:
    command = [sys.executable, "-m", "risk_daemon.programs.admin", *words, "--json"]
    running = subprocess.Popen(
        [*command, "--home", str(at.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    _make_way(running.pid)
    try:
        out, _ = running.communicate(timeout=WITHIN_S)
        told = json.loads(out)
    except subprocess.TimeoutExpired:
        running.kill()
        running.communicate()
        raise OperatorError(f"`{' '.join(words)}` did not end within an hour") from None
    except ValueError:
        raise OperatorError(f"`{' '.join(words)}` ended with {running.returncode}") from None
    if not told["ok"]:
        why = (told.get("error") or {}).get("message") or told["data"].get("error")
        raise OperatorError(str(why))
    return str(told["data"].get("file", ""))


def _make_way(pid: int) -> None:
    """Let everybody else run first; one that has ended, or may not be made to, runs as it does."""
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).nice(_LOWEST)

"""Processes as the system shows them: started, found again by pid and start time, ended.

Nothing is ever ended by its name, and no pid is trusted without its start
time: after a crash of the supervisor a pid may be somebody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import psutil

from risk_daemon.wire.transport import write_private

LOOK_EVERY_S: Final = 0.05
#: Start times are read with the resolution of the system's clock ticks.
START_TIME_DIFFERS_S: Final = 0.05
WORDS_BYTES: Final = 4_096
WORDS_SHOWN: Final = 200
#: For a core, or for a disk.
WAITS: Final = frozenset({"R", "D"})
SECRETS: Final = ("PROJECT_X_API_KEY", "PROJECT_X_USERNAME")
#: One heap for all threads of a process: with one for each, what a thread frees is not used again
#: by the others, and a process of days grows. Ignored where the C library is another one.
#: Source: mallopt(3), M_ARENA_MAX.
HEAP: Final = {"MALLOC_ARENA_MAX": "1"}

_log = logging.getLogger("supervisor")

if sys.platform == "win32":
    _ALONE: Final = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _ALONE: Final = 0


class Running:
    """One live process, ours or found again."""

    def __init__(self, name: str, pid: int, started: float, release: str = "") -> None:
        self.name, self.pid, self.started, self.release = name, pid, started, release
        self.ended = asyncio.Event()
        self.exit: int | None = None
        #: Its end is ours: nothing failed.
        self.is_told = False
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def is_alive(self) -> bool:
        """The process exists, is the one that was started, and is no zombie."""
        if self._popen is not None:
            return self._popen.poll() is None
        return is_same(self.pid, self.started)

    def terminate(self) -> None:
        """Ask it to end."""
        self.is_told = True
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if self.is_alive:
                psutil.Process(self.pid).terminate()

    def kill(self) -> None:
        """End it, frozen or not."""
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if self.is_alive:
                psutil.Process(self.pid).kill()

    def begin(self, name: str, word: str) -> bool:
        """Tell a process that waits whose it is from now on; False where none is there to hear."""
        assert self._popen is not None
        assert self._popen.stdin is not None
        try:
            with self._popen.stdin as waits:
                waits.write(f"{word}\n".encode())
        except OSError:
            return False
        self.name = name
        return self.is_alive

    def divide(self, pid: int, name: str, word: str) -> Running | None:
        """Tell the part of it that waits (its id) who it is; None where it is not there to hear."""
        assert self._popen is not None
        assert self._popen.stdin is not None
        try:
            found = Running(name, pid, psutil.Process(pid).create_time(), self.release)
            self._popen.stdin.write(f"{pid} {word}\n".encode())
            self._popen.stdin.flush()
        except (OSError, psutil.Error):
            return None
        return found if found.is_alive else None

    def hear(self) -> list[str]:
        """Return the lines that a process has said since it was asked last. Not on Windows."""
        assert self._popen is not None
        assert self._popen.stdout is not None
        if not select.select([self._popen.stdout], [], [], 0)[0]:
            return []
        return os.read(self._popen.stdout.fileno(), WORDS_BYTES).decode().split()

    def dismiss(self) -> None:
        """End a process that waits: nobody needs it."""
        for end in (self._popen.stdin, self._popen.stdout) if self._popen else ():
            with contextlib.suppress(OSError):  # a word that nobody read any more
                if end is not None:
                    end.close()
        self.terminate()

    async def wait(self) -> None:
        """Return when it has ended and is reaped."""
        while self.is_alive:
            await self._news()
        if self._popen is not None:
            self.exit = self._popen.returncode
        self.ended.set()

    async def _news(self) -> None:
        """Return at the process's end where the system tells, else look again soon."""
        handle = _pidfd(self.pid)
        if handle is None:
            await asyncio.sleep(LOOK_EVERY_S)
            return
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(handle, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)


def _pidfd(pid: int) -> int | None:
    """Return a handle that becomes readable when the process ends; Linux only."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def is_same(pid: int, started: float) -> bool:
    """Tell whether a pid is still the process that was started then."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(abs(process.create_time() - started) < START_TIME_DIFFERS_S)
    except psutil.NoSuchProcess:
        return False


def spawn(
    name: str,
    words: list[str],
    logs: Path,
    *,
    secrets: bool,
    python: str = sys.executable,
    release: str = "",
    waits: bool = False,
    answers: bool = False,
) -> Running:
    """Start a process in a session of its own; only a link gets credentials to see.

    `waits`: it begins when it is told whose it is (`Running.begin`, `divide`); `answers`: it says
    what becomes of it.
    """
    seen = {key: value for key, value in os.environ.items() if secrets or key not in SECRETS}
    environment = HEAP | seen
    with (logs / f"{name}.out").open("ab") as out:
        popen = subprocess.Popen(
            [python, "-m", *words],
            stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
            stdout=subprocess.PIPE if answers else out,
            stderr=out,
            env=environment,
            start_new_session=True,
            creationflags=_ALONE,
        )
    running = Running(name, popen.pid, psutil.Process(popen.pid).create_time(), release)
    running._popen = popen  # noqa: SLF001
    return running


def last_words(home: Path, name: str) -> str:
    """Return the last line that a process wrote outside of its log, shortened."""
    try:
        text = (home / "logs" / f"{name}.out").read_bytes()[-WORDS_BYTES:]
    except OSError:
        text = b""
    lines = text.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    return lines[-1][:WORDS_SHOWN]


def mended(home: Path) -> bool:
    """Have a damaged state file rebuilt, in a process of its own; tells whether one was."""
    words = [sys.executable, "-m", "risk_daemon.programs.mend", "--home", str(home)]
    with (home / "logs" / "mend.out").open("ab") as out:
        return subprocess.run(words, stdout=out, stderr=out, check=False).returncode == 0


class Register:
    """The file by which a new supervisor finds the processes of the one before it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, children: dict[str, Running]) -> None:
        """Write who runs; what has no room is told in the log, and stops nobody."""
        rows = {
            name: {"pid": child.pid, "started": child.started, "release": child.release}
            for name, child in sorted(children.items())
        }
        try:
            write_private(self._path, json.dumps(rows).encode())
        except OSError as error:
            _log.warning("register not written", extra={"why": str(error)})

    def found(self) -> dict[str, Running]:
        """Return those of the last supervisor that still live."""
        try:
            rows: dict[str, dict[str, Any]] = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return {
            name: Running(name, int(row["pid"]), float(row["started"]), str(row.get("release", "")))
            for name, row in rows.items()
            if is_same(int(row["pid"]), float(row["started"]))
        }


class Labour:
    """Whether a process does anything, from one look to the next."""

    def __init__(self) -> None:
        self._seen: tuple[int, float] = (0, 0.0)

    def is_seen(self, pid: int) -> bool:
        """Tell whether it used a core since the last look, or waits for one or for a disk."""
        try:
            times = psutil.Process(pid).cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        before, self._seen = self._seen, (pid, times.user + times.system)
        return before != self._seen or bool(WAITS & _states(pid))


def _states(pid: int) -> set[str]:
    """Return the states of a process's threads, as Linux abbreviates them; elsewhere none."""
    found = set()
    with contextlib.suppress(OSError):  # no such folder, or no such thread any more
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found.add((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return found

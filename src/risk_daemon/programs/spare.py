"""How a program waits, loaded, to be told whose it is (`supervisor.spare` tells).

told()       becomes the one that is told, once
told_each()  divides: each word begins a process, and what was loaded lies in memory once for all
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

_TAKEN, _OVER = b"1", b"0"


def told(logs: Path, name_of: Callable[[str], str]) -> str:
    """Wait on stdin for the word to begin, and return it; "" if whoever keeps us needs no spare.

    What is said outside of the log goes where it belongs to the name that the word means.
    """
    word = sys.stdin.readline().strip()
    if word:
        _speak_as(logs, name_of(word))
    return word


def _speak_as(logs: Path, name: str) -> None:
    with (logs / f"{name}.out").open("ab") as out:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(out.fileno(), stream.fileno())


if sys.platform == "linux":

    def told_each(logs: Path, name_of: Callable[[str], str]) -> str:
        """As `told`, but each word begins a process of its own.

        One of them always waits, divided already; its process id is said on stdout, and a word is
        for the process whose id stands before it. Returns in each of those with its word, and here
        with "" at the end of stdin.
        """
        gc.collect()
        gc.freeze()  # what is never looked at again stays shared
        # Threads of libraries that we never call do not come along, and hold no lock of ours.
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

    def _waits(tells: int) -> str:
        """Wait, as the one that was divided last, for our word; tell when we wait no more."""
        mine, word, line = f"{os.getpid()} ", "", sys.stdin.readline()
        while line and not word:
            # A word for one that has ended is nobody's: whoever sent it does not know of us.
            word = line.removeprefix(mine).strip() if line.startswith(mine) else ""
            line = "" if word else sys.stdin.readline()
        with contextlib.suppress(OSError):  # what we are a part of may have ended
            os.write(tells, _TAKEN if word else _OVER)
        os.close(tells)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), sys.stdin.fileno())
        return word

else:

    def told_each(logs: Path, name_of: Callable[[str], str]) -> str:
        """As `told`: here one process can't safely become many."""
        return told(logs, name_of)

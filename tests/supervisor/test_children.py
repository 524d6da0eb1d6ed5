"""Whether a process does anything, as its supervisor sees it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from risk_daemon.stage.waiting import until
from risk_daemon.supervisor.children import Labour

NOBODY = 2**22 + 1


@contextmanager
def running(program: str) -> Iterator[psutil.Process]:
    """A process that has said that it is there."""
    words = [sys.executable, "-c", f"print('here', flush=True); {program}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as popen:
        assert popen.stdout is not None
        popen.stdout.readline()
        yield psutil.Process(popen.pid)
        popen.kill()


def test_one_that_waits_to_be_asked_does_nothing() -> None:
    labour = Labour()
    with running("input()") as process:
        until(lambda: not labour.is_seen(process.pid), 10.0, "a look at which it did nothing")


def test_one_that_is_stopped_does_nothing_however_busy_it_was() -> None:
    labour = Labour()
    with running("\nwhile True: pass") as process:
        assert labour.is_seen(process.pid)
        assert labour.is_seen(process.pid)
        process.suspend()
        until(lambda: not labour.is_seen(process.pid), 10.0, "a look at which it did nothing")


def test_one_that_is_gone_does_nothing() -> None:
    assert not Labour().is_seen(NOBODY)

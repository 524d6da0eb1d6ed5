"""What a supervisor says of a process: its memory and its share of a core."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from risk_daemon.clock import SECOND_NS
from risk_daemon.stage.waiting import until
from risk_daemon.supervisor.children import Labour, Usage, memory_mb

NOBODY = 2**22 + 1


def work() -> None:
    """Use some CPU, whatever the clock says."""
    sum(range(3_000_000))


def test_a_share_of_a_core_is_told_from_the_second_look_a_second_later() -> None:
    usage = Usage()
    assert usage.percent(os.getpid(), 0) is None
    work()

    told = usage.percent(os.getpid(), SECOND_NS)
    assert told is not None
    assert told > 0


def test_looks_that_follow_at_once_tell_the_same_again() -> None:
    usage = Usage()
    usage.percent(os.getpid(), 0)
    assert usage.percent(os.getpid(), SECOND_NS - 1) is None
    told = usage.percent(os.getpid(), SECOND_NS)
    work()

    assert usage.percent(os.getpid(), SECOND_NS + 1) == told


def test_of_a_process_that_is_gone_nothing_is_told_or_kept() -> None:
    usage = Usage()
    usage.percent(os.getpid(), 0)
    usage.forget(set())

    assert usage.percent(os.getpid(), SECOND_NS) is None
    assert usage.percent(NOBODY, 0) is None
    assert memory_mb(NOBODY) is None


# --- work, or none ----------------------------------------------------------------


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

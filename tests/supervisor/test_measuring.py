"""What a supervisor says of a process: its memory and its share of a core."""

from __future__ import annotations

import asyncio
import os

from risk_daemon.clock import SECOND_NS
from risk_daemon.supervisor.measuring import MEMORY_EVERY_NS, Meter, Usage, memory_mb

NOBODY = 2**22 + 1
KEPT_BYTES = 64_000_000


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


def test_memory_is_counted_again_after_a_while_and_not_at_every_look() -> None:
    async def looked() -> list[float]:
        times = iter((1, MEMORY_EVERY_NS, MEMORY_EVERY_NS + 1))
        meter, told = Meter(lambda: next(times)), []
        kept = b""
        for _ in range(3):
            used = (await meter.look({os.getpid()}))[os.getpid()]
            assert used.memory_mb is not None
            told.append(used.memory_mb)
            kept = kept or b"x" * KEPT_BYTES
        assert len(kept) == KEPT_BYTES
        return told

    first, second, third = asyncio.run(looked())

    assert first == second
    assert third > second + KEPT_BYTES / 2e6


def test_one_that_is_new_is_counted_at_once_and_one_that_is_gone_is_nothing() -> None:
    async def looked() -> None:
        meter = Meter(lambda: 1)
        assert dict(await meter.look(set())) == {}

        used = await meter.look({os.getpid(), NOBODY})

        assert used[os.getpid()].memory_mb
        assert used[NOBODY] == (None, None)

    asyncio.run(looked())

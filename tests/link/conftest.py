"""One gateway for all tests of the link, and a link at work for each."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from risk_daemon.clock import Clock
from risk_daemon.stage.gateway import wednesday_offset_s
from tests.link.at_work import AtWork, Floor
from tests.untraced import untraced_children

LOGINS = 128
STORY_WITHIN_S = 70.0

Story = Callable[[AtWork], Awaitable[None]]
Play = Callable[[Story], None]


@pytest.fixture(scope="session")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    """The simulated gateway, with a login for each test."""
    os.environ["NO_PROXY"] = "127.0.0.1,localhost"
    with untraced_children():
        # A hundred accounts judged fifty times a second: measured in tests/sim, not here.
        floor = Floor(tmp_path_factory.mktemp("floor"), LOGINS, wednesday_offset_s(Clock()))
    yield floor
    floor.gateway.stop()


@pytest.fixture
def play(floor: Floor, tmp_path: Path) -> Play:
    """Run a story with a link at work, and end everything after it."""

    async def run(story: Story) -> None:
        work = AtWork(floor, tmp_path)
        try:
            await work.begin()
            async with asyncio.timeout(STORY_WITHIN_S):
                await story(work)
        finally:
            await work.end()

    @functools.wraps(run)
    def play(story: Story) -> None:
        asyncio.run(run(story))

    return play

"""A link killed with a request unsettled: the next one looks for it before anything else leaves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from risk_daemon.core.events import (
    FeedChanged,
    GoalRefused,
    Intended,
    PositionChanged,
    RequestSent,
    RequestSettled,
    SettingsAdopted,
)
from risk_daemon.journal.segment import Segment
from risk_daemon.journal.segment import path_of as segment_of
from risk_daemon.link.send_log import path_of
from risk_daemon.settings import Login, Settings, encode_settings
from risk_daemon.stage.gateway import environment
from risk_daemon.wire.client import ask
from risk_daemon.wire.heart import LINK_IS_DOWN
from tests.link.at_work import CLOSING, AtWork, Floor, addresses_of, key_of

PROGRAM = (sys.executable, "-m", "risk_daemon.programs.link")
DYING = (sys.executable, "-m", "tests.link.dying")
#: A process of its own loads the SDK, traced line by line.
START_WITHIN_S = 30.0


class Program(AtWork):
    """The link as the real program, so that it can be killed."""

    _process: subprocess.Popen[bytes] | None = None

    async def run_link(self) -> None:
        key = self.home.path / "key"
        key.write_text(key_of(self.number))
        key.chmod(0o600)
        login = Login(
            name=self.login, user=self.login, credentials="file:key", accounts=self.accounts
        )
        settings = Settings(
            environment="demo",
            gateway=addresses_of(self.gateway),
            logins=(login,),
            clock_offset_s=self.offset_s,
        )
        await self.append(SettingsAdopted(text=encode_settings(settings), digest="d"))
        await self.start_link()

    async def start_link(self, dies: str = "") -> None:
        """Start the program, and wait until it trusts what it sees; `dies`: as `dying` says."""
        before = self.stream.last_seq
        self._process = self._spawn(dies)
        await self.until(
            lambda: "trusted" in [one.state for one in self.stream.of(FeedChanged, before)],
            "the feed to be trusted",
            START_WITHIN_S,
        )

    def _spawn(self, dies: str) -> subprocess.Popen[bytes]:
        words = [*PROGRAM, "--home", str(self.home.path), "--login", self.login]
        if dies:
            words = [*DYING, str(self.home.path), self.login, key_of(self.number), dies]
        return subprocess.Popen(words, env=environment())

    def kill_link(self) -> None:
        """Kill it as the machine would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def freeze_link(self) -> None:
        """Stop it where it stands: it takes in nothing more, and is killed so."""
        assert self._process is not None
        psutil.Process(self._process.pid).suspend()

    def lose_log(self) -> None:
        """Have nobody know any more what the link let out."""
        path_of(self.home.run_dir, self.login).unlink()

    @property
    def is_dead(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    async def end_link(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    async def shows(self, quantity: int) -> None:
        """Wait until the stream shows a position."""

        def shown() -> list[int]:
            rows = self.stream.of(PositionChanged)
            return [row.quantity for row in rows if row.account == self.account]

        await self.until(lambda: shown() and shown()[-1] == quantity, f"a position of {quantity}")

    async def is_refused(self, goal: Intended) -> str:
        """Wait until the fence has refused a goal; return why."""

        def why() -> list[str]:
            return [one.why for one in self.stream.of(GoalRefused) if one.key == goal.key]

        await self.until(why, "a refusal")
        return why()[0]

    async def is_flat(self) -> None:
        """Wait until the exchange holds nothing of the account."""
        await self.until_so(self._is_flat, "the account to be flat")

    async def _is_flat(self) -> bool:
        return not (await self.truth())[self.account][0]

    async def has_asked(self) -> bool:
        """Tell whether a close has arrived at the exchange."""
        return bool(await self.requests(*CLOSING))


@pytest.fixture
def play(floor: Floor, tmp_path: Path) -> Callable[[Callable[[Program], Awaitable[None]]], None]:
    """Run a story with the program at work, and end everything after it."""

    async def run(story: Callable[[Program], Awaitable[None]]) -> None:
        work = Program(floor, tmp_path)
        try:
            await work.begin()
            async with asyncio.timeout(60):
                await story(work)
        finally:
            await work.end()

    return lambda story: asyncio.run(run(story))


Play = Callable[[Callable[[Program], Awaitable[None]]], None]


def test_a_close_that_was_under_way_is_found_and_blocks_the_next_one(play: Play) -> None:
    async def story(work: Program) -> None:
        await work.trade(3)
        await work.shows(3)
        await work.tell("/hold", account=work.account, closes=1)
        goal = await work.want()
        await work.until(lambda: work.stream.of(RequestSent), "the request to leave")
        await work.until_so(work.has_asked, "the request to arrive")
        work.kill_link()

        await work.start_link()
        beside = await work.want()
        assert "is under way" in await work.is_refused(beside)
        await work.tell("/release", account=work.account)
        assert await work.has_ended(goal) == "filled"
        await work.is_flat()
        assert len(await work.requests(*CLOSING)) == 1
        assert await work.requests("/Order/place") == []

    play(story)


def test_a_close_that_may_have_left_is_void_when_two_reads_find_nothing(play: Play) -> None:
    async def story(work: Program) -> None:
        await work.trade(3)
        await work.shows(3)
        work.kill_link()
        work.lose_log()
        goal = await work.want()

        await work.start_link()
        beside = await work.want()
        assert "is under way" in await work.is_refused(beside)
        assert await work.has_ended(goal) == "void"
        again = await work.want()
        assert await work.has_ended(again) == "filled"
        await work.is_flat()
        assert len(await work.requests(*CLOSING)) == 1

    play(story)


def test_a_close_decided_after_a_witnessed_end_leaves_at_once(play: Play) -> None:
    async def story(work: Program) -> None:
        await work.trade(3)
        await work.shows(3)
        work.kill_link()
        await work.append(FeedChanged(login=work.login, state="blind", why=LINK_IS_DOWN))
        goal = await work.want()

        await work.start_link()
        assert await work.has_ended(goal) == "filled"
        await work.is_flat()
        assert [one.how for one in work.stream.of(RequestSettled)] == ["filled"]
        assert len(await work.requests(*CLOSING)) == 1

    play(story)


def test_a_close_that_the_dead_link_never_took_leaves_at_once(play: Play) -> None:
    async def story(work: Program) -> None:
        await work.trade(3)
        await work.shows(3)
        work.freeze_link()
        goal = await work.want()
        work.kill_link()

        await work.start_link()
        assert await work.has_ended(goal) == "filled"
        await work.is_flat()
        assert [one.how for one in work.stream.of(RequestSettled)] == ["filled"]
        assert len(await work.requests(*CLOSING)) == 1

    play(story)


def test_a_close_that_left_by_the_emergency_file_does_not_leave_again_after_a_power_cut(
    play: Play,
) -> None:
    async def story(work: Program) -> None:
        await work.trade(3)
        await work.shows(3)
        await work.tell("/hold", account=work.account, closes=1)
        goal = work.goal()
        work.home.kill()
        given = {"intended": msgspec.msgpack.encode(goal)}
        assert (await ask(work.home.run_dir, f"link-{work.login}", "goal", given)).ok
        await work.until_so(work.has_asked, "the request to arrive")
        work.kill_link()
        work.lose_log()

        await work.journal_is_back()
        await work.start_link()
        beside = await work.want()
        assert "is under way" in await work.is_refused(beside)
        assert [one for one in work.stream.of(Intended) if one.key == goal.key] == [goal]
        await work.tell("/release", account=work.account)
        assert await work.has_ended(goal) == "filled"
        await work.is_flat()
        assert len(await work.requests(*CLOSING)) == 1

    play(story)


def test_a_close_in_the_emergency_file_that_had_not_left_is_looked_for_and_decided_anew(
    play: Play,
) -> None:
    async def story(work: Program) -> None:
        await work.trade(3)
        await work.shows(3)
        work.kill_link()
        goal = work.goal()
        Segment(segment_of(work.home.path / "state", work.login)).write(goal)

        await work.start_link()
        beside = await work.want()
        assert "is under way" in await work.is_refused(beside)
        assert await work.has_ended(goal) == "void"
        again = await work.want()
        assert await work.has_ended(again) == "filled"
        await work.is_flat()
        assert len(await work.requests(*CLOSING)) == 1

    play(story)


async def wanted_of_one_that_dies(work: Program, when: str) -> Intended:
    """A close that a link takes which is killed before or after the request leaves."""
    work.kill_link()
    await work.start_link(dies=when)
    await work.trade(3)
    await work.shows(3)
    goal = await work.want()
    await work.until(lambda: work.is_dead, "the link to die")
    return goal


def test_a_link_killed_just_before_the_request_leaves_has_it_looked_for(play: Play) -> None:
    async def story(work: Program) -> None:
        goal = await wanted_of_one_that_dies(work, "before")
        assert await work.requests(*CLOSING) == []

        await work.start_link()
        assert await work.has_ended(goal) == "void"
        again = await work.want()
        assert await work.has_ended(again) == "filled"
        await work.is_flat()
        assert len(await work.requests(*CLOSING)) == 1

    play(story)


def test_a_link_killed_just_after_the_request_left_has_it_found(play: Play) -> None:
    async def story(work: Program) -> None:
        goal = await wanted_of_one_that_dies(work, "after")

        await work.start_link()
        assert await work.has_ended(goal) == "filled"
        await work.is_flat()
        assert len(await work.requests(*CLOSING)) == 1

    play(story)

"""Samples as they are taken each second, kept every tenth, and gone on with after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from risk_daemon.clock import Clock
from risk_daemon.console import sampling
from risk_daemon.console.figures import Figures, Mark, Sample
from risk_daemon.console.history import Store
from risk_daemon.console.sampling import Sampler
from risk_daemon.console.seen import Seen, is_quiet
from risk_daemon.core.events import (
    AlarmRaised,
    DecisionCompared,
    Entry,
    LeaseTaken,
    Pulse,
    RolloutNoted,
)
from tests.console.build import NOW, SECOND, seen, view

MS = 1_000_000


def run_until(memory: Seen, store: Store, holds: Callable[[], bool]) -> None:
    """Let a sampler run until something holds; a test's own time limit ends it otherwise."""

    async def play() -> None:
        running = asyncio.create_task(Sampler(memory, Clock(), store).run())
        while not holds():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(play())


def test_each_second_there_is_a_sample_and_what_is_old_is_forgotten(tmp_path: Path) -> None:
    memory = seen(view(1))
    now = Clock().steady_ns()
    memory.take_figures({"decided": [[1, 2_000, 1]], "ended": [[1, ""]]}, now)
    memory.take_figures({"decided": [[1, 9_000, 0]]}, now - sampling.MINUTE_NS - SECOND)

    run_until(memory, Store(tmp_path), lambda: memory.tip is not None)

    assert memory.tip is not None
    assert memory.minute is not None
    figures = memory.minute.everyone
    assert (figures.records, figures.episodes, figures.max, figures.goals) == (1, 1, 2.0, 1)


def test_every_ten_seconds_a_sample_is_kept_with_the_marks_of_meanwhile(tmp_path: Path) -> None:
    memory, store, clock = seen(view(1)), Store(tmp_path), Clock()

    def kept_so_far() -> list[Sample]:
        now_ms = clock.now_ns() // MS
        return store.read(now_ms - 60_000, now_ms)

    def is_kept() -> bool:
        if not memory.marks and memory.tip is not None:
            memory.marks.append(Mark(clock.now_ns() // MS, "phase", "entered canary"))
        # Shown before it is stored, by a thread: who stops at the first may stop the second.
        return bool(memory.samples) and bool(kept_so_far())

    run_until(memory, store, is_kept)

    kept = kept_so_far()
    assert [one.at % 10_000 for one in kept] == [0]
    assert kept == list(memory.samples)


def test_the_next_run_goes_on_with_the_quarter_of_an_hour_before(tmp_path: Path) -> None:
    store, now_ms = Store(tmp_path), Clock().now_ns() // MS
    marks = (Mark(now_ms - 2, "phase", "one"), Mark(now_ms - 1, "alert", "two"))
    store.add(Sample(at=now_ms - 1_000, everyone=Figures(records=5), marks=marks))
    store.add(Sample(at=now_ms - 3_600_000))
    memory = seen(view(1))

    run_until(memory, store, lambda: memory.tip is not None)

    assert [one.everyone.records for one in memory.samples][:1] == [5]
    assert [one.text for one in memory.marks] == ["one", "two"]


def test_a_disk_that_says_no_costs_history_alone(tmp_path: Path) -> None:
    place = tmp_path / "taken"
    place.write_text("a file where the folder should be")
    memory = seen(view(1))

    run_until(memory, Store(place), lambda: len(memory.samples) > 0)

    assert place.read_text() == "a file where the folder should be"


def test_a_rate_is_of_the_time_between_the_first_look_and_the_last() -> None:
    assert sampling.rate([]) == 0.0
    assert sampling.rate([(NOW, 5)]) == 0.0
    assert sampling.rate([(NOW, 5), (NOW, 9)]) == 0.0
    assert sampling.rate([(NOW, 5), (NOW + 2 * SECOND, 9)]) == 2.0
    assert sampling.rate([(NOW, 9), (NOW + SECOND, 5)]) == 0.0  # the journal is another one


# --- what is seen ---


def compared(verdict: str) -> DecisionCompared:
    return DecisionCompared(
        account=1,
        release="v2",
        against="v1",
        rule="max-contracts",
        seq=3,
        decided_at=1,
        verdict=verdict,
        source="live",
    )


def test_firings_count_but_for_those_of_which_nobody_can_tell() -> None:
    memory = Seen()
    for verdict in ("agrees", "looser", "unseen"):
        memory.take_entry("decision-compared", Entry(1, 1, 1, compared(verdict)), NOW)
    assert [one.is_agreed for one in memory.compared] == [True, False]


def test_what_nobody_wants_to_be_told_of_is_no_event() -> None:
    noted = RolloutNoted(rollout="r", what="heard Judged", actor="c", reason="seen")
    told = AlarmRaised(account=0, level="info", what="rollout", text="t", audience="traders")
    assert all(map(is_quiet, (Pulse(), noted, told, compared("agrees"))))

    taken = LeaseTaken(account=1, holder="w", release="v1", epoch=1)
    page = AlarmRaised(account=0, level="page", what="feed", text="blind")
    said = RolloutNoted(rollout="r", what="entered canary", actor="c", reason="seen")
    assert not any(map(is_quiet, (taken, page, said, compared("looser"))))

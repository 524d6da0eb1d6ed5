"""Clock, errors, lock file, figures, pulses, intake's bound, answers that turn into refusals."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from risk_daemon.clock import (
    ABSENT_NS,
    SECOND_NS,
    TRUSTED_NS,
    Absence,
    Clock,
    FakeClock,
    Timekeeper,
    slew,
)
from risk_daemon.core.events import AlarmRaised, Fact
from risk_daemon.errors import BrokerRefused, NotFound, OperatorError, Refused, UsageError
from risk_daemon.journal.exclusive import Hold
from risk_daemon.journal.figures import Figures, quantile
from risk_daemon.journal.file import Head
from risk_daemon.journal.intake import UNSTORED_MAX, Intake
from risk_daemon.journal.pulses import Pulses
from risk_daemon.journal.server import refuse
from risk_daemon.journal.subscriber import RECENT_MAX, Recent
from risk_daemon.wire import control
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import NewRecord, Record
from tests.journal.homes import account_seen, intent, mark, on_loop, policy

# --- time ---------------------------------------------------------------------


def test_the_clock_tells_utc_shifted_by_its_offset() -> None:
    clock, shifted = Clock(), Clock(offset_ns=-3_600 * SECOND_NS)

    assert abs(clock.now_ns() - time.time_ns()) < SECOND_NS
    assert abs(clock.now_ns() - shifted.now_ns() - 3_600 * SECOND_NS) < SECOND_NS
    assert abs(shifted.divergence_ns()) < SECOND_NS


def test_the_clock_never_runs_backwards() -> None:
    clock = Clock()
    times = [clock.now_ns() for _ in range(1_000)]
    clock.offset_ns -= SECOND_NS

    assert times == sorted(times)
    assert times[-1] <= clock.now_ns() < times[-1] + SECOND_NS
    assert clock.steady_ns() <= clock.steady_ns()


def test_the_clock_follows_the_wall_clock_while_it_is_used() -> None:
    clock = Clock()
    deadline = time.monotonic() + 1.1
    while time.monotonic() < deadline:
        clock.now_ns()

    assert abs(clock.divergence_ns()) < SECOND_NS // 100


@pytest.mark.parametrize(
    ("divergence", "corrected"),
    [
        (0, 0),
        (100, 100),
        (-100, -100),
        (SECOND_NS, SECOND_NS // 2_000),
        (-SECOND_NS, -SECOND_NS // 2_000),
        (TRUSTED_NS, SECOND_NS // 2_000),
        (TRUSTED_NS + 1, 0),
        (-TRUSTED_NS - 1, 0),
    ],
)
def test_a_second_corrects_half_a_millisecond_at_most_and_nothing_that_is_not_trusted(
    divergence: int, corrected: int
) -> None:
    assert slew(divergence, SECOND_NS) == corrected


@pytest.mark.parametrize("make", [Clock, lambda: FakeClock(time.time_ns())])
def test_a_witness_is_believed_only_near_the_wall_clock(make: Callable[[], Timekeeper]) -> None:
    clock = make()

    assert clock.confirm(time.time_ns())
    assert not clock.confirm(time.time_ns() + 10 * SECOND_NS)


class Machine:
    """A wall clock that can be set, and a steady one that cannot."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000 * SECOND_NS, 0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall, steady=lambda: self.steady)

    def wait(self, ns: int) -> None:
        self.wall += ns
        self.steady += ns


def test_time_that_records_are_ahead_of_goes_on_at_half_speed_and_never_stands_still() -> None:
    machine = Machine()
    clock = machine.clock()
    ahead = machine.wall + 10 * SECOND_NS

    clock.go_on_from(ahead)

    assert clock.now_ns() == ahead
    machine.wait(4 * SECOND_NS)
    assert clock.now_ns() == ahead + 2 * SECOND_NS
    machine.wait(16 * SECOND_NS)
    assert clock.now_ns() == ahead + 10 * SECOND_NS == machine.wall
    machine.wait(SECOND_NS)
    assert clock.now_ns() == machine.wall


def test_time_that_is_ahead_goes_on_though_it_is_asked_for_at_every_nanosecond() -> None:
    """Who waits for an instant and looks ever more closely would wait for ever."""
    machine = Machine()
    clock = machine.clock()
    clock.go_on_from(machine.wall + SECOND_NS)
    for _ in range(100):
        machine.wait(1)
        clock.now_ns()

    assert clock.now_ns() == machine.wall - 100 + SECOND_NS + 50


def test_time_in_force_is_not_moved_back_by_older_records() -> None:
    machine = Machine()
    clock = machine.clock()

    clock.go_on_from(machine.wall - SECOND_NS)

    assert clock.now_ns() == machine.wall


def test_a_witness_that_moves_time_back_makes_it_slower() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now_ns()
    machine.wall -= 60 * SECOND_NS

    assert clock.divergence_ns() == -60 * SECOND_NS
    assert clock.confirm(machine.wall)
    machine.wait(2 * SECOND_NS)

    assert clock.now_ns() == before + SECOND_NS


def test_a_fake_clock_moves_when_it_is_moved() -> None:
    clock = FakeClock(100)
    clock.advance(5)
    clock.diverge(SECOND_NS)

    assert (clock.now_ns(), clock.steady_ns(), clock.divergence_ns()) == (105, 5, SECOND_NS)
    assert clock.confirm(SECOND_NS)
    assert (clock.now_ns(), clock.divergence_ns()) == (105 + SECOND_NS, 0)


class Heard:
    """What a Pulses has called for."""

    def __init__(self, clock: FakeClock) -> None:
        self.pulses = 0
        self.alarms: list[str] = []
        self.changed = asyncio.Event()
        self.beats = Pulses(clock, self._pulse, self._emit)

    def _pulse(self) -> None:
        self.pulses += 1
        self.changed.set()

    def _emit(self, fact: Fact) -> None:
        assert isinstance(fact, AlarmRaised)
        self.alarms.append(fact.what)

    async def until_pulses(self, count: int) -> None:
        while self.pulses < count:
            self.changed.clear()
            await self.changed.wait()


@on_loop
async def test_a_clock_that_leaves_and_comes_back_is_told_once_each() -> None:
    clock = FakeClock()
    heard = Heard(clock)
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(heard.beats.run())
        clock.diverge(TRUSTED_NS + 1)
        await heard.until_pulses(2)
        clock.diverge(-TRUSTED_NS)
        await heard.until_pulses(3)
        beating.cancel()

    assert heard.alarms == ["clock-diverged", "clock-agrees"]


@on_loop
async def test_a_timer_that_fires_early_waits_for_the_clock() -> None:
    clock = FakeClock(1_000)
    heard = Heard(clock)
    heard.beats.wish("a", 1_000_001)
    for _ in range(100):
        await asyncio.sleep(0)
    assert heard.pulses == 0

    clock.advance(SECOND_NS)
    await heard.until_pulses(1)
    heard.beats.forget("a")
    heard.beats.wish("b", clock.now_ns() - 1)
    await heard.until_pulses(2)


# --- errors ---------------------------------------------------------------------


def test_an_operators_error_has_its_sentence_and_its_exit_code() -> None:
    assert (OperatorError("so").exit_code, OperatorError("so", 9).exit_code) == (1, 9)
    assert (UsageError("so").exit_code, NotFound("so").exit_code) == (2, 5)
    assert str(Refused("it is closed")) == Refused("it is closed").sentence == "it is closed"
    assert str(BrokerRefused(6, "pending")) == "the broker refused: pending (code 6)"


# --- one journal per home -------------------------------------------------------


def test_a_lock_is_held_by_one_process_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.lock"
    program = (
        "import pathlib, sys\n"
        "from risk_daemon.journal.exclusive import Hold\n"
        f"hold = Hold(pathlib.Path({str(path)!r}))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Refused, match=f"process {other.pid} holds"):
            Hold(path)
        other.kill()
    Hold(path).release()
    Hold(path).release()


# --- figures ----------------------------------------------------------------------


def test_figures_of_nothing_are_zero() -> None:
    figures = Figures()

    assert (figures.records_per_s(), figures.commit_ms(0.5)) == (0.0, 0.0)


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    figures = Figures()
    for second in range(30):
        figures.mark(second * SECOND_NS, second * (5 if second < 19 else 10))

    assert figures.records_per_s() == 10.0 + (19 * 10 - 19 * 10) / 10


def test_quantiles_are_values_that_occurred() -> None:
    assert quantile([], 0.5) == 0
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(range(100), 0.95) == 95
    assert quantile([7], 1.0) == 7


# --- intake ------------------------------------------------------------------------


def new_intake() -> Intake:
    head = Head(seq=0, at=0, crc=0, incarnation=1, leases={}, policies=set())
    return Intake(head, FakeClock(), lambda _: None)


def test_a_file_that_does_not_keep_up_stops_facts_but_never_intents() -> None:
    intake = new_intake()
    intake.grant(control.GrantLeases(1, [Grant(7, 0, "a", "v1")]))
    for number in range(UNSTORED_MAX // 1_000):
        intake.append(control.Append(number, [mark()] * 1_000))
    refused, _ = intake.append(control.Append(2, [mark()]))
    intended, wait = intake.intend(control.Intend(3, 7, 1, "k", intent(7, 1, "k")))
    batch = intake.take_batch()
    assert refused.refused == f"the file is {UNSTORED_MAX + 1} records behind"
    assert (intended.refused, wait) == ("", batch.number)

    intake.stored(batch)
    again, _ = intake.append(control.Append(4, [mark()]))
    assert again.refused == ""


def test_leases_are_shown_only_when_all_of_them_are_durable() -> None:
    intake = new_intake()
    assert intake.held(control.Leases(1))[1] == 0
    _, wait = intake.grant(control.GrantLeases(2, [Grant(7, 0, "a", "v1")]))
    held, shown_after = intake.held(control.Leases(3))
    intake.stored(intake.take_batch())

    assert wait == shown_after > 0
    assert held.leases[0].epoch == 1
    assert intake.held(control.Leases(4))[1] == 0


def test_the_row_of_a_rollout_is_shown_only_when_it_is_durable() -> None:
    intake = new_intake()
    assert intake.rollout(control.ReadRollout(1)) == (control.RolloutRead(1), 0)
    _, wait = intake.store_rollout(control.StoreRollout(2, "r1", 0, "r1/canary", b"x", [7]))
    shown, shown_after = intake.rollout(control.ReadRollout(3))
    batch = intake.take_batch()
    intake.stored(batch)

    assert wait == shown_after == batch.number
    assert batch.has_promise
    assert [record.kind for record in batch.records] == ["rollout-stored", "lease-granted"]
    assert shown == control.RolloutRead(3, "r1", 1, "r1/canary", b"x")
    assert intake.rollout(control.ReadRollout(4))[1] == 0


def test_on_a_full_disk_a_rollout_goes_no_further_but_is_still_given_up() -> None:
    intake = new_intake()
    intake.is_tight = True
    further, _ = intake.store_rollout(control.StoreRollout(1, "r1", 0, "r1/p10", b""))
    given_up, _ = intake.store_rollout(control.StoreRollout(2, "r1", 0, "r1/aborting", b"", [7]))

    assert further.refused.startswith("the disk is full, and policies, settings and moves")
    assert (given_up.refused, given_up.revision) == ("", 1)


def test_facts_and_promises_are_answered_and_seen_after_their_batch() -> None:
    intake = new_intake()
    _, fact = intake.append(control.Append(1, [mark()]))
    first = intake.take_batch()
    _, promise = intake.append(control.Append(2, [policy(7), account_seen(7)]))
    second = intake.take_batch()

    assert (fact, promise) == (first.number, second.number)
    assert (first.has_promise, second.has_promise) == (False, True)
    assert [record.seq for record in intake.stored(first)] == [1]
    assert [record.seq for record in intake.stored(second)] == [2, 3]


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (control.Appended(1, 9), control.Appended(1, 0, "why")),
        (control.Intended(1, 9, epoch=3), control.Intended(1, 0, refused="why", epoch=3)),
        (control.Probed(1, 9, 0), control.Probed(1, 0, 0, "why")),
        (control.SnapshotsKept(1), control.SnapshotsKept(1, "why")),
        (
            control.LeasesGranted(1, [control.Lease(7, "a", "v1", 1, 1, 9)]),
            control.LeasesGranted(1, [], "why"),
        ),
    ],
)
def test_an_answer_whose_commit_failed_becomes_its_refusal(
    answer: msgspec.Struct, refused: msgspec.Struct
) -> None:
    assert refuse(answer, "why") == refused


def seen(intake: Intake) -> list[Record]:
    return intake.stored(intake.take_batch())


def test_the_newest_records_are_kept() -> None:
    intake = new_intake()
    recent = Recent(0)
    intake.append(control.Append(1, [mark()] * (RECENT_MAX + 500)))
    records = seen(intake)
    recent.add(records[:100])
    assert recent.first_seq == 1
    recent.add(records[100:])

    assert recent.first_seq == 501
    assert recent.piece(RECENT_MAX + 499) == records[-2:]
    assert recent.piece(501)[0].seq == 501
    assert recent.crc_at(500) is None
    assert recent.crc_at(501) == records[500].crc
    assert recent.crc_at(RECENT_MAX + 501) is None


def test_large_records_are_kept_by_their_size_and_come_in_pieces() -> None:
    intake = new_intake()
    recent = Recent(0)
    for number in range(20):
        intake.append(control.Append(number, [NewRecord("big", 0, bytes(300_000))]))
    recent.add(seen(intake))

    assert recent.first_seq == 15
    assert [record.seq for record in recent.piece(16)] == [16, 17, 18, 19]


# --- sleep ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wall", "steady", "is_absent"),
    [
        (SECOND_NS, SECOND_NS, False),
        (ABSENT_NS, ABSENT_NS, True),
        (ABSENT_NS - 1, ABSENT_NS - 1, False),
        # A machine whose steady clock sleeps with it.
        (SECOND_NS + TRUSTED_NS, SECOND_NS, False),
        (SECOND_NS + TRUSTED_NS + 1, SECOND_NS, True),
        # A clock that was set back is told by its divergence.
        (-SECOND_NS, SECOND_NS, False),
    ],
)
def test_who_was_not_there_for_a_while_notices(wall: int, steady: int, *, is_absent: bool) -> None:
    absence = Absence()

    assert absence.look(70, 7) is None
    assert absence.look(70 + wall, 7 + steady) == ((70, 70 + wall) if is_absent else None)
    assert absence.look(70 + wall + SECOND_NS, 7 + steady + SECOND_NS) is None


def test_a_clock_that_was_set_back_never_leads_to_an_earlier_time() -> None:
    clock = FakeClock(100 * SECOND_NS)
    before = clock.now_ns()

    clock.diverge(-24 * 3_600 * SECOND_NS)
    assert clock.confirm(clock.now_ns() + clock.divergence_ns())

    assert clock.now_ns() == before

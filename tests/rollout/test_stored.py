"""Written before done: a crash after any write, or a message lost, late or twice, ends the same."""

import functools
from typing import Any

import msgspec
import pytest

from risk_daemon.rollout import machine
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.exposure import MINUTE
from tests.rollout.world import NEW, OLD, World, plan


def forward(world: World) -> World:
    """A good release on three accounts."""
    return world.until("done")


def back(world: World) -> World:
    """A release that is taken back from its 50 %."""
    world.until("50")
    assert world.please(said.Abort) == ()
    return world


def stuck(world: World) -> World:
    """A way back that works at the second asking only."""
    world.until("canary")
    world.refuses[1, OLD] = "busy"
    world.please(said.Abort)
    world.refuses.clear()
    world.please(said.Abort)
    return world


def end(world: World) -> tuple[object, ...]:
    """What a history comes to, whatever happened to its messages."""
    versions = {number: version for number, (version, _) in world.leases.items()}
    at = {number: holding.at for number, holding in world.row.accounts.items()}
    stages = [one for one in world.stages if one not in ("draft", "gated")]
    return (world.stage, versions, at, stages, world.warm)


@functools.cache
def writes(history: Any) -> int:
    return int(history(World(plan(3, minutes=1))).revision)


HISTORIES = [forward, back, stuck]


@pytest.mark.parametrize("acts_late", [False, True])
@pytest.mark.parametrize("history", HISTORIES)
def test_a_crash_after_each_write_comes_to_the_same_end(history: Any, acts_late: bool) -> None:
    undisturbed = end(history(World(plan(3, minutes=1))))
    for revision in range(1, writes(history) + 1):
        world = World(plan(3, minutes=1))
        world.crash_at, world.acts_late = revision, acts_late
        assert end(history(world)) == undisturbed, revision
        assert len({one.id for one in world.tells}) == len(world.tells)
        assert len({one.id for one in world.entries}) == len(world.entries)


class Twice(World):
    """Every command is done twice and every answer heard twice."""

    def do(self, output: Any) -> None:
        super().do(output)
        if not isinstance(output, said.Persist):
            super().do(output)

    def deliver(self) -> None:
        given = self.inbox.pop(0)
        self.hear(given)
        self.hear(given)


class Again(World):
    """No answer but the journal's comes the first time: everything is asked again."""

    def __init__(self, *args: Any) -> None:
        self.asked: set[str] = set()
        super().__init__(*args)

    def do(self, output: Any) -> None:
        if isinstance(output, said.Persist) or output.id in self.asked:
            super().do(output)
            return
        self.asked.add(output.id)
        before = len(self.inbox)
        super().do(output)
        del self.inbox[before:]
        self.hear(said.TimedOut(at=self.now, id=output.id))


class Latest(World):
    """What was asked last is done first, what was answered last is heard first."""

    def settle(self, most: int = 10_000) -> None:
        for _ in range(most):
            if self.todo:
                self.do(self.todo.pop())
            elif self.inbox:
                self.hear(self.inbox.pop())
            else:
                return
        raise AssertionError("it does not come to an end")


@pytest.mark.parametrize("kind", [Twice, Again, Latest])
@pytest.mark.parametrize("history", HISTORIES)
def test_messages_that_come_twice_late_or_only_when_asked_again_change_no_end(
    history: Any, kind: type[World]
) -> None:
    assert end(history(kind(plan(3, minutes=1)))) == end(history(World(plan(3, minutes=1))))


def test_nothing_is_given_before_it_is_written() -> None:
    world = World()
    world.settle()
    world.green()
    world.hear(said.Start(at=world.now, actor="ann"))

    assert [type(one) for one in world.todo] == [said.Persist]
    world.do(world.todo.pop(0))
    world.deliver()

    assert [type(one) for one in world.todo] == [said.Warm, said.Warm]


def test_a_person_is_answered_when_it_is_written_and_refused_at_once() -> None:
    world = World()
    world.settle()
    world.hear(said.Start(at=world.now, actor="ann", ask=1))
    world.hear(said.Stop(at=world.now, actor="ann", ask=2))
    assert [one.ask for one in world.answers] == [1]

    world.settle()

    assert world.answers[1:] == [said.Answer(2)]


def test_what_is_heard_while_a_row_is_written_goes_with_the_next() -> None:
    world = World()
    world.settle()
    for gate in ("tests", "audit"):
        world.hear(
            said.Judged(
                at=world.now, gate=gate, says=rows.PASS, sentence="", evidence="", version=NEW
            )
        )

    assert len(world.todo) == 1
    world.settle()
    assert (world.revision, rows.decode(world.body).stage) == (3, "gated")


def test_a_command_taken_back_before_its_write_is_answered_is_never_given() -> None:
    world = World(plan(10)).until("10")
    world.live_through()
    world.hear(said.Promote(at=world.now, actor="ann", phase="50"))
    world.hear(said.Abort(at=world.now, actor="ann"))
    world.ordered.clear()
    world.settle()

    assert {one.version for one in world.ordered if isinstance(one, said.Switch)} == {OLD}


def test_the_row_says_by_its_fence_what_a_switch_must_find() -> None:
    world = World().until("canary")
    (switch,) = (one for one in world.ordered if isinstance(one, said.Switch))
    before = world.latch
    assert switch.latch == before

    world.please(said.Stop)

    assert world.latch != before


def test_a_write_that_is_confirmed_twice_is_stored_once() -> None:
    world = World()
    world.settle()
    state = world.state
    world.hear(said.Persisted(at=world.now, revision=1))

    assert world.state == state


def test_a_write_that_did_not_arrive_is_sent_again() -> None:
    world = World()
    (lost,) = world.take_away(said.Persist)
    world.hear(said.Recovered(at=world.now, revision=0, body=b"", held=()))

    assert world.todo == [lost]


def test_before_anything_is_written_there_is_nothing_to_give_again() -> None:
    world = World()
    world.hear(said.TimedOut(at=world.now, id="r1/draft/warm/0/1"))

    assert [type(one) for one in world.todo] == [said.Persist]


def test_a_write_that_arrived_without_an_answer_counts_as_answered() -> None:
    world = World().until("50")
    world.hear(said.Abort(at=world.now, actor="ann", ask=77))
    world.do(world.todo.pop(0))
    world.inbox[0] = world.stored()
    world.settle()

    assert said.Answer(77) in world.answers
    assert (world.stage, world.on(NEW)) == ("aborted", set())


def other_writes(world: World, row: rows.Row) -> None:
    """Another controller writes a row of its own."""
    world.revision += 1
    world.body, world.latch = rows.encode(row), rows.latch(row)


def test_who_finds_that_another_has_written_goes_on_with_that_and_says_so_to_who_asked() -> None:
    world = World().until("canary")
    other_writes(world, msgspec.structs.replace(world.row, spent="spent", turn=99))
    world.hear(said.Stop(at=world.now, actor="ann", ask=77))
    world.settle()

    (answer,) = (one for one in world.answers if one.ask == 77)
    assert "ask again" in answer.refused[0]
    assert (world.row.spent, world.row.holds) == ("spent", ())


def test_a_refusal_that_waited_for_a_write_stays_a_refusal() -> None:
    world = World().until("canary")
    world.hear(said.Stop(at=world.now, actor="ann", ask=77))
    world.hear(said.Complete(at=world.now, actor="ann", ask=78))
    other_writes(world, msgspec.structs.replace(world.row, turn=99, holds=()))
    world.settle()

    (answer,) = (one for one in world.answers if one.ask == 78)
    assert answer.refused == ("after canary comes 10, not done",)


def test_a_way_back_is_not_forgotten_because_another_has_written() -> None:
    world = World().until("50")
    other_writes(world, msgspec.structs.replace(world.row, spent="spent"))
    world.hear(said.Tripped(at=world.now, by="chain", reason="a hash differs"))
    world.settle()

    assert (world.stage, world.on(NEW)) == ("aborted", set())
    assert world.row.why == "chain: a hash differs"


def test_a_way_back_that_another_has_finished_is_not_begun_again() -> None:
    world = World().until("50")
    zombie = world.state
    world.please(said.Abort)
    bumps = world.row.bumps
    world.state = zombie
    world.hear(said.Abort(at=world.now, actor="ann"))
    world.settle()

    assert (world.stage, world.row.bumps) == ("aborted", bumps)


def test_time_without_a_controller_counts_for_nothing() -> None:
    world = World().until("canary")
    world.passes(0)
    world.passes(3)
    world.crash()
    world.settle()
    world.now += 60 * MINUTE
    world.steady += 60 * MINUTE
    world.passes(1)

    assert world.row.exposure.lived_ns == 3 * MINUTE
    world.passes(1)
    assert world.row.exposure.lived_ns == 4 * MINUTE


def test_counted_time_alone_is_written_once_a_minute() -> None:
    world = World().until("canary")
    world.passes(0)
    before = world.revision
    for _ in range(4):
        world.now += MINUTE // 2
        world.steady += MINUTE // 2
        world.passes(0)

    assert world.revision == before + 2


def test_what_a_gate_says_otherwise_is_written_at_once_and_how_it_puts_it_is_not() -> None:
    world = World().until("canary")
    world.judge("errors", rows.INCONCLUSIVE, evidence="e1")
    before = world.revision
    world.judge("errors", rows.INCONCLUSIVE, evidence="e2")
    assert world.revision == before

    world.judge("errors", rows.PASS)

    assert world.revision == before + 1


def test_the_evidence_of_every_gate_is_written_when_the_next_phase_begins() -> None:
    world = World().until("canary")
    world.live_through()
    world.judge("errors", evidence="sum of samples")
    world.proceed()

    said_of = [one for one in world.entries if one.what == "errors says pass"]
    assert said_of[-1].evidence == "sum of samples"


def test_every_write_says_who_and_why() -> None:
    world = back(World(plan(3, minutes=1)))

    assert world.entries
    assert all(one.actor and one.reason and one.evidence for one in world.entries)


def test_a_row_that_is_none_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        machine.restart(said.Recovered(at=0, revision=1, body=b"\x91", held=()))


def test_a_fail_over_while_the_controller_was_dead_is_seen_when_it_is_back() -> None:
    world = World().until("canary")
    world.leases[1] = (OLD, 50)
    world.crash()
    world.settle()

    assert world.row.holds[0].reason == f"account 1 left the candidate for {OLD}"

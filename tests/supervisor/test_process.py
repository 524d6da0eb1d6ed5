"""One child's restarts: at once, after a second, then every five; and people are told."""

import pytest

from risk_daemon.supervisor.process import (
    SECOND,
    STAYED_UP,
    Child,
    Ended,
    Input,
    Output,
    Passed,
    Phase,
    Spawn,
    Started,
    Tell,
    Terminate,
    Unwant,
    Want,
    is_failing,
    step,
)


def play(*steps: tuple[Input, int]) -> tuple[Child, list[Output]]:
    child = Child(name="worker-1")
    outputs: list[Output] = []
    for given, now in steps:
        child, found = step(child, given, now)
        outputs += found
    return child, outputs


RUNNING = ((Want(), 0), (Started(), 0))


def test_a_wanted_child_is_started_once() -> None:
    child, outputs = play(*RUNNING, (Want(), 1))

    assert child.phase is Phase.RUNNING
    assert outputs == [Spawn()]


def test_restarts_come_at_once_then_after_one_second_then_after_five() -> None:
    child, outputs = play(*RUNNING, (Ended(), 1))
    assert (child.phase, outputs[-1]) == (Phase.STARTING, Spawn())

    child, _ = step(child, Started(), 1)
    child, waiting = step(child, Ended(), 2)
    assert (child.phase, child.retry_at, waiting) == (Phase.BACKOFF, 2 + SECOND, ())

    assert step(child, Passed(), 1 + SECOND) == (child, ())
    child, again = step(child, Passed(), 2 + SECOND)
    assert again == (Spawn(),)

    child, told = step(step(child, Started(), 3 * SECOND)[0], Ended(), 3 * SECOND)
    assert isinstance(told[0], Tell)
    assert child.retry_at == 8 * SECOND


def test_who_took_over_has_the_machine_for_a_moment_before_a_restart() -> None:
    child, _ = step(Child(name="w"), Want(), 0)
    child, _ = step(child, Started(), 0)
    child, outputs = step(child, Ended(spare_ns=250), 1_000)
    assert (outputs, child.phase) == ((), Phase.BACKOFF)
    assert step(child, Passed(), 1_249)[1] == ()

    child, outputs = step(child, Passed(), 1_250)
    assert outputs == (Spawn(),)

    child, _ = step(child, Started(), 1_250)
    child, _ = step(child, Ended(spare_ns=250), 2_000)  # a second is longer
    assert child.retry_at == 2_000 + SECOND


def test_a_child_that_stayed_up_begins_anew() -> None:
    child, _ = play(*RUNNING, (Ended(), 1), (Started(), 1))

    child, outputs = step(child, Ended(), 1 + STAYED_UP)

    assert (child.restarts, outputs) == (1, (Spawn(),))


def test_a_child_that_is_not_wanted_stays_stopped() -> None:
    child, outputs = play(*RUNNING, (Unwant(), 1), (Ended(), 2), (Passed(), 3))

    assert child.phase is Phase.STOPPED
    assert outputs == [Spawn(), Terminate()]


def test_a_child_in_backoff_or_stopped_has_nothing_to_terminate() -> None:
    child, outputs = play(*RUNNING, (Ended(), 1), (Started(), 1), (Ended(), 2), (Unwant(), 3))
    assert child.phase is Phase.STOPPED
    assert Terminate() not in outputs

    assert step(child, Unwant(), 4) == (child, ())


def test_a_stopped_child_may_be_wanted_again() -> None:
    child, _ = play(*RUNNING, (Unwant(), 1), (Ended(), 2))

    assert step(child, Want(), 3)[1] == (Spawn(),)


@pytest.mark.parametrize(
    ("restarts", "up", "fails"),
    [
        (0, 0, False),
        (1, STAYED_UP - 1, True),
        (1, STAYED_UP, False),
        (2, 0, True),
    ],
)
def test_a_child_fails_that_was_restarted_and_did_not_stay_up(
    restarts: int, up: int, *, fails: bool
) -> None:
    child = Child(name="journal", phase=Phase.RUNNING, since=7, restarts=restarts)

    assert is_failing(child, 7 + up) is fails

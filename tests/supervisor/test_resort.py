"""When starting again does not help: the last good release, then the protector, then people."""

from __future__ import annotations

from typing import TypeGuard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.supervisor.resort import (
    GOOD_MAX,
    PROTECTOR,
    WITHIN,
    CallPeople,
    Failed,
    Guarded,
    Held,
    Input,
    Output,
    Poisoned,
    Protect,
    Relieve,
    State,
    Warm,
    step,
)

OLD, NEW = "v1.0.0", "v2.0.0"
STAGED = (OLD, NEW)


def play(*given: Input, state: State | None = None) -> tuple[State, list[Output]]:
    state = state or State()
    outputs: list[Output] = []
    for one in given:
        state, found = step(state, one)
        outputs += found
    return state, outputs


def worker(release: str, now: int = 0, *, ready: bool = False) -> Failed:
    name = f"worker-1@{release}"
    return Failed(name=name, release=release, now=now, ready=ready, staged=STAGED)


def process(name: str, now: int = 0) -> Failed:
    return Failed(name=name, now=now, ready=True)


def why(what: str, count: int = 3) -> str:
    return f"{what} did not stay up {count} times within ten minutes"


def test_after_three_failed_starts_the_last_good_release_is_warmed() -> None:
    state, outputs = play(Held(OLD), worker(NEW), worker(NEW))
    assert outputs == []

    assert play(worker(NEW), state=state)[1] == [Warm(OLD, why(NEW))]


def test_of_several_good_ones_it_is_the_last_that_is_another_one_and_staged() -> None:
    good = [Held("v0.9.0"), Held(OLD), Held("v1.5.0"), Held(NEW)]

    _, outputs = play(*good, *[worker(NEW)] * 3)

    assert outputs == [Warm(OLD, why(NEW))]


def test_failures_that_are_ten_minutes_old_do_not_count() -> None:
    state, _ = play(Held(OLD), worker(NEW, 0), worker(NEW, 5))

    assert play(worker(NEW, WITHIN), state=state)[1] == []
    assert play(worker(NEW, WITHIN - 1), state=state)[1] == [Warm(OLD, why(NEW))]


def test_while_any_worker_is_ready_nothing_else_is_tried() -> None:
    assert play(Held(OLD), *[worker(NEW, ready=True)] * 5)[1] == []


def test_one_that_is_on_its_way_is_waited_for_until_it_fails_too() -> None:
    state, outputs = play(Held(OLD), *[worker(NEW)] * 6)
    assert len(outputs) == 1

    assert play(*[worker(OLD)] * 2, state=state)[1] == []
    assert play(*[worker(OLD)] * 3, state=state)[1] == [Protect(why(OLD))]


def test_without_a_good_release_the_protector_is_started_once() -> None:
    assert play(*[worker(NEW)] * 9)[1] == [Protect(why(NEW))]


@pytest.mark.parametrize("name", ["journal", "link-north"])
def test_no_release_mends_a_journal_or_a_link(name: str) -> None:
    assert play(Held(OLD), *[process(name)] * 2)[1] == []
    assert play(Held(OLD), *[process(name)] * 4)[1] == [Protect(why(name))]


def test_failures_of_different_processes_do_not_add_up() -> None:
    assert play(process("journal"), process("link-a"), worker(NEW), worker(OLD))[1] == []


def test_when_the_protector_does_not_stay_up_people_are_called_once() -> None:
    assert play(*[process(PROTECTOR)] * 5)[1] == [CallPeople(why(PROTECTOR))]


def test_once_all_is_guarded_the_protector_goes_and_the_count_begins_anew() -> None:
    state, _ = play(Held(OLD), *[process("journal")] * 3)

    state, outputs = play(Guarded(), state=state)

    assert (state, outputs) == (State(good=(OLD,)), [Relieve()])
    assert play(Guarded(), *[process("journal")] * 2, state=state)[1] == []


def test_an_account_no_worker_can_fold_is_protected_alone_until_one_can() -> None:
    text = "no worker can fold a record of account "
    state, outputs = play(Poisoned((7,)), Poisoned((7,)), Poisoned((7, 9)), Poisoned(()))

    assert outputs == [Protect(f"{text}7", (7,)), Protect(f"{text}7, 9", (7, 9)), Relieve()]
    assert state == State()


def test_who_protects_all_protects_the_poisoned_too() -> None:
    _, outputs = play(*[process("journal")] * 3, Poisoned((7,)), Poisoned(()))

    assert outputs == [Protect(why("journal"))]
    assert play(Poisoned((7,)), *[process("journal")] * 3)[1][1:] == [Protect(why("journal"))]
    assert play(Poisoned((7,)), Guarded())[1][1:] == [Relieve()]


def test_good_releases_are_remembered_newest_last_and_not_for_ever() -> None:
    names = [f"v{number}" for number in range(GOOD_MAX + 2)]

    state, _ = play(*map(Held, [*names, names[-2]]))

    assert state.good == (*names[-GOOD_MAX:-2], names[-1], names[-2])


def _is_protect(output: Output) -> TypeGuard[Protect]:
    return isinstance(output, Protect)


inputs = st.lists(
    st.one_of(
        st.builds(Held, st.sampled_from(STAGED)),
        st.just(Guarded()),
        st.sampled_from([Poisoned((7,)), Poisoned((7, 9)), Poisoned(())]),
        st.builds(worker, st.sampled_from(STAGED), st.integers(0, 5), ready=st.booleans()),
        st.builds(process, st.sampled_from(["journal", "link-a", PROTECTOR])),
    ),
    max_size=40,
)


@given(inputs)
def test_in_one_spell_each_resort_is_tried_once_and_the_end_of_the_row_is_reached(
    given: list[Input],
) -> None:
    state, spell = State(), list[Output]()
    for one in given:
        state, found = step(state, one)
        spell = [] if isinstance(one, Guarded) else [*spell, *found]
        final = [output for output in spell if isinstance(output, Warm | CallPeople)]
        assert len(final) == len(set(map(repr, final)))
        assert sum(output == Protect(output.why) for output in spell if _is_protect(output)) <= 1

    _, outputs = play(*[worker(NEW)] * 3, *[worker(OLD)] * 3, *[worker(NEW)] * 3, state=state)

    assert state.is_protecting or any(isinstance(one, Protect) for one in outputs)

"""Snapshots: a complete set restores the world, anything less is not trusted."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core.world import state_hash
from risk_daemon.worker.recovery import restore, take
from tests.build import ACCOUNT, Stream, rule


def snapshots() -> tuple[Stream, list[object]]:
    stream = Stream().open(rule("max-contracts", limit=5))
    stream.fill(1, 1, 2)
    stream.mark("MNQ", "20990", "20990.25")
    return stream, list(take(stream.engine.world, "v1"))


def test_what_was_taken_is_restored() -> None:
    stream, made = snapshots()

    world = restore(made)  # type: ignore[arg-type]

    assert world is not None
    assert (world.seq, world.marks) == (stream.engine.world.seq, stream.engine.world.marks)
    assert state_hash(world.accounts[ACCOUNT]) == state_hash(stream.account)


def test_without_the_surroundings_there_is_no_set() -> None:
    _, made = snapshots()

    assert restore([]) is None
    assert restore(made[1:]) is None  # type: ignore[arg-type]


def test_parts_of_different_moments_are_no_set() -> None:
    _, made = snapshots()
    made[1] = msgspec.structs.replace(made[1], seq=1)  # type: ignore[type-var]

    assert restore(made) is None  # type: ignore[arg-type]


@given(st.data())
def test_a_damaged_part_is_never_taken_for_the_state(data: st.DataObject) -> None:
    _, made = snapshots()
    body = bytearray(made[1].body)  # type: ignore[attr-defined]
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    made[1] = msgspec.structs.replace(made[1], body=bytes(body))  # type: ignore[type-var]

    assert restore(made) is None  # type: ignore[arg-type]

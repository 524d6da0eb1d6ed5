"""Orders that REST never shows: their absence from a read proves nothing."""

import pytest

from risk_daemon.core.account import PENDING, PENDING_CANCELLATION, SUSPENDED
from tests.broker.test_fence import Door, sent
from tests.build import order, position


@pytest.mark.parametrize("status", [PENDING, PENDING_CANCELLATION, SUSPENDED])
def test_a_close_that_is_pending_keeps_its_slot_through_a_read_that_does_not_show_it(
    status: int,
) -> None:
    door = Door().holding(9)
    (first,) = sent(door.decide("reduce", allowed=5))
    door.answer(first)
    door.arrive(order(1, side=-1, size=4, status=status, type=2))

    door.read(position(9))

    assert sent(door.decide("reduce", allowed=5)) == []

"""The order of all things: no gap, no step back in time, nothing seen before it is stored."""

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.wire.record import NewRecord, Record, holds

NEW = NewRecord("mark-changed", 0, b"f")

#: An integer: a record arrives at that time; a float: that share of what waits is stored.
steps = st.lists(st.one_of(st.integers(0, 1_000), st.floats(0, 1)), max_size=60)


@given(steps, st.integers(0, 500))
def test_records_are_seen_once_in_order_and_only_when_stored(
    story: list[int | float], began_at: int
) -> None:
    sequencer = Sequencer(41, began_at, 99)
    seen: list[Record] = []
    stored = 41
    for step in story:
        if isinstance(step, int):
            sequencer.admit(NEW, step)
        else:
            stored += int((sequencer.seq - stored) * step)
            seen += sequencer.stored(stored)
        assert len(seen) == stored - 41

    crc, at = 99, began_at
    for seq, record in enumerate(seen, start=42):
        assert record.seq == seq
        assert record.at >= at
        assert holds(crc, record)
        crc, at = record.crc, record.at

"""The order of all things: no gap, no step back in time, no promise seen before it is stored."""

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.wire.record import NewRecord, Record, holds

FACT = NewRecord("mark-changed", 0, b"f")
PROMISE = NewRecord("lock-placed", 7, b"p")

#: (True, now): a promise arrives; (False, now): a fact; an integer: that share is stored.
steps = st.lists(
    st.one_of(st.tuples(st.booleans(), st.integers(0, 1_000)), st.floats(0, 1)), max_size=60
)


@given(steps, st.integers(0, 500))
def test_records_are_seen_once_in_order_and_promises_only_when_stored(
    story: list[tuple[bool, int] | float], began_at: int
) -> None:
    sequencer = Sequencer(41, began_at, 99)
    seen: list[Record] = []
    promises: list[int] = []
    stored = 41
    for step in story:
        if isinstance(step, tuple):
            is_promise, now = step
            record = sequencer.admit(PROMISE if is_promise else FACT, now, is_promise)
            promises += [record.seq] * is_promise
        else:
            stored += int((sequencer.seq - stored) * step)
            sequencer.stored(stored)
        seen += sequencer.ready()
        blocked = [seq for seq in promises if seq > stored]
        assert len(seen) == (min(blocked) if blocked else sequencer.seq + 1) - 42

    crc, at = 99, began_at
    for seq, record in enumerate(seen, start=42):
        assert record.seq == seq
        assert record.at >= at
        assert holds(crc, record)
        crc, at = record.crc, record.at

"""What a worker tells of its work: whole counts, bounded latencies, one turn after the other."""

from __future__ import annotations

from risk_daemon.wire.figures import (
    LATENCIES_MAX,
    Figures,
    Meter,
    decode_figures,
    encode_figures,
)


def test_a_turn_tells_what_was_decided_since_the_one_before() -> None:
    meter = Meter("worker-1", "v1")
    meter.took(2_500_000, failed=False)
    meter.took(1_000, failed=True)

    told = meter.turn(12)

    assert told == Figures(
        worker="worker-1", release="v1", upto=12, decided=2, failed=1, latencies_us=(2_500, 1)
    )
    assert meter.turn(13) is None


def test_more_than_are_told_are_counted_all_the_same() -> None:
    meter = Meter("worker-1", "v1")
    for _ in range(LATENCIES_MAX + 10):
        meter.took(1_000, failed=False)

    told = meter.turn(1)

    assert told is not None
    assert (told.decided, len(told.latencies_us)) == (LATENCIES_MAX + 10, LATENCIES_MAX)


def test_a_record_from_the_future_has_no_latency() -> None:
    meter = Meter("worker-1", "v1")
    meter.took(-1, failed=False)

    told = meter.turn(1)

    assert told is not None
    assert (told.decided, told.latencies_us) == (1, ())


def test_figures_come_back_as_they_were_written() -> None:
    told = Figures(worker="worker-1", release="v1", upto=3, decided=1, latencies_us=(7,))

    assert decode_figures(encode_figures(told)) == told

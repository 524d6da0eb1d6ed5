"""A recorded stream decided again by a release that did not hold its accounts."""

from __future__ import annotations

from risk_daemon.core.instrument import UNIT
from risk_daemon.rules import CATALOG
from risk_daemon.wire.record import Record, chain, new_record
from risk_daemon.worker.recorded import Recorded
from tests.build import rule
from tests.worker.two import NEW, OLD, Two, changed, limit

LOWER = changed("max-contracts", limit(-UNIT))


def stream(both: Two) -> list[Record]:
    records, crc = [], 0
    for entry in both.entries:
        new = new_record(entry.fact)
        crc = chain(crc, entry.seq, entry.at, new)
        records.append(
            Record(entry.seq, entry.at, new.version, new.kind, new.account, new.payload, crc)
        )
    return records


def test_a_recorded_day_shows_what_a_later_release_would_have_done() -> None:
    """It was never there: each difference counts, as each account is put right at once."""
    day = Two().open(rule("max-contracts", limit=2))
    for _ in range(3):
        day.fill(1, 2)
        day.pulse(12)
        day.fill(-1, 2, pnl=0)
        day.fill(1, 3)
        day.answered()
        day.fill(-1, 2, pnl=0)
        day.pulse(12)

    later = Recorded(LOWER, "v1.4.0")
    for record in stream(day):
        later.take(record)

    verdicts = [one.verdict for one in later.found]
    assert verdicts.count("stricter") == 6
    assert {(one.release, one.against, one.source) for one in later.found} == {
        ("v1.4.0", OLD, "recorded")
    }
    assert later.reseeds == 6
    assert later.records == len(day.entries)


def test_what_its_own_workers_wrote_live_is_found_again_and_not_folded() -> None:
    day = Two(LOWER).open(rule("max-contracts", limit=2))
    day.fill(1, 2)
    day.pulse(12)

    again = Recorded(LOWER, NEW)
    for record in stream(day):
        again.take(record)

    assert [(one.seq, one.verdict) for one in again.found] == [
        (one.seq, one.verdict) for one in day.found
    ]
    assert again.reseeds == len(day.reseeds) == 1


def test_the_release_that_held_them_has_nothing_to_compare() -> None:
    day = Two().open(rule("max-contracts", limit=2))
    day.fill(1, 3)
    day.pulse(2)

    same = Recorded(CATALOG, OLD)
    for record in stream(day):
        same.take(record)

    assert same.found == []

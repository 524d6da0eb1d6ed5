"""What is refused is counted once each, in few rows, and written once a minute."""

from __future__ import annotations

import pytest

from risk_daemon.console.refusals import (
    METHODS,
    ROWS_MAX,
    SECOND_NS,
    WINDOW_NS,
    Refusals,
    row,
)
from risk_daemon.core.events import RefusedRequests, RequestsRefused

ACT = row(401, "POST", "/api/v1/actions", "http://localhost:8080", "localhost:8080")
CROSS = row(403, "POST", "/api/v1/actions", "https://evil.example", "localhost:8080")


def total(found: RequestsRefused | None) -> int:
    return sum(one.count for one in found.rows) if found else 0


def test_a_minute_after_the_first_all_of_them_are_written_by_kind() -> None:
    counted = Refusals()
    for second in range(3):
        counted.add(ACT, second * SECOND_NS)
    counted.add(CROSS, 3 * SECOND_NS)

    assert counted.due(WINDOW_NS - 1) is None
    assert counted.due(WINDOW_NS) == RequestsRefused(
        for_ms=60_000,
        rows=(
            RefusedRequests(401, "POST", "/api/v1/actions", "own", 3),
            RefusedRequests(403, "POST", "/api/v1/actions", "https://evil.example", 1),
        ),
    )


def test_where_nothing_was_refused_nothing_is_written() -> None:
    assert Refusals().due(WINDOW_NS) is None


def test_what_comes_while_it_is_written_begins_the_next_minute() -> None:
    counted = Refusals()
    counted.add(ACT, 0)
    found = counted.all(SECOND_NS)
    assert found is not None
    counted.add(ACT, SECOND_NS)
    counted.add(CROSS, SECOND_NS)
    counted.written(found, 2 * SECOND_NS)

    assert counted.due(WINDOW_NS) is None
    rest = counted.due(WINDOW_NS + 2 * SECOND_NS)
    assert [(one.status, one.count) for one in rest.rows] == [(401, 1), (403, 1)] if rest else False


def test_what_was_not_written_is_written_with_the_next() -> None:
    counted = Refusals()
    counted.add(ACT, 0)
    assert total(counted.due(WINDOW_NS)) == 1  # and nobody said that it was written
    counted.add(ACT, WINDOW_NS)

    assert total(counted.due(WINDOW_NS + 1)) == 2


def test_however_many_kinds_there_are_the_rows_are_few_and_none_is_lost() -> None:
    counted = Refusals()
    for number in range(1_000):
        counted.add(row(403, "POST", "", f"https://{number}.example", "localhost"), 0)
    counted.add(row(403, "POST", "", "https://0.example", "localhost"), 0)

    found = counted.all(0)

    assert found is not None
    assert (len(found.rows), total(found)) == (ROWS_MAX + 1, 1_001)
    assert found.rows[0] == RefusedRequests(403, "", "", "", 1_000 - ROWS_MAX)
    assert RefusedRequests(403, "POST", "", "https://0.example", 2) in found.rows


@pytest.mark.parametrize("method", ["BREW", "", "get"])
def test_a_word_that_is_no_method_and_a_long_origin_are_not_kept_as_they_came(method: str) -> None:
    assert row(405, method, "", "x" * 5_000, "localhost") == (405, "", "", "x" * 100)
    assert row(405, METHODS[0], "", "", "") == (405, "GET", "", "")

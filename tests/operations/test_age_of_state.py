"""How long a home has had something to lose: since it was made, and since its first record."""

from __future__ import annotations

from datetime import datetime

import pytest

from risk_daemon.clock import SECOND_NS
from risk_daemon.operations import daemon, state_file
from risk_daemon.operations.backup.backup_list import age_of_state
from risk_daemon.operations.home import Home
from tests.operations.build import CREATED
from tests.operations.lived import lock

HOUR_S = 3_600
MADE = int(datetime.fromisoformat(CREATED).timestamp()) * SECOND_NS


def hours(home: Home, *, made_h: int, begun_h: int) -> float | None:
    """Ask so many hours after it was made, and after its first record."""
    begun = state_file.begun(home)
    assert begun is not None
    machine, now = (at + h * HOUR_S * SECOND_NS for at, h in ((MADE, made_h), (begun, begun_h)))
    age_s = age_of_state(home, machine, now)
    return None if age_s is None else age_s / HOUR_S


@pytest.mark.parametrize(
    ("made_h", "begun_h", "counts"),
    [(49, 49, 49.0), (100, 1, 1.0), (1, 100, 1.0), (49, -5, 0.0)],
)
def test_the_later_of_the_homes_making_and_its_first_record_counts(
    journal: Home, made_h: int, begun_h: int, counts: float
) -> None:
    daemon.append(journal, lock(1, "day:2"))

    assert hours(journal, made_h=made_h, begun_h=begun_h) == counts


def test_a_home_that_never_ran_has_nothing_to_lose(home: Home) -> None:
    assert age_of_state(home, MADE, MADE) is None


def test_of_a_home_that_cannot_be_read_nothing_is_said(journal: Home) -> None:
    daemon.append(journal, lock(1, "day:2"))
    for one in (journal.about, journal.about_again):
        one.write_text("{")

    assert age_of_state(journal, MADE, MADE) is None

"""When a state hash is due: after so many records, and a pulse or two after a lease."""

from __future__ import annotations

import pytest

from risk_daemon.worker.dues import AT_A_PULSE, Dues


@pytest.mark.parametrize(
    ("last", "records", "due"),
    [
        (0, 9, False),
        (0, 10, True),
        (0, 11, False),
        (10, 10, False),  # a record that is not counted does not make it due again
        (10, 20, True),
        (15, 20, True),
        (20, 20, False),
    ],
)
def test_a_hash_is_due_after_every_so_many_records_once(last: int, records: int, due: bool) -> None:
    dues = Dues(10)
    dues.took(7, last)

    assert dues.is_due(7, records) is due


def test_an_account_that_was_never_hashed_counts_from_its_first_record() -> None:
    assert Dues(10).is_due(7, 10)


def test_leased_accounts_are_hashed_a_few_at_each_pulse_in_the_order_of_their_leases() -> None:
    dues = Dues(10)
    for account in (9, 7, 8, 9, *range(20, 20 + AT_A_PULSE)):
        dues.leased(account)

    assert dues.at_pulse() == [9, 7, 8, 20]
    assert dues.at_pulse() == [21, 22, 23]
    assert dues.at_pulse() == []

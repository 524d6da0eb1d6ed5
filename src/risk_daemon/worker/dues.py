"""When an account's state hash is due. Pure but for what it remembers: every worker says the same.

Every so many records of the account; and after each lease, to prove what was taken over. Not at the
lease itself: there the heir has something better to do, and a hash takes a millisecond where the
day had some hundred fills. So it waits for the next pulses, a few accounts at each.
"""

from __future__ import annotations

from typing import Final

#: Accounts that are proven at one pulse.
AT_A_PULSE: Final = 4


class Dues:
    """What is still to be hashed, and what was hashed last."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._hashed_at: dict[int, int] = {}
        self._leased: dict[int, None] = {}

    def took(self, account: int, records: int) -> None:
        """The account was hashed when it had so many records, now or before a snapshot."""
        self._hashed_at[account] = records

    def leased(self, account: int) -> None:
        """The account has a new lease."""
        self._leased[account] = None

    def at_pulse(self) -> list[int]:
        """Return whose turn it is at this pulse, and count them as done."""
        turn = list(self._leased)[:AT_A_PULSE]
        for account in turn:
            del self._leased[account]
        return turn

    def is_due(self, account: int, records: int) -> bool:
        """Tell whether the account's newest record is one after which its hash is taken."""
        if records % self._every:
            return False
        return records // self._every > self._hashed_at.get(account, 0) // self._every

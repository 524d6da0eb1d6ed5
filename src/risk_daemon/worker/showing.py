"""Whose view is published next. Pure but for what it remembers; it knows no clock, only turns.

Of ten accounts everyone has their turn four times a second. Of a thousand, all of which hold what
moves, that would be a core's whole time: then what happened to an account comes before what only
the market did, and among those who was shown longest ago.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Views of one turn, a quarter of a second.
TOGETHER: Final = 100
#: An account to which nothing happens is shown again after so many turns.
AGAIN_AFTER: Final = 20
#: One that holds something after so many: its P&L moves.
MOVING_AFTER: Final = 4


class Showing:
    """What is to be shown, and when each account was shown last."""

    def __init__(self) -> None:
        self._turn = 0
        self._own: set[int] = set()
        self._moved: set[int] = set()
        self._shown: dict[int, int] = {}

    def happened(self, accounts: Iterable[int]) -> None:
        """Something of their own happened to these accounts."""
        self._own.update(accounts)

    def moved(self, accounts: Iterable[int]) -> None:
        """The price of something these accounts hold moved."""
        self._moved.update(accounts)

    def turn(self, mine: Iterable[tuple[int, bool]]) -> list[int]:
        """Choose whom to show now, of (account, whether it holds anything) that are ours."""
        self._turn += 1
        due = [
            (number not in self._own, self._shown.get(number, 0), number)
            for number, holds in mine
            if self._is_due(number, holds=holds)
        ]
        chosen = [number for _, _, number in sorted(due)[:TOGETHER]]
        self._own.difference_update(chosen)
        self._moved.difference_update(chosen)
        self._shown.update(dict.fromkeys(chosen, self._turn))
        return chosen

    def _is_due(self, number: int, *, holds: bool) -> bool:
        if number in self._own or number in self._moved:
            return True
        age = self._turn - self._shown.get(number, 0)
        return age >= (MOVING_AFTER if holds else AGAIN_AFTER)

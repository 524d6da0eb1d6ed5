"""What this worker saw of its accounts at its hashes, to compare with a holder of another release.

States of two releases have two shapes and are never compared; their projections are, by the seq
at which both were taken (`wire.view.projection`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from risk_daemon.core.events import HashTaken
from risk_daemon.wire.view import PROJECTION, unlike

KEPT: Final = 64
DAY: Final = "trade date"
#: Of a projection, what no release decides.
FACTS: Final = ("positions", "orders", "realized", DAY, "may trade")


class Projections:
    """The newest projections of each account, and where a holder was last found to differ."""

    def __init__(self) -> None:
        self._taken: dict[int, dict[int, Mapping[str, str]]] = {}
        self._told: dict[int, str] = {}
        #: By account: the newest record in which the broker told something of it.
        self._touched: dict[int, int] = {}

    def take(self, account: int, seq: int, shown: Mapping[str, str]) -> None:
        """Keep what was seen after a record."""
        mine = self._taken.setdefault(account, {})
        mine[seq] = shown
        if len(mine) > KEPT:
            del mine[min(mine)]

    def touched(self, account: int, seq: int) -> None:
        """The broker told something of an account at this record."""
        self._touched[account] = seq

    def news(self, theirs: HashTaken, now: Callable[[], Mapping[str, str]]) -> tuple[str, bool]:
        """Say how a holder sees an account otherwise, and whether it is facts that differ.

        Empty if it does not, or it was said. Of a projection that this release does not know
        nothing can be said. Locks are what a release decided; the rest is what both were told.
        Two releases count records each in its own way, so mostly the holder's hash finds none
        taken here: then `now` shows the account as it is, if it still is what it was at the hash.
        """
        if theirs.projection != PROJECTION:
            return "", False
        mine = self._taken.get(theirs.account, {}).get(theirs.seq)
        if mine is None and self._touched.get(theirs.account, 0) <= theirs.seq:
            shown = now()
            if shown.get(DAY) == theirs.shown.get(DAY):  # else the day ended between the two
                mine = shown
        if mine is None:
            return "", False
        text = "; ".join(unlike(theirs.release, theirs.shown, mine))
        before = self._told.get(theirs.account, "")
        self._told[theirs.account] = text
        if text == before:
            return "", False
        return text, any(theirs.shown.get(name) != mine.get(name) for name in FACTS)

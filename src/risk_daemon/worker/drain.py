"""Accounts this worker is to say nothing of, because another is about to take them over.

A drain is a fact of the stream, like the lease it prepares: whoever folds it shows the account as
it is there, and the holder falls silent at that very record. What it decides meanwhile is decided
by its heir too, who says it when the lease is his. A drain ends with the next lease, when it is
told so, or by itself: nobody must be left unguarded because a supervisor died half-way.
"""

from __future__ import annotations

import msgspec

from risk_daemon.core.events import DrainAsked
from risk_daemon.wire.view import AccountView

MS_NS = 1_000_000


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One account as a worker has it after the record `seq`; a view is for another release."""

    account: int
    seq: int
    digest: str = ""
    view: AccountView | None = None


class Drains:
    """What is drained here, and what was shown at it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._silent: dict[int, int] = {}
        self._shown: dict[int, Shown] = {}

    def take(self, asked: DrainAsked, at: int, shown: Shown) -> bool:
        """Fold a drain; tell whether this worker is to go on with the account."""
        self._shown[asked.account] = shown
        if asked.for_ms:
            if asked.holder == self._name:
                self._silent[asked.account] = at + asked.for_ms * MS_NS
            return False
        return self._silent.pop(asked.account, None) is not None

    def is_silent(self, account: int) -> bool:
        """Tell whether nothing is to be said of an account."""
        return account in self._silent

    def leased(self, account: int) -> None:
        """The account has a new lease: whoever holds it speaks."""
        self._silent.pop(account, None)

    def over(self, at: int) -> list[int]:
        """Forget the drains that nobody ended in time; return their accounts."""
        over = sorted(number for number, until in self._silent.items() if at >= until)
        for number in over:
            del self._silent[number]
        return over

    def wake_at(self) -> int:
        """Return when the first of them ends by itself, 0 for none."""
        return min(self._silent.values(), default=0)

    def shown(self, account: int) -> Shown | None:
        """Return what was shown at the account's newest drain."""
        return self._shown.get(account)

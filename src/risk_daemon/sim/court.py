"""What one account's case needs from the referee around it."""

from __future__ import annotations

from typing import Protocol

from risk_daemon.sim.breach import Counts
from risk_daemon.sim.ledger import OrderFact
from risk_daemon.sim.model import Quote
from risk_daemon.sim.moment import Moment


class Court(Protocol):
    """What a case needs from the referee around it."""

    counts: Counts
    bound_ns: int

    def next_number(self) -> int:
        """The next breach's number."""

    def in_fault(self, account: int, now_ns: int) -> bool:
        """Whether a fault window is open for the account's login."""

    def is_blocked(self, account: int, now_ns: int) -> bool:
        """Whether nobody can get a request through, or a process was killed just now."""

    def is_near(self, order: OrderFact) -> bool:
        """Whether a resting order is within reach of the market."""

    def market(self, contract: str) -> Quote | None:
        """The market as it is."""

    def believed(self, account: int, contract: str) -> Quote | None:
        """The believable quote that was delivered to the account's login, if any."""

    def extremes(self, account: int, contract: str, now_ns: int) -> tuple[Quote, Quote] | None:
        """The lowest and the highest market that any order of arrival may still show."""

    def say(self, now: Moment, account: int | None, kind: str, text: str) -> None:
        """A line for people."""

    def complain(self, text: str, now: Moment, account: int) -> None:
        """A violation, as a plain sentence."""

"""What the judgement of one rule on one account is asked, and told.

The size rules and the daily realized loss follow from a book alone. The others remember something
(a high-water mark, how long a stop is missing, what was held when entries stopped), and each is a
watch of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from risk_daemon.sim.ledger import Book
from risk_daemon.sim.moment import Moment
from risk_daemon.sim.standing import NOTHING, Need, Standing


@dataclass(frozen=True, slots=True)
class Scene:
    """What both ledgers say at one moment.

    `is_calm`: something is held, nothing hinders a request, and none is on its way. `is_blind`:
    a fault may have kept quotes back.
    """

    now: Moment
    day: date
    truth: Book
    delivered: Book
    true: Standing
    is_calm: bool
    is_blind: bool


class Watch:
    """One rule's judgement; what a subclass leaves alone says that it asks for nothing."""

    rule = ""
    #: Whether an entry after the breach is a further breach of the same rule.
    locks = True

    def look(self, scene: Scene) -> None:
        """Bring it up to date."""

    def need(self, standing: Standing, *, true: bool) -> Need:
        """What it asks for, in truth or as delivered."""
        del standing, true
        return NOTHING

    def wide_need(self, standing: Standing) -> Need:
        """What an order of arrival may have made it ask for."""
        del standing
        return NOTHING

    def text(self) -> str:
        """Why, for people."""
        return ""

    @property
    def is_locked(self) -> bool:
        """Whether it locks the account."""
        return False

    @property
    def is_doubtful(self) -> bool:
        """Whether an honest daemon may have locked the account by it."""
        return False

    def waits(self, now: Moment) -> bool:
        """Whether time alone may change what it says, now or in a moment."""
        del now
        return False

    def due_within(self, seconds: float) -> bool:
        """Whether the clock is about to make a breach of what is held now."""
        del seconds
        return False

    def due_ns(self) -> int | None:
        """When the clock made the present breach, None when a message did."""
        return None

    def was_too_short(self) -> bool:
        """Whether what was reached is over before it was certain."""
        return False

    def acted(self, contract: str) -> None:
        """A close arrived that only this rule explains."""

    def unlocked(self) -> None:
        """A person ended the locks that wait for a person."""

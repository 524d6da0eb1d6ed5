"""The referee's records: breaches, requests, counts, lines for people."""

from __future__ import annotations

from dataclasses import dataclass

from risk_daemon.sim.moment import NS_PER_MS


@dataclass(slots=True)
class Breach:
    """One breach of one rule on one account, from its start in truth to its target.

    `cause` tells what made a close due: message, read, or timer (an operator act).
    `counts` is false for entries while locked beyond the third.
    """

    n: int
    account: int
    rule: str
    started_ns: int
    in_fault: bool
    text: str
    counts: bool = True
    visible_ns: int | None = None
    cause: str = ""
    close_due_ns: int | None = None
    was_excused: bool = False
    had_to_cancel: bool = False
    clock_ns: int | None = None
    grace_until_ns: int = 0
    is_late: bool = False
    first_close_ns: int | None = None
    first_cancel_ns: int | None = None
    ended_ns: int | None = None
    class_of_time: str = ""
    time_ms: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether its target is not reached yet."""
        return self.ended_ns is None

    @property
    def is_unseen(self) -> bool:
        """Whether it ended before anybody could know: listed, not counted."""
        return self.ended_ns is not None and self.visible_ns is None

    @property
    def is_counted(self) -> bool:
        """Whether it is one of the breaches the verdict counts."""
        return self.counts and not self.is_unseen


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that arrived: `what` is close, partial_close, cancel, place or modify."""

    n: int
    what: str
    account: int
    contract: str | None = None
    order: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """One line for people."""

    n: int
    ns: int
    at: str
    account: int | None
    kind: str
    text: str


@dataclass(slots=True)
class Counts:
    """What must stay at zero."""

    reversed: int = 0
    reversed_by_race: int = 0
    increased: int = 0
    duplicate: int = 0
    false: int = 0


def milliseconds(ns: int) -> float:
    """Nanoseconds as milliseconds with three decimals."""
    return round(ns / NS_PER_MS, 3)

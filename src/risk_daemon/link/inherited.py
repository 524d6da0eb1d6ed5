"""The goals a new link finds without an end in the stream: what may have become of them.

*In doubt* are those that the link before may have let out: they count as sent,
outcome unknown, until reads show more. *Fresh* are those decided after its
end, which the supervisor witnessed: they have certainly not left, and wait for
nothing. Per contract the link before had one closing request at most, so only
one of its goals can be in doubt: the last that is known to have been sent, else
the last. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from risk_daemon.core.events import (
    FeedChanged,
    GoalRefused,
    Intended,
    RequestSent,
    RequestSettled,
)
from risk_daemon.wire.heart import LINK_IS_DOWN
from risk_daemon.wire.record import Record, decode

KINDS: Final = ("intended", "request-sent", "request-settled", "goal-refused", "feed-changed")

#: What a goal is about; one request at a time may be under way for it.
About = tuple[int, str, int]


class _Open(msgspec.Struct):
    intended: Intended
    at: int
    is_sent: bool = False
    is_fresh: bool = False


class Inherited(msgspec.Struct, frozen=True):
    """Goals in doubt with the time they may have left at, and goals that have not left."""

    in_doubt: list[tuple[int, Intended]]
    fresh: list[Intended]


def inherited(records: Iterable[Record], login: str, accounts: tuple[int, ...]) -> Inherited:
    """Sort the goals of a login that have no end in these records."""
    goals: dict[str, _Open] = {}
    is_down = False
    for record in records:
        match decode(record).fact:
            case Intended(account=account) as intended if account in accounts:
                if intended.goal.act != "look":
                    goals[intended.key] = _Open(intended, record.at, is_fresh=is_down)
            case RequestSent(key=key) if key in goals:
                goals[key] = _Open(goals[key].intended, record.at, is_sent=True)
            case RequestSettled(key=key) | GoalRefused(key=key):
                goals.pop(key, None)
            case FeedChanged(login=name, why=why) if name == login:
                is_down = why == LINK_IS_DOWN
                if not is_down:  # another link spoke since: it may have let them out
                    for one in goals.values():
                        one.is_fresh = False
            case _:
                pass
    doubtful = _last_of_each(one for one in goals.values() if not one.is_fresh)
    fresh = _last_of_each(one for one in goals.values() if one.is_fresh)
    return Inherited([(one.at, one.intended) for one in doubtful], [one.intended for one in fresh])


def _last_of_each(goals: Iterable[_Open]) -> list[_Open]:
    found: dict[About, _Open] = {}
    for one in goals:
        before = found.get(_about(one.intended))
        if before is None or one.is_sent or not before.is_sent:
            found[_about(one.intended)] = one
    return list(found.values())


def _about(intended: Intended) -> About:
    goal = intended.goal
    return intended.account, goal.contract, goal.order

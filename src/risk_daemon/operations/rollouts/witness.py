"""PURE: what the stream shows of a phase beside its samples: situations, and damage.

A situation is something that a release must have lived through before more accounts follow it, and
that no calendar tells. Damage is what one is too many of. Each is seen by somebody else than who it
is about: a link tells of its feed, a warm worker of its holder's state, the way back of a decision
that the candidate did not make.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from risk_daemon.core.events import AlarmRaised, DecisionCompared, Entry, FeedChanged
from risk_daemon.rollout.exposure import RECONNECT, RESTART
from risk_daemon.wire.sample import Damage, Damaged
from risk_daemon.worker.speech import FACTS_DIFFER, STATE_DIFFERS, STATE_REGAINED

DIVERGED: Final = (STATE_DIFFERS, FACTS_DIFFER)
#: What a link says of a feed that can be acted on.
TRUSTED: Final = "trusted"
LIVE: Final = "live"
STRICTER: Final = "stricter"

KINDS: Final = ("alarm-raised", "decision-compared", "feed-changed")


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at: a release and its way back, their workers, accounts of these logins.

    `declared` are the rules that the release says it changed: of those the way back's opinion
    proves nothing.
    """

    release: str
    fallback: str
    workers: frozenset[str]
    others: frozenset[str]
    logins: frozenset[str]
    declared: frozenset[str] = frozenset()


class Seen(msgspec.Struct):
    """Which logins have lost their feed in this phase. Owned, changed by `take` only."""

    down: set[str] = msgspec.field(default_factory=set)


type Found = str | Damaged


def take(seen: Seen, entry: Entry, phase: Phase, anew: Collection[str] = ()) -> Found | None:
    """Return the situation or the damage that a record shows; None for nothing.

    `anew` are the workers of the release that were started since the phase was entered.
    """
    match entry.fact:
        case FeedChanged(login=login, state=state) if login in phase.logins:
            return _feed(seen, login, state)
        case AlarmRaised(what=what, source=source) if what == STATE_REGAINED and source in anew:
            return RESTART
        case AlarmRaised(what=what, source=source) as alarm if what in DIVERGED:
            return _differs(alarm, source, entry, phase)
        case DecisionCompared() as compared:
            return _unanswered(compared, entry, phase)
        case _:
            return None


def _feed(seen: Seen, login: str, state: str) -> Found | None:
    if state != TRUSTED:
        seen.down.add(login)
        return None
    if login not in seen.down:
        return None
    seen.down.discard(login)
    return RECONNECT


def _differs(alarm: AlarmRaised, by: str, entry: Entry, phase: Phase) -> Found | None:
    between_both = alarm.what == FACTS_DIFFER and by in phase.others
    if by not in phase.workers and not between_both:
        return None
    return _damaged("state-diverged", alarm.account, alarm.text, entry, phase)


def _unanswered(found: DecisionCompared, entry: Entry, phase: Phase) -> Found | None:
    """The way back would have acted, and the release, which holds the account, did not."""
    is_ours = (found.release, found.against) == (phase.fallback, phase.release)
    if not is_ours or (found.verdict, found.source) != (STRICTER, LIVE):
        return None
    if found.rule in phase.declared:
        return None
    detail = f"{found.rule}: {found.why}"
    return _damaged("breach-unanswered", found.account, detail, entry, phase)


def _damaged(what: Damage, account: int, detail: str, entry: Entry, phase: Phase) -> Damaged:
    return Damaged(account=account, release=phase.release, at=entry.at, what=what, detail=detail)

"""The goals a new link finds without an end in the stream: what may have become of them.

*Fresh* are those that have certainly not left, and wait for nothing: decided while no link was
there, which the supervisor witnessed, or while links ran that noted what they let out, and noted
none of this. All others are *in doubt*: they count as sent, outcome unknown, until reads show more.
Per contract a link has one closing request at most, so only one of its goals is taken up: the last
that is known to have been sent, else the last; the others are *over*. Fresh ones beside the last
are *superseded*.

What lies in the emergency segment when a link begins (*kept*) was handed over to leave at once,
and nobody but the dead link knows whether it did: in doubt, also where no record tells of it. If it
did, that was after all that the journal stored: what left before it had ended. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from risk_daemon.core.events import (
    Fact,
    FeedChanged,
    Goal,
    GoalRefused,
    Intended,
    RequestSent,
    RequestSettled,
)
from risk_daemon.wire.heart import LINK_IS_DOWN
from risk_daemon.wire.record import Record, decode

FEED: Final = ("feed-changed",)
KINDS: Final = ("intended", "request-sent", "request-settled", "goal-refused", *FEED)

#: What a goal is about; one request at a time may be under way for it.
About = tuple[int, str, int]


class _Open(msgspec.Struct):
    intended: Intended
    stored_at: int
    noted_at: int | None
    #: Nobody was there to let it out, or whoever was would have noted it.
    would_be_known: bool
    said_at: int | None = None
    is_kept: bool = False

    @property
    def has_left(self) -> bool:
        """It was noted; a record says less: it is written before the request leaves."""
        if self.is_kept or self.noted_at is not None:
            return True
        return self.said_at is not None and not self.would_be_known

    @property
    def may_have_left(self) -> bool:
        return self.has_left or not self.would_be_known

    @property
    def at(self) -> int:
        return self.noted_at or self.said_at or self.stored_at


class Inherited(msgspec.Struct, frozen=True):
    """Goals in doubt with the time they may have left at, goals that have not left, the rest."""

    in_doubt: list[tuple[int, Intended]]
    fresh: list[Intended]
    superseded: list[Intended]
    over: list[Intended]


class Sent(msgspec.Struct, frozen=True):
    """A log of what was let out: its name, and when a goal's request left, if it did."""

    name: str
    left_at: Callable[[str], int | None]


NOTHING: Final = Sent("", lambda _: None)


#: What goals ask for, by the requests they become, where the word is another.
_ACTS: Final = {"partial": "reduce", "modify": "resize"}

#: A goal that lies in the segment, and when it was written there.
Kept = tuple[int, Intended]


def inherited(
    records: Iterable[Record],
    login: str,
    accounts: tuple[int, ...],
    sent: Sent = NOTHING,
    kept: Sequence[Kept] = (),
) -> Inherited:
    """Sort the goals of a login that have no end in these records."""
    story = _Story(login, accounts, sent)
    for record in records:
        story.take(decode(record).fact, record.at)
    for at, intended in kept:
        story.take_kept(intended, at)
    return _sorted(list(story.goals.values()))


class _Story:
    """What the records tell of a login's goals, in their order."""

    def __init__(self, login: str, accounts: tuple[int, ...], sent: Sent) -> None:
        self._login, self._accounts, self._sent = login, accounts, sent
        self.goals: dict[str, _Open] = {}
        self._refused: dict[str, Intended] = {}
        self._ended: set[str] = set()
        self._is_down = self._is_noted = False

    def take(self, fact: Fact, at: int) -> None:
        match fact:
            case Intended(account=account) if account in self._accounts:
                self._decided(fact, at)
            case RequestSent(account=account) if account in self._accounts:
                self._left(fact, at)
            case RequestSettled(key=key):
                self.goals.pop(key, None)
                self._ended.add(key)
            case GoalRefused(key=key):
                self._was_refused(key)
            case FeedChanged(login=name) if name == self._login:
                self._spoke(fact)
            case _:
                pass

    def take_kept(self, intended: Intended, at: int) -> None:
        """Take a goal of the segment: it left after what the journal stored, if it did."""
        if intended.key not in self._ended:
            self.goals.pop(intended.key, None)
            noted_at = self._sent.left_at(intended.key)
            self.goals[intended.key] = _Open(intended, at, noted_at, False, is_kept=True)

    def _decided(self, intended: Intended, at: int) -> None:
        key = intended.key
        if intended.goal.act != "look" and key not in self._ended:
            is_known = (self._is_down or self._is_noted) and key not in self.goals
            self.goals[key] = _Open(intended, at, self._sent.left_at(key), is_known)

    def _left(self, said: RequestSent, at: int) -> None:
        key = said.key
        if key in self.goals:
            self.goals[key].said_at = at
        elif key in self._refused:  # by a link that died: the next one had not heard of it
            intended = self._refused.pop(key)
            self.goals[key] = _Open(intended, at, self._sent.left_at(key), False, at)
        elif key not in self._ended:  # it left without the journal, and is not folded in yet
            self.goals[key] = _Open(_of(said), at, self._sent.left_at(key), False, at)

    def _was_refused(self, key: str) -> None:
        if key in self.goals:
            if self.goals[key].has_left:
                return  # the late word of a link that died: the next one let it out
            self._refused[key] = self.goals.pop(key).intended
        self._ended.add(key)

    def _spoke(self, fact: FeedChanged) -> None:
        self._is_down = fact.why == LINK_IS_DOWN
        self._is_noted = bool(fact.send_log) and fact.send_log == self._sent.name
        if not (self._is_down or self._is_noted):  # another link spoke: it may have let them out
            for one in self.goals.values():
                one.would_be_known = False


def _of(said: RequestSent) -> Intended:
    """Return the goal of a request that nothing else tells of: an old copy has only its sending."""
    goal = Goal(
        act=_ACTS.get(said.act, said.act),
        account=said.account,
        contract=said.contract,
        order=said.order,
    )
    return Intended(account=said.account, epoch=said.epoch, cause_seq=0, key=said.key, goal=goal)


def _sorted(goals: list[_Open]) -> Inherited:
    doubtful = [one for one in goals if one.may_have_left]
    fresh = [one.intended for one in goals if not one.may_have_left]
    last = {_about(intended): intended for intended in fresh}
    taken_up = _last_of_each(doubtful)
    return Inherited(
        [(one.at, one.intended) for one in taken_up],
        list(last.values()),
        [intended for intended in fresh if intended not in last.values()],
        [one.intended for one in doubtful if one not in taken_up],
    )


def _last_of_each(goals: Iterable[_Open]) -> list[_Open]:
    found: dict[About, _Open] = {}
    for one in goals:
        before = found.get(_about(one.intended))
        if before is None or one.has_left or not before.has_left:
            found[_about(one.intended)] = one
    return list(found.values())


def _about(intended: Intended) -> About:
    goal = intended.goal
    return intended.account, goal.contract, goal.order

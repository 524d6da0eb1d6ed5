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
    goals: dict[str, _Open] = {}
    refused: dict[str, Intended] = {}
    ended: set[str] = set()
    is_down = is_noted = False
    for record in records:
        match decode(record).fact:
            case Intended(account=account, key=key) as intended if account in accounts:
                if intended.goal.act != "look" and key not in ended:
                    is_known = (is_down or is_noted) and key not in goals
                    goals[key] = _Open(intended, record.at, sent.left_at(key), is_known)
            case RequestSent(account=account, key=key) as said if account in accounts:
                if key in goals:
                    goals[key].said_at = record.at
                elif key in refused:  # by a link that died: the next one had not heard of it
                    intended = refused.pop(key)
                    goals[key] = _Open(intended, record.at, sent.left_at(key), False, record.at)
                elif key not in ended:  # it left without the journal, and is not folded in yet
                    goals[key] = _Open(_of(said), record.at, sent.left_at(key), False, record.at)
            case RequestSettled(key=key):
                goals.pop(key, None)
                ended.add(key)
            case GoalRefused(key=key):
                if key in goals and goals[key].has_left:
                    continue  # the late word of a link that died: it had let nothing out, others did
                if key in goals:
                    refused[key] = goals.pop(key).intended
                ended.add(key)
            case FeedChanged(login=name, why=why, send_log=log) if name == login:
                is_down = why == LINK_IS_DOWN
                is_noted = bool(log) and log == sent.name
                if not (is_down or is_noted):  # another link spoke: it may have let them out
                    for one in goals.values():
                        one.would_be_known = False
            case _:
                pass
    for at, intended in kept:
        if intended.key not in ended:
            goals.pop(intended.key, None)  # it left after what the journal stored, if it did
            noted_at = sent.left_at(intended.key)
            goals[intended.key] = _Open(intended, at, noted_at, False, is_kept=True)
    return _sorted(list(goals.values()))


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

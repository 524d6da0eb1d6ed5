"""A person's orders about accounts: made, then given to whoever can keep them.

The journal keeps them as promises; where it is away a link writes them into
its own emergency file; where that is dead too they wait in a file of the home
for the next start. Whoever typed is told which of the three it was.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import OperatorActed
from risk_daemon.errors import NotFound, OperatorError, UsageError
from risk_daemon.operations import daemon, pending
from risk_daemon.operations.home import Home
from risk_daemon.operations.words import EXCHANGE
from risk_daemon.settings import Settings

#: What stands where somebody gave no reason.
NO_REASON: Final = "none given"
MODES: Final = {
    "flatten-lock": "flat and fully locked",
    "reduce-only": "may only reduce its positions",
    "cancel-only": "may open nothing new; its orders that would are cancelled",
}
_DURATION: Final = re.compile(r"^([1-9]\d*)(s|m|h|d)$")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Who:
    """Who orders something, and why."""

    by: str
    reason: str

    @property
    def given(self) -> str:
        """The reason, empty where none was given."""
        return "" if self.reason == NO_REASON else self.reason.strip()


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an order is kept now; `sentence` is what a person must know about that."""

    where: str
    sentence: str = ""


def now_ns(settings: Settings) -> int:
    """The home's own time."""
    return Clock(int(settings.clock_offset_s * SECOND_NS)).now_ns()


def make(
    settings: Settings, account: int, act: str, who: Who, until: int | None = None
) -> OperatorActed:
    """Make an order; its id says who and when, so that giving it twice is harmless."""
    if account and account not in settings.accounts():
        known = ", ".join(map(str, settings.accounts()[:10]))
        raise NotFound(f"account {account} is not guarded by this home; it guards: {known}.")
    act_id = f"{who.by}:{now_ns(settings)}:{os.getpid()}:{account}"
    return OperatorActed(
        account=account, act=act, by=who.by, reason=who.reason, act_id=act_id, until=until
    )


def give(home: Home, act: OperatorActed, link: str = "") -> Kept:
    """Give an order to the journal, else to its account's link, else keep it for the next start."""
    try:
        daemon.append(home, act, f"act:{act.act_id}")
    except OperatorError as error:
        return _give_link(home, act, link, error) if link else write_down(home, act)
    return Kept("journal")


def _give_link(home: Home, act: OperatorActed, link: str, why: OperatorError) -> Kept:
    try:
        daemon.ask(home, link, "act", msgspec.structs.asdict(act))
    except OperatorError:
        return write_down(home, act)
    return Kept("link", f"the journal is away ({why.sentence}); {link} keeps the order")


def write_down(home: Home, act: OperatorActed) -> Kept:
    """Keep an order in a file of the home, for the next start."""
    pending.keep(home, act)
    return Kept("file", "the order is written down; `risk-daemon-admin start` will adopt it")


def end_of(now: int, until: str | None, for_: str | None) -> int | None:
    """When a lock ends: `--for 30m`, `--until 15:00` (Chicago), `--until` ISO time, or None."""
    if until is not None and for_ is not None:
        raise UsageError("give --until or --for, not both.")
    if for_ is not None:
        return now + span_of("--for", for_)
    return None if until is None else _moment(now, until)


def span_of(option: str, text: str) -> int:
    """How long a duration is that a person wrote, in ns."""
    found = _DURATION.match(text)
    if found is None:
        raise UsageError(f"{option} {text!r} is not a duration such as 30m, 2h or 1d.")
    return int(found[1]) * _SECONDS[found[2]] * SECOND_NS


def _moment(now: int, text: str) -> int:
    """Read a time; a bare HH:MM is the exchange's next one."""
    here = datetime.fromtimestamp(now // SECOND_NS, UTC).astimezone(EXCHANGE)
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    try:
        if clock:
            moment = here.replace(hour=int(clock[1]), minute=int(clock[2]), second=0)
            moment = moment if moment > here else moment + timedelta(days=1)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"--until {text!r} is neither HH:MM (Chicago) nor an ISO time with its offset, "
            "such as 2026-11-25T15:00-06:00."
        )
    at = int(moment.timestamp()) * SECOND_NS
    if at <= now:
        raise UsageError(f"--until {text!r} has passed already; a lock ends in the future.")
    return at

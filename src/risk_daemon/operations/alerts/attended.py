"""Who looks after an alarm: what is acknowledged, silenced, and goes on to the next one. Pure.

What pages is never silenced: it says that somebody's money is unguarded, or may be, and a silence
set for something else must not hide it. It is acknowledged instead. A silence has an end and a
reason; what it hides is not sent and not escalated, and stands in the console and the log as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from risk_daemon.operations.alerts.alert_settings import Escalation
from risk_daemon.operations.alerts.channels import OWNERS
from risk_daemon.operations.alerts.outbox import Alarm, Place

#: What somebody must look at now: it is escalated until somebody says that he does.
CALLING: Final = ("urgent", "page")
#: The source of an alarm that is a second call, and gets no third.
SOURCE: Final = "escalation"
#: What is older, nobody is called for any more.
ESCALATED_WITHIN_NS: Final = 24 * 3_600_000_000_000
_MINUTE_NS: Final = 60_000_000_000
KEPT_MAX: Final = 1_000


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody looks after an alarm. Its record's crc tells it from one of another journal."""

    place: Place
    by: str
    at: int
    reason: str = ""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms of this name (its `what`) are not sent before `until` (ns UTC)."""

    what: str
    until: int
    by: str
    reason: str
    at: int = 0


class Attended(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as `state/attended.json` has it."""

    acknowledged: tuple[Acknowledged, ...] = ()
    silences: tuple[Silence, ...] = ()

    def acknowledger(self, alarm: Alarm) -> Acknowledged | None:
        """Return who looks after an alarm."""
        return next((one for one in self.acknowledged if one.place == alarm.place), None)

    def silence(self, alarm: Alarm, now: int) -> Silence | None:
        """Return the silence in force that hides an alarm; none hides a page."""
        return None if alarm.level == "page" else self.silenced(alarm.what, now)

    def silenced(self, what: str, now: int) -> Silence | None:
        """Return the silence of a name that is in force."""
        return next((one for one in self.silences if one.what == what and one.until > now), None)


def acknowledge(before: Attended, one: Acknowledged) -> Attended:
    """Note who looks after an alarm; whoever said so first stays."""
    if any(other.place == one.place for other in before.acknowledged):
        return before
    return msgspec.structs.replace(before, acknowledged=(*before.acknowledged, one)[-KEPT_MAX:])


def silence(before: Attended, one: Silence, now: int) -> Attended:
    """Note a silence instead of an earlier one of that name; those that ended are forgotten."""
    others = (other for other in before.silences if other.what != one.what and other.until > now)
    new = (one,) if one.until > now else ()
    return msgspec.structs.replace(before, silences=(*others, *new))


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """The call of an alarm that goes to somebody else; `number` counts from 0."""

    alarm: Alarm
    number: int
    audience: str


def still_open(alarms: Sequence[Alarm], attended: Attended, now: int) -> tuple[Alarm, ...]:
    """Return those of which somebody must still say that he looks after them, in order.

    One of which a later alarm says, in its own words, that it is over needs nobody.
    """
    over = {(one.what, one.text): one.place.seq for one in alarms if one.level == "info"}
    return tuple(
        one
        for one in alarms
        if one.level in CALLING
        and one.place.seq
        and one.source != SOURCE
        and now - one.at < ESCALATED_WITHIN_NS
        and over.get((one.what, f"over: {one.text}"), 0) < one.place.seq
        and attended.acknowledger(one) is None
        and attended.silence(one, now) is None
    )


def due(
    alarms: Sequence[Alarm], attended: Attended, plan: Escalation, since: int, now: int
) -> tuple[Next, ...]:
    """Return the calls that are due: of alarms that nobody acknowledged for so long, in order.

    What was raised before there was an escalation (`since`) is not escalated.
    """
    return tuple(
        Next(alarm=one, number=number, audience=audience)
        for one in still_open(alarms, attended, now)
        if one.at >= since
        for number, audience in enumerate(plan.to)
        if now - one.at >= (number + 1) * plan.after_minutes * _MINUTE_NS
    )


def next_call(alarm: Alarm, plan: Escalation, now: int) -> tuple[str, int] | None:
    """Return to whom an open alarm goes next, and when; None when it has been to all."""
    calls = (
        (audience, alarm.at + int((number + 1) * plan.after_minutes * _MINUTE_NS))
        for number, audience in enumerate(plan.to)
    )
    return next((one for one in calls if one[1] > now), None)


def said(one: Next, plan: Escalation, people: str) -> str:
    """Word a second call."""
    minutes = (one.number + 1) * plan.after_minutes
    first = one.alarm.audience or OWNERS
    whom = f"; {people}" if people else ""
    return (
        f"not acknowledged by {first} for {minutes:g} min: {one.alarm.what}: {one.alarm.text}"
        f" (risk-daemon-admin alert ack {one.alarm.place.seq}){whom}"
    )

"""How facts and times are said to people, the same in the terminal and on the page. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from risk_daemon.core.events import (
    DecisionCompared,
    Fact,
    LeaseGranted,
    RequestsRefused,
    SettingsAdopted,
    Unknown,
)
from risk_daemon.wire.record import NAMES

EXCHANGE: Final = ZoneInfo("America/Chicago")
#: Fields that tell the story of a fact; the others are for programs.
_TOLD: Final = ("act", "what", "outcome", "how", "text", "reason", "why", "state", "name", "by")


def iso(at: int) -> str:
    """A time of the stream as ISO-8601 UTC."""
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="milliseconds")


def both_times(at: str, local: tzinfo | None = None) -> str:
    """An ISO time as the exchange's and, where it differs, as local (None: this machine's)."""
    moment = datetime.fromisoformat(at)
    exchange, here = moment.astimezone(EXCHANGE), moment.astimezone(local)
    there = f"{exchange:%a %H:%M:%S} Chicago"
    if exchange.utcoffset() == here.utcoffset():
        return there
    return f"{there} ({here:%a %H:%M:%S} {here.tzname() or 'local'})"


def kind_of(fact: Fact) -> str:
    """The kind of a fact, by its name in the journal."""
    return fact.kind if isinstance(fact, Unknown) else NAMES[type(fact)]


def in_words(fact: Fact) -> str:
    """A fact in a line: what a person wants to know of it."""
    if isinstance(fact, SettingsAdopted):
        return f"settings {fact.digest}"
    if isinstance(fact, LeaseGranted):
        return f"{fact.holder}, epoch {fact.epoch}, {fact.release}"
    if isinstance(fact, DecisionCompared):
        why = f": {fact.why}" if fact.why else ""
        return f"{fact.rule} {fact.verdict}: {fact.release} against {fact.against}{why}"
    if isinstance(fact, RequestsRefused):
        return f"{count(sum(row.count for row in fact.rows), 'request')} to the console"
    fields: dict[str, Any] = msgspec.to_builtins(fact)
    goal = fields.get("goal")
    if isinstance(goal, dict):
        fields = {**goal, **fields}
    said = [" ".join(str(fields[key]).split()) for key in _TOLD if fields.get(key)]
    contract = fields.get("contract")
    return " · ".join([*([str(contract)] if contract else []), *said])


def dollars(text: str) -> str:
    """Money in cents, for people; the exact figure is in the API."""
    try:
        return f"{Decimal(text):.2f}"
    except InvalidOperation:
        return text


def duration(ms: float) -> str:
    """A duration as people say it."""
    if ms < 1_000:
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    seconds = ms / 1_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

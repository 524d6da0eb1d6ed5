"""The live stream: the whole state in named parts, then only the parts that changed. Pure.

A part is `head`, `account/NUMBER`, `processes`, `rollout`, `figures` or `marks`. Ages are in none
of them: a part says when something came, and whoever looks knows what time it is. An id of the
stream names the console's run, the journal's place and the time, so that a tab that comes back,
even to another run, can be told what it missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from risk_daemon.console import asking
from risk_daemon.console import view as views
from risk_daemon.console.figures import cohort_of
from risk_daemon.console.seen import Seen
from risk_daemon.core.events import Entry
from risk_daemon.operations.alerts.channels import OWNERS
from risk_daemon.operations.alerts.outbox import Alarm
from risk_daemon.operations.words import iso

ACCOUNT: Final = "account/"
#: Events and alarms that a fresh page is given.
LATEST: Final = 30
#: What a tab that was away is told of one by one.
MISSED_MAX: Final = 20
_NS_PER_MS: Final = 1_000_000

type Stamps = dict[str, tuple[Any, ...]]


def stamps(seen: Seen, now: int) -> Stamps:
    """Return for each part what it rests on: a part whose stamp is the same need not be sent."""
    cohorts = cohort_of(seen.rollout)
    found: Stamps = {
        "head": (msgspec.json.encode(head(seen, now)),),
        "processes": (seen.status_at,),
        "rollout": (seen.rollout,),
        "figures": (seen.tip, seen.minute),
        "marks": (seen.marks[-1] if seen.marks else None,),
    }
    for row in seen.status.get("accounts", []):
        number = int(row["account"])
        found[f"{ACCOUNT}{number}"] = (
            seen.view_at.get(number, 0),
            row.get("release"),
            row.get("holder"),
            row.get("epoch"),
            views.account_objection(seen, row, now),
            cohorts.get(number, ""),
        )
    return found


def part(seen: Seen, name: str, now: int) -> Any:
    """Return one part as JSON shows it."""
    match name:
        case "head":
            return head(seen, now)
        case "processes":
            return list(seen.status.get("processes", []))
        case "rollout":
            return rollout(seen.rollout)
        case "figures":
            return figures(seen)
        case "marks":
            return list(seen.marks)[-MISSED_MAX:]
        case _:
            return account(seen, int(name.removeprefix(ACCOUNT)), now)


def head(seen: Seen, now: int) -> dict[str, Any]:
    """What one reads first: whether all is well, and if not, why."""
    _, health = views.health(seen, now)
    whole = ("state", "why", "release", "guarded", "disabled")
    return {name: health[name] for name in whole} | {
        "accounts": len(health["accounts"]),
        "journal": seen.journal_connected,
        "supervisor": now - seen.status_at <= views.STATUS_FRESH_NS,
        "key": asking.accounts_key(seen.status),
    }


def account(seen: Seen, number: int, now: int) -> dict[str, Any]:
    """One account: what the supervisor says of it, and its view as its worker published it."""
    row = next(one for one in seen.status["accounts"] if int(one["account"]) == number)
    shown = views.account_health(seen, row, now)
    del shown["view_age_ms"]
    view = seen.views.get(number)
    shown["view"] = None if view is None else msgspec.to_builtins(view)
    shown["cohort"] = cohort_of(seen.rollout).get(number, "")
    return shown


def rollout(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the rollout stands, without its plan; None where there never was one."""
    if not found:
        return None
    shown = {name: one for name, one in found.items() if name != "plan"}
    return shown | {"key": asking.rollout_key(found)}


def figures(seen: Seen) -> dict[str, Any]:
    """The newest sample, the last minute, and what the quarter of an hour before counts up to."""
    return {"tip": seen.tip, "minute": seen.minute, "quarter": quarter(seen)}


def quarter(seen: Seen) -> dict[str, int]:
    """Counts of the last quarter of an hour."""
    kept = [*seen.samples, *([seen.fresh] if seen.fresh is not None else [])]
    everyone = [one.everyone for one in kept]
    names = ("records", "episodes", "fired", "agreed", "goals", "clean")
    return {name: sum(getattr(one, name) for one in everyone) for name in names}


# --- ids, and what was missed ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the stream: the console's run, the journal's seq, UTC ms."""

    boot: str
    seq: int
    at: int

    def __str__(self) -> str:
        return f"{self.boot}.{self.seq}.{self.at}"


def place_of(text: str) -> Place | None:
    """Read an id that a tab shows; None for one that nobody gave out."""
    boot, _, rest = text.partition(".")
    seq, _, at = rest.partition(".")
    if not (boot.isalnum() and len(boot) <= 32 and _is_count(seq) and _is_count(at)):
        return None
    return Place(boot, int(seq), int(at))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def missed(seen: Seen, there: Place | None, here: Place) -> dict[str, Any] | None:
    """Say what a tab missed that comes back from a place; None for a new tab."""
    if there is None:
        return None
    events = [one for one in seen.events if one.seq > there.seq]
    marks = [one for one in seen.marks if one.at > there.at]
    return {
        "since": iso(there.at * _NS_PER_MS),
        "seconds": round(max(here.at - there.at, 0) / 1_000, 1),
        "restarted": there.boot != here.boot,
        "records": max(here.seq - there.seq, 0),
        "events": len(events),
        "all_known": len(events) < len(seen.events) or here.seq - there.seq <= len(events),
        "alarms": alarms(seen, there.seq)[-MISSED_MAX:],
        "marks": marks[-MISSED_MAX:],
    }


def alarms(seen: Seen, after: int = -1) -> list[dict[str, Any]]:
    """Return the alarms after a seq."""
    return shown_alarms(one for one in seen.alarms if one.place.seq > after)


def shown_alarms(found: Iterable[Alarm]) -> list[dict[str, Any]]:
    """Return alarms as the page shows them: what other audiences are told, admins are told too."""
    return [views.alarm(one) for one in found if one.audience in ("", OWNERS)]


def event(entry: Entry) -> dict[str, Any]:
    """An event as the page shows it: without the fact itself, which the API has."""
    shown = views.event(entry)
    del shown["fact"]
    return shown

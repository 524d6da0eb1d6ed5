"""A plan as a person writes it: read, checked, and what is left out filled in. Pure.

`read` takes what YAML makes of the file. Problems are sentences: what, where, the value, what is
allowed.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from risk_daemon.rollout import exposure, freeze
from risk_daemon.rollout.exposure import HOUR, MINUTE
from risk_daemon.rollout.plan import CONFIGURATION, Dwell, Freeze, Phase, Version

SECOND: Final = 1_000_000_000
DAY: Final = 24 * HOUR
SHADOW: Final = "shadow"
CANARY: Final = "canary"
ALL: Final = "100"
WATCH: Final = "soak"
EMERGENCY: Final = "emergency"
KINDS: Final = ("release", CONFIGURATION, EMERGENCY)
#: Gates of every phase, by the name under which the judge speaks.
GATES: Final = ("errors", "latency", "decisions", "enforcement", "memory", "connection")
#: Those of them that say nothing without records of the accounts.
OF_RECORDS: Final = ("errors", "latency", "decisions", "enforcement")
#: Gates before anything moves.
OF_RELEASE: Final = (
    "tests", "live tests", "coverage", "benchmarks", "audit", "signature", "documents",
    "release notes", "rollback drill", "backup", "parity",
)  # fmt: skip
#: What of `checklist pre` is no gate of its own: people's signatures, and the home.
CHECKLIST: Final = "checklist"
BEFORE: Final = (*OF_RELEASE, CHECKLIST)
OF_CALENDAR: Final = (exposure.OPEN, exposure.CLOSE, exposure.RESET, exposure.BREAK)

# Source: the brief's phases (24 h, 48 h, 48 h, one week). A market day has 23 h and a week five of
# them; an hour a day is let go, or who enters a phase minutes after Wednesday's open would wait for
# Sunday's.
_DWELLS: Final = {
    SHADOW: Dwell(wall_ns=30 * SECOND, open_minutes=0, events=0, longest_ns=4 * HOUR),
    CANARY: Dwell(wall_ns=DAY, open_minutes=22 * 60, events=330, longest_ns=7 * DAY),
    "10": Dwell(wall_ns=2 * DAY, open_minutes=44 * 60, events=330, longest_ns=7 * DAY),
    "50": Dwell(wall_ns=2 * DAY, open_minutes=44 * 60, events=330, longest_ns=7 * DAY),
    ALL: Dwell(wall_ns=0, open_minutes=0, events=0, longest_ns=DAY),
    WATCH: Dwell(wall_ns=7 * DAY, open_minutes=110 * 60, events=330, longest_ns=14 * DAY),
}
_GATES: Final = {SHADOW: ("decisions",), ALL: ()}
_SITUATIONS: Final = {
    SHADOW: (),
    ALL: (),
    CANARY: (*OF_CALENDAR, exposure.RECONNECT, exposure.RESTART),
}
_CAPS: Final = {SHADOW: 0, CANARY: 10}
#: An emergency has no percentages between, and its canary is only looked at; the week after it
#: stays as it is, and so does the shadow.
_SHORT: Final = (SHADOW, CANARY, ALL, WATCH)
_SHORT_CANARY: Final = Dwell(wall_ns=5 * MINUTE, open_minutes=0, events=0, longest_ns=DAY)
#: What an emergency is still asked for before anything moves.
OF_EMERGENCY: Final = ("signature",)
#: And a configuration alone: its release was asked for everything when it came.
OF_CONFIGURATION: Final = ("rollback drill", "backup")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for, read and found well-formed.

    `caps` are percent of open risk, per phase. `in_production`: evidence may not be lowered.
    `is_harmless`: a change of configuration that decides nothing (a comment, whom to tell).
    `by` asked for it, and said `reason`.
    """

    rollout: str
    candidate: Version
    fallback: Version
    kind: str = "release"
    tests: tuple[int, ...] = ()
    phases: tuple[Phase, ...] = ()
    caps: tuple[int, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    gates: tuple[str, ...] = BEFORE
    approvals: int = 0
    older: tuple[Version, ...] = ()
    auto_advance: bool = False
    minute_ns: int = MINUTE
    in_production: bool = True
    is_harmless: bool = False
    by: str = ""
    reason: str = ""


class Problems(msgspec.Struct, frozen=True):
    """Why there is no plan, one sentence each."""

    sentences: tuple[str, ...]


def quiet_phase(name: str) -> Phase:
    """Return a phase of a configuration alone: nobody decides beside, so nothing is compared."""
    usual = default_phase(name)
    dwell = msgspec.structs.replace(usual.dwell, events=0)
    if name == SHADOW:
        dwell = msgspec.structs.replace(dwell, wall_ns=0)
    situations = tuple(one for one in usual.situations if one in OF_CALENDAR)
    return msgspec.structs.replace(usual, dwell=dwell, situations=situations, gates=())


def usual_phase(kind: str, name: str) -> Phase:
    """Return a phase as a rollout of this kind is asked for, if nobody plans less."""
    return quiet_phase(name) if kind == CONFIGURATION else default_phase(name)


def usual_gates(kind: str) -> tuple[str, ...]:
    """Return the gates before the start that a rollout of this kind is asked for."""
    return OF_CONFIGURATION if kind == CONFIGURATION else BEFORE


def short_phase(name: str) -> Phase:
    """Return a phase of an emergency: its canary is looked at, and not judged over a day."""
    usual = default_phase(name)
    if name != CANARY:
        return usual
    return msgspec.structs.replace(usual, dwell=_SHORT_CANARY, situations=(), gates=())


def default_phase(name: str) -> Phase:
    """Return a phase of the brief; a percentage it does not name is watched like its 50 %."""
    like = name if name in _DWELLS else "50"
    return Phase(
        name=name,
        percent=_percent_of(name),
        upto=0,
        dwell=_DWELLS[like],
        situations=_SITUATIONS.get(like, OF_CALENDAR),
        gates=_GATES.get(like, GATES),
    )


def _percent_of(name: str) -> int:
    if name in (SHADOW, CANARY):
        return 0
    return 100 if name == WATCH else int(name)


class _Reader:
    """Takes a person's plan apart and keeps what is wrong with it."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def refuse(self, where: str, value: object, allowed: str) -> None:
        self.wrong.append(f"{where}: {value!r} is not allowed; allowed: {allowed}")

    def keys(self, where: str, found: Mapping[str, object], known: tuple[str, ...]) -> None:
        for key in found:
            if key not in known:
                self.refuse(f"{where}{key}", found[key], f"no such key, but {', '.join(known)}")

    def number(self, where: str, value: object, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.refuse(where, value, f"a whole number from {least} to {most}")
            return least
        return value

    def text(self, where: str, value: object) -> str:
        if not isinstance(value, str) or not value:
            self.refuse(where, value, "a name")
            return ""
        return value

    def flag(self, where: str, value: object) -> bool:
        if not isinstance(value, bool):
            self.refuse(where, value, "true or false")
        return value is True

    def one_of(self, where: str, value: object, known: tuple[str, ...]) -> str:
        if value not in known:
            self.refuse(where, value, ", ".join(known))
            return known[0]
        return str(value)

    def items(self, where: str, value: object) -> list[Any]:
        if not isinstance(value, list):
            self.refuse(where, value, "a list")
            return []
        return value

    def table(self, where: str, value: object) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.refuse(where, value, "a table of keys and values")
            return {}
        return value

    def duration(self, where: str, value: object) -> int:
        found = re.fullmatch(r"(\d{1,6})(ms|s|m|h|d)", value if isinstance(value, str) else "")
        if found is None:
            self.refuse(where, value, "a number with ms, s, m, h or d, as 24h")
            return 0
        units = {"ms": SECOND // 1000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
        return int(found[1]) * units[found[2]]

    def instant(self, where: str, value: object) -> int:
        try:
            moment = dt.datetime.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            moment = dt.datetime.min  # noqa: DTZ901 - refused just below, as one without a zone
        if moment.tzinfo is None:
            self.refuse(where, value, "a date and time with its zone, as 2026-12-09T19:00:00Z")
            return 0
        return (moment - EPOCH) // dt.timedelta(microseconds=1) * 1000


EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_KEYS: Final = (
    "rollout", "release", "commit", "fallback", "fallback_commit", "kind", "test_accounts",
    "phases", "freezes", "gates", "approvals", "older", "auto_advance", "minute", "production",
    "harmless",
)  # fmt: skip
_PHASE_KEYS: Final = (
    "name", "wall", "open_minutes", "events", "longest", "situations", "gates", "approvals",
    "risk_cap",
)  # fmt: skip
_FREEZE_KEYS: Final = ("begin", "end", "forbids", "reason", "accounts", "counts")


def read(raw: object) -> Wish | Problems:
    """Read a plan as a person wrote it; what is left out is as the brief has it."""
    reader = _Reader()
    found = reader.table("the plan", raw)
    reader.keys("", found, _KEYS)
    kind = reader.one_of("kind", found.get("kind", "release"), KINDS)
    is_short = kind == EMERGENCY
    usual = [{"name": name} for name in (_SHORT if is_short else _DWELLS)]
    phases = _phases(
        reader,
        found.get("phases", usual),
        short_phase if is_short else lambda name: usual_phase(kind, name),
    )
    if kind == CONFIGURATION:
        _nothing_is_compared(reader, [phase for phase, _ in phases])
    gates = list(OF_EMERGENCY if is_short else usual_gates(kind))
    wish = Wish(
        rollout=reader.text("rollout", found.get("rollout")),
        candidate=Version(
            reader.text("release", found.get("release")), reader.text("commit", found.get("commit"))
        ),
        fallback=Version(
            reader.text("fallback", found.get("fallback")),
            reader.text("fallback_commit", found.get("fallback_commit")),
        ),
        kind=kind,
        tests=_accounts(reader, "test_accounts", found.get("test_accounts", [])),
        phases=tuple(phase for phase, _ in phases),
        caps=tuple(cap for _, cap in phases),
        freezes=_freezes(reader, found.get("freezes", [])),
        gates=_names(reader, "gates", found.get("gates", gates)),
        approvals=reader.number("approvals", found.get("approvals", 0), 0, 9),
        older=_older(reader, found.get("older", [])),
        auto_advance=reader.flag("auto_advance", found.get("auto_advance", False)),
        minute_ns=reader.duration("minute", found.get("minute", "60s")) or 1,
        in_production=reader.flag("production", found.get("production", True)),
        is_harmless=reader.flag("harmless", found.get("harmless", False)),
    )
    return Problems(tuple(reader.wrong)) if reader.wrong else wish


def _accounts(reader: _Reader, where: str, raw: object) -> tuple[int, ...]:
    items = reader.items(where, raw)
    return tuple(
        reader.number(f"{where}[{at}]", one, 1, (1 << 63) - 1) for at, one in enumerate(items)
    )


def _names(
    reader: _Reader, where: str, raw: object, known: tuple[str, ...] = ()
) -> tuple[str, ...]:
    items = enumerate(reader.items(where, raw))
    if known:
        return tuple(reader.one_of(f"{where}[{at}]", one, known) for at, one in items)
    return tuple(reader.text(f"{where}[{at}]", one) for at, one in items)


def _older(reader: _Reader, raw: object) -> tuple[Version, ...]:
    found = []
    for at, item in enumerate(reader.items("older", raw)):
        one = reader.table(f"older[{at}]", item)
        reader.keys(f"older[{at}].", one, ("release", "commit"))
        found.append(
            Version(
                reader.text(f"older[{at}].release", one.get("release")),
                reader.text(f"older[{at}].commit", one.get("commit")),
            )
        )
    return tuple(found)


def _freezes(reader: _Reader, raw: object) -> tuple[Freeze, ...]:
    found = []
    for at, item in enumerate(reader.items("freezes", raw)):
        one, here = reader.table(f"freezes[{at}]", item), f"freezes[{at}]."
        reader.keys(here, one, _FREEZE_KEYS)
        begin = reader.instant(f"{here}begin", one.get("begin"))
        end = reader.instant(f"{here}end", one.get("end"))
        if end < begin:
            reader.refuse(f"{here}end", one.get("end"), "an instant after its begin")
        forbids = one.get("forbids", list(freeze.FORBIDDEN))
        found.append(
            Freeze(
                begin=begin,
                end=end,
                forbids=_names(reader, f"{here}forbids", forbids, freeze.FORBIDDEN),
                reason=reader.text(f"{here}reason", one.get("reason")),
                accounts=_accounts(reader, f"{here}accounts", one.get("accounts", [])),
                counts=reader.flag(f"{here}counts", one.get("counts", True)),
            )
        )
    return tuple(found)


def _phases(reader: _Reader, raw: object, usual: Callable[[str], Phase]) -> list[tuple[Phase, int]]:
    found: list[tuple[Phase, int]] = []
    for at, item in enumerate(reader.items("phases", raw)):
        one, here = reader.table(f"phases[{at}]", item), f"phases[{at}]."
        reader.keys(here, one, _PHASE_KEYS)
        name = one.get("name")
        if name not in (SHADOW, CANARY, WATCH):
            # A phase between them is named by its percentage; YAML reads 10 as a number.
            number = int(name) if isinstance(name, str) and name.isdigit() else name
            name = str(reader.number(f"{here}name (a percentage)", number, 1, 100))
        found.append((_phase(reader, here, one, usual(name)), _cap(reader, here, one, name)))
    _in_order(reader, tuple(phase for phase, _ in found))
    return found


def _nothing_is_compared(reader: _Reader, phases: list[Phase]) -> None:
    """Refuse what a second release beside would show: a configuration would wait for ever."""
    why = "where a configuration goes alone (nothing is compared: plan it by a file of its own)"
    for at, phase in enumerate(phases):
        here = f"phases[{at}]."
        if phase.gates:
            reader.refuse(f"{here}gates", ", ".join(phase.gates), f"none {why}")
        if phase.dwell.events:
            reader.refuse(f"{here}events", phase.dwell.events, f"0 {why}")
        unseen = [one for one in phase.situations if one not in OF_CALENDAR]
        if unseen:
            allowed = f"{', '.join(OF_CALENDAR)} {why}"
            reader.refuse(f"{here}situations", ", ".join(unseen), allowed)


def _cap(reader: _Reader, here: str, one: Mapping[str, Any], name: str) -> int:
    cap = one.get("risk_cap", _CAPS.get(name, _percent_of(name)))
    return reader.number(f"{here}risk_cap", cap, 0, 100)


def _phase(reader: _Reader, here: str, one: Mapping[str, Any], usual: Phase) -> Phase:
    def time(key: str, default: int) -> int:
        return reader.duration(here + key, one[key]) if key in one else default

    def number(key: str, default: int, most: int) -> int:
        return reader.number(here + key, one.get(key, default), 0, most)

    dwell = Dwell(
        wall_ns=time("wall", usual.dwell.wall_ns),
        open_minutes=number("open_minutes", usual.dwell.open_minutes, 100_000),
        events=number("events", usual.dwell.events, 1_000_000_000),
        longest_ns=time("longest", usual.dwell.longest_ns),
    )
    if dwell.longest_ns < dwell.wall_ns:
        reader.refuse(f"{here}longest", one.get("longest"), "at least as long as wall")
    situations = one.get("situations", list(usual.situations))
    return msgspec.structs.replace(
        usual,
        dwell=dwell,
        situations=_names(reader, f"{here}situations", situations, exposure.SITUATIONS),
        gates=_names(reader, f"{here}gates", one.get("gates", list(usual.gates))),
        approvals=number("approvals", 0, 9),
    )


def _in_order(reader: _Reader, phases: tuple[Phase, ...]) -> None:
    """A plan goes from shadow by the canary and growing percentages to 100, and ends watching."""
    names = [phase.name for phase in phases]
    percents = [phase.percent for phase in phases[2:-1]]
    grows = all(a < b for a, b in itertools.pairwise(percents))
    if names[:2] != [SHADOW, CANARY] or names[-2:] != [ALL, WATCH] or not grows:
        allowed = f"{SHADOW}, {CANARY}, growing percentages, {ALL}, {WATCH}, in this order"
        reader.refuse("phases", ", ".join(names), allowed)

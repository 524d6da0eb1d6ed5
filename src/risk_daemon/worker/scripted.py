"""The scripts of a release's rules as a stream of facts, and what a release decides of it.

The release that holds the accounts plays its own tables, and each of them becomes the facts that
anybody can fold: two releases then decide about the very same records, on an account that exists
at no broker. So every boundary somebody once thought of is looked at before the first account is
given to a candidate, also one that no trader here ever touched. Pure but for its tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from risk_daemon.core.engine import Engine
from risk_daemon.core.events import Entry, Fact
from risk_daemon.core.world import Parser
from risk_daemon.wire.record import FORMAT_VERSION, NAMES, Record, decode, encode
from risk_daemon.worker.boundary import Decided, timeless
from risk_daemon.worker.canonical import BREACH, Decision, canonical
from risk_daemon.worker.script import Script
from risk_daemon.worker.tables import vectors_of

MIRRORED: Final = ", mirrored"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of a script, as a record has it; `at` in ns UTC."""

    seq: int
    at: int
    account: int
    kind: str
    payload: bytes


class Scripted(msgspec.Struct, frozen=True, kw_only=True):
    """One script: whose rule it is of, what it is called, and its facts from the first on."""

    rule: str
    case: str
    lines: tuple[Line, ...]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a release makes of a script. `stands`: the findings that went on at each record (seq).

    `fell` says how it fell over, empty if it did not.
    """

    decisions: tuple[Decision, ...]
    stands: tuple[tuple[str, int], ...]
    fell: str = ""


def scripts(catalog: Mapping[str, Parser]) -> Iterator[Scripted]:
    """Play every vector of every rule, as written and mirrored, and yield its facts."""
    for rule in sorted(catalog):
        for vector in vectors_of(rule):
            yield _played(rule, vector.table, catalog, "")
            yield _played(rule, vector.table, catalog, MIRRORED)


def _played(
    rule: str, vector: Mapping[str, Any], catalog: Mapping[str, Parser], how: str
) -> Scripted:
    script = Script(rule, vector, mirrored=bool(how), catalog=catalog)
    for step in vector["steps"]:
        script.play(step if isinstance(step, str) else next(iter(step)))
    lines = tuple(map(_line, script.stream.entries))
    return Scripted(rule=rule, case=f"{vector['name']}{how}", lines=lines)


def _line(entry: Entry) -> Line:
    fact = entry.fact
    return Line(
        seq=entry.seq,
        at=entry.at,
        account=entry.account,
        kind=NAMES[type(fact)],
        payload=encode(fact),
    )


def decide(catalog: Mapping[str, Parser], script: Scripted) -> Told:
    """Fold a script into an engine of its own; each decision is named with its record.

    A release that falls over has decided nothing, which is looser than anything.
    """
    try:
        return _told(Engine(catalog), script)
    except Exception as error:  # noqa: BLE001 - whatever the other release's facts do to this one
        return Told(decisions=(), stands=(), fell=f"{type(error).__name__}: {error}")


def _told(engine: Engine, script: Scripted) -> Told:
    decided: dict[str, Decision] = {}
    stands: list[tuple[str, int]] = []
    for line in script.lines:
        for one in map(canonical, engine.step(Entry(line.seq, line.at, line.account, _fact(line)))):
            if one is not None:
                name = f"{timeless(one)}@{line.seq}"
                decided[name] = msgspec.structs.replace(one, name=name, seq=line.seq)
        for account in engine.world.accounts.values():
            stands += [(f"{BREACH}:{part}@{line.seq}", line.seq) for part in account.incidents]
    return Told(
        decisions=tuple(decided[name] for name in sorted(decided)),
        stands=tuple(one for one in stands if one[0] not in decided),
    )


def compared(script: Scripted, mine: Told, other: Told) -> tuple[Decided, Decided]:
    """Return what the two are to be compared by, up to the first record on which they differ.

    Who closes earlier finds nothing later: all that comes after a difference follows from it, and
    would make a stricter release look like a looser one. A finding that goes on where the other
    release finds it anew is the stricter of the two.
    """
    ours, theirs = _with_standing(mine, other), _with_standing(other, mine)
    apart = [
        one.seq
        for name, one in (ours | theirs).items()
        if _strength(ours.get(name)) != _strength(theirs.get(name))
    ]
    upto = min(apart, default=script.lines[-1].seq)
    return _upto(script, ours, upto, mine.fell), _upto(script, theirs, upto, other.fell)


def _with_standing(told: Told, beside: Told) -> dict[str, Decision]:
    """Add what the other found anew and goes on here, a rank stricter, with what followed there."""
    goes_on = {name for name, _ in told.stands}
    standing = [one for one in beside.decisions if one.name in goes_on]
    places = {(one.rule, one.seq) for one in standing}
    followed = [
        one for one in beside.decisions if one.field != BREACH and (one.rule, one.seq) in places
    ]
    ranked = [
        msgspec.structs.replace(one, strength=tuple(rank + 1 for rank in one.strength))
        for one in standing
    ]
    return {one.name: one for one in (*followed, *ranked, *told.decisions)}


def _strength(decision: Decision | None) -> tuple[tuple[int, ...], str] | None:
    return None if decision is None else (decision.strength, decision.scope)


def _upto(script: Scripted, decisions: Mapping[str, Decision], seq: int, fell: str) -> Decided:
    return Decided(
        account=0,
        rule=script.rule,
        case=script.case,
        facts_at=0,
        sees=fell,
        decisions=tuple(one for _, one in sorted(decisions.items()) if one.seq <= seq),
    )


def _fact(line: Line) -> Fact:
    record = Record(line.seq, line.at, FORMAT_VERSION, line.kind, line.account, line.payload, 0)
    return decode(record).fact

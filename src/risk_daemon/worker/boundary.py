"""Boundary cases: made by one release, decided by two, on copies of the account.

A near miss and a breach of each rule of an account, with its real limits, in facts that any
release can read. One that trips where it must not, or not where it must, shows before any trader
gets there. Nothing of it reaches the stream or the broker.
"""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.core.engine import Engine
from risk_daemon.core.events import Fact, Pulse
from risk_daemon.rules import CATALOG
from risk_daemon.rules.rehearsal import Moment
from risk_daemon.wire.record import FORMAT_VERSION, NAMES, Record, decode, encode
from risk_daemon.worker.canonical import END, LOCK, Decision, canonical
from risk_daemon.worker.rehearsal import clean, played, staged
from risk_daemon.worker.view import sees

NEAR: Final = "near miss"
OVER: Final = "breach"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of a case, as a record has it; `at` is a new time in ns UTC, 0 for none."""

    kind: str
    payload: bytes
    at: int = 0


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a clean copy of an account, and what it is called.

    `seq` and `at` (ns UTC) are the place in the stream at which it was made; `facts_at` is when
    the account was last told of: two releases are only asked about the same account if it is equal.
    """

    account: int
    rule: str
    case: str
    seq: int
    at: int
    facts_at: int
    steps: tuple[Step, ...]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What a release makes of a case; `sees` is what the rule finds after it, in words."""

    account: int
    rule: str
    case: str
    facts_at: int
    sees: str
    decisions: tuple[Decision, ...]


def cases(engine: Engine, number: int) -> list[Case]:
    """Make the cases of every rule of an account."""
    account = engine.world.accounts[number]
    made: list[Case] = []
    for setting, rule in engine.rules_of(account):
        near, over = CATALOG[setting.rule].rehearsal(rule, engine.world, clean(account))
        made += [
            Case(
                account=number,
                rule=setting.rule,
                case=name,
                seq=engine.world.seq,
                at=engine.world.at,
                facts_at=account.last_fact_at,
                steps=tuple(_step(fact) for fact in facts),
            )
            for name, facts in ((NEAR, near), (OVER, over))
        ]
    return made


def decide(engine: Engine, case: Case) -> Decided:
    """Fold a case into a copy of the account as this release has it; return what it decides."""
    account = engine.world.accounts[case.account]
    stage, _ = staged(engine, account, case.at)
    decided: dict[str, Decision] = {}
    for output in played(stage, [_fact(step) for step in case.steps]):
        one = canonical(output)
        if one is not None:
            name = timeless(one)
            decided.setdefault(name, msgspec.structs.replace(one, name=name, seq=0))
    return Decided(
        account=account.account,
        rule=case.rule,
        case=case.case,
        facts_at=account.last_fact_at,
        sees=sees(stage, account.account, case.rule),
        decisions=tuple(decided[name] for name in sorted(decided)),
    )


def timeless(decision: Decision) -> str:
    """Name a decision without its place in a stream: two releases count their records apart."""
    if decision.field in (LOCK, END):
        return f"{decision.field}:{decision.name.split(':')[1]}"
    return decision.name


def _step(fact: Fact) -> Step:
    if isinstance(fact, Moment):
        return Step(kind=NAMES[Pulse], payload=encode(Pulse()), at=fact.at)
    return Step(kind=NAMES[type(fact)], payload=encode(fact))


def _fact(step: Step) -> Fact:
    if step.at:
        return Moment(at=step.at)
    return decode(Record(0, 0, FORMAT_VERSION, step.kind, 0, step.payload, 0)).fact

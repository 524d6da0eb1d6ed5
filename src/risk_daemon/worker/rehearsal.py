"""`test-rule`: the rule with its real limits, on a copy of the account, twice.

A generated near miss must not trip it, a generated breach must, and the request
it would send is shown. Nothing of it reaches the stream or the broker.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.decision import ENFORCE, Breach, Clear, Several
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import Entry, Fact, Intended, Pulse
from risk_daemon.core.world import Rule, World, decode_account, encode_account
from risk_daemon.rules import CATALOG
from risk_daemon.rules.rehearsal import Moment


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, for one account: `pass`, `fail` or `not configured`."""

    account: int
    result: str
    trips: tuple[str, ...] = ()
    request: str = ""


def rehearse(engine: Engine, number: int, name: str) -> Rehearsed:
    """Drive one rule of one account by a near miss and by a breach."""
    account = engine.world.accounts[number]
    found = [one for one in engine.rules_of(account) if one[0].rule == name]
    if not found:
        return Rehearsed(account=number, result="not configured")
    setting, rule = found[0]
    near, breach = CATALOG[name].rehearsal(rule, engine.world, clean(account))
    quiet, _ = _play(engine, account, rule, near)
    loud, goals = _play(engine, account, rule, breach)
    lines = (f"near miss: {quiet[1]}", f"breach: {loud[1]}")
    # A rule that only tells has to trip as any other, and to ask for nothing is its meaning.
    is_telling = setting.mode != ENFORCE
    passed = not quiet[0] and loud[0] and (bool(goals) or is_telling)
    request = f"none: its mode is {setting.mode}" if is_telling else "; ".join(goals) or "none"
    return Rehearsed(
        account=number, result="pass" if passed else "fail", trips=lines, request=request
    )


def clean(account: Account) -> Account:
    """Copy an account as if nothing had tripped: the figures stay, the latches go.

    What goes is left out of what is copied: a day's fills would cost a holder milliseconds.
    """
    bare = msgspec.structs.replace(
        account,
        locks={},
        incidents={},
        acts={},
        plans={},
        slots={},
        asked={},
        unarmed=[],
        doubts={},
        orders={},
        holdings={},
        booked={},
        ended={},
        shadow=None,
        realized_net=0,
        realized_gross=0,
        ledger=account.ledger or account.balance or 0,
        differs_since=0,
        can_trade=True,
        known=True,
        feed="trusted",
        platform_since=0,
    )
    return decode_account(encode_account(bare))


def staged(engine: Engine, account: Account, at: int) -> tuple[Engine, Account]:
    """Put a clean copy of an account on a stage of its own, at an instant in ns UTC."""
    copy = clean(account)
    world = World(
        seq=engine.world.seq,
        at=at,
        instruments=dict(engine.world.instruments),
        marks=dict(engine.world.marks),
        feeds=dict(engine.world.feeds),
        accounts={copy.account: copy},
    )
    return Engine(engine.catalog, world), copy


def played(stage: Engine, facts: Iterable[Fact]) -> list[Fact]:
    """Fold facts on a stage; return all that was decided."""
    world, outputs = stage.world, list[Fact]()
    for fact in facts:
        if isinstance(fact, Moment):
            entry = Entry(world.seq + 1, fact.at, 0, Pulse())
        else:
            entry = Entry(world.seq + 1, world.at, getattr(fact, "account", 0), fact)
        outputs += stage.step(entry)
    return outputs


def _play(
    engine: Engine, account: Account, rule: Rule, facts: tuple[Fact, ...]
) -> tuple[tuple[bool, str], list[str]]:
    """Fold facts into a copy; tell whether the rule trips, and which goals follow."""
    stage, copy = staged(engine, account, engine.world.at)
    outputs = played(stage, facts)
    goals = [_show(output) for output in outputs if isinstance(output, Intended)]
    finding = rule.check(stage.world, copy)
    match finding:
        case Breach():
            return (True, finding.text), goals
        case Several(breaches=breaches):
            return (True, breaches[0].text), goals
        case Clear():
            return (False, f"{finding.observed} against {finding.limit}: clear"), goals
        case _:
            return (False, f"undecided: {finding.why}"), goals


def _show(intended: Intended) -> str:
    goal = intended.goal
    size = f" to {goal.allowed}" if goal.act == "reduce" else ""
    what = goal.contract if not goal.order else f"order {goal.order}"
    return f"{goal.act} {what}{size}"

"""A decision in the form in which two releases are compared: what it is about, and how strong.

Left out is what protects nobody by itself: wording, figures that prove a finding, epochs, looks.
"""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.core.decision import ALERT, ENFORCE, SHADOW
from risk_daemon.core.events import BreachFound, Fact, Intended, LockEnded, LockPlaced
from risk_daemon.core.lockout import strictness
from risk_daemon.core.session import show_utc
from risk_daemon.core.shadow import part_of

BREACH: Final = "breach"
LOCK: Final = "lock"
GOAL: Final = "goal"
END: Final = "end"
#: A lock without an end outlasts every other.
_NEVER: Final = 1 << 63
_MODES: Final = (SHADOW, ALERT, ENFORCE)
LOOSER: Final = "looser"
STRICTER: Final = "stricter"
SAME: Final = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision. `strength` is compared figure by figure, more protects more.

    `name` is what it is about, the same in two releases (`field:what`); `seq` the record that
    caused it, 0 where the decision does not say; `scope` must be equal where the strength is.
    """

    field: str
    name: str
    rule: str
    seq: int
    strength: tuple[int, ...]
    words: str
    scope: str = ""


def canonical(fact: Fact) -> Decision | None:
    """Take what a worker decides, or has said; None for what is not compared."""
    match fact:
        case BreachFound():
            return _breach(fact)
        case LockPlaced():
            return _lock(fact)
        case LockEnded(lock=lock):
            return Decision(
                field=END, name=f"{END}:{lock}", rule="", seq=0, strength=(), words=f"ends {lock}"
            )
        case Intended() if fact.goal.act != "look":
            return _goal(fact)
        case _:
            return None


def _breach(fact: BreachFound) -> Decision:
    part, seq = part_of(fact.incident, fact.account, fact.rule)
    rank = _MODES.index(fact.mode) if fact.mode in _MODES else len(_MODES)
    return Decision(
        field=BREACH,
        name=f"{BREACH}:{part}",
        rule=fact.rule,
        seq=seq,
        strength=(rank,),
        words=fact.text,
    )


def _lock(fact: LockPlaced) -> Decision:
    part, seq = part_of(fact.incident, fact.account, fact.rule)
    kind = fact.scope.partition(":")[0]
    scoped = kind in ("roots", "except")
    until = f"until {show_utc(fact.until)}" if fact.until else "until it is ended"
    return Decision(
        field=LOCK,
        name=f"{LOCK}:{part}" if seq else f"{LOCK}:{fact.lock}:{fact.began_at}",
        rule=fact.rule,
        seq=seq,
        strength=(strictness(fact.mode), fact.until or _NEVER, 0 if scoped else 1),
        words=f"a {fact.mode} lock {until}" + (f" on {fact.scope}" if scoped else ""),
        scope=fact.scope if scoped else "",
    )


def _goal(fact: Intended) -> Decision:
    goal = fact.goal
    what = f"order {goal.order}" if goal.order else goal.contract
    size = f" to {goal.allowed}" if goal.act in ("reduce", "resize") else ""
    rule = fact.key.split(":")[1] if fact.key.count(":") > 1 else goal.rule
    return Decision(
        field=GOAL,
        name=f"{GOAL}:{what}",
        rule=rule,
        seq=fact.cause_seq,
        strength=(-goal.allowed, int(goal.locked)),
        words=f"{goal.act} {what}{size}",
    )


def way(mine: Decision, other: Decision) -> str:
    """Tell which way mine differs from the other's: anything weaker makes it looser."""
    pairs = list(zip(mine.strength, other.strength, strict=True))
    if any(one < two for one, two in pairs):
        return LOOSER
    if any(one > two for one, two in pairs):
        return STRICTER
    return SAME if mine.scope == other.scope else LOOSER

"""Findings that stand: which rules a record concerns, so that none is asked for nothing.

An account is *calm* when nothing is open at it: no lock, act, goal, doubt or breach, and every
rule was plainly clear. Then a record that changes no aspect of the account that a rule reads
leaves that rule's finding as it was, until the instant the rule waits for. If the rules that do
read what it changed are plainly clear too, all of the decision is known: nothing. Whatever else
they find, everybody is asked as if nobody had been: `check` stores nothing, so asking twice is
harmless.

Rules for editors: what a record can change beyond the aspects of `changed_by` belongs into
`is_still_calm`, and what must be nothing for a decision to be nothing into `is_calm`. The oracle
is the engine that asks always: both must decide the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from risk_daemon.core.account import STOP_TYPES, Account
from risk_daemon.core.decision import NO_PRICE, SHADOW, Clear, Finding, Quiet
from risk_daemon.core.events import (
    AccountSeen,
    Fact,
    MarkChanged,
    OrderChanged,
    PositionChanged,
    PrintSeen,
    RuleSetting,
    TradeSeen,
)
from risk_daemon.core.world import Aspect, Rule, World

#: What the kinds change that leave an account calm; a print may have made a quote believed.
#: At every other kind but an order everybody is asked.
_CHANGES: Final[Mapping[type[Fact], frozenset[Aspect]]] = {
    PositionChanged: frozenset(),
    TradeSeen: frozenset({Aspect.TRADES}),
    AccountSeen: frozenset({Aspect.BALANCE}),
    MarkChanged: frozenset({Aspect.PRICES}),
    PrintSeen: frozenset({Aspect.PRICES}),
}
_ORDERS: Final = frozenset({Aspect.ORDERS})
_STOPS: Final = frozenset({Aspect.ORDERS, Aspect.STOPS})
_OF_A_CONTRACT: Final = (OrderChanged, PositionChanged, TradeSeen)
#: The same, where what is held has changed.
_MOVES: Final = {
    PositionChanged: frozenset({Aspect.POSITIONS}),
    TradeSeen: frozenset({Aspect.TRADES, Aspect.POSITIONS}),
}


class Asked(msgspec.Struct, gc=False):
    """One rule of a calm account: when it wants to be asked again, and its quiet prices.

    `is_reckoned` is false from when it was asked until its prices are needed.
    """

    setting: RuleSetting
    rule: Rule
    wake_at: int
    quiet: Mapping[str, Quiet] | None = NO_PRICE
    is_reckoned: bool = False


class Standing(msgspec.Struct, gc=False):
    """What the rules of one calm account found, and what it looked like then.

    `held`: exposure and epoch per contract; `stops`: orders that were stops once. `readers` is
    filled as changes are met.
    """

    all: list[Asked]
    held: dict[str, tuple[int, int]]
    stops: set[int]
    readers: dict[frozenset[Aspect], list[Asked]] = msgspec.field(default_factory=dict)


def is_calm(account: Account) -> bool:
    """Tell whether nothing is open at an account, whatever its rules find."""
    return not (
        account.locks
        or account.acts
        or account.plans
        or account.slots
        or account.asked
        or account.doubts
        or account.unarmed
        or account.platform_since
        or not account.is_seen
        or (account.shadow is not None and account.shadow.overruled)
        or any(incident.is_open for incident in account.incidents.values())
    ) and is_still_calm(account)


def is_still_calm(account: Account) -> bool:
    """Tell whether a record of one of `_CHANGES` left a calm account calm."""
    return account.can_trade and not account.differs_since and account.pnl_is_known


def is_plain(account: Account, setting: RuleSetting, finding: Clear) -> bool:
    """Tell whether a finding asks for nothing, and goes on to until the rule wakes."""
    if finding.look or finding.is_passing:
        return False
    nearing = finding.nearing
    if nearing is None or setting.mode == SHADOW:
        return True
    return nearing.share <= account.warned.get(setting.rule, 0)


def standing(
    account: Account, rules: Sequence[tuple[RuleSetting, Rule]], findings: Sequence[Finding]
) -> Standing | None:
    """Return what stands after everybody was asked; None if not all of it is clear."""
    if not is_calm(account):
        return None
    found: list[Asked] = []
    for (setting, rule), finding in zip(rules, findings, strict=True):
        if not isinstance(finding, Clear) or not is_plain(account, setting, finding):
            return None
        found.append(Asked(setting, rule, finding.wake_at))
    held = {name: _held(account, name) for name in account.holdings}
    stops = {number for number, order in account.orders.items() if order.type in STOP_TYPES}
    return Standing(found, held, stops)


def _held(account: Account, contract: str) -> tuple[int, int]:
    holding = account.holdings[contract]
    return holding.exposure, holding.epoch


def concerned(one: Standing, account: Account, fact: Fact) -> list[Asked] | None:
    """Return whom a record that was just folded concerns; None for everybody."""
    changed = changed_by(one, account, fact)
    if changed is None or not is_still_calm(account):
        return None
    found = one.readers.get(changed)
    if found is None:
        found = one.readers[changed] = [a for a in one.all if not changed.isdisjoint(a.rule.reads)]
    return found


def changed_by(one: Standing, account: Account, fact: Fact) -> frozenset[Aspect] | None:
    """Return what a record has changed; None where it may be anything.

    A contract that is new to the account is news to everybody.
    """
    if not isinstance(fact, _OF_A_CONTRACT):
        return _CHANGES.get(type(fact))
    before = one.held.get(fact.contract)
    if before is None:
        return None
    if isinstance(fact, OrderChanged):
        if fact.type in STOP_TYPES:
            one.stops.add(fact.order)
        return _STOPS if fact.order in one.stops else _ORDERS
    now = _held(account, fact.contract)
    if now == before:
        return _CHANGES[type(fact)]
    one.held[fact.contract] = now
    return _MOVES[type(fact)]


def ask(world: World, account: Account, asked: list[Asked]) -> list[Clear] | None:
    """Return what some rules find, if it is plainly nothing; else None."""
    found: list[Clear] = []
    for one in asked:
        try:
            finding = one.rule.check(world, account)
        except Exception:  # noqa: BLE001 - everybody is asked, and it is told there
            return None
        if not isinstance(finding, Clear) or not is_plain(account, one.setting, finding):
            return None
        found.append(finding)
    return found


def keep(account: Account, asked: list[Asked], found: list[Clear]) -> bool:
    """Remember what some rules found; tell whether one of them waits for another instant now."""
    wakes = False
    for one, finding in zip(asked, found, strict=True):
        if finding.memory is not None:
            account.memory[one.rule.name] = finding.memory
        wakes = wakes or finding.wake_at != one.wake_at
        one.wake_at, one.is_reckoned = finding.wake_at, False
    return wakes


def wake_at(one: Standing, account: Account, at: int) -> int:
    """Return what a calm account waits for: the reset, and the instants of its rules."""
    waits = [asked.wake_at for asked in one.all]
    waits.append(account.next_reset)
    return min([instant for instant in waits if instant > at], default=0)


def quiet_of(one: Asked, world: World, account: Account) -> Mapping[str, Quiet] | None:
    """Return the quiet prices of a rule, reckoned once as long as its finding stands."""
    if not one.is_reckoned:
        try:
            one.quiet = one.rule.quiet(world, account)
        except Exception:  # noqa: BLE001 - what cannot be said is asked; `check` tells why
            one.quiet = NO_PRICE
        one.is_reckoned = True
    return one.quiet


def is_as_quiet(one: Standing, world: World, account: Account) -> bool:
    """Tell whether all rules name the prices that they did before some of them were asked."""
    for asked in one.all:
        before = asked.quiet
        if before is NO_PRICE or quiet_of(asked, world, account) != before:
            return False
    return True

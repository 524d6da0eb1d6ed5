"""`kill-switch`: a person's order stands above every limit.

An operator's act asks for `flatten-lock` (flat now, nothing new), `reduce-only`
or `cancel-only` (nothing new). The strictest act in force counts; each ends at
its own time, or when an admin ends it, and a repeated act adds no order.

Source: docs/rules/kill-switch.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.decision import (
    ANY_PRICE,
    FULL,
    NO_NEW_ENTRY,
    REDUCE_ONLY,
    Breach,
    Clear,
    Finding,
    LockWish,
    Quiet,
    Remedy,
)
from risk_daemon.core.events import Fact, OperatorActed
from risk_daemon.core.lockout import strictness
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.parameters import Reader, RuleKind

NAME: Final = "kill-switch"
LOCK_OF_ACT: Final = {
    "flatten-lock": FULL,
    "reduce-only": REDUCE_ONLY,
    "cancel-only": NO_NEW_ENTRY,
}


def lock_of(act: str) -> str:
    """Return the lock mode of an act; one this release does not know is the strictest."""
    return LOCK_OF_ACT.get(act, FULL)


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """No parameters: it does what a person said."""

    name: str = NAME
    priority: int = 0
    reads: ClassVar[frozenset[Aspect]] = frozenset()

    def check(self, world: World, account: Account) -> Finding:
        """Return the strictest act in force."""
        del world
        if not account.acts:
            return Clear()
        act = max(account.acts.values(), key=_rank)
        mode = lock_of(act.act)
        full = mode == FULL
        return Breach(
            observed=act.act,
            limit="",
            text=f"{act.by} ordered {act.act}: {act.reason}",
            remedy=Remedy(
                flatten=full,
                cancel="all" if full else "increasing",
                lock=LockWish(mode, act.until, name=f"{NAME}:{act.act_id}"),
            ),
            part=act.act_id,
        )

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """No price takes part."""
        del world, account
        return ANY_PRICE


def _rank(act: OperatorActed) -> tuple[int, bool, int, str]:
    """Order acts: strictest last; of equals the one that ends later."""
    return (strictness(lock_of(act.act)), act.until is None, act.until or 0, act.act_id)


def _rehearsal(
    rule: Rule, world: World, account: Account
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    del rule
    held = rehearsal.opened(world, account, 1)
    act = OperatorActed(
        account=account.account, act="flatten-lock", by="test-rule", reason="rehearsal", act_id="t"
    )
    return held, (*held, act)


def _build(reader: Reader) -> KillSwitch:
    del reader
    return KillSwitch()


KIND: Final = RuleKind(
    name=NAME,
    summary="A person's order flattens, reduces or stops an account, whatever the limits say.",
    parameters={},
    build=_build,
    rehearsal=_rehearsal,
    common=(),
)

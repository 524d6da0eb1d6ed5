"""What people and rollouts ask of copies of the accounts, a piece between two records.

The rules of one account take a millisecond, those of a thousand take seconds: asked in one go, or
five hundred at once, they kept a worker from its heartbeat until it was taken for dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import PolicyAdopted
from risk_daemon.errors import NotFound
from risk_daemon.worker import boundary
from risk_daemon.worker.rehearsal import rehearse
from risk_daemon.worker.trying import tripped


def guarded(engine: Engine, number: int) -> Account:
    """Return an account that is folded and has a policy; NotFound otherwise."""
    found = engine.world.accounts.get(number)
    if found is None or found.policy is None:
        known = ", ".join(str(n) for n in sorted(engine.world.accounts)) or "none"
        raise NotFound(f"account {number} is not guarded here; guarded: {known}")
    return found


class Questions:
    """Answers what is tried on copies; whoever asks meanwhile has every other turn."""

    def __init__(self, engine: Engine, release: str) -> None:
        self._engine, self._release = engine, release
        self._turn = asyncio.Lock()

    async def _piece[T](self, ask: Callable[[], T]) -> T:
        """Ask for one thing, once what came first, and what is more urgent, is done."""
        async with self._turn:
            await asyncio.sleep(0)
            return ask()

    async def op_test_rule(self, args: dict[str, Any]) -> dict[str, Any]:
        """Rehearse a rule, or "all", on every account (or one)."""
        engine, rule = self._engine, str(args.get("rule", ""))
        if rule not in (*engine.catalog, "all"):
            raise NotFound(f"there is no rule {rule!r}; rules: {', '.join(engine.catalog)}")
        numbers = sorted(n for n, a in engine.world.accounts.items() if a.policy)
        if args.get("account"):
            numbers = [guarded(engine, int(args["account"])).account]
        rows = [
            row
            for number in numbers
            for row in await self._rehearsed(
                number, list(engine.catalog) if rule == "all" else [rule]
            )
        ]
        return {"accounts": rows, "release": self._release}

    async def _rehearsed(self, number: int, rules: list[str]) -> list[dict[str, Any]]:
        def rehearsed() -> list[dict[str, Any]]:
            return [
                {"rule": one, **msgspec.to_builtins(rehearse(self._engine, number, one))}
                for one in rules
            ]

        return await self._piece(rehearsed)

    async def op_try_policies(self, args: dict[str, Any]) -> dict[str, Any]:
        """Tell what policies would find at once, of the accounts that are guarded here."""
        policies = msgspec.convert(args["policies"], list[PolicyAdopted])
        known = self._engine.world.accounts
        trips = {
            str(one.account): await self._tripped(one) for one in policies if one.account in known
        }
        return {"trips": trips, "release": self._release}

    async def _tripped(self, policy: PolicyAdopted) -> Any:
        return await self._piece(lambda: tripped(self._engine, policy))

    async def op_boundary(self, args: dict[str, Any]) -> dict[str, Any]:
        """Make the boundary cases of one account: a near miss and a breach of each of its rules."""
        number = guarded(self._engine, int(args["account"])).account
        cases = await self._piece(lambda: boundary.cases(self._engine, number))
        return {"cases": [msgspec.to_builtins(case) for case in cases], "release": self._release}

    async def op_decide(self, args: dict[str, Any]) -> dict[str, Any]:
        """Tell what this release decides of cases that any release made, on copies."""
        cases = msgspec.convert(args["cases"], list[boundary.Case])
        decided = [await self._decided(case) for case in cases]
        return {"decided": [msgspec.to_builtins(one) for one in decided], "release": self._release}

    async def _decided(self, case: boundary.Case) -> boundary.Decided:
        guarded(self._engine, case.account)
        return await self._piece(lambda: boundary.decide(self._engine, case))

"""`max-contracts-per-instrument`: the size an account may hold of one product.

Expiries of a root count together. What is above a root's limit is reduced by
the excess and no more, orders that could reach above it are cancelled, and
other roots are left alone. How it measures and reduces is `max-contracts`.

Source: docs/rules/max-contracts-per-instrument.md.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.decision import ANY_PRICE, Breach, Clear, Finding, Quiet, Several, Undecided
from risk_daemon.core.events import Fact
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.max_contracts import MaxContracts
from risk_daemon.rules.parameters import ParameterError, Reader, RuleKind
from risk_daemon.rules.products import ALIASES, ROOTS

NAME: Final = "max-contracts-per-instrument"


class MaxContractsPerInstrument(msgspec.Struct, frozen=True, kw_only=True):
    """A size rule per root, and one for roots that are not listed, None for no limit."""

    limits: dict[str, MaxContracts]
    unlisted: MaxContracts | None = None
    name: str = NAME
    priority: int = 40
    reads: ClassVar[frozenset[Aspect]] = MaxContracts.reads

    def check(self, world: World, account: Account) -> Finding:
        """Compare each root the account holds or has orders in with its limit."""
        orders = account.orders.values()
        roots: dict[str, list[str]] = {}
        for name in sorted({*account.holdings, *[order.contract for order in orders]}):
            grid = world.instruments.get(name)
            if grid is not None:
                roots.setdefault(grid.root, []).append(name)
            elif not account.holding(name).is_flat:
                return Undecided(why=f"no contract data for {name}: its root is unknown")
        breaches: list[Breach] = []
        clears: list[Clear] = []
        for root in sorted(roots):
            rule = self.limits.get(root, self.unlisted)
            if rule is None:
                continue
            names = roots[root]
            held = [name for name in names if name in account.holdings]
            mine = [order for order in orders if order.contract in names]
            finding = rule.judge(world, account, held, mine)
            if isinstance(finding, Breach):
                breaches.append(_of_root(finding, root, names))
                continue
            assert isinstance(finding, Clear)  # what has a root has contract data
            clears.append(finding)
        if breaches:
            return Several(breaches=tuple(breaches))
        return max(clears, key=_used) if clears else Clear()

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """No price takes part."""
        del world, account
        return ANY_PRICE


def _used(clear: Clear) -> int:
    return clear.used or 0


def _of_root(breach: Breach, root: str, names: list[str]) -> Breach:
    return msgspec.structs.replace(
        breach,
        text=f"{root}: {breach.text}",
        part=f"{root} {breach.part}".strip(),
        remedy=msgspec.structs.replace(breach.remedy, within=tuple(names)),
    )


def _rehearsal(
    rule: Rule, world: World, account: Account
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    assert isinstance(rule, MaxContractsPerInstrument)
    root = min(rule.limits)
    limit = rule.limits[root].limit // UNIT
    shown = rehearsal.of_root(root)
    near = rehearsal.opened(world, account, limit, shown=shown) if limit else ()
    return near, rehearsal.opened(world, account, limit + 1, shown=shown)


def _build(reader: Reader) -> MaxContractsPerInstrument:
    basis = reader.choice("basis", ("gross", "net"), "gross")
    working_orders = reader.choice("include_working", ("off", "cancel", "count"), "cancel")
    action = reader.choice("action", ("reduce", "flatten-contract", "flatten-all"), "reduce")

    def of(size: int) -> MaxContracts:
        return MaxContracts(
            limit=size * UNIT, basis=basis, include_working=working_orders, action=action
        )

    limits = {_root(root, size): of(size) for root, size in reader.sizes("limits").items()}
    unlisted = None
    if reader.has("unlisted") and not reader.is_word("unlisted", "unlimited"):
        zero = reader.is_word("unlisted", "zero")
        unlisted = of(0 if zero else reader.whole("unlisted"))
    return MaxContractsPerInstrument(limits=limits, unlisted=unlisted)


def _root(name: str, size: int) -> str:
    root = ALIASES.get(name, name)
    if root in ROOTS:
        return root
    near = difflib.get_close_matches(name, ROOTS, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ParameterError(f"limits.{name}", size, f"a limit of a root such as ES, MNQ or CL{hint}")


KIND: Final = RuleKind(
    name=NAME,
    summary="What is held of one product above its limit is reduced by the excess.",
    parameters={
        "limits": "a table of contracts by root, such as {MNQ: 5, ES: 2} (required)",
        "unlisted": "what other roots may hold: unlimited, zero or a number (default unlimited)",
        "basis": "gross or net across the expiries of a root (default gross)",
        "include_working": "off, cancel or count (default cancel)",
        "action": "reduce, flatten-contract or flatten-all (default reduce)",
    },
    build=_build,
    rehearsal=_rehearsal,
    defaults={
        "unlisted": "unlimited",
        "basis": "gross",
        "include_working": "cancel",
        "action": "reduce",
    },
    tighter={"basis": ("net", "gross"), "include_working": ("off", "count", "cancel")},
    common=("warn_at", "on_repeat", "schedule", "reason_text"),
)

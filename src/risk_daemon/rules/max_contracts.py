"""`max-contracts`: the total size an account may hold.

Exposure above the limit is reduced by the excess and no more, beginning with
what was increased last. Equality is allowed. Working orders whose fills could
raise the exposure above the limit are cancelled, newest first, before any
position is touched.

Source: docs/rules/max-contracts.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

import msgspec

from risk_daemon.core.account import (
    MARKET,
    SUSPENDED,
    Account,
    is_increasing,
    remaining,
    unrealized,
)
from risk_daemon.core.decision import (
    ANY_PRICE,
    REDUCE_ONLY,
    Breach,
    Clear,
    Finding,
    LockWish,
    Quiet,
    Remedy,
    Undecided,
)
from risk_daemon.core.events import Fact, OrderChanged
from risk_daemon.core.instrument import UNIT, divide, show
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.parameters import LOWER, Reader, RuleKind
from risk_daemon.rules.weights import family_of, mini_weight

NAME: Final = "max-contracts"


class MaxContracts(msgspec.Struct, frozen=True, kw_only=True):
    """Limit and weights in units of 1e-9 contracts; a lock after `trips` findings of a day."""

    limit: int
    basis: str = "gross"
    unit: str = "contracts"
    include_working: str = "cancel"
    action: str = "reduce"
    reduce_order: str = "lifo"
    lock_trips: int = 0
    lock_for: int = 0
    name: str = NAME
    priority: int = 40
    reads: ClassVar[frozenset[Aspect]] = frozenset({Aspect.ORDERS, Aspect.POSITIONS})

    def check(self, world: World, account: Account) -> Finding:
        """Compare exposure, then the worst case of working orders, with the limit."""
        return self.judge(world, account, account.holdings, account.orders.values())

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """No price takes part."""
        del world, account
        return ANY_PRICE

    def judge(
        self,
        world: World,
        account: Account,
        contracts: Iterable[str],
        orders: Iterable[OrderChanged],
    ) -> Finding:
        """Compare what some contracts and orders amount to with the limit."""
        sizes = {name: account.holdings[name].exposure for name in contracts}
        held: dict[str, int] = {}
        missing: list[str] = []
        for name, size in sizes.items():
            weight = self._weight(world, name)
            if weight is None:
                missing.append(name)
            else:
                held[name] = size * weight
        if missing and any(sizes[name] for name in missing):
            named = ", ".join(sorted(missing))
            return Undecided(why=f"no contract data for {named}: its weight is unknown")
        exposure = self._measure(world, held)
        if exposure > self.limit:
            return self._over(world, account, held, exposure)
        return self._worst_case(world, sizes, held, exposure, orders)

    # --- measuring ---

    def _weight(self, world: World, contract: str) -> int | None:
        if self.unit == "contracts":
            return UNIT
        grid = world.instruments.get(contract)
        return None if grid is None else mini_weight(grid.root)

    def _measure(self, world: World, held: dict[str, int]) -> int:
        if self.basis == "gross":
            return sum(map(abs, held.values()))
        if self.basis == "net":
            return abs(sum(held.values()))
        families: dict[str, int] = {}
        for name, size in held.items():
            grid = world.instruments.get(name)
            family = family_of(grid.root) if grid else name
            families[family] = families.get(family, 0) + size
        return sum(abs(size) for size in families.values())

    # --- over the limit ---

    def _over(self, world: World, account: Account, held: dict[str, int], exposure: int) -> Breach:
        observed, limit = show(exposure, 0), show(self.limit, 0)
        remedy = self._remedy(world, account, held)
        return Breach(
            observed=observed,
            limit=limit,
            text=f"holds {observed} {self.unit} ({self.basis}), the limit is {limit}",
            remedy=msgspec.structs.replace(remedy, lock=self._lock(world, account)),
        )

    def _lock(self, world: World, account: Account) -> LockWish | None:
        if not self.lock_trips or account.trips.get(NAME, 0) + 1 < self.lock_trips:
            return None
        return LockWish(REDUCE_ONLY, world.at + self.lock_for)

    def _remedy(self, world: World, account: Account, held: dict[str, int]) -> Remedy:
        if self.action == "flatten-all":
            return Remedy(flatten=True, cancel="increasing")
        order = self._order(world, account, held)
        if self.action == "flatten-contract":
            return Remedy(allowed=((order[0], 0),), cancel="increasing")
        return Remedy(allowed=self._caps(world, held, order), cancel="increasing")

    def _order(self, world: World, account: Account, held: dict[str, int]) -> list[str]:
        """Return the held contracts, first to be reduced first."""
        names = [name for name in sorted(held) if held[name]]
        holdings = account.holdings

        def loss(name: str) -> int:
            found = unrealized(holdings[name], world.marks.get(name), world.instruments.get(name))
            return found if found is not None else 0

        if self.reduce_order == "largest":
            return sorted(names, key=lambda name: (-abs(held[name]), name))
        if self.reduce_order == "worst-pnl":
            return sorted(names, key=lambda name: (loss(name), name))
        return sorted(names, key=lambda name: (-holdings[name].last_increase, name))

    def _caps(
        self, world: World, held: dict[str, int], order: Iterable[str]
    ) -> tuple[tuple[str, int], ...]:
        """Take the excess off contract by contract; leave a hedge whose closing would not help."""
        left, caps = dict(held), []
        for name in order:
            weight = self._weight(world, name) or UNIT
            size = abs(divide(left[name], weight))
            excess = self._measure(world, left) - self.limit
            remains = size - min(size, -(-excess // weight))
            trial = {**left, name: left[name] // size * remains}
            if self._measure(world, trial) < self._measure(world, left):
                left = trial
                caps.append((name, remains))
        return tuple(sorted(caps))

    # --- working orders ---

    def _worst_case(
        self,
        world: World,
        sizes: dict[str, int],
        held: dict[str, int],
        exposure: int,
        working: Iterable[OrderChanged],
    ) -> Finding:
        used = exposure * UNIT // self.limit if self.limit else None
        clear = Clear(figure=exposure, bound=self.limit, places=0, used=used)
        if self.include_working == "off":
            return clear
        orders = [order for order in working if _counts(order, sizes.get(order.contract, 0))]
        if not orders or self._reach(world, sizes, held, orders) <= self.limit:
            return clear
        limit = show(self.limit, 0)
        reach = show(self._reach(world, sizes, held, orders), 0)
        if self.include_working == "count":
            text = f"working orders could reach {reach}, the limit is {limit}"
            return Breach(observed=reach, limit=limit, text=text, remedy=Remedy(), part="working")
        doomed: list[int] = []
        while orders and self._reach(world, sizes, held, orders) > self.limit:
            newest = max(orders, key=lambda order: (order.created, order.order))
            orders.remove(newest)
            doomed.append(newest.order)
        return Breach(
            observed=reach,
            limit=limit,
            text=f"working orders could reach {reach}, the limit is {limit}: newest cancelled",
            remedy=Remedy(cancel_orders=tuple(sorted(doomed))),
            part="working",
        )

    def _reach(
        self, world: World, sizes: dict[str, int], held: dict[str, int], orders: list[OrderChanged]
    ) -> int:
        """Return the exposure if, per contract, the worse side of its orders filled."""
        worst = dict(held)
        for name, mine in _by_contract(orders).items():
            quantity = sizes.get(name, 0)
            long = quantity + _side_total(mine, 1)
            short = quantity - _side_total(mine, -1)
            worst[name] = max(long, short, key=abs) * (self._weight(world, name) or UNIT)
        return self._measure(world, worst)


def _counts(order: OrderChanged, quantity: int) -> bool:
    """Leave out what protects, what waits for its parent, and what fills at once."""
    if order.status == SUSPENDED or order.type == MARKET:
        return False
    return is_increasing(order, quantity)


def _by_contract(orders: Iterable[OrderChanged]) -> dict[str, list[OrderChanged]]:
    found: dict[str, list[OrderChanged]] = {}
    for order in orders:
        found.setdefault(order.contract, []).append(order)
    return found


def _side_total(orders: list[OrderChanged], side: int) -> int:
    """Add up one side; of an OCO pair only the larger leg can fill."""
    pairs: dict[int, int] = {}
    for order in orders:
        if order.side != side:
            continue
        group = min(order.order, order.linked or order.order)
        pairs[group] = max(pairs.get(group, 0), remaining(order))
    return sum(pairs.values())


def _rehearsal(
    rule: Rule, world: World, account: Account
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    assert isinstance(rule, MaxContracts)
    weight = UNIT if rule.unit == "contracts" else mini_weight(rehearsal.root(world))
    most = rule.limit // weight
    near = rehearsal.opened(world, account, most) if most else ()
    return near, rehearsal.opened(world, account, most + 1)


def _build(reader: Reader) -> MaxContracts:
    lock = reader.table(
        "lock",
        {"trips": "a whole number of at least 1", "lock": 'a duration such as "15m"'},
    )
    return MaxContracts(
        limit=reader.money("limit"),
        basis=reader.choice("basis", ("gross", "net-family", "net"), "gross"),
        unit=reader.choice("unit", ("contracts", "mini-equivalents"), "contracts"),
        include_working=reader.choice("include_working", ("off", "cancel", "count"), "cancel"),
        action=reader.choice("action", ("reduce", "flatten-contract", "flatten-all"), "reduce"),
        reduce_order=reader.choice("reduce_order", ("lifo", "largest", "worst-pnl"), "lifo"),
        lock_trips=lock.whole("trips", at_least=1) if lock else 0,
        lock_for=lock.duration("lock") if lock else 0,
    )


KIND: Final = RuleKind(
    name=NAME,
    summary="Exposure above the limit is reduced by the excess, last increased first.",
    parameters={
        "limit": 'contracts, 0 or more; text for fractions, e.g. 5 or "2.5" (required)',
        "basis": "gross, net-family or net (default gross)",
        "unit": "contracts or mini-equivalents (default contracts)",
        "include_working": "off, cancel or count (default cancel)",
        "action": "reduce, flatten-contract or flatten-all (default reduce)",
        "reduce_order": "lifo, largest or worst-pnl (default lifo)",
        "lock": 'a table {trips: 3, lock: "15m"} (default none)',
    },
    build=_build,
    rehearsal=_rehearsal,
    defaults={
        "basis": "gross",
        "unit": "contracts",
        "include_working": "cancel",
        "action": "reduce",
        "reduce_order": "lifo",
        "lock": None,
    },
    tighter={
        "limit": LOWER,
        "basis": ("net", "net-family", "gross"),
        "action": ("reduce", "flatten-contract", "flatten-all"),
    },
    common=("warn_at", "on_repeat", "schedule", "reason_text"),
)

"""`no-stop-loss-grace`: a position without a protective stop is closed after a grace.

A stop protects when it is on the closing side, alive at the broker, and on the
loss side of the present market, wherever the entry was. What no stop covers
has `grace` from the moment it was first uncovered, `replace_grace` where a stop
was taken away. Before the position is closed the account is read once: a stop
placed elsewhere may be missing from the stream.

Source: docs/rules/no-stop-loss-grace.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from risk_daemon.core import session
from risk_daemon.core.account import (
    PENDING,
    PENDING_CANCELLATION,
    STOP,
    STOP_LIMIT,
    TRAILING_STOP,
    WORKING,
    Account,
    exit_price,
    is_closing,
    remaining,
)
from risk_daemon.core.decision import (
    NO_PRICE,
    REDUCE_ONLY,
    Breach,
    Clear,
    Finding,
    LockWish,
    Memory,
    Quiet,
    Remedy,
    Several,
    Undecided,
)
from risk_daemon.core.events import Fact, OrderChanged
from risk_daemon.core.instrument import UNIT, Instrument, ticks_between
from risk_daemon.core.position import Holding
from risk_daemon.core.quiet import narrower
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.parameters import LOWER, Reader, RuleKind

NAME: Final = "no-stop-loss-grace"
CLOSE, CLOSE_UNCOVERED = "close", "close-uncovered"
ALIVE: Final = frozenset({WORKING, PENDING, PENDING_CANCELLATION})
#: How long an expired grace waits for the read before it acts without one.
READ_WAIT: Final = 1_000_000_000


class NoStopLossGrace(msgspec.Struct, frozen=True, kw_only=True):
    """Graces in ns; `max_distance` in ticks from the market, 0 for any; a lock after `trips`."""

    grace: int
    replace_grace: int
    accept_stop_limit: bool = False
    max_distance: int = 0
    action: str = CLOSE
    lock_trips: int = 0
    lock_for: int = 0
    name: str = NAME
    priority: int = 50
    reads: ClassVar[frozenset[Aspect]] = frozenset({Aspect.STOPS, Aspect.POSITIONS, Aspect.PRICES})

    def check(self, world: World, account: Account) -> Finding:
        """Count what no stop covers, per contract, and how long that has been so."""
        before = account.memory.get(NAME, {})
        after: Memory = {}
        breaches: list[Breach] = []
        look = ""
        is_passing = False
        naked = 0
        waits: list[int] = []
        for name in sorted(account.holdings):
            held = account.holdings[name]
            if held.is_flat:
                continue
            covered = self._covered(world, account, held)
            if covered is None:
                return Undecided(why=f"{name} has a stop and no believable mark to judge it by")
            lots = self._lots(world, held, covered, before)
            after.update(_written(held, covered, lots))
            if not lots:
                continue
            late = sum(size for due, size in lots if due <= world.at)
            naked += sum(size for _, size in lots)
            waits += [instant for due, _ in lots for instant in (due, due + READ_WAIT)]
            if not late:
                continue
            due = min(due for due, _ in lots)
            if not session.is_open(account.calendar, world.at):
                waits.append(session.next_start(account.calendar, world.at))
            elif account.read_began < due and world.at < due + READ_WAIT:
                is_passing = True  # if the exchange closes first, the read is asked for again
                asked = before.get(f"{name} read", 0)
                after[f"{name} read"] = due
                look = look or ("" if asked == due else name)
            else:
                breaches.append(self._breach(world, account, held, late))
        memory = after if after != before else None
        wake_at = min((instant for instant in waits if instant > world.at), default=0)
        if breaches:
            return Several(breaches=tuple(breaches), memory=memory, wake_at=wake_at)
        return Clear(
            figure=naked * UNIT,
            bound=0,
            places=0,
            memory=memory,
            wake_at=wake_at,
            look=look,
            is_passing=is_passing,
        )

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """Say between which prices every stop keeps its side of the market."""
        finding = self.check(world, account)
        if not isinstance(finding, Clear) or finding.memory is not None or finding.is_passing:
            return NO_PRICE
        found: dict[str, Quiet] = {}
        for order in account.orders.values():
            held = account.holding(order.contract)
            if order.status not in ALIVE or not is_closing(order, held.exposure):
                continue
            if order.stop_price is None or not self._is_stop(order):
                continue
            if self.max_distance:
                return NO_PRICE  # the distance is a second boundary; such stops are rare
            price = exit_price(world.marks.get(held.contract), held.exposure)
            assert price is not None  # without one it would be undecided
            mine = self._side_of(order.side, order.stop_price, price)
            found[held.contract] = narrower(found.get(held.contract, Quiet()), mine)
        return found

    @staticmethod
    def _side_of(side: int, stop: int, price: int) -> Quiet:
        """Return the prices on this side of a stop, which itself belongs to those beyond it."""
        if side == -1:
            return Quiet(low=stop + 1) if price > stop else Quiet(high=stop)
        return Quiet(high=stop - 1) if price < stop else Quiet(low=stop)

    def _covered(self, world: World, account: Account, held: Holding) -> int | None:
        """Return how much living stops protect; None when they cannot be judged."""
        name, size = held.contract, held.exposure
        stops = [
            order
            for order in account.orders.values()
            if order.contract == name
            and is_closing(order, size)
            and order.status in ALIVE
            and self._is_stop(order)
        ]
        if not stops:
            return 0
        price, grid = exit_price(world.marks.get(name), size), world.instruments.get(name)
        if price is None or grid is None:
            return None
        return sum([remaining(stop) for stop in stops if self._protects(stop, price, grid)])

    def _protects(self, order: OrderChanged, price: int, grid: Instrument) -> bool:
        """Tell whether a stop is on the loss side of the market, and near enough."""
        stop = order.stop_price
        if stop is None:
            return True  # a trailing stop whose price is not shown follows the market
        far = self.max_distance and ticks_between(grid, price, stop) > self.max_distance
        return (price - stop) * order.side < 0 and not far

    def _is_stop(self, order: OrderChanged) -> bool:
        return order.type in (STOP, TRAILING_STOP) or (
            order.type == STOP_LIMIT and self.accept_stop_limit
        )

    def _lots(
        self, world: World, held: Holding, covered: int, before: Memory
    ) -> list[tuple[int, int]]:
        """Return what is uncovered as (deadline, size), oldest first.

        A stop covers the oldest first; what is newly uncovered begins its own grace.
        """
        name, size = held.contract, abs(held.exposure)
        uncovered = max(size - covered, 0)
        lots = []
        if before.get(f"{name} epoch", -1) == held.epoch:
            due = f"{name} due "
            lots = sorted(
                [(int(key[len(due) :]), n) for key, n in before.items() if key.startswith(due)]
            )
        known = sum([count for _, count in lots])
        if uncovered > known:
            removed = bool(lots or before.get(f"{name} covered")) and size <= before.get(
                f"{name} size", 0
            )
            grace = self.replace_grace if removed else self.grace
            return [*lots, (world.at + grace, uncovered - known)]
        return _shortened(lots, known - uncovered)

    def _breach(self, world: World, account: Account, held: Holding, late: int) -> Breach:
        size = abs(held.exposure)
        allowed = 0 if self.action == CLOSE else size - late
        lock = None
        if self.lock_trips and account.trips.get(NAME, 0) + 1 >= self.lock_trips:
            lock = LockWish(REDUCE_ONLY, world.at + self.lock_for)
        return Breach(
            observed=f"{late} of {size} without a stop",
            limit="0",
            text=f"{held.contract}: {late} of {size} had no protective stop when the grace ended",
            remedy=Remedy(
                allowed=((held.contract, allowed),),
                cancel="increasing",
                within=(held.contract,),
                lock=lock,
            ),
            part=held.contract,
        )


def _written(held: Holding, covered: int, lots: list[tuple[int, int]]) -> Memory:
    name = held.contract
    found = {
        f"{name} epoch": held.epoch,
        f"{name} covered": covered,
        f"{name} size": abs(held.exposure),
    }
    for due, size in lots:
        found[f"{name} due {due}"] = found.get(f"{name} due {due}", 0) + size
    return found


def _shortened(lots: list[tuple[int, int]], by: int) -> list[tuple[int, int]]:
    """Take so many contracts off the oldest lots."""
    left = []
    for due, size in lots:
        taken = min(size, by)
        by -= taken
        if size - taken:
            left.append((due, size - taken))
    return left


def _rehearsal(
    rule: Rule, world: World, account: Account
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    """A position without a stop: just before its grace ends, and when it has."""
    assert isinstance(rule, NoStopLossGrace)
    held = rehearsal.opened(world, account, 1)
    near = rehearsal.at(world.at + rule.grace - 1)
    return (*held, near), (*held, near, rehearsal.at(world.at + rule.grace + READ_WAIT))


def _build(reader: Reader) -> NoStopLossGrace:
    lock = reader.table(
        "lock",
        {"trips": "a whole number of at least 1", "lock": 'a duration such as "15m"'},
    )
    return NoStopLossGrace(
        grace=reader.duration("grace", "30s"),
        replace_grace=reader.duration("replace_grace", "10s"),
        accept_stop_limit=reader.flag("accept_stop_limit", default=False),
        max_distance=reader.whole("max_distance", 0),
        action=reader.choice("action", (CLOSE, CLOSE_UNCOVERED), CLOSE),
        lock_trips=lock.whole("trips", at_least=1) if lock else 0,
        lock_for=lock.duration("lock") if lock else 0,
    )


KIND: Final = RuleKind(
    name=NAME,
    summary="A position without a protective stop is closed when its grace is over.",
    parameters={
        "grace": 'how long a new position may be without a stop (default "30s")',
        "replace_grace": 'how long a stop may be missing while it is replaced (default "10s")',
        "accept_stop_limit": "true or false: whether stop-limit orders protect (default false)",
        "max_distance": "ticks a stop may be from the market, 0 for any (default 0)",
        "action": "close or close-uncovered (default close)",
        "lock": 'a table {trips: 3, lock: "15m"} (default none)',
    },
    build=_build,
    rehearsal=_rehearsal,
    defaults={
        "grace": "30s",
        "replace_grace": "10s",
        "accept_stop_limit": False,
        "max_distance": 0,
        "action": CLOSE,
        "lock": None,
    },
    tighter={"grace": LOWER, "replace_grace": LOWER, "action": (CLOSE_UNCOVERED, CLOSE)},
)

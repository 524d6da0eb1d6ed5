"""Traders with habits: seeded people who break the rules in their own ways.

Pure: a trader is shown his account and answers with what he does now. All obey human limits, so
that a healthy daemon never meets an order that no person could have sent: no act within 1.5 s of a
fill, of a breach on the account, or of a close somebody else asked for; none while a breach is
open; none in the last seconds of a run, when things settle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from risk_daemon.sim.codes import OrderType, Side
from risk_daemon.sim.contracts import BY_ROOT, CATALOGUE, Contract
from risk_daemon.sim.model import Order, Quote, Ticket

REACTION_S = 1.5
LAST_ORDER_S = 4.0
REENTRY_PAUSE_S = 4.2
REENTRIES_MAX = 3
CALM_BREACH_S = (28.0, 44.0)
LOSER_ROOTS = ("ES", "CL", "GC")
LOSER_SIZE = 2
LOSER_GREED_S = 20.0
HOLDER_SIZE = 3
HONEST_S = 7.0
FAR_STOP_TICKS = (160, 240)

Act = Ticket | int  # a ticket to place, or the id of an order to cancel


@dataclass(frozen=True, slots=True)
class View:
    """What a trader sees of his account; `quiet_s` counts from the last fill, breach or close."""

    now_s: float
    limit: int
    quantities: dict[str, int]
    averages: dict[str, Decimal]
    orders: Sequence[Order]
    quotes: dict[str, Quote]
    quiet_s: float
    is_busy: bool
    is_locked: bool
    left_s: float | None
    auto_oco: bool

    @property
    def gross(self) -> int:
        """Contracts held."""
        return sum(map(abs, self.quantities.values()))


@dataclass(slots=True)
class Trader:
    """What all traders share; a style overrides `_decide`."""

    rng: Random
    contract: Contract
    reentries_max: int = 1
    next_s: float = -1.0
    _started_s: float = field(default=-1.0)
    _reentries: int = 0

    def act(self, view: View) -> list[Act]:
        """What he does now; usually nothing."""
        if self._started_s < 0:
            self._started_s = view.now_s
            self.next_s = view.now_s + self.rng.uniform(0.5, 3.0)
        is_over = view.left_s is not None and view.left_s < LAST_ORDER_S
        if is_over or view.is_busy or view.quiet_s < REACTION_S or view.now_s < self.next_s:
            return []
        acts = self._come_back(view) if view.is_locked else self._decide(view)
        self.next_s = max(self.next_s, view.now_s + self.rng.uniform(0.2, 1.2))
        return acts

    def _decide(self, view: View) -> list[Act]:
        raise NotImplementedError

    def _come_back(self, view: View) -> list[Act]:
        if self._reentries >= self.reentries_max or view.gross or view.quiet_s < REENTRY_PAUSE_S:
            return []
        self._reentries += 1
        self.next_s = view.now_s + REENTRY_PAUSE_S
        sign = self.rng.choice((-1, 1))
        if self.rng.random() < 0.3:
            return [self._limit(view, sign, 1, self.rng.randint(60, 90))]
        return [self._market(sign * self.rng.randint(1, 2))]

    def _q(self, view: View) -> int:
        return view.quantities.get(self.contract.id, 0)

    def _market(self, signed: int) -> Ticket:
        side = Side.BUY if signed > 0 else Side.SELL
        return Ticket(self.contract.id, side, abs(signed))

    def _limit(self, view: View, sign: int, size: int, ticks: int) -> Ticket:
        """A resting limit order so many ticks on the patient side of the market."""
        quote, tick = view.quotes[self.contract.id], self.contract.tick_size
        side = Side.BUY if sign > 0 else Side.SELL
        price = quote.bid - ticks * tick if sign > 0 else quote.ask + ticks * tick
        return Ticket(self.contract.id, side, size, OrderType.LIMIT, limit_price=price)

    def _direction(self, view: View) -> int:
        q = self._q(view)
        if q:
            return 1 if q > 0 else -1
        return self.rng.choice((-1, 1))


class Oversizer(Trader):
    """Adds until he holds too much, at times with one big order; comes down slowly."""

    def _decide(self, view: View) -> list[Act]:
        room = view.limit - view.gross
        sign = self._direction(view)
        dice = self.rng.random()
        if view.gross and dice < 0.22:
            self.next_s = view.now_s + self.rng.uniform(0.5, 2.0)
            return [self._market(-sign * self.rng.randint(1, max(1, abs(self._q(view)) - 1)))]
        if room > 1 and dice < 0.40:
            return [self._market(sign * self.rng.randint(1, room))]
        self.next_s = view.now_s + self.rng.uniform(3.5, 7.5)
        return [self._market(sign * (room + self.rng.randint(1, 3)))]


class Loser(Trader):
    """Takes every loss and sits on every winner, so his day's result only ever falls.

    He never closes his last market before he opened another: when the limit is reached there is
    something left to flatten. Locked out, he comes back three times. When everything wins for
    long, greed takes him over his limit instead.
    """

    def _decide(self, view: View) -> list[Act]:
        worst = min(view.quantities, key=lambda contract: _open_result(view, contract), default="")
        free = [root for root in LOSER_ROOTS if BY_ROOT[root].id not in view.quantities]
        has_room = bool(free) and view.gross + LOSER_SIZE <= view.limit
        is_last = len(view.quantities) == 1 and has_room
        if worst and not is_last and _open_result(view, worst) < 0:
            q = view.quantities[worst]
            return [Ticket(worst, Side.SELL if q > 0 else Side.BUY, abs(q))]
        if not has_room:
            return self._add(view, worst) if worst else []
        side = self.rng.choice((Side.BUY, Side.SELL))
        return [Ticket(BY_ROOT[self.rng.choice(free)].id, side, LOSER_SIZE)]

    def _add(self, view: View, contract: str) -> list[Act]:
        if view.now_s - self._started_s < LOSER_GREED_S:
            return []
        self.next_s = view.now_s + LOSER_GREED_S
        side = Side.BUY if view.quantities[contract] > 0 else Side.SELL
        return [Ticket(contract, side, LOSER_SIZE)]


def _open_result(view: View, contract: str) -> Decimal:
    """What closing now would realize, before costs."""
    q, quote = view.quantities[contract], view.quotes[contract]
    mark = quote.bid if q > 0 else quote.ask
    return CATALOGUE[contract].money(mark - view.averages[contract], q)


class Bracketer(Trader):
    """Enters with a stop and a target, then lays out more resting orders than he may."""

    def _decide(self, view: View) -> list[Act]:
        q = self._q(view)
        adds = [order for order in view.orders if order.parent is None and order.is_resting]
        dice = self.rng.random()
        if q == 0:
            self.next_s = view.now_s + self.rng.uniform(1.5, 2.5)
            return [*(order.id for order in view.orders if order.is_resting), self._entry(view)]
        if adds and dice < 0.35:
            return [adds[-1].id]
        if dice < 0.45:
            leftovers = [order.id for order in view.orders if order.is_resting]
            return [self._market(-q), *leftovers]
        self.next_s = view.now_s + self.rng.uniform(2.5, 5.0)
        sign = 1 if q > 0 else -1
        laid = sum(order.rest for order in adds if order.side.sign == sign)
        wanted = max(1, view.limit - abs(q) - laid + self.rng.randint(1, 2))
        first = max(1, wanted // 2)
        sizes = [first, wanted - first] if wanted > first else [first]
        return [self._limit(view, sign, size, self.rng.randint(25, 60)) for size in sizes]

    def _entry(self, view: View) -> Ticket:
        sign = self.rng.choice((-1, 1))
        size = self.rng.randint(1, max(1, min(2, view.limit)))
        side = Side.BUY if sign > 0 else Side.SELL
        if not view.auto_oco:
            return Ticket(self.contract.id, side, size)
        return Ticket(
            self.contract.id,
            side,
            size,
            tag=f"entry-{self.rng.randrange(10**9):09d}",
            stop_loss_ticks=-sign * self.rng.randint(60, 120),
            take_profit_ticks=sign * self.rng.randint(60, 120),
        )


class Calm(Trader):
    """Stays well inside his limits; one late mistake is all he ever makes."""

    _mistake_s: float = -1.0

    def _decide(self, view: View) -> list[Act]:
        if self._mistake_s < 0:
            self._mistake_s = self._started_s + self.rng.uniform(*CALM_BREACH_S)
        self.next_s = view.now_s + self.rng.uniform(2.0, 5.0)
        q = self._q(view)
        if view.now_s >= self._mistake_s:
            self._mistake_s = float("inf")
            return [self._market(self._direction(view) * (view.limit - view.gross + 1))]
        if q:
            return [self._market(-q)]
        return [self._market(self.rng.choice((-1, 1)) * self.rng.randint(1, min(2, view.limit)))]


class Holder(Trader):
    """Buys what is high, sells what is low, and holds it until somebody takes it from him.

    He never closes: a limit on open money is broken by the market while no order is on its way.
    """

    #: He goes with the last swing, so that the next one goes against him.
    _sense = 1

    def _decide(self, view: View) -> list[Act]:
        if view.gross:
            return []
        is_high = view.quotes[self.contract.id].bid > self.contract.start_price
        sign = self._sense if is_high else -self._sense
        return [self._market(sign * HOLDER_SIZE)]


class Dreamer(Holder):
    """Sells what is high and buys what is low, wins, and gives it all back by holding on."""

    _sense = -1


class Careless(Trader):
    """Forgets his stops: none at all, one for a part, or one that he takes away.

    At times he keeps one and leaves in time, as he should. What he left uncovered he never closes
    himself: somebody else is about to.
    """

    _plan: str = ""
    _stop_until_s: float = 0.0

    def _decide(self, view: View) -> list[Act]:
        if self._q(view) == 0:
            return self._enter(view)
        stops = [order for order in view.orders if order.type is OrderType.STOP]
        if self._plan == "part":
            self._plan = "wait"
            return [self._market(self._direction(view))]
        if self._plan == "take away" and stops:
            self._plan = "wait"
            return [stop.id for stop in stops]
        if self._plan == "honest" and stops and view.now_s >= self._stop_until_s:
            return [self._market(-self._q(view)), *(order.id for order in view.orders)]
        return []

    def _enter(self, view: View) -> list[Act]:
        self._plan = self.rng.choice(("bare", "bare", "part", "take away", "honest"))
        self._stop_until_s = view.now_s + HONEST_S
        self.next_s = view.now_s + self.rng.uniform(1.0, 2.0)
        leftovers: list[Act] = [order.id for order in view.orders if order.is_resting]
        sign, size = self.rng.choice((-1, 1)), self.rng.randint(1, 2)
        if self._plan == "bare" or not view.auto_oco:
            return [*leftovers, self._market(sign * size)]
        side = Side.BUY if sign > 0 else Side.SELL
        ticks = -sign * self.rng.randint(*FAR_STOP_TICKS)
        entry = Ticket(self.contract.id, side, size, stop_loss_ticks=ticks)
        return [*leftovers, entry]


_STYLES: dict[str, tuple[type[Trader], tuple[str, ...]]] = {
    "oversizer": (Oversizer, ("MNQ", "MES")),
    "loser": (Loser, ("ES",)),
    "bracketer": (Bracketer, ("MNQ", "MES")),
    "calm": (Calm, ("MNQ", "MES")),
    "holder": (Holder, ("M2K", "MYM")),
    "dreamer": (Dreamer, ("MCL", "MGC")),
    "careless": (Careless, ("MNQ", "MES")),
}


def trader(style: str, seed: int, account: int) -> Trader:
    """The trader of an account; the same seed makes the same person."""
    kind, roots = _STYLES[style]
    rng = Random(f"trader {seed} {account}")
    reentries = REENTRIES_MAX if kind in (Loser, Holder, Dreamer) else 1
    return kind(rng, BY_ROOT[rng.choice(roots)], reentries)

"""The market: a seeded random walk per contract, with jumps; some contracts swing on purpose.

Whoever holds a swinging contract long enough sees its price go far against him, in one jump or in
a slide over some quotes, and back again: limits on open money are broken without any order.

Pure: the randomness is passed in and the caller says what time it is. Quotes are always two-sided
and valid here; broken ones are a fault, made where messages leave.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from random import Random

from risk_daemon.sim.contracts import CATALOGUE, Contract
from risk_daemon.sim.model import Quote
from risk_daemon.sim.moment import NS_PER_MS

_PAUSE_MS = (90, 240)  # 4 to 11 quotes a second and contract
_STEPS = (-3, -2, -1, -1, 0, 0, 0, 0, 1, 1, 2, 3)
_JUMP_CHANCE = 0.004
_JUMP_TICKS = (8, 30)
_PRINT_CHANCE = 0.5
_FLOOR_TICKS = 400  # the walk turns back here, so that no price ever nears zero
_SWING_TICKS = (45, 70)  # to either side of the start
_SWING_EVERY_MS = (4_500, 8_000)
_SLIDE_QUOTES = (5, 9)


@dataclass(frozen=True, slots=True)
class Tick:
    """One update of one contract; `volume` above 0 means a trade was printed at the last price."""

    contract: Contract
    quote: Quote
    volume: int
    is_sell: bool


class _Walk:
    def __init__(self, contract: Contract, rng: Random) -> None:
        self.contract = contract
        self._rng = rng
        self._ticks = int(contract.start_price / contract.tick_size)
        self.next_ns = 0

    def _at(self, ticks: int) -> Quote:
        size = self.contract.tick_size
        last = ticks if self._rng.random() < 0.5 else ticks + 1
        return Quote(ticks * size, (ticks + 1) * size, last * size)

    def set(self, quote: Quote) -> None:
        self._ticks = int(quote.bid / self.contract.tick_size)

    def step(self, now_ns: int) -> Tick:
        rng = self._rng
        move = rng.choice(_STEPS)
        if rng.random() < _JUMP_CHANCE:
            move = rng.randint(*_JUMP_TICKS) * rng.choice((-1, 1))
        if self._ticks + move < _FLOOR_TICKS:
            move = abs(move)
        self._ticks += move
        self.next_ns = now_ns + int(rng.uniform(*_PAUSE_MS) * NS_PER_MS)
        volume = rng.randint(1, 9) if rng.random() < _PRINT_CHANCE else 0
        return Tick(self.contract, self._at(self._ticks), volume, rng.random() < 0.5)


class _Swing(_Walk):
    """Stands on one side of its start, then goes to the other."""

    def __init__(self, contract: Contract, rng: Random) -> None:
        super().__init__(contract, rng)
        self._middle = self._ticks
        self._side = rng.choice((-1, 1))
        self._left = 0  # ticks still to go to the other side
        self._quotes_left = 0
        self._swings_ns = 0
        self._ticks += self._side * rng.randint(*_SWING_TICKS)

    def step(self, now_ns: int) -> Tick:
        rng = self._rng
        if not self._swings_ns:
            self._swings_ns = now_ns + self._pause_ns()
        if now_ns >= self._swings_ns:
            self._begin_swing(now_ns)
        move = rng.choice((-2, -1, -1, 0, 0, 1, 1, 2))
        if self._quotes_left:
            move = self._left // self._quotes_left
            self._left -= move
            self._quotes_left -= 1
        self._ticks += move
        self.next_ns = now_ns + int(rng.uniform(*_PAUSE_MS) * NS_PER_MS)
        volume = rng.randint(1, 9) if rng.random() < _PRINT_CHANCE else 0
        return Tick(self.contract, self._at(self._ticks), volume, rng.random() < 0.5)

    def _begin_swing(self, now_ns: int) -> None:
        rng = self._rng
        self._side = -self._side
        self._left = self._middle + self._side * rng.randint(*_SWING_TICKS) - self._ticks
        self._quotes_left = 1 if rng.random() < 0.5 else rng.randint(*_SLIDE_QUOTES)
        self._swings_ns = now_ns + self._pause_ns()

    def _pause_ns(self) -> int:
        return int(self._rng.uniform(*_SWING_EVERY_MS) * NS_PER_MS)


class Market:
    """All walks; `is_moving` false freezes them where they are. `swings` are roots that swing."""

    def __init__(
        self,
        seed: int,
        contracts: Iterable[Contract] = CATALOGUE.values(),
        swings: Collection[str] = (),
    ) -> None:
        self._walks = {
            c.id: (_Swing if c.root in swings else _Walk)(c, Random(f"market {seed} {c.id}"))
            for c in contracts
        }
        self.is_moving = True

    def open(self) -> list[Tick]:
        """A first quote for every contract, so that nothing is ever without a price."""
        return [walk.step(0) for walk in self._walks.values()]

    def step(self, now_ns: int) -> list[Tick]:
        """The updates that are due."""
        if not self.is_moving:
            return []
        return [walk.step(now_ns) for walk in self._walks.values() if walk.next_ns <= now_ns]

    def set(self, contract: str, quote: Quote) -> Tick:
        """Put the market where somebody wants it; the walk goes on from there."""
        walk = self._walks[contract]
        walk.set(quote)
        return Tick(walk.contract, quote, 1, is_sell=False)

    def next_due_ns(self) -> int | None:
        """When the next update is due, or None while nothing moves."""
        if not self.is_moving:
            return None
        return min(walk.next_ns for walk in self._walks.values())

"""The two limits on open money: the day's combined loss and the trailing drawdown.

A figure is *true* at the market as it is, *seen* at the believable quotes delivered to the login,
and *wide* at the worst that any order of arrival within the last half second could have shown.
"""

from __future__ import annotations

from collections import deque
from datetime import date, datetime
from decimal import Decimal

from risk_daemon.sim.allowance import Reductions
from risk_daemon.sim.court import Court
from risk_daemon.sim.ledger import Book
from risk_daemon.sim.model import ZERO, Quote
from risk_daemon.sim.moment import Moment, next_reset
from risk_daemon.sim.purse import Prices, Purse, purse_of
from risk_daemon.sim.scenario import CombinedLoss, Drawdown
from risk_daemon.sim.standing import COMBINED_LOSS, DRAWDOWN, NOTHING, Need, Standing, flattened
from risk_daemon.sim.trip import ARRIVAL_NS, FOR_EVER, Trip
from risk_daemon.sim.watch import Scene, Watch

_NOBODY = Purse(is_known=False, held={}, day=ZERO, all=ZERO, leaving=ZERO)


class Purses:
    """Both books of one account in money, and what they were a moment ago."""

    def __init__(self, account: int, est_exit_fees: Decimal, court: Court) -> None:
        self.true = self.seen = _NOBODY
        self._account, self._fees, self._court = account, est_exit_fees, court
        self._day: date | None = None
        self._carried: dict[str, Decimal] = {}
        self._is_old = True
        self._past: deque[tuple[int, Purse]] = deque()
        self._extremes: dict[str, tuple[Quote, Quote] | None] = {}

    def changed(self) -> None:
        """One of the books changed."""
        self._is_old = True

    def look(self, now: Moment, day: date, truth: Book, delivered: Book) -> None:
        """Count anew what changed, and keep what it was."""
        if day != self._day:
            self._carry(truth)
            self._day, self._is_old = day, True
        if self._is_old:
            self._past += [(now.ns, self.true), (now.ns, self.seen)]
            self.true = purse_of(truth, day, self._carried, self._fees)
            self.seen = purse_of(delivered, day, self._carried, self._fees)
            self._is_old = False
        while self._past and now.ns - self._past[0][0] > ARRIVAL_NS:
            self._past.popleft()
        self._extremes.clear()

    def _carry(self, truth: Book) -> None:
        """A new trade day: what is held begins it at its settlement price, the last trade's."""
        quotes = {name: self._court.market(name) for name in truth.contracts()}
        self._carried = {name: quote.last for name, quote in quotes.items() if quote}
        self._past.clear()  # yesterday's figures justify nothing today

    def recent(self) -> list[Purse]:
        """What any order of arrival may have shown."""
        late = [purse for _, purse in self._past if purse is not _NOBODY]
        return [self.true, *late] if self.seen == self.true else [self.true, self.seen, *late]

    def at_market(self, contract: str) -> Quote | None:
        """The price of truth."""
        return self._court.market(contract)

    def at_believed(self, contract: str) -> Quote | None:
        """The price of the delivered ledger."""
        return self._court.believed(self._account, contract)

    def worst(self, purse: Purse, now_ns: int) -> Decimal | None:
        """What is held, at the worst prices that may still arrive."""
        return purse.worth(self._either(purse, now_ns, low_for_long=True))

    def best(self, purse: Purse, now_ns: int) -> Decimal | None:
        """The same at the best prices."""
        return purse.worth(self._either(purse, now_ns, low_for_long=False))

    def _either(self, purse: Purse, now_ns: int, *, low_for_long: bool) -> Prices:
        def price(contract: str) -> Quote | None:
            found = self._extremes_of(contract, now_ns)
            is_low = (purse.held[contract] > 0) == low_for_long
            return None if found is None else found[0 if is_low else 1]

        return price

    def _extremes_of(self, contract: str, now_ns: int) -> tuple[Quote, Quote] | None:
        if contract not in self._extremes:
            self._extremes[contract] = self._court.extremes(self._account, contract, now_ns)
        return self._extremes[contract]


class _MoneyWatch(Watch):
    """What both limits have in common: a trip, and a full lock."""

    def __init__(self, purses: Purses) -> None:
        self._purses = purses
        self._trip = Trip()
        self._end = FOR_EVER
        self._figure = ZERO

    def need(self, standing: Standing, *, true: bool) -> Need:
        """Flat and nothing that increases, while it is reached and under its lock."""
        holds = self._trip.is_true if true else self._trip.is_seen
        return flattened(standing) if holds or self._trip.is_locked else NOTHING

    @property
    def is_locked(self) -> bool:
        """Whether it is certain."""
        return self._trip.is_locked

    @property
    def is_doubtful(self) -> bool:
        """Whether it may have been reached."""
        return self._trip.is_doubtful

    def waits(self, now: Moment) -> bool:
        """A touch becomes certain, and a doubt ends, by time alone."""
        del now
        return self._trip.is_open

    def was_too_short(self) -> bool:
        """Whether no lock came of it."""
        return not self._trip.is_locked

    def acted(self, contract: str) -> None:
        """Somebody closed, and only this explains it: it is certain."""
        del contract
        if self._trip.is_seen or self._trip.is_doubtful:
            self._trip.lock(self._end)

    def _weigh(self, scene: Scene, end: datetime, *, true: bool, seen: bool, wide: bool) -> None:
        self._end = end
        self._trip.roll(scene.now.at)
        self._trip.look(scene.now.ns, end, true=true, seen=seen, wide=wide, calm=scene.is_calm)


class CombinedWatch(_MoneyWatch):
    """The day's loss, realized and open, less the cost of leaving."""

    rule = COMBINED_LOSS

    def __init__(self, limit: CombinedLoss, purses: Purses) -> None:
        super().__init__(purses)
        self._bound = limit.buffer - limit.limit

    def look(self, scene: Scene) -> None:
        """Compare the figures with the limit."""
        purses, now = self._purses, scene.now.ns
        true = self._figure_of(purses.true, purses.true.worth(purses.at_market))
        seen = self._figure_of(purses.seen, purses.seen.worth(purses.at_believed))
        wide = [self._figure_of(one, purses.worst(one, now)) for one in purses.recent()]
        self._figure = true if true is not None else self._figure
        self._weigh(
            scene,
            next_reset(scene.now.at),
            true=true is not None and true <= self._bound,
            seen=seen is not None and purses.seen.is_known and seen <= self._bound,
            wide=any(one is not None and one <= self._bound for one in wide),
        )

    def text(self) -> str:
        """The figure and its limit."""
        return f"day P&L {self._figure:.2f}, realized and open, limit {self._bound:.2f}"

    @staticmethod
    def _figure_of(purse: Purse, worth: Decimal | None) -> Decimal | None:
        return None if worth is None else purse.day + worth - purse.leaving


class DrawdownWatch(_MoneyWatch):
    """Equity above a floor that only rises; a peak that nobody could see raises nothing."""

    rule = DRAWDOWN

    def __init__(self, limit: Drawdown, balance: Decimal, purses: Purses) -> None:
        super().__init__(purses)
        self._limit, self._balance = limit, balance
        self._high = self._wide_high = limit.start
        self._day: date | None = None
        self._blind_day: date | None = None
        self._floor = limit.start - limit.drawdown
        self._stage = Trip()
        self._reductions = Reductions()
        self._over: dict[bool, frozenset[str]] = {True: frozenset(), False: frozenset()}
        self._perhaps: frozenset[str] = frozenset()

    def look(self, scene: Scene) -> None:
        """Carry the high-water marks on, and compare equity with the floor they lead to."""
        purses, now = self._purses, scene.now.ns
        true = self._equity(purses.true, purses.true.worth(purses.at_market))
        seen = self._equity(purses.seen, purses.seen.worth(purses.at_believed))
        if not purses.seen.is_known:
            seen = None
        worst = [self._equity(one, purses.worst(one, now)) for one in purses.recent()]
        best = [self._equity(one, purses.best(one, now)) for one in purses.recent()]
        self._raise_marks(scene, seen, [one for one in best if one is not None])
        self._figure = true if true is not None else self._figure
        self._floor = self._floor_of(self._high)
        low = min((one for one in worst if one is not None), default=None)
        self._weigh(
            scene,
            FOR_EVER,
            true=true is not None and true <= self._floor + self._limit.buffer,
            seen=seen is not None and seen <= self._floor + self._limit.buffer,
            wide=low is not None and low <= self._wide_floor() + self._wide_buffer(scene),
        )
        self._weigh_stage(scene, true, seen, low)

    def _weigh_stage(
        self, scene: Scene, true: Decimal | None, seen: Decimal | None, low: Decimal | None
    ) -> None:
        """With a fifth of the drawdown left only reductions are allowed, until the reset."""
        left, stage = self._limit.drawdown / 5, self._stage
        stage.roll(scene.now.at)
        stage.look(
            scene.now.ns,
            next_reset(scene.now.at),
            true=true is not None and true <= self._floor + left,
            seen=seen is not None and seen <= self._floor + left,
            wide=low is not None and low <= self._wide_floor() + left,
            calm=False,
        )
        self._reductions.look(
            scene.truth,
            scene.delivered,
            surely=stage.is_locked,
            perhaps=stage.is_locked or stage.is_doubtful,
        )
        self._over[True] = self._reductions.over(scene.truth, true=True)
        self._over[False] = self._reductions.over(scene.delivered, true=False)
        self._perhaps = self._reductions.perhaps_over(scene.truth, scene.delivered)

    def need(self, standing: Standing, *, true: bool) -> Need:
        """Flat at the floor; before it, in the last fifth, nothing that grows."""
        full = super().need(standing, true=true)
        if full or not self._stage.is_locked:
            return full
        return Need(self._over[true], bool(standing.increasing))

    def wide_need(self, standing: Standing) -> Need:
        """The last fifth, as any order of arrival may have it."""
        if not self._stage.is_locked and not self._stage.is_doubtful:
            return NOTHING
        return Need(self._perhaps, bool(standing.increasing))

    def text(self) -> str:
        """Equity, floor and buffer."""
        return (
            f"equity {self._figure:.2f}, floor {self._floor:.2f}, buffer {self._limit.buffer:.2f}"
        )

    def waits(self, now: Moment) -> bool:
        """A touch of the last fifth becomes certain by time, too."""
        return super().waits(now) or self._stage.is_open

    def was_too_short(self) -> bool:
        """Whether neither lock came of it."""
        return super().was_too_short() and not self._stage.is_locked

    def unlocked(self) -> None:
        """Its lock waits for a person."""
        self._trip.end()

    def _equity(self, purse: Purse, worth: Decimal | None) -> Decimal | None:
        return None if worth is None else self._balance + purse.all + worth

    def _wide_floor(self) -> Decimal:
        return self._floor_of(self._wide_high)

    def _wide_buffer(self, scene: Scene) -> Decimal:
        """Who could not see a peak acts a second buffer earlier for the rest of the day."""
        return self._limit.buffer * (2 if self._blind_day == scene.day else 1)

    def _floor_of(self, high: Decimal) -> Decimal:
        return min(self._limit.lock_at, high - self._limit.drawdown)

    def _raise_marks(self, scene: Scene, seen: Decimal | None, best: list[Decimal]) -> None:
        trail = self._limit.trail
        if scene.day != self._day:
            if self._day is not None and trail == "eod":
                closing = self._balance + _cash_before(scene.truth, scene.day)
                self._high = self._wide_high = max(self._high, closing)
            self._day = scene.day
        if trail == "intraday-equity":
            if scene.is_blind and self._purses.true.held:
                self._blind_day = scene.day
            self._high = max(self._high, self._high if seen is None else seen)
            self._wide_high = max([self._wide_high, self._high, *best])
        elif trail == "intraday-realized" and self._purses.seen.is_known:
            self._high = max(self._high, self._balance + _cash_before(scene.delivered, None))
            self._wide_high = max(self._wide_high, self._high)


def _cash_before(book: Book, day: date | None) -> Decimal:
    """What the trades before a day did to the balance; all trades without one."""
    trades = book.trades.values()
    return sum((t.net for t in trades if not t.voided and (day is None or t.day < day)), ZERO)

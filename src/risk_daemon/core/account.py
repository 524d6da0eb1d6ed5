"""State of one account, and the fold of facts into it.

The state is owned and folded in place (frozen state costs four times as much);
everything that goes in or comes out is frozen. Its canonical encoding is what
active, standby and replay compare, so nothing here may depend on the order in
which a dict was filled: iterate sorted, prune by value. `ended` alone is kept in
the order of its instants (`in_order`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final

import msgspec

from risk_daemon.core import position, session
from risk_daemon.core.events import (
    AccountSeen,
    Goal,
    HighWaterKept,
    LockPlaced,
    MarkChanged,
    OperatorActed,
    OrderChanged,
    PolicyAdopted,
    PositionChanged,
    Reconciled,
    TradeSeen,
)
from risk_daemon.core.instrument import CENT, Instrument, divide, money, show
from risk_daemon.core.lockout import Lock
from risk_daemon.core.position import Holding

# The broker's order states and types. Source: ProjectX gateway, docs/brokers/projectx.md.
FILLED, CANCELLED, EXPIRED, REJECTED, SUSPENDED = 2, 3, 4, 5, 8
WORKING, PENDING, PENDING_CANCELLATION = 1, 6, 7
#: Alive at the broker, shown by the stream and never by REST: their absence there proves nothing.
HIDDEN_STATES: Final = frozenset({PENDING, PENDING_CANCELLATION, SUSPENDED})
ENDED_STATES: Final = frozenset({FILLED, CANCELLED, EXPIRED, REJECTED})
LIMIT, MARKET, STOP_LIMIT, STOP, TRAILING_STOP = 1, 2, 3, 4, 5
STOP_TYPES: Final = frozenset({STOP_LIMIT, STOP, TRAILING_STOP})

#: States of a session in which nothing at the broker stays hidden.
POLLING: Final = "polling"
SEEING: Final = frozenset({"trusted", POLLING})
#: A balance that differs for so long has moved without a trade.
BALANCE_WAIT: Final = 1_000_000_000

#: How many ended orders are remembered against late duplicates of theirs.
ENDED_MAX: Final = 512
#: More than a journal can have stored of one account and not answered for.
READS_KEPT: Final = 16


class Booked(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A fill and what it added to the running trade day (`net` and `gross`, in units)."""

    trade: TradeSeen
    day: str
    net: int = 0
    gross: int = 0


class ExitFee(msgspec.Struct, frozen=True, gc=False):
    """What leaving cost last, per contract of a root: from the fill `trade` at `traded_at`."""

    traded_at: int
    trade: int
    per_contract: int


class Incident(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A rule's latch: open from a breach until its condition is false and its lock over."""

    number: int
    is_open: bool
    since: int
    seq: int
    lock: str = ""
    text: str = ""


class Doubt(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something unknown: since when, why, and what was done about it so far."""

    since: int
    why: str
    is_alarmed: bool = False
    is_read: bool = False
    lock: str = ""


class Slot(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The one closing goal of a contract that is decided and not yet settled."""

    key: str
    cause_seq: int
    goal: Goal
    since: int
    request: str = ""
    outcome: str = ""


class Asked(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A cancel or resize that was decided for one order.

    `done` once it has an end; `failed` once that end left the order as it was: nothing leaves for
    it any more, and after a while it is decided anew.
    """

    key: str
    cause_seq: int
    goal: Goal
    since: int
    request: str = ""
    done: bool = False
    failed: bool = False


class Plan(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A contract on its way to its target: the ladder's times and the sweeps after it."""

    since: int
    cause_seq: int
    rule: str = ""
    attempts: int = 0
    refusals: int = 0
    retry_at: int = 0
    looks: int = 0
    alarms: int = 0
    reached_at: int = 0
    sweeps: int = 0
    verified: bool = False
    to_zero: bool = False
    residues: list[int] = msgspec.field(default_factory=list)
    direction: int = 0


class Shadow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the records say of the release that holds an account, kept by one that does not.

    `locks` stand by the holder's records; `found` is the record of its newest finding by
    `rule|part`; `trips` its findings of the day. `forced` names locks that were not decided here
    but taken over; the holder's word ends them too. `overruled` are findings (and locks of a limit
    broken at adoption) that the holder does not share. `astray`: the record of a decision that
    differed, until `core.reseed`; `turns` counts those.
    """

    locks: dict[str, LockPlaced] = msgspec.field(default_factory=dict)
    found: dict[str, int] = msgspec.field(default_factory=dict)
    trips: dict[str, int] = msgspec.field(default_factory=dict)
    forced: list[str] = msgspec.field(default_factory=list)
    overruled: list[str] = msgspec.field(default_factory=list)
    astray: int = 0
    turns: int = 0


class Account(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything the rules may know of one account."""

    account: int
    login: str = ""
    name: str = ""
    policy: PolicyAdopted | None = None
    balance: int | None = None
    ledger: int | None = None
    differs_since: int = 0
    closing: int | None = None
    exit_fees: dict[str, ExitFee] = msgspec.field(default_factory=dict)
    memory: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    read_began: int = 0
    reads: list[int] = msgspec.field(default_factory=list)
    can_trade: bool = True
    can_trade_since: int = 0
    feed: str = "blind"
    known: bool = False
    last_fact_at: int = 0
    epoch: int = 0
    holder: str = ""
    release: str = ""
    trade_date: str = ""
    next_reset: int = 0
    realized_net: int = 0
    realized_gross: int = 0
    holdings: dict[str, Holding] = msgspec.field(default_factory=dict)
    orders: dict[int, OrderChanged] = msgspec.field(default_factory=dict)
    ended: dict[int, int] = msgspec.field(default_factory=dict)
    booked: dict[int, Booked] = msgspec.field(default_factory=dict)
    locks: dict[str, Lock] = msgspec.field(default_factory=dict)
    lock_names: dict[str, int] = msgspec.field(default_factory=dict)
    acts: dict[str, OperatorActed] = msgspec.field(default_factory=dict)
    incidents: dict[str, Incident] = msgspec.field(default_factory=dict)
    unarmed: list[str] = msgspec.field(default_factory=list)
    doubts: dict[str, Doubt] = msgspec.field(default_factory=dict)
    trips: dict[str, int] = msgspec.field(default_factory=dict)
    warned: dict[str, int] = msgspec.field(default_factory=dict)
    slots: dict[str, Slot] = msgspec.field(default_factory=dict)
    asked: dict[int, Asked] = msgspec.field(default_factory=dict)
    plans: dict[str, Plan] = msgspec.field(default_factory=dict)
    platform_since: int = 0
    platform_looked: bool = False
    records: int = 0
    decided: int = 0
    digest: bytes = b""
    wake_at: int = 0
    reasons: list[str] = msgspec.field(default_factory=list)
    #: Only in a release that does not hold the account.
    shadow: Shadow | None = None

    def holding(self, contract: str) -> Holding:
        """Return the contract's state, new and flat if it was never held."""
        found = self.holdings.get(contract)
        if found is None:
            found = self.holdings[contract] = Holding(contract=contract)
        return found

    @property
    def is_seen(self) -> bool:
        """What happens at the broker reaches us: by its streams, or by reads in turn."""
        return self.feed in SEEING

    @property
    def calendar(self) -> str:
        """The calendar the account follows; any, before it has a policy."""
        return self.policy.calendar if self.policy else session.CALENDARS[0]

    @property
    def is_flat(self) -> bool:
        """No contract is held by either view."""
        return all(holding.is_flat for holding in self.holdings.values())

    @property
    def has_exposure(self) -> bool:
        """Some contract is held by some view."""
        return not self.is_flat

    @property
    def pnl_is_known(self) -> bool:
        """Day P&L lacks no trade that another message has told of."""
        if not self.known:
            return False
        for held in self.holdings.values():  # noqa: SIM110 - at every record: no generator
            if held.lacks_trade:
                return False
        return True


def working(account: Account) -> list[OrderChanged]:
    """Return the orders alive at the broker, oldest first."""
    return [account.orders[number] for number in sorted(account.orders)]


def remaining(order: OrderChanged) -> int:
    """Return what an order may still fill."""
    return max(order.size - order.filled, 0)


def is_increasing(order: OrderChanged, quantity: int) -> bool:
    """Tell whether a fill of this order could raise |quantity| or flip its sign."""
    return order.side * quantity >= 0 or order.size - order.filled > abs(quantity)


def is_closing(order: OrderChanged, quantity: int) -> bool:
    """Tell whether an order stands on the side that closes a position."""
    return order.side * quantity < 0


# --- folds ------------------------------------------------------------------


def fold_account(account: Account, fact: AccountSeen, at: int) -> None:
    """Take the account row; the instant `can_trade` turned is kept."""
    account.login, account.name = fact.login, fact.name
    account.balance = fact.balance
    _compare_balance(account, at)
    _may_trade(account, at, may=fact.can_trade and fact.visible)


def fold_missing(account: Account, at: int) -> None:
    """The broker does not list the account any more: it counts as stopped from trading."""
    _may_trade(account, at, may=False)


def fold_high_water(account: Account, fact: HighWaterKept) -> None:
    """Take high-water marks that outlived the state: each figure only rises."""
    mine = account.memory.setdefault(fact.rule, {})
    for name in sorted(fact.marks):
        mine[name] = max(fact.marks[name], mine.get(name, fact.marks[name]))


def _may_trade(account: Account, at: int, *, may: bool) -> None:
    if may != account.can_trade:
        account.can_trade, account.can_trade_since = may, at


def _compare_balance(account: Account, at: int) -> None:
    """Note since when the broker's balance moved without a trade that explains it.

    The broker shows cents where fills against an average price bring fractions of
    them: a cent is no difference. Where its rounding is not ours alone, the ledger
    follows, so that many fills of half a cent never add up to a payout.
    """
    if account.ledger is None or account.balance is None:
        account.differs_since = 0
        return
    apart = abs(account.balance - account.ledger)
    if apart > CENT:
        account.differs_since = account.differs_since or at
        return
    account.differs_since = 0
    if 2 * apart > CENT:
        account.ledger = account.balance


def fold_order(account: Account, fact: OrderChanged, at: int) -> None:
    """Take an order, unless it is an echo of an older state of it; that it arrived counts anyway.

    The link counts it too: a goal that says less of what it was decided on is refused.
    """
    holding = account.holdings.get(fact.contract)
    if holding is not None:
        holding.version = max(holding.version, fact.version)
    if fact.order in account.ended:
        return
    before = account.orders.get(fact.order)
    if before is not None and _is_older(fact, before):
        return
    if fact.status in ENDED_STATES:
        account.orders.pop(fact.order, None)
        _remember_ended(account, fact.order, at)
        return
    account.orders[fact.order] = fact
    asked = account.asked.get(fact.order)
    if asked is not None and asked.goal.act == "resize" and before and before.size != fact.size:
        del account.asked[fact.order]


def _is_older(fact: OrderChanged, before: OrderChanged) -> bool:
    if fact.filled != before.filled:
        return fact.filled < before.filled
    if fact.status in ENDED_STATES:
        return False
    return (fact.updated or 0) < (before.updated or 0)


def _remember_ended(account: Account, order: int, at: int) -> None:
    account.ended[order] = at
    account.asked.pop(order, None)
    if len(account.ended) > ENDED_MAX:
        del account.ended[_first_ended(account.ended)]


def _first_ended(ended: dict[int, int]) -> int:
    """Return the order that ended first, of those of one instant the lowest number.

    They are in the order of their instants: so they are filled, for `at` never decreases in a
    stream, and so `in_order` puts them back. To look through all of them would cost more than
    everything else that an ended order leads to.
    """
    first = next(iter(ended.values()))
    return min(itertools.takewhile(lambda number: ended[number] == first, ended))


def in_order(account: Account) -> Account:
    """Put a state that was read back into the order in which it is filled."""
    account.ended = dict(sorted(account.ended.items(), key=lambda one: (one[1], one[0])))
    return account


def fold_position(account: Account, fact: PositionChanged, seq: int, at: int) -> None:
    """Take a position message: exposure only, never P&L."""
    holding = account.holding(fact.contract)
    before = abs(holding.exposure)
    holding.by_position = fact.quantity
    holding.version = max(holding.version, fact.version)
    if holding.agreed:
        position.settle(holding)
    else:
        position.note_difference(holding, at, trade_missing=True)
    _note_increase(holding, before, seq)


def fold_trade(
    account: Account, fact: TradeSeen, instrument: Instrument | None, seq: int, at: int
) -> None:
    """Take a fill once by its id; a void takes quantity and cash back."""
    known = account.booked.get(fact.trade)
    holding = account.holding(fact.contract)
    holding.version = max(holding.version, fact.version)
    if known is not None:
        if _same_fill(known.trade, fact):
            return
        _move_ledger(account, known.day, cash(fact) - cash(known.trade))
        known.trade = fact
        _refold(account, holding, instrument)
    else:
        _book(account, holding, fact, instrument, seq)
        _move_ledger(account, account.booked[fact.trade].day, cash(fact))
    if instrument is not None:
        _learn_exit_fee(account, fact, instrument.root)
    if holding.agreed:
        position.settle(holding)
    else:
        position.note_difference(holding, at, trade_missing=known is not None)


def _same_fill(one: TradeSeen, other: TradeSeen) -> bool:
    return msgspec.structs.replace(one, version=0) == msgspec.structs.replace(other, version=0)


def cash(trade: TradeSeen) -> int:
    """Return what a fill did to the balance: its P&L against the entry, less what it cost."""
    return 0 if trade.voided else (trade.pnl or 0) - trade.fees - trade.commissions


def _move_ledger(account: Account, day: str, change: int) -> None:
    """Move our own balance with a fill; the broker's own word for it comes apart from it.

    One dated before the roll and delivered after it belongs to the balance at the close.
    """
    if account.ledger is None:
        return
    account.ledger += change
    if account.closing is not None and day != account.trade_date:
        account.closing += change
    if account.balance is not None and abs(account.ledger - account.balance) <= CENT:
        account.differs_since = 0


def _learn_exit_fee(account: Account, trade: TradeSeen, root: str) -> None:
    """Keep what the latest fill in a root cost per contract, whatever the order of delivery."""
    known = account.exit_fees.get(root)
    if trade.voided:
        if known is not None and known.trade == trade.trade:
            del account.exit_fees[root]
        return
    per_contract = divide(trade.fees + trade.commissions, trade.size)
    found = ExitFee(trade.traded_at, trade.trade, per_contract)
    if known is None or (known.traded_at, known.trade) <= (found.traded_at, found.trade):
        account.exit_fees[root] = found


def _book(
    account: Account, holding: Holding, fact: TradeSeen, instrument: Instrument | None, seq: int
) -> None:
    day = _trade_date(account, fact.traded_at)
    # A day's fills are what a worker grows by: they share the texts that are the same in all.
    day = account.trade_date if day == account.trade_date else day
    fact = msgspec.structs.replace(fact, contract=holding.contract)
    booked = account.booked[fact.trade] = Booked(trade=fact, day=day)
    holding.trades.append(fact.trade)
    before = abs(holding.exposure)
    _count(account, holding, booked, instrument)
    _note_increase(holding, before, seq)


def _count(
    account: Account, holding: Holding, booked: Booked, instrument: Instrument | None
) -> None:
    """Add one fill to quantity, cost and day P&L; a voided one adds nothing."""
    booked.net = booked.gross = 0
    trade = booked.trade
    if trade.voided:
        return
    if booked.day != account.trade_date:
        position.apply_late(holding, trade)
        return
    was_carried = holding.carried
    realized = position.apply(holding, trade)
    gross = trade.pnl or 0
    if was_carried and instrument is not None:
        # The broker books against the entry average; the day began at the carry mark.
        gross = money(instrument, realized)
    booked.gross = gross
    booked.net = gross - trade.fees - trade.commissions
    account.realized_gross += booked.gross
    account.realized_net += booked.net


def _refold(account: Account, holding: Holding, instrument: Instrument | None) -> None:
    """Fold a contract's fills again from its base, after one of them changed."""
    for number in [n for n, b in account.booked.items() if b.trade.contract == holding.contract]:
        booked = account.booked[number]
        account.realized_gross -= booked.gross
        account.realized_net -= booked.net
        if number not in holding.trades:
            _count_cash_only(account, booked)
    holding.by_trades, holding.cost = holding.base_quantity, holding.base_cost
    holding.entry = holding.base_entry
    holding.carried = holding.base_carried
    for number in holding.trades:
        _count(account, holding, account.booked[number], instrument)


def _count_cash_only(account: Account, booked: Booked) -> None:
    """Count a fill from before the base: a read already contains its quantity."""
    trade = booked.trade
    if trade.voided:
        booked.gross = booked.net = 0
        return
    account.realized_gross += booked.gross
    account.realized_net += booked.net


def _note_increase(holding: Holding, before: int, seq: int) -> None:
    if abs(holding.exposure) > before:
        holding.last_increase = seq


def fold_reconciled(
    account: Account, fact: Reconciled, instruments: dict[str, Instrument], seq: int, at: int
) -> list[str]:
    """Take a read of the broker's truth; return the differences it mended, in words.

    Trades and orders are folded as if they had arrived. Quantities are taken
    only from a stable read: an event that arrived meanwhile may be newer. And only once: what a
    link says again, for the journal died before it answered, would undo the fills since, which
    are known and not counted again.
    """
    if fact.only_positions:
        return _confirm_positions(account, fact, seq, at) if fact.stable else []
    for trade in fact.trades:
        fold_trade(account, trade, instruments.get(trade.contract), seq, at)
    account.balance = fact.balance
    _may_trade(account, at, may=fact.can_trade)
    if not fact.stable or fact.began_at in account.reads:
        _compare_balance(account, at)
        for order in fact.orders:
            fold_order(account, order, at)
        return []
    differences = _take_balance(account, fact, at)
    differences += _take_positions(account, fact, seq)
    _take_orders(account, fact, at)
    account.known, account.read_began = True, fact.began_at
    account.reads = [*account.reads, fact.began_at][-READS_KEPT:]
    return differences


def _take_balance(account: Account, fact: Reconciled, at: int) -> list[str]:
    """Take the balance of a stable read; one that no trade explained for a second is adjusted.

    Payouts and resets move a balance without a trade. They are neither loss nor
    profit: day P&L and the drawdown's floor stay, equity is measured anew.
    """
    before, since = account.ledger, account.differs_since
    if before is None:
        account.ledger = fact.balance
    _compare_balance(account, at)
    if before is None or not account.differs_since:
        return []
    if not since or fact.began_at - since < BALANCE_WAIT:
        return []
    account.ledger, account.differs_since = fact.balance, 0
    change = show(fact.balance - before)
    return [f"the balance moved by {change} without a trade: counted as an adjustment"]


def _take_positions(account: Account, fact: Reconciled, seq: int) -> list[str]:
    differences = []
    for row in _rows(account, fact):
        contract, quantity = row.contract, row.quantity
        holding = account.holding(contract)
        before = abs(holding.exposure)
        if account.known and (holding.by_trades, holding.by_position) != (quantity, quantity):
            differences.append(
                f"{contract}: the broker shows {quantity}, we had {holding.by_trades} by trades"
                f" and {holding.by_position} by positions"
            )
        position.rebase(holding, quantity, row.average)
        holding.version = max(holding.version, row.version)
        _note_increase(holding, before, seq)
    return differences


def _confirm_positions(account: Account, fact: Reconciled, seq: int, at: int) -> list[str]:
    """Take what the cheap read shows as position messages: a missing trade stays missing."""
    for row in _rows(account, fact):
        fold_position(account, row, seq, at)
    return []


def _rows(account: Account, fact: Reconciled) -> list[PositionChanged]:
    """Return a row for every contract, by its name: one the read does not show is flat."""
    rows = {
        name: PositionChanged(account=account.account, contract=name, quantity=0)
        for name in account.holdings
    }
    rows |= {row.contract: row for row in fact.positions}
    return [rows[name] for name in sorted(rows)]


def _take_orders(account: Account, fact: Reconciled, at: int) -> None:
    shown = {order.order for order in fact.orders}
    for number in sorted(account.orders):
        if number not in shown and account.orders[number].status not in HIDDEN_STATES:
            del account.orders[number]
            _remember_ended(account, number, at)
    for order in fact.orders:
        fold_order(account, order, at)


# --- the trade day ----------------------------------------------------------


def _trade_date(account: Account, at: int) -> str:
    policy = account.policy
    if policy is None:
        return account.trade_date
    return session.trade_date(policy.calendar, policy.day_roll, at)


def begin_day(account: Account, at: int) -> None:
    """Start the trade day that `at` lies in, with what was already booked for it."""
    policy = account.policy
    if policy is None:
        return
    account.trade_date = _trade_date(account, at)
    account.next_reset = session.next_reset(policy.calendar, policy.day_roll, at)


def roll_day(
    account: Account, at: int, marks: dict[str, MarkChanged], instruments: dict[str, Instrument]
) -> list[str]:
    """Reset the day's figures and carry open positions at their settlement marks.

    Returns the contracts that had no believable mark and keep their cost.
    """
    unmarked = []
    account.realized_net = account.realized_gross = 0
    account.closing = account.ledger
    _keep_last_day(account)
    account.trips, account.warned = {}, {}
    if account.shadow is not None:
        account.shadow.trips = {}
    for contract in sorted(account.holdings):
        holding = account.holdings[contract]
        mark = settlement(marks.get(contract))
        if mark is not None and contract in instruments:
            position.carry(holding, mark)
        else:
            position.set_base(holding)
            if not holding.is_flat:
                unmarked.append(contract)
    begin_day(account, at)
    return unmarked


def _keep_last_day(account: Account) -> None:
    """Keep the ended day's fills by id, so that a late duplicate is still known as one."""
    for number in sorted(account.booked):
        booked = account.booked[number]
        booked.net = booked.gross = 0
        if booked.day != account.trade_date:
            del account.booked[number]


def settlement(mark: MarkChanged | None) -> int | None:
    """Return the price a position is carried at: the last trade, else the middle."""
    if mark is None:
        return None
    if mark.last:
        return mark.last
    if mark.bid and mark.ask:
        return (mark.bid + mark.ask) // 2
    return None


def exit_price(mark: MarkChanged | None, quantity: int) -> int | None:
    """Return the price a position could leave at: the bid for a long, the ask for a short."""
    if mark is None:
        return None
    side = mark.bid if quantity > 0 else mark.ask
    return side or settlement(mark)


def equity(
    account: Account, marks: Mapping[str, MarkChanged], instruments: Mapping[str, Instrument]
) -> int | None:
    """Return balance plus open P&L against the entries; None when it cannot be known."""
    if account.ledger is None:
        return None
    total = account.ledger
    for name, holding in account.holdings.items():
        if holding.by_trades == 0:
            continue
        price, grid = exit_price(marks.get(name), holding.by_trades), instruments.get(name)
        if price is None or grid is None:
            return None
        total += money(grid, price * holding.by_trades - holding.entry)
    return total


def open_pnl(
    account: Account, marks: Mapping[str, MarkChanged], instruments: Mapping[str, Instrument]
) -> int | None:
    """Return the day's unrealized P&L of all contracts; None when it cannot be known."""
    total = 0
    for name, holding in account.holdings.items():
        if holding.by_trades == 0:
            continue
        found = unrealized(holding, marks.get(name), instruments.get(name))
        if found is None:
            return None
        total += found
    return total


def unrealized(
    holding: Holding, mark: MarkChanged | None, instrument: Instrument | None
) -> int | None:
    """Return open P&L of a holding in money units; None when it cannot be known."""
    if holding.by_trades == 0:
        return 0
    price = exit_price(mark, holding.by_trades)
    if price is None or instrument is None:
        return None
    return money(instrument, price * holding.by_trades - holding.cost)

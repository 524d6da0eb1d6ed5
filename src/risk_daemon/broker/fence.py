"""The last door before the broker. step(gate, input) -> outputs.

Everything that could go wrong between a decision and its order ends here: an
old epoch never leaves, nothing leaves that could raise or flip a position,
one closing request per contract is under way at a time, and its size is taken
from the link's own view at the moment of sending. A request whose outcome is
unknown is never repeated: look, and only when two reads find nothing is it
*void*, and a new goal may be sized.

Rules for editors: no clock (times come in), no retries but those of `_held`
(a goal that provably did not leave), and no order of our own, ever. |quantity|
means the smallest of three views: trades, order fills, position messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

import msgspec

from risk_daemon.broker.port import (
    ACCEPTED,
    FLAT,
    FULL,
    GONE,
    PENDING,
    POSITIONS,
    RECENT,
    THROTTLED,
    UNAUTHORIZED,
    UNKNOWN,
    Outcome,
    Reading,
    Request,
)
from risk_daemon.core.account import (
    CANCELLED,
    ENDED_STATES,
    FILLED,
    MARKET,
    REJECTED,
    SUSPENDED,
)
from risk_daemon.core.events import (
    Fact,
    GoalRefused,
    Intended,
    OrderChanged,
    PositionChanged,
    RequestAnswered,
    RequestSent,
    RequestSettled,
    TradeSeen,
)

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS
VIEWS_WAIT: Final = 500 * MS
THROTTLED_WAIT: Final = 500 * MS
UNREAD_LOOK: Final = 250 * MS
UNREAD_MAX: Final = 30 * SECOND
THROTTLED_MAX: Final = 90 * SECOND
SETTLE_READ_AFTER: Final = 250 * MS
VOID_AFTER: Final = SECOND
VOID_AFTER_GAP: Final = 3 * SECOND
VOID_BETWEEN: Final = 250 * MS
UNKNOWN_LOOK_AFTER: Final = 250 * MS
ACCEPTED_LOOK_AFTER: Final = 750 * MS
CLOCKS_DIFFER: Final = 100 * MS
SEEN_MAX: Final = 4_096
HELD_MAX: Final = 256

#: Refusals that prove the broker did not look at the request: the same goal may leave again.
NOT_LOOKED_AT: Final = frozenset({THROTTLED, UNAUTHORIZED})

# Why goals are held.
VIEWS: Final = "views"
UNREAD: Final = "the account has not been read"


class View(msgspec.Struct, kw_only=True):
    """One contract as the link saw it arrive."""

    by_trades: int = 0
    by_orders: int = 0
    by_position: int = 0
    version: int = 0
    flat_version: int = 0

    @property
    def quantity(self) -> int:
        """Signed quantity that may be acted on: the smallest view, zero if signs differ."""
        views = (self.by_trades, self.by_orders, self.by_position)
        if min(views) < 0 < max(views):
            return 0
        return min(views, key=abs)

    @property
    def is_flat(self) -> bool:
        """Every view shows nothing."""
        return self.by_trades == self.by_orders == self.by_position == 0


class Seen(msgspec.Struct, kw_only=True):
    """One order as last shown, and its place in the order of first sight."""

    order: OrderChanged
    number: int


class Slot(msgspec.Struct, kw_only=True):
    """The one closing request of a contract, from sending to its end."""

    request: Request
    intended: Intended
    sent_at: int
    side: int
    size: int
    seen_before: int
    gapless: bool = True
    outcome: str = ""
    order: int = 0
    filled: int = 0
    ended_at: int = 0
    how: str = ""
    empty_reads: list[int] = msgspec.field(default_factory=list)
    asked_read_at: int = 0


class CancelSlot(msgspec.Struct, kw_only=True):
    """One unanswered cancel or resize of an order."""

    request: Request
    intended: Intended
    sent_at: int
    outcome: str = ""
    asked_read_at: int = 0


class Held(msgspec.Struct, kw_only=True):
    """A goal that has provably not left, and when to look at it again."""

    intended: Intended
    not_before: int
    deadline: int
    why: str


class AccountGate(msgspec.Struct, kw_only=True):
    """One account at the door."""

    account: int
    epoch: int = 0
    was_read: bool = False
    views: dict[str, View] = msgspec.field(default_factory=dict)
    orders: dict[int, Seen] = msgspec.field(default_factory=dict)
    trades: dict[int, TradeSeen] = msgspec.field(default_factory=dict)
    slots: dict[str, Slot] = msgspec.field(default_factory=dict)
    cancels: dict[int, CancelSlot] = msgspec.field(default_factory=dict)
    held: list[Held] = msgspec.field(default_factory=list)
    arrivals: int = 0
    sights: int = 0

    def view(self, contract: str) -> View:
        """Return the contract's view, new and flat if nothing of it arrived yet."""
        found = self.views.get(contract)
        if found is None:
            found = self.views[contract] = View()
        return found


class Gate(msgspec.Struct, kw_only=True):
    """All accounts of one login. `session` names this link's run in request ids."""

    session: str
    version_base: int = 0
    sent: int = 0
    accounts: dict[int, AccountGate] = msgspec.field(default_factory=dict)

    def of(self, account: int) -> AccountGate:
        """Return the account's gate."""
        found = self.accounts.get(account)
        if found is None:
            found = self.accounts[account] = AccountGate(account=account)
        return found


# --- inputs ------------------------------------------------------------------


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A broker fact, in the order it came in."""

    fact: Fact


class Decided(msgspec.Struct, frozen=True, gc=False):
    """A durable goal of the worker, or a person's."""

    intended: Intended
    by_person: bool = False


class Answered(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one request."""

    request: Request
    outcome: Outcome


class ReadDone(msgspec.Struct, frozen=True, gc=False):
    """A successful read; a failed one is no input, for it says nothing."""

    reading: Reading


class StreamBroken(msgspec.Struct, frozen=True, gc=False):
    """The user stream had a gap: what was sent before it may have passed unseen."""


class EpochRaised(msgspec.Struct, frozen=True, gc=False):
    """A lease was granted; lower epochs never leave again."""

    account: int
    epoch: int


class Resumed(msgspec.Struct, frozen=True, gc=False):
    """A goal of an earlier run without an end: it may have left, and its answer be lost."""

    intended: Intended
    sent_at: int


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """Time passed."""


Input = Arrived | Decided | Answered | ReadDone | StreamBroken | EpochRaised | Resumed | Ticked


# --- outputs -----------------------------------------------------------------


class Send(msgspec.Struct, frozen=True, gc=False):
    """Let this request out, once."""

    request: Request


class Report(msgspec.Struct, frozen=True, gc=False):
    """Append this fact to the stream."""

    fact: Fact


class Read(msgspec.Struct, frozen=True, gc=False):
    """Read the account, as deep as said."""

    account: int
    depth: str
    why: str


Output = Send | Report | Read


def step(gate: Gate, given: Input, now: int) -> list[Output]:
    """Take one input at an instant; return what is to be done, in order."""
    match given:
        case Arrived(fact=fact):
            return _arrived(gate, fact, now)
        case Decided(intended=intended, by_person=by_person):
            return _decided(gate, gate.of(intended.account), intended, now, by_person=by_person)
        case Answered(request=request, outcome=outcome):
            return _answered(gate.of(request.account), request, outcome, now)
        case ReadDone(reading=reading):
            return _read_done(gate, gate.of(reading.account), reading, now)
        case StreamBroken():
            return _stream_broken(gate)
        case EpochRaised(account=account, epoch=epoch):
            return _epoch_raised(gate.of(account), epoch)
        case Resumed(intended=intended, sent_at=sent_at):
            return _resumed(gate, intended, sent_at)
        case Ticked():
            outputs: list[Output] = []
            for number in sorted(gate.accounts):
                outputs += _ticked(gate, gate.accounts[number], now)
            return outputs
        case _ as never:
            assert_never(never)


# --- what arrives ------------------------------------------------------------


def _arrived(gate: Gate, fact: Fact, now: int) -> list[Output]:
    match fact:
        case OrderChanged():
            account = gate.of(fact.account)
            _count(gate, account, fact.contract)
            _see_order(account, fact, counts=True)
            return _settle(account, now) + _agreed(gate, account, now)
        case TradeSeen():
            account = gate.of(fact.account)
            _count(gate, account, fact.contract)
            _see_trade(account, fact)
            return _settle(account, now) + _agreed(gate, account, now)
        case PositionChanged():
            account = gate.of(fact.account)
            _count(gate, account, fact.contract)
            view = account.view(fact.contract)
            view.by_position = fact.quantity
            _note_flat(view)
            return _settle(account, now) + _agreed(gate, account, now)
        case _:
            return []


def version_of(gate: Gate, account: int, contract: str) -> int:
    """Return the position version of a contract: the count of its arrivals so far."""
    return gate.of(account).view(contract).version


def _count(gate: Gate, account: AccountGate, contract: str) -> None:
    view = account.view(contract)
    view.version = max(view.version, gate.version_base) + 1
    account.arrivals += 1


def _note_flat(view: View) -> None:
    if view.quantity == 0:
        view.flat_version = view.version


def _see_order(account: AccountGate, fact: OrderChanged, *, counts: bool) -> None:
    """Take an order; one first shown by a read has fills that the read's position contains."""
    seen = account.orders.get(fact.order)
    filled_before = 0
    if seen is None:
        account.sights += 1
        seen = account.orders[fact.order] = Seen(order=fact, number=account.sights)
        _prune(account)
    else:
        if not is_working(seen.order) or fact.filled < seen.order.filled:
            return
        filled_before = seen.order.filled
        seen.order = fact
    if counts:
        view = account.view(fact.contract)
        view.by_orders += fact.side * (fact.filled - filled_before)
        _note_flat(view)


def _prune(account: AccountGate) -> None:
    if len(account.orders) <= SEEN_MAX:
        return
    ended = [n for n, seen in account.orders.items() if seen.order.status in ENDED_STATES]
    if ended:
        del account.orders[min(ended, key=lambda number: account.orders[number].number)]


def _see_trade(account: AccountGate, fact: TradeSeen) -> None:
    known = account.trades.get(fact.trade)
    account.trades[fact.trade] = fact
    signed = fact.side * fact.size
    view = account.view(fact.contract)
    if known is None and not fact.voided:
        view.by_trades += signed
    elif known is not None and fact.voided and not known.voided:
        view.by_trades -= signed
    if len(account.trades) > SEEN_MAX:
        del account.trades[min(account.trades)]
    _note_flat(view)


# --- goals -------------------------------------------------------------------


def _decided(
    gate: Gate, account: AccountGate, intended: Intended, now: int, *, by_person: bool
) -> list[Output]:
    goal = intended.goal
    if intended.epoch < account.epoch and not by_person:
        return [_refuse(intended, f"epoch {intended.epoch} is older than {account.epoch}")]
    if goal.act == "look":
        return [Read(account.account, FULL, goal.reason or "asked")]
    if not account.was_read:
        return _hold(account, intended, now + UNREAD_LOOK, now + UNREAD_MAX, UNREAD)
    match goal.act:
        case "cancel":
            return _cancel(gate, account, intended, now)
        case "resize":
            return _resize(gate, account, intended, now)
        case "close" | "reduce":
            return _close(gate, account, intended, now)
        case _:
            return [_refuse(intended, f"this release does not know the act {goal.act!r}")]


def _refuse(intended: Intended, why: str) -> Report:
    goal = intended.goal
    return Report(
        GoalRefused(
            account=intended.account,
            key=intended.key,
            contract=goal.contract,
            order=goal.order,
            why=why,
        )
    )


def _hold(
    account: AccountGate, intended: Intended, not_before: int, deadline: int, why: str
) -> list[Output]:
    if any(held.intended.key == intended.key for held in account.held):
        return []
    if len(account.held) >= HELD_MAX:
        return [_refuse(intended, "too many goals are waiting")]
    account.held.append(Held(intended=intended, not_before=not_before, deadline=deadline, why=why))
    return []


def is_working(order: OrderChanged) -> bool:
    """Tell whether an order may still fill."""
    return order.status not in ENDED_STATES


def protects(order: OrderChanged, quantity: int) -> bool:
    """Tell whether an order can only reduce a position of this size."""
    return order.side * quantity < 0 and order.size - order.filled <= abs(quantity)


def _cancel(gate: Gate, account: AccountGate, intended: Intended, now: int) -> list[Output]:
    goal = intended.goal
    seen = account.orders.get(goal.order)
    if seen is None or not is_working(seen.order):
        return [_refuse(intended, "the order is not working")]
    if goal.order in account.cancels:
        return [_refuse(intended, "a request for this order is unanswered")]
    quantity = account.view(seen.order.contract).quantity
    if protects(seen.order, quantity) and not goal.closing:
        return [_refuse(intended, "the order protects a position that is not being closed")]
    return _send_for_order(gate, account, intended, now, "cancel", 0)


def _resize(gate: Gate, account: AccountGate, intended: Intended, now: int) -> list[Output]:
    goal = intended.goal
    seen = account.orders.get(goal.order)
    if seen is None or not is_working(seen.order):
        return [_refuse(intended, "the order is not working")]
    if goal.order in account.cancels:
        return [_refuse(intended, "a request for this order is unanswered")]
    size = goal.allowed + seen.order.filled
    if goal.allowed <= 0 or size >= seen.order.size:
        return [_refuse(intended, "a resize only makes an order smaller")]
    return _send_for_order(gate, account, intended, now, "modify", size)


def _send_for_order(
    gate: Gate, account: AccountGate, intended: Intended, now: int, act: str, size: int
) -> list[Output]:
    request = _request(gate, intended, act, size)
    account.cancels[request.order] = CancelSlot(request=request, intended=intended, sent_at=now)
    return [Report(_sent(intended, request)), Send(request)]


def _request(gate: Gate, intended: Intended, act: str, size: int) -> Request:
    gate.sent += 1
    goal = intended.goal
    return Request(
        request=f"{gate.session}-{gate.sent}",
        key=intended.key,
        account=intended.account,
        act=act,
        contract=goal.contract,
        order=goal.order,
        size=size,
    )


def _sent(intended: Intended, request: Request) -> RequestSent:
    return RequestSent(
        account=request.account,
        key=request.key,
        request=request.request,
        act=request.act,
        contract=request.contract,
        order=request.order,
        size=request.size,
        epoch=intended.epoch,
    )


def _close(gate: Gate, account: AccountGate, intended: Intended, now: int) -> list[Output]:
    """Size a close or a reduction from what is live now; let nothing out that is not needed."""
    goal = intended.goal
    view = account.view(goal.contract)
    if goal.contract in account.slots:
        return [_refuse(intended, "a closing request for this contract is under way")]
    if not goal.locked and goal.version < view.flat_version:
        return [_refuse(intended, "the position it was decided for has ended")]
    moved = [name for name, version in goal.versions if account.view(name).version != version]
    if moved:
        return [_refuse(intended, f"{', '.join(moved)} moved since the decision")]
    quantity = view.quantity
    if goal.act == "close" and quantity == 0 and not view.is_flat:
        return _doubtful(account, intended, now)
    size = abs(quantity) - goal.allowed
    if size <= 0:
        return [_refuse(intended, f"holds {quantity}, nothing is left to reduce")]
    if goal.act == "close" and not goal.exact:
        return _send_close(gate, account, intended, now, "close", abs(quantity))
    return _send_close(gate, account, intended, now, "partial", size)


def _doubtful(account: AccountGate, intended: Intended, now: int) -> list[Output]:
    """Views differ about zero: read, at most 500 ms, then let the broker's close decide."""
    until = now + VIEWS_WAIT
    held = _hold(account, intended, until, until, VIEWS)
    return [*held, Read(account.account, FULL, "views of a position differ")]


def _agreed(gate: Gate, account: AccountGate, now: int) -> list[Output]:
    """Take up goals that waited for the views of their contract, once those agree."""
    if not account.held:
        return []
    ready = {
        name
        for name, view in account.views.items()
        if view.by_trades == view.by_orders == view.by_position
    }
    return _release(gate, account, now, lambda h: h.why == VIEWS and _contract(h) in ready)


def _contract(held: Held) -> str:
    return held.intended.goal.contract


def _send_close(
    gate: Gate, account: AccountGate, intended: Intended, now: int, act: str, size: int
) -> list[Output]:
    view = account.view(intended.goal.contract)
    request = _request(gate, intended, act, size if act == "partial" else 0)
    account.slots[request.contract] = Slot(
        request=request,
        intended=intended,
        sent_at=now,
        side=-1 if _sign(view) > 0 else 1,
        size=size,
        seen_before=account.sights,
    )
    return [Report(_sent(intended, request)), Send(request)]


def _sign(view: View) -> int:
    """Return the direction of the position, by the views' majority of evidence."""
    total = view.quantity or view.by_position or view.by_trades or view.by_orders
    return 1 if total > 0 else -1


# --- answers -----------------------------------------------------------------


def _answered(account: AccountGate, request: Request, outcome: Outcome, now: int) -> list[Output]:
    fact = RequestAnswered(
        account=request.account,
        key=request.key,
        request=request.request,
        outcome=outcome.outcome,
        code=outcome.code,
        text=outcome.text or outcome.meaning,
    )
    outputs: list[Output] = [Report(fact)]
    if request.act in ("cancel", "modify"):
        return outputs + _order_answered(account, request, outcome, now)
    slot = account.slots.get(request.contract)
    if slot is None or slot.request.request != request.request:
        return outputs
    slot.outcome = outcome.outcome
    if outcome.outcome == ACCEPTED or outcome.meaning == PENDING:
        slot.outcome = ACCEPTED
        return outputs + _settle(account, now)
    if outcome.outcome == UNKNOWN:
        return outputs + _settle(account, now)
    return outputs + _close_refused(account, slot, outcome, now)


def _order_answered(
    account: AccountGate, request: Request, outcome: Outcome, now: int
) -> list[Output]:
    """A cancel needs no attribution: the order itself shows what became of it."""
    slot = account.cancels.get(request.order)
    if slot is None or slot.request.request != request.request:
        return []
    if outcome.outcome == UNKNOWN or outcome.meaning == PENDING:
        slot.outcome = UNKNOWN
        return [Read(account.account, FULL, "the outcome of a cancel is unknown")]
    del account.cancels[request.order]
    if outcome.meaning in NOT_LOOKED_AT:
        return _hold(account, slot.intended, *_later(now), outcome.meaning)
    if outcome.outcome == ACCEPTED:
        return [_settled(request, "ended", 0)]
    if outcome.meaning == GONE:
        return [_settled(request, "gone", 0), Read(account.account, FULL, "an order is gone")]
    return [_settled(request, "rejected", 0)]


def _close_refused(account: AccountGate, slot: Slot, outcome: Outcome, now: int) -> list[Output]:
    request = slot.request
    del account.slots[request.contract]
    if outcome.meaning in NOT_LOOKED_AT:
        return _hold(account, slot.intended, *_later(now), outcome.meaning)
    how = "flat" if outcome.meaning == FLAT else "rejected"
    return [_settled(request, how, 0), Read(account.account, FULL, f"a close was {how}")]


def _later(now: int) -> tuple[int, int]:
    """Return when a goal that was not looked at may leave again, and when it is given up."""
    return now + THROTTLED_WAIT, now + THROTTLED_MAX


def _settled(request: Request, how: str, filled: int) -> Report:
    return Report(
        RequestSettled(
            account=request.account,
            key=request.key,
            request=request.request,
            act=request.act,
            contract=request.contract,
            order=request.order,
            how=how,
            filled=filled,
        )
    )


# --- how requests end --------------------------------------------------------


def _settle(account: AccountGate, now: int) -> list[Output]:
    outputs: list[Output] = []
    for contract in sorted(account.slots):
        slot = account.slots[contract]
        _attribute(account, contract, slot)
        if slot.order and not slot.ended_at:
            _note_end(account, slot, now)
        if slot.ended_at and _is_contained(account, contract, slot):
            outputs += _free(account, contract, slot.how)
    for number in sorted(account.cancels):
        cancel = account.cancels[number]
        seen = account.orders.get(number)
        if cancel.outcome == UNKNOWN and seen and seen.order.status in ENDED_STATES:
            del account.cancels[number]
            outputs.append(_settled(cancel.request, "ended", 0))
    return outputs


def _attribute(account: AccountGate, contract: str, slot: Slot) -> None:
    """Find the market order that our request became: the close answers with no id."""
    if slot.order:
        return
    candidates = [
        seen
        for seen in account.orders.values()
        if seen.number > slot.seen_before and _could_be(seen.order, contract, slot)
    ]
    # A whole close has the size the position had when the broker took it: ours, unless
    # another fill came between.
    exact = [seen for seen in candidates if seen.order.size == slot.size]
    if slot.request.act == "partial" and slot.size:
        candidates = exact
    if candidates:
        slot.order = min(exact or candidates, key=lambda seen: seen.number).order.order


def _could_be(order: OrderChanged, contract: str, slot: Slot) -> bool:
    if order.contract != contract or order.type != MARKET:
        return False
    if slot.side:
        return order.side == slot.side
    # Taken over from a run that died: what it saw is lost, the broker's time is not.
    return order.created >= slot.sent_at - CLOCKS_DIFFER


def _note_end(account: AccountGate, slot: Slot, now: int) -> None:
    order = account.orders[slot.order].order
    if order.status not in ENDED_STATES:
        return
    slot.ended_at = now
    slot.filled = order.filled
    if order.status == FILLED:
        slot.how = "filled"
    else:
        slot.how = "rejected" if order.status == REJECTED else "ended"


def _is_contained(account: AccountGate, contract: str, slot: Slot) -> bool:
    """The fill is in every view that could size the next request."""
    view = account.view(contract)
    traded = sum(
        trade.size
        for trade in account.trades.values()
        if trade.order == slot.order and not trade.voided
    )
    return traded >= slot.filled and view.by_trades == view.by_position == view.by_orders


def _free(account: AccountGate, contract: str, how: str) -> list[Output]:
    slot = account.slots.pop(contract)
    return [
        _settled(slot.request, how, slot.filled),
        Read(account.account, POSITIONS, "verify after a close"),
    ]


# --- reads -------------------------------------------------------------------


def _read_done(gate: Gate, account: AccountGate, reading: Reading, now: int) -> list[Output]:
    rows = reading.rows
    if rows.only_positions:
        return _confirm(account, reading, now)
    for order in (*(reading.recent or ()), *rows.orders):
        _see_order(account, order, counts=False)
    for trade in rows.trades:
        _see_trade(account, trade)
    if rows.stable:
        _take_rows(gate, account, reading)
        account.was_read = True
    outputs = _settle(account, now)
    for contract in sorted(account.slots):
        outputs += _slot_read(account, contract, reading)
    if rows.stable:
        outputs += _cancels_read(account, reading)
        outputs += _release(gate, account, now, lambda h: h.why in (VIEWS, UNREAD))
    return outputs


def _confirm(account: AccountGate, reading: Reading, now: int) -> list[Output]:
    """Compare a cheap read with the views; where it differs, only a full read can mend."""
    if not reading.rows.stable:
        return []
    shown = {row.contract: row.quantity for row in reading.rows.positions}
    differs = any(
        {view.by_trades, view.by_orders, view.by_position} != {shown.get(name, 0)}
        for name, view in account.views.items()
    )
    if differs or set(shown) - set(account.views):
        return [Read(account.account, FULL, "a verifying read differs")]
    return _settle(account, now)


def _take_rows(gate: Gate, account: AccountGate, reading: Reading) -> None:
    """Re-base all three views on a read during which nothing arrived."""
    shown = {row.contract: row.quantity for row in reading.rows.positions}
    for contract in sorted(set(shown) | set(account.views)):
        view = account.view(contract)
        quantity = shown.get(contract, 0)
        if (view.by_trades, view.by_orders, view.by_position) != (quantity,) * 3:
            view.version = max(view.version, gate.version_base) + 1
        view.by_trades = view.by_orders = view.by_position = quantity
        _note_flat(view)
    working = {order.order for order in reading.rows.orders}
    for number, seen in account.orders.items():
        gone = number not in working and is_working(seen.order)
        if gone and seen.order.status != SUSPENDED:
            seen.order = msgspec.structs.replace(seen.order, status=CANCELLED)


def _slot_read(account: AccountGate, contract: str, reading: Reading) -> list[Output]:
    """Judge one unsettled close by a read: contained, still there, or void."""
    slot = account.slots[contract]
    if slot.ended_at and reading.began_at >= slot.ended_at and reading.rows.stable:
        return _free(account, contract, slot.how)
    if slot.order or reading.recent is None or reading.began_at < slot.sent_at:
        return []
    slot.empty_reads.append(reading.began_at)
    if _is_void(account, contract, slot):
        return _free(account, contract, "void")
    return []


def _is_void(account: AccountGate, contract: str, slot: Slot) -> bool:
    first, last = slot.empty_reads[0], slot.empty_reads[-1]
    wait = VOID_AFTER if slot.gapless else VOID_AFTER_GAP
    unchanged = abs(account.view(contract).quantity) >= slot.size
    flat = account.view(contract).is_flat
    enough = last - slot.sent_at >= wait and last - first >= VOID_BETWEEN
    return enough and (unchanged or flat)


def _cancels_read(account: AccountGate, reading: Reading) -> list[Output]:
    """A read begun after an unknown cancel shows the order working or gone."""
    outputs: list[Output] = []
    for number in sorted(account.cancels):
        cancel = account.cancels[number]
        if cancel.outcome != UNKNOWN or reading.began_at < cancel.sent_at:
            continue
        del account.cancels[number]
        seen = account.orders.get(number)
        gone = seen is None or not is_working(seen.order)
        outputs.append(_settled(cancel.request, "ended" if gone else "rejected", 0))
    return outputs


# --- time, gaps, epochs ------------------------------------------------------


def _ticked(gate: Gate, account: AccountGate, now: int) -> list[Output]:
    outputs = _release(gate, account, now, lambda held: now >= held.not_before)
    for contract in sorted(account.slots):
        slot = account.slots[contract]
        if now >= _read_due(slot):
            slot.asked_read_at = now
            depth = FULL if slot.ended_at else RECENT
            outputs.append(Read(account.account, depth, "a close is not settled"))
    for number in sorted(account.cancels):
        cancel = account.cancels[number]
        if cancel.outcome == UNKNOWN and now - max(cancel.sent_at, cancel.asked_read_at) >= SECOND:
            cancel.asked_read_at = now
            outputs.append(Read(account.account, FULL, "a cancel is not settled"))
    return outputs


def _read_due(slot: Slot) -> int:
    """Return when the next look at an unsettled close is due."""
    if slot.ended_at:
        return max(slot.ended_at, slot.asked_read_at) + SETTLE_READ_AFTER
    if not slot.outcome:
        return slot.sent_at + 60 * SECOND  # the client's own time-out answers before
    if slot.outcome == UNKNOWN:
        first = slot.sent_at + UNKNOWN_LOOK_AFTER
        if not slot.asked_read_at:
            return first
        wait = VOID_AFTER if slot.gapless else VOID_AFTER_GAP
        soon = min(slot.sent_at + wait, slot.asked_read_at + SECOND)
        return max(slot.asked_read_at + VOID_BETWEEN, soon)
    return max(slot.sent_at, slot.asked_read_at) + ACCEPTED_LOOK_AFTER


def _release(
    gate: Gate, account: AccountGate, now: int, is_due: Callable[[Held], bool]
) -> list[Output]:
    """Take up goals that had to wait, once their time or their reason has come."""
    due = [held for held in account.held if is_due(held)]
    account.held = [held for held in account.held if held not in due]
    outputs: list[Output] = []
    for held in due:
        outputs += _take_up(gate, account, held, now)
    return outputs


def _take_up(gate: Gate, account: AccountGate, held: Held, now: int) -> list[Output]:
    view = account.view(_contract(held))
    if held.why == VIEWS and now >= held.deadline and not view.is_flat and not view.quantity:
        size = max(abs(view.by_trades), abs(view.by_orders), abs(view.by_position))
        return _send_close(gate, account, held.intended, now, "close", size)
    if now >= held.deadline and held.why != VIEWS:
        return [_refuse(held.intended, f"gave up waiting: {held.why}")]
    if held.why == UNREAD and not account.was_read:
        account.held.append(msgspec.structs.replace(held, not_before=now + UNREAD_LOOK))
        return []
    return _decided(gate, account, held.intended, now, by_person=False)


def _stream_broken(gate: Gate) -> list[Output]:
    for account in gate.accounts.values():
        for slot in account.slots.values():
            slot.gapless = False
    return []


def _epoch_raised(account: AccountGate, epoch: int) -> list[Output]:
    if epoch <= account.epoch:
        return []
    account.epoch = epoch
    stale = [held for held in account.held if held.intended.epoch < epoch]
    account.held = [held for held in account.held if held.intended.epoch >= epoch]
    return [_refuse(held.intended, f"epoch {epoch} holds the account now") for held in stale]


def _resumed(gate: Gate, intended: Intended, sent_at: int) -> list[Output]:
    """Take over a goal of a run that died: it counts as sent, outcome unknown."""
    account = gate.of(intended.account)
    goal = intended.goal
    request = _request(gate, intended, "partial" if goal.act == "reduce" else goal.act, 0)
    if goal.act in ("cancel", "resize"):
        account.cancels[goal.order] = CancelSlot(
            request=request, intended=intended, sent_at=sent_at, outcome=UNKNOWN
        )
    elif goal.act in ("close", "reduce"):
        account.slots[goal.contract] = Slot(
            request=request,
            intended=intended,
            sent_at=sent_at,
            side=0,
            size=0,
            seen_before=0,
            gapless=False,
            outcome=UNKNOWN,
        )
    else:
        return []
    return [
        Report(_sent(intended, request)),
        Read(account.account, RECENT, "a request of an earlier run is not settled"),
    ]


def wake_at(gate: Gate) -> int:
    """Return the next instant at which `Ticked` could do anything, 0 for none."""
    found: list[int] = []
    for account in gate.accounts.values():
        found += [held.not_before for held in account.held]
        found += [_read_due(slot) for slot in account.slots.values()]
        found += [
            max(cancel.sent_at, cancel.asked_read_at) + SECOND
            for cancel in account.cancels.values()
            if cancel.outcome == UNKNOWN
        ]
    return min(found, default=0)


def unsettled(gate: Gate) -> int:
    """Return how many requests have no end yet."""
    return sum(len(a.slots) + len(a.cancels) for a in gate.accounts.values())


__all__ = [
    "Answered",
    "Arrived",
    "Decided",
    "EpochRaised",
    "Gate",
    "Read",
    "ReadDone",
    "Report",
    "Resumed",
    "Send",
    "StreamBroken",
    "Ticked",
    "step",
    "unsettled",
    "wake_at",
]

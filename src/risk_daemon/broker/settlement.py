"""How requests end: answered, attributed, contained in every view, or void.

A close answers with no order id. It is found by what it is; it has ended when
its order has, and its fill is in every view that could size the next request.
An outcome that stays unknown is *void* only when two reads found nothing, the
second late enough that the order could not be hiding.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.broker.gate import (
    MS,
    SECOND,
    AccountGate,
    Output,
    Read,
    Report,
    Slot,
    hold,
    is_working,
    settled,
)
from risk_daemon.broker.port import (
    ACCEPTED,
    FLAT,
    FULL,
    GONE,
    PENDING,
    POSITIONS,
    THROTTLED,
    UNAUTHORIZED,
    UNKNOWN,
    Outcome,
    Reading,
    Request,
)
from risk_daemon.core.account import FILLED, MARKET, REJECTED, is_closing
from risk_daemon.core.events import OrderChanged, RequestAnswered

THROTTLED_WAIT: Final = 500 * MS
THROTTLED_MAX: Final = 90 * SECOND
SETTLE_READ_AFTER: Final = 250 * MS
VOID_AFTER: Final = SECOND
VOID_AFTER_GAP: Final = 3 * SECOND
VOID_BETWEEN: Final = 250 * MS
#: After that nothing is under way any more, whatever else moved the position meanwhile.
VOID_AT_LAST: Final = 10 * SECOND
UNKNOWN_LOOK_AFTER: Final = 250 * MS
ACCEPTED_LOOK_AFTER: Final = 750 * MS
CLOCKS_DIFFER: Final = 100 * MS

#: Refusals that prove the broker did not look at the request: the same goal may leave again.
NOT_LOOKED_AT: Final = frozenset({THROTTLED, UNAUTHORIZED})


def answered(account: AccountGate, request: Request, outcome: Outcome, now: int) -> list[Output]:
    """Take the broker's answer: accepted is not done, unknown is not refused."""
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
        return outputs + settle(account, now)
    if outcome.outcome == UNKNOWN:
        return outputs + settle(account, now)
    if slot.ended_at:
        return outputs + settle(account, now)
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
        return hold(account, slot.intended, *_later(now), outcome.meaning)
    if outcome.outcome == ACCEPTED:
        return [settled(request, "ended", 0)]
    if outcome.meaning == GONE:
        return [settled(request, "gone", 0), Read(account.account, FULL, "an order is gone")]
    return [settled(request, "rejected", 0)]


def _close_refused(account: AccountGate, slot: Slot, outcome: Outcome, now: int) -> list[Output]:
    request = slot.request
    del account.slots[request.contract]
    if outcome.meaning in NOT_LOOKED_AT:
        return hold(account, slot.intended, *_later(now), outcome.meaning)
    how = "flat" if outcome.meaning == FLAT else "rejected"
    return [settled(request, how, 0), Read(account.account, FULL, f"a close was {how}")]


def _later(now: int) -> tuple[int, int]:
    """Return when a goal that was not looked at may leave again, and when it is given up."""
    return now + THROTTLED_WAIT, now + THROTTLED_MAX


def settle(account: AccountGate, now: int) -> list[Output]:
    """Free the slots whose requests have ended by what arrived."""
    outputs: list[Output] = []
    for contract in sorted(account.slots):
        slot = account.slots[contract]
        _attribute(account, contract, slot)
        if slot.order and not slot.ended_at:
            _note_end(account, slot, now)
        # Also answered: until then the broker may still be busy with the request itself.
        if slot.ended_at and slot.outcome and _is_contained(account, contract, slot):
            outputs += _free(account, contract, slot.how)
    for number in sorted(account.cancels):
        cancel = account.cancels[number]
        seen = account.orders.get(number)
        if cancel.outcome == UNKNOWN and seen and not is_working(seen.order):
            del account.cancels[number]
            outputs.append(settled(cancel.request, "ended", 0))
    return outputs


def _attribute(account: AccountGate, contract: str, slot: Slot) -> None:
    """Find the market order that our request became: the close answers with no id."""
    if slot.order:
        return
    candidates = [
        seen
        for seen in account.orders.values()
        if seen.number > slot.seen_before and _could_be(account, seen.order, contract, slot)
    ]
    # A whole close has the size the position had when the broker took it: ours, unless
    # another fill came between.
    exact = [seen for seen in candidates if seen.order.size == slot.size]
    if slot.request.act == "partial" and slot.size:
        candidates = exact
    if candidates:
        slot.order = min(exact or candidates, key=lambda seen: seen.number).order.order


def _could_be(account: AccountGate, order: OrderChanged, contract: str, slot: Slot) -> bool:
    if order.contract != contract or order.type != MARKET:
        return False
    if slot.side:
        return order.side == slot.side
    # Taken over from a run that died: what it saw is lost. The broker's time is not, and a
    # close stands against the position it found: the entry that made it necessary does not.
    found = account.view(contract).by_orders - order.side * order.filled
    late = order.created >= slot.sent_at - CLOCKS_DIFFER
    return account.was_read and late and is_closing(order, found)


def _note_end(account: AccountGate, slot: Slot, now: int) -> None:
    order = account.orders[slot.order].order
    if is_working(order):
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
        settled(slot.request, how, slot.filled),
        Read(account.account, POSITIONS, "verify after a close"),
    ]


def slot_read(account: AccountGate, contract: str, reading: Reading) -> list[Output]:
    """Judge one unsettled close by a read: contained, still there, or void."""
    slot = account.slots[contract]
    proven = slot.ended_at and reading.began_at >= slot.ended_at and reading.rows.stable
    if proven and slot.outcome:
        return _free(account, contract, slot.how)
    if slot.order or reading.recent is None or reading.began_at < slot.since:
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
    enough = last - slot.since >= wait and last - first >= VOID_BETWEEN
    late = last - slot.since >= VOID_AT_LAST
    return enough and (unchanged or flat or late) and not _is_closed_by_another(account, contract)


def _is_closed_by_another(account: AccountGate, contract: str) -> bool:
    """Tell whether an order that closes works still, and may be what was sent.

    Of an earlier run's by its time it is not, but that time is by a clock which may have been ahead
    of the broker's; of our own by its side it is not, but a partial close that meets a position
    which has flipped stands on the other one. Whoever's it is: what it will close need not be
    closed beside it.
    """
    quantity = account.view(contract).by_orders
    return any(
        seen.order.contract == contract
        and seen.order.type == MARKET
        and is_working(seen.order)
        and is_closing(seen.order, quantity)
        for seen in account.orders.values()
    )


def cancels_read(account: AccountGate, reading: Reading) -> list[Output]:
    """A read begun after an unknown cancel shows the order working or gone."""
    outputs: list[Output] = []
    for number in sorted(account.cancels):
        cancel = account.cancels[number]
        if cancel.outcome != UNKNOWN or reading.began_at < cancel.sent_at:
            continue
        del account.cancels[number]
        seen = account.orders.get(number)
        gone = seen is None or not is_working(seen.order)
        outputs.append(settled(cancel.request, "ended" if gone else "rejected", 0))
    return outputs


def read_due(slot: Slot) -> int:
    """Return when the next look at an unsettled close is due."""
    if slot.ended_at:
        return max(slot.ended_at, slot.asked_read_at) + SETTLE_READ_AFTER
    if not slot.outcome:
        return slot.since + 60 * SECOND  # the client's own time-out answers before
    if slot.outcome == UNKNOWN:
        if not slot.asked_read_at:
            return slot.since + UNKNOWN_LOOK_AFTER
        void_at = slot.since + (VOID_AFTER if slot.gapless else VOID_AFTER_GAP)
        # Not void though it could be: another fill hides what became of it. Looked for four times
        # a second until it is void at last, it would use up the requests of the login.
        if slot.asked_read_at >= void_at + VOID_BETWEEN:
            return slot.asked_read_at + SECOND
        return max(slot.asked_read_at + VOID_BETWEEN, min(void_at, slot.asked_read_at + SECOND))
    return max(slot.since, slot.asked_read_at) + ACCEPTED_LOOK_AFTER

"""The last door before the broker. step(gate, input) -> outputs.

Everything that could go wrong between a decision and its order ends here: an
old epoch never leaves, nothing leaves that could raise or flip a position,
one closing request per contract is under way at a time, and its size is taken
from the link's own view at the moment of sending. A request whose outcome is
unknown is never repeated: look, and only when two reads find nothing is it
*void*, and a new goal may be sized.

"Old" is older than any that was heard of, by a lease or by a goal.

Rules for editors: no clock (times come in), no retries but those of `_held`
(a goal that provably did not leave), and no order of our own, ever. |quantity|
means the smallest of three views: trades, order fills, position messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

import msgspec

from risk_daemon.broker import looks
from risk_daemon.broker.gate import (
    MS,
    SECOND,
    AccountGate,
    Answered,
    Arrived,
    CancelSlot,
    Decided,
    EpochRaised,
    Gate,
    Held,
    Input,
    Output,
    Read,
    ReadDone,
    Report,
    Resumed,
    Send,
    Slot,
    StreamBroken,
    Ticked,
    View,
    hold,
    is_working,
    protects,
    refuse,
)
from risk_daemon.broker.port import FULL, RECENT, UNKNOWN, Reading, Request
from risk_daemon.broker.settlement import (
    CLOCKS_DIFFER,
    answered,
    cancels_read,
    read_due,
    settle,
    slot_read,
)
from risk_daemon.broker.sight import (
    calls_for_watching,
    count,
    note_flat,
    see_order,
    see_trade,
    take_rows,
    version_of,
    watched,
)
from risk_daemon.core.events import (
    AccountSeen,
    Fact,
    Goal,
    Intended,
    OrderChanged,
    PositionChanged,
    RequestSent,
    TradeSeen,
)

VIEWS_WAIT: Final = 500 * MS
UNREAD_LOOK: Final = 250 * MS
UNREAD_MAX: Final = 30 * SECOND

#: An order may have been made so long before its request left, by clocks that differ: and one that
#: was seen by then was not made by it.
OVER: Final = CLOCKS_DIFFER + 1

# Why goals are held.
VIEWS: Final = "views"
UNREAD: Final = "the account has not been read"

#: Why a goal that left is over though nothing of it was seen.
SUPERSEDED: Final = "another request for the same left after it"


def step(gate: Gate, given: Input, now: int) -> list[Output]:
    """Take one input at an instant; return what is to be done, in order."""
    match given:
        case Arrived(fact=fact):
            return _arrived(gate, fact, now)
        case Decided(intended=intended, by_person=by_person):
            return _decided(gate, gate.of(intended.account), intended, now, by_person=by_person)
        case Answered(request=request, outcome=outcome):
            return answered(gate.of(request.account), request, outcome, now)
        case ReadDone(reading=reading):
            return _read_done(gate, gate.of(reading.account), reading, now)
        case StreamBroken():
            return _stream_broken(gate)
        case EpochRaised(account=account, epoch=epoch):
            return _epoch_raised(gate.of(account), epoch)
        case Resumed(intended=intended, sent_at=sent_at):
            return _resumed(gate, intended, sent_at, now)
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
        case AccountSeen():
            account = gate.of(fact.account)
            looks.take_balance(account, fact.balance)
            looks.note(account, now)
            return []
        case OrderChanged() | TradeSeen() | PositionChanged():
            account = gate.of(fact.account)
            count(gate, account, fact.contract)
            _see(account, fact, now)
            looks.note(account, now)
            return settle(account, now) + _agreed(gate, account, now)
        case _:
            return []


def _see(account: AccountGate, fact: OrderChanged | TradeSeen | PositionChanged, now: int) -> None:
    """Let a fact move the one view that it is evidence for."""
    match fact:
        case OrderChanged():
            see_order(account, fact, counts=True)
        case TradeSeen():
            see_trade(account, fact)
            account.last_traded, account.last_traded_at = fact.contract, now
        case PositionChanged():
            view = account.view(fact.contract)
            view.by_position = fact.quantity
            note_flat(view)
        case _ as never:
            assert_never(never)


# --- goals -------------------------------------------------------------------


def _decided(
    gate: Gate, account: AccountGate, intended: Intended, now: int, *, by_person: bool
) -> list[Output]:
    goal = intended.goal
    if intended.epoch < account.epoch and not by_person:
        return [refuse(intended, f"epoch {intended.epoch} is older than {account.epoch}")]
    if intended.epoch > account.epoch and not by_person:
        # Its holder is ahead of the stream: from here on nothing of the one before may leave.
        raised = _epoch_raised(account, intended.epoch)
        return raised + _decided(gate, account, intended, now, by_person=by_person)
    if goal.act == "look":
        return [Read(account.account, _depth_of_look(account, goal), goal.reason or "asked")]
    if not account.was_read:
        return hold(account, intended, now + UNREAD_LOOK, now + UNREAD_MAX, UNREAD)
    match goal.act:
        case "cancel":
            return _cancel(gate, account, intended, now)
        case "resize":
            return _resize(gate, account, intended, now)
        case "close" | "reduce":
            return _close(gate, account, intended, now)
        case _:
            return [refuse(intended, f"this release does not know the act {goal.act!r}")]


def _depth_of_look(account: AccountGate, goal: Goal) -> str:
    """What one view shows to be nothing nobody asks to have reduced: it waits for this read."""
    view = account.views.get(goal.contract)
    return FULL if view is None or view.agrees else RECENT


def _cancel(gate: Gate, account: AccountGate, intended: Intended, now: int) -> list[Output]:
    goal = intended.goal
    seen = account.orders.get(goal.order)
    if seen is None or not is_working(seen.order):
        return [refuse(intended, "the order is not working")]
    if goal.order in account.cancels:
        return [refuse(intended, "a request for this order is unanswered")]
    quantity = account.view(seen.order.contract).quantity
    if protects(seen.order, quantity) and not goal.closing:
        return [refuse(intended, "the order protects a position that is not being closed")]
    return _send_for_order(gate, account, intended, now, "cancel", 0)


def _resize(gate: Gate, account: AccountGate, intended: Intended, now: int) -> list[Output]:
    goal = intended.goal
    seen = account.orders.get(goal.order)
    if seen is None or not is_working(seen.order):
        return [refuse(intended, "the order is not working")]
    if goal.order in account.cancels:
        return [refuse(intended, "a request for this order is unanswered")]
    size = goal.allowed + seen.order.filled
    if goal.allowed <= 0 or size >= seen.order.size:
        return [refuse(intended, "a resize only makes an order smaller")]
    return _send_for_order(gate, account, intended, now, "modify", size)


def _send_for_order(
    gate: Gate, account: AccountGate, intended: Intended, now: int, act: str, size: int
) -> list[Output]:
    request = _request(gate, intended, act, size)
    account.cancels[request.order] = CancelSlot(request=request, intended=intended, sent_at=now)
    return [Report(_sent(intended, request, account.epoch)), Send(request)]


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


def _sent(intended: Intended, request: Request, highest: int) -> RequestSent:
    return RequestSent(
        account=request.account,
        key=request.key,
        request=request.request,
        act=request.act,
        contract=request.contract,
        order=request.order,
        size=request.size,
        epoch=intended.epoch,
        highest=highest,
    )


def _close(gate: Gate, account: AccountGate, intended: Intended, now: int) -> list[Output]:
    """Size a close or a reduction from what is live now; let nothing out that is not needed."""
    goal = intended.goal
    view = account.view(goal.contract)
    if goal.contract in account.slots:
        return [refuse(intended, "a closing request for this contract is under way")]
    if not goal.locked and goal.version < view.flat_version:
        return [refuse(intended, "the position it was decided for has ended")]
    moved = [name for name, version in goal.versions if account.view(name).version != version]
    if moved:
        return [refuse(intended, f"{', '.join(moved)} moved since the decision")]
    quantity = view.quantity
    if goal.act == "close" and quantity == 0 and not view.is_flat:
        return _doubtful(account, intended, now)
    size = abs(quantity) - goal.allowed
    if size <= 0:
        if view.largest > goal.allowed:
            looks.hold_up(account, now)
        return [refuse(intended, f"holds {quantity}, nothing is left to reduce")]
    if goal.act == "close" and not goal.exact:
        return _send_close(gate, account, intended, now, "close", abs(quantity))
    return _send_close(gate, account, intended, now, "partial", size)


def _doubtful(account: AccountGate, intended: Intended, now: int) -> list[Output]:
    """Views differ about zero: read, at most 500 ms, then let the broker's close decide."""
    until = now + VIEWS_WAIT
    held = hold(account, intended, until, until, VIEWS)
    return [*held, Read(account.account, FULL, "views of a position differ")]


def _agreed(gate: Gate, account: AccountGate, now: int) -> list[Output]:
    """Take up goals that waited for the views of their contract, once those agree."""
    if not account.held:
        return []
    ready = {name for name, view in account.views.items() if view.agrees}
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
        since=now,
        side=_closing_side(view),
        size=size,
        seen_before=account.sights,
    )
    return [Report(_sent(intended, request, account.epoch)), Send(request)]


def _closing_side(view: View) -> int:
    """Return the side that closes the position: where views differ, by what shows one at all."""
    return -1 if (view.by_position or view.by_trades or view.by_orders) > 0 else 1


# --- reads -------------------------------------------------------------------


def _read_done(gate: Gate, account: AccountGate, reading: Reading, now: int) -> list[Output]:
    rows = reading.rows
    if rows.only_positions:
        return _confirm(account, reading, now)
    for order in (*(reading.recent or ()), *rows.orders):
        see_order(account, order, counts=False)
    for trade in rows.trades:
        see_trade(account, trade)
    if rows.stable:
        take_rows(gate, account, reading)
        looks.explain(account)
        account.was_read = True
    looks.note(account, now)
    outputs = settle(account, now)
    for contract in sorted(account.slots):
        outputs += slot_read(account, contract, reading)
    if rows.stable:
        outputs += cancels_read(account, reading)
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
    return settle(account, now)


# --- time, gaps, epochs ------------------------------------------------------


def _ticked(gate: Gate, account: AccountGate, now: int) -> list[Output]:
    outputs = _release(gate, account, now, lambda held: now >= held.not_before)
    for contract in sorted(account.slots):
        slot = account.slots[contract]
        if now >= read_due(slot):
            slot.asked_read_at = now
            # The next close waits for this read, so it is one that enforcement's requests may pay.
            outputs.append(Read(account.account, RECENT, "a close is not settled"))
    for number in sorted(account.cancels):
        cancel = account.cancels[number]
        if cancel.outcome == UNKNOWN and now - max(cancel.sent_at, cancel.asked_read_at) >= SECOND:
            cancel.asked_read_at = now
            outputs.append(Read(account.account, RECENT, "a cancel is not settled"))
    return outputs + looks.due(account, now)


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
        return _send_close(gate, account, held.intended, now, "close", view.largest)
    if now >= held.deadline and held.why != VIEWS:
        return [refuse(held.intended, f"gave up waiting: {held.why}")]
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
    account.epoch = max(account.epoch, epoch)
    stale = [held for held in account.held if held.intended.epoch < account.epoch]
    account.held = [held for held in account.held if held not in stale]
    return [refuse(held.intended, f"epoch {epoch} holds the account now") for held in stale]


def _resumed(gate: Gate, intended: Intended, sent_at: int, now: int) -> list[Output]:
    """Take over a goal of a run that died: it counts as sent, outcome unknown.

    The time is by another clock; where that is ahead of ours, no read could ever begin after it, as
    a cancel waits for. A close waits for none: what is older than its time is not taken for it,
    also where it is our clock that is behind. Where the other was behind (the host slept, its clock
    was set), what was sent just now would pass for long gone: so how long it is looked for counts
    from now, by our own.
    """
    account = gate.of(intended.account)
    account.epoch = max(account.epoch, intended.epoch)
    goal = intended.goal
    before: Slot | CancelSlot | None = None
    if goal.act in ("cancel", "resize"):
        sent_at = min(sent_at, now)
        before = account.cancels.get(goal.order)
    elif goal.act in ("close", "reduce"):
        before = account.slots.get(goal.contract)
    else:
        return []
    if before is not None and not _left_later(before, sent_at):
        return [refuse(intended, SUPERSEDED)]
    request = _request(gate, intended, "partial" if goal.act == "reduce" else goal.act, 0)
    if goal.act in ("cancel", "resize"):
        account.cancels[goal.order] = CancelSlot(
            request=request, intended=intended, sent_at=sent_at, outcome=UNKNOWN
        )
    else:
        account.slots[goal.contract] = Slot(
            request=request,
            intended=intended,
            sent_at=sent_at,
            since=now,
            side=0,
            size=0,
            seen_before=0,
            gapless=False,
            outcome=UNKNOWN,
        )
    over = [] if before is None else [refuse(before.intended, SUPERSEDED)]
    return [
        *over,
        Report(_sent(intended, request, 0)),
        Read(account.account, RECENT, "a request of an earlier run is not settled"),
    ]


def _left_later(before: Slot | CancelSlot, sent_at: int) -> bool:
    """Tell whether a goal of an earlier run left after what is under way for the same.

    One leaves at a time, so what left before the last has ended. What left here is the last.
    """
    is_of_earlier_run = isinstance(before, CancelSlot) or not before.side
    return is_of_earlier_run and sent_at > before.sent_at


def wake_at(gate: Gate) -> int:
    """Return the next instant at which `Ticked` could do anything, 0 for none."""
    found: list[int] = []
    for account in gate.accounts.values():
        found += looks.wakes(account)
        found += [held.not_before for held in account.held]
        found += [read_due(slot) for slot in account.slots.values()]
        found += [
            max(cancel.sent_at, cancel.asked_read_at) + SECOND
            for cancel in account.cancels.values()
            if cancel.outcome == UNKNOWN
        ]
    return min(found, default=0)


def leaves_at(gate: Gate, account: int, now: int) -> int:
    """Return the time to note for what leaves now, so that no older order is taken for it.

    Whoever takes it over compares it with the broker's times. Where our clock is behind those, what
    was seen here already tells better: it was made before.
    """
    return max(now, gate.of(account).newest + OVER)


def unsettled(gate: Gate) -> int:
    """Return how many requests have no end yet."""
    return sum(len(a.slots) + len(a.cancels) for a in gate.accounts.values())


__all__ = [
    "Answered",
    "Arrived",
    "Decided",
    "EpochRaised",
    "Gate",
    "Input",
    "Output",
    "Read",
    "ReadDone",
    "Report",
    "Resumed",
    "Send",
    "StreamBroken",
    "Ticked",
    "View",
    "calls_for_watching",
    "is_working",
    "leaves_at",
    "protects",
    "step",
    "unsettled",
    "version_of",
    "wake_at",
    "watched",
]

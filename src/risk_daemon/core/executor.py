"""From target to goals: compare what is demanded with what the broker shows, ask for the rest.

Level-triggered: the same state gives the same goals, a repeated message gives
none. One closing goal per contract is under way at a time (its *slot*), one
cancel or resize per order. Order of requests, per contract: cancels of
resting orders that could raise the position or fill beside the close; the
close once they are acknowledged, or 250 ms after they were asked; the rest
only when flat. The ladder's times are looks: a closing goal that has left is
never repeated before its request is settled.

Rules for editors: goals are sized by the link when they leave, from its own
view; here the smaller of our views decides whether to ask at all. Nothing here
may ask for more risk. `wakes` must name every time this file waits for.
"""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.core.account import (
    MARKET,
    SUSPENDED,
    Account,
    Asked,
    Plan,
    Slot,
    is_closing,
    is_increasing,
    remaining,
    working,
)
from risk_daemon.core.decision import Target
from risk_daemon.core.events import (
    AlarmRaised,
    Fact,
    Goal,
    GoalRefused,
    Intended,
    OrderChanged,
    RequestAnswered,
    RequestSent,
    RequestSettled,
)
from risk_daemon.core.instrument import Instrument, ticks_between
from risk_daemon.core.lockout import closes_everything, covers
from risk_daemon.core.position import Holding

MS: Final = 1_000_000
CANCEL_WAIT: Final = 250 * MS
LOOKS: Final = (750 * MS, 1_250 * MS, 2_250 * MS)
UNSENT_MAX: Final = 1_250 * MS
REFUSED_WAIT: Final = 100 * MS
REJECTED_WAIT: Final = 2_000 * MS
URGENT_AFTER: Final = 3_000 * MS
PAGE_AFTER: Final = 10_000 * MS
STABLE_FOR: Final = 2_000 * MS
SWEEPS: Final = (0, 1_000 * MS, 5_000 * MS)
PLATFORM_WAIT: Final = 1_000 * MS
PLATFORM_LOOK: Final = 500 * MS
RESIDUE_WINDOW: Final = 10_000 * MS
NEAR_TICKS: Final = 8
EXACT_ATTEMPT: Final = 3


class Scene(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the executor may look at besides the account: where and when, marks, grids."""

    seq: int
    at: int
    target: Target
    primary: str
    reason: str
    near: dict[str, tuple[int, int]]
    instruments: dict[str, Instrument]


# --- what became of goals ----------------------------------------------------


def note(
    account: Account,
    fact: GoalRefused | RequestSent | RequestAnswered | RequestSettled,
    at: int,
) -> None:
    """Take what became of a goal."""
    match fact:
        case GoalRefused():
            _note_refused(account, fact, at)
        case RequestSent():
            _note_sent(account, fact)
        case RequestAnswered():
            _note_answered(account, fact)
        case _:
            _note_settled(account, fact, at)


def _note_refused(account: Account, fact: GoalRefused, at: int) -> None:
    """The link let nothing out: free the slot, and think again on newer facts."""
    slot = account.slots.get(fact.contract)
    if slot is not None and slot.key == fact.key:
        del account.slots[fact.contract]
        plan = account.plans[fact.contract]
        plan.refusals += 1
        plan.retry_at = at + REFUSED_WAIT
    asked = account.asked.get(fact.order)
    if asked is not None and asked.key == fact.key:
        _ask_again_later(asked, at)


def _ask_again_later(asked: Asked, at: int) -> None:
    """The goal came to nothing: it counts as not sent, and is decided anew after `UNSENT_MAX`."""
    asked.request, asked.failed = "", True
    asked.since = at


def _note_sent(account: Account, fact: RequestSent) -> None:
    """The request is leaving: from here on only the end of its goal frees the slot.

    Where that end is known already, these are the last words of a link that died, or are said again
    to a journal that is back: nobody will tell of another.
    """
    slot = account.slots.get(fact.contract)
    if slot is not None and slot.key == fact.key:
        slot.request = fact.request
    asked = account.asked.get(fact.order)
    if asked is not None and asked.key == fact.key and not asked.failed:
        asked.request = fact.request


def _note_answered(account: Account, fact: RequestAnswered) -> None:
    """Keep the broker's answer; accepted is not done, and unknown is not refused."""
    for slot in account.slots.values():
        if slot.request == fact.request:
            slot.outcome = fact.outcome


def _note_settled(account: Account, fact: RequestSettled, at: int) -> None:
    """The goal has its end: the contract, or the order, may be acted on again.

    Whichever request was said to be sent last: that may be none, where the journal refused it, or
    one of a link that died, whose last words were stored after its successor took the goal over.
    """
    slot = account.slots.get(fact.contract)
    if slot is not None and slot.key == fact.key:
        del account.slots[fact.contract]
        if fact.how == "rejected":
            account.plans[fact.contract].retry_at = at + REJECTED_WAIT
    asked = account.asked.get(fact.order)
    if asked is not None and asked.key == fact.key:
        if fact.how == "rejected":
            _ask_again_later(asked, at)
        else:
            asked.done = True


def wake_for_news(account: Account, contract: str) -> None:
    """A newer fact of the contract arrived: a refused goal may be thought of again at once."""
    plan = account.plans.get(contract)
    if plan is not None and plan.refusals:
        plan.retry_at = 0


# --- the next goals ----------------------------------------------------------


def advance(account: Account, scene: Scene) -> list[Fact]:
    """Return what is to be asked for now; at most one goal per slot and order."""
    outputs: list[Fact] = []
    _drop_unsent(account, scene)
    outputs += _cancels(account, scene)
    for contract in sorted(account.holdings):
        outputs += _contract(account, account.holdings[contract], scene)
    outputs += _platform_look(account, scene)
    return outputs


def _drop_unsent(account: Account, scene: Scene) -> None:
    """Give up goals that never left (the link was away); they are decided anew."""
    for contract in sorted(account.slots):
        slot = account.slots[contract]
        if not slot.request and scene.at - slot.since >= UNSENT_MAX:
            del account.slots[contract]
    for number in sorted(account.asked):
        asked = account.asked[number]
        if not asked.request and scene.at - asked.since >= UNSENT_MAX:
            del account.asked[number]


def _intend(account: Account, scene: Scene, goal: Goal, leg: str) -> Intended:
    key = f"{account.account}:{scene.primary or 'none'}:{scene.seq}:{leg}"
    return Intended(
        account=account.account, epoch=account.epoch, cause_seq=scene.seq, key=key, goal=goal
    )


def _cancels(account: Account, scene: Scene) -> list[Fact]:
    """Ask for the cancels that the target demands by itself, nearest to the market first."""
    target = scene.target
    wanted: list[OrderChanged] = []
    outputs: list[Fact] = []
    for order in working(account):
        held = account.holding(order.contract)
        if order.order in account.asked or _is_on_its_way(order):
            continue
        named = order.order in target.cancel_orders
        stops = target.stops_growth_in(order.contract)
        grows = stops and _could_increase(account, order, held)
        if grows and not named and _covers_too_much(order, held):
            if target.allowance(order.contract) != 0:
                outputs.append(_resize(account, scene, order, abs(held.enforceable)))
        elif named or grows or (target.clears(order.contract) and held.is_flat):
            wanted.append(order)
    return outputs + [_cancel(account, scene, order) for order in _nearest_first(wanted, scene)]


def _covers_too_much(order: OrderChanged, held: Holding) -> bool:
    """Tell a closing order that would flip: made smaller it still protects the position."""
    return is_closing(order, held.enforceable)


def _could_increase(account: Account, order: OrderChanged, held: Holding) -> bool:
    if order.status == SUSPENDED and order.parent in account.orders:
        return False  # ends with its parent, which is cancelled for its own sake
    if not is_increasing(order, held.enforceable):
        return False
    # Between the messages of one fill the smaller view shows less than is held: what would only
    # close by the larger one is no growth yet. Asked for now, its cancel would be refused, and
    # the stop would still be there beside the close.
    return held.agreed or is_increasing(order, held.exposure)


def _is_on_its_way(order: OrderChanged) -> bool:
    """Market orders fill before a cancel could reach them: neither cancelled nor waited for."""
    return order.type == MARKET


def _nearest_first(orders: list[OrderChanged], scene: Scene) -> list[OrderChanged]:
    return sorted(orders, key=lambda order: (_distance(order, scene), order.order))


def _distance(order: OrderChanged, scene: Scene) -> int:
    """Return ticks from the market; an order without price or mark counts as touching it."""
    price = order.limit_price or order.stop_price
    mark, grid = scene.near.get(order.contract), scene.instruments.get(order.contract)
    if price is None or mark is None or grid is None:
        return 0
    return min(ticks_between(grid, price, side) for side in mark)


def _cancel(
    account: Account, scene: Scene, order: OrderChanged, *, closing: bool = False
) -> Intended:
    goal = Goal(
        act="cancel",
        account=account.account,
        contract=order.contract,
        order=order.order,
        locked=_is_locked_shut(account, order.contract, scene),
        closing=closing,
        rule=scene.primary,
        reason=scene.reason,
    )
    return _ask(account, scene, goal, f"cancel-{order.order}")


def _ask(account: Account, scene: Scene, goal: Goal, leg: str) -> Intended:
    intended = _intend(account, scene, goal, leg)
    account.asked[goal.order] = Asked(
        key=intended.key, cause_seq=scene.seq, goal=goal, since=scene.at
    )
    return intended


def _is_locked_shut(account: Account, contract: str, scene: Scene) -> bool:
    grid = scene.instruments.get(contract)
    root = grid.root if grid else ""
    return any(closes_everything(lock) and covers(lock, root) for lock in account.locks.values())


def _contract(account: Account, holding: Holding, scene: Scene) -> list[Fact]:
    """Move one contract one step towards its target."""
    allowed = scene.target.allowance(holding.contract)
    plan = account.plans.get(holding.contract)
    if allowed is None or abs(holding.exposure) <= allowed:
        return [] if plan is None else _after(account, holding, plan, scene)
    if plan is None or plan.reached_at:
        plan = _begin(account, holding, scene, plan, allowed)
    plan.to_zero = plan.to_zero or allowed == 0
    outputs = _note_residue(account, holding, plan, scene)
    if len(plan.residues) >= 2:
        return outputs  # only a person's order goes on from here
    outputs += _clear_the_way(account, holding, scene, allowed)
    if _may_close(account, holding, plan, scene, allowed):
        outputs += _close(account, holding, plan, scene, allowed)
    outputs += _ladder(account, holding, plan, scene)
    return outputs


def _begin(
    account: Account, holding: Holding, scene: Scene, before: Plan | None, allowed: int
) -> Plan:
    plan = Plan(since=scene.at, cause_seq=scene.seq, rule=scene.primary, to_zero=allowed == 0)
    if before is not None:
        plan.residues, plan.direction = before.residues, before.direction
    account.plans[holding.contract] = plan
    return plan


def _note_residue(account: Account, holding: Holding, plan: Plan, scene: Scene) -> list[Fact]:
    """Notice that the position came out on the other side of a close of ours."""
    quantity = holding.enforceable
    direction = (quantity > 0) - (quantity < 0)
    flipped = plan.attempts > 0 and direction * plan.direction < 0
    if direction and (flipped or plan.attempts == 0):
        plan.direction = direction
    if not flipped:
        return []
    plan.residues = [at for at in plan.residues if scene.at - at < RESIDUE_WINDOW] + [scene.at]
    page = len(plan.residues) >= 2
    text = f"{holding.contract} came out at {quantity} after a close raced with another fill"
    return [_alarm(account, "page" if page else "urgent", "residue", text)]


def _clear_the_way(account: Account, holding: Holding, scene: Scene, allowed: int) -> list[Fact]:
    """Ask for the cancels and resizes that must not fill beside the close."""
    outputs: list[Fact] = []
    quantity = holding.enforceable
    mine = [o for o in working(account) if o.contract == holding.contract]
    wanted = []
    for order in mine:
        if order.order in account.asked or _is_on_its_way(order):
            continue
        if not is_closing(order, quantity) or order.status == SUSPENDED:
            continue  # what could grow goes by the target's own demand
        if allowed == 0:
            flips = remaining(order) > abs(quantity)
            if flips or _distance(order, scene) <= NEAR_TICKS:
                wanted.append(order)
        elif remaining(order) > allowed:
            outputs.append(_resize(account, scene, order, allowed))
    closing = allowed == 0
    outputs[:0] = [
        _cancel(account, scene, order, closing=closing) for order in _nearest_first(wanted, scene)
    ]
    return outputs


def _resize(account: Account, scene: Scene, order: OrderChanged, allowed: int) -> Intended:
    goal = Goal(
        act="resize",
        account=account.account,
        contract=order.contract,
        order=order.order,
        allowed=allowed,
        rule=scene.primary,
        reason=scene.reason,
    )
    return _ask(account, scene, goal, f"resize-{order.order}")


def _may_close(account: Account, holding: Holding, plan: Plan, scene: Scene, allowed: int) -> bool:
    if abs(holding.enforceable) <= allowed or holding.contract in account.slots:
        return False
    if scene.at < plan.retry_at or _platform_is_first(account, holding, scene):
        return False
    return not _waits_for_cancels(account, holding.contract, scene.at)


def _waits_for_cancels(account: Account, contract: str, at: int) -> bool:
    return any(
        asked.goal.contract == contract
        and asked.goal.act == "cancel"
        and not asked.done
        and number in account.orders
        and at - asked.since < CANCEL_WAIT
        for number, asked in account.asked.items()
    )


def _platform_is_first(account: Account, holding: Holding, scene: Scene) -> bool:
    """Wait for a market order that closes already, the platform's or the trader's own.

    Two market orders on the closing side would end beyond zero. The wait is
    bounded: an order that hangs for a second is no reason to stay exposed.
    """
    if account.platform_since and scene.at - account.platform_since < PLATFORM_WAIT:
        return True
    quantity = holding.enforceable
    ours = account.slots.get(holding.contract)
    return ours is None and any(
        order.type == MARKET
        and order.contract == holding.contract
        and is_closing(order, quantity)
        and scene.at - order.created < PLATFORM_WAIT
        for order in working(account)
    )


def _close(
    account: Account, holding: Holding, plan: Plan, scene: Scene, allowed: int
) -> list[Fact]:
    plan.attempts += 1
    locked = _is_locked_shut(account, holding.contract, scene)
    goal = Goal(
        act="close" if allowed == 0 else "reduce",
        account=account.account,
        contract=holding.contract,
        allowed=allowed,
        locked=locked,
        exact=plan.attempts == EXACT_ATTEMPT,
        version=holding.version,
        versions=() if allowed == 0 else _other_versions(account, holding.contract),
        rule=scene.primary,
        reason=scene.reason,
    )
    intended = _intend(account, scene, goal, f"{goal.act}-{holding.contract}")
    account.slots[holding.contract] = Slot(
        key=intended.key, cause_seq=scene.seq, goal=goal, since=scene.at
    )
    return [intended]


def _other_versions(account: Account, contract: str) -> tuple[tuple[str, int], ...]:
    """Name the other contracts a limit over several was computed from, as they stood."""
    return tuple(
        (name, held.version)
        for name, held in sorted(account.holdings.items())
        if name != contract and not held.is_flat
    )


def _ladder(account: Account, holding: Holding, plan: Plan, scene: Scene) -> list[Fact]:
    """Look again while the position stays, and tell people when it stays too long."""
    outputs: list[Fact] = []
    waited = scene.at - plan.since
    while plan.looks < len(LOOKS) and waited >= LOOKS[plan.looks]:
        plan.looks += 1
        outputs = [look(account, scene, holding.contract, f"look-{plan.looks}")]
    steps = ((URGENT_AFTER, "urgent"), (PAGE_AFTER, "page"))
    while plan.alarms < len(steps) and waited >= steps[plan.alarms][0]:
        level = steps[plan.alarms][1]
        plan.alarms += 1
        text = (
            f"{holding.contract} is still at {holding.exposure}"
            f" {waited // MS} ms after it had to be reduced ({plan.rule})"
        )
        outputs.append(_alarm(account, level, "not reduced", text))
    return outputs


def look(account: Account, scene: Scene, contract: str, leg: str) -> Intended:
    """Ask for one read of the account."""
    goal = Goal(act="look", account=account.account, contract=contract, reason=scene.reason)
    return _intend(account, scene, goal, f"{leg}-{contract}")


def _alarm(account: Account, level: str, what: str, text: str) -> AlarmRaised:
    return AlarmRaised(account=account.account, level=level, what=what, text=text, source="worker")


def _after(account: Account, holding: Holding, plan: Plan, scene: Scene) -> list[Fact]:
    """Sweep what an ended position left behind, and keep the plan until that is proven."""
    plan.reached_at = plan.reached_at or scene.at
    outputs: list[Fact] = []
    if plan.to_zero and holding.is_flat:
        while plan.sweeps < len(SWEEPS) and scene.at - plan.reached_at >= SWEEPS[plan.sweeps]:
            plan.sweeps += 1
        outputs = _sweep(account, holding, plan, scene)
    done = holding.contract not in account.slots and (plan.verified or not plan.attempts)
    swept = plan.sweeps == len(SWEEPS) or not plan.to_zero
    if done and swept and scene.at - plan.reached_at >= STABLE_FOR:
        del account.plans[holding.contract]
    return outputs


def _sweep(account: Account, holding: Holding, plan: Plan, scene: Scene) -> list[Fact]:
    """Cancel what could open a new position: closing orders of the position we closed."""
    if not plan.attempts:
        return []
    orphans = [
        order
        for order in working(account)
        if order.contract == holding.contract
        and order.order not in account.asked
        and not _is_on_its_way(order)
        and is_closing(order, plan.direction)
        and order.created <= plan.reached_at
    ]
    return [_cancel(account, scene, order) for order in orphans]


def _platform_look(account: Account, scene: Scene) -> list[Fact]:
    """Read the orders once before closing beside a platform that may be liquidating."""
    since = account.platform_since
    if not since or account.platform_looked or scene.at - since < PLATFORM_LOOK:
        return []
    account.platform_looked = True
    return [look(account, scene, "", "platform")]


def note_read(account: Account, began_at: int) -> None:
    """A stable read confirms plans whose target was reached before it began."""
    for plan in account.plans.values():
        if plan.reached_at and began_at >= plan.reached_at:
            plan.verified = True


def unsent(account: Account) -> list[Fact]:
    """Return the goals that are decided and not known to have left, as they were decided."""
    return [
        Intended(
            account=account.account,
            epoch=account.epoch,
            cause_seq=item.cause_seq,
            key=item.key,
            goal=item.goal,
        )
        for item in _unsent(account)
    ]


def _unsent(account: Account) -> list[Slot | Asked]:
    """One whose end is known is asked for by nobody: nothing leaves under its key any more."""
    pending: list[Slot | Asked] = [account.slots[contract] for contract in sorted(account.slots)]
    asked = [account.asked[number] for number in sorted(account.asked)]
    pending += [one for one in asked if not one.failed]
    return [one for one in pending if not one.request]


def again(account: Account, scene: Scene) -> list[Fact]:
    """Return what a new holder must ask for, and give it the time a new goal has."""
    for item in _unsent(account):
        item.since = scene.at
    return unsent(account)


# --- time --------------------------------------------------------------------


def wakes(account: Account) -> list[int]:
    """Return the instants, past ones too, at which `advance` could have more to do."""
    found = [asked.since + CANCEL_WAIT for asked in account.asked.values()]
    found += [asked.since + UNSENT_MAX for asked in account.asked.values() if not asked.request]
    found += [slot.since + UNSENT_MAX for slot in account.slots.values() if not slot.request]
    for plan in account.plans.values():
        found.append(plan.retry_at)
        found += [plan.since + wait for wait in (*LOOKS, URGENT_AFTER, PAGE_AFTER)]
        if plan.reached_at:
            found += [plan.reached_at + wait for wait in (*SWEEPS, STABLE_FOR)]
    if account.platform_since:
        found += [account.platform_since + PLATFORM_LOOK, account.platform_since + PLATFORM_WAIT]
    found += [
        order.created + PLATFORM_WAIT
        for order in account.orders.values()
        if order.type == MARKET and account.plans
    ]
    return found

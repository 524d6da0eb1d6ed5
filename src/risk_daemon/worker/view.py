"""Account to account view: what people see, from what the worker knows."""

from __future__ import annotations

from risk_daemon.core import account as fold
from risk_daemon.core import lockout, session
from risk_daemon.core.account import STOP_TYPES, Account
from risk_daemon.core.decision import Breach, Clear, Finding, Several, Undecided
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import OrderChanged
from risk_daemon.core.instrument import show
from risk_daemon.core.world import World
from risk_daemon.wire.view import (
    VIEW_VERSION,
    AccountView,
    DistanceView,
    LockView,
    OrderView,
    PositionView,
)

_TYPES = {1: "limit", 2: "market", 3: "stop limit", 4: "stop", 5: "trailing stop"}


def view_of(engine: Engine, account: Account, worker: str) -> AccountView:
    """Project an account for people and for comparison between releases."""
    world = engine.world
    positions = _positions(world, account)
    open_pnl = sum(
        fold.unrealized(held, world.marks.get(name), world.instruments.get(name)) or 0
        for name, held in account.holdings.items()
    )
    return AccountView(
        version=VIEW_VERSION,
        account=account.account,
        name=account.name,
        login=account.login,
        release=account.release,
        holder=account.holder,
        epoch=account.epoch,
        seq=world.seq,
        at=session.show_utc(world.at),
        enforcing=account.holder == worker and account.known,
        connected=account.feed == "trusted",
        feed=account.feed,
        last_fact_at=session.show_utc(account.last_fact_at) if account.last_fact_at else None,
        balance=None if account.balance is None else show(account.balance),
        can_trade=account.can_trade,
        realized=show(account.realized_net),
        unrealized=show(open_pnl),
        day_pnl=show(account.realized_net + open_pnl),
        trade_date=account.trade_date,
        pnl_known=account.pnl_is_known,
        mode=lockout.strictest(account.locks),
        positions=positions,
        orders=tuple(_order(order) for order in fold.working(account)),
        locks=_locks(account),
        distances=_distances(engine, account),
        reasons=tuple(account.reasons),
        unknown=tuple(account.doubts[name].why for name in sorted(account.doubts)),
        underway=_underway(account),
    )


def sees(engine: Engine, number: int, name: str) -> str:
    """Say what a rule of an account finds at the moment."""
    for row in _distances(engine, engine.world.accounts[number]):
        if row.rule == name:
            against = f" against {row.limit}" if row.limit else ""
            return f"{row.state}: {row.observed}{against}" if row.observed else row.state
    return ""


def _positions(world: World, account: Account) -> tuple[PositionView, ...]:
    rows = []
    for name in sorted(account.holdings):
        held = account.holdings[name]
        if held.is_flat:
            continue
        grid = world.instruments.get(name)
        open_pnl = fold.unrealized(held, world.marks.get(name), grid)
        average = held.cost // held.by_trades if held.by_trades else 0
        rows.append(
            PositionView(
                contract=name,
                root=grid.root if grid else name,
                quantity=held.exposure,
                average=show(average),
                unrealized=None if open_pnl is None else show(open_pnl),
                agreed=held.agreed,
            )
        )
    return tuple(rows)


def _order(order: OrderChanged) -> OrderView:
    price = order.stop_price if order.type in STOP_TYPES else order.limit_price
    return OrderView(
        order=order.order,
        contract=order.contract,
        side="buy" if order.side > 0 else "sell",
        size=order.size,
        filled=order.filled,
        type=_TYPES.get(order.type, f"type {order.type}"),
        price=None if price is None else show(price),
    )


def _locks(account: Account) -> tuple[LockView, ...]:
    return tuple(
        LockView(
            lock=lock.placed.lock,
            rule=lock.placed.rule,
            mode=lock.placed.mode,
            began_at=session.show_utc(lock.placed.began_at),
            until=session.show_utc(lock.placed.until) if lock.placed.until else None,
            reason=lock.placed.reason,
        )
        for _, lock in sorted(account.locks.items())
    )


def _distances(engine: Engine, account: Account) -> tuple[DistanceView, ...]:
    rows = []
    for setting, rule in engine.rules_of(account):
        try:
            finding: Finding = rule.check(engine.world, account)
        except Exception as error:  # noqa: BLE001 - the engine has alarmed it; here it is shown
            finding = Undecided(why=f"{type(error).__name__}: {error}")
        observed, limit, state = _finding(finding)
        if setting.rule in account.unarmed:
            state = f"{state}, not armed yet"
        rows.append(
            DistanceView(
                rule=setting.rule,
                mode=setting.mode,
                observed=observed,
                limit=limit,
                state=state,
                used=_used(finding),
            )
        )
    return tuple(rows)


def _used(finding: Finding) -> str | None:
    """Return the share of the limit in use; a broken one is used up, most rules have none."""
    match finding:
        case Clear(used=int() as used):
            return show(max(used, 0))
        case Breach() | Several():
            return "1.00"
        case _:
            return None


def _finding(finding: Finding) -> tuple[str, str, str]:
    match finding:
        case Breach():
            return finding.observed, finding.limit, "breach"
        case Several(breaches=breaches):
            return breaches[0].observed, breaches[0].limit, "breach"
        case Clear():
            return finding.observed, finding.limit, "clear"
        case Undecided():
            return finding.why, "", "unknown"


def _underway(account: Account) -> tuple[str, ...]:
    lines = []
    for _, slot in sorted(account.slots.items()):
        state = slot.outcome or ("sent" if slot.request else "decided")
        lines.append(f"{slot.goal.act} {slot.goal.contract}: {state}")
    lines += [
        f"{asked.goal.act} order {number}: {'done' if asked.done else 'asked'}"
        for number, asked in sorted(account.asked.items())
    ]
    return tuple(lines)

"""Facts for `test-rule`: a position opened, a part of it closed. Pure, and sent nowhere."""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.events import (
    ContractSeen,
    Fact,
    MarkChanged,
    PositionChanged,
    TradeSeen,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import World

#: Used where the account has not seen any contract yet.
STAND_IN: Final = ContractSeen(
    contract="CON.F.US.MNQ.REHEARSAL", root="MNQ", tick_size=UNIT // 4, tick_value=UNIT // 2
)
_PRICE: Final = 20_000 * UNIT
_ID: Final = 10**18


class Moment(Fact, frozen=True, kw_only=True):
    """No record: the rehearsal's clock is set to `at`, as a pulse would."""

    at: int


def at(instant: int) -> Moment:
    """Let the rehearsal's time be an instant from here on."""
    return Moment(at=instant)


def contract(world: World) -> str:
    """Return the contract a rehearsal trades: one the broker showed, else a stand-in."""
    return min(world.instruments, default=STAND_IN.contract)


def root(world: World) -> str:
    """Return the root of that contract."""
    grid = world.instruments.get(contract(world))
    return grid.root if grid else STAND_IN.root


def of_root(root: str) -> ContractSeen:
    """Return a stand-in contract of a root, for rules that are about one."""
    return msgspec.structs.replace(STAND_IN, contract=f"CON.F.US.{root}.REHEARSAL", root=root)


def opened(
    world: World,
    account: Account,
    size: int,
    *,
    shown: ContractSeen | None = None,
) -> tuple[Fact, ...]:
    """Return the facts of one buy of this size at the market's price, free of fees.

    `shown` is a contract of its own.
    """
    name = shown.contract if shown else contract(world)
    announced: tuple[Fact, ...] = () if name in world.instruments else (shown or STAND_IN,)
    market = MarkChanged(contract=name, bid=_PRICE, ask=_PRICE, last=_PRICE)
    return (*announced, market, *_fill(world, account, name, 1, size, None, size))


def size_for(world: World, amount: int) -> int:
    """Return how many contracts can lose an amount before their price has halved."""
    tick_size, tick_value = _grid(world)
    return 1 + amount // (tick_value * (_PRICE // tick_size // 2))


def lost(world: World, size: int, amount: int) -> tuple[Fact, ...]:
    """Return a quote at which `size` contracts, bought by `opened`, have lost at least `amount`.

    Both sides move together, so that it is believed however far it is.
    """
    tick_size, tick_value = _grid(world)
    price = _PRICE - -(-amount // (tick_value * size)) * tick_size
    return (MarkChanged(contract=contract(world), bid=price, ask=price, last=price),)


def _grid(world: World) -> tuple[int, int]:
    grid = world.instruments.get(contract(world))
    if grid is None:
        return STAND_IN.tick_size, STAND_IN.tick_value
    return grid.tick_size, grid.tick_value


def tick(world: World, size: int) -> int:
    """Return what one tick is worth to `size` contracts."""
    return _grid(world)[1] * size


def exit_cost(each: int, world: World, account: Account) -> int:
    """Return what leaving one contract is taken to cost."""
    learned = account.exit_fees.get(root(world))
    return learned.per_contract if learned else each


def closed(world: World, account: Account, left: int, pnl: int) -> tuple[Fact, ...]:
    """Return the facts of a sale of one contract that realized `pnl` and left `left`."""
    return _fill(world, account, contract(world), -1, 1, pnl, left)


def _fill(
    world: World, account: Account, name: str, side: int, size: int, pnl: int | None, left: int
) -> tuple[Fact, ...]:
    number = account.account
    return (
        TradeSeen(
            account=number,
            trade=_ID + side,
            order=_ID + side,
            contract=name,
            side=side,
            size=size,
            price=_PRICE,
            traded_at=world.at,
            pnl=pnl,
        ),
        PositionChanged(account=number, contract=name, quantity=left, average=_PRICE),
    )

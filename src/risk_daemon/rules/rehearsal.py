"""Facts for `test-rule`: a position opened, a part of it closed. Pure, and sent nowhere."""

from __future__ import annotations

from typing import Final

from risk_daemon.core.account import Account
from risk_daemon.core.events import ContractSeen, Fact, PositionChanged, TradeSeen
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import World

#: Used where the account has not seen any contract yet.
STAND_IN: Final = ContractSeen(
    contract="CON.F.US.MNQ.REHEARSAL", root="MNQ", tick_size=UNIT // 4, tick_value=UNIT // 2
)
_PRICE: Final = 20_000 * UNIT
_ID: Final = 10**18


def contract(world: World) -> str:
    """Return the contract a rehearsal trades: one the broker showed, else a stand-in."""
    return min(world.instruments, default=STAND_IN.contract)


def root(world: World) -> str:
    """Return the root of that contract."""
    grid = world.instruments.get(contract(world))
    return grid.root if grid else STAND_IN.root


def opened(world: World, account: Account, size: int) -> tuple[Fact, ...]:
    """Return the facts of one buy that opened a position of this size, free of fees."""
    name = contract(world)
    announced = () if name in world.instruments else (STAND_IN,)
    return (*announced, *_fill(world, account, name, 1, size, None, size))


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

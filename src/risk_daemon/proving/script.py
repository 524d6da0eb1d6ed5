"""Plays a scene's steps in a world, in place of traders, market and trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from risk_daemon.core.account import LIMIT, STOP
from risk_daemon.proving.chance import Fault
from risk_daemon.proving.clockwork import MS, SECOND
from risk_daemon.proving.exchange import CONTRACT, TICK
from risk_daemon.proving.scenes import Scene

if TYPE_CHECKING:
    from risk_daemon.proving.world import World

AFTERWARDS: Final = SECOND


class Script:
    """One scene in one world."""

    def __init__(self, world: World, scene: Scene) -> None:
        self._world, self._scene = world, scene

    def begin(self) -> int:
        """Set all steps; return when the scene is over."""
        clockwork = self._world.clockwork
        for at, verb, arguments in self._scene:
            clockwork.after(at * MS, getattr(self, f"_do_{verb}"), *arguments)
        last = max((at for at, _, _ in self._scene), default=1_000)
        return last * MS + AFTERWARDS

    def _do_buy(self, account: int, size: int) -> None:
        self._world.exchange.place(account, CONTRACT, 1, size)

    def _do_sell(self, account: int, size: int) -> None:
        self._world.exchange.place(account, CONTRACT, -1, size)

    def _do_stop(self, account: int, ticks: int) -> None:
        self._place(account, STOP, ticks)

    def _do_limit(self, account: int, ticks: int) -> None:
        self._place(account, LIMIT, -ticks)

    def _place(self, account: int, kind: int, ticks: int) -> None:
        """Place a closing order so many ticks behind the price, as seen from the position."""
        exchange = self._world.exchange
        held = exchange.books[account].positions.get(CONTRACT, 0)
        if held:
            side = -1 if held > 0 else 1
            price = exchange.price[CONTRACT] + side * ticks * TICK
            more: dict[str, Any] = {"stop_price" if kind == STOP else "limit_price": price}
            exchange.place(account, CONTRACT, side, abs(held), type=kind, **more)

    def _do_jump(self, ticks: int) -> None:
        self._world.exchange.move(CONTRACT, ticks)

    def _do_strike(self, kind: str, amount: int) -> None:
        self._world.strike(Fault(0, kind, amount))

    def _do_lock(self, account: int, act: str, seconds: int) -> None:
        self._world.order(account, act, seconds)

    def _do_move(self, release: str) -> None:
        supervisor = self._world.supervisor
        if supervisor.is_alive:
            supervisor.take(supervisor.move, release, self._world.accounts)

    def _do_restart(self, name: str) -> None:
        self._world.shells[name].kill()

    def _do_drop(self, login: str) -> None:
        self._world.exchange.drop(login)

    def _do_copy(self) -> None:
        self._world.copies = [self._world.disk.copy()]

    def _do_restore(self) -> None:
        self._world.strike(Fault(0, "old-copy"))

    def _do_power(self) -> None:
        self._world.strike(Fault(0, "power-cut"))

    def _do_policy(self, account: int, limit: int) -> None:
        self._world.adopt(account, limit)

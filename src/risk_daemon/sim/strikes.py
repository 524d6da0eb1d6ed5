"""What a fault does to the exchange itself, and how that is taken back when the fault ends.

Pure, one small function per kind. Faults of sockets, answers and messages are not here: those are
asked for on the board where a byte leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from risk_daemon.sim.faults import Fault
from risk_daemon.sim.model import Account
from risk_daemon.sim.moment import Moment

if TYPE_CHECKING:
    from risk_daemon.sim.world import World

Undo = Callable[[], None]
PIECE_MS = 40.0
_BALANCE = Decimal(50_000)


def strike(world: World, fault: Fault, now: Moment) -> Undo | None:
    """Do what this fault does to the exchange; what takes it back, if anything does."""
    if fault.kind in _OF_ALL:
        return _OF_ALL[fault.kind](world, fault)
    if fault.account is None or fault.account not in world.venue.accounts:
        return None
    if fault.kind == "void_trade":
        _void_trade(world, fault, fault.account, now)
    elif fault.kind in _OF_ONE:
        return _OF_ONE[fault.kind](world, fault, fault.account)
    return None


def _number(fault: Fault, name: str, default: float) -> float:
    value = fault.options.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def _flips_back(fault: Fault) -> bool:
    return bool(fault.options.get("flip_back", True))


def _can_trade(world: World, fault: Fault, account: int) -> Undo | None:
    value = bool(fault.options.get("value", False))
    world.venue.set_can_trade(account, value)
    back = not value
    return (lambda: world.venue.set_can_trade(account, back)) if _flips_back(fault) else None


def _visible(world: World, fault: Fault, account: int) -> Undo | None:
    value = bool(fault.options.get("value", False))
    world.venue.set_visible(account, value)
    back = not value
    return (lambda: world.venue.set_visible(account, back)) if _flips_back(fault) else None


def _void_trade(world: World, fault: Fault, account: int, now: Moment) -> None:
    wanted = fault.options.get("trade")
    world.venue.void(account, wanted if isinstance(wanted, int) else None, now)


def _vanish(world: World, _fault: Fault, account: int) -> Undo:
    found = world.venue.accounts[account]
    found.vanished = True

    def back() -> None:
        found.vanished = False

    return back


def _payout(world: World, fault: Fault, account: int) -> None:
    amount = Decimal(str(_number(fault, "amount", 500.0)))
    world.venue.adjust_balance(account, -amount)


def _reject_closes(world: World, fault: Fault, account: int) -> None:
    world.venue.reject_closes[account] = fault.times


def _stop_race(world: World, fault: Fault, account: int) -> Undo:
    world.venue.stop_races[account] = fault.times

    def back() -> None:
        world.venue.stop_races.pop(account, None)

    return back


def _fills_in_pieces(world: World, fault: Fault, account: int) -> Undo:
    world.venue.piece_by_piece[account] = _number(fault, "ms", PIECE_MS)

    def back() -> None:
        world.venue.piece_by_piece.pop(account, None)

    return back


def _new_account(world: World, fault: Fault) -> None:
    number = int(_number(fault, "id", max(world.venue.accounts) + 1))
    if number in world.venue.accounts:
        return  # it is there already
    login = fault.login or next(iter(world.whole))
    name = str(fault.options.get("name", f"SIM-{number}"))
    balance = Decimal(str(fault.options.get("balance", _BALANCE)))
    world.admit(Account(number, name, login, balance))


def _bracket_mode(world: World, fault: Fault) -> Undo | None:
    before = world.venue.auto_oco
    world.venue.auto_oco = fault.options.get("mode", "position_brackets") == "auto_oco"

    def back() -> None:
        world.venue.auto_oco = before

    return back if _flips_back(fault) else None


_OF_ONE: dict[str, Callable[[World, Fault, int], Undo | None]] = {
    "account_vanish": _vanish,
    "can_trade": _can_trade,
    "fills_in_pieces": _fills_in_pieces,
    "payout": _payout,
    "reject_closes": _reject_closes,
    "stop_race": _stop_race,
    "visible": _visible,
}
_OF_ALL: dict[str, Callable[[World, Fault], Undo | None]] = {
    "bracket_mode": _bracket_mode,
    "new_account": _new_account,
}

"""Two short scenes in which a guard can be wrong in every way that the referee knows.

No chance is in them: the market stands still but where it is moved, orders come
one by one, and a fill takes long enough that whoever asks twice is caught. A
scene waits for what *should* happen only for a while, for a daemon with a
defect never gets there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from risk_daemon.errors import TimedOut
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import SCENARIOS, Gateway, wednesday_offset_s
from risk_daemon.stage.play import Play
from risk_daemon.stage.waiting import pause, until

OVER, AT_THE_LIMIT, LOCKED, COSTS = range(9_100_000_001, 9_100_000_005)
LIMIT: Final = 5
TOO_MANY: Final = 9
TICK: Final = Decimal("0.25")
#: 219.00 lost by the price, 221.48 with the costs; the limit is 220.00.
TICKS_LOST: Final = 219
#: 153.48 with the costs, 305.72 if both days were one.
TICKS_LOST_A_DAY: Final = 150

FILLED_WITHIN_S: Final = 10.0
ANSWERED_WITHIN_S: Final = 3.0
QUIET_S: Final = 1.0
SETTLE_S: Final = 3.0
#: An operator's order takes this long to come through the command line, at most.
GRACE_MS: Final = 3_000
ROLL_AFTER_S: Final = 45.0
_TEN_TO_FIVE_S: Final = 7 * 3_600

#: Fills take longer than any answer, and come whole.
SLOW_FILLS: Final = {
    "name": "demo",
    "answer_ms": [1, 2],
    "fill_ms": [150, 150],
    "gap_ms": [0, 1],
    "duplicates": 0,
    "pieces": 0,
}


class Scene(Play):
    """A play without traders: its orders are written down."""

    settle_s = SETTLE_S

    def _scenario(self) -> str:
        return (SCENARIOS / "planted.yaml").read_text()

    def _act_out(self, gateway: Gateway, daemon: Daemon) -> None:
        gateway.post("/market", moving=False)
        gateway.post("/profile", **SLOW_FILLS)
        self._perform(gateway, daemon)

    def _perform(self, gateway: Gateway, daemon: Daemon) -> None:
        raise NotImplementedError

    def _judged(self, verdict: dict[str, Any]) -> dict[str, Any]:
        return verdict  # the referee's word alone: nothing is measured here


class Morning(Scene):
    """One holds too much, one exactly enough, one is locked by a person, one loses by the costs."""

    def _perform(self, gateway: Gateway, daemon: Daemon) -> None:
        _buy(gateway, OVER, "MNQ", TOO_MANY)
        _buy(gateway, AT_THE_LIMIT, "MNQ", LIMIT)
        _buy(gateway, LOCKED, "MES", 2, stop_loss_ticks=-100, take_profit_ticks=100)
        _buy(gateway, COSTS, "MES", 1)
        _buy(gateway, COSTS, "MNQ", 2)
        held = {AT_THE_LIMIT: LIMIT, LOCKED: 2, COSTS: 3}
        until(
            lambda: all(_has_bought(gateway, account, size) for account, size in held.items()),
            FILLED_WITHIN_S,
            "the first orders to fill",
        )
        _show_price(gateway, LOCKED, "MES")
        _lock(gateway, daemon, LOCKED)
        _lose(gateway, COSTS, TICKS_LOST)
        _wait(lambda: _gross(gateway, LOCKED) == 0 and _gross(gateway, COSTS) == 0)
        # Another contract: what was left behind on the first must stay to be seen.
        _buy(gateway, LOCKED, "MNQ", 1)
        _wait(lambda: _filled(gateway, LOCKED) and _gross(gateway, LOCKED) == 0)
        pause(QUIET_S)


class Evening(Scene):
    """The same account loses before and after 17:00 in Chicago, each time less than its limit."""

    def _offset(self) -> float:
        return wednesday_offset_s(self._clock) + _TEN_TO_FIVE_S - ROLL_AFTER_S

    def _perform(self, gateway: Gateway, daemon: Daemon) -> None:
        del daemon
        _buy(gateway, COSTS, "MES", 1)  # so that there is something to close
        self._lose_some(gateway)
        if _after_five(gateway):
            raise TimedOut(f"the first loss was not booked {ROLL_AFTER_S:g} s after the beginning")
        until(lambda: _after_five(gateway), ROLL_AFTER_S + 5, "17:00 in Chicago")
        pause(QUIET_S)
        self._lose_some(gateway)
        _wait(lambda: _gross(gateway, COSTS) == 0)

    def _lose_some(self, gateway: Gateway) -> None:
        _buy(gateway, COSTS, "MNQ", 2)
        until(lambda: _gross(gateway, COSTS) == 3, FILLED_WITHIN_S, "an order to fill")
        _lose(gateway, COSTS, TICKS_LOST_A_DAY)
        until(lambda: _gross(gateway, COSTS) <= 1, FILLED_WITHIN_S, "an order to fill")


# --- what people do ------------------------------------------------------------


def _buy(gateway: Gateway, account: int, contract: str, size: int, **bracket: int) -> None:
    gateway.post(
        "/order",
        account=account,
        contract=contract,
        side="buy",
        size=size,
        type="market",
        **bracket,
    )


def _show_price(gateway: Gateway, account: int, root: str) -> None:
    """Quote what the account paid: without a price its stop and target count as near it."""
    row = next(r for r in _account(gateway, account)["positions"] if root in r["contract"])
    contract, ask = row["contract"], Decimal(str(row["average"]))
    until(
        lambda: f"quote:{contract}" in _subscriptions(gateway),
        FILLED_WITHIN_S,
        f"the quotes of {contract} to be subscribed",
    )
    gateway.post("/quote", contract=contract, bid=str(ask - TICK), ask=str(ask))


def _lose(gateway: Gateway, account: int, ticks: int) -> None:
    """Let MNQ fall so far below what the account paid, and sell all of it there."""
    row = next(r for r in _account(gateway, account)["positions"] if ".MNQ." in r["contract"])
    bid = Decimal(str(row["average"])) - ticks * TICK
    gateway.post("/quote", contract="MNQ", bid=str(bid), ask=str(bid + TICK))
    gateway.post(
        "/order", account=account, contract="MNQ", side="sell", size=row["q"], type="market"
    )


def _lock(gateway: Gateway, daemon: Daemon, account: int) -> None:
    """A person presses the button, and the referee was told before."""
    gateway.post("/announce", account=account, act="flatten-lock", by="scene", grace_ms=GRACE_MS)
    words = ("--account", str(account), "--mode", "flatten-lock", "--reason", "scene")
    daemon.run("lockout", "set", *words).ok()


# --- what is seen ----------------------------------------------------------------


def _account(gateway: Gateway, account: int) -> dict[str, Any]:
    rows = gateway.get("/truth")["accounts"]
    found: dict[str, Any] = next(row for row in rows if row["account"] == account)
    return found


def _gross(gateway: Gateway, account: int) -> int:
    return sum(abs(int(row["q"])) for row in _account(gateway, account)["positions"])


def _has_bought(gateway: Gateway, account: int, size: int) -> bool:
    """A guard that trips at the limit has taken from it before anybody here could look."""
    gross = _gross(gateway, account)
    return gross == size or (account == AT_THE_LIMIT and gross > 0)


def _subscriptions(gateway: Gateway) -> set[str]:
    logins = gateway.get("/connections")["logins"].values()
    hubs = [hub for login in logins for hub in login["hubs"]]
    return {str(topic) for hub in hubs for topic in hub["subscriptions"]}


def _filled(gateway: Gateway, account: int) -> bool:
    """No market order of the account is on its way."""
    return not any(row["type"] == 2 for row in _account(gateway, account)["working"])


def _after_five(gateway: Gateway) -> bool:
    # 2026-11-18: winter time, six hours behind UTC.
    return datetime.fromisoformat(gateway.get("/truth")["at"]).hour >= 23


def _wait(holds: Callable[[], bool]) -> None:
    """Give a sound daemon the time it may need, and a broken one no more than that."""
    try:
        until(holds, ANSWERED_WITHIN_S, "")
    except TimedOut:
        return

"""A bench for the referee: one account, messages made by hand, a clock turned by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from risk_daemon.sim.breach import Sent
from risk_daemon.sim.codes import Action
from risk_daemon.sim.contracts import CATALOGUE
from risk_daemon.sim.model import Message, Quote
from risk_daemon.sim.moment import NS_PER_MS, Moment, iso
from risk_daemon.sim.referee import Referee
from risk_daemon.sim.scenario import Limits
from risk_daemon.sim.verdict import Verdict

ACCOUNT = 9000000101
MNQ, MES = "CON.F.US.MNQ.Z26", "CON.F.US.MES.Z26"
WEDNESDAY_10_CHICAGO = datetime(2026, 11, 18, 16, 0, tzinfo=UTC)
FEE, COMMISSION = Decimal("0.37"), Decimal("0.25")


class Bench:
    """Plays the exchange and the daemon to a referee; every step takes a millisecond."""

    def __init__(
        self,
        *,
        limit: int = 5,
        loss: str = "400.00",
        at: datetime = WEDNESDAY_10_CHICAGO,
        by_root: dict[str, int] | None = None,
        **more: Any,
    ) -> None:
        limits = {ACCOUNT: Limits(limit, Decimal(loss), by_root or {}, **more)}
        self.referee = Referee(limits, {ACCOUNT: "north"}, answer_within_ms=1000, seed=1)
        self.market: dict[str, Quote] = {}
        self.referee.board.quotes = self.market
        self.now = Moment(10**9, at)
        self.q: dict[str, int] = {}
        self._ids = 100

    def number(self) -> int:
        """A new id."""
        self._ids += 1
        return self._ids

    def wait(self, ms: float) -> None:
        """Time passes, and the referee looks every ten milliseconds."""
        end = self.now.after(ms / 1000)
        while self.now.ns < end.ns:
            self.now = self.now.after(min(10.0, (end.ns - self.now.ns) / NS_PER_MS) / 1000)
            self.referee.tick(self.now, {"north": True})

    # The exchange.

    def quote(self, bid: str, *, contract: str = MNQ, deliver: bool = True) -> None:
        """The market moves, one tick wide; a millisecond later the daemon is told."""
        tick = CATALOGUE[contract].tick_size
        quote = Quote(Decimal(bid), Decimal(bid) + tick, Decimal(bid))
        self.market[contract] = quote
        self.referee.moved(contract, quote, self.now)
        self.wait(1)
        if deliver:
            self.referee.quoted("north", contract, quote, self.now)

    def paid(self, signed: int, contract: str) -> Decimal:
        """What an order pays at the present market."""
        quote = self.market.get(contract)
        if quote is None:
            return Decimal(20000)
        return quote.ask if signed > 0 else quote.bid

    def order_row(
        self, order: int, sign: int, size: int, contract: str = MNQ, **more: object
    ) -> dict[str, object]:
        """An order as the wire shows it: a resting limit order unless `more` says otherwise."""
        row: dict[str, object] = {
            "id": order, "accountId": ACCOUNT, "contractId": contract, "status": 1, "type": 1,
            "side": 0 if sign > 0 else 1, "size": size, "fillVolume": 0,
            "creationTimestamp": iso(self.now.at), "limitPrice": Decimal(20000),
        }  # fmt: skip
        return row | more

    def fill(
        self,
        signed: int,
        *,
        gross: str | None = None,
        contract: str = MNQ,
        order: int | None = None,
        deliver: bool = True,
        is_last: bool = True,
    ) -> list[Message]:
        """A market order fills: three messages in truth, delivered at once unless told not to."""
        order = order or self.number()
        self.q[contract] = self.q.get(contract, 0) + signed
        q = self.q[contract]
        done = self.order_row(
            order, signed, abs(signed), contract, status=2 if is_last else 1, type=2
        )
        trade = {
            "id": self.number(), "accountId": ACCOUNT, "contractId": contract,
            "creationTimestamp": iso(self.now.at), "price": self.paid(signed, contract),
            "profitAndLoss": Decimal(gross) if gross is not None else None,
            "fees": FEE * abs(signed), "commissions": COMMISSION * abs(signed),
            "side": 0 if signed > 0 else 1, "size": abs(signed), "voided": False, "orderId": order,
        }  # fmt: skip
        position = {
            "accountId": ACCOUNT, "contractId": contract, "size": abs(q),
            "type": 0 if q == 0 else 1 if q > 0 else 2,
        }  # fmt: skip
        messages = [
            Message("order", ACCOUNT, Action.UPDATE, done, order, is_last),
            Message("trade", ACCOUNT, Action.CREATE, trade, order, is_last),
            Message("position", ACCOUNT, Action.UPDATE, position, order, is_last),
        ]
        return self.happen(messages, deliver=deliver)

    def rest(
        self, sign: int, size: int, *, contract: str = MNQ, deliver: bool = True, **more: object
    ) -> int:
        """A resting order appears; its id."""
        order = self.number()
        row = self.order_row(order, sign, size, contract, **more)
        self.happen([Message("order", ACCOUNT, Action.CREATE, row, order)], deliver=deliver)
        return order

    def gone(self, order: int) -> None:
        """A resting order is cancelled."""
        row = self.order_row(order, 1, 1, status=3)
        self.happen([Message("order", ACCOUNT, Action.UPDATE, row, order, True)])

    def happen(self, messages: list[Message], *, deliver: bool = True) -> list[Message]:
        """Truth hears of it; a millisecond later the daemon does, unless it is withheld."""
        self.referee.happened(messages, self.now)
        self.wait(1)
        if deliver:
            self.deliver(messages)
        return messages

    def deliver(self, messages: list[Message]) -> None:
        """The messages leave on the socket."""
        for message in messages:
            self.referee.delivered(message, self.now)

    # The daemon.

    def close(
        self,
        size: int | None = None,
        *,
        contract: str = MNQ,
        code: int = 0,
        fills: bool = True,
        known: bool = True,
    ) -> int:
        """A close (or a partial close) arrives, is answered, and usually fills 5 ms later."""
        q = self.q.get(contract, 0)
        what = "close" if size is None else "partial_close"
        sent = Sent(self.number(), what, ACCOUNT, contract, size=size)
        self.referee.requested(sent, self.now)
        order = self.number()
        self.referee.answered(sent, code, order if code == 0 else None, self.now, known=known)
        if fills and code == 0:
            self.wait(5)
            signed = abs(q) if size is None else size
            self.fill(-signed if q > 0 else signed, gross="0", contract=contract, order=order)
        return order

    def cancel(self, order: int, *, works: bool = True) -> None:
        """A cancel arrives and, usually, works."""
        sent = Sent(self.number(), "cancel", ACCOUNT, order=order)
        self.referee.requested(sent, self.now)
        self.referee.answered(sent, 0 if works else 2, order, self.now)
        if works:
            self.gone(order)

    def place(self) -> None:
        """The daemon opens an order, which it must never do."""
        self.referee.requested(Sent(self.number(), "place", ACCOUNT, MNQ, size=1), self.now)

    @property
    def verdict(self) -> Verdict:
        """The verdict now."""
        return self.referee.verdict()

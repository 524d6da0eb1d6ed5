"""Hub payloads to facts: every message is either folded or set aside, aloud."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from risk_daemon.broker.projectx import wire
from risk_daemon.core.account import ENDED_STATES
from risk_daemon.core.events import (
    AccountSeen,
    AlarmRaised,
    Fact,
    MarkChanged,
    OrderChanged,
    PrintSeen,
    RecordQuarantined,
)
from risk_daemon.errors import Malformed

RAW_MAX: Final = 2_000


class Intake:
    """Translates, keeps the last mark per contract, quarantines what cannot be believed."""

    def __init__(
        self,
        login: str,
        accounts: tuple[int, ...],
        *,
        on_fact: Callable[[Fact], None],
        on_contract: Callable[[str], None],
        on_quarantine: Callable[[int], None],
        on_market: Callable[[str], None],
    ) -> None:
        self._login, self._accounts = login, frozenset(accounts)
        self._on_fact, self._on_contract = on_fact, on_contract
        self._on_quarantine, self._on_market = on_quarantine, on_market
        self._marks: dict[str, MarkChanged] = {}
        #: The last print passed of each contract since its last quote was.
        self._prints: dict[str, PrintSeen] = {}
        self._contracts: set[str] = set()
        self._odd: set[str] = set()
        self.standing: dict[int, AccountSeen] = {}
        self.strangers: set[int] = set()
        self.last_user_at = 0

    def handlers(self) -> dict[str, Callable[..., None]]:
        """Return the user hub's events and who takes them."""
        return {
            "GatewayUserAccount": self._each(self._account),
            "GatewayUserOrder": self._each(self._order),
            "GatewayUserPosition": self._each(self._position),
            "GatewayUserTrade": self._each(self._trade),
        }

    def market_handlers(self) -> dict[str, Callable[..., None]]:
        """Return the market hub's events and who takes them."""
        return {"GatewayQuote": self.quote, "GatewayTrade": self.prints}

    def _each(self, take: Callable[[Any], None]) -> Callable[..., None]:
        """Take one payload, or a list of them; a bad one stops nothing else."""

        def handler(*arguments: object) -> None:
            for argument in arguments:
                for payload in argument if isinstance(argument, list) else [argument]:
                    try:
                        take(payload)
                    except Malformed as error:
                        self.quarantine(take.__name__.strip("_"), payload, error)

        return handler

    def quarantine(self, source: str, payload: object, error: Exception) -> None:
        """Keep a message that cannot be believed, tell people, and have the truth read."""
        account = self._account_in(payload)
        raw = json.dumps(payload, default=repr)[:RAW_MAX]
        self._on_fact(
            RecordQuarantined(account=account, source=source, why=str(error)[:300], raw=raw)
        )
        if not account:
            text = f"a {source} message that names no guarded account was set aside: {error}"
            self._on_fact(self._alarm(0, "urgent", "message quarantined", text))
        self._on_quarantine(account)

    def _account_in(self, payload: object) -> int:
        data = payload.get("data", payload) if isinstance(payload, dict) else None
        value = data.get("accountId") if isinstance(data, dict) else None
        known = isinstance(value, int) and value in self._accounts
        return value if known and isinstance(value, int) else 0

    def _alarm(self, account: int, level: str, what: str, text: str) -> AlarmRaised:
        return AlarmRaised(
            account=account, level=level, what=what, text=text[:500], source=f"link-{self._login}"
        )

    def _account(self, payload: object) -> None:
        data, _ = wire.unwrap(payload)
        self.account(wire.account_from(data, self._login))

    def account(self, row: AccountSeen) -> None:
        """Take an account row; one nobody guards is told of, once."""
        if row.account in self._accounts:
            self.standing[row.account] = row
            self._on_fact(row)
        elif row.account not in self.strangers:
            self.strangers.add(row.account)
            text = f"account {row.account} ({row.name}) of login {self._login} has no policy here"
            self._on_fact(self._alarm(0, "urgent", "unguarded account", text))

    def _order(self, payload: object) -> None:
        data, _ = wire.unwrap(payload)
        fact = wire.order_from(data)
        if fact.account not in self._accounts:
            return
        self._know(fact.contract)
        self._note_odd(fact)
        self._on_fact(fact)

    def _note_odd(self, fact: OrderChanged) -> None:
        """Tell once of a code this release does not know; the order counts as working."""
        for what, code, known in (
            ("status", fact.status, wire.ORDER_STATES),
            ("type", fact.type, wire.ORDER_TYPES),
        ):
            name = f"{what} {code}"
            if code not in known and name not in self._odd:
                self._odd.add(name)
                text = f"order {fact.order} has the unknown {name}; it counts as working"
                self._on_fact(self._alarm(fact.account, "urgent", "unknown code", text))

    def _position(self, payload: object) -> None:
        data, action = wire.unwrap(payload)
        fact = wire.position_from(data, action)
        if fact.account in self._accounts:
            self._know(fact.contract)
            self._on_fact(fact)

    def _trade(self, payload: object) -> None:
        data, _ = wire.unwrap(payload)
        fact = wire.trade_from(data)
        if fact.account in self._accounts:
            self._know(fact.contract)
            self._on_fact(fact)

    def quote(self, *arguments: object) -> None:
        """Take a quote; exact repeats are dropped, they can decide nothing."""
        if len(arguments) != 2:
            self.quarantine("quote", list(arguments), Malformed("a quote has two arguments"))
            return
        contract, data = arguments
        before = self._marks.get(contract) if isinstance(contract, str) else None
        try:
            mark = wire.mark_from(contract, data, before)
        except Malformed as error:
            self.quarantine("quote", list(arguments), error)
            return
        self._on_market(mark.contract)
        if mark != before:
            self._marks[mark.contract] = mark
            self._prints.pop(mark.contract, None)
            self._on_fact(mark)

    def prints(self, *arguments: object) -> None:
        """Take trades of the market; one that repeats the last says nothing new before a quote."""
        if len(arguments) != 2:
            self.quarantine("print", list(arguments), Malformed("a print has two arguments"))
            return
        try:
            found = wire.prints_from(*arguments)
        except Malformed as error:
            self.quarantine("print", list(arguments), error)
            return
        for one in found:
            self._on_market(one.contract)
            if one != self._prints.get(one.contract):
                self._prints[one.contract] = one
                self._on_fact(one)

    def mark(self, contract: str) -> MarkChanged | None:
        """Return the last mark of a contract, None before its first quote."""
        return self._marks.get(contract)

    def forget_mark(self, contract: str) -> None:
        """Begin the mark anew: an update after a gap leaves out what changed in the gap."""
        self._marks.pop(contract, None)
        self._prints.pop(contract, None)

    def _know(self, contract: str) -> None:
        if contract not in self._contracts:
            self._contracts.add(contract)
            self._on_contract(contract)

    def forget_contract(self, contract: str) -> None:
        """Have a contract announced again at its next sight: its metadata is still missing."""
        self._contracts.discard(contract)

    def note_contracts(self, facts: tuple[Fact, ...]) -> None:
        """Announce the contracts of rows that came by a read."""
        for fact in facts:
            contract = getattr(fact, "contract", "")
            is_old = isinstance(fact, OrderChanged) and fact.status in ENDED_STATES
            if contract and not is_old:
                self._know(contract)

"""The minimal protector's look at one login: read, decide, act; slowly, and as often as it may.

Through the link while that lives: it sizes, fences and verifies. Else by a session of its own, for
which nobody else is there: a login's link is the only other door to the broker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from risk_daemon.protector import plan as plans
from risk_daemon.protector.decide import Position, closes
from risk_daemon.protector.link import ALIVE_WITHIN_S, NoLink, ask
from risk_daemon.protector.rest import Session, Unreadable

ORDERS: Final = "protector.json"
#: Of the login's 200 requests in a minute.
REQUESTS_PER_MINUTE: Final = 60
LEAST_S: Final = 2.0
SECOND_NS: Final = 1_000_000_000
KEY, USER = "PROJECT_X_API_KEY", "PROJECT_X_USERNAME"

Say = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Login:
    """A login, as `state/protector.json` names it."""

    name: str
    user: str
    credentials: str
    accounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Orders:
    """What the supervisor wrote down: where the broker is, and who is guarded."""

    api_url: str
    offset_s: float = 0.0
    logins: tuple[Login, ...] = field(default=())


def read_orders(path: Path) -> Orders:
    """Read the file. Raises OSError, ValueError, KeyError, TypeError."""
    told: dict[str, Any] = json.loads(path.read_bytes())
    logins = tuple(
        Login(row["name"], row["user"], row["credentials"], tuple(row["accounts"]))
        for row in told["logins"]
    )
    return Orders(str(told["api_url"]), float(told["offset_s"]), logins)


def key_of(home: Path, login: Login, environment: Mapping[str, str]) -> str:
    """Return a login's key. Raises Unreadable, which never holds it."""
    if login.credentials != "env":
        try:
            return (home / login.credentials.removeprefix("file:")).read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise Unreadable(f"the key of login {login.name} can't be read") from None
    if environment.get(USER) != login.user or not environment.get(KEY):
        raise Unreadable(f"the environment has no key of login {login.name}")
    return environment[KEY]


@dataclass(frozen=True, slots=True)
class Seen:
    """How an account stands; `is_own`: read by a session of our own, for no link lives."""

    balance: Decimal | None
    positions: list[Position]
    prices: Mapping[str, Decimal]
    is_own: bool


class Watch:
    """One login."""

    def __init__(
        self, home: Path, orders: Orders, login: Login, say: Say, environment: Mapping[str, str]
    ) -> None:
        self._environment = environment
        self._home, self._orders, self._login, self._say = home, orders, login, say
        self._name = f"link-{login.name}"
        self._session: Session | None = None
        self._missing: set[int] = set()

    @property
    def every_s(self) -> float:
        """How often to look: an account costs a read, a price and a close or two."""
        requests = 1 + 4 * len(self._login.accounts)
        return max(LEAST_S, 60 * requests / REQUESTS_PER_MINUTE)

    def look(self, now: int) -> None:
        """Look once; `now` is UTC in ns. What fails is told, and looked at again next time."""
        balances: dict[int, Decimal] | None = None
        for account in self._accounts():
            try:
                try:
                    seen = self._through_link(account)
                except NoLink:
                    balances = self._own().balances() if balances is None else balances
                    seen = self._by_own_session(account, balances.get(account), now)
                self._guard(account, seen, now)
            except Unreadable as error:
                self._say("blind", account=account, why=str(error))

    def _accounts(self) -> tuple[int, ...]:
        """Whom to guard now: more accounts may have come to need it, or fewer."""
        try:
            orders = read_orders(self._home / "state" / ORDERS)
        except (OSError, ValueError, KeyError, TypeError):
            return self._login.accounts
        found = [one.accounts for one in orders.logins if one.name == self._login.name]
        return found[0] if found else ()

    def _through_link(self, account: int) -> Seen:
        """What the login's link reads. Raises NoLink where none lives."""
        ask(self._home / "run", self._name, "status", {}, ALIVE_WITHIN_S)
        told = self._ask_link("standing", {"account": account})
        rows = told["positions"]
        return Seen(
            balance=None if told["balance"] is None else Decimal(told["balance"]),
            positions=[Position(str(c), int(q), Decimal(a)) for c, q, a, _ in rows],
            prices={str(c): Decimal(p) for c, _, _, p in rows if p is not None},
            is_own=False,
        )

    def _by_own_session(self, account: int, balance: Decimal | None, now: int) -> Seen:
        session = self._own()
        positions = session.positions(account)
        until = datetime.fromtimestamp(now // SECOND_NS, UTC)
        since = (until - timedelta(minutes=5)).isoformat()
        prices = {}
        for name in sorted({one.contract for one in positions}):
            price = session.price(name, since, until.isoformat())
            if price is not None:
                prices[name] = price
        return Seen(balance, positions, prices, is_own=True)

    def _own(self) -> Session:
        if self._session is None:
            key = key_of(self._home, self._login, self._environment)
            self._session = Session(self._orders.api_url, self._login.user, key)
        return self._session

    def _ask_link(self, op: str, args: dict[str, Any]) -> Any:
        answer = ask(self._home / "run", self._name, op, args)
        if not answer.ok:
            raise Unreadable(f"{self._name}: {answer.error}")
        return answer.data

    def _guard(self, account: int, seen: Seen, now: int) -> None:
        plan = plans.read(self._home / "state", account)
        if plan is None:
            if account not in self._missing:
                self._missing.add(account)
                self._say("no plan", account=account)
            return
        found = closes(plan, now, seen.balance, seen.positions, seen.prices)
        if not found:
            return
        why = "; ".join(sorted(set(found.values())))
        if seen.is_own:
            for contract in sorted(found):
                self._own().close(account, contract)
                self._say("closed", account=account, contract=contract, why=why, by="own session")
            self._own().cancel_what_opens(account, seen.positions, sorted(found))
            return
        args = {"account": account, "by": "protector", "reason": why}
        left = self._ask_link("flatten", args)
        self._say("closed", account=account, why=why, by=self._name, left=left)

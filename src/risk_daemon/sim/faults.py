"""Which faults are on, for whom, until when: a board that others ask.

Pure. A fault either lasts (`seconds`) or is used up (`times`), or is over at once. What it does is
done where it belongs: on the sockets, in the REST answers, in the delivery of messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from risk_daemon.sim.moment import NS_PER_S
from risk_daemon.sim.words import not_among

AT_ONCE, LASTS, IS_COUNTED = "at once", "lasting", "counted"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of fault ends, and its options beside who is struck and for how long."""

    ends: str
    options: tuple[str, ...] = ()


# What each of them does, in the words of the manual: docs/brokers/simgate.md.
TABLE: Mapping[str, Kind] = {
    "account_vanish": Kind(LASTS),
    "bad_prints": Kind(LASTS, ("contract",)),
    "bad_quotes": Kind(LASTS, ("contract",)),
    "bare_payloads": Kind(LASTS),
    "bracket_mode": Kind(AT_ONCE, ("mode", "flip_back")),
    "can_trade": Kind(AT_ONCE, ("value", "flip_back")),
    "duplicates": Kind(LASTS),
    "error_after_accept": Kind(IS_COUNTED),
    "error_before_accept": Kind(IS_COUNTED),
    "fills_in_pieces": Kind(LASTS, ("ms",)),
    "freeze": Kind(LASTS, ("hub",)),
    "half_open": Kind(AT_ONCE, ("hub",)),
    "hub_close": Kind(AT_ONCE, ("hub",)),
    "hub_close_error": Kind(AT_ONCE, ("hub",)),
    "hub_refuse": Kind(LASTS, ("hub",)),
    "hub_reset": Kind(AT_ONCE, ("hub",)),
    "lost_answer": Kind(IS_COUNTED),
    "lost_request": Kind(IS_COUNTED),
    "market_silence": Kind(LASTS, ("contract",)),
    "merged_records": Kind(LASTS),
    "new_account": Kind(AT_ONCE, ("id", "name", "balance")),
    "payout": Kind(AT_ONCE, ("amount",)),
    "rate_limit": Kind(LASTS, ("retry_after",)),
    "reject_closes": Kind(IS_COUNTED),
    "reorder": Kind(LASTS),
    "rest_error": Kind(LASTS),
    "rest_freeze": Kind(LASTS),
    "session_conflict": Kind(AT_ONCE, ("hub",)),
    "slow_answers": Kind(LASTS, ("ms",)),
    "split_records": Kind(LASTS),
    "stop_race": Kind(IS_COUNTED),
    "token_life": Kind(LASTS, ("life_s",)),
    "token_revoked": Kind(AT_ONCE, ("hub", "logout")),
    "unauthorized": Kind(AT_ONCE, ("only",)),
    "visible": Kind(AT_ONCE, ("value", "flip_back")),
    "void_trade": Kind(AT_ONCE, ("trade",)),
    "withhold_positions": Kind(LASTS, ("deliver",)),
    "withhold_trades": Kind(LASTS, ("deliver",)),
}
# Who is struck must be said: these happen to one account.
_OF_ONE_ACCOUNT = frozenset({"payout", "stop_race", "visible", "fills_in_pieces"})
_VALUES: Mapping[str, tuple[object, ...]] = {
    "hub": ("user", "market", "both"),
    "deliver": ("late", "never"),
    "only": ("changes", "reads", "all"),
    "mode": ("auto_oco", "position_brackets"),
    "retry_after": (True, False, "date"),
    "value": (True, False),
    "flip_back": (True, False),
    "logout": (True, False),
}
# While these last, nobody can get a request through: `late` does not count.
BLOCKS_REQUESTS = frozenset({"rate_limit", "rest_freeze", "rest_error"})
_SECONDS_MAX = 3600.0
# A counted fault that nobody uses up must not wait for ever and colour a later minute.
COUNTED_LASTS_S = 10.0


class FaultRefused(ValueError):
    """The wanted fault is not one this exchange has."""


@dataclass(frozen=True, slots=True)
class FaultWish:
    """A fault somebody wants: `seconds` it lasts, or `times` it is used up."""

    kind: str
    login: str | None = None
    account: int | None = None
    seconds: float = 0.0
    times: int = 1
    options: Mapping[str, object] = field(default_factory=dict)


def check(wish: FaultWish) -> None:
    """Refuse what is no fault, or cannot be one in this way; the sentence names the value."""
    kind = TABLE.get(wish.kind)
    if kind is None:
        raise FaultRefused(not_among("kind", wish.kind, TABLE))
    if not 0 <= wish.seconds <= _SECONDS_MAX:
        raise FaultRefused(f"seconds is {wish.seconds}; allowed is 0 to {_SECONDS_MAX:.0f}")
    if kind.ends == LASTS and wish.seconds == 0:
        raise FaultRefused(f"{wish.kind} needs seconds above 0")
    if wish.kind in _OF_ONE_ACCOUNT and wish.account is None:
        raise FaultRefused(f"{wish.kind} needs an account")
    for name, value in wish.options.items():
        _check_option(wish.kind, name, value, kind.options)


def _check_option(kind: str, name: str, value: object, known: tuple[str, ...]) -> None:
    if name not in known:
        raise FaultRefused(not_among(f"an option of {kind}", name, known))
    allowed = _VALUES.get(name)
    if allowed is not None and value not in allowed:
        words = ", ".join(str(one).lower() for one in allowed)
        raise FaultRefused(f"{name} is {value!r}; allowed are {words}")
    if name in ("ms", "life_s", "amount") and not is_number(value):
        raise FaultRefused(f"{name} is {value!r}; allowed is a number")


def is_number(value: object) -> bool:
    """Whether a value of a wish is a number; `true` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(slots=True)
class Fault:
    """One fault that is on; `login` None means every login."""

    n: int
    kind: str
    login: str | None
    account: int | None
    starts_ns: int
    ends_ns: int
    times: int
    options: dict[str, object]

    def is_over(self, now_ns: int) -> bool:
        """Whether it has run its time or been used up."""
        if TABLE[self.kind].ends == IS_COUNTED and self.times <= 0:
            return True
        return now_ns >= self.ends_ns

    def strikes(self, login: str | None, account: int | None) -> bool:
        """Whether it is meant for this login (and account, when it names one)."""
        for_login = self.login is None or login is None or self.login == login
        return for_login and (self.account is None or account is None or self.account == account)


class FaultBoard:
    """The faults that are on."""

    def __init__(self) -> None:
        self._on: list[Fault] = []
        self._count = 0

    def start(self, wish: FaultWish, now_ns: int) -> Fault:
        """Put a fault on the board; a fault at once is over when it starts."""
        check(wish)
        kind, lasts = wish.kind, wish.seconds
        self._count += 1
        if TABLE[kind].ends == IS_COUNTED and lasts == 0:
            lasts = COUNTED_LASTS_S
        ends_ns = now_ns + int(lasts * NS_PER_S)
        fault = Fault(
            self._count,
            kind,
            wish.login,
            wish.account,
            now_ns,
            ends_ns,
            wish.times,
            dict(wish.options),
        )
        self._on.append(fault)
        return fault

    def find(
        self, kind: str, now_ns: int, login: str | None = None, account: int | None = None
    ) -> Fault | None:
        """A fault of that kind that is on for this login and account, or None."""
        for fault in self._on:
            if fault.kind == kind and not fault.is_over(now_ns) and fault.strikes(login, account):
                return fault
        return None

    def use(self, kind: str, now_ns: int, login: str, account: int | None) -> Fault | None:
        """Like `find`, and uses one of its times."""
        fault = self.find(kind, now_ns, login, account)
        if fault is not None:
            fault.times -= 1
        return fault

    def take_ended(self, now_ns: int) -> list[Fault]:
        """The faults that ended since the last call; they leave the board."""
        ended = [fault for fault in self._on if fault.is_over(now_ns)]
        self._on = [fault for fault in self._on if not fault.is_over(now_ns)]
        return ended

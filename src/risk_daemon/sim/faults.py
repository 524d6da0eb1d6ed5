"""Which faults are on, for whom, until when: a board that others ask.

Pure. A fault either lasts (`seconds`) or is used up (`times`), or is over at once. What it does is
done where it belongs: on the sockets, in the REST answers, in the delivery of messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from risk_daemon.sim.moment import NS_PER_S

# What each kind does, in the words of the manual (docs/brokers/simgate.md).
AT_ONCE = frozenset(
    {"hub_reset", "hub_close", "hub_close_error", "token_revoked", "session_conflict"}
    | {"can_trade", "void_trade"}
)
LASTING = frozenset(
    {"hub_refuse", "freeze", "market_silence", "rest_freeze", "rest_error", "rate_limit"}
    | {"duplicates", "reorder", "withhold_trades", "withhold_positions", "slow_answers"}
    | {"bad_quotes", "account_vanish", "split_records", "merged_records", "bare_payloads"}
)
COUNTED = frozenset(
    {"lost_answer", "error_after_accept", "error_before_accept", "lost_request"} | {"reject_closes"}
)
KINDS = AT_ONCE | LASTING | COUNTED
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
        if self.kind in COUNTED and self.times <= 0:
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
        kind, lasts = wish.kind, wish.seconds
        if kind not in KINDS:
            raise FaultRefused(f"kind is {kind!r}; allowed are {', '.join(sorted(KINDS))}")
        if not 0 <= lasts <= _SECONDS_MAX:
            raise FaultRefused(f"seconds is {lasts}; allowed is 0 to {_SECONDS_MAX:.0f}")
        if kind in LASTING and lasts == 0:
            raise FaultRefused(f"{kind} needs seconds above 0")
        self._count += 1
        if kind in COUNTED and lasts == 0:
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

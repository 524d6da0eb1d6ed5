"""What a scenario says, once it is checked: logins, accounts, limits, costs.

Only shapes; `config.py` makes them from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class CombinedLoss:
    """The day's loss, realized and open; amounts are positive magnitudes."""

    limit: Decimal
    buffer: Decimal = ZERO
    est_exit_fees: Decimal = ZERO

    def plain(self) -> dict[str, object]:
        """The same under the names of the file."""
        fees, buffer = str(self.est_exit_fees), str(self.buffer)
        return {"limit": str(self.limit), "buffer": buffer, "est_exit_fees": fees}


@dataclass(frozen=True, slots=True)
class Drawdown:
    """A floor under the equity that follows the high-water mark of `trail` up to `lock_at`."""

    drawdown: Decimal
    start: Decimal
    lock_at: Decimal
    trail: str
    buffer: Decimal

    def plain(self) -> dict[str, object]:
        """The same under the names of the file."""
        return {
            "drawdown": str(self.drawdown),
            "start": str(self.start),
            "lock_at": str(self.lock_at),
            "trail": self.trail,
            "buffer": str(self.buffer),
        }


@dataclass(frozen=True, slots=True)
class StopGrace:
    """How many seconds a position may be without a stop, and while one is replaced."""

    grace_s: int
    replace_grace_s: int

    def plain(self) -> dict[str, object]:
        """The same under the names of the file."""
        return {"grace": f"{self.grace_s}s", "replace_grace": f"{self.replace_grace_s}s"}


@dataclass(frozen=True, slots=True)
class DayEnd:
    """When to be flat (wall time in Chicago), and the seconds before it without entries."""

    flatten: time
    entries_lead_s: int
    product_lead_s: int

    def plain(self) -> dict[str, object]:
        """The same under the names of the file."""
        return {
            "flatten": self.flatten.isoformat("seconds"),
            "entries_lead": f"{self.entries_lead_s}s",
            "product_lead": f"{self.product_lead_s}s",
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """What the referee judges an account by; the loss is a positive magnitude.

    `max_contracts_per_instrument` is by root; a root that isn't there is unlimited. A rule that
    is None is off.
    """

    max_contracts: int
    daily_realized_loss: Decimal
    max_contracts_per_instrument: Mapping[str, int] = field(default_factory=dict)
    daily_combined_loss: CombinedLoss | None = None
    trailing_max_drawdown: Drawdown | None = None
    no_stop_loss_grace: StopGrace | None = None
    end_of_day_flatten: DayEnd | None = None

    def plain(self) -> dict[str, object]:
        """The same under the names of the file, for whoever writes another file from it.

        Money is text; a rule that is off has no key.
        """
        said: dict[str, object] = {
            "max_contracts": self.max_contracts,
            "daily_realized_loss": str(self.daily_realized_loss),
        }
        if self.max_contracts_per_instrument:
            said["max_contracts_per_instrument"] = dict(self.max_contracts_per_instrument)
        said |= {name: rule.plain() for name, rule in self.tables().items()}
        return said

    def tables(self) -> dict[str, CombinedLoss | Drawdown | StopGrace | DayEnd]:
        """The rules with a table of their own in the file, those that are on."""
        rules = {
            "daily_combined_loss": self.daily_combined_loss,
            "trailing_max_drawdown": self.trailing_max_drawdown,
            "no_stop_loss_grace": self.no_stop_loss_grace,
            "end_of_day_flatten": self.end_of_day_flatten,
        }
        return {name: rule for name, rule in rules.items() if rule is not None}


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One account of the file."""

    id: int
    name: str
    balance: Decimal
    style: str


@dataclass(frozen=True, slots=True)
class LoginConfig:
    """One login with its accounts."""

    user: str
    api_key: str
    accounts: tuple[AccountConfig, ...]


@dataclass(frozen=True, slots=True)
class SimConfig:
    """The whole file."""

    seed: int
    logins: tuple[LoginConfig, ...]
    limits: Mapping[int, Limits]
    fees: Mapping[str, tuple[Decimal, Decimal]]
    offset_s: float = 0.0
    profile: str = "demo"
    traders: bool = True
    close_mode: str = "auto_oco"
    answer_within_ms: int = 1000
    swings: tuple[str, ...] = ()

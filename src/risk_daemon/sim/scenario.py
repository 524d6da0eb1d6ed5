"""What a scenario says, once it is checked: logins, accounts, limits, costs.

Only shapes; `config.py` makes them from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Limits:
    """What the referee judges an account by; the loss is a positive magnitude.

    `max_contracts_per_instrument` is by root; a root that isn't there is unlimited.
    """

    max_contracts: int
    daily_realized_loss: Decimal
    max_contracts_per_instrument: Mapping[str, int] = field(default_factory=dict)

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
        return said


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

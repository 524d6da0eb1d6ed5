"""Settings of a deployment, as every process reads them: frozen, validated, without I/O.

`operations.configuration` makes them from the YAML of a home; the journal keeps
their text (`SettingsAdopted`), so that a later start can do without the file.
They decide nothing about an account: that is policy.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

#: Requests a minute that a login's budget really leaves for regular reads: the 40 of the rest,
#: less 16 that are kept for a reconnect and 3 that keep the enforcement connection warm.
REGULAR_PER_MINUTE: Final = 21
#: Positions, orders and trades of an account; and one list of accounts for all of them.
READS_PER_ACCOUNT: Final = 3
READS_PER_ROUND: Final = 1

type EnvironmentName = Literal["production", "staging", "demo"]
type TransportName = Literal["unix", "tcp"]

TOPSTEPX_API: Final = "https://api.topstepx.com"
TOPSTEPX_USER_HUB: Final = "https://rtc.topstepx.com/hubs/user"
TOPSTEPX_MARKET_HUB: Final = "https://rtc.topstepx.com/hubs/market"


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """The three addresses of a broker."""

    api_url: str = TOPSTEPX_API
    user_hub_url: str = TOPSTEPX_USER_HUB
    market_hub_url: str = TOPSTEPX_MARKET_HUB

    def addresses(self) -> dict[str, str]:
        """Every address by the name it has in `daemon.yaml`."""
        return {
            "api_url": self.api_url,
            "user_hub_url": self.user_hub_url,
            "market_hub_url": self.market_hub_url,
        }


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One user of the broker, and the accounts guarded through it.

    `credentials` says where the key is, never what it is: `env` or `file:PATH`.
    """

    name: str
    user: str
    credentials: str
    accounts: tuple[int, ...]

    @property
    def reconcile_every_s(self) -> float:
        """How often its accounts are read although nothing seems wrong, to a tenth of a second.

        What a minute of rounds costs must be what the budget leaves for it, or the rounds
        queue and the figure is a lie:

            (3 x accounts + 1) x 60 / period  <=  REGULAR_PER_MINUTE
        """
        reads = READS_PER_ACCOUNT * len(self.accounts) + READS_PER_ROUND
        return max(10.0, math.ceil(600 * reads / REGULAR_PER_MINUTE) / 10)


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker shows that it lives, and when it is taken for dead."""

    heartbeat_ms: int = 100
    missed: int = 5


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`daemon.yaml`, with every default spelled out."""

    environment: EnvironmentName
    console_port: int = 8080
    gateway: Gateway = Gateway()
    logins: tuple[Login, ...] = ()
    workers: Workers = Workers()
    transport: TransportName | None = None
    clock_offset_s: float = 0
    hash_every: int = 1_000
    snapshot_every: int = 20_000
    #: 0: only by hand.
    backup_every_h: int = 24

    def login(self, name: str) -> Login:
        """Find a login by its name; KeyError where there is none."""
        for login in self.logins:
            if login.name == name:
                return login
        raise KeyError(name)

    def accounts(self) -> tuple[int, ...]:
        """Every guarded account, in the order of the file."""
        return tuple(account for login in self.logins for account in login.accounts)


def encode_settings(settings: Settings) -> str:
    """Write settings as the text that is journalled; equal settings give equal text."""
    return msgspec.json.encode(settings, order="deterministic").decode()


def decode_settings(text: str) -> Settings:
    """Read journalled settings."""
    return msgspec.json.decode(text, type=Settings)

"""What a staging home is to be: which broker, which accounts, which port. Pure.

Decided from production's settings and what the environment holds, before anything is written. A
user of the broker has one session, so production's own user never logs in from staging; and an
account that production guards is never acted on at the broker by anybody else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from risk_daemon.errors import Refused, UsageError
from risk_daemon.settings import Gateway, Login, Settings

KEY: Final = "PROJECT_X_API_KEY"
USER: Final = "PROJECT_X_USERNAME"
LOGIN: Final = "staging"
_LAST_PORT: Final = 65_535
#: A start takes two seconds where nothing else runs; a machine with twenty times too much to do
#: gets its accounts guarded within this as well.
START_WITHIN_S: Final = 300.0
#: Of the whole time so much is left to what comes after the start, as long as there is any.
AFTER_START_S: Final = 120.0
START_AT_LEAST_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Way:
    """The broker that staging talks to, and why; `user` is empty for the simulated gateway."""

    user: str
    why: str

    @property
    def is_simulated(self) -> bool:
        """Whether the broker is the simulated gateway."""
        return not self.user


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `daemon.yaml` of the staging home is to say of its own."""

    port: int
    gateway: Gateway
    logins: tuple[Login, ...]
    offset_s: float = 0.0

    def is_as(self, settings: Settings) -> bool:
        """Tell whether settings say all of that already."""
        said = (settings.console_port, settings.gateway, settings.logins, settings.clock_offset_s)
        return settings.environment == "staging" and said == (
            self.port,
            self.gateway,
            self.logins,
            self.offset_s,
        )


def way(production: Settings, user: str, *, has_key: bool) -> Way:
    """Choose the broker by the credentials of the environment (an empty user is none)."""
    missing = [name for name, there in ((KEY, has_key), (USER, bool(user))) if not there]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        return Way("", f"{' and '.join(missing)} {verb} not set")
    if user.casefold() in {login.user.casefold() for login in production.logins}:
        return Way("", f"{user} is production's own user, and a user has one session")
    return Way(user, f"user {user} is staging's own")


def own_accounts(user: str, seen: Mapping[int, str], guarded: Collection[int]) -> tuple[int, ...]:
    """Return the accounts of a user that production does not guard. Raises Refused for none."""
    own = tuple(sorted(set(seen) - set(guarded)))
    if not own:
        told = ", ".join(map(str, sorted(seen))) or "none"
        raise Refused(
            f"user {user} sees no account that production does not guard (it sees: {told}); "
            "nothing was changed. Staging never acts on production's accounts: give its user a "
            "practice account of its own."
        )
    return own


def refuse_shared(staging: Settings, guarded: Collection[int]) -> None:
    """Raise Refused where a staging home at the broker names an account that production guards."""
    shared = sorted(set(staging.accounts()) & set(guarded))
    if shared:
        raise Refused(
            f"the staging home would act at the broker on {', '.join(map(str, shared))}, which "
            "production guards; nothing was changed. Take it out of config/daemon.yaml of the "
            "staging home."
        )


def port(production: int, written: int | None) -> int:
    """Return staging's own port: the one its files say, unless that is production's or none."""
    if written is not None and (written != production or written == 0):
        return written
    if production == 0:
        return 0
    return production + 1 if production < _LAST_PORT else production - 1


def start_within_s(left_s: float) -> float:
    """Return how long a start may wait for every account, of what is left of the whole time."""
    return max(START_AT_LEAST_S, min(START_WITHIN_S, left_s - AFTER_START_S))


def simulated_logins(production: Settings) -> tuple[Login, ...]:
    """Production's logins as the simulated gateway has them: same accounts, users of its own."""
    return tuple(
        Login(
            name=login.name,
            user=f"simulated-{login.name}",
            credentials=f"file:credentials/{login.name}.key",
            accounts=login.accounts,
        )
        for login in production.logins
    )


def own_login(user: str, accounts: tuple[int, ...]) -> tuple[Login, ...]:
    """Return the one login of a staging home with a user of its own; the key stays outside."""
    return (Login(name=LOGIN, user=user, credentials="env", accounts=accounts),)


def refuse_same(staging: str, production: str) -> None:
    """Raise UsageError where staging and production are one place (real paths)."""
    if staging == production:
        raise UsageError(
            f"the staging home {staging} is the production home: name another place in "
            "RISK_DAEMON_STAGING_HOME; nothing was changed."
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing in which staging and production are to be alike, as each has it."""

    what: str
    staging: str
    production: str

    @property
    def is_same(self) -> bool:
        """Whether they are alike; what nobody knows is like nothing."""
        return self.staging == self.production != ""

    @property
    def told(self) -> str:
        """The line of a person."""
        if self.is_same:
            return f"parity {self.what}: same ({self.staging[:40]})"
        mine, other = self.staging[:40] or "unknown", self.production[:40] or "unknown"
        return f"parity {self.what}: DIFFERS: staging {mine}, production {other}"

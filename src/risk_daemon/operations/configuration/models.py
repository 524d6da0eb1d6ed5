"""The shape of the three kinds of configuration file, with every default.

A field's description is what an error message says is allowed. What a rule's
parameters may be is asked of the rule, not written here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from risk_daemon.schemas import CONFIGURATION
from risk_daemon.settings import TOPSTEPX_API, TOPSTEPX_MARKET_HUB, TOPSTEPX_USER_HUB


class Section(BaseModel):
    """Part of a file: unknown keys are errors, text is never taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ConsoleSection(Section):
    """Where people look."""

    port: Annotated[
        int, Field(ge=0, le=65535, description="a port from 0 to 65535 (0: any free one)")
    ] = 8080


class GatewaySection(Section):
    """The broker's addresses."""

    api_url: Annotated[str, Field(description="an address")] = TOPSTEPX_API
    user_hub_url: Annotated[str, Field(description="an address")] = TOPSTEPX_USER_HUB
    market_hub_url: Annotated[str, Field(description="an address")] = TOPSTEPX_MARKET_HUB


class LoginSection(Section):
    """One user of the broker."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
            description="a short name of small letters, digits, - and _",
        ),
    ]
    user: Annotated[str, Field(min_length=1, description="the broker's user name")]
    credentials: Annotated[str, Field(pattern=r"^(env|file:.+)$", description="env, or file:PATH")]
    accounts: Annotated[
        list[Annotated[int, Field(gt=0, description="an account number")]],
        Field(min_length=1, description="a list of account numbers"),
    ]


class WorkersSection(Section):
    """When a worker is taken for dead."""

    heartbeat_ms: Annotated[
        int, Field(ge=20, le=5_000, description="milliseconds from 20 to 5000")
    ] = 100
    missed: Annotated[int, Field(ge=2, le=50, description="a number of beats from 2 to 50")] = 5


class JournalSection(Section):
    """How processes reach the journal; by default what the platform offers."""

    transport: Annotated[Literal["unix", "tcp"] | None, Field(description="unix or tcp")] = None


class ClockSection(Section):
    """A demo's own time."""

    offset_s: Annotated[
        int | float,
        Field(description="seconds; 0 in production", allow_inf_nan=False),
    ] = 0


class DaemonFile(Section):
    """`daemon.yaml`. `config_schema` is that of all files of the folder."""

    config_schema: Annotated[
        int,
        Field(
            ge=CONFIGURATION[0],
            le=CONFIGURATION[1],
            description=f"a number from {CONFIGURATION[0]} to {CONFIGURATION[1]}, the shapes this "
            "release reads; a larger one is of a newer release",
        ),
    ] = CONFIGURATION[0]
    environment: Annotated[
        Literal["production", "staging", "demo"], Field(description="production, staging or demo")
    ]
    console: Annotated[ConsoleSection, Field(description="a section with `port`")] = (
        ConsoleSection()
    )
    gateway: Annotated[GatewaySection, Field(description="a section with three addresses")] = (
        GatewaySection()
    )
    logins: Annotated[
        list[Annotated[LoginSection, Field(description="name, user, credentials and accounts")]],
        Field(min_length=1, description="a list of logins"),
    ]
    workers: Annotated[
        WorkersSection, Field(description="a section with `heartbeat_ms` and `missed`")
    ] = WorkersSection()
    journal: Annotated[JournalSection, Field(description="a section with `transport`")] = (
        JournalSection()
    )
    clock: Annotated[ClockSection, Field(description="a section with `offset_s`")] = ClockSection()
    hash_every: Annotated[int, Field(ge=1, description="a number of records from 1")] = 1_000
    snapshot_every: Annotated[int, Field(ge=1, description="a number of records from 1")] = 20_000
    backup_every_h: Annotated[
        int, Field(ge=0, le=720, description="hours from 1 to 720, or 0 for none by itself")
    ] = 24


type RuleSections = dict[str, dict[str, Any]]


class PolicyFile(Section):
    """`policy.yaml`: what holds for every account that doesn't say otherwise."""

    calendar: Annotated[Literal["cme_equity"], Field(description="cme_equity")] = "cme_equity"
    day_roll: Annotated[
        Literal["cme_trade_date", "clock"], Field(description="cme_trade_date or clock")
    ] = "cme_trade_date"
    rules: Annotated[RuleSections, Field(description="each rule's keys, by its name")]


class AccountFile(Section):
    """`accounts/<id>.yaml`: one account's name, its login, and where it differs."""

    name: Annotated[str, Field(min_length=1, description="a name")]
    login: Annotated[str, Field(min_length=1, description="the name of a login of daemon.yaml")]
    test: Annotated[bool, Field(description="true for an account that may be tried on")] = False
    calendar: Annotated[Literal["cme_equity"] | None, Field(description="cme_equity")] = None
    day_roll: Annotated[
        Literal["cme_trade_date", "clock"] | None, Field(description="cme_trade_date or clock")
    ] = None
    rules: Annotated[RuleSections, Field(description="each rule's keys, by its name")] = {}


class FlagSection(Section):
    """One rule in another mode, on one account or on a percentage of them, until a trade date."""

    rule: Annotated[str, Field(min_length=1, description="the name of a rule")]
    mode: Annotated[
        Literal["enforce", "shadow", "alert"], Field(description="enforce, shadow or alert")
    ]
    account: Annotated[
        int | None, Field(gt=0, description="an account number, or `percent` and `accounts`")
    ] = None
    percent: Annotated[int | None, Field(ge=1, le=100, description="a number from 1 to 100")] = None
    accounts: Annotated[
        list[Annotated[int, Field(gt=0, description="an account number")]],
        Field(description="the accounts of the percentage, as they were drawn"),
    ] = []
    owner: Annotated[str, Field(min_length=1, description="who answers for it")]
    until: Annotated[
        str,
        Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description='a date in quotes, like "2026-12-31"'),
    ]
    reason: Annotated[str, Field(description="why, as text")] = ""
    cleared: Annotated[bool, Field(description="true for one that is over before its time")] = False


class OverrideSection(Section):
    """One rule switched off on one account until an instant, within a day."""

    rule: Annotated[str, Field(min_length=1, description="the name of a rule")]
    account: Annotated[int, Field(gt=0, description="an account number")]
    since: Annotated[str, Field(min_length=1, description="a time with its offset, in quotes")]
    ends: Annotated[
        str, Field(min_length=1, description="a time with its offset, in quotes, within a day")
    ]
    owner: Annotated[str, Field(min_length=1, description="who asked for it")]
    reason: Annotated[str, Field(description="why, as text")] = ""
    cleared: Annotated[bool, Field(description="true for one that is over before its time")] = False


class OverridesFile(Section):
    """`overrides.yaml`: what is off for a moment, in the order in which it was asked for."""

    overrides: Annotated[list[OverrideSection], Field(description="a list of overrides")] = []


class FlagsFile(Section):
    """`flags.yaml`: the flags, in the order in which they were set."""

    flags: Annotated[list[FlagSection], Field(description="a list of flags")] = []

"""Feature flags: another mode of a rule, on some accounts, until a trade date. Pure.

A flag stands in `config/flags.yaml` beside the policy and is laid over it: what comes out is an
account's policy like any other. It never touches a limit. An account's own flag goes before that
of a percentage. A percentage names its accounts, once drawn: they stay while it stands, and when it
grows others are added behind them.

An override is a flag of one account with an instant as its end, within a day: `ends`. It goes
before every other flag (docs/adr/0055).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.core.session import next_reset, trade_date

#: Longer than this a mode is no trial but the policy's own business.
LONGEST_DAYS: Final = 180
#: Longer than this a rule is not off for a moment, and a flag is the way.
LONGEST_OVERRIDE_NS: Final = 86_400 * 1_000_000_000
#: What an overridden rule does: it decides and records, and nothing is done or told.
OFF: Final = "shadow"


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """One rule in another mode on `accounts`, up to and with the trade date `until` (ISO 8601).

    `percent` is 0 for a flag of one account. A `cleared` one is over before its time: it stays in
    the file until then, as its account's own word on the mode.
    """

    rule: str
    mode: str
    accounts: tuple[int, ...]
    owner: str
    until: str
    percent: int = 0
    reason: str = ""
    cleared: bool = False
    #: Of an override: when it was asked for, and when it ends (ns UTC). 0: it is none.
    since: int = 0
    ends: int = 0

    @property
    def scope(self) -> str:
        """Say whom it is for."""
        return (
            f"{self.percent} % of the accounts" if self.percent else f"account {self.accounts[0]}"
        )

    @property
    def name(self) -> str:
        """What makes it this flag and no other."""
        if self.ends:
            return f"override:{self.rule}:{self.accounts[0]}"
        return f"{self.rule}:{f'{self.percent}%' if self.percent else self.accounts[0]}"


def day_of(policy: PolicyAdopted, now: int) -> str:
    """Return an account's trade date at an instant, ns UTC."""
    return trade_date(policy.calendar, policy.day_roll, now)


def is_over(flag: Flag, day: str, now: int) -> bool:
    """Whether a flag no longer speaks on a trade date, at an instant of it (ns UTC)."""
    return flag.cleared or day > flag.until or 0 < flag.ends <= now


def speaks(flags: Iterable[Flag], policy: PolicyAdopted, rule: str, now: int) -> Flag | None:
    """Return the flag that decides the mode of a rule: an override, then the account's own."""
    day = day_of(policy, now)
    found = [
        flag
        for flag in flags
        if flag.rule == rule and policy.account in flag.accounts and not is_over(flag, day, now)
    ]
    return min(found, key=lambda flag: (not flag.ends, flag.percent), default=None)


def laid(policy: PolicyAdopted, flags: Sequence[Flag], now: int) -> PolicyAdopted:
    """Return a policy with the flags laid over its rules' modes."""
    rules = []
    for setting in policy.rules:
        flag = speaks(flags, policy, setting.rule, now)
        rules.append(msgspec.structs.replace(setting, mode=flag.mode) if flag else setting)
    return msgspec.structs.replace(policy, rules=tuple(rules))


def own_keys(account: int, flags: Iterable[Flag], count: int) -> frozenset[tuple[str, str]]:
    """Return the modes that flags ask for this account, but not for all the `count` there are."""
    return frozenset(
        (flag.rule, "mode")
        for flag in flags
        if account in flag.accounts and (not flag.percent or len(flag.accounts) < count)
    )


def ended(
    before: PolicyAdopted, after: PolicyAdopted, living: Iterable[Flag], now: int
) -> PolicyAdopted:
    """Return what is in force with the ends of flags taken in: they were agreed with the flags.

    `living` are the flags that were laid over it when it was adopted.
    """
    day = day_of(after, now)
    over = [flag for flag in living if is_over(flag, day, now)]
    # What was overridden enforces again, whatever else was changed of it meanwhile: that may wait.
    before = back_on(before, ended_overrides(over, now))
    gone = {flag.rule for flag in over if before.account in flag.accounts and not flag.ends}
    modes = {setting.rule: setting.mode for setting in after.rules if setting.rule in gone}
    rules = (
        msgspec.structs.replace(setting, mode=modes.get(setting.rule, setting.mode))
        for setting in before.rules
    )
    return msgspec.structs.replace(before, rules=tuple(rules))


def drawn(rule: str, percent: int, known: Sequence[int], before: Sequence[int]) -> tuple[int, ...]:
    """Return the accounts of a percentage, never fewer than one; those of `before` come first."""
    kept = [account for account in before if account in known]
    rest = sorted(
        (account for account in known if account not in kept),
        key=lambda account: hmac.digest(rule.encode(), str(account).encode(), hashlib.sha256),
    )
    return (*kept, *rest)[: max(1, -(-len(known) * percent // 100))]


def living(
    flags: Iterable[Flag], policies: Mapping[int, PolicyAdopted], now: int
) -> tuple[Flag, ...]:
    """Return the flags that speak for an account at an instant."""
    return tuple(
        flag
        for flag in flags
        if any(
            not is_over(flag, day_of(policies[account], now), now)
            for account in flag.accounts
            if account in policies
        )
    )


def due(flags: Iterable[Flag], policies: Mapping[int, PolicyAdopted], now: int) -> int:
    """Return when one of these living flags may begin its last day or end, ns UTC; 0: never."""
    instants = [
        next_reset(policies[account].calendar, policies[account].day_roll, now)
        for flag in flags
        for account in flag.accounts
        if account in policies
    ]
    return min([*instants, *(flag.ends for flag in flags if flag.ends)], default=0)


def news(
    flags: Iterable[Flag], living: Iterable[Flag], policies: Mapping[int, PolicyAdopted], now: int
) -> list[tuple[str, str]]:
    """Return what is to be told of ends, as (name under which it is told once, sentence).

    A flag is announced on its last day, and told when it has ended.
    """
    told: list[tuple[str, str]] = []
    for flag, verb in [*((one, "ends") for one in flags), *((one, "ended") for one in living)]:
        if flag.ends:
            continue  # `ended_overrides`
        days = {day_of(policies[account], now) for account in flag.accounts if account in policies}
        is_last = verb == "ends" and not flag.cleared and flag.until in days
        is_past = verb == "ended" and any(day > flag.until for day in days)
        if is_last or is_past:
            when = f"at the end of trade date {flag.until}"
            text = (
                f"the flag {flag.rule}: {flag.mode} on {flag.scope} (owner {flag.owner}) {verb} "
                f"{when}; then the policy's own mode holds"
            )
            told.append((f"flag-{verb}:{flag.name}:{flag.mode}:{flag.until}", text))
    return told


def ended_overrides(living: Iterable[Flag], now: int) -> tuple[Flag, ...]:
    """Return the overrides that lived when the policy was adopted last, and are over."""
    return tuple(flag for flag in living if 0 < flag.ends <= now)


def back_on(policy: PolicyAdopted, over: Iterable[Flag]) -> PolicyAdopted:
    """Return a policy in force with the rules acting again that overrides had switched off.

    For when the files can't be read: only what enforced can be overridden, so it enforces again.
    """
    gone = {flag.rule for flag in over if policy.account in flag.accounts}
    rules = (
        msgspec.structs.replace(setting, mode="enforce")
        if setting.rule in gone and setting.mode == OFF
        else setting
        for setting in policy.rules
    )
    return msgspec.structs.replace(policy, rules=tuple(rules))

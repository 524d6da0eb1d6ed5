"""Feature flags: another mode of a rule, on some accounts, until a trade date. Pure.

A flag stands in `config/flags.yaml` beside the policy and is laid over it: what comes out is an
account's policy like any other. It never touches a limit. An account's own flag goes before that
of a percentage. A percentage names its accounts, once drawn: they stay while it stands, and when it
grows others are added behind them.
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

    @property
    def scope(self) -> str:
        """Say whom it is for."""
        return (
            f"{self.percent} % of the accounts" if self.percent else f"account {self.accounts[0]}"
        )

    @property
    def name(self) -> str:
        """What makes it this flag and no other."""
        return f"{self.rule}:{f'{self.percent}%' if self.percent else self.accounts[0]}"


def day_of(policy: PolicyAdopted, now: int) -> str:
    """Return an account's trade date at an instant, ns UTC."""
    return trade_date(policy.calendar, policy.day_roll, now)


def is_over(flag: Flag, day: str) -> bool:
    """Whether a flag no longer speaks on a trade date."""
    return flag.cleared or day > flag.until


def speaks(flags: Iterable[Flag], account: int, rule: str, day: str) -> Flag | None:
    """Return the flag that decides the mode of a rule of an account; its own goes first."""
    found = [
        flag
        for flag in flags
        if flag.rule == rule and account in flag.accounts and not is_over(flag, day)
    ]
    return min(found, key=lambda flag: flag.percent, default=None)


def laid(policy: PolicyAdopted, flags: Sequence[Flag], now: int) -> PolicyAdopted:
    """Return a policy with the flags laid over its rules' modes."""
    day = day_of(policy, now)
    rules = []
    for setting in policy.rules:
        flag = speaks(flags, policy.account, setting.rule, day)
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
    gone = {flag.rule for flag in living if before.account in flag.accounts and day > flag.until}
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
            not is_over(flag, day_of(policies[account], now))
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
    return min(instants, default=0)


def news(
    flags: Iterable[Flag], living: Iterable[Flag], policies: Mapping[int, PolicyAdopted], now: int
) -> list[tuple[str, str]]:
    """Return what is to be told of ends, as (name under which it is told once, sentence).

    A flag is announced on its last day, and told when it has ended.
    """
    told: list[tuple[str, str]] = []
    for flag, verb in [*((one, "ends") for one in flags), *((one, "ended") for one in living)]:
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

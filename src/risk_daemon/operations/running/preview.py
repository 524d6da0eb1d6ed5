"""What a first start would do to what is open: nothing by itself, and it says so.

Decision 3.5: neither a first start nor a change of configuration flattens. An
account that is over a limit becomes reduce-only until a person confirms. A
balance that can't have begun where the configuration says is named too: its
floor would protect nothing, or lock an account that did nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import PolicyAdopted
from risk_daemon.core.instrument import show
from risk_daemon.errors import DaemonError, OperatorError
from risk_daemon.operations.accounts import own_session
from risk_daemon.operations.accounts.own_session import Held, Standing
from risk_daemon.operations.configuration.loading import Configuration
from risk_daemon.operations.home import Home
from risk_daemon.rules import CATALOG
from risk_daemon.rules.end_of_day_flatten import EndOfDayFlatten
from risk_daemon.rules.trailing_max_drawdown import TrailingMaxDrawdown

UNTIL: Final = "reduce-only until confirmed, nothing is closed"


def positions(at: Home, configuration: Configuration) -> tuple[str, ...]:
    """One line per account that needs a look, or unreadable login; reads only."""
    now = Clock(int(configuration.settings.clock_offset_s * SECOND_NS)).now_ns()
    lines: list[str] = []
    for login in configuration.settings.logins:
        try:
            found = own_session.standing(at, configuration.settings, login)
        except OperatorError as error:
            lines.append(f"{login.name}: positions could not be read: {error.sentence.rstrip('.')}")
        except DaemonError as error:
            lines.append(f"{login.name}: positions could not be read: {error}")
        else:
            lines += effects(found, configuration, now)
    return tuple(lines)


def effects(found: Standing, configuration: Configuration, now: int) -> Iterator[str]:
    """Say what a start would make of each account; `now` is ns UTC. Pure."""
    for account in sorted({one.account for one in found.held}):
        mine = [one for one in found.held if one.account == account]
        shown = ", ".join(f"{one.quantity:+d} {one.contract}" for one in mine)
        yield f"{account}: {shown}: {_effect(configuration.policy(account), mine, now)}"
    for account, balance in sorted(found.balances.items()):
        rule = _enforced(configuration.policy(account), "trailing-max-drawdown")
        if isinstance(rule, TrailingMaxDrawdown):
            yield from _balance_lines(account, balance, rule)


def _enforced(policy: PolicyAdopted, name: str) -> Any:
    """A rule of a policy as it would act; None where it would not."""
    found = [one for one in policy.rules if one.rule == name and one.mode == "enforce"]
    return CATALOG[name].parse(found[0].params) if found else None


def _effect(policy: PolicyAdopted, held: list[Held], now: int) -> str:
    limits = [rule.params.get("limit") for rule in policy.rules if rule.rule == "max-contracts"]
    limit = limits[0] if limits and isinstance(limits[0], int) else None
    size = sum(abs(one.quantity) for one in held)
    if limit is not None and size > limit:
        return f"{size} contracts, limit {limit}: {UNTIL}"
    day = _enforced(policy, "end-of-day-flatten")
    if isinstance(day, EndOfDayFlatten) and now >= day.day_end(policy.calendar, now).entries:
        return f"the day has ended for new entries: {UNTIL}"
    return "within its size, stays as it is"


def _balance_lines(account: int, balance: int, rule: TrailingMaxDrawdown) -> Iterator[str]:
    floor = rule.floor if rule.floor is not None else rule.floor_of({})
    way = (
        f"`risk-daemon-admin config set-rule {account} trailing-max-drawdown "
        "start=... drawdown=...` says what it began with"
    )
    if balance <= floor + rule.buffer:
        yield (
            f"{account}: balance {show(balance)}, the drawdown's floor is {show(floor)}: "
            f"{UNTIL}; {way}"
        )
    elif balance > rule.start + rule.start // 2:
        yield (
            f"{account}: balance {show(balance)} is far above a start of {show(rule.start)}: "
            f"its floor protects too little; {way}"
        )

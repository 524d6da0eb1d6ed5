"""What a first start would do to positions that are open: nothing by itself, and it says so.

Decision 3.5: neither a first start nor a change of configuration flattens. An
account that is over a limit becomes reduce-only until a person confirms.
"""

from __future__ import annotations

from collections.abc import Sequence

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.errors import DaemonError, OperatorError
from risk_daemon.operations import own_session
from risk_daemon.operations.configuration import Configuration
from risk_daemon.operations.home import Home
from risk_daemon.operations.own_session import Held


def positions(at: Home, configuration: Configuration) -> tuple[str, ...]:
    """One line per open position or unreadable login; reads only, sends nothing else."""
    lines: list[str] = []
    for login in configuration.settings.logins:
        try:
            held = own_session.positions(at, configuration.settings, login)
        except OperatorError as error:
            lines.append(f"{login.name}: positions could not be read: {error.sentence.rstrip('.')}")
        except DaemonError as error:
            lines.append(f"{login.name}: positions could not be read: {error}")
        else:
            lines += _effects(held, configuration)
    return tuple(lines)


def _effects(held: Sequence[Held], configuration: Configuration) -> list[str]:
    lines = []
    for account in sorted({one.account for one in held}):
        mine = [one for one in held if one.account == account]
        shown = ", ".join(f"{one.quantity:+d} {one.contract}" for one in mine)
        size = sum(abs(one.quantity) for one in mine)
        lines.append(f"{account}: {shown}: {_effect(configuration.policy(account), size)}")
    return lines


def _effect(policy: PolicyAdopted, size: int) -> str:
    limits = [rule.params.get("limit") for rule in policy.rules if rule.rule == "max-contracts"]
    limit = limits[0] if limits and isinstance(limits[0], int) else None
    if limit is not None and size > limit:
        return f"{size} contracts, limit {limit}: reduce-only until confirmed, nothing is closed"
    return "within its size, stays as it is"
